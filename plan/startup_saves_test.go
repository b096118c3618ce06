package plan_test

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// manyFunctions are 300 functions of five lines, for saves.py.
func manyFunctions() []byte {
	var text strings.Builder
	for i := range 300 {
		fmt.Fprintf(&text, "def f%03d(n):\n    x = 0\n    for i in range(n):\n        x += i\n    return x\n", i)
	}
	return []byte(text.String())
}

// cores are settings for each of coverage's cores that this Python has; "" is the default with branches, as in variants.
func (r *rig) cores() map[string]string {
	all := map[string]string{"default": "", "pytrace": "core = pytrace\nbranch = true\n"}
	if r.minor != "3.10" && r.minor != "3.11" {
		all["sysmon"] = "core = sysmon\n"
	}
	if r.minor == "3.14" {
		all["sysmon with branches"], all["ctrace"] = "core = sysmon\nbranch = true\n", "core = ctrace\nbranch = true\n"
	}
	for name, settings := range all {
		if settings != "" {
			all[name] = "[run]\nparallel = true\nsigterm = true\npatch = _exit, execv\n" + settings
		}
	}
	return all
}

// saveCases: a process that is told to save does, loses nothing, and is not disturbed.
func (r *rig) saveCases() []*probe {
	var all []*probe
	for core, config := range r.cores() {
		add := func(p *probe) {
			p.name, p.config = p.name+" by "+core, config
			all = append(all, p)
		}
		add(&probe{name: "no saves", args: []string{"saves.py", "many", "200"}, check: func(t *testing.T, _ *rig, p *probe) {
			if p.left(t, 1); len(p.measured.Lines["many.py"]) != 1500 {
				t.Errorf("%d lines of many.py", len(p.measured.Lines["many.py"]))
			}
		}})
		add(&probe{name: "200 saves", args: []string{"saves.py", "many", "200", "ask"}, check: func(t *testing.T, r *rig, p *probe) {
			p.left(t, 1)
			want := r.of("no saves by " + core).measured
			if !reflect.DeepEqual(p.measured.Lines["many.py"], want.Lines["many.py"]) || !reflect.DeepEqual(p.measured.Arcs["many.py"], want.Arcs["many.py"]) {
				t.Errorf("measured %v,\nwithout saves %v", p.measured.Lines["many.py"], want.Lines["many.py"])
			}
		}})
		add(&probe{name: "saves of its own", args: []string{"saves.py", "itself", "100"}, check: func(t *testing.T, _ *rig, p *probe) {
			if got := bodies(p.measured.Lines["many.py"]); len(got) != 400 || p.stderr != "" || p.code != -1 {
				t.Errorf("%d lines in functions, exit code %d, stderr %q", len(got), p.code, p.stderr)
			}
		}})
		add(&probe{name: "killed after a save", args: []string{"saves.py", "killed"}, check: keeps(1, -1, "# KEPT")})
		add(&probe{name: "forked after a save", args: []string{"saves.py", "forked"}, check: keeps(4, 0, "# KEPT", "# KEPT by forked")})
		add(&probe{name: "reset", args: []string{"saves.py", "reset"}, check: splits})
	}
	return append(all,
		&probe{name: "a handler of its own", args: []string{"saves.py", "own"}, check: says("1 False\n")},
		&probe{name: "a handler before", python: "custom", env: []string{"OWN_HANDLER=1"}, args: []string{"saves.py", "before"}, check: says("theirs\n")},
		&probe{name: "alarms", args: []string{"saves.py", "alarms"}, check: says("lost 0 True\n")},
		&probe{name: "waits", args: []string{"saves.py", "waits"}, check: func(t *testing.T, _ *rig, p *probe) {
			lines := strings.Split(strings.TrimSpace(p.stdout), "\n")
			for _, line := range lines {
				if !strings.HasSuffix(line, " True True True") {
					t.Errorf("%q is not: result, time and answer as they should be", line)
				}
			}
			if len(lines) != 8 || p.stderr != "" {
				t.Errorf("stdout %q, stderr %q", p.stdout, p.stderr)
			}
		}},
	)
}

func says(words string) func(*testing.T, *rig, *probe) {
	return func(t *testing.T, _ *rig, p *probe) {
		if p.stdout != words || p.stderr != "" || p.code != 0 {
			t.Errorf("exit code %d, stdout %q, stderr %q", p.code, p.stdout, p.stderr)
		}
	}
}

// keeps says that each of the files holds lines, and all of them together the marked ones.
func keeps(files, code int, marks ...string) func(*testing.T, *rig, *probe) {
	return func(t *testing.T, _ *rig, p *probe) {
		if p.stderr != "" || p.code != code || p.measured.Files != files {
			t.Errorf("exit code %d, stderr %q, %d data files, not %d", p.code, p.stderr, p.measured.Files, files)
		}
		for _, line := range marked(t, "testdata/apps/saves.py", marks) {
			if !slices.Contains(p.measured.Lines["saves.py"], line) {
				t.Errorf("line %d is lost", line)
			}
		}
	}
}

// splits says that the data before the reset and those after it are what ran before and after it.
func splits(t *testing.T, _ *rig, p *probe) {
	var got [][]int
	if err := json.Unmarshal([]byte(p.stdout), &got); err != nil || len(got) != 2 {
		t.Fatalf("%v: stdout %q, stderr %q", err, p.stdout, p.stderr)
	}
	ran := func(functions ...int) []int {
		var lines []int
		for _, f := range functions {
			for line := 2; line <= 5; line++ {
				lines = append(lines, 5*f+line)
			}
		}
		return lines
	}
	if before := bodies(got[0]); !slices.Equal(before, ran(0, 1, 3)) {
		t.Errorf("before: %v", before)
	}
	if after := got[1]; !slices.Equal(after, ran(0, 2, 3)) {
		t.Errorf("after: %v", after)
	}
}

// bodies leaves out the lines of many.py that define functions.
func bodies(lines []int) []int {
	return slices.DeleteFunc(lines, func(line int) bool { return line%5 == 1 })
}

// furnishSaves writes what saves.py needs.
func (r *rig) furnishSaves(t *testing.T) {
	t.Helper()
	must(t, os.WriteFile(r.app+"/many.py", manyFunctions(), 0o644))
	file, err := os.OpenFile(r.root+"/custom/sitecustomize.py", os.O_APPEND|os.O_WRONLY, 0o644)
	must(t, err)
	_, err = file.WriteString("if 'OWN_HANDLER' in os.environ:\n    import signal\n\n    def theirs(*_):\n        pass\n\n    signal.signal(signal.SIGURG, theirs)\n")
	must(t, err)
	must(t, file.Close())
}
