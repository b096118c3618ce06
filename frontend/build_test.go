package frontend

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/covify/covify/plan"
	"github.com/covify/covify/wheel"
	"github.com/moby/buildkit/client"
	gateway "github.com/moby/buildkit/frontend/gateway/client"
	"github.com/moby/buildkit/util/staticfs"
	"github.com/tonistiigi/fsutil"
	fstypes "github.com/tonistiigi/fsutil/types"
)

// isVariant tells whether a build gave one, with the given number of layers over those of its base.
func (b *built) isVariant(t *testing.T, layers int) {
	t.Helper()
	for platform, config := range b.all {
		if _, ok := config.Config.Labels[plan.LabelVersion]; !ok {
			t.Errorf("%s is no variant: %v", platform, config.Config.Labels)
		}
		if !slices.Contains(config.Config.Env, "COVERAGE_FILE=/app/coverage_data/.coverage") {
			t.Errorf("%s: env %q", platform, config.Config.Env)
		}
		if n := len(config.RootFS.DiffIDs); n != layers {
			t.Errorf("%s has %d layers, want %d: %+v", platform, n, layers, config.History)
		}
	}
}

// TestEnginePlatforms: every requested platform becomes a variant, with a configuration of its own.
func TestEnginePlatforms(t *testing.T) {
	d := findDaemon(t)
	r := request{
		dockerfile: "FROM base\nARG TARGETARCH\nENV ARCH=$TARGETARCH\n",
		opts:       map[string]string{"platform": "linux/amd64,linux/arm64"},
		layouts:    map[string]string{"base": layoutOf(t, "twoplatform")},
	}
	got, err := d.build(t, r, bundled().Build)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.all) != 2 {
		t.Fatalf("%d platforms: %+v", len(got.all), got.all)
	}
	for platform, config := range got.all {
		_, arch, _ := strings.Cut(platform, "/")
		if !slices.Contains(config.Config.Env, "ARCH="+arch) {
			t.Errorf("%s: env %q", platform, config.Config.Env)
		}
		if machine := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[arch]; !strings.Contains(config.Config.Labels[plan.LabelPython], machine) {
			t.Errorf("%s: %s", platform, config.Config.Labels[plan.LabelPython])
		}
	}
}

// TestEngineNothingToCover: what holds no Python is built as it is, with a warning, or refused if the user wants that.
func TestEngineNothingToCover(t *testing.T) {
	d := findDaemon(t)
	r := request{dockerfile: "FROM scratch\nLABEL a=b\n", opts: map[string]string{}}
	got, err := d.build(t, r, bundled().Build)
	if err != nil {
		t.Fatal(err)
	}
	if got.config.Config.Labels["a"] != "b" || got.config.Config.Labels[plan.LabelVersion] != "" {
		t.Errorf("labels %v", got.config.Config.Labels)
	}
	if !strings.Contains(got.said, "covify: linux/amd64 is left as it is: no Python found in the image") {
		t.Errorf("no warning:\n%s", got.said)
	}
	r.opts["build-arg:COVIFY_STRICT"] = "1"
	if _, err = d.build(t, r, bundled().Build); err == nil || !strings.Contains(err.Error(), "covify: platform linux/amd64: no Python found") {
		t.Errorf("strict: %v", err)
	}
	r = request{dockerfile: "FROM scratch\nLABEL a=b\n", opts: map[string]string{"platform": "windows/amd64"}}
	if got, err = d.build(t, r, bundled().Build); err != nil {
		t.Fatal(err)
	}
	if got.config.OS != "windows" || !strings.Contains(got.said, "covify: windows/amd64 is left as it is") {
		t.Errorf("%s:\n%s", got.config.OS, got.said)
	}
}

// TestEngineFromVariant: a variant as base is covered once; another version of covify takes the place of the files there.
func TestEngineFromVariant(t *testing.T) {
	d := findDaemon(t)
	first, err := d.build(t, request{dockerfile: "FROM base\n", layouts: map[string]string{"base": layoutOf(t, "slim")}}, bundled().Build)
	if err != nil {
		t.Fatal(err)
	}
	layers := len(first.config.RootFS.DiffIDs)
	over := request{dockerfile: "FROM variant\nENV MORE=1\n", layouts: map[string]string{"variant": first.layout(t)}}
	again, err := d.build(t, over, bundled().Build)
	if err != nil {
		t.Fatal(err)
	}
	again.isVariant(t, layers)

	newer := bundled()
	payloads := newer.Payloads
	newer.Payloads = func(ctx context.Context, t wheel.Target, coverage string) (*wheel.Payload, error) {
		p, err := payloads(ctx, t, coverage)
		if err != nil {
			return nil, err
		}
		other := *p
		other.Name = "newer-" + p.Name
		return &other, nil
	}
	got, err := d.build(t, over, newer.Build)
	if err != nil {
		t.Fatal(err)
	}
	got.isVariant(t, layers+3) // one that removes the old files
}

