package fetch

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/covify/covify/wheel"
)

var cp313 = wheel.Target{Implementation: "cp", Major: 3, Minor: 13, ABI: "cp313", Libc: "glibc", Arch: "x86_64"}

const distInfo = "coverage-7.1.dist-info/"

// tinyWheel is a sound wheel of one module.
func tinyWheel(t *testing.T, version string) (name string, data []byte) {
	t.Helper()
	body := []byte("__version__ = '" + version + "'\n")
	digest := sha256.Sum256(body)
	record := fmt.Sprintf("coverage/__init__.py,sha256=%s,%d\n%sRECORD,,\n",
		base64.RawURLEncoding.EncodeToString(digest[:]), len(body), distInfo)
	var buf bytes.Buffer
	archive := zip.NewWriter(&buf)
	for name, content := range map[string][]byte{"coverage/__init__.py": body, distInfo + "RECORD": []byte(record)} {
		w, err := archive.Create(name)
		if err == nil {
			_, err = w.Write(content)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	return "coverage-" + version + "-py3-none-any.whl", buf.Bytes()
}

// world is a package index of the test's own.
type world struct {
	*httptest.Server
	sync.Mutex
	mux      *http.ServeMux
	requests []string
}

func newWorld(t *testing.T) *world {
	w := &world{mux: http.NewServeMux()}
	w.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.Lock()
		defer w.Unlock()
		w.requests = append(w.requests, r.URL.Path)
		w.mux.ServeHTTP(rw, r)
	}))
	t.Cleanup(w.Close)
	return w
}

func (w *world) serve(path, kind string, body []byte) {
	w.mux.HandleFunc(path, func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", kind)
		_, _ = rw.Write(body)
	})
}

func (w *world) source(t *testing.T) *Source {
	return &Source{CacheDir: t.TempDir(), Index: Index{URL: w.URL + "/simple"}, Logf: t.Logf}
}

func jsonPage(t *testing.T, files ...map[string]any) []byte {
	t.Helper()
	page, err := json.Marshal(map[string]any{"meta": map[string]string{"api-version": "1.1"}, "name": "coverage", "files": files})
	if err != nil {
		t.Fatal(err)
	}
	return page
}

func TestPayloadFromJSON(t *testing.T) {
	w := newWorld(t)
	name, data := tinyWheel(t, "7.1")
	newer, newerData := tinyWheel(t, "7.2")
	w.serve("/simple/coverage/", typeJSON, jsonPage(t,
		map[string]any{"filename": name, "url": "../../files/" + name, "hashes": map[string]string{"sha256": sum(data)}, "requires-python": ">=3.8", "yanked": false},
		map[string]any{"filename": newer, "url": "/files/" + newer, "hashes": map[string]string{"sha256": sum(newerData)}, "requires-python": nil, "yanked": "broken"},
		map[string]any{"filename": "coverage-7.1.tar.gz", "url": "x", "hashes": map[string]string{}},
	))
	w.serve("/files/"+name, "application/octet-stream", data)
	w.serve("/files/"+newer, "application/octet-stream", newerData)
	source := w.source(t)
	for version, want := range map[string]string{"": "7.1-py3-none-any-cp313", "7.2": "7.2-py3-none-any-cp313"} {
		payload, err := source.Payload(t.Context(), cp313, version)
		if err != nil || payload.Name != want {
			t.Errorf("%q: %+v, %v", version, payload, err)
		}
	}
	if _, err := source.Payload(t.Context(), wheel.Target{Implementation: "cp", Major: 3, Minor: 7}, ""); !errors.As(err, new(*wheel.NoFitError)) {
		t.Errorf("3.7: %v", err)
	}
}

func TestPayloadFromHTML(t *testing.T) {
	w := newWorld(t)
	name, data := tinyWheel(t, "7.1")
	newer, newerData := tinyWheel(t, "7.2")
	w.serve("/simple/coverage/", "text/html; charset=utf-8", fmt.Appendf(nil, `<!DOCTYPE html><html><head><base href="/files/"></head><body>
<a href="%s#sha256=%s" data-requires-python="&gt;=3.8">%s</a><br/>
<a href="%s#sha256=%s" data-requires-python="&gt;=3.99">%s</a><br/>
<a href="coverage-7.3-py3-none-any.whl#md5=abc" data-yanked="">x</a> <a name="top">`, name, sum(data), name, newer, sum(newerData), newer))
	w.serve("/files/"+name, "application/octet-stream", data)
	payload, err := w.source(t).Payload(t.Context(), cp313, "")
	if err != nil || payload.Version != "7.1" {
		t.Fatalf("%+v, %v", payload, err)
	}
}

