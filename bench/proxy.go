package main

import (
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"path"
	"sync"
	"sync/atomic"
)

// traffic is what went through a proxy: requests, and bytes of their bodies and of the answers' bodies.
type traffic struct {
	Requests int64
	Up       int64
	Down     int64
	Base     int64 // of Down, what were layers of the base
}

// proxy counts the traffic to a registry.
type proxy struct {
	address string
	server  *http.Server

	requests, up, down, base atomic.Int64

	mu     sync.Mutex
	layers map[string]bool // digests of base layers
}

// newProxy listens on a port of its own in front of the registry.
func newProxy(registry string) (*proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &proxy{address: l.Addr().String(), layers: map[string]bool{}}
	target := &url.URL{Scheme: "http", Host: registry}
	reverse := &httputil.ReverseProxy{FlushInterval: -1, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host // the registry's redirects lead back here
	}}
	reverse.ModifyResponse = func(r *http.Response) error {
		counters := []*atomic.Int64{&p.down}
		if p.isBase(path.Base(r.Request.URL.Path)) {
			counters = append(counters, &p.base)
		}
		r.Body = &countingBody{r.Body, counters}
		return nil
	}
	p.server = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.requests.Add(1)
		r.Body = &countingBody{r.Body, []*atomic.Int64{&p.up}}
		reverse.ServeHTTP(w, r)
	})}
	go p.server.Serve(l) //nolint:errcheck // ends with Close
	return p, nil
}

// Close ends the proxy.
func (p *proxy) Close() error { return p.server.Close() }

// watch makes the layers with these digests count as the base's.
func (p *proxy) watch(digests []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, d := range digests {
		p.layers[d] = true
	}
}

func (p *proxy) isBase(digest string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.layers[digest]
}

func (p *proxy) reset() {
	for _, c := range []*atomic.Int64{&p.requests, &p.up, &p.down, &p.base} {
		c.Store(0)
	}
}

func (p *proxy) read() traffic {
	return traffic{p.requests.Load(), p.up.Load(), p.down.Load(), p.base.Load()}
}

type countingBody struct {
	io.ReadCloser
	counters []*atomic.Int64
}

func (b *countingBody) Read(buf []byte) (int, error) {
	n, err := b.ReadCloser.Read(buf)
	for _, c := range b.counters {
		c.Add(int64(n))
	}
	return n, err
}
