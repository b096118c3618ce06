package testimages

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// sessionTests is the test suite of a project whose tests start containers with the covify on PATH.
const sessionTests = `import subprocess

import client


def run(*args):
    return subprocess.run(["covify", "run", "--engine", "ENGINE", "--rm", "--network=none", *args], capture_output=True, text=True)


def test_shop():
    done = run("--name", "shop", "covify-test/slim:1")
    assert done.returncode == 0, done.stderr
    assert client.price(2) == 4


def test_batch():
    done = run("covify-test/debian:1")
    assert done.returncode == BATCH, done.stderr


def test_printed():
    line = run("--print", "--name", "printed", "covify-test/debian:1").stdout
    assert subprocess.run(line, shell=True, capture_output=True).returncode == BATCH


def test_detached(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run("-d", "--name", "detached", "covify-test/slim:1").returncode == 0
    assert subprocess.run(["ENGINE", "wait", "detached"], capture_output=True, text=True).stdout == "0\n"


def test_missing():
    assert run("--pull=never", "covify-test/no-such-image:1").returncode != 0


def test_shell():
    assert run("--entrypoint", "sh", "covify-test/slim:1", "-c", "exit 7").returncode == 7
`

const sessionClient = `def price(n):
    if n > 100:
        return 0
    return 2 * n
`

// TestEngineSession: one command in front of pytest gives one report of the tests and of the containers that they start, with the
// same lines and arcs as coverage run has of each part alone, and a ledger of the containers.
func TestEngineSession(t *testing.T) {
	e := findEngine(t, "docker29")
	venv := sessionVenv(t)
	bin := t.TempDir()
	if err := os.Symlink(covifyBin, filepath.Join(bin, "covify")); err != nil {
		t.Fatal(err)
	}
	env := e.env()
	env["PATH"] = strings.Join([]string{bin, filepath.Join(venv, "bin"), os.Getenv("PATH")}, ":")
	services := map[string]*testCase{}
	for _, c := range cases(t) {
		if c.name == "slim" || c.name == "debian" {
			services[c.name] = c
			e.load(t, c.archive(), c.Image+":1")
		}
	}
	project := sessionProject(t, services, e)

	stdout, stderr, code := runCommand(t, project, env, covifyBin, "test", "--ledger=ledger.json", "--html=pages", "--require=host,shop,debian", "--",
		"pytest", "-q", "-p", "no:cacheprovider")
	if code != 0 {
		t.Fatalf("covify test: exit code %d\n%s%s", code, stdout, stderr)
	}
	t.Logf("%s%s", stdout, stderr)
	sessions, err := filepath.Glob(filepath.Join(project, ".covify/session/*"))
	if err != nil || len(sessions) != 1 {
		t.Fatalf("sessions %q, %v", sessions, err)
	}
	want := hostOracle(t, services, e, env, filepath.Join(venv, "bin", "coverage"))
	for name, c := range services {
		rcfiles, err := filepath.Glob(filepath.Join(sessions[0], "containers", name+"-1-*", ".coveragerc"))
		if err != nil || len(rcfiles) == 0 {
			t.Fatalf("no settings of a container of %s, %v", name, err)
		}
		for path, ran := range oracle(t, c, e, rcfiles[0]) {
			if file, ok := c.Files[path]; ok {
				path = name + "/" + file
			}
			want[path] = ran
		}
	}
	compare(t, want, combined(t, filepath.Join(sessions[0], "coverage")))

	var ledger struct {
		Host       struct{ Outcome string }
		Containers []struct {
			Image, Name, Digest, Outcome, Ending string
			ExitCode                             int `json:"exit_code"`
			Files, Lines                         int
		}
	}
	text, err := os.ReadFile(filepath.Join(project, "ledger.json"))
	if err == nil {
		err = json.Unmarshal(text, &ledger)
	}
	if err != nil || ledger.Host.Outcome != "covered" || len(ledger.Containers) != 6 {
		t.Fatalf("ledger %s, %v", text, err)
	}
	got := map[string]string{}
	for _, c := range ledger.Containers {
		got[c.Image+" "+c.Name] += fmt.Sprintf("%s %d %s", c.Ending, c.ExitCode, c.Outcome)
		if (c.Outcome == "covered") != (c.Lines > 0 && c.Files > 0) || strings.HasPrefix(c.Digest, "sha256:") != (c.Ending != "not started") {
			t.Errorf("ledger: %+v", c)
		}
	}
	for container, want := range map[string]string{
		"covify-test/slim:1 shop":      "exited 0 covered",
		"covify-test/debian:1 ":        "exited 4 covered",
		"covify-test/debian:1 printed": "printed 0 covered",
		"covify-test/slim:1 detached":  "detached 0 covered",
		"covify-test/slim:1 ":          "exited 7 not Python",
		"covify-test/no-such-image:1 ": "not started 0 failed",
	} {
		if got[container] != want {
			t.Errorf("container %s: %q, want %q", container, got[container], want)
		}
	}
	for _, page := range []string{"index.html", "ledger.html", "ledger.json"} {
		if _, err := os.Stat(filepath.Join(project, "pages", page)); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(filepath.Join(project, ".covify", "data")); err == nil {
		t.Error("covify run used its own data directory in the session")
	}
}

// sessionProject is a checkout with the sources of the services, host code and tests.
func sessionProject(t *testing.T, services map[string]*testCase, e *engine) string {
	t.Helper()
	project := t.TempDir()
	files := map[string]string{
		"client.py": sessionClient, "conftest.py": "", ".coveragerc": "[run]\nbranch = true\n",
		"tests/test_all.py": strings.NewReplacer("ENGINE", e.command, "BATCH", string(rune('0'+services["debian"].Exit))).Replace(sessionTests),
	}
	for name, c := range services {
		for _, file := range c.Files {
			text, err := os.ReadFile(filepath.Join(name, file))
			if err != nil {
				t.Fatal(err)
			}
			files[name+"/"+file] = string(text)
		}
	}
	for name, text := range files {
		path := filepath.Join(project, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return project
}

// hostOracle is what coverage run says of the tests, whose containers leave their data elsewhere then.
func hostOracle(t *testing.T, services map[string]*testCase, e *engine, env map[string]string, coverage string) measured {
	t.Helper()
	project := sessionProject(t, services, e)
	output(t, project, env, coverage, "run", "-p", "-m", "pytest", "-q", "-p", "no:cacheprovider")
	want := measured{}
	for path, ran := range dump(t, project) {
		rel, err := filepath.Rel(project, path)
		if err != nil {
			t.Fatal(err)
		}
		want[rel] = ran
	}
	return want
}

// combined is what a combined data file holds.
func combined(t *testing.T, file string) measured {
	t.Helper()
	text, err := os.ReadFile(file)
	dir := t.TempDir()
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, ".coverage.combined"), text, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dump(t, dir)
}

// sessionVenv is a virtual environment with pytest and coverage, made once a machine from the index that pip is configured with.
func sessionVenv(t *testing.T) string {
	t.Helper()
	cache := filepath.Dir(filepath.Dir((&testCase{}).archive()))
	venv := filepath.Join(cache, "session-venv")
	done := filepath.Join(venv, "complete")
	if _, err := os.Stat(done); err == nil {
		return venv
	}
	output(t, "", nil, "python3", "-m", "venv", "--clear", venv)
	output(t, "", nil, filepath.Join(venv, "bin", "pip"), "install", "--quiet", "pytest", "coverage")
	if err := os.WriteFile(done, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	return venv
}
