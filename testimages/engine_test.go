// Package testimages holds real images, one folder a situation, and the tests that put each of them through every way in.
package testimages

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// engine is a container engine of hack/engine.
type engine struct {
	name    string
	command string // docker or podman
	address string
}

func findEngine(t *testing.T, name string) *engine {
	t.Helper()
	variable := "COVIFY_ENGINE_" + strings.ToUpper(name)
	address := os.Getenv(variable)
	if address == "" {
		t.Skipf("%s is not set: run under hack/with-all", variable)
	}
	command := "docker"
	if name == "podman" {
		command = "podman"
	}
	return &engine{name, command, address}
}

// env makes command lines reach the engine.
func (e *engine) env() map[string]string {
	if e.command == "podman" {
		return map[string]string{"CONTAINER_HOST": e.address, "DOCKER_HOST": e.address}
	}
	return map[string]string{"DOCKER_HOST": e.address}
}

// run calls the engine's own client.
func (e *engine) run(t *testing.T, args ...string) string {
	t.Helper()
	if e.command == "podman" {
		args = append([]string{"--remote", "--url", e.address}, args...)
	}
	return output(t, "", e.env(), e.command, args...)
}

// load puts an archive's image into the engine under a name of its own.
func (e *engine) load(t *testing.T, archive, name string) {
	t.Helper()
	out := e.run(t, "load", "-i", archive)
	loaded := strings.TrimSpace(out[strings.LastIndex(strings.TrimSpace(out), " ")+1:])
	e.run(t, "tag", loaded, name)
}

// entry is a way for an image to become a variant that an engine runs.
type entry struct {
	name   string
	engine string
	make   func(t *testing.T, c *testCase, e *engine) (variant string)
}

// entries are the ways in; a new one is a row here.
var entries = []entry{
	{"registry", "docker29", throughRegistry},
	{"oci", "podman", throughLayout},
	{"oci-archive", "docker29", throughOCIArchive},
	{"docker-archive", "docker29", throughDockerArchive},
	{"docker29", "docker29", throughDaemon},
	{"docker20", "docker20", throughDaemon},
	{"podman", "podman", throughDaemon},
}

func registryAddress(t *testing.T) string {
	t.Helper()
	address := os.Getenv("COVIFY_REGISTRY")
	if address == "" {
		t.Skip("COVIFY_REGISTRY is not set: run under hack/with-all")
	}
	return address
}

// skopeo copies an image between places, the oracle for their formats.
func skopeo(t *testing.T, from, to string) {
	t.Helper()
	output(t, "", nil, "skopeo", "copy", "--all", "--quiet", "--src-tls-verify=false", "--dest-tls-verify=false", from, to)
}

func throughRegistry(t *testing.T, c *testCase, e *engine) string {
	base := registryAddress(t) + "/" + c.Image
	skopeo(t, "docker-archive:"+c.archive(), "docker://"+base+":1")
	ref := strings.TrimSpace(output(t, "", e.env(), covifyBin, "docker://"+base+":1"))
	e.run(t, "pull", ref)
	return ref
}

func throughLayout(t *testing.T, c *testCase, e *engine) string {
	layout := "oci:" + filepath.Join(t.TempDir(), "layout")
	skopeo(t, "docker-archive:"+c.archive(), layout+":base")
	output(t, "", e.env(), covifyBin, layout+":base")
	archive := filepath.Join(t.TempDir(), "variant.tar")
	skopeo(t, layout+":base-cov", "docker-archive:"+archive+":"+c.Image+":layout-cov")
	e.run(t, "load", "-i", archive)
	return c.Image + ":layout-cov"
}

func throughOCIArchive(t *testing.T, c *testCase, e *engine) string {
	base, variant := filepath.Join(t.TempDir(), "base.tar"), filepath.Join(t.TempDir(), "variant.tar")
	skopeo(t, "docker-archive:"+c.archive(), "oci-archive:"+base)
	output(t, "", e.env(), covifyBin, "oci-archive:"+base, "-t", "oci-archive:"+variant+":"+c.Image+":oci-cov")
	e.load(t, variant, c.Image+":oci-cov")
	return c.Image + ":oci-cov"
}

func throughDockerArchive(t *testing.T, c *testCase, e *engine) string {
	variant := filepath.Join(t.TempDir(), "variant.tar")
	output(t, "", e.env(), covifyBin, "docker-archive:"+c.archive(), "-t", "docker-archive:"+variant+":"+c.Image+":archive-cov")
	e.run(t, "load", "-i", variant)
	return c.Image + ":archive-cov"
}

func throughDaemon(t *testing.T, c *testCase, e *engine) string {
	e.load(t, c.archive(), c.Image+":1")
	variant := strings.TrimSpace(output(t, "", e.env(), covifyBin, "docker-daemon:"+c.Image+":1"))
	if variant != c.Image+":1-cov" {
		t.Fatalf("the variant is called %q", variant)
	}
	return variant
}

// TestEngineLineForLine puts every test image through every entry, runs the variant as it is, with its own ENTRYPOINT and
// USER, and compares what was measured with what coverage run of the same program in the base image says: the same
// files, the same lines, the same arcs.
func TestEngineLineForLine(t *testing.T) {
	for _, c := range cases(t) {
		if len(c.Python) == 0 || len(c.Platforms) > 1 {
			continue // TestEngineNoPython, TestEngineTwoPlatforms
		}
		t.Run(c.name, func(t *testing.T) {
			var want measured
			for _, e := range entries {
				t.Run(e.name, func(t *testing.T) {
					engine := findEngine(t, e.engine)
					variant := e.make(t, c, engine)
					data := runVariant(t, c, engine, variant)
					if want == nil {
						want = oracle(t, c, findEngine(t, "docker29"), filepath.Join(data, ".coveragerc"))
					}
					compare(t, want, dump(t, data))
				})
			}
		})
	}
}

