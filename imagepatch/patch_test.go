package imagepatch_test

import (
	"context"
	"encoding/json"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/covify/covify/imagepatch"
	"github.com/covify/covify/imagepatch/imagetest"
	"github.com/covify/covify/plan"
	"github.com/covify/covify/wheel"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	ggcrlayout "github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// payloads is a coverage of one file, for every Python from 3.8 on.
func payloads(_ context.Context, t wheel.Target) (*wheel.Payload, error) {
	if t.Minor < 8 {
		return nil, &wheel.NoFitError{Target: t, Newest: "7.17.3"}
	}
	return &wheel.Payload{Name: "7.17.3-" + t.ABI + "-" + t.Libc + "-" + t.Arch, Version: "7.17.3", Files: []wheel.PayloadFile{
		{Path: "coverage/__init__.py", Mode: 0o644, Data: []byte("# coverage for " + t.Arch)}}}, nil
}

func options(t *testing.T) imagepatch.Options {
	return imagepatch.Options{Payloads: payloads, CacheDir: t.TempDir(), Plan: plan.Options{Version: "1.2.3"}}
}

func newRegistry(t *testing.T) *imagetest.Registry {
	r := imagetest.NewRegistry()
	t.Cleanup(r.Close)
	return r
}

func parse(t *testing.T, s string) imagepatch.Ref {
	t.Helper()
	ref, err := imagepatch.ParseRef(s)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// patch makes a variant and expects no error.
func patch(t *testing.T, opts imagepatch.Options, src, dst string) *imagepatch.Result {
	t.Helper()
	result, err := imagepatch.Patch(t.Context(), parse(t, src), parse(t, dst), opts)
	if err != nil {
		t.Fatalf("%s to %s: %v", src, dst, err)
	}
	return result
}

// app is a Python image with much that covify must leave alone.
func app(docker bool) imagetest.Spec {
	return imagetest.Spec{
		Docker: docker,
		Layers: []*imagetest.Layer{
			imagetest.Gzip(imagetest.Dir("etc"), imagetest.Text("etc/os-release", "ID=test")),
			imagetest.Gzip(imagetest.Python("3.13", "x86_64")...),
			imagetest.Gzip(imagetest.Dir("app"), imagetest.Text("app/main.py", strings.Repeat("print()\n", 200))),
		},
		Config: map[string]any{
			"Env": []string{"PATH=/usr/local/bin:/usr/bin", "EMPTY=", "A=<&>"}, "Entrypoint": []string{"python3"}, "Cmd": []string{"main.py"},
			"User": "1000:1000", "WorkingDir": "/app", "Labels": map[string]string{"team": "a <b> & c"}, "ExposedPorts": map[string]any{"80/tcp": map[string]any{}},
			"Healthcheck": map[string]any{"Test": []string{"CMD", "true"}}, "OnBuild": []string{"RUN x"}, "StopSignal": "SIGINT", "x-unknown": 1.5,
		},
		Fields:   map[string]any{"x-other": map[string]any{"a": []int{1, 2}}, "author": "somebody", "variant": "v2"},
		Manifest: map[string]any{"annotations": map[string]string{"a": "b"}, "x-manifest": true},
	}
}

// document is a JSON document, for comparison.
func document(t *testing.T, raw []byte, err error) map[string]any {
	t.Helper()
	var doc map[string]any
	if err == nil {
		err = json.Unmarshal(raw, &doc)
	}
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func config(t *testing.T, img v1.Image) map[string]any {
	t.Helper()
	raw, err := img.RawConfigFile()
	return document(t, raw, err)
}

func manifest(t *testing.T, img v1.Image) map[string]any {
	t.Helper()
	raw, err := img.RawManifest()
	return document(t, raw, err)
}

func at(t *testing.T, r *imagetest.Registry, name string) v1.Image {
	t.Helper()
	d, err := r.Get(name)
	if err != nil {
		t.Fatal(err)
	}
	img, err := d.Image()
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// TestSameDigest makes the same variant again, from each kind of place and from the variant itself.
func TestSameDigest(t *testing.T) {
	r := newRegistry(t)
	r.Put("app:1.0", app(false).Image())
	src := "docker://" + r.Host + "/app:1.0"
	want := patch(t, options(t), src, src+"-cov").Digest
	opts := options(t)
	dir := t.TempDir()
	for _, step := range []struct{ src, dst string }{
		{src, src + "-again"},
		{src, src + "-again"},
		{src + "-cov", src + "-cov-cov"},
		{src + "-cov", "oci:" + dir + "/layout:v"},
		{"oci:" + dir + "/layout:v", "oci:" + dir + "/layout:again"},
		{"oci:" + dir + "/layout:again", "oci-archive:" + dir + "/oci.tar:v"},
		{"oci-archive:" + dir + "/oci.tar", "docker-archive:" + dir + "/docker.tar:app:1.0"},
		{"docker-archive:" + dir + "/docker.tar:app:1.0", "docker://" + r.Host + "/back:1.0"},
	} {
		if got := patch(t, opts, step.src, step.dst).Digest; got != want {
			t.Errorf("%s to %s: %s, want %s", step.src, step.dst, got, want)
		}
	}
	if d, err := r.Get("back:1.0"); err != nil || d.Digest.String() != want {
		t.Errorf("the registry has %v, %v", d, err)
	}
}

// TestOptionsReplaced makes variants of a variant with other options: nothing of the first ones stays.
func TestOptionsReplaced(t *testing.T) {
	for name, env := range map[string]any{"env": []string{"PATH=/bin"}, "no env": nil} {
		t.Run(name, func(t *testing.T) {
			r := newRegistry(t)
			spec := app(false)
			delete(spec.Config, "Env")
			if env != nil {
				spec.Config["Env"] = env
			}
			r.Put("app:1.0", spec.Image())
			src := "docker://" + r.Host + "/app:1.0"
			opts := options(t)
			first := patch(t, opts, src, src+"-cov").Digest
			other := opts
			other.Plan = plan.Options{Version: "2.0.0", DataDir: "/data", NoEnv: true}
			want := patch(t, other, src, src+"-other").Digest
			if got := patch(t, other, src+"-cov", src+"-1").Digest; got != want {
				t.Errorf("other options on a variant: %v", config(t, at(t, r, "app:1.0-1")))
			}
			if got := patch(t, opts, src+"-other", src+"-2").Digest; got != first {
				t.Errorf("the first options again: %v", config(t, at(t, r, "app:1.0-2")))
			}
		})
	}
}

// TestBuiltFromVariant covers an image that was built with a variant as its base: covify's layers are replaced, not stacked.
func TestBuiltFromVariant(t *testing.T) {
	r := newRegistry(t)
	r.Put("app:1.0", app(false).Image())
	src := "docker://" + r.Host + "/app:1.0"
	patch(t, options(t), src, src+"-cov")
	variant := at(t, r, "app:1.0-cov")
	r.Put("derived:1.0", derived(t, variant))
	derivedDigest, err := at(t, r, "derived:1.0").Digest()
	if err != nil {
		t.Fatal(err)
	}
	opts := options(t)
	opts.Plan.Version = "2.0.0"
	patch(t, opts, "docker://"+r.Host+"/derived:1.0", "docker://"+r.Host+"/derived:1.0-cov")
	img := at(t, r, "derived:1.0-cov")
	if err := validate.Image(img); err != nil {
		t.Error(err)
	}
	layers := manifest(t, img)["layers"].([]any)
	if len(layers) != 3+1+2 {
		t.Errorf("%d layers: %v", len(layers), layers)
	}
	labels := config(t, img)["config"].(map[string]any)["Labels"].(map[string]any)
	if labels[plan.LabelBaseName] != r.Host+"/derived:1.0" || labels[plan.LabelBaseDigest] != derivedDigest.String() {
		t.Errorf("its base is said to be %v %v", labels[plan.LabelBaseName], labels[plan.LabelBaseDigest])
	}
	if got := patch(t, opts, "docker://"+r.Host+"/derived:1.0-cov", "docker://"+r.Host+"/derived:again").Digest; got != digestOf(t, img) {
		t.Error("the variant's variant differs")
	}
}

// TestPathsStay: a variant of a variant knows where its files come from, as the first one does; one that was built from it does not.
func TestPathsStay(t *testing.T) {
	r := newRegistry(t)
	r.Put("app:1.0", app(false).Image())
	src := "docker://" + r.Host + "/app:1.0"
	opts := options(t)
	opts.Plan.Paths = map[string]string{"/app": "src"}
	first := patch(t, opts, src, src+"-cov").Digest
	if again := patch(t, options(t), src+"-cov", src+"-again").Digest; again != first {
		t.Errorf("the variant's variant: %v", config(t, at(t, r, "app:1.0-again")))
	}
	r.Put("derived:1.0", derived(t, at(t, r, "app:1.0-cov")))
	patch(t, options(t), "docker://"+r.Host+"/derived:1.0", "docker://"+r.Host+"/derived:cov")
	for tag, want := range map[string]any{"app:1.0-cov": `{"/app":"src"}`, "derived:cov": nil} {
		labels := config(t, at(t, r, tag))["config"].(map[string]any)["Labels"].(map[string]any)
		if labels[plan.LabelPaths] != want {
			t.Errorf("%s: paths %v, want %v", tag, labels[plan.LabelPaths], want)
		}
	}
}

// derived adds a layer to an image, as a Dockerfile's COPY does.
func derived(t *testing.T, from v1.Image) v1.Image {
	t.Helper()
	layers, err := from.Layers()
	if err != nil {
		t.Fatal(err)
	}
	doc := config(t, from)
	spec := imagetest.Spec{Config: doc["config"].(map[string]any), Fields: map[string]any{"history": append(doc["history"].([]any), map[string]any{"created_by": "COPY"})}}
	for _, l := range layers {
		spec.Layers = append(spec.Layers, copied(t, l))
	}
	spec.Layers = append(spec.Layers, imagetest.Gzip(imagetest.Text("app/more.py", "pass")))
	return spec.Image()
}

func digestOf(t *testing.T, what interface{ Digest() (v1.Hash, error) }) string {
	t.Helper()
	d, err := what.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return d.String()
}

// TestRequests counts what a registry is asked when all is known: base layers are mounted and never read.
func TestRequests(t *testing.T) {
	r := newRegistry(t)
	r.Put("app:1.0", app(false).Image())
	src := "docker://" + r.Host + "/app:1.0"
	opts := options(t)
	patch(t, opts, src, "docker://"+r.Host+"/team/variant:1")
	r.Requests()
	for _, c := range []struct {
		name, dst string
		most      int
	}{
		{"same repository", "docker://" + r.Host + "/app:cov", 0},
		{"repeat in the same repository", "docker://" + r.Host + "/app:cov", 8},
		{"another repository", "docker://" + r.Host + "/other/variant:1", 0},
		{"repeat in another repository", "docker://" + r.Host + "/other/variant:1", 8},
	} {
		patch(t, opts, src, c.dst)
		requests := r.Requests()
		if c.most > 0 && len(requests) > c.most {
			t.Errorf("%s: %d requests:\n%s", c.name, len(requests), strings.Join(requests, "\n"))
		}
		for _, l := range app(false).Layers {
			for _, q := range requests {
				if strings.HasPrefix(q, "GET ") && strings.Contains(q, imagetest.Hash(l.Blob).String()) {
					t.Errorf("%s: a base layer is read: %s", c.name, q)
				}
			}
		}
	}
	if got := digestOf(t, at(t, r, "other/variant:1")); got != digestOf(t, at(t, r, "app:cov")) {
		t.Error("the variants differ")
	}
	if err := validate.Image(at(t, r, "other/variant:1")); err != nil {
		t.Error(err)
	}
}

// TestRemembered repeats a run of the same covify: it asks for source and target and does nothing.
func TestRemembered(t *testing.T) {
	r := newRegistry(t)
	r.Put("app:1.0", app(false).Image())
	src := "docker://" + r.Host + "/app:1.0"
	opts := options(t)
	opts.Identity = "one"
	first := patch(t, opts, src, src+"-cov")
	again := patch(t, opts, src, src+"-cov")
	if !again.Unchanged || again.Digest != first.Digest || len(again.Platforms) != 1 || first.Unchanged {
		t.Errorf("first %+v\nagain %+v", first, again)
	}
	changes := map[string]func(){
		"another covify":    func() { opts.Identity = "two" },
		"other options":     func() { opts.Plan.NoEnv = true },
		"the target's loss": func() { r.Put("app:1.0-cov", app(true).Image()) },
		"another base":      func() { s := app(false); s.Config["User"] = "root"; r.Put("app:1.0", s.Image()) },
	}
	for _, name := range slices.Sorted(maps.Keys(changes)) {
		changes[name]()
		if patch(t, opts, src, src+"-cov").Unchanged {
			t.Errorf("%s goes unnoticed", name)
		}
		if !patch(t, opts, src, src+"-cov").Unchanged {
			t.Errorf("after %s: not remembered", name)
		}
	}
}

// TestFamilyAcrossPlaces writes a Docker image where OCI types are wanted.
func TestFamilyAcrossPlaces(t *testing.T) {
	r := newRegistry(t)
	r.Put("app:1.0", app(true).Image())
	dir := filepath.Join(t.TempDir(), "layout")
	result := patch(t, options(t), "docker://"+r.Host+"/app:1.0", "oci:"+dir+":v")
	index, err := ggcrlayout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(index); err != nil {
		t.Error(err)
	}
	h, err := v1.NewHash(result.Digest)
	if err != nil {
		t.Fatal(err)
	}
	img, err := index.Image(h)
	if err != nil {
		t.Fatal(err)
	}
	m, err := img.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range m.Layers {
		if l.MediaType != types.OCILayer {
			t.Errorf("layer of type %s", l.MediaType)
		}
	}
	if m.MediaType != types.OCIManifestSchema1 || m.Config.MediaType != types.OCIConfigJSON || m.Annotations[plan.LabelBaseDigest] == "" {
		t.Errorf("manifest %+v", m)
	}
}

// TestDockerArchives reads every form that docker save and others have written, and writes what they read.
func TestDockerArchives(t *testing.T) {
	base := app(true).Image()
	for name, file := range dockerArchives(t, base) {
		t.Run(name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "out.tar")
			opts := options(t)
			first := patch(t, opts, "docker-archive:"+file, "docker-archive:"+out+":app:1.0-cov")
			img, err := tarball.ImageFromPath(out, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := validate.Image(img); err != nil {
				t.Error(err)
			}
			if n := len(config(t, img)["rootfs"].(map[string]any)["diff_ids"].([]any)); n != 5 {
				t.Errorf("%d layers", n)
			}
			again := filepath.Join(t.TempDir(), "again.tar")
			if second := patch(t, opts, "docker-archive:"+out+":app:1.0-cov", "docker-archive:"+again+":app:1.0-cov"); second.Digest != first.Digest {
				t.Errorf("the variant's variant is %s, not %s", second.Digest, first.Digest)
			}
		})
	}
}
