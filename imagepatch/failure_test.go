package imagepatch_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/covify/covify/imagepatch"
	"github.com/covify/covify/imagepatch/imagetest"
	"github.com/covify/covify/plan"
	"github.com/covify/covify/wheel"
)

// TestDamagedLayers has a registry, a layout and an archive hand out damaged layers.
func TestDamagedLayers(t *testing.T) {
	good := app(true)
	blob := good.Layers[1].Blob
	flipped := slices.Clone(blob)
	flipped[len(flipped)/2] ^= 1
	digest := imagetest.Hash(blob)
	for name, damaged := range map[string][]byte{"flipped": flipped, "truncated": blob[:len(blob)/2], "another": good.Layers[0].Blob} {
		t.Run(name, func(t *testing.T) {
			r := newRegistry(t)
			r.Put("app:1.0", good.Image())
			dir := t.TempDir()
			opts := options(t)
			patch(t, opts, "docker://"+r.Host+"/app:1.0", "oci:"+dir+"/layout:1.0")
			r.Intercept(func(w http.ResponseWriter, q *http.Request) bool {
				if q.Method != http.MethodGet || !strings.HasSuffix(q.URL.Path, digest.String()) {
					return false
				}
				_, _ = w.Write(damaged)
				return true
			})
			if err := os.WriteFile(filepath.Join(dir, "layout", "blobs", "sha256", digest.Hex), damaged, 0o644); err != nil {
				t.Fatal(err)
			}
			for _, src := range []string{"docker://" + r.Host + "/app:1.0", "oci:" + dir + "/layout:1.0"} {
				fresh := options(t)
				_, err := imagepatch.Patch(t.Context(), parse(t, src), parse(t, "oci:"+dir+"/out:1.0"), fresh)
				var corrupt *imagepatch.CorruptError
				if !errors.As(err, &corrupt) || !strings.Contains(err.Error(), src) {
					t.Errorf("%s: %v", src, err)
				}
				if kept := cached(t, fresh.CacheDir); slices.Contains(kept, good.Layers[1].Diff.Hex) {
					t.Errorf("%s: the damaged layer is cached", src)
				}
			}
			// With the layer known nobody looks inside, but what is copied is checked.
			_, err := imagepatch.Patch(t.Context(), parse(t, "oci:"+dir+"/layout:1.0"), parse(t, "oci-archive:"+dir+"/out.tar:1.0"), opts)
			var corrupt *imagepatch.CorruptError
			if !errors.As(err, &corrupt) {
				t.Errorf("copying: %v", err)
			}
			for _, out := range []string{"out", "out.tar"} {
				if _, err := os.Stat(filepath.Join(dir, out)); err == nil {
					t.Errorf("%s was written", out)
				}
			}
		})
	}
}

// cached are the layers a cache folder knows, by diffID.
func cached(t *testing.T, dir string) (all []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "layers", "*", "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		all = append(all, strings.TrimPrefix(strings.TrimSuffix(filepath.Base(file), ".json"), "sha256-"))
	}
	return all
}

// TestDiffIDLie has an image claim another image's layer as its own: it is refused, and the other image is not affected.
func TestDiffIDLie(t *testing.T) {
	r := newRegistry(t)
	honest, liar := app(false), app(false)
	liar.Layers = slices.Clone(liar.Layers)
	python27 := imagetest.Gzip(imagetest.Text("etc/nothing", "here"))
	liar.Layers[1] = &imagetest.Layer{Blob: python27.Blob, Diff: honest.Layers[1].Diff, Family: python27.Family}
	r.Put("honest:1.0", honest.Image())
	r.Put("liar:1.0", liar.Image())
	opts := options(t)
	_, err := imagepatch.Patch(t.Context(), parse(t, "docker://"+r.Host+"/liar:1.0"), parse(t, "docker://"+r.Host+"/liar:cov"), opts)
	var corrupt *imagepatch.CorruptError
	if !errors.As(err, &corrupt) || corrupt.Blob != "layer "+honest.Layers[1].Diff.String() {
		t.Errorf("the liar: %v", err)
	}
	patch(t, opts, "docker://"+r.Host+"/honest:1.0", "docker://"+r.Host+"/honest:cov")
}

