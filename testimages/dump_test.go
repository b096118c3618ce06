package testimages

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// dumpEngines are the engines on which covify dump is tried.
var dumpEngines = []string{"docker29", "docker20", "podman"}

// TestEngineDump: covify dump brings what ran until then, wherever the data of a container are, and a reset tells start-up from the rest.
func TestEngineDump(t *testing.T) {
	docker29 := findEngine(t, "docker29")
	buildEnds(t, docker29)
	archive := filepath.Join(t.TempDir(), "ends.tar")
	docker29.run(t, "save", "-o", archive, endsImage)
	for _, name := range dumpEngines {
		t.Run(name, func(t *testing.T) {
			e := findEngine(t, name)
			if name != "docker29" {
				e.load(t, archive, endsImage)
			}
			for where, flags := range map[string][]string{
				"bind":         nil,
				"volume":       {"-v", "ends-data:/app/coverage_data"},
				"tmpfs":        {"--tmpfs", "/app/coverage_data:mode=1777"},
				"another user": {"--user=1234", "--read-only"},
			} {
				t.Run(where, func(t *testing.T) { dumpFrom(t, e, flags) })
			}
		})
	}
}

// dumpFrom starts a container, moves its start-up's data here, and then the rest.
func dumpFrom(t *testing.T, e *engine, flags []string) {
	dir, name := t.TempDir(), "dump-"+e.name
	covify := func(args ...string) string {
		t.Helper()
		return output(t, dir, e.env(), covifyBin, args...)
	}
	words := slices.Concat([]string{"run", "--engine", e.command, "-d", "--name", name, "--network=none", "--data-dir=data"}, flags, []string{endsImage, "python", "loop.py"})
	if slices.Contains(flags, "-v") || slices.Contains(flags, "--tmpfs") {
		words = slices.DeleteFunc(words, func(word string) bool { return word == "--data-dir=data" })
	}
	covify(words...)
	t.Cleanup(func() { e.run(t, "rm", "-f", name) })
	e.says(t, name, "ready")
	covify("dump", "--engine", e.command, "--reset", "--output=startup", name)
	if e.logged(t, name, "late") {
		t.Skip("this machine is too slow: it did all before it was told to begin anew")
	}
	e.says(t, name, "late")
	var all []struct {
		Container string
		Processes []struct {
			PID         int
			File, Error string
		}
		Files []string
	}
	if err := json.Unmarshal([]byte(covify("dump", "--engine", e.command, "--json", "-o", "rest", name)), &all); err != nil {
		t.Fatal(err)
	}
	if len(all) != 1 || all[0].Container != name || len(all[0].Processes) != 1 || all[0].Processes[0].File == "" || all[0].Processes[0].Error != "" || len(all[0].Files) != 1 {
		t.Errorf("JSON: %+v", all)
	}
	startup, rest := dump(t, filepath.Join(dir, "startup")), dump(t, filepath.Join(dir, "rest"))
	first, ready, late := lineOf(t, "import sys"), lineOf(t, `here("ready")`), lineOf(t, `here("late")`)
	if got := startup["/app/loop.py"].Lines; !slices.Contains(got, first) || !slices.Contains(got, ready) || slices.Contains(got, late) {
		t.Errorf("start-up: lines %v", got)
	}
	if got := rest["/app/loop.py"].Lines; slices.Contains(got, first) || slices.Contains(got, ready) || !slices.Contains(got, late) {
		t.Errorf("the rest: lines %v", got)
	}
}

// lineOf is the number of the first line of loop.py that ends so.
func lineOf(t *testing.T, text string) int {
	t.Helper()
	source, err := os.ReadFile("testdata/ends/loop.py")
	if err != nil {
		t.Fatal(err)
	}
	return 1 + slices.IndexFunc(strings.Split(string(source), "\n"), func(line string) bool { return strings.HasSuffix(line, text) })
}

func (e *engine) logged(t *testing.T, container, words string) bool {
	t.Helper()
	return strings.Contains(e.run(t, "logs", container), words)
}

// says waits until a container has said something.
func (e *engine) says(t *testing.T, container, words string) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !e.logged(t, container, words); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s does not say %q", container, words)
		}
	}
}