// runVariant runs a variant with covify run and returns the data folder.
func runVariant(t *testing.T, c *testCase, e *engine, variant string) string {
	t.Helper()
	dir := t.TempDir()
	args := slices.Concat([]string{"run", "--engine", e.command, "--rm"}, c.Run.Flags, []string{variant}, c.Run.Cmd)
	stdout, stderr, code := runCommand(t, dir, e.env(), covifyBin, args...)
	if code != c.Exit {
		t.Fatalf("covify %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), code, c.Exit, stdout, stderr)
	}
	return filepath.Join(dir, ".covify", "data")
}

// oracle runs the program under coverage run, in the base image, with coverage's published wheel laid into its site
// directories as pip would: coverage's own .pth file measures the subprocesses.
func oracle(t *testing.T, c *testCase, e *engine, rcfile string) measured {
	t.Helper()
	e.load(t, c.archive(), c.Image+":base")
	return platformOracle(t, c, e, c.Image+":base", "", rcfile)
}

// platformOracle is oracle for an image that the engine can pull or has, on one platform.
func platformOracle(t *testing.T, c *testCase, e *engine, image, platform, rcfile string) measured {
	t.Helper()
	data := t.TempDir()
	settings, err := os.ReadFile(rcfile)
	if err == nil {
		err = os.WriteFile(filepath.Join(data, ".coveragerc"), settings, 0o644)
	}
	if err == nil {
		err = os.Chmod(data, 0o777)
	}
	if err != nil {
		t.Fatal(err)
	}
	args := slices.Concat([]string{"run", "--rm"}, c.Run.Flags, wheelMounts(t, c, platform), []string{"-v", data + ":/app/coverage_data",
		"-e", "COVERAGE_FILE=/app/coverage_data/.coverage", "-e", "COVERAGE_PROCESS_START=/app/coverage_data/.coveragerc"})
	if len(c.Program) > 0 {
		args = slices.Concat(args, []string{"--entrypoint", c.Program[0], image, "-m", "coverage", "run", "--rcfile=/app/coverage_data/.coveragerc"}, c.Program[1:])
	} else {
		args = slices.Concat(args, []string{image}, c.Run.Cmd) // by coverage's .pth file alone
	}
	stdout, stderr, code := runCommand(t, "", e.env(), e.command, args...)
	if code != c.Exit {
		t.Fatalf("the oracle: exit code %d, want %d\n%s%s", code, c.Exit, stdout, stderr)
	}
	want := dumpWith(t, data, "oracle")
	for path := range c.Files {
		if len(want[path].Lines) == 0 {
			t.Errorf("the oracle measured nothing of %s", path)
		}
	}
	return want
}

// wheelMounts lays a wheel into every environment of the image; platform chooses of an index.
func wheelMounts(t *testing.T, c *testCase, platform string) []string {
	t.Helper()
	var planned struct {
		Platforms []struct {
			Plan struct {
				Installs []struct {
					Path, Payload string
					Version       string `json:"coverage_installed"`
				}
			}
		}
	}
	args := []string{"plan", "--json", c.source()}
	if platform != "" {
		args = append(args, "--platform", platform)
	}
	if err := json.Unmarshal([]byte(output(t, "", nil, covifyBin, args...)), &planned); err != nil {
		t.Fatal(err)
	}
	var mounts []string
	for _, i := range planned.Platforms[0].Plan.Installs {
		wheel := wheelFolder(t, i.Version, i.Payload)
		for _, name := range []string{"coverage", "a1_coverage.pth"} {
			mounts = append(mounts, "-v", filepath.Join(wheel, name)+":"+i.Path+"/"+name+":ro")
		}
	}
	return mounts
}

// compare reports every file whose lines or arcs differ.
func compare(t *testing.T, want, got measured) {
	t.Helper()
	for path, w := range want {
		g := got[path]
		if !slices.Equal(w.Lines, g.Lines) {
			t.Errorf("%s: lines %v, coverage run has %v", path, g.Lines, w.Lines)
		}
		if !slices.Equal(w.Arcs, g.Arcs) {
			t.Errorf("%s: arcs differ: %s", path, difference(w.Arcs, g.Arcs))
		}
	}
	for path, g := range got {
		if _, ok := want[path]; !ok {
			t.Errorf("%s: lines %v measured, coverage run has none", path, g.Lines)
		}
	}
}

func difference(want, got [][2]int) string {
	var b strings.Builder
	for _, arc := range want {
		if !slices.Contains(got, arc) {
			fmt.Fprintf(&b, "-%v ", arc)
		}
	}
	for _, arc := range got {
		if !slices.Contains(want, arc) {
			fmt.Fprintf(&b, "+%v ", arc)
		}
	}
	return b.String()
}

// TestEngineNoPython: an image without Python is refused with its own exit code wherever it is, and nothing appears.
func TestEngineNoPython(t *testing.T) {
	for _, c := range cases(t) {
		if len(c.Python) > 0 {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			for _, name := range []string{"docker29", "docker20", "podman"} {
				t.Run(name, func(t *testing.T) {
					e := findEngine(t, name)
					e.load(t, c.archive(), c.Image+":1")
					_, stderr, code := runCommand(t, "", e.env(), covifyBin, "docker-daemon:"+c.Image+":1")
					if code != 3 || !strings.Contains(stderr, "no Python found") {
						t.Errorf("exit code %d, want 3\n%s", code, stderr)
					}
					if images := e.run(t, "images", c.Image); strings.Contains(images, "1-cov") {
						t.Errorf("a variant appeared:\n%s", images)
					}
				})
			}
		})
	}
}