// TestWrongManifests has a registry hand out manifests and configurations that are not what their digests say.
func TestWrongManifests(t *testing.T) {
	r := newRegistry(t)
	img := app(false).Image()
	r.Put("app:1.0", img)
	configName, err := img.ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"/manifests/" + digestOf(t, img), "/blobs/" + configName.String()} {
		r.Intercept(func(w http.ResponseWriter, q *http.Request) bool {
			if !strings.HasSuffix(q.URL.Path, part) {
				return false
			}
			w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
			_, _ = w.Write([]byte(`{"schemaVersion":2,"rootfs":{}}`))
			return true
		})
		src := "docker://" + r.Host + "/app@" + digestOf(t, img)
		if _, err := imagepatch.Patch(t.Context(), parse(t, src), parse(t, "docker://"+r.Host+"/app:cov"), options(t)); err == nil {
			t.Errorf("%s was believed", part)
		}
	}
}

// TestDeadRegistry ends the registry after every number of requests that a push takes: the tag stays as it was.
func TestDeadRegistry(t *testing.T) {
	r := newRegistry(t)
	r.Put("app:1.0", app(false).Image())
	r.Put("app:cov", imagetest.Spec{}.Image())
	old, err := r.Get("app:cov")
	if err != nil {
		t.Fatal(err)
	}
	opts := options(t)
	patch(t, opts, "docker://"+r.Host+"/app:1.0", "oci:"+t.TempDir()+"/warm:1")
	for left := range int32(20) {
		var asked atomic.Int32
		r.Intercept(func(w http.ResponseWriter, q *http.Request) bool {
			if asked.Add(1) <= left {
				return false
			}
			w.WriteHeader(http.StatusNotImplemented) // the one status of its class that nobody tries again
			return true
		})
		_, err := imagepatch.Patch(t.Context(), parse(t, "docker://"+r.Host+"/app:1.0"), parse(t, "docker://"+r.Host+"/app:cov"), opts)
		r.Intercept(nil)
		if err == nil {
			if left < 5 {
				t.Errorf("a push takes %d requests only", left)
			}
			return
		}
		var transient *imagepatch.TransientError
		if strings.HasPrefix(err.Error(), "pushing") && !errors.As(err, &transient) {
			t.Errorf("after %d requests: %v", left, err)
		}
		if now, err := r.Get("app:cov"); err != nil || now.Digest != old.Digest {
			t.Errorf("after %d requests the tag is %v, %v", left, now, err)
		}
	}
	t.Error("no push got through")
}

// TestBrokenConnections cuts the connection in the middle of a layer, and leaves the registry in the middle of a push.
func TestBrokenConnections(t *testing.T) {
	good := app(false)
	for name, cut := range map[string]func(http.ResponseWriter, *http.Request) bool{
		"layer": func(w http.ResponseWriter, q *http.Request) bool {
			if q.Method != http.MethodGet || !strings.HasSuffix(q.URL.Path, imagetest.Hash(good.Layers[1].Blob).String()) {
				return false
			}
			w.Header().Set("Content-Length", fmt.Sprint(len(good.Layers[1].Blob)))
			_, _ = w.Write(good.Layers[1].Blob[:20])
			return true
		},
		"upload": func(_ http.ResponseWriter, q *http.Request) bool {
			if q.Method != http.MethodPatch {
				return false
			}
			panic(http.ErrAbortHandler)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // the client tries again after a second
			r := newRegistry(t)
			r.Put("app:1.0", good.Image())
			r.Intercept(cut)
			_, err := imagepatch.Patch(t.Context(), parse(t, "docker://"+r.Host+"/app:1.0"), parse(t, "docker://"+r.Host+"/app:cov"), options(t))
			var transient *imagepatch.TransientError
			if !errors.As(err, &transient) {
				t.Errorf("%v", err)
			}
			if _, err := r.Get("app:cov"); err == nil {
				t.Error("the tag is there")
			}
		})
	}
}

// TestStatuses gives the registry's refusals their types.
func TestStatuses(t *testing.T) {
	r := newRegistry(t)
	r.Put("app:1.0", app(false).Image())
	closed := imagetest.NewRegistry()
	closed.Close()
	for _, c := range []struct {
		path, src string
		status    int
		kind      any
	}{
		{"", r.Host + "/app:1.0", http.StatusUnauthorized, new(*imagepatch.AuthError)},
		{"/manifests/1.0", r.Host + "/app:1.0", http.StatusForbidden, new(*imagepatch.AuthError)},
		{"/manifests/1.0", r.Host + "/app:1.0", http.StatusNotFound, new(*imagepatch.NotFoundError)},
		{"/blobs/uploads/", r.Host + "/app:1.0", http.StatusForbidden, new(*imagepatch.AuthError)},
		{imagetest.Hash(app(false).Layers[0].Blob).String(), r.Host + "/app:1.0", http.StatusForbidden, new(*imagepatch.AuthError)},
		{"none", closed.Host + "/app:1.0", 0, new(*imagepatch.TransientError)},
		{"none", r.Host + "/other:1.0", 0, new(*imagepatch.NotFoundError)},
	} {
		r.Intercept(func(w http.ResponseWriter, q *http.Request) bool {
			if !strings.HasSuffix(q.URL.Path, c.path) {
				return false
			}
			w.WriteHeader(c.status)
			return true
		})
		_, err := imagepatch.Patch(t.Context(), parse(t, "docker://"+c.src), parse(t, "docker://"+r.Host+"/app:cov"), options(t))
		if err == nil || !errors.As(err, c.kind) {
			t.Errorf("%d at %s: %v, not %T", c.status, c.path, err, c.kind)
		}
	}
}

