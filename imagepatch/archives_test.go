package imagepatch_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/covify/covify/imagepatch"
	"github.com/covify/covify/imagepatch/imagetest"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// copied is a layer's blob, in memory.
func copied(t *testing.T, l v1.Layer) *imagetest.Layer {
	t.Helper()
	return &imagetest.Layer{Blob: content(t, l.Compressed), Diff: imagetest.Hash(content(t, l.Uncompressed)), Family: types.OCILayer}
}

func content(t *testing.T, open func() (io.ReadCloser, error)) []byte {
	t.Helper()
	rc, err := open()
	if err != nil {
		t.Fatal(err)
	}
	defer rc.Close()
	data, err := io.ReadAll(rc)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// dockerArchives writes an image in the forms there are.
func dockerArchives(t *testing.T, img v1.Image) map[string]string {
	t.Helper()
	dir := t.TempDir()
	crane := filepath.Join(dir, "crane.tar")
	tag, err := name.NewTag("app:1.0")
	if err != nil {
		t.Fatal(err)
	}
	if err := tarball.WriteToFile(crane, tag, img); err != nil {
		t.Fatal(err)
	}
	legacy := imagetest.Tar(legacyFiles(t, img, "app:1.0")...)
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	if _, err := w.Write(legacy); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return map[string]string{
		"as crane writes":                 crane,
		"as docker save wrote before 25":  save(t, filepath.Join(dir, "legacy.tar"), legacy),
		"gzip":                            save(t, filepath.Join(dir, "legacy.tar.gz"), zipped.Bytes()),
		"with ./ before the names":        save(t, filepath.Join(dir, "dots.tar"), imagetest.Tar(dotted(legacyFiles(t, img, "app:1.0"))...)),
		"with the manifest before layers": save(t, filepath.Join(dir, "first.tar"), imagetest.Tar(reversed(legacyFiles(t, img, "app:1.0"))...)),
	}
}

func save(t *testing.T, file string, data []byte) string {
	t.Helper()
	if err := os.WriteFile(file, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

// legacyFiles is an archive with a folder a layer, equal layers linked, as Docker 20 writes it.
func legacyFiles(t *testing.T, img v1.Image, tags ...string) files {
	t.Helper()
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := img.RawConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	id := imagetest.Hash(raw).Hex
	var all files
	var names []string
	for i, l := range layers {
		folder := id[i:] + id[:i]
		names = append(names, folder+"/layer.tar")
		all = append(all, imagetest.Dir(folder), imagetest.Text(folder+"/VERSION", "1.0"), imagetest.Text(folder+"/json", "{}"))
		if i == 0 {
			all = append(all, imagetest.Link(folder+"/layer.tar", "../shared/layer.tar"))
			all = append(all, imagetest.Text("shared/layer.tar", string(content(t, l.Uncompressed))))
			continue
		}
		all = append(all, imagetest.Text(folder+"/layer.tar", string(content(t, l.Uncompressed))))
	}
	entry := map[string]any{"Config": id + ".json", "RepoTags": tags, "Layers": names}
	return append(all, imagetest.Text(id+".json", string(raw)), imagetest.Text("manifest.json", string(imagetest.JSON([]any{entry}))),
		imagetest.Text("repositories", "{}"))
}

type files = []imagetest.File

func dotted(all files) files {
	for i := range all {
		all[i].Name = "./" + all[i].Name
	}
	return all
}

func reversed(all files) files {
	var turned files
	for i := range all {
		turned = append(turned, all[len(all)-1-i])
	}
	return turned
}

// TestSeveralImages chooses among the images of one archive or layout by name.
func TestSeveralImages(t *testing.T) {
	dir := t.TempDir()
	archive := filepath.Join(dir, "all.tar")
	python := app(true).Image()
	other := imagetest.Spec{Docker: true, Layers: app(true).Layers[:1]}.Image()
	images := map[name.Tag]v1.Image{}
	for tag, img := range map[string]v1.Image{"registry.example/team/app:1.0": python, "app:2.0": other} {
		parsed, err := name.NewTag(tag)
		if err != nil {
			t.Fatal(err)
		}
		images[parsed] = img
	}
	if err := tarball.MultiWriteToFile(archive, images); err != nil {
		t.Fatal(err)
	}
	opts := options(t)
	layout := "oci:" + filepath.Join(dir, "layout")
	patch(t, opts, "docker-archive:"+archive+":registry.example/team/app:1.0", layout+":1.0")
	patch(t, opts, layout+":1.0", layout+":2.0")
	patch(t, opts, layout+":1.0", layout+":2.0")
	for ref, want := range map[string]string{
		"docker-archive:" + archive:              "name one of",
		"docker-archive:" + archive + ":app:3.0": "not found",
		layout:                                   "name one of",
		layout + ":3.0":                          "not found",
	} {
		_, err := imagepatch.Plan(t.Context(), parse(t, ref), opts)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), ref) {
			t.Errorf("%s: %v", ref, err)
		}
		var missing *imagepatch.NotFoundError
		if errors.As(err, &missing) != (want == "not found") {
			t.Errorf("%s: %v is of type %[2]T", ref, err)
		}
	}
}
