package testimages

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// composeServices are the Python services of testdata/compose, all in /app, and their programs.
var composeServices = map[string]string{"catalog": "main.py", "worker": "main.py", "batch": "batch.py"}

// composed is a copy of testdata/compose for an engine with compose.
type composed struct {
	*engine
	dir  string
	slim *testCase
	bin  string
}

func newComposed(t *testing.T) *composed {
	t.Helper()
	c := &composed{engine: findEngine(t, "docker29"), dir: t.TempDir(), bin: t.TempDir()}
	for _, image := range cases(t) {
		if image.name == "slim" || image.name == "nopython" {
			c.load(t, image.archive(), image.Image+":1")
		}
		if image.name == "slim" {
			c.slim = image
		}
	}
	if err := os.CopyFS(c.dir, os.DirFS("testdata/compose")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(covifyBin, filepath.Join(c.bin, "covify")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.command(t, "docker", "compose", "--profile=more", "down", "--remove-orphans", "--timeout=1") })
	return c
}

func (c *composed) command(t *testing.T, words ...string) (stdout, stderr string, code int) {
	t.Helper()
	env := c.env()
	env["PATH"] = c.bin + ":" + os.Getenv("PATH")
	env["COMPOSE_PROGRESS"] = "quiet"
	program := words[0]
	if program == "covify" {
		program = covifyBin // the PATH given here is the child's, not that by which it is found
	}
	return runCommand(t, c.dir, env, program, words[1:]...)
}

// must is command for what has to end with a code.
func (c *composed) must(t *testing.T, want int, words ...string) (stdout, stderr string) {
	t.Helper()
	stdout, stderr, code := c.command(t, words...)
	if code != want {
		t.Fatalf("%s: exit code %d, want %d\n%s%s", strings.Join(words, " "), code, want, stdout, stderr)
	}
	return stdout, stderr
}

// settings is a copy of the settings that a service is measured with.
func (c *composed) settings(t *testing.T) (file string) {
	t.Helper()
	c.must(t, 0, "covify", "compose", "--print", "up", "catalog")
	text, err := os.ReadFile(filepath.Join(c.dir, ".covify", "data", "catalog", ".coveragerc"))
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "settings")
	if err := errors.Join(os.WriteFile(file, text, 0o644), os.RemoveAll(filepath.Join(c.dir, ".covify"))); err != nil {
		t.Fatal(err)
	}
	return file
}

