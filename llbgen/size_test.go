package llbgen_test

import (
	"testing"

	"github.com/covify/covify/llbgen"
	"github.com/covify/covify/plan"
	"github.com/covify/covify/wheel"
	"github.com/covify/covify/wheel/bundle"
	"github.com/covify/covify/wheel/fetch"
	"github.com/moby/buildkit/client/llb"
)

// TestDefinitionIsSmall: with Blobs, a definition holds names of contents; without, the contents, below BuildKit's limit for an
// image with a Python of each release.
func TestDefinitionIsSmall(t *testing.T) {
	if bundle.Empty() {
		t.Skip("built without wheels: run make wheels")
	}
	source := &fetch.Source{Bundle: bundle.FS(), StartUp: plan.Startup(), Offline: true}
	p := &plan.Plan{}
	for minor := 10; minor <= 14; minor++ {
		abi := []string{"cp310", "cp311", "cp312", "cp313", "cp314"}[minor-10]
		payload, err := source.Payload(t.Context(), wheel.Target{Implementation: "cp", Major: 3, Minor: minor, ABI: abi, Libc: "glibc", Arch: "x86_64"}, "")
		if err != nil {
			t.Fatal(err)
		}
		l := plan.Layer{Name: payload.Name}
		for _, f := range payload.Files {
			l.Files = append(l.Files, plan.File{Path: "/opt/covify/" + payload.Name + "/" + f.Path, Mode: f.Mode, Data: f.Data})
		}
		p.Layers = append(p.Layers, l)
	}
	p.Layers = append(p.Layers, plan.Layer{Name: "hook", Files: []plan.File{{Path: "/hook", Mode: 0o644}}})
	blobs := llb.Image("frontend.example/covify")
	with, without := marshalled(t, p, llbgen.Options{Blobs: &blobs}), marshalled(t, p, llbgen.Options{})
	t.Logf("%d payloads: %d bytes with blobs, %d without", len(p.Layers)-1, with, without)
	if limit := 50_000 * (len(p.Layers) - 1); with > limit {
		t.Errorf("%d bytes with blobs, over %d", with, limit)
	}
	if without > 16<<20 {
		t.Errorf("%d bytes without blobs", without)
	}
}

func marshalled(t *testing.T, p *plan.Plan, opts llbgen.Options) (size int) {
	t.Helper()
	def, err := llbgen.State(llb.Scratch(), p, opts).Marshal(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, op := range def.Def {
		size += len(op)
	}
	return size
}