func TestLinksAreRelativeToWhereARedirectLed(t *testing.T) {
	w := newWorld(t)
	name, data := tinyWheel(t, "7.1")
	w.mux.Handle("/simple/coverage/", http.RedirectHandler("/mirror/deep/coverage/", http.StatusFound))
	w.serve("/mirror/deep/coverage/", "text/html", fmt.Appendf(nil, `<a href="../%s#sha256=%s">`, name, sum(data)))
	w.serve("/mirror/deep/"+name, "application/octet-stream", data)
	if _, err := w.source(t).Payload(t.Context(), cp313, ""); err != nil {
		t.Fatal(err)
	}
}

func TestIndexThatRefuses(t *testing.T) {
	for status, tries := range map[int]int{401: 1, 403: 1, 404: 1, 500: 3, 503: 3} {
		w := newWorld(t)
		w.mux.HandleFunc("/", func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(status) })
		_, err := w.source(t).Payload(t.Context(), cp313, "")
		var failure *IndexError
		if !errors.As(err, &failure) || failure.Status != status || failure.Hint() == "" {
			t.Errorf("%d: %v", status, err)
			continue
		}
		if failure.Unauthorised() != (status < 404) || len(w.requests) != tries {
			t.Errorf("%d: unauthorised %v, %d requests", status, failure.Unauthorised(), len(w.requests))
		}
	}
}

func TestIndexUnreachable(t *testing.T) {
	w := newWorld(t)
	source := w.source(t)
	w.Close()
	_, err := source.Payload(t.Context(), cp313, "")
	var failure *IndexError
	if !errors.As(err, &failure) || failure.Status != 0 || !strings.Contains(failure.Hint(), "covify bundle") {
		t.Fatal(err)
	}
}

func TestIndexThatGarbles(t *testing.T) {
	name, data := tinyWheel(t, "7.1")
	for what, page := range map[string]string{
		"not JSON":      "{",
		"other version": `{"meta":{"api-version":"2.0"},"files":[]}`,
		"no wheels":     `{"meta":{"api-version":"1.0"},"files":[]}`,
	} {
		w := newWorld(t)
		w.serve("/simple/coverage/", typeJSON, []byte(page))
		if _, err := w.source(t).Files(t.Context()); !errors.As(err, new(*IndexError)) {
			t.Errorf("%s: %v", what, err)
		}
	}
	w := newWorld(t)
	w.serve("/simple/coverage/", "text/html", fmt.Appendf(nil, `<a href="/%s#sha256=%s">`, name, sum(nil)))
	w.serve("/"+name, "application/octet-stream", data)
	source := w.source(t)
	if _, err := source.Payload(t.Context(), cp313, ""); !errors.As(err, new(*wheel.ChecksumError)) {
		t.Errorf("wrong hash: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(source.CacheDir, "wheels", "*", "*")); len(left) > 0 {
		t.Errorf("wrong hash, and cached: %v", left)
	}
}

func TestAnswerThatBreaksOff(t *testing.T) {
	w := newWorld(t)
	name, data := tinyWheel(t, "7.1")
	w.serve("/simple/coverage/", "text/html", fmt.Appendf(nil, `<a href="/%s#sha256=%s">`, name, sum(data)))
	tries := 0
	w.mux.HandleFunc("/"+name, func(rw http.ResponseWriter, _ *http.Request) {
		tries++
		rw.Header().Set("Content-Length", fmt.Sprint(len(data)))
		if tries < 3 {
			_, _ = rw.Write(data[:10])
			return
		}
		_, _ = rw.Write(data)
	})
	if _, err := w.source(t).Payload(t.Context(), cp313, ""); err != nil || tries != 3 {
		t.Fatalf("%d tries, %v", tries, err)
	}
}

func TestCredentials(t *testing.T) {
	files := newWorld(t)
	name, data := tinyWheel(t, "7.1")
	files.mux.HandleFunc("/"+name, func(rw http.ResponseWriter, r *http.Request) {
		if _, _, given := r.BasicAuth(); given {
			t.Error("credentials went to another host")
		}
		_, _ = rw.Write(data)
	})
	w := newWorld(t)
	w.mux.HandleFunc("/simple/coverage/", func(rw http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "me" || password != "s3cret" {
			rw.WriteHeader(http.StatusUnauthorized)
			return
		}
		rw.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(rw, `<a href="%s/%s#sha256=%s">`, files.URL, name, sum(data))
	})
	at, err := url.Parse(w.URL + "/simple")
	if err != nil {
		t.Fatal(err)
	}
	netrc := Index{URL: at.String(), Netrc: "machine " + at.Hostname() + " login me password s3cret\n"}
	at.User = url.UserPassword("me", "s3cret")
	inURL := Index{URL: at.String()}
	at.User = url.UserPassword("me", "wr0ng")
	wrong := Index{URL: at.String()}
	if _, err := (&Source{Index: inURL}).Payload(t.Context(), cp313, ""); err != nil {
		t.Errorf("in the address: %v", err)
	}
	if _, err := (&Source{Index: netrc}).Files(t.Context()); err != nil {
		t.Errorf("in .netrc: %v", err)
	}
	_, err = (&Source{Index: wrong}).Files(t.Context())
	if err == nil || strings.Contains(err.Error(), "wr0ng") {
		t.Errorf("wrong ones: %v", err)
	}
	_, err = (&Source{Index: Index{URL: "https://me:wr0ng@host:port/simple"}}).Files(t.Context())
	if err == nil || strings.Contains(err.Error(), "wr0ng") {
		t.Errorf("bad address: %v", err)
	}
}

func TestExtraIndex(t *testing.T) {
	main, extra := newWorld(t), newWorld(t)
	name, data := tinyWheel(t, "7.1")
	main.mux.HandleFunc("/", func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusNotFound) })
	extra.serve("/simple/coverage/", "text/html", fmt.Appendf(nil, `<a href="/%s#sha256=%s">`, name, sum(data)))
	source := &Source{Index: Index{URL: main.URL + "/simple/", Extra: []string{extra.URL + "/simple"}}, Logf: t.Logf}
	if files, err := source.Files(t.Context()); err != nil || len(files) != 1 {
		t.Fatalf("%v, %v", files, err)
	}
}

