package plan_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/covify/covify/plan"
)

// state is what testdata/apps/state.py says of its process.
type state struct {
	Path     []string `json:"path"`
	Modules  []string `json:"modules"`
	Coverage string   `json:"coverage"` // the file it was imported from
}

func (p *probe) state(t *testing.T) (s state) {
	t.Helper()
	if err := json.Unmarshal([]byte(p.stdout), &s); err != nil {
		t.Fatalf("%v: %q, stderr %q", err, p.stdout, p.stderr)
	}
	return s
}

// offCases: a process that asks for nothing gets one directory more on sys.path, at the end.
func offCases() []*probe {
	untouched := func(t *testing.T, r *rig, p *probe) {
		s := p.state(t)
		if n := len(s.Path); s.Path[n-1] != r.payload || s.Path[n-2] != r.site("") {
			t.Errorf("sys.path is %q, its end should be the payload alone", s.Path)
		}
		p.left(t, 0)
		for _, name := range []string{"coverage", "_covify", "warnings", "sqlite3"} {
			if slices.Contains(s.Modules, name) && !slices.Contains(r.of("without site").state(t).Modules, name) {
				t.Errorf("%s is imported", name)
			}
		}
	}
	nothing := func(t *testing.T, r *rig, p *probe) {
		if slices.Contains(p.state(t).Path, r.payload) {
			t.Error("the payload is on sys.path")
		}
		p.left(t, 0)
	}
	state := []string{"state.py"}
	return []*probe{
		{name: "off", args: state, off: true, check: untouched},
		{name: "off by empty values", args: state, off: true, env: []string{"COVERAGE_PROCESS_START=", "COVERAGE_PROCESS_CONFIG="}, check: untouched},
		{name: "off without payload", args: state, off: true, python: "gone", check: nothing},
		{name: "without site", args: []string{"-S", "state.py"}, check: nothing},
	}
}

// left says that the program ran silently and left n data files and no note.
func (p *probe) left(t *testing.T, n int) {
	t.Helper()
	if p.stderr != "" || p.notes != "" {
		t.Errorf("stderr %q, notes %q", p.stderr, p.notes)
	}
	if p.measured.Files != n {
		t.Errorf("%d data files, not %d: %v", p.measured.Files, n, p.measured.Lines)
	}
}

// ran says that app.py did what it does without covify.
func (p *probe) ran(t *testing.T) {
	t.Helper()
	if p.stdout != "small none both\n" || p.code != 3 {
		t.Errorf("exit code %d, stdout %q", p.code, p.stdout)
	}
}

// onCases: coverage starts however Python is called, and measures what "coverage run" measures.
func onCases() []*probe {
	same := func(t *testing.T, r *rig, p *probe) {
		p.ran(t)
		p.left(t, 1)
		if want := r.of("coverage run").measured; len(want.Arcs["app.py"]) < 10 || !reflect.DeepEqual(p.measured, want) {
			t.Errorf("measured\n%v, coverage run has\n%v", p.measured, want)
		}
	}
	run := []string{"-m", "coverage", "run", "--branch", "app.py"}
	cases := []*probe{
		{name: "coverage run", args: run, off: true, check: same},
		{name: "coverage run while on", args: run, check: same},
		{name: "on", args: []string{"app.py"}, check: same},
		{name: "on beside its own pth file", python: "beside", args: []string{"app.py"}, check: same},
		{name: "on through two site directories", python: "both", args: []string{"app.py"}, check: same},
	}
	for _, flag := range []string{"-I", "-E", "-s", "-O", "-B"} {
		cases = append(cases, &probe{name: "on with " + flag, args: []string{flag, "app.py"}, check: same})
	}
	once := func(t *testing.T, r *rig, p *probe) {
		path := p.state(t).Path
		if i := slices.Index(path, r.payload); i < 0 || slices.Contains(path[i+1:], r.payload) {
			t.Errorf("sys.path is %q, it should hold the payload once", path)
		}
		p.left(t, 1)
	}
	customised := func(files []string) func(t *testing.T, r *rig, p *probe) {
		return func(t *testing.T, r *rig, p *probe) {
			if p.stderr != "" {
				t.Errorf("stderr %q", p.stderr)
			}
			if got := slices.Sorted(maps.Keys(p.measured.Lines)); !slices.Equal(got, files) {
				t.Errorf("measured %v, not %v", got, files)
			}
		}
	}
	// As with "coverage run" and coverage's own .pth file: sitecustomize is not the program's, but what a child runs is measured.
	cases = append(cases,
		&probe{name: "on with sitecustomize", python: "custom", args: []string{"app.py"}, check: same},
		&probe{name: "sitecustomize of a child", python: "custom", args: []string{"ends.py", "subprocess"}, check: customised([]string{"../../custom/sitecustomize.py", "ends.py"})},
		&probe{name: "sitecustomize without children", python: "custom", args: []string{"ends.py", "fork"}, check: customised([]string{"ends.py"})})
	return append(cases,
		&probe{name: "sys.path of two site directories", python: "both", args: []string{"state.py"}, check: once})
}