// TestSharedCache has several runs fill one cache folder.
func TestSharedCache(t *testing.T) {
	r := newRegistry(t)
	r.Put("app:1.0", app(false).Image())
	opts := options(t)
	var wg sync.WaitGroup
	var digests sync.Map
	for i := range 8 {
		wg.Go(func() {
			name := string(rune('a' + i))
			result, err := imagepatch.Patch(t.Context(), parse(t, "docker://"+r.Host+"/app:1.0"), parse(t, "docker://"+r.Host+"/"+name+":cov"), opts)
			if err != nil {
				t.Error(err)
				return
			}
			digests.Store(result.Digest, true)
		})
	}
	wg.Wait()
	n := 0
	digests.Range(func(any, any) bool { n++; return true })
	if n != 1 {
		t.Errorf("%d digests", n)
	}
	if n := len(cached(t, opts.CacheDir)); n != 3 {
		t.Errorf("%d layers in the cache", n)
	}
}

// TestDamagedCache damages what is cached of covify's own layers: it is made anew.
func TestDamagedCache(t *testing.T) {
	r := newRegistry(t)
	r.Put("app:1.0", app(false).Image())
	opts := options(t)
	want := patch(t, opts, "docker://"+r.Host+"/app:1.0", "docker://"+r.Host+"/app:cov").Digest
	files, err := filepath.Glob(filepath.Join(opts.CacheDir, "blobs", "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		save(t, file, []byte("damaged"))
	}
	if got := patch(t, opts, "docker://"+r.Host+"/app:1.0", "docker://"+r.Host+"/app:again").Digest; got != want {
		t.Errorf("%s, not %s", got, want)
	}
}

// TestNothing has no Python, or none that a wheel fits.
func TestNothing(t *testing.T) {
	r := newRegistry(t)
	none, old := app(false), app(false)
	none.Layers = none.Layers[:1]
	old.Layers = []*imagetest.Layer{imagetest.Gzip(imagetest.Python("3.4", "x86_64")...)}
	r.Put("none:1.0", none.Image())
	r.Put("old:1.0", old.Image())
	for name, want := range map[string]string{"none": "no Python found", "old": "no coverage wheel fits CPython 3.4"} {
		_, err := imagepatch.Patch(t.Context(), parse(t, "docker://"+r.Host+"/"+name+":1.0"), parse(t, "docker://"+r.Host+"/"+name+":cov"), options(t))
		var nothing *plan.NothingError
		if !errors.As(err, &nothing) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	opts := options(t)
	opts.Payloads = func(context.Context, wheel.Target) (*wheel.Payload, error) { return nil, errors.New("no network") }
	r.Put("app:1.0", app(false).Image())
	_, err := imagepatch.Patch(t.Context(), parse(t, "docker://"+r.Host+"/app:1.0"), parse(t, "docker://"+r.Host+"/app:cov"), opts)
	if err == nil || !strings.Contains(err.Error(), "CPython 3.13") || !strings.Contains(err.Error(), "no network") {
		t.Errorf("without wheels: %v", err)
	}
}

// TestInterrupted ends in the middle of a layer and leaves nothing.
func TestInterrupted(t *testing.T) {
	r := newRegistry(t)
	r.Put("app:1.0", app(false).Image())
	ctx, cancel := context.WithCancel(t.Context())
	r.Intercept(func(_ http.ResponseWriter, q *http.Request) bool {
		if q.Method == http.MethodGet && strings.HasSuffix(q.URL.Path, imagetest.Hash(app(false).Layers[2].Blob).String()) {
			cancel()
			<-q.Context().Done()
			return true
		}
		return false
	})
	dir := t.TempDir()
	_, err := imagepatch.Patch(ctx, parse(t, "docker://"+r.Host+"/app:1.0"), parse(t, "oci:"+dir+"/layout:1"), options(t))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
