package imagepatch

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/covify/covify/imagepatch/imagetest"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

type files = []imagetest.File

// stacks are layers, bottom first, and the tree that they make: one word a file, "dir/", "link>target" or "file".
var stacks = []struct {
	name   string
	layers []files
	want   string
}{
	{"whiteout of a file", []files{
		{imagetest.Dir("a"), imagetest.Text("a/x", "1"), imagetest.Text("a/y", "1")},
		{imagetest.Text("a/.wh.x", "")},
	}, "a/ a/y"},
	{"whiteout of a directory", []files{
		{imagetest.Dir("a"), imagetest.Dir("a/b"), imagetest.Text("a/b/x", "1"), imagetest.Text("a/y", "1")},
		{imagetest.Text("a/.wh.b", "")},
	}, "a/ a/y"},
	{"whiteout and the same name in one layer, either order", []files{
		{imagetest.Dir("a"), imagetest.Text("a/x", "1"), imagetest.Dir("b"), imagetest.Text("b/x", "1")},
		{imagetest.Text("a/.wh.x", ""), imagetest.Text("a/x", "2"), imagetest.Text("b/x", "2"), imagetest.Text("b/.wh.x", "")},
	}, "a/ a/x b/ b/x"},
	{"whiteout of what is not there", []files{
		{imagetest.Dir("a"), imagetest.Text("a/x", "1")},
		{imagetest.Text("a/.wh.none", ""), imagetest.Text("none/.wh.x", "")},
	}, "a/ a/x"},
	{"opaque marker before its entries", []files{
		{imagetest.Dir("a"), imagetest.Text("a/x", "1"), imagetest.Dir("a/b"), imagetest.Text("a/b/y", "1")},
		{imagetest.Dir("a"), imagetest.Text("a/.wh..wh..opq", ""), imagetest.Text("a/z", "2")},
	}, "a/ a/z"},
	{"opaque marker after its entries", []files{
		{imagetest.Dir("a"), imagetest.Text("a/x", "1"), imagetest.Dir("a/b"), imagetest.Text("a/b/y", "1")},
		{imagetest.Dir("a"), imagetest.Text("a/z", "2"), imagetest.Dir("a/b"), imagetest.Text("a/b/w", "2"), imagetest.Text("a/.wh..wh..opq", "")},
	}, "a/ a/b/ a/b/w a/z"},
	{"opaque root", []files{
		{imagetest.Text("x", "1")},
		{imagetest.Text(".wh..wh..opq", ""), imagetest.Text("y", "2")},
	}, "y"},
	{"AUFS bookkeeping", []files{
		{imagetest.Text(".wh..wh.aufs", ""), imagetest.Dir(".wh..wh.plnk"), imagetest.Dir(".wh..wh.orph"), imagetest.Text(".wh..wh.plnk/1.2", ""), imagetest.Text("x", "1")},
	}, "x"},
	{"file over directory", []files{
		{imagetest.Dir("a"), imagetest.Text("a/x", "1")},
		{imagetest.Text("a", "2")},
	}, "a"},
	{"directory over file", []files{
		{imagetest.Text("a", "1")},
		{imagetest.Dir("a"), imagetest.Text("a/x", "2")},
	}, "a/ a/x"},
	{"directory over symlink", []files{
		{imagetest.Dir("b"), imagetest.Text("b/x", "1"), imagetest.Link("a", "b")},
		{imagetest.Dir("a"), imagetest.Text("a/y", "2")},
	}, "a/ a/y b/ b/x"},
	{"symlink over directory", []files{
		{imagetest.Dir("a"), imagetest.Text("a/x", "1"), imagetest.Dir("b")},
		{imagetest.Link("a", "b")},
	}, "a>b b/"},
	{"file and symlink over one another", []files{
		{imagetest.Text("a", "1"), imagetest.Link("b", "a")},
		{imagetest.Link("a", "c"), imagetest.Text("b", "2")},
	}, "a>c b"},
	{"directory again keeps what is in it", []files{
		{imagetest.Dir("a"), imagetest.Text("a/x", "1")},
		{{Name: "a/", Mode: 0o700}, imagetest.Text("a/y", "2")},
	}, "a/ a/x a/y"},
	{"names with ./, / and without directories", []files{
		{imagetest.Dir("./"), imagetest.Dir("./a"), imagetest.Text("./a/x", "1"), imagetest.Text("/b/x", "1"), imagetest.Text("c/d/x", "1")},
		{imagetest.Text("./a/.wh.x", ""), imagetest.Text("./b/y", "2")},
	}, "a/ b/ b/x b/y c/ c/d/ c/d/x"},
	{"the same name twice in one layer", []files{
		{imagetest.Link("a", "b"), imagetest.Text("a", "1"), imagetest.Text("b", "1"), imagetest.Dir("b"), imagetest.Text("b/x", "1")},
	}, "a b/ b/x"},
	{"hard links in one layer and to a lower one", []files{
		{imagetest.Text("a", "1"), imagetest.HardLink("b", "a"), imagetest.HardLink("/c", "/b")},
		{imagetest.HardLink("d", "a"), imagetest.HardLink("./e", "./c")},
	}, "a b c d e"},
	{"hard link to a file that the same layer replaces", []files{
		{imagetest.Text("a", "1")},
		{imagetest.HardLink("b", "a"), imagetest.Text("a", "2")},
	}, "a b"},
	{"hard link to a symlink", []files{
		{imagetest.Link("a", "x"), imagetest.HardLink("b", "a")},
	}, "a>x b>x"},
	{"hard link over a directory", []files{
		{imagetest.Text("a", "1"), imagetest.Dir("b"), imagetest.Text("b/x", "1")},
		{imagetest.HardLink("b", "a")},
	}, "a b"},
}

