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

// way is a build tool with covify in it, from a folder with a Dockerfile to a variant in an engine.
type way struct {
	name   string
	engine string
	build  func(t *testing.T, e *engine, frontend, base, tag string)
}

// ways are the ways to name covify, in every tool that builds; a new one is a row here.
var ways = []way{
	{"docker build, syntax line", "docker29", byDirective},
	{"docker build of 20.10, syntax line", "docker20", byDirective},
	{"docker build, build arg", "docker29", byArg},
	{"docker build of 20.10, build arg", "docker20", byArg},
	{"docker build, syntax line, named context", "docker29", byNamedContext},
	{"docker buildx build at buildkitd", "docker29", byBuildx},
	{"docker buildx bake", "docker29", byBake},
	{"docker buildx bake, settings", "docker29", byBakeSettings},
	{"buildctl", "docker29", byBuildctl},
	{"covify build", "docker29", byCovify},
	{"covify build of 20.10", "docker20", byCovify},
	{"covify build at buildkitd", "docker29", byCovifyAtBuildkitd},
}

// folder writes a Dockerfile and returns its folder.
func folder(t *testing.T, dockerfile string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(dockerfile), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

func byDirective(t *testing.T, e *engine, frontend, base, tag string) {
	build(t, e, "# syntax="+frontend+"\nFROM "+base+"\n", tag)
}

func byArg(t *testing.T, e *engine, frontend, base, tag string) {
	build(t, e, "FROM "+base+"\n", tag, "--build-arg", "BUILDKIT_SYNTAX="+frontend)
}

// byNamedContext has no registry for the frontend: its image is an OCI layout.
func byNamedContext(t *testing.T, e *engine, frontend, base, tag string) {
	build(t, e, "# syntax=covify\nFROM "+base+"\n", tag, "--build-context", "covify="+layoutContext(t, frontend))
}

// layoutContext copies an image into an OCI layout and returns it as a build context.
func layoutContext(t *testing.T, image string) string {
	t.Helper()
	layout := filepath.Join(t.TempDir(), "layout")
	skopeo(t, "docker://"+image, "oci:"+layout+":latest")
	var index struct{ Manifests []struct{ Digest string } }
	data, err := os.ReadFile(filepath.Join(layout, "index.json"))
	if err == nil {
		err = json.Unmarshal(data, &index)
	}
	if err != nil {
		t.Fatal(err)
	}
	return "oci-layout://" + layout + "@" + index.Manifests[0].Digest
}

// buildkitd returns the address of the BuildKit without Docker.
func buildkitd(t *testing.T) string {
	t.Helper()
	address := os.Getenv("BUILDKIT_HOST")
	if address == "" {
		t.Skip("BUILDKIT_HOST is not set: run under hack/with-all")
	}
	return address
}

// byBuildx is a builder of buildx that is not Docker's own; it reaches Docker through an archive.
func byBuildx(t *testing.T, e *engine, frontend, base, tag string) {
	builder := "covify-" + strings.ReplaceAll(tag, ":", "-")
	e.run(t, "buildx", "create", "--name", builder, "--driver", "remote", buildkitd(t))
	t.Cleanup(func() { e.run(t, "buildx", "rm", "--keep-daemon", builder) })
	dir := folder(t, "# syntax="+frontend+"\nFROM "+base+"\n")
	e.run(t, "buildx", "build", "-q", "--builder", builder, "--load", "-t", tag, dir)
}

func bakeFile(t *testing.T, base, tag string) string {
	t.Helper()
	file := filepath.Join(folder(t, "FROM "+base+"\n"), "docker-bake.hcl")
	words := fmt.Sprintf("target \"default\" {\n  context = %q\n  tags = [%q]\n}\n", filepath.Dir(file), tag)
	if err := os.WriteFile(file, []byte(words), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

// byBake adds a file of two lines to a docker-bake.hcl.
func byBake(t *testing.T, e *engine, frontend, base, tag string) {
	file := bakeFile(t, base, tag)
	override := filepath.Join(t.TempDir(), "covify.hcl")
	words := fmt.Sprintf("target \"default\" {\n  args = { BUILDKIT_SYNTAX = %q }\n}\n", frontend)
	if err := os.WriteFile(override, []byte(words), 0o644); err != nil {
		t.Fatal(err)
	}
	e.run(t, "buildx", "bake", "--allow=fs.read=*", "--progress=quiet", "-f", file, "-f", override, "--load")
}

func byBakeSettings(t *testing.T, e *engine, frontend, base, tag string) {
	e.run(t, "buildx", "bake", "--allow=fs.read=*", "--progress=quiet", "-f", bakeFile(t, base, tag), "--set=*.args.BUILDKIT_SYNTAX="+frontend, "--load")
}

func byBuildctl(t *testing.T, e *engine, frontend, base, tag string) {
	dir, archive := folder(t, "FROM "+base+"\n"), filepath.Join(t.TempDir(), "image.tar")
	output(t, "", nil, "buildctl", "--addr", buildkitd(t), "build", "--frontend", "gateway.v0", "--opt", "source="+frontend,
		"--local", "context="+dir, "--local", "dockerfile="+dir, "--output", "type=docker,name="+tag+",dest="+archive)
	e.run(t, "load", "-i", archive)
}

func byCovify(t *testing.T, e *engine, _, base, tag string) {
	env := e.env()
	env["BUILDKIT_HOST"] = ""
	said := output(t, "", env, covifyBin, "build", "-t", tag, folder(t, "FROM "+base+"\n"))
	if !strings.Contains(said, tag) {
		t.Errorf("covify build -t %s prints %q", tag, said)
	}
}

// byCovifyAtBuildkitd builds in a BuildKit that keeps no images; Docker is where --load puts it.
func byCovifyAtBuildkitd(t *testing.T, e *engine, _, base, tag string) {
	output(t, "", e.env(), covifyBin, "build", "--addr", buildkitd(t), "--load", "-t", tag, folder(t, "FROM "+base+"\n"))
}

// TestEngineWays builds over two test images with every tool in which covify can be named, runs what comes out with covify run, and
// compares what was measured with coverage run in the base image, line for line.
func TestEngineWays(t *testing.T) {
	registry := registryAddress(t)
	frontend := frontendImage(t, registry, findEngine(t, "docker29"))
	for _, c := range cases(t) {
		if c.name != "slim" && c.name != "distroless" {
			continue
		}
		base := registry + "/ways/" + c.name + ":1"
		skopeo(t, "docker-archive:"+c.archive(), "docker://"+base)
		var want measured
		for i, w := range ways {
			t.Run(w.name+"/"+c.name, func(t *testing.T) {
				e := findEngine(t, w.engine)
				tag := fmt.Sprintf("ways-%s:%d", c.name, i)
				w.build(t, e, frontend, base, tag)
				data := runVariant(t, c, e, tag)
				if want == nil {
					want = oracle(t, c, findEngine(t, "docker29"), filepath.Join(data, ".coveragerc"))
				}
				compare(t, want, dump(t, data))
			})
		}
	}
}

// TestEngineBake turns every target of a docker-bake.hcl into variants with bake/covify.hcl. One is made from the other: covify
// is in it once.
func TestEngineBake(t *testing.T) {
	registry, e := registryAddress(t), findEngine(t, "docker29")
	frontend := frontendImage(t, registry, e)
	base := registry + "/bake/base:1"
	skopeo(t, "docker-archive:"+caseNamed(t, "slim").archive(), "docker://"+base)
	env := e.env()
	env["BASE"], env["COVIFY"] = base, frontend
	bake := []string{"buildx", "bake", "--progress=quiet", "--load", "-f", "docker-bake.hcl"}
	output(t, "bake", env, "docker", bake...)
	for _, name := range []string{"lib", "app"} {
		e.run(t, "tag", "bake/"+name, "bake/"+name+":plain")
	}
	output(t, "bake", env, "docker", append(bake, "-f", "covify.hcl")...)
	for name, files := range map[string][]string{"lib": {"/srv/tally.py"}, "app": {"/srv/tally.py", "/srv/report.py"}} {
		t.Run(name, func(t *testing.T) {
			covered(t, e, "bake/"+name+":plain", "bake/"+name)
			c := &testCase{}
			c.Run.Flags = []string{"--network=none", "--entrypoint=python3"}
			c.Run.Cmd = map[string][]string{"lib": {"tally.py", "one"}, "app": {"report.py"}}[name]
			got := dump(t, runVariant(t, c, e, "bake/"+name))
			for _, file := range files {
				if len(got[file].Lines) == 0 {
					t.Errorf("%s was not measured: %v", file, got)
				}
			}
		})
	}
}

// caseNamed returns one test image.
func caseNamed(t *testing.T, name string) *testCase {
	t.Helper()
	all := cases(t)
	i := slices.IndexFunc(all, func(c *testCase) bool { return c.name == name })
	if i < 0 {
		t.Fatalf("no test image is called %s", name)
	}
	return all[i]
}

// covered checks that an image is the variant of another with exactly one set of covify's layers: two above those of the plain
// image, one name of each in the history.
func covered(t *testing.T, e *engine, plain, variant string) {
	t.Helper()
	before, after := layers(t, e, plain), layers(t, e, variant)
	if len(after) != len(before)+2 {
		t.Errorf("%s has %d layers, %s %d", plain, len(before), variant, len(after))
	}
	if labels := inspect(t, e, variant)["Config"].(map[string]any)["Labels"].(map[string]any); labels["io.covify.version"] == nil {
		t.Errorf("%s is no variant: labels %v", variant, labels)
	}
	var ours []string
	for line := range strings.Lines(e.run(t, "history", "--no-trunc", "--format", "{{.Comment}}\t{{.CreatedBy}}", variant)) {
		if comment, created, _ := strings.Cut(strings.TrimSpace(line), "\t"); comment == "covify" {
			ours = append(ours, created)
		}
	}
	if slices.Sort(ours); len(ours) != 2 || len(slices.Compact(slices.Clone(ours))) != 2 {
		t.Errorf("the history of %s names covify's layers so: %q", variant, ours)
	}
}

// TestEngineRecursion: however covify is named, and however often, it covers once, and what it covers works.
func TestEngineRecursion(t *testing.T) {
	registry, e := registryAddress(t), findEngine(t, "docker29")
	frontend := frontendImage(t, registry, e)
	other, elsewhere := otherVersion(t, registry, e)
	c := caseNamed(t, "distroless")
	base := registry + "/recursion/base:1"
	skopeo(t, "docker-archive:"+c.archive(), "docker://"+base)
	variant := strings.TrimSpace(output(t, "", e.env(), covifyBin, "docker://"+base))
	variantOfOther := registry + "/recursion/base:other"
	e.run(t, "build", "-q", "--provenance=false", "--push", "-t", variantOfOther, folder(t, "# syntax="+other+"\nFROM "+base+"\n"))
	build(t, e, "FROM "+base+"\n", "recursion:plain")

	client := func(image string) func(*testing.T, string, string) {
		return func(t *testing.T, dir, tag string) {
			env := e.env()
			env["BUILDKIT_HOST"] = ""
			output(t, "", env, covifyBin, "build", "-q", "--frontend-image", image, "-t", tag, dir)
		}
	}
	docker := func(args ...string) func(*testing.T, string, string) {
		return func(t *testing.T, dir, tag string) {
			e.run(t, slices.Concat([]string{"build", "-q", "-t", tag}, args, []string{dir})...)
		}
	}
	syntax := func(image string) []string { return []string{"--build-arg", "BUILDKIT_SYNTAX=" + image} }
	for i, test := range []struct {
		name, syntax, from string
		build              func(*testing.T, string, string)
	}{
		{"syntax line", frontend, base, docker()},
		{"build arg", "", base, docker(syntax(frontend)...)},
		{"build arg and syntax line", frontend, base, docker(syntax(frontend)...)},
		{"covify after covify", frontend + " " + frontend, base, docker()},
		{"another version after covify", frontend + " " + other, base, docker()},
		{"covify after another version", other + " " + frontend, base, docker()},
		{"build arg over another version", other, base, docker(syntax(frontend)...)},
		{"another version over syntax line", frontend, base, docker(syntax(other)...)},
		{"build arg over another version elsewhere", elsewhere, base, docker(syntax(frontend)...)},
		{"another version elsewhere over syntax line", frontend, base, docker(syntax(elsewhere)...)},
		{"client", "", base, client(frontend)},
		{"client and syntax line", frontend, base, client(frontend)},
		{"client and syntax line of an image it does not know", frontend, base, client("covify/covify")},
		{"client and syntax line of another version", elsewhere, base, client(frontend)},
		{"from a variant", frontend, variant, docker()},
		{"from a variant, client", "", variant, client(frontend)},
	} {
		t.Run(test.name, func(t *testing.T) {
			dockerfile, tag := "FROM "+test.from+"\n", fmt.Sprintf("recursion:%d", i)
			if test.syntax != "" {
				dockerfile = "# syntax=" + test.syntax + "\n" + dockerfile
			}
			test.build(t, folder(t, dockerfile), tag)
			covered(t, e, "recursion:plain", tag)
			data := runVariant(t, c, e, tag)
			if got := dump(t, data); len(got["/app/main.py"].Lines) == 0 {
				t.Errorf("nothing of /app/main.py was measured: %v", got)
			}
		})
	}
	// What another version has left in the base cannot be taken out of its layers; it is removed above them.
	t.Run("from another version's variant", func(t *testing.T) {
		build(t, e, "# syntax="+frontend+"\nFROM "+variantOfOther+"\n", "recursion:over-other")
		e.run(t, "pull", "-q", variant)
		sameConfig(t, e, variant, "recursion:over-other")
		files := &sameFiles{engine: e, want: contents(t, e, variant)}
		files.check(t, "recursion:over-other")
		if got := dump(t, runVariant(t, c, e, "recursion:over-other")); len(got["/app/main.py"].Lines) == 0 {
			t.Errorf("nothing of /app/main.py was measured: %v", got)
		}
	})
}

// otherVersion pushes the frontend of another version of covify: beside frontendImage's, and into another repository.
func otherVersion(t *testing.T, registry string, e *engine) (beside, elsewhere string) {
	t.Helper()
	t.Setenv("VERSION", "0.0.1-other")
	beside, elsewhere = registry+"/covify:other", registry+"/other/coverage-frontend:1"
	if err := pushFrontend(e, beside); err != nil {
		t.Fatal(err)
	}
	skopeo(t, "docker://"+beside, "docker://"+elsewhere)
	return beside, elsewhere
}