// TestEngineDumpRefuses: what covify dump cannot do it says, with the exit code for it.
func TestEngineDumpRefuses(t *testing.T) {
	e := findEngine(t, "docker29")
	buildEnds(t, e)
	plain := "covify-test/plain:1"
	output(t, "", e.env(), "docker", slices.Concat([]string{"build", "--quiet", "--provenance=false", "--tag", plain}, buildFlags(t, e), []string{"testdata/ends"})...)
	for name, words := range map[string][]string{
		"variant":  {endsImage, "sleep", "1000"},
		"plain":    {plain, "sleep", "1000"},
		"unswitch": {"--env=COVERAGE_PROCESS_START=", endsImage, "python", "loop.py"},
		"ended":    {endsImage, "true"},
		"stuck":    {endsImage, "python", "-c", "import hashlib\nprint('ready', flush=True)\nhashlib.pbkdf2_hmac('sha256', b'', b'', 10**9)"},
	} {
		e.run(t, slices.Concat([]string{"run", "-d", "--name", name, "--network=none"}, words)...)
		t.Cleanup(func() { e.run(t, "rm", "-f", name) })
	}
	e.says(t, "stuck", "ready")
	for _, c := range []struct {
		args  []string
		code  int
		words string
	}{
		{[]string{"variant"}, 1, "no measured Python process runs in it"},
		{[]string{"unswitch"}, 1, "no measured Python process runs in it"},
		{[]string{"plain"}, 1, "is no variant"},
		{[]string{"ended"}, 1, "is not running"},
		{[]string{"nowhere"}, 1, "does not have it"},
		{[]string{"stuck", "--timeout=300ms"}, 1, "no answer within 0.3 s"},
		{[]string{"--timeout=300ms"}, 1, "no answer within 0.3 s"},
		{[]string{"--timeout=0s"}, 2, "--timeout"},
	} {
		begun := time.Now()
		_, stderr, code := runCommand(t, "", e.env(), covifyBin, append([]string{"dump", "--engine=docker"}, c.args...)...)
		if code != c.code || !strings.Contains(stderr, c.words) || time.Since(begun) > 3*time.Second {
			t.Errorf("covify dump %v: exit code %d in %v, %q; want %d and %q", c.args, code, time.Since(begun), stderr, c.code, c.words)
		}
	}
}

// TestEngineSettle: at a session's end containers that still run have saved, and of the others it is known how they ended.
func TestEngineSettle(t *testing.T) {
	e := findEngine(t, "docker29")
	buildEnds(t, e)
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/ends")); err != nil {
		t.Fatal(err)
	}
	const script = `set -e
	run() { name=$1; shift; "$COVIFY" run --engine docker --network=none --name "settle-$name" "$@"; }
	run detached -d IMAGE
	run ended -d IMAGE python loop.py normal
	run failed -d IMAGE python loop.py exception
	run killed -d IMAGE
	run sleeping -d IMAGE sleep 1000
	"$COVIFY" run --engine docker --network=none --name settle-attached IMAGE >attached.log 2>&1 & # no shell keeps the test's output open
	eval "$(run printed --print -d IMAGE)"
	for name in detached killed attached printed; do
		for i in $(seq 100); do docker logs "settle-$name" 2>&1 | grep -q late && break; sleep 0.1; done
	done
	docker kill settle-killed`
	env := e.env()
	env["COVIFY"] = covifyBin
	names := []string{"detached", "ended", "failed", "killed", "sleeping", "attached", "printed"}
	t.Cleanup(func() {
		for _, name := range names {
			e.run(t, "rm", "-f", "settle-"+name)
		}
	})
	output(t, dir, env, covifyBin, "test", "--ledger=ledger.json", "--", "sh", "-c", strings.ReplaceAll(script, "IMAGE", endsImage))
	var ledger struct {
		Containers []struct {
			Name, Ending, Outcome, Why, Container string
			ExitCode                              int `json:"exit_code"`
			Runs                                  bool
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, "ledger.json"))
	if err == nil {
		err = json.Unmarshal(text, &ledger)
	}
	if err != nil || len(ledger.Containers) != len(names) {
		t.Fatalf("ledger %s, %v", text, err)
	}
	for _, c := range ledger.Containers {
		got := fmt.Sprint(c.Ending, " ", c.ExitCode, " ", c.Outcome, " ", c.Runs)
		want := map[string]string{
			"detached": "detached 0 covered true", "ended": "exited 0 covered false", "failed": "exited 1 covered false",
			"killed": "exited 137 failed false", "sleeping": "detached 0 failed true", "attached": "running 0 covered true", "printed": "printed 0 covered true",
		}[strings.TrimPrefix(c.Name, "settle-")]
		if got != want || len(c.Container) != 64 {
			t.Errorf("%s: %s, want %s; ID %q; %s", c.Name, got, want, c.Container, c.Why)
		}
	}
}