// TestEngineNestedSyntax: the real Dockerfile frontend, named by the file or after covify's name, builds, and covify covers.
func TestEngineNestedSyntax(t *testing.T) {
	d := findDaemon(t)
	upstream := programImage(t, d, "github.com/moby/buildkit/frontend/dockerfile/cmd/dockerfile-frontend",
		"moby.buildkit.frontend.caps=moby.buildkit.frontend.inputs,moby.buildkit.frontend.subrequests,moby.buildkit.frontend.contexts,moby.buildkit.frontend.gitquerystring")
	base := layoutOf(t, "distroless")
	plain, err := d.build(t, request{dockerfile: "FROM base\nCOPY <<E /f\nhello\nE\n", layouts: map[string]string{"base": base}}, plainBuild)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"# syntax=docker/dockerfile:9-labs", "# syntax=covify/covify docker/dockerfile:9-labs"} {
		r := request{
			dockerfile: line + "\nFROM base\nCOPY <<E /f\nhello\nE\n",
			layouts:    map[string]string{"base": base, "docker/dockerfile:9-labs": upstream.layout(t)},
		}
		got, err := d.build(t, r, bundled().Build)
		if err != nil {
			t.Fatalf("%s: %v\n%s", line, err, got.said)
		}
		got.isVariant(t, len(plain.config.RootFS.DiffIDs)+2)
		if !strings.Contains(got.said, "docker/dockerfile:9-labs") {
			t.Errorf("%s: the named frontend was not used:\n%s", line, got.said)
		}
	}
}

// programImage is an image of a Go program alone.
func programImage(t *testing.T, d *daemon, path string, labels ...string) *built {
	t.Helper()
	file := filepath.Join(t.TempDir(), "program")
	build := exec.Command("go", "build", "-o", file, path)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building %s: %v\n%s", path, err, out)
	}
	program, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	offered := staticfs.NewFS()
	offered.Add("program", &fstypes.Stat{Mode: 0o755}, program)
	dockerfile := "FROM scratch\nCOPY program /\nENTRYPOINT [\"/program\"]\n"
	for _, label := range labels {
		dockerfile += "LABEL " + label + "\n"
	}
	image, err := d.build(t, request{dockerfile: dockerfile, locals: map[string]fsutil.FS{"context": offered}}, plainBuild)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// TestEngineCacheImport: with an imported cache as many of the Dockerfile's steps are cached as in a plain build, and covify's are too.
func TestEngineCacheImport(t *testing.T) {
	d := findDaemon(t)
	r := request{
		dockerfile: "FROM base\nUSER root\nRUN echo one >/one\nCOPY file /\nRUN cat /one /file >/two\n",
		layouts:    map[string]string{"base": layoutOf(t, "slim")},
	}
	steps := func(build gateway.BuildFunc) (cached []string) {
		offered := staticfs.NewFS()
		offered.Add("file", &fstypes.Stat{Mode: 0o644}, []byte("x"))
		r.locals = map[string]fsutil.FS{"context": offered}
		first := r
		first.cacheTo = filepath.Join(t.TempDir(), "cache")
		if _, err := d.build(t, first, build); err != nil {
			t.Fatal(err)
		}
		if err := d.Prune(t.Context(), nil, client.PruneAll); err != nil {
			t.Fatal(err)
		}
		again := r
		again.cacheFrom = first.cacheTo
		b, err := d.build(t, again, build)
		if err != nil {
			t.Fatal(err)
		}
		return b.cached
	}
	plain := steps(plainBuild)
	cached := steps(bundled().Build)
	ours := func(name string) bool { return strings.HasPrefix(name, "[covify] ") }
	layers := slices.DeleteFunc(slices.Clone(cached), func(name string) bool { return !strings.HasPrefix(name, "[covify] layer ") })
	if len(layers) != 2 || !slices.Contains(cached, "[covify] hook") {
		t.Errorf("covify's layers are made again: cached %q", cached)
	}
	cached = slices.DeleteFunc(cached, ours)
	slices.Sort(plain)
	slices.Sort(cached)
	if len(plain) < 3 || !slices.Equal(plain, cached) {
		t.Errorf("cached %q, in a plain build %q", cached, plain)
	}
}