// oracle is what coverage run says of each service's program, started by plain docker compose with an override made by hand.
func (c *composed) oracle(t *testing.T, settings string) measured {
	t.Helper()
	type service struct {
		Entrypoint  []string          `json:"entrypoint"`
		Command     []string          `json:"command"`
		Environment map[string]string `json:"environment"`
		Volumes     []string          `json:"volumes"`
	}
	override := map[string]map[string]service{"services": {}}
	data := t.TempDir()
	text, err := os.ReadFile(settings)
	if err != nil {
		t.Fatal(err)
	}
	var volumes []string
	for i, word := range wheelMounts(t, c.slim, "") {
		if i%2 == 1 {
			volumes = append(volumes, word)
		}
	}
	for name, program := range composeServices {
		dir := filepath.Join(data, name)
		makeOpen(t, dir)
		if err := os.WriteFile(filepath.Join(dir, ".coveragerc"), text, 0o644); err != nil {
			t.Fatal(err)
		}
		override["services"][name] = service{
			Entrypoint:  []string{"python", "-m", "coverage", "run", "--rcfile=/app/coverage_data/.coveragerc"},
			Command:     []string{program},
			Environment: map[string]string{"COVERAGE_FILE": "/app/coverage_data/.coverage"},
			Volumes:     append(slices.Clone(volumes), dir+":/app/coverage_data"),
		}
	}
	file := filepath.Join(data, "oracle.json")
	text, err = json.Marshal(override)
	if err == nil {
		err = os.WriteFile(file, text, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	files := []string{"docker", "compose", "-f", "compose.yaml", "-f", "compose.override.yaml", "-f", file}
	c.must(t, 3, append(files, "up", "--exit-code-from=batch")...)
	c.must(t, 0, append(files, "down")...)
	want := measured{}
	for name, program := range composeServices {
		for path, ran := range dumpWith(t, filepath.Join(data, name), "oracle") {
			want[name+"/"+strings.TrimPrefix(path, "/app/")] = ran
		}
		if len(want[name+"/"+program].Lines) == 0 {
			t.Fatalf("the oracle measured nothing of %s", name)
		}
	}
	return want
}

// composeLedger is what the ledger says of each container: "service name: ending code outcome".
func (c *composed) composeLedger(t *testing.T) []string {
	t.Helper()
	var ledger struct {
		Containers []struct {
			Service, Name, Container, Image, Digest, Outcome, Ending string
			ExitCode                                                 int `json:"exit_code"`
		}
	}
	text, err := os.ReadFile(filepath.Join(c.dir, "ledger.json"))
	if err == nil {
		err = json.Unmarshal(text, &ledger)
	}
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, l := range ledger.Containers {
		name := strings.TrimPrefix(l.Name, "covify-compose-")
		if strings.Contains(name, "-run-") || name == "" {
			name = "run"
		}
		lines = append(lines, fmt.Sprintf("%s %s: %s %d %s", l.Service, name, l.Ending, l.ExitCode, l.Outcome))
		if l.Outcome == "covered" && !strings.HasPrefix(l.Digest, "sha256:") {
			t.Errorf("%+v: no digest", l)
		}
		if l.Container == "" && name != "run" {
			t.Errorf("%+v: no container", l)
		}
	}
	slices.Sort(lines)
	return lines
}

func (c *composed) sessionData(t *testing.T) (dir string) {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(c.dir, ".covify/session/*"))
	if err != nil || len(found) != 1 {
		t.Fatalf("sessions %q, %v", found, err)
	}
	return found[0]
}

// TestEngineCompose: services that all live in /app, two of them with a main.py, are measured as coverage run measures each, in a
// session and without, whether their containers end before the session does or not.
func TestEngineCompose(t *testing.T) {
	c := newComposed(t)
	session := []string{"covify", "test", "--ledger=ledger.json", "--require=catalog,worker,batch", "--", "sh", "-ec"}
	want := c.oracle(t, c.settings(t))
	t.Run("session", func(t *testing.T) {
		script := "covify compose --profile=more up -d --wait catalog worker cache; rc=0; covify compose run --rm batch || rc=$?; test $rc = 3; covify compose --profile=more down"
		stdout, stderr := c.must(t, 0, append(slices.Clone(session), script)...)
		t.Logf("%s%s", stdout, stderr)
		compare(t, want, combined(t, filepath.Join(c.sessionData(t), "coverage")))
		wantLedger := []string{"batch run: exited 3 covered", "cache cache-1: exited 143 not Python", "catalog catalog-1: exited 143 covered",
			"worker worker-1: exited 143 covered"}
		if got := c.composeLedger(t); !slices.Equal(got, wantLedger) {
			t.Errorf("ledger %q, want %q", got, wantLedger)
		}
		if left := c.run(t, "ps", "-aq", "--filter=label=com.docker.compose.project=covify-compose"); left != "" {
			t.Errorf("containers are left: %s", left)
		}
	})
	t.Run("left running", func(t *testing.T) {
		c.must(t, 0, append(slices.Clone(session), "covify compose up -d --wait catalog worker; covify compose run --rm batch || test $? = 3")...)
		if running := c.run(t, "ps", "-q", "--filter=label=com.docker.compose.project=covify-compose"); strings.Count(running, "\n") != 2 {
			t.Errorf("running: %q", running)
		}
		compare(t, want, combined(t, filepath.Join(c.sessionData(t), "coverage")))
		c.must(t, 0, "docker", "compose", "down", "--timeout=1")
	})
	t.Run("foreground", func(t *testing.T) {
		_, stderr := c.must(t, 3, "covify", "compose", "up", "--exit-code-from=batch")
		if !strings.Contains(stderr, "covify report shows them") {
			t.Errorf("says %s", stderr)
		}
		c.must(t, 0, "covify", "compose", "down")
		stdout, _ := c.must(t, 0, "covify", "report")
		t.Log(stdout)
		compare(t, want, combined(t, filepath.Join(c.dir, ".covify", "coverage")))
	})
	t.Run("killed", func(t *testing.T) {
		c.must(t, 0, append(slices.Clone(session[:3]), "--", "sh", "-ec", "covify compose up -d --wait worker; covify compose kill worker; covify compose rm -f")...)
		compare(t, of("worker", want), combined(t, filepath.Join(c.sessionData(t), "coverage")))
		if got := c.composeLedger(t); !slices.Equal(got, []string{"worker worker-1: exited 137 covered"}) {
			t.Errorf("ledger %q", got)
		}
	})
	t.Run("printed", func(t *testing.T) {
		c.must(t, 0, append(slices.Clone(session[:3]), "--", "sh", "-ec", `eval "$(covify compose --print up -d --wait worker)"`)...)
		compare(t, of("worker", want), combined(t, filepath.Join(c.sessionData(t), "coverage")))
		c.must(t, 0, "docker", "compose", "down")
	})
	t.Run("interrupted", func(t *testing.T) {
		if err := os.RemoveAll(filepath.Join(c.dir, ".covify")); err != nil {
			t.Fatal(err)
		}
		// A shell that is the first process passes no signal on.
		shell := "services: {worker: {init: false, stop_grace_period: 1s, entrypoint: [sh, -c, 'python main.py; true']}}"
		if err := os.WriteFile(filepath.Join(c.dir, "shell.yaml"), []byte(shell), 0o644); err != nil {
			t.Fatal(err)
		}
		files := "-f compose.yaml -f compose.override.yaml -f shell.yaml"
		c.must(t, 0, "sh", "-ec", "covify compose "+files+" up worker & pid=$!; "+
			"until docker compose ps | grep -q healthy; do sleep 0.1; done; kill -INT $pid; wait $pid || test $? = 130; covify report")
		compare(t, of("worker", want), combined(t, filepath.Join(c.dir, ".covify", "coverage")))
	})
}

// of is what was measured of one service.
func of(service string, all measured) measured {
	some := measured{}
	for path, ran := range all {
		if strings.HasPrefix(path, service+"/") {
			some[path] = ran
		}
	}
	return some
}

// TestEngineComposeFeatures: what a project can say of its services goes on to hold when they are measured.
func TestEngineComposeFeatures(t *testing.T) {
	c := newComposed(t)
	c.dir = t.TempDir()
	if err := os.CopyFS(c.dir, os.DirFS("testdata/compose-features")); err != nil {
		t.Fatal(err)
	}
	makeOpen(t, filepath.Join(c.dir, "mine"))
	t.Cleanup(func() { c.command(t, "docker", "compose", "down", "--volumes", "--timeout=1") })
	script := `covify compose up
test "$(docker inspect covify-features-mounted-1 --format '{{index .Config.Labels "from-b"}}')" = 1
docker inspect covify-features-environment-1 --format '{{.Config.Env}}' | grep -F 'MONEY=a$b'
docker inspect covify-features-root-1 --format '{{.HostConfig.NetworkMode}} {{.HostConfig.ReadonlyRootfs}} {{.Config.User}}' | grep -x 'host true root'
covify compose down
cat a.yaml | covify compose -f - run --rm replicas python /src/which.py stdin`
	_, stderr := c.must(t, 0, "covify", "test", "--ledger=ledger.json", "--", "sh", "-ec", script)
	t.Log(stderr)
	var lines []int
	for path, ran := range combined(t, filepath.Join(c.sessionData(t), "coverage")) {
		if path != "src/which.py" {
			t.Errorf("%s was measured", path)
		}
		lines = ran.Lines
	}
	// Every name's line but that of the volume, whose data stay in it.
	if want := []int{1, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17}; !slices.Equal(lines, want) {
		t.Errorf("lines %v, want %v", lines, want)
	}
	want := []string{
		"environment covify-features-environment-1: exited 0 covered", "included covify-features-included-1: exited 0 covered",
		"mounted covify-features-mounted-1: exited 0 covered", "replicas covify-features-replicas-1: exited 0 covered",
		"replicas covify-features-replicas-2: exited 0 covered", "replicas covify-features-replicas-3: exited 0 covered",
		"replicas run: exited 0 covered", "root covify-features-root-1: exited 0 covered", "volume covify-features-volume-1: exited 0 failed",
	}
	if got := c.composeLedger(t); !slices.Equal(got, want) {
		t.Errorf("ledger %q, want %q", got, want)
	}
}

// TestEngineComposeWrongUse: what cannot be started says so with compose's words or covify's, and starts nothing.
func TestEngineComposeWrongUse(t *testing.T) {
	c := newComposed(t)
	for _, test := range []struct {
		words, want string
		code        int
	}{
		{"up nosuch", "no such service: nosuch", 1},
		{"-f nosuch.yaml up", "nosuch.yaml", 1},
		{"--data-dir=/proc/x up catalog", "data directory \"/proc/x/catalog\"", 1},
		{"--rcfile=nosuch up catalog", "nosuch", 1},
		{"up --no-build catalog", "--no-build is given", 1},
		{"--engine=lxc up", "docker, podman, nerdctl", 2},
	} {
		if strings.Contains(test.words, "no-build") {
			c.command(t, "docker", "rmi", "-f", "covify-compose-catalog")
		}
		_, stderr := c.must(t, test.code, append([]string{"covify", "compose"}, strings.Fields(test.words)...)...)
		if !strings.Contains(stderr, test.want) {
			t.Errorf("%s: says %s", test.words, stderr)
		}
	}
	if left := c.run(t, "ps", "-aq", "--filter=label=com.docker.compose.project=covify-compose"); left != "" {
		t.Errorf("containers were started: %s", left)
	}
}
