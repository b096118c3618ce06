package solve_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/covify/covify/plan"
)

// programDir is where covify is built to, if a test wants it.
var programDir string

// covify is the program: the way in is tested with its own main.
var covify = sync.OnceValues(func() (string, error) {
	program := filepath.Join(programDir, "covify")
	out, err := exec.Command("go", "build", "-o", program, "../../cmd/covify").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("building covify: %w\n%s", err, out)
	}
	return program, nil
})

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "covify-solve-")
	if err != nil {
		panic(err)
	}
	programDir = dir
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// docker is a Docker of hack/engine.
type docker struct {
	*testing.T
	name string
	host string
}

// eachDocker runs a test in the engines that there are; with none it is skipped.
func eachDocker(t *testing.T, test func(d docker)) {
	for _, name := range []string{"docker29", "docker20"} {
		t.Run(name, func(t *testing.T) { test(findDocker(t, name)) })
	}
}

func findDocker(t *testing.T, name string) docker {
	variable := "COVIFY_ENGINE_" + strings.ToUpper(name)
	host := os.Getenv(variable)
	if host == "" {
		t.Skipf("%s is not set: run under hack/with-all", variable)
	}
	return docker{t, name, host}
}

func (d docker) env() []string {
	d.Helper()
	env := slices.DeleteFunc(os.Environ(), func(kv string) bool {
		return strings.HasPrefix(kv, "DOCKER_HOST=") || strings.HasPrefix(kv, "BUILDKIT_HOST=")
	})
	return append(env, "DOCKER_HOST="+d.host)
}

func (d docker) run(args ...string) string {
	d.Helper()
	return must(d.T, command{"docker", args, "", d.env()})
}

// load puts the image of an archive of testimages/build into the engine; it is called covify-test/CASE.
func (d docker) load(name string) string {
	d.Helper()
	d.run("load", "-q", "-i", archive(d.T, name))
	return "covify-test/" + name
}

func (d docker) inspect(image string) (found struct {
	ID     string `json:"Id"`
	Config struct {
		Env    []string
		Labels map[string]string
	}
	RootFS struct{ Layers []string }
}) {
	d.Helper()
	all := []any{&found}
	if err := json.Unmarshal([]byte(d.run("image", "inspect", image)), &all); err != nil {
		d.Fatal(err)
	}
	return found
}

func archive(t *testing.T, name string) string {
	t.Helper()
	cache := os.Getenv("COVIFY_DEV_CACHE")
	if cache == "" {
		dir, err := os.UserCacheDir()
		if err != nil {
			t.Fatal(err)
		}
		cache = filepath.Join(dir, "covify-dev")
	}
	file := filepath.Join(cache, "images", name+".tar")
	if _, err := os.Stat(file); err != nil {
		t.Fatalf("%v (testimages/build makes it)", err)
	}
	return file
}

// command is a program with its arguments, folder and environment.
type command struct {
	program string
	args    []string
	dir     string
	env     []string
}

func (c command) run(t *testing.T) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	p := exec.Command(c.program, c.args...)
	p.Dir, p.Env, p.Stdout, p.Stderr = c.dir, c.env, &out, &errs
	if err := p.Run(); err != nil && !errors.As(err, new(*exec.ExitError)) {
		t.Fatalf("%s: %v", c.program, err)
	}
	return out.String(), errs.String(), p.ProcessState.ExitCode()
}

func must(t *testing.T, c command) string {
	t.Helper()
	stdout, stderr, code := c.run(t)
	if code != 0 {
		t.Fatalf("%s %s: exit code %d\n%s%s", c.program, strings.Join(c.args, " "), code, stdout, stderr)
	}
	return stdout
}

func covifyWith(t *testing.T, env []string, args ...string) command {
	t.Helper()
	program, err := covify()
	if err != nil {
		t.Fatal(err)
	}
	return command{program, args, t.TempDir(), append(env, "COVIFY_CACHE_DIR="+t.TempDir())}
}