// TestLayers reads every stack with every compression.
func TestLayers(t *testing.T) {
	for compression, layer := range map[string]func(...imagetest.File) *imagetest.Layer{"plain": imagetest.Plain, "gzip": imagetest.Gzip, "zstd": imagetest.Zstd} {
		for _, c := range stacks {
			t.Run(compression+"/"+c.name, func(t *testing.T) {
				var layers []v1.Layer
				var diffIDs []v1.Hash
				for _, l := range c.layers {
					made := layer(l...)
					layers, diffIDs = append(layers, made), append(diffIDs, made.Diff)
				}
				r := layerReader{workers: 2, logf: t.Logf}
				root, err := r.rootFS(t.Context(), layers, diffIDs)
				if err != nil {
					t.Fatal(err)
				}
				if got := listing(t, root); got != c.want {
					t.Errorf("got  %s\nwant %s", got, c.want)
				}
			})
		}
	}
}

// TestStacksAsUmoci holds what the stacks are said to make against what umoci makes of them, where it is installed.
func TestStacksAsUmoci(t *testing.T) {
	if _, err := exec.LookPath("umoci"); err != nil {
		t.Skip("umoci is not installed")
	}
	for i, c := range stacks {
		if strings.Contains(c.name, "AUFS") {
			continue // umoci knows nothing of AUFS
		}
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "layout")
			spec := imagetest.Spec{Config: map[string]any{}}
			for _, l := range c.layers {
				spec.Layers = append(spec.Layers, imagetest.Gzip(l...))
			}
			if err := writeDir(Ref{OCILayout, dir, "x"}, content{image: spec.Image()}); err != nil {
				t.Fatal(err)
			}
			rootfs := filepath.Join(t.TempDir(), fmt.Sprint(i))
			if out, err := exec.Command("umoci", "raw", "unpack", "--rootless", "--image", dir+":x", rootfs).CombinedOutput(); err != nil {
				t.Fatalf("umoci: %v\n%s", err, out)
			}
			if got := listing(t, os.DirFS(rootfs)); got != c.want {
				t.Errorf("umoci makes %s\nwant        %s", got, c.want)
			}
		})
	}
}

// listing is a tree in words, as in stacks.
func listing(t *testing.T, root fs.FS) string {
	t.Helper()
	var words []string
	err := fs.WalkDir(root, ".", func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil || p == ".":
			return err
		case d.IsDir():
			p += "/"
		case d.Type()&fs.ModeSymlink != 0:
			target, err := fs.ReadLink(root, p)
			if err != nil {
				return err
			}
			p += ">" + target
		}
		words = append(words, p)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(words)
	return strings.Join(words, " ")
}

