//go:build unix

package runner_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/covify/covify/runner"
)

// realEngines are the engines of hack/engine, by the variable that says where one runs.
var realEngines = []struct{ variable, name, client string }{
	{"COVIFY_ENGINE_DOCKER29", "docker", "DOCKER_HOST"},
	{"COVIFY_ENGINE_DOCKER20", "docker", "DOCKER_HOST"},
	{"COVIFY_ENGINE_PODMAN", "podman", "CONTAINER_HOST"},
}

// program is measured in the tests; it says how it ends.
const program = `import os, signal, sys, threading, time
def work():
    return sum(range(10))
threading.Thread(target=work).start()
how = sys.argv[1]
print("ready", os.getuid(), sys.stdin.isatty(), flush=True)
if how == "wait":
    time.sleep(60)
elif how == "kill":
    os.kill(os.getpid(), signal.SIGKILL)
elif how == "_exit":
    os._exit(6)
sys.exit(int(how))
`

// bench is one engine with a variant in it and a project that runs it.
type bench struct {
	engine  runner.Engine
	variant string
	dir     string // the project; program is its prog.py
}

// TestEngine runs a real variant on each engine that is there: with hack/engine docker29,docker20,podman.
func TestEngine(t *testing.T) {
	for _, real := range realEngines {
		t.Run(strings.TrimPrefix(real.variable, "COVIFY_ENGINE_"), func(t *testing.T) {
			address := os.Getenv(real.variable)
			if address == "" {
				t.Skipf("needs %s: run under hack/engine", real.variable)
			}
			t.Setenv(real.client, address)
			t.Setenv("DOCKER_HOST", address) // for covify's docker-daemon:
			b := newBench(t, real.name)
			for name, test := range map[string]func(*testing.T, bench){
				"exits": testExits, "users": testUsers, "sigterm": testSIGTERM, "killed": testKilled, "config": testOwnConfig,
				"detached": testDetached, "nothing": testNothingMeasured, "note": testNote, "print": testPrint,
				"terminal": testTerminal, "overhead": testOverhead,
			} {
				t.Run(name, func(t *testing.T) {
					b.dir = project(t)
					test(t, b)
				})
			}
		})
	}
}

func newBench(t *testing.T, name string) bench {
	t.Helper()
	cache := os.Getenv("COVIFY_DEV_CACHE")
	if cache == "" {
		dir, err := os.UserCacheDir()
		if err != nil {
			t.Fatal(err)
		}
		cache = filepath.Join(dir, "covify-dev")
	}
	archive := filepath.Join(cache, "images", "debian.tar")
	if _, err := os.Stat(archive); err != nil {
		t.Skipf("needs a test image: run testimages/build debian: %v", err)
	}
	engine, err := runner.FindEngine(context.Background(), name, runner.Host{Env: os.Getenv, UID: os.Getuid()})
	if err != nil {
		t.Fatal(err)
	}
	covify := filepath.Join(t.TempDir(), "covify")
	output(t, "go", "build", "-o", covify, "../cmd/covify")
	output(t, engine.Path, "load", "-i", archive)
	variant := strings.TrimSpace(output(t, covify, "-q", "docker-daemon:covify-test/debian:latest"))
	return bench{engine: engine, variant: variant}
}

// output runs a command and returns its stdout.
func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	var stderr bytes.Buffer
	command := exec.Command(name, args...)
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, &stderr)
	}
	return string(out)
}

func project(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "prog.py"), []byte(program), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

// prepare makes a job of the program's run, with more engine flags before the image.
func (b bench) prepare(t *testing.T, how string, flags ...string) *runner.Job {
	t.Helper()
	return b.prepareArgs(t, append(b.flags(flags...), b.variant, "python3", "/prog.py", how))
}

func (b bench) flags(more ...string) []string {
	return append([]string{"--network=none", "-v", b.dir + "/prog.py:/prog.py"}, more...)
}

// asChild is a shell script that runs the program as any process but the first, which signals do not end, and passes
// SIGTERM on to it.
const asChild = `trap 'kill -TERM $p' TERM; python3 /prog.py %s & p=$!; wait $p; wait $p; exit $?`

func (b bench) prepareChild(t *testing.T, how string) *runner.Job {
	t.Helper()
	return b.prepareArgs(t, append(b.flags("--rm"), b.variant, "sh", "-c", fmt.Sprintf(asChild, how)))
}

func (b bench) prepareArgs(t *testing.T, args []string) *runner.Job {
	t.Helper()
	inv, err := runner.ParseArgs(args)
	if err != nil {
		t.Fatal(err)
	}
	job, err := runner.Prepare(context.Background(), inv, runner.Options{Engine: b.engine, Dir: b.dir})
	if err != nil {
		t.Fatal(err)
	}
	return job
}

func run(t *testing.T, job *runner.Job) (runner.Result, string) {
	t.Helper()
	var out, stderr bytes.Buffer
	result, err := job.Run(context.Background(), runner.Stdio{Out: &out, Err: &stderr})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v\n%s%s", result, &out, &stderr)
	return result, out.String()
}

func testExits(t *testing.T, b bench) {
	for how, want := range map[string]int{"0": 0, "3": 3, "_exit": 6} {
		result, _ := run(t, b.prepare(t, how, "--rm"))
		if result.ExitCode != want || len(result.DataFiles) != 1 || result.NoData != nil {
			t.Errorf("%s: got %+v, want exit code %d and one data file", how, result, want)
		}
	}
}

