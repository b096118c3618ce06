package testimages

import (
	"encoding/json"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// diagnosis is what covify doctor says as JSON.
type diagnosis struct {
	Kind   string
	Checks []struct{ Name, Outcome, Seen, Mend string }
}

// of returns the checks with an outcome, as "name: seen".
func (d diagnosis) of(outcome string) []string {
	var all []string
	for _, c := range d.Checks {
		if c.Outcome == outcome {
			all = append(all, c.Name+": "+c.Seen)
		}
	}
	return all
}

func doctor(t *testing.T, dir string, e *engine, args ...string) (diagnosis, int) {
	t.Helper()
	stdout, stderr, code := runCommand(t, dir, e.env(), covifyBin, append([]string{"doctor", "--json"}, args...)...)
	var d diagnosis
	if err := json.Unmarshal([]byte(stdout), &d); err != nil {
		t.Fatalf("covify doctor %s: exit code %d, %v\n%s%s", args, code, err, stdout, stderr)
	}
	words, _, _ := runCommand(t, dir, e.env(), covifyBin, append([]string{"doctor"}, args...)...)
	t.Logf("$ covify doctor %s\n%s%s", strings.Join(args, " "), words, stderr)
	return d, code
}

// expectFirst fails unless the first problem is the one planted, with a command that mends it.
func expectFirst(t *testing.T, d diagnosis, code int, check, seen string) {
	t.Helper()
	first := slices.IndexFunc(d.Checks, func(c struct{ Name, Outcome, Seen, Mend string }) bool { return c.Outcome == "problem" })
	if code != 1 || first < 0 {
		t.Errorf("exit code %d, no problem found; want %s: %s", code, check, seen)
		return
	}
	if c := d.Checks[first]; c.Name != check || !strings.Contains(c.Seen, seen) || c.Mend == "" {
		t.Errorf("first problem %+v, want %s: %s", c, check, seen)
	}
}

func expectClean(t *testing.T, d diagnosis, code int, kind string) {
	t.Helper()
	if found := append(d.of("problem"), d.of("warning")...); code != 0 || len(found) > 0 || d.Kind != kind {
		t.Errorf("a clean %s: exit code %d, %s, %q", kind, code, d.Kind, found)
	}
}

const doctorProgram = `import shop.pricing
print("ready", flush=True)
`

// TestEngineDoctor: of an image and of containers with planted faults the first problem is the fault; clean ones have none.
func TestEngineDoctor(t *testing.T) {
	e := findEngine(t, "docker29")
	services := doctorServices(t)
	slim := services["slim"]
	const image, variant = "covify-test/doctor:1", "covify-test/doctor:1-cov"
	e.load(t, slim.archive(), image)
	project := sessionProject(t, services, e)
	const wait = doctorProgram + "import time; time.sleep(600)"

	start := func(name string, args ...string) {
		t.Helper()
		e.run(t, append([]string{"run", "-d", "--init", "--network=none", "--name", name}, args...)...)
	}
	t.Cleanup(func() {
		for _, name := range []string{"plain", "noenv", "readonly", "unreadable", "clean", "kept", "ended", "shell"} {
			_, _, _ = runCommand(t, "", e.env(), e.command, "rm", "-f", name)
		}
	})

	start("plain", image, "-c", wait)
	d, code := doctor(t, project, e, "plain")
	expectFirst(t, d, code, "variant", "is not covified")
	d, code = doctor(t, project, e, image)
	expectFirst(t, d, code, "variant", "it is not covified")
	d, code = doctor(t, project, e, "--fix", image)
	expectClean(t, d, code, "image")
	if !slices.ContainsFunc(d.of("ok"), func(s string) bool { return strings.HasPrefix(s, "base: ") }) {
		t.Errorf("the base was not looked at: %q", d.of("ok"))
	}

	start("noenv", "-e", "COVERAGE_PROCESS_START=", "-v", openFolder(t)+":/app/coverage_data", variant, "-c", wait)
	d, code = doctor(t, project, e, "noenv")
	expectFirst(t, d, code, "environment", "COVERAGE_PROCESS_START is empty")

	start("readonly", "-v", openFolder(t)+":/app/coverage_data:ro", variant, "-c", wait)
	d, code = doctor(t, project, e, "readonly")
	expectFirst(t, d, code, "mount", "mounted read-only")

	settings := openFolder(t)
	if err := os.WriteFile(filepath.Join(settings, "rc"), []byte("[run]\nparallel = true\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	start("unreadable", "-e", "COVERAGE_PROCESS_START=/app/coverage_data/rc", "-v", settings+":/app/coverage_data", variant, "-c", wait)
	d, code = doctor(t, project, e, "unreadable")
	expectFirst(t, d, code, "settings", "UID 1000 cannot use /app/coverage_data/rc")

	start("kept", variant, "-c", wait)
	d, code = doctor(t, project, e, "kept")
	if code != 0 || !slices.ContainsFunc(d.of("warning"), func(s string) bool { return strings.HasPrefix(s, "mount: nothing is mounted") }) {
		t.Errorf("without a mount: exit code %d, %q", code, d.of("warning"))
	}

	start("shell", "-v", openFolder(t)+":/app/coverage_data", "--entrypoint", "sh", variant, "-c", "python -S -c 'import time; time.sleep(600)'; true")
	d, code = doctor(t, project, e, "shell")
	said := strings.Join(d.of("warning"), "\n")
	if code != 0 || !strings.Contains(said, "command: ") || !strings.Contains(said, "Python's flag -S") {
		t.Errorf("a shell with python -S: exit code %d, %s", code, said)
	}

	output(t, project, e.env(), covifyBin, "run", "-d", "--network=none", "--name", "clean", image, "-c", wait)
	time.Sleep(time.Second)
	d, code = doctor(t, project, e, "clean")
	expectClean(t, d, code, "container")

	output(t, project, e.env(), covifyBin, "run", "--network=none", "--name", "ended", image, "-c", doctorProgram)
	d, code = doctor(t, project, e, "ended")
	expectClean(t, d, code, "container")
	if !slices.ContainsFunc(d.of("ok"), func(s string) bool { return strings.HasPrefix(s, "paths: ") }) {
		t.Errorf("the data were not looked at: %q", d.of("ok"))
	}
	d, code = doctor(t, project, e)
	expectClean(t, d, code, "checkout")
}

// doctorServices are the test images that sessionProject wants.
func doctorServices(t *testing.T) map[string]*testCase {
	t.Helper()
	services := map[string]*testCase{}
	for _, c := range cases(t) {
		if c.name == "slim" || c.name == "debian" {
			services[c.name] = c
		}
	}
	return services
}

func openFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	return dir
}

// wire passes on what goes to an engine's socket until it is cut, as it is when the engine dies.
type wire struct {
	listener net.Listener
	mutex    sync.Mutex
	open     []net.Conn
	down     bool
}

func newWire(t *testing.T, socket string) (*wire, string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "wire")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "s")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{listener: listener}
	t.Cleanup(func() { w.cut(); os.RemoveAll(dir) })
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("unix", socket)
			if err != nil {
				near.Close()
				continue
			}
			if !w.keep(near, far) {
				return
			}
			go passOn(near, far)
			go passOn(far, near)
		}
	}()
	return w, path
}

