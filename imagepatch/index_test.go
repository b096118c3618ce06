package imagepatch_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/covify/covify/imagepatch"
	"github.com/covify/covify/imagepatch/imagetest"
	"github.com/covify/covify/plan"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// family is an index of much variety.
type family struct {
	amd64, arm64, plain, nested, windows v1.Image
	index                                v1.ImageIndex
}

func newFamily(docker bool) family {
	python := func(arch, uname, content string) v1.Image {
		return imagetest.Spec{Docker: docker, Arch: arch, Layers: []*imagetest.Layer{
			imagetest.Gzip(imagetest.Python("3.13", uname)...), imagetest.Gzip(imagetest.Text("app.py", content))}}.Image()
	}
	without := func(arch string) v1.Image {
		return imagetest.Spec{Docker: docker, Arch: arch, Layers: []*imagetest.Layer{imagetest.Gzip(imagetest.Text("etc/os-release", arch))}}.Image()
	}
	f := family{amd64: python("amd64", "x86_64", "a"), arm64: python("arm64", "aarch64", "b"), plain: without("s390x"), nested: python("amd64", "x86_64", "nested"), windows: without("amd64")}
	inner := imagetest.Index(docker, map[string]any{"x-inner": 1},
		imagetest.Entry{Image: f.nested, Platform: "linux/amd64"}, imagetest.Attestation(f.nested))
	f.index = imagetest.Index(docker, map[string]any{"annotations": map[string]string{"a": "b"}, "x-unknown": true},
		imagetest.Entry{Image: f.amd64, Platform: "linux/amd64", Fields: map[string]any{"annotations": map[string]string{"of": "amd64"}, "x-field": "<&>"}},
		imagetest.Entry{Index: inner, Fields: map[string]any{"annotations": map[string]string{"of": "nested"}}},
		imagetest.Entry{Image: f.plain, Platform: "linux/s390x", Fields: map[string]any{"x-field": "<&>"}},
		imagetest.Entry{Image: f.arm64, Platform: "linux/arm64/v8"},
		imagetest.Entry{Image: f.windows, Platform: "windows/amd64"},
		imagetest.Attestation(f.amd64), imagetest.Attestation(f.plain), imagetest.Attestation(f.arm64))
	return f
}

// children are the descriptors of an index.
func children(t *testing.T, index v1.ImageIndex) (all []map[string]any) {
	t.Helper()
	raw, err := index.RawManifest()
	doc := document(t, raw, err)
	for _, child := range doc["manifests"].([]any) {
		all = append(all, child.(map[string]any))
	}
	return all
}

// TestIndex takes a whole index through: what has Python changes, all else stays byte for byte.
func TestIndex(t *testing.T) {
	for name, docker := range map[string]bool{"docker": true, "oci": false} {
		t.Run(name, func(t *testing.T) {
			r := newRegistry(t)
			f := newFamily(docker)
			r.Put("app:1.0", f.index)
			src := "docker://" + r.Host + "/app:1.0"
			result := patch(t, options(t), src, "docker://"+r.Host+"/variant:1.0")
			d, err := r.Get("variant:1.0")
			if err != nil {
				t.Fatal(err)
			}
			index, err := d.ImageIndex()
			if err != nil {
				t.Fatal(err)
			}
			checkFamily(t, f, index)
			var platforms []string
			for _, p := range result.Platforms {
				platforms = append(platforms, fmt.Sprintf("%s:%t", p.Platform, p.Plan != nil))
			}
			if got, want := strings.Join(platforms, " "), "linux/amd64:true linux/amd64:true linux/s390x:false linux/arm64/v8:true windows/amd64:false"; got != want {
				t.Errorf("platforms %s, want %s", got, want)
			}
			if len(result.Dropped) != 3 || !strings.Contains(strings.Join(result.Dropped, " "), digestOf(t, f.amd64)) {
				t.Errorf("dropped %q", result.Dropped)
			}
			if again := patch(t, options(t), "docker://"+r.Host+"/variant:1.0", "docker://"+r.Host+"/again:1.0"); again.Digest != result.Digest {
				t.Errorf("the variant's variant is %s, not %s", again.Digest, result.Digest)
			}
		})
	}
}

// checkFamily compares the variant of a family with it.
func checkFamily(t *testing.T, f family, variant v1.ImageIndex) {
	t.Helper()
	before, after := children(t, f.index), children(t, variant)
	// Of eight children, two attestations are gone: those of the images that changed.
	if len(after) != 6 {
		t.Fatalf("%d children: %v", len(after), after)
	}
	for i, same := range map[int]int{2: 2, 4: 4, 5: 6} {
		if !reflect.DeepEqual(after[i], before[same]) {
			t.Errorf("child %d is %v, not %v", i, after[i], before[same])
		}
	}
	for _, i := range []int{0, 1, 3} {
		if after[i]["digest"] == before[i]["digest"] {
			t.Errorf("child %d did not change", i)
		}
		for _, key := range []string{"digest", "size"} {
			delete(after[i], key)
			delete(before[i], key)
		}
		if !reflect.DeepEqual(after[i], before[i]) {
			t.Errorf("child %d is %v, not %v", i, after[i], before[i])
		}
	}
	checkNested(t, variant)
	raw, err := variant.RawManifest()
	if doc := document(t, raw, err); doc["x-unknown"] != true || !reflect.DeepEqual(doc["annotations"], map[string]any{"a": "b"}) {
		t.Errorf("index %s", raw)
	}
}