// lossCases: the default settings keep every line, however a process ends or begins.
func lossCases() []*probe {
	var cases []*probe
	for way, want := range map[string]struct {
		files, code int
		marks       []string
	}{
		"subprocess": {2, 0, []string{"# HIT"}},
		"_exit":      {2, 0, []string{"# HIT"}},
		"execv":      {2, 0, []string{"# HIT"}},
		"sigterm":    {1, -1, []string{"# HIT"}},
		"threads":    {1, 0, []string{"# HIT"}},
		"pool":       {3, 0, []string{"# HIT"}},
		"fork":       {2, 0, []string{"# HIT", "# HIT in multiprocessing"}},
		"spawn":      {2, 0, []string{"# HIT", "# HIT in multiprocessing"}},
		"forkserver": {2, 0, []string{"# HIT", "# HIT in multiprocessing"}},
	} {
		cases = append(cases, &probe{name: "end by " + way, args: []string{"ends.py", way}, check: func(t *testing.T, r *rig, p *probe) {
			if p.stderr != "" || p.code != want.code {
				t.Errorf("exit code %d, stderr %q", p.code, p.stderr)
			}
			if p.measured.Files < want.files || len(p.measured.Lines) != 1 {
				t.Errorf("%d data files, not %d, with %v", p.measured.Files, want.files, p.measured.Lines)
			}
			for _, line := range marked(t, "testdata/apps/ends.py", want.marks) {
				if !slices.Contains(p.measured.Lines["ends.py"], line) {
					t.Errorf("line %d is lost", line)
				}
			}
		}})
	}
	return cases
}

// marked returns the numbers of the lines that end in one of the marks.
func marked(t *testing.T, file string, marks []string) (numbers []int) {
	t.Helper()
	data, err := os.ReadFile(file)
	must(t, err)
	for i, line := range strings.Split(string(data), "\n") {
		if slices.ContainsFunc(marks, func(mark string) bool { return strings.HasSuffix(line, mark) }) {
			numbers = append(numbers, i+1)
		}
	}
	return numbers
}