func TestCacheSpares(t *testing.T) {
	w := newWorld(t)
	name, data := tinyWheel(t, "7.1")
	page := fmt.Appendf(nil, `<a href="/%s#sha256=%s">`, name, sum(data))
	w.mux.HandleFunc("/simple/coverage/", func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "text/html")
		rw.Header().Set("ETag", `"one"`)
		if r.Header.Get("If-None-Match") == `"one"` {
			rw.WriteHeader(http.StatusNotModified)
			return
		}
		_, _ = rw.Write(page)
	})
	w.serve("/"+name, "application/octet-stream", data)
	first := w.source(t)
	if _, err := first.Payload(t.Context(), cp313, ""); err != nil {
		t.Fatal(err)
	}
	next := func(offline bool) *Source {
		return &Source{CacheDir: first.CacheDir, Index: first.Index, Offline: offline, Logf: t.Logf}
	}
	w.requests = nil
	if _, err := next(false).Payload(t.Context(), cp313, ""); err != nil || len(w.requests) != 1 {
		t.Errorf("again: requests %v, %v", w.requests, err)
	}
	corrupt := filepath.Join(first.CacheDir, "wheels", sum(data), name)
	if err := os.WriteFile(corrupt, data[:20], 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := next(false).Payload(t.Context(), cp313, ""); err != nil {
		t.Errorf("with a corrupt file in the cache: %v", err)
	}
	w.Close()
	for _, offline := range []bool{true, false} {
		if _, err := next(offline).Payload(t.Context(), cp313, ""); err != nil {
			t.Errorf("index gone, offline %v: %v", offline, err)
		}
	}
	if _, err := (&Source{CacheDir: t.TempDir(), Index: first.Index, Offline: true}).Payload(t.Context(), cp313, ""); !errors.As(err, new(*IndexError)) {
		t.Errorf("offline, nothing cached: %v", err)
	}
}

// TestNewerThanTheCacheIsGone has a list that names a wheel nobody can give any more.
func TestNewerThanTheCacheIsGone(t *testing.T) {
	w := newWorld(t)
	name, data := tinyWheel(t, "7.1")
	w.serve("/simple/coverage/", "text/html", fmt.Appendf(nil,
		`<a href="/%s#sha256=%s"><a href="/coverage-7.2-py3-none-any.whl#sha256=%s">`, name, sum(data), sum(nil)))
	w.serve("/"+name, "application/octet-stream", data)
	source := w.source(t)
	if _, err := source.Payload(t.Context(), cp313, "7.1"); err != nil {
		t.Fatal(err)
	}
	payload, err := source.Payload(t.Context(), cp313, "")
	if err != nil || payload.Version != "7.1" {
		t.Errorf("%+v, %v", payload, err)
	}
	if _, err := source.Payload(t.Context(), cp313, "7.2"); !errors.As(err, new(*IndexError)) {
		t.Errorf("7.2: %v", err)
	}
}

func TestUnwritableCacheIsNoObstacle(t *testing.T) {
	w := newWorld(t)
	name, data := tinyWheel(t, "7.1")
	w.serve("/simple/coverage/", "text/html", fmt.Appendf(nil, `<a href="/%s#sha256=%s">`, name, sum(data)))
	w.serve("/"+name, "application/octet-stream", data)
	blocked := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(blocked, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	source := &Source{CacheDir: filepath.Join(blocked, "cache"), Index: Index{URL: w.URL + "/simple"}, Logf: t.Logf}
	if _, err := source.Payload(t.Context(), cp313, ""); err != nil {
		t.Fatal(err)
	}
}