func (w *wire) keep(conns ...net.Conn) bool {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.open = append(w.open, conns...)
	return !w.down
}

// passOn copies one direction to its end and passes that on too.
func passOn(to, from net.Conn) {
	_, _ = io.Copy(to, from)
	if half, ok := to.(*net.UnixConn); ok {
		_ = half.CloseWrite()
	}
}

func (w *wire) cut() {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.down = true
	w.listener.Close()
	for _, conn := range w.open {
		conn.Close()
	}
}

// TestEngineGone: an engine that goes away while covify run waits for its container is named as the cause, at once, and the session
// reports the host's part.
func TestEngineGone(t *testing.T) {
	e := findEngine(t, "docker29")
	venv := sessionVenv(t)
	services := doctorServices(t)
	slim := services["slim"]
	e.load(t, slim.archive(), "covify-test/gone:1")
	project := sessionProject(t, services, e)
	w, socket := newWire(t, strings.TrimPrefix(e.address, "unix://"))
	env := map[string]string{"DOCKER_HOST": "unix://" + socket, "PATH": strings.Join([]string{filepath.Join(venv, "bin"), os.Getenv("PATH")}, ":")}
	t.Cleanup(func() { _, _, _ = runCommand(t, "", e.env(), e.command, "rm", "-f", "gone") })
	go func() {
		for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
			if out, _, code := runCommand(t, "", e.env(), e.command, "logs", "gone"); code == 0 && strings.Contains(out, "ready") {
				break
			}
		}
		w.cut()
	}()
	const script = `python -c 'import client; client.price(2)'
` + `"$0" run --engine docker --network=none --name gone covify-test/gone:1 -c 'print("ready", flush=True); import time; time.sleep(600)'`
	began := time.Now()
	stdout, stderr, code := runCommand(t, project, env, covifyBin, "test", "--", "sh", "-c", script, covifyBin)
	t.Logf("exit code %d after %s\n%s%s", code, time.Since(began), stdout, stderr)
	if code == 0 {
		t.Error("the session ended with 0")
	}
	if !strings.Contains(stdout, "client.py") || !strings.Contains(stderr, "host: covered") {
		t.Error("the host's part is not reported")
	}
	if !strings.Contains(stderr, "covify-test/gone:1") || !strings.Contains(stderr, "stopped answering while the container ran") {
		t.Error("the container's end is not explained")
	}
}
