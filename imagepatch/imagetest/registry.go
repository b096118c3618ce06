package imagetest

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// A Registry keeps images in memory, each repository its own blobs, and mounts blobs from one to another as real
// registries do. Close ends it.
type Registry struct {
	Host string // "127.0.0.1:PORT"

	server *httptest.Server
	inner  http.Handler
	lock   sync.Mutex
	before func(http.ResponseWriter, *http.Request) bool
	seen   []string
	blobs  map[string]bool // "repository digest"
}

// NewRegistry starts an empty registry on this machine.
func NewRegistry() *Registry {
	r := &Registry{inner: registry.New(registry.Logger(log.New(io.Discard, "", 0))), blobs: map[string]bool{}}
	r.Start()
	return r
}

// Start answers at a new address, with what is in the registry.
func (r *Registry) Start() {
	r.server = httptest.NewServer(r)
	r.Host = r.server.Listener.Addr().String()
}

// Close ends the registry; whoever asks it then is refused.
func (r *Registry) Close() { r.server.Close() }

// Die ends the registry in the middle of its answers.
func (r *Registry) Die() {
	r.server.Listener.Close()
	r.server.CloseClientConnections()
}

// Intercept has f asked first about every request; it returns true if it answered itself.
func (r *Registry) Intercept(f func(http.ResponseWriter, *http.Request) bool) {
	r.lock.Lock()
	defer r.lock.Unlock()
	r.before = f
}

// Put keeps an image or an index under a name such as "app:1.0".
func (r *Registry) Put(as string, what any) {
	ref := r.parse(as)
	switch what := what.(type) {
	case v1.Image:
		must(remote.Write(ref, what))
	case v1.ImageIndex:
		must(remote.WriteIndex(ref, what))
	}
}

// Get returns the manifest that is under a name.
func (r *Registry) Get(as string) (*remote.Descriptor, error) { return remote.Get(r.parse(as)) }

func (r *Registry) parse(as string) name.Reference {
	ref, err := name.ParseReference(r.Host + "/" + as)
	must(err)
	return ref
}

// Requests returns what was asked since the last call, like "GET /v2/app/manifests/1.0".
func (r *Registry) Requests() []string {
	r.lock.Lock()
	defer r.lock.Unlock()
	seen := r.seen
	r.seen = nil
	return seen
}

// ServeHTTP implements http.Handler.
func (r *Registry) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	r.lock.Lock()
	r.seen = append(r.seen, q.Method+" "+q.URL.RequestURI())
	before := r.before
	r.lock.Unlock()
	if before != nil && before(w, q) {
		return
	}
	repository, rest, isBlob := strings.Cut(strings.TrimPrefix(q.URL.Path, "/v2/"), "/blobs/")
	if isBlob && r.blob(w, q, repository, rest) {
		return
	}
	r.inner.ServeHTTP(w, q)
}

// blob answers for blobs that are not in the repository, and for mounts.
func (r *Registry) blob(w http.ResponseWriter, q *http.Request, repository, rest string) bool {
	r.lock.Lock()
	defer r.lock.Unlock()
	query := q.URL.Query()
	switch {
	case q.Method == http.MethodPost && r.blobs[query.Get("from")+" "+query.Get("mount")]:
		r.blobs[repository+" "+query.Get("mount")] = true
		w.WriteHeader(http.StatusCreated)
		return true
	case q.Method == http.MethodPut && query.Get("digest") != "":
		r.blobs[repository+" "+query.Get("digest")] = true
	case (q.Method == http.MethodGet || q.Method == http.MethodHead) && !r.blobs[repository+" "+rest]:
		http.NotFound(w, q)
		return true
	}
	return false
}
