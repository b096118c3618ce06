package fetch

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/covify/covify/wheel"
)

// bundled makes an index of two releases and a bundle of the choice.
func bundled(t *testing.T, choice wheel.Choice) (dir string, w *world) {
	t.Helper()
	w = newWorld(t)
	var page strings.Builder
	for _, version := range []string{"7.1", "7.2"} {
		name, data := tinyWheel(t, version)
		fmt.Fprintf(&page, `<a href="/%s#sha256=%s" data-requires-python="&gt;=3.8">`, name, sum(data))
		w.serve("/"+name, "application/octet-stream", data)
	}
	w.serve("/simple/coverage/", "text/html", []byte(page.String()))
	dir = t.TempDir()
	if _, _, err := w.source(t).WriteBundle(t.Context(), dir, choice); err != nil {
		t.Fatal(err)
	}
	return dir, w
}

func TestBundleNeedsNoNetwork(t *testing.T) {
	dir, w := bundled(t, wheel.Choice{Pythons: []string{"3.13"}, Versions: []string{"7.1"}})
	w.requests = nil
	source := w.source(t)
	source.Bundle = os.DirFS(dir)
	// The index has a newer one; what is in the bundle decides.
	payload, err := source.Payload(t.Context(), cp313, "")
	if err != nil || payload.Version != "7.1" || len(w.requests) != 0 {
		t.Fatalf("%+v, %v, requests %v", payload, err, w.requests)
	}
	payload, err = source.Payload(t.Context(), cp313, "7.2")
	if err != nil || payload.Version != "7.2" || len(w.requests) != 2 {
		t.Errorf("a release that is not in it: %+v, %v, requests %v", payload, err, w.requests)
	}
	offline := &Source{Bundle: source.Bundle, Index: source.Index, Offline: true}
	old := wheel.Target{Implementation: "cp", Major: 3, Minor: 4, ABI: "cp34m", Libc: "glibc", Arch: "x86_64"}
	if _, err := offline.Payload(t.Context(), old, ""); !errors.As(err, new(*wheel.NoFitError)) {
		t.Errorf("3.4, offline: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "wheels", "coverage-7.1-py3-none-any.whl"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := source.Payload(t.Context(), cp313, ""); !errors.As(err, new(*wheel.ChecksumError)) {
		t.Errorf("a wheel that was tampered with: %v", err)
	}
}

func TestBundleIsWrittenAnew(t *testing.T) {
	dir, w := bundled(t, wheel.Choice{Versions: []string{"7.1", "7.2"}, Pythons: []string{"3.13"}})
	list := func() []string {
		found, err := filepath.Glob(filepath.Join(dir, "wheels", "*"))
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	if len(list()) != 2 {
		t.Fatal(list())
	}
	first, err := os.ReadFile(filepath.Join(dir, "index.json"))
	if err != nil || bytes.Contains(first, []byte(w.URL)) {
		t.Errorf("index.json: %s, %v", first, err)
	}
	if _, _, err := w.source(t).WriteBundle(t.Context(), dir, wheel.Choice{Pythons: []string{"3.13"}}); err != nil {
		t.Fatal(err)
	}
	if left := list(); len(left) != 1 || filepath.Base(left[0]) != "coverage-7.2-py3-none-any.whl" {
		t.Error(left)
	}
	if _, _, err := w.source(t).WriteBundle(t.Context(), dir, wheel.Choice{Pythons: []string{"3.4"}}); !errors.As(err, new(*wheel.NoFitError)) {
		t.Errorf("3.4: %v", err)
	}
}

// TestCompiledFilesGoWithTheirSource adds compiled files made from the wheel's
// own source, from another one, and from the start-up module.
func TestCompiledFilesGoWithTheirSource(t *testing.T) {
	dir, _ := bundled(t, wheel.Choice{Pythons: []string{"3.13"}})
	startUp := []byte("def start(): pass\n")
	var buf bytes.Buffer
	archive := zip.NewWriter(&buf)
	for path, source := range map[string]string{
		"coverage/__pycache__/__init__.cpython-313.pyc": "__version__ = '7.2'\n",
		"coverage/__pycache__/other.cpython-313.pyc":    "not in the wheel",
		"__pycache__/_covify.cpython-313.pyc":           string(startUp),
	} {
		w, err := archive.CreateHeader(&zip.FileHeader{Name: path, Comment: sum([]byte(source))})
		if err == nil {
			_, err = w.Write([]byte("code"))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	if err := writeWhole(filepath.Join(dir, "pyc", "coverage-7.2-cp313.zip"), buf.Bytes()); err != nil {
		t.Fatal(err)
	}
	of := func(startUp []byte) []string {
		payload, err := (&Source{Bundle: os.DirFS(dir), StartUp: startUp}).Payload(t.Context(), cp313, "")
		if err != nil {
			t.Fatal(err)
		}
		var paths []string
		for _, file := range payload.Files {
			paths = append(paths, file.Path)
		}
		return paths
	}
	plain := []string{"coverage/__init__.py", "coverage/__pycache__/__init__.cpython-313.pyc"}
	for _, other := range [][]byte{nil, []byte("edited")} {
		if got := of(other); !slices.Equal(got, plain) {
			t.Errorf("start-up module %q: %v", other, got)
		}
	}
	if got := of(startUp); !slices.Equal(got, append([]string{"__pycache__/_covify.cpython-313.pyc"}, plain...)) {
		t.Errorf("with the start-up module: %v", got)
	}
}