func checkNested(t *testing.T, variant v1.ImageIndex) {
	t.Helper()
	m, err := variant.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	inner, err := variant.ImageIndex(m.Manifests[1].Digest)
	if err != nil {
		t.Fatal(err)
	}
	if all := children(t, inner); len(all) != 1 {
		t.Errorf("the nested index holds %v", all)
	}
	for _, parent := range []struct {
		index v1.ImageIndex
		child int
	}{{variant, 0}, {variant, 2}, {variant, 3}, {inner, 0}} {
		m, err := parent.index.IndexManifest()
		if err != nil {
			t.Fatal(err)
		}
		img, err := parent.index.Image(m.Manifests[parent.child].Digest)
		if err == nil {
			err = validate.Image(img)
		}
		if err != nil {
			t.Errorf("child %d: %v", parent.child, err)
		}
	}
}

// TestIndexElsewhere takes an index through archives and layouts, Docker's media types becoming OCI's on the way.
func TestIndexElsewhere(t *testing.T) {
	for name, docker := range map[string]bool{"docker": true, "oci": false} {
		t.Run(name, func(t *testing.T) {
			r := newRegistry(t)
			f := newFamily(docker)
			r.Put("app:1.0", f.index)
			dir := t.TempDir()
			opts := options(t)
			src := "docker://" + r.Host + "/app:1.0"
			first := patch(t, opts, src, "oci:"+dir+"/layout:1.0")
			second := patch(t, opts, "oci:"+dir+"/layout:1.0", "oci-archive:"+dir+"/a.tar:1.0")
			if first.Digest != second.Digest {
				t.Errorf("the layout has %s, the archive %s", first.Digest, second.Digest)
			}
			third := patch(t, opts, "oci-archive:"+dir+"/a.tar", "docker://"+r.Host+"/back:1.0")
			if third.Digest != first.Digest {
				t.Errorf("the layout has %s, the registry %s", first.Digest, third.Digest)
			}
			_, err := imagepatch.Patch(t.Context(), parse(t, src), parse(t, "docker-archive:"+dir+"/b.tar"), opts)
			if err == nil || !strings.Contains(err.Error(), "--platform") {
				t.Errorf("an index as a docker-archive: %v", err)
			}
		})
	}
}

// TestPlatform makes one image of an index.
func TestPlatform(t *testing.T) {
	r := newRegistry(t)
	f := newFamily(false)
	r.Put("app:1.0", f.index)
	src := parse(t, "docker://"+r.Host+"/app:1.0")
	for platform, want := range map[string]string{"linux/arm64": "arm64", "linux/arm64/v8": "arm64"} {
		opts := options(t)
		opts.Platform = platformOf(t, platform)
		result := patch(t, opts, src.String(), "docker://"+r.Host+"/one:"+want)
		c, err := at(t, r, "one:"+want).ConfigFile()
		if err != nil || c.Architecture != want || len(result.Platforms) != 1 {
			t.Errorf("%s: %+v, %v", platform, result, err)
		}
	}
	for platform, kind := range map[string]any{"linux/riscv64": new(*imagepatch.NotFoundError), "linux/s390x": new(*plan.NothingError), "windows/amd64": new(*plan.NothingError)} {
		opts := options(t)
		opts.Platform = platformOf(t, platform)
		_, err := imagepatch.Patch(t.Context(), src, parse(t, "docker://"+r.Host+"/one:none"), opts)
		if err == nil || !errors.As(err, kind) {
			t.Errorf("%s: %v", platform, err)
		}
		if _, err := r.Get("one:none"); err == nil {
			t.Errorf("%s was written", platform)
		}
	}
}

func platformOf(t *testing.T, s string) *v1.Platform {
	t.Helper()
	p, err := v1.ParsePlatform(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestIndexWithoutPython has nothing to cover in any of its images.
func TestIndexWithoutPython(t *testing.T) {
	r := newRegistry(t)
	f := newFamily(false)
	r.Put("app:1.0", imagetest.Index(false, nil, imagetest.Entry{Image: f.plain, Platform: "linux/s390x"}, imagetest.Entry{Image: f.windows, Platform: "windows/amd64"}))
	_, err := imagepatch.Patch(t.Context(), parse(t, "docker://"+r.Host+"/app:1.0"), parse(t, "docker://"+r.Host+"/app:cov"), options(t))
	var nothing *plan.NothingError
	if !errors.As(err, &nothing) || len(nothing.Skipped) != 2 {
		t.Errorf("%v", err)
	}
}

// TestEmbeddedData drops copies of what changed from descriptors (OCI image-spec, descriptor.md, "data").
func TestEmbeddedData(t *testing.T) {
	r := newRegistry(t)
	f := newFamily(false)
	raw, err := f.amd64.RawManifest()
	if err != nil {
		t.Fatal(err)
	}
	r.Put("app:1.0", imagetest.Index(false, nil, imagetest.Entry{Image: f.amd64, Platform: "linux/amd64", Fields: map[string]any{"data": raw}}))
	patch(t, options(t), "docker://"+r.Host+"/app:1.0", "docker://"+r.Host+"/app:cov")
	d, err := r.Get("app:cov")
	if err != nil {
		t.Fatal(err)
	}
	var m v1.IndexManifest
	if err := json.Unmarshal(d.Manifest, &m); err != nil || m.Manifests[0].Data != nil {
		t.Errorf("%s, %v", d.Manifest, err)
	}
}