// testUsers writes data as other users, on a read-only root too, and deletes it again.
func testUsers(t *testing.T, b bench) {
	for _, flags := range [][]string{{"--user", "1000"}, {"--user", "65534:65534", "--read-only"}, {"--cap-drop=ALL"}} {
		job := b.prepare(t, "0", append(flags, "--rm")...)
		result, _ := run(t, job)
		if len(result.DataFiles) != 1 || result.NoData != nil {
			t.Errorf("%q: got %+v", flags, result)
		}
		for _, name := range result.DataFiles {
			if err := os.Remove(filepath.Join(job.DataDir, name)); err != nil {
				t.Error(err)
			}
		}
	}
}

// testSIGTERM stops a run as a CI job is stopped: the signal comes through and the data are there.
func testSIGTERM(t *testing.T, b bench) {
	job := b.prepareChild(t, "wait")
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	go func() {
		line := make([]byte, 100)
		if n, _ := out.Read(line); bytes.HasPrefix(line[:n], []byte("ready")) {
			time.Sleep(200 * time.Millisecond)
			_ = syscall.Kill(os.Getpid(), syscall.SIGTERM)
		}
	}()
	start := time.Now()
	result, err := job.Run(context.Background(), runner.Stdio{Out: in, Err: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	if result.ExitCode != 143 || len(result.DataFiles) != 1 || time.Since(start) > 30*time.Second {
		t.Errorf("got %+v after %v", result, time.Since(start))
	}
}

func testKilled(t *testing.T, b bench) {
	result, _ := run(t, b.prepareChild(t, "kill"))
	if result.ExitCode != 137 || result.NoData == nil || !strings.Contains(result.NoData.Reason, "SIGKILL") {
		t.Errorf("got %+v, %v", result, result.NoData)
	}
}

func testOwnConfig(t *testing.T, b bench) {
	text := "[tool.coverage.run]\nsource = [\"/nowhere\"]\nconcurrency = [\"multiprocessing\"]\n"
	if err := os.WriteFile(filepath.Join(b.dir, "pyproject.toml"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	job := b.prepare(t, "0", "--rm")
	if words := strings.Join(job.Words, "\n"); !strings.Contains(words, "thread added") {
		t.Errorf("says %q", words)
	}
	result, _ := run(t, job)
	if result.NoData == nil || !strings.Contains(result.NoData.Reason, "source = /nowhere of pyproject.toml") {
		t.Errorf("got %+v, %v", result, result.NoData)
	}
}

func testDetached(t *testing.T, b bench) {
	job := b.prepare(t, "0", "-d", "--name", fmt.Sprintf("covify-%d", time.Now().UnixNano()))
	result, out := run(t, job)
	if !result.Detached || result.NoData != nil || result.ExitCode != 0 {
		t.Errorf("got %+v", result)
	}
	output(t, b.engine.Path, "wait", strings.TrimSpace(out))
	output(t, b.engine.Path, "rm", strings.TrimSpace(out))
	if files, _ := filepath.Glob(filepath.Join(job.DataDir, ".coverage.*")); len(files) != 1 {
		t.Errorf("got %q", files)
	}
}

func testNothingMeasured(t *testing.T, b bench) {
	result, _ := run(t, b.prepareArgs(t, []string{"--rm", "--network=none", "--entrypoint", "sh", b.variant, "-c", "exit 0"}))
	if result.NoData == nil || !strings.Contains(result.NoData.Reason, "sh -c exit 0") {
		t.Errorf("got %+v, %v", result, result.NoData)
	}
}

// testNote has coverage refuse the settings: the application runs, and its hook says why there are no data.
func testNote(t *testing.T, b bench) {
	if err := os.WriteFile(filepath.Join(b.dir, ".coveragerc"), []byte("[run]\nconcurrency = nonsense\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	result, out := run(t, b.prepare(t, "0", "--rm"))
	if result.NoData == nil || !strings.Contains(result.NoData.Reason, "nonsense") || !strings.Contains(out, "ready") {
		t.Errorf("got %+v, %v", result, result.NoData)
	}
}

// testPrint has a shell run what is printed.
func testPrint(t *testing.T, b bench) {
	job := b.prepare(t, "0", "--rm", "-e", "A=it's $HOME")
	if out := output(t, "sh", "-c", job.Shell()); !strings.Contains(out, "ready") {
		t.Errorf("got %q", out)
	}
	if files, _ := filepath.Glob(filepath.Join(job.DataDir, ".coverage.*")); len(files) != 1 {
		t.Errorf("got %q", files)
	}
}

// testTerminal types Ctrl-C into docker run -it: the program has a terminal, is interrupted, and leaves its data.
func testTerminal(t *testing.T, b bench) {
	job := b.prepare(t, "wait", "--rm", "-it")
	out := output(t, "python3", append([]string{"testdata/terminal.py", os.Args[0], "child"}, job.Command...)...)
	if !strings.Contains(out, "ready 0 True") || !strings.Contains(out, "KeyboardInterrupt") || !strings.Contains(out, "exit code 130") {
		t.Errorf("got %q", out)
	}
	if files, _ := filepath.Glob(filepath.Join(job.DataDir, ".coverage.*")); len(files) != 1 {
		t.Errorf("got %q", files)
	}
}

// testOverhead measures all that comes before the engine's own run.
func testOverhead(t *testing.T, b bench) {
	best := time.Hour
	for range 5 {
		start := time.Now()
		engine, err := runner.FindEngine(context.Background(), b.engine.Name, runner.Host{Env: os.Getenv, UID: os.Getuid()})
		if err != nil {
			t.Fatal(err)
		}
		b.engine = engine
		b.prepare(t, "0")
		best = min(best, time.Since(start))
	}
	t.Logf("%v before %s run", best, b.engine.Name)
	if best > 100*time.Millisecond {
		t.Errorf("%v before %s run, at most 0.1 s is allowed", best, b.engine.Name)
	}
}