// brokenCases: where coverage cannot start, there is one line on stderr, a note where one can be, and the application
// runs as if nothing were there.
func brokenCases() []*probe {
	app := []string{"app.py"}
	says := func(words string, note bool) func(*testing.T, *rig, *probe) {
		return func(t *testing.T, r *rig, p *probe) {
			p.ran(t)
			if !strings.HasPrefix(p.stderr, "covify: no coverage") || strings.Count(p.stderr, "\n") != 1 || !strings.HasSuffix(p.stderr, "\n") {
				t.Errorf("stderr is not one line of covify's: %q", p.stderr)
			}
			if !strings.Contains(p.stderr, words) {
				t.Errorf("stderr does not say %q: %q", words, p.stderr)
			}
			if want := map[bool]string{true: p.stderr}[note]; p.notes != want {
				t.Errorf("the note is %q, not %q", p.notes, want)
			}
			if p.measured.Files != 0 {
				t.Errorf("%d data files", p.measured.Files)
			}
		}
	}
	return []*probe{
		{name: "no config", args: app, check: says("nowhere.ini is not readable: No such file", true),
			setup: func(p *probe) error { p.coveragerc = "/nowhere.ini"; return nil }},
		{name: "unreadable config", args: app, config: "[run]\n", uid: other(), check: says("is not readable: Permission denied", true),
			setup: func(p *probe) error { return os.Chmod(p.coveragerc, 0) }},
		{name: "a directory for a config", args: app, check: says("is not readable: Is a directory", true),
			setup: func(p *probe) error { p.coveragerc = p.data; return nil }},
		{name: "broken config", args: app, config: "[run\nbranch = true\n", check: says("ConfigError", true)},
		{name: "wrong value in config", args: app, config: "[run]\nbranch = perhaps\n", check: says("perhaps", true)},
		{name: "unknown plugin", args: app, config: "[run]\nplugins = no_such_plugin\n", check: says("no_such_plugin", true)},
		{name: "unknown core", args: app, config: "[run]\ncore = stone\n", check: says("stone", true)},
		{name: "broken serialised config", args: app, env: []string{"COVERAGE_PROCESS_CONFIG=no"}, check: says("", true)},
		{name: "no data directory", args: app, env: []string{"COVERAGE_FILE=/proc/nowhere/.coverage"}, check: says("/proc/nowhere", false)},
		{name: "unwritable data directory", args: app, uid: other(), check: says("is not writable", false),
			setup: func(p *probe) error { return os.Chmod(p.data, 0o555) }},
		{name: "no sqlite", args: app, python: "nosqlite", check: says("sqlite3", true)},
		{name: "no room for the data", args: []string{"-c", full + "runpy.run_path('app.py', run_name='__main__')"}, check: oneLine("small none both\n", 3)},
		{name: "no room for the data at a signal", args: []string{"-c", full + "os.kill(os.getpid(), signal.SIGTERM); input()"}, check: oneLine("", -1)},
		{name: "no room for the data that the program saves", args: []string{"-c", full + "import coverage; coverage.Coverage.current().save()"},
			check: func(t *testing.T, _ *rig, p *probe) {
				if !strings.HasPrefix(p.stderr, "Traceback ") || !strings.Contains(p.stderr, "in save") || p.code != 1 {
					t.Errorf("exit code %d, stderr %q", p.code, p.stderr)
				}
			}},
		{name: "no payload", args: app, python: "gone", check: says("_covify", false)},
		{name: "no payload and no stderr", args: []string{"-c", closed, "gone"}, off: true, python: "gone", check: deaf},
		{name: "no config and no stderr", args: []string{"-c", closed, ""}, off: true, check: deaf},
	}
}

// full begins a program for which every disk is full from then on.
const full = `
import os, resource, runpy, signal
resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
`

// oneLine says that the program ended as it would without covify, which said in one line that sqlite could not write.
func oneLine(stdout string, code int) func(*testing.T, *rig, *probe) {
	return func(t *testing.T, _ *rig, p *probe) {
		if p.stdout != stdout || p.code != code {
			t.Errorf("exit code %d, stdout %q", p.code, p.stdout)
		}
		if !strings.HasPrefix(p.stderr, "covify: no coverage") || strings.Count(p.stderr, "\n") != 1 || !strings.HasSuffix(p.stderr, "disk I/O error\n") {
			t.Errorf("stderr %q", p.stderr)
		}
	}
}

// closed runs app.py with stderr closed, as daemons do, and settings that are not there.
const closed = `
import os, sys
os.environ["COVERAGE_PROCESS_START"] = "/nowhere.ini"
os.close(2)
os.execv(sys.executable, [sys.executable, "app.py"])
`

func deaf(t *testing.T, _ *rig, p *probe) {
	p.ran(t)
	if p.stderr != "" || p.measured.Files != 0 {
		t.Errorf("stderr %q, %d data files", p.stderr, p.measured.Files)
	}
}