// project is a folder with a Dockerfile.
func project(t *testing.T, dockerfile string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{"Dockerfile": dockerfile, "added.txt": "added\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// isVariant checks what a variant's configuration has over its base's.
func (d docker) isVariant(variant, base string) {
	d.Helper()
	v, b := d.inspect(variant), d.inspect(base)
	if extra := len(v.RootFS.Layers) - len(b.RootFS.Layers); extra < 2 || !slices.Equal(v.RootFS.Layers[:len(b.RootFS.Layers)], b.RootFS.Layers) {
		d.Errorf("%s has %d layers more than %s", variant, extra, base)
	}
	for _, label := range []string{plan.LabelVersion, plan.LabelCoverage, plan.LabelData, plan.LabelPython} {
		if v.Config.Labels[label] == "" {
			d.Errorf("no label %s", label)
		}
	}
	for _, kv := range append(slices.Clone(b.Config.Env), "COVERAGE_PROCESS_START="+plan.ConfigPath, "COVERAGE_FILE="+plan.DataDir+"/.coverage") {
		if !slices.Contains(v.Config.Env, kv) {
			d.Errorf("%s is not in the environment %q", kv, v.Config.Env)
		}
	}
}

// measures runs a variant of the slim test image with covify run and checks that its program's lines come back.
func (d docker) measures(variant string) {
	d.Helper()
	run := covifyWith(d.T, d.env(), "run", "--rm", variant)
	if err := os.CopyFS(run.dir, os.DirFS("../../testimages/slim/app")); err != nil { // the checkout
		d.Fatal(err)
	}
	must(d.T, run)
	report := run
	report.args = []string{"report"}
	if out := must(d.T, report); !strings.Contains(out, "main.py") || !strings.Contains(out, "shop/pricing.py") {
		d.Errorf("covify report:\n%s", out)
	}
}

// TestEngineBuild: covify build makes a variant in the Docker whose BuildKit it is, prints its name, and does so again from the cache.
func TestEngineBuild(t *testing.T) {
	eachDocker(t, func(d docker) {
		dir := project(t, "FROM "+d.load("slim")+"\nARG WHO\nCOPY added.txt /added.txt\nLABEL who=$WHO\n")
		const image = "solve-build:cov"
		build := covifyWith(d.T, append(d.env(), "WHO=me"), "build", "--progress=plain", "--build-arg", "WHO", "-t", image, "--iidfile", filepath.Join(dir, "iid"), dir)
		if stdout := must(d.T, build); stdout != image+"\n" {
			d.Errorf("stdout is %q", stdout)
		}
		d.isVariant(image, "covify-test/slim")
		made := d.inspect(image)
		if made.Config.Labels["who"] != "me" {
			d.Errorf("labels %v", made.Config.Labels)
		}
		if id, err := os.ReadFile(filepath.Join(dir, "iid")); err != nil || !strings.HasPrefix(string(id), "sha256:") {
			d.Errorf("iidfile: %s, %v", id, err)
		}
		_, stderr, code := build.run(d.T)
		if again := d.inspect(image); code != 0 || !slices.Equal(again.RootFS.Layers, made.RootFS.Layers) {
			d.Errorf("a second build: exit code %d, layers %v and %v", code, made.RootFS.Layers, again.RootFS.Layers)
		}
		if !strings.Contains(stderr, "CACHED") {
			d.Errorf("a second build takes nothing from the cache:\n%s", stderr)
		}
		d.measures(image)
	})
}

// TestEngineImage: an image of an engine is covered in it, again with the same result, also when it is a variant; without Python
// nothing appears.
func TestEngineImage(t *testing.T) {
	eachDocker(t, func(d docker) {
		base := d.load("slim")
		const variant = "solve-image:cov"
		make := covifyWith(d.T, d.env(), "docker-daemon:"+base, "-t", variant, "--json")
		var result struct {
			Target, Digest string
			Platforms      []struct {
				Platform string
				Plan     struct{ Installs []any }
			}
		}
		if err := json.Unmarshal([]byte(must(d.T, make)), &result); err != nil {
			d.Fatal(err)
		}
		d.isVariant(variant, base)
		made := d.inspect(variant)
		if result.Target != "docker-daemon:"+variant || result.Digest != made.ID || len(result.Platforms) != 1 || result.Platforms[0].Platform != "linux/amd64" || len(result.Platforms[0].Plan.Installs) != 1 {
			d.Errorf("JSON %+v of %s", result, made.ID)
		}
		if name := made.Config.Labels[plan.LabelBaseName]; name != "docker.io/covify-test/slim:latest" {
			d.Errorf("base name %q", name)
		}
		if digest := made.Config.Labels[plan.LabelBaseDigest]; digest != d.inspect(base).ID {
			d.Errorf("base digest %q", digest)
		}
		_, stderr, _ := make.run(d.T)
		if !strings.Contains(stderr, "is that already") || d.inspect(variant).ID != made.ID {
			d.Errorf("made again: %s\n%s", d.inspect(variant).ID, stderr)
		}
		must(d.T, covifyWith(d.T, d.env(), variant, "-t", "solve-image:again"))
		if again := d.inspect("solve-image:again"); again.ID != made.ID {
			d.Errorf("the variant's variant is %s, not %s", again.ID, made.ID)
		}
		if cache, _ := os.ReadDir(strings.TrimPrefix(make.env[len(make.env)-1], "COVIFY_CACHE_DIR=")); slices.ContainsFunc(cache, func(e os.DirEntry) bool { return e.Name() == "layers" }) {
			d.Error("layers of the image were read outside the engine")
		}
		d.measures(variant)

		_, stderr, code := covifyWith(d.T, d.env(), d.load("nopython"), "-t", "solve-image:none").run(d.T)
		if code != 3 || !strings.Contains(stderr, "no Python found") {
			d.Errorf("without Python: exit code %d\n%s", code, stderr)
		}
		if out := d.run("images", "-q", "solve-image:none"); out != "" {
			d.Errorf("without Python there is %s", out)
		}
	})
}

// TestEngineImageAttested: what docker build leaves beside an image, an attestation, is dropped and said, and the variant is made. covify
// run does not speak of it, nor at all of a variant that is there.
func TestEngineImageAttested(t *testing.T) {
	d := findDocker(t, "docker29")
	dir := project(t, "FROM "+d.load("slim")+"\nCOPY <<EOF /once.py\nprint(1)\nEOF\n")
	d.run("build", "-q", "--provenance=true", "-t", "solve-attested", dir)
	_, stderr, code := covifyWith(t, d.env(), "solve-attested", "-t", "solve-attested:cov").run(t)
	if code != 0 || !strings.Contains(stderr, "dropped attestation sha256:") {
		t.Errorf("exit code %d\n%s", code, stderr)
	}
	d.isVariant("solve-attested:cov", "covify-test/slim")
	for i, said := range []string{`^covify: /usr/local/lib/\S+: coverage \S+ for \S+\ncovify: 1 data file in .covify/data; covify report shows them\n$`,
		`^covify: 1 data file in .covify/data; covify report shows them\n$`} {
		_, stderr, code = covifyWith(t, d.env(), "run", "--rm", "--network=none", "solve-attested", "/once.py").run(t)
		if code != 0 || !regexp.MustCompile(said).MatchString(stderr) {
			t.Errorf("run %d: exit code %d, not %s:\n%s", i+1, code, said, stderr)
		}
	}
}

// TestEngineErrors: what is wrong with a Dockerfile is said as docker build says it.
func TestEngineErrors(t *testing.T) {
	eachDocker(t, func(d docker) {
		base := d.load("nopython")
		for name, c := range map[string]struct {
			dockerfile string
			args       []string
			words      []string
		}{
			"syntax":    {"FROM " + base + "\nCOPY added.txt /\nRUNN false\n", nil, []string{"dockerfile parse error on line 3: unknown instruction: RUNN", "Dockerfile:3", "3 | >>> RUNN false"}},
			"target":    {"FROM " + base + "\n", []string{"--target", "nosuch"}, []string{`target stage "nosuch" could not be found`}},
			"no Python": {"FROM " + base + "\n", []string{"--strict"}, []string{"no Python found"}},
		} {
			_, stderr, code := covifyWith(d.T, d.env(), append([]string{"build", project(t, c.dockerfile)}, c.args...)...).run(d.T)
			want := 1
			if name == "no Python" {
				want = 3
			}
			if code != want {
				d.Errorf("%s: exit code %d", name, code)
			}
			for _, words := range c.words {
				if !strings.Contains(stderr, words) {
					d.Errorf("%s: %q is not in\n%s", name, words, stderr)
				}
			}
		}
	})
}

// TestEngineInterrupt: a signal ends a build at once, with exit code 130.
func TestEngineInterrupt(t *testing.T) {
	d := findDocker(t, "docker29")
	dir := project(t, "FROM "+d.load("slim")+"\nUSER root\nRUN echo begun && sleep 60\n")
	c := covifyWith(t, d.env(), "build", "--progress=plain", dir)
	var stderr locked
	p := exec.Command(c.program, c.args...)
	p.Env, p.Stderr = c.env, &stderr
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	for started := time.Now(); !strings.Contains(stderr.String(), " begun\n"); time.Sleep(20 * time.Millisecond) {
		if time.Since(started) > time.Minute {
			t.Fatalf("the build does not begin:\n%s", stderr.String())
		}
	}
	started := time.Now()
	_ = p.Process.Signal(syscall.SIGINT)
	_ = p.Wait()
	if code := p.ProcessState.ExitCode(); code != 130 || time.Since(started) > 10*time.Second {
		t.Errorf("exit code %d after %v\n%s", code, time.Since(started), stderr.String())
	}
}

// locked is a buffer for a process that is still writing.
type locked struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *locked) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// TestEngineOutputs: from a bare buildkitd a result goes where an output says; the base comes from an OCI layout.
func TestEngineOutputs(t *testing.T) {
	address := os.Getenv("BUILDKIT_HOST")
	if address == "" {
		t.Skip("BUILDKIT_HOST is not set: run under hack/with-all")
	}
	layout := t.TempDir()
	must(t, command{"tar", []string{"-xf", archive(t, "slim"), "-C", layout}, "", nil})
	dir := project(t, "FROM covify-test/slim\nCOPY added.txt /added.txt\n")
	build := func(t *testing.T, env []string, args ...string) command {
		args = append([]string{"build", "--addr", address, "--build-context", "covify-test/slim=oci-layout://" + layout}, args...)
		return covifyWith(t, env, append(args, dir)...)
	}
	env := os.Environ()

	t.Run("none", func(t *testing.T) {
		stdout, stderr, code := build(t, env).run(t)
		if code != 0 || stdout != "" || !strings.Contains(stderr, "no output is named") {
			t.Errorf("exit code %d, stdout %q\n%s", code, stdout, stderr)
		}
	})
	t.Run("folder", func(t *testing.T) {
		out := filepath.Join(t.TempDir(), "out")
		if stdout := must(t, build(t, env, "-o", out)); stdout != out+"\n" {
			t.Errorf("stdout is %q", stdout)
		}
		for _, file := range []string{"added.txt", plan.ConfigPath} {
			if _, err := os.Stat(filepath.Join(out, file)); err != nil {
				t.Error(err)
			}
		}
	})
	t.Run("archive", func(t *testing.T) {
		out := filepath.Join(t.TempDir(), "out.tar")
		must(t, build(t, env, "-o", "type=oci,dest="+out))
		if listed := must(t, command{"tar", []string{"-tf", out}, "", nil}); !strings.Contains(listed, "index.json") {
			t.Errorf("the archive holds\n%s", listed)
		}
	})
	t.Run("stdout", func(t *testing.T) {
		out := filepath.Join(t.TempDir(), "out.tar")
		if err := os.WriteFile(out, []byte(must(t, build(t, env, "-o", "-"))), 0o644); err != nil {
			t.Fatal(err)
		}
		if listed := must(t, command{"tar", []string{"-tf", out}, "", nil}); !strings.Contains(listed, strings.TrimPrefix(plan.ConfigPath, "/")) {
			t.Errorf("the archive holds\n%s", listed)
		}
	})
	t.Run("failed", func(t *testing.T) {
		out := filepath.Join(t.TempDir(), "out.tar")
		_, _, code := build(t, env, "--target", "nosuch", "-o", "type=oci,dest="+out).run(t)
		if left, _ := filepath.Glob(filepath.Join(filepath.Dir(out), "*")); code == 0 || len(left) > 0 {
			t.Errorf("exit code %d, and there are %q", code, left)
		}
	})
	t.Run("push", func(t *testing.T) {
		registry := os.Getenv("COVIFY_REGISTRY")
		if registry == "" {
			t.Skip("COVIFY_REGISTRY is not set: run under hack/with-all")
		}
		name, metadata := registry+"/solve/pushed:cov", filepath.Join(t.TempDir(), "metadata.json")
		stdout := must(t, build(t, env, "--push", "-t", name, "--metadata-file", metadata))
		if !strings.HasPrefix(stdout, name+"@sha256:") {
			t.Errorf("stdout is %q", stdout)
		}
		if data, err := os.ReadFile(metadata); err != nil || !strings.Contains(string(data), `"containerimage.digest"`) {
			t.Errorf("metadata %s, %v", data, err)
		}
		if pulled := must(t, covifyWith(t, env, "plan", "docker://"+strings.TrimSpace(stdout))); !strings.Contains(pulled, "cover") {
			t.Errorf("plan of what was pushed:\n%s", pulled)
		}
	})
	for _, name := range []string{"docker29", "docker20"} {
		t.Run("load/"+name, func(t *testing.T) {
			d := findDocker(t, name)
			image := "solve-loaded:cov"
			if stdout := must(t, build(t, d.env(), "--load", "-t", image)); stdout != image+"\n" {
				t.Errorf("stdout is %q", stdout)
			}
			d.measures(image)
		})
	}
}

// TestEngineStdin: a Dockerfile, or an archive with one, comes on stdin.
func TestEngineStdin(t *testing.T) {
	d := findDocker(t, "docker29")
	dir := project(t, "FROM "+d.load("slim")+"\nCOPY added.txt /added.txt\n")
	tar := filepath.Join(t.TempDir(), "context.tar")
	must(t, command{"tar", []string{"-cf", tar, "-C", dir, "."}, "", nil})
	plain := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(plain, []byte("FROM covify-test/slim\nLABEL from=stdin\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, file := range map[string]string{"archive": tar, "dockerfile": plain} {
		c := covifyWith(t, d.env(), "build", "-q", "-t", "solve-stdin:"+name, "-")
		stdin, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		p := exec.Command(c.program, c.args...)
		p.Env, p.Stdin = c.env, stdin
		if out, err := p.Output(); err != nil || !strings.HasPrefix(string(out), "sha256:") {
			t.Errorf("%s: %s, %v", name, out, err)
		}
		stdin.Close()
		d.isVariant("solve-stdin:"+name, "covify-test/slim")
	}
}