// TestLayerFacts reads what plans ask of files: heads, modes, owners, and contents through hard links.
func TestLayerFacts(t *testing.T) {
	bottom := imagetest.Gzip(
		imagetest.File{Name: "data/", Mode: 0o1777, UID: 7, GID: 8},
		imagetest.File{Name: "bin/python3.13", Mode: 0o755, UID: 1, GID: 2, Content: imagetest.ELF("x86_64") + strings.Repeat("x", 10000)},
		imagetest.HardLink("bin/python3", "bin/python3.13"),
		imagetest.Text("venv/pyvenv.cfg", "home = /bin"),
		imagetest.Text("big", strings.Repeat("x", 10000)),
		imagetest.File{Name: "dev/null", Type: tar.TypeChar},
		imagetest.File{Name: "pipe", Type: tar.TypeFifo},
	)
	top := imagetest.Gzip(imagetest.HardLink("other/pyvenv.cfg", "venv/pyvenv.cfg"), imagetest.Text("venv/pyvenv.cfg", "replaced"))
	r := layerReader{workers: 2, logf: t.Logf}
	root, err := r.rootFS(t.Context(), []v1.Layer{bottom, top}, []v1.Hash{bottom.Diff, top.Diff})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]int{"bin/python3": 4096, "other/pyvenv.cfg": 11, "venv/pyvenv.cfg": 8, "big": 0} {
		if data, err := fs.ReadFile(root, name); err != nil || len(data) != want {
			t.Errorf("%s: %d bytes, %v; want %d", name, len(data), err, want)
		}
	}
	info, err := fs.Lstat(root, "bin/python3")
	if err != nil || info.Mode() != 0o755 {
		t.Errorf("bin/python3: %v, %v", info.Mode(), err)
	}
	if uid, gid := info.Sys().(*inode).Owner(); uid != 1 || gid != 2 {
		t.Errorf("bin/python3 belongs to %d:%d", uid, gid)
	}
	if info, err := fs.Lstat(root, "data"); err != nil || info.Mode() != fs.ModeDir|fs.ModeSticky|0o777 {
		t.Errorf("data: %v, %v", info.Mode(), err)
	}
	for _, special := range []string{"dev/null", "pipe"} {
		if info, err := fs.Lstat(root, special); err != nil || info.Mode().IsRegular() || info.IsDir() {
			t.Errorf("%s: %v, %v", special, info, err)
		}
	}
}

// TestCorruptLayer reads damaged layers: each is an error of its kind, and none is remembered.
func TestCorruptLayer(t *testing.T) {
	for _, make := range []func(...imagetest.File) *imagetest.Layer{imagetest.Plain, imagetest.Gzip, imagetest.Zstd} {
		good := make(imagetest.Text("a", strings.Repeat("content ", 5000)))
		flipped := &imagetest.Layer{Blob: slices.Clone(good.Blob), Diff: good.Diff}
		flipped.Blob[len(flipped.Blob)/2] ^= 0x10
		damaged := map[string]*imagetest.Layer{
			"flipped":   flipped,
			"truncated": {Blob: good.Blob[:len(good.Blob)*2/3], Diff: good.Diff},
			"empty":     {Diff: good.Diff},
			"lie":       {Blob: good.Blob, Diff: imagetest.Hash([]byte("another"))},
			"no tar":    {Blob: []byte("nonsense"), Diff: imagetest.Hash([]byte("nonsense"))},
		}
		for name, l := range damaged {
			r := layerReader{cache: t.TempDir(), workers: 1, logf: t.Logf}
			_, err := r.rootFS(t.Context(), []v1.Layer{l}, []v1.Hash{l.Diff})
			var corrupt *CorruptError
			if !errors.As(err, &corrupt) || corrupt.Blob != "layer "+l.Diff.String() {
				t.Errorf("%s %s: %v", good.Family, name, err)
			}
			if _, known := r.cached(l.Diff); known {
				t.Errorf("%s %s is cached", good.Family, name)
			}
		}
	}
}

// TestLayerCache reads a layer once, and again where the cache holds nothing that can be used.
func TestLayerCache(t *testing.T) {
	l := imagetest.Gzip(imagetest.Text("pyvenv.cfg", "home = /"), imagetest.Text("a/.wh.b", ""), imagetest.Link("c", "d"))
	dir := t.TempDir()
	read := func() (tree string, reads int) {
		r := layerReader{cache: dir, workers: 1, logf: func(string, ...any) { reads++ }}
		root, err := r.rootFS(t.Context(), []v1.Layer{l}, []v1.Hash{l.Diff})
		if err != nil {
			t.Fatal(err)
		}
		return listing(t, root), reads
	}
	first, reads := read()
	if reads != 1 {
		t.Errorf("the first time: %d layers read", reads)
	}
	if again, reads := read(); again != first || reads != 0 {
		t.Errorf("the second time: %q, %d layers read", again, reads)
	}
	file := (&layerReader{cache: dir}).factsFile(l.Diff)
	for _, broken := range []string{"", "[", "null", `[{"p":`} {
		if err := os.WriteFile(file, []byte(broken), 0o644); err != nil {
			t.Fatal(err)
		}
		if again, reads := read(); again != first || reads != 1 {
			t.Errorf("with %q in the cache: %q, %d layers read", broken, again, reads)
		}
	}
}

// rootFS is the filesystem of layers, bottom first.
func (r *layerReader) rootFS(ctx context.Context, layers []v1.Layer, diffIDs []v1.Hash) (rootFS, error) {
	read, err := r.read(ctx, layers, diffIDs)
	root := newRootFS()
	for _, entries := range read {
		root.apply(entries)
	}
	return root, err
}