// other is a user without rights; those who run the tests as themselves are one.
func other() uint32 {
	if os.Getuid() == 0 {
		return nobody
	}
	return 0
}

// ownCases: the image's own coverage measures, also an older one that does not know all settings.
func ownCases() []*probe {
	theirs := func(dir func(*rig) string) func(*testing.T, *rig, *probe) {
		return func(t *testing.T, r *rig, p *probe) {
			s := p.state(t)
			if got, want := s.Coverage, dir(r)+"/coverage/__init__.py"; got != want {
				t.Errorf("coverage is %s, not %s", got, want)
			}
			if i := slices.Index(s.Path, dir(r)); i < 0 || slices.Contains(s.Path[i+1:], dir(r)) {
				t.Errorf("sys.path is %q", s.Path)
			}
			p.left(t, 1)
		}
	}
	lines := func(t *testing.T, r *rig, p *probe) {
		p.ran(t)
		p.left(t, 1)
		if want := r.of("coverage run").measured; !reflect.DeepEqual(p.measured.Lines, want.Lines) {
			t.Errorf("measured %v, coverage run has %v", p.measured.Lines, want.Lines)
		}
	}
	late := func(p *probe) error {
		p.env = append(p.env, "LATE="+filepath.Join(filepath.Dir(filepath.Dir(p.data)), "late"))
		return nil
	}
	ownDir := func(r *rig) string { return r.site("own") }
	return []*probe{
		{name: "own", python: "own", args: []string{"state.py"}, check: theirs(ownDir)},
		{name: "own measures", python: "own", args: []string{"app.py"}, check: lines},
		{name: "own in a later directory", args: []string{"state.py"}, setup: late, check: theirs(func(r *rig) string { return r.root + "/late" })},
	}
}

// pureCases: without the C tracer all is the same, and nothing is said of it.
func (r *rig) pureCases() []*probe {
	if r.minor == "3.10" {
		return nil // one Python is enough below 3.11
	}
	return []*probe{
		{name: "pure", python: "pure", args: []string{"app.py"}, check: func(t *testing.T, r *rig, p *probe) {
			p.ran(t)
			p.left(t, 1)
			if want := r.of("coverage run").measured; !reflect.DeepEqual(p.measured, want) {
				t.Errorf("measured\n%v, coverage run has\n%v", p.measured, want)
			}
		}},
		{name: "pure with the C core asked for", python: "pure", args: []string{"app.py"}, env: []string{"COVERAGE_CORE=ctrace"},
			check: func(t *testing.T, r *rig, p *probe) {
				p.ran(t) // coverage calls sys.exit, which must not end the application
				if !strings.Contains(p.notes, "covify: no coverage of process") {
					t.Errorf("stderr %q, notes %q", p.stderr, p.notes)
				}
			}},
	}
}

// TestStartFile checks the entry point of Python 3.15 and later by its syntax (PEP 829): no such Python is to be had here.
func TestStartFile(t *testing.T) {
	root := readTree(t, "testdata/official/tree")
	facts, err := plan.FindInterpreters(root)
	must(t, err)
	p, err := plan.Make(root, facts, plan.Image{}, payloads(facts), plan.Options{})
	must(t, err)
	found := map[string]string{}
	for _, l := range p.Layers {
		for _, f := range l.Files {
			found[filepath.Base(f.Path)] += string(f.Data)
		}
	}
	module, function, ok := strings.Cut(strings.TrimSpace(found["coverage.start"]), ":")
	if !ok || strings.ContainsAny(module+function, " \t\n:") {
		t.Fatalf("not module:callable: %q", found["coverage.start"])
	}
	if !strings.Contains(found[module+".py"], "\ndef "+function+"():\n") {
		t.Errorf("%s has no %s to call without arguments", module, function)
	}
	if pth, ok := found["coverage.pth"]; !ok || strings.HasPrefix(pth, "import") {
		t.Errorf("the .pth file of the same stem adds no path: %q", pth)
	}
}
