package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/covify/covify/imagepatch"
	"github.com/covify/covify/imagepatch/imagetest"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/rogpeppe/go-internal/testscript"
)

// places are a script's registries, by their addresses.
type places map[string]*imagetest.Registry

type placesKey struct{}

func scriptRegistry(ts *testscript.TestScript, _ bool, args []string) {
	r := imagetest.NewRegistry()
	ts.Defer(r.Close)
	ts.Value(placesKey{}).(places)[r.Host] = r
	ts.Setenv(args[0], r.Host)
}

func scriptAuth(ts *testscript.TestScript, _ bool, args []string) {
	ts.Value(placesKey{}).(places)[args[0]].Intercept(wantsPassword)
}

// wantsPassword lets user:secret in.
func wantsPassword(w http.ResponseWriter, q *http.Request) bool {
	user, password, _ := q.BasicAuth()
	if user == "user" && password == "secret" {
		return false
	}
	w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
	w.WriteHeader(http.StatusUnauthorized)
	return true
}

// appLayer has a Python and so much besides that it is the biggest blob of its image.
func appLayer(version, arch string) *imagetest.Layer {
	var code strings.Builder
	for i := range 300 {
		fmt.Fprintf(&code, "print(%q)\n", imagetest.Hash([]byte{byte(i), byte(i >> 8)}).Hex)
	}
	return imagetest.Gzip(append(imagetest.Python(version, arch), imagetest.Text("app.py", code.String()))...)
}

// kind makes a test image.
func kind(ts *testscript.TestScript, name string) any {
	python := func(version, arch, uname string) v1.Image {
		return imagetest.Spec{Arch: arch, Docker: true, Layers: []*imagetest.Layer{
			imagetest.Gzip(imagetest.Text("etc/os-release", "ID=test")),
			appLayer(version, uname),
		}}.Image()
	}
	none := imagetest.Spec{Docker: true, Layers: []*imagetest.Layer{imagetest.Gzip(imagetest.Text("etc/os-release", "ID=none"))}}.Image()
	switch name {
	case "python":
		return python("3.13", "amd64", "x86_64")
	case "python34":
		return python("3.4", "amd64", "x86_64")
	case "nopython":
		return none
	case "index":
		arm64 := python("3.13", "arm64", "aarch64")
		return imagetest.Index(true, nil, imagetest.Entry{Image: python("3.13", "amd64", "x86_64"), Platform: "linux/amd64"},
			imagetest.Entry{Image: arm64, Platform: "linux/arm64"}, imagetest.Entry{Image: none, Platform: "linux/s390x"}, imagetest.Attestation(arm64))
	}
	ts.Fatalf("no kind of image %q", name)
	return nil
}

func scriptImage(ts *testscript.TestScript, _ bool, args []string) {
	what := kind(ts, args[0])
	ref, err := imagepatch.ParseRef(args[1])
	ts.Check(err)
	path := ts.MkAbs(ref.Path)
	switch ref.Transport {
	case imagepatch.Registry:
		host, rest, _ := strings.Cut(ref.Name, "/")
		ts.Value(placesKey{}).(places)[host].Put(rest, what)
	case imagepatch.DockerArchive:
		tag, err := name.NewTag("app:1.0")
		ts.Check(err)
		ts.Check(tarball.WriteToFile(path, tag, what.(v1.Image)))
	case imagepatch.OCILayout:
		p, err := layout.FromPath(path)
		if err != nil {
			p, err = layout.Write(path, imagetest.Index(false, nil))
		}
		ts.Check(err)
		named := layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": ref.Name})
		if index, ok := what.(v1.ImageIndex); ok {
			ts.Check(p.AppendIndex(index, named))
		} else {
			ts.Check(p.AppendImage(what.(v1.Image), named))
		}
	default:
		ts.Fatalf("no image can be put at %s", ref)
	}
}

// scriptBreak damages the biggest blob of a layout, the end of an archive, or every layer that a registry gives out.
func scriptBreak(ts *testscript.TestScript, _ bool, args []string) {
	ref, err := imagepatch.ParseRef(args[0])
	ts.Check(err)
	if ref.Transport == imagepatch.Registry {
		host, _, _ := strings.Cut(ref.Name, "/")
		ts.Value(placesKey{}).(places)[host].Intercept(func(w http.ResponseWriter, q *http.Request) bool {
			return breakAnswer(w, q, args[1])
		})
		return
	}
	file := ts.MkAbs(ref.Path)
	if ref.Transport == imagepatch.OCILayout {
		file = biggest(ts, filepath.Join(file, "blobs", "sha256"))
	}
	if args[1] == "missing" {
		ts.Check(os.Remove(file))
		return
	}
	data, err := os.ReadFile(file)
	ts.Check(err)
	ts.Check(os.WriteFile(file, damaged(data, args[1]), 0o644))
}

func biggest(ts *testscript.TestScript, dir string) string {
	all, err := os.ReadDir(dir)
	ts.Check(err)
	best, size := "", int64(-1)
	for _, e := range all {
		info, err := e.Info()
		ts.Check(err)
		if info.Size() > size {
			best, size = filepath.Join(dir, e.Name()), info.Size()
		}
	}
	return best
}

func damaged(data []byte, how string) []byte {
	switch how {
	case "flip":
		data = slices.Clone(data)
		data[len(data)/2] ^= 1
	case "truncate":
		data = data[:len(data)*2/3]
	case "wrong":
		data = imagetest.Gzip(imagetest.Text("other", "")).Blob
	}
	return data
}

// breakAnswer answers for the layer with Python.
func breakAnswer(w http.ResponseWriter, q *http.Request, how string) bool {
	if q.Method != http.MethodGet || !strings.Contains(q.URL.Path, "/blobs/sha256:") {
		return false
	}
	blob := appLayer("3.13", "x86_64").Blob
	if !strings.HasSuffix(q.URL.Path, imagetest.Hash(blob).String()) {
		return false
	}
	_, _ = w.Write(damaged(blob, how))
	return true
}

func scriptSlow(ts *testscript.TestScript, _ bool, args []string) {
	file := ts.MkAbs(args[1])
	ts.Value(placesKey{}).(places)[args[0]].Intercept(func(_ http.ResponseWriter, q *http.Request) bool {
		if q.Method != http.MethodGet || !strings.Contains(q.URL.Path, "/blobs/") {
			return false
		}
		_ = os.WriteFile(file, nil, 0o644)
		<-q.Context().Done()
		return true
	})
}
