package hosthook_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/covify/covify/hosthook"
	"github.com/covify/covify/plan"
	"github.com/covify/covify/wheel"
	"github.com/covify/covify/wheel/bundle"
	"github.com/covify/covify/wheel/fetch"
)

// A rig is a machine's folders for hooks, and a program whose subprocess is another one.
type rig struct {
	*testing.T
	dir  string
	opts hosthook.Options
}

const parent = `import os, subprocess, sys

def pick(n):
    if n:
        return "child.py"
    return "other.py"

subprocess.check_call([sys.executable, os.path.join(os.path.dirname(os.path.abspath(__file__)), pick(1))])
`

const child = `import threading

def work(n):
    for i in range(n):
        if i == 7:
            print("seven")
        else:
            pass

thread = threading.Thread(target=work, args=(3,))
thread.start()
thread.join()
`

// dump prints what the data files given hold: the arcs by the file's name.
const dump = `import coverage, json, os, sys
found = {}
for name in sys.argv[1:]:
    data = coverage.CoverageData(name)
    data.read()
    for path in data.measured_files():
        arcs = found.setdefault(os.path.basename(path), set())
        arcs.update(tuple(arc) for arc in data.arcs(path) or [])
print(json.dumps({path: sorted(arcs) for path, arcs in found.items()}))
`

func newRig(t *testing.T) *rig {
	t.Helper()
	if bundle.Empty() {
		t.Skip("no wheels at hand (make wheels)")
	}
	r := &rig{T: t, dir: realTemp(t)}
	r.opts = options(r.dir)
	r.put("app/main.py", parent)
	r.put("app/child.py", child)
	r.put("app/dump.py", dump)
	r.put("rc", "[run]\nbranch = true\nparallel = true\n")
	return r
}

// realTemp is t.TempDir without links, as records have paths.
func realTemp(t *testing.T) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	must(t, err)
	return dir
}

func options(dir string) hosthook.Options {
	source := &fetch.Source{Bundle: bundle.FS(), StartUp: plan.Startup(), Offline: true}
	return hosthook.Options{
		Place:    hosthook.Place{Data: filepath.Join(dir, "data", "covify"), State: filepath.Join(dir, "state", "covify", "host.json")},
		UserBase: filepath.Join(dir, "userbase"),
		Payload: func(ctx context.Context, t wheel.Target) (*wheel.Payload, error) {
			return source.Payload(ctx, t, "")
		},
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (r *rig) put(name, content string) string {
	r.Helper()
	path := filepath.Join(r.dir, name)
	must(r.T, os.MkdirAll(filepath.Dir(path), 0o755))
	must(r.T, os.WriteFile(path, []byte(content), 0o644))
	return path
}

// shared holds each CPython once; tests get hard links.
var shared string

// cpython puts a real CPython below dir, as pyenv, uv and official images have it.
func (r *rig) cpython(minor, dir string) string {
	r.Helper()
	first := filepath.Join(shared, minor)
	if _, err := os.Stat(first); err != nil {
		if out, err := exec.CommandContext(r.Context(), "../hack/cpython", minor, first).CombinedOutput(); err != nil {
			r.Fatalf("hack/cpython: %v\n%s", err, out)
		}
	}
	must(r.T, os.MkdirAll(filepath.Join(r.dir, dir), 0o755))
	if out, err := exec.CommandContext(r.Context(), "cp", "-al", first+"/.", filepath.Join(r.dir, dir)).CombinedOutput(); err != nil {
		r.Fatalf("%v: %s", err, out)
	}
	return filepath.Join(r.dir, dir, "bin", "python"+minor)
}

// venv makes a venv with python.
func (r *rig) venv(python, dir string) string {
	r.Helper()
	dir = filepath.Join(r.dir, dir)
	r.run(nil, python, "-m", "venv", "--without-pip", dir)
	return dir
}

// run runs a command that must succeed in the rig's folder, with extra environment, and gives its output.
func (r *rig) run(env []string, name string, args ...string) string {
	r.Helper()
	out, err := r.command(env, name, args...).CombinedOutput()
	if err != nil {
		r.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func (r *rig) command(env []string, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(r.Context(), name, args...)
	cmd.Dir = r.dir
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "COVERAGE_") && !strings.HasPrefix(kv, "PYTHON") && !strings.HasPrefix(kv, "VIRTUAL_ENV=") {
			cmd.Env = append(cmd.Env, kv)
		}
	}
	cmd.Env = append(append(cmd.Env, "PYTHONDONTWRITEBYTECODE=1", "PYTHONUSERBASE="+r.opts.UserBase), env...)
	return cmd
}

func (r *rig) inject(targets ...hosthook.Target) []hosthook.Injection {
	r.Helper()
	done, err := hosthook.Inject(r.Context(), targets, r.opts)
	must(r.T, err)
	for _, i := range done {
		if i.Warning != "" {
			r.Errorf("%s: %s", i.Environment, i.Warning)
		}
	}
	return done
}

func (r *rig) remove(targets ...hosthook.Target) []hosthook.Hook {
	r.Helper()
	removed, err := hosthook.Remove(r.Context(), targets, r.opts)
	must(r.T, err)
	return removed
}

// status is the only hook that Look reports for the targets.
func (r *rig) status(targets ...hosthook.Target) hosthook.Status {
	r.Helper()
	report, err := hosthook.Look(r.Context(), targets, r.opts)
	must(r.T, err)
	if len(report.Hooks) != 1 {
		r.Fatalf("%d hooks: %+v", len(report.Hooks), report.Hooks)
	}
	return report.Hooks[0]
}

// arcs runs a program and gives what its processes measured; the program's files have arcs in all that did.
func (r *rig) arcs(coverage string, env []string, name string, args ...string) map[string][][2]int {
	r.Helper()
	data, err := os.MkdirTemp(r.dir, "measured-")
	must(r.T, err)
	r.run(append(slices.Clone(env), "COVERAGE_FILE="+filepath.Join(data, ".coverage")), name, args...)
	files, err := filepath.Glob(filepath.Join(data, ".coverage*"))
	must(r.T, err)
	out := r.run([]string{"PYTHONPATH=" + coverage}, name, append([]string{filepath.Join(r.dir, "app/dump.py")}, files...)...)
	found := map[string][][2]int{}
	if err := json.Unmarshal([]byte(out), &found); err != nil {
		r.Fatalf("%v: %s", err, out)
	}
	return found
}

// expected is what coverage run says of the parent and the child, each run alone by an interpreter without a hook.
func (r *rig) expected(python string) (coverage string, arcs map[string][][2]int) {
	r.Helper()
	targets := []hosthook.Target{{Python: python}}
	probe := r.opts
	probe.Place = hosthook.Place{Data: filepath.Join(r.dir, "probe"), State: filepath.Join(r.dir, "probe.json")}
	var payload *wheel.Payload
	probe.Payload = func(ctx context.Context, t wheel.Target) (*wheel.Payload, error) {
		p, err := r.opts.Payload(ctx, t)
		payload = p
		return nil, errors.Join(err, errors.New("only asked for"))
	}
	_, err := hosthook.Inject(r.Context(), targets, probe)
	if payload == nil {
		r.Fatal(err)
	}
	coverage, err = hosthook.PutPayload(payload, filepath.Join(r.dir, "probe"))
	must(r.T, err)
	env := []string{"PYTHONPATH=" + coverage}
	arcs = map[string][][2]int{}
	for _, program := range []string{"main.py", "child.py"} {
		alone := r.arcs(coverage, env, python, "-m", "coverage", "run", "--rcfile="+filepath.Join(r.dir, "rc"), filepath.Join(r.dir, "app", program))
		arcs[program] = alone[program]
	}
	return coverage, arcs
}

// snapshot describes everything below dir: kind, mode, owner, size, time, link and content.
func snapshot(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	must(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		sys := info.Sys().(*syscall.Stat_t)
		line := fmt.Sprintf("%v %d:%d %v", info.Mode(), sys.Uid, sys.Gid, info.ModTime().UnixNano())
		switch {
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			all[path] = line + " " + target
			return err
		case info.Mode().IsRegular():
			data, err := os.ReadFile(path)
			all[path] = fmt.Sprintf("%s %x", line, sha256.Sum256(data))
			return err
		}
		all[path] = line
		return nil
	}))
	return all
}

// untimed leaves the directories' times out of a snapshot.
func untimed(all map[string]string) map[string]string {
	out := map[string]string{}
	for path, line := range all {
		if strings.HasPrefix(line, "d") {
			line = line[:strings.LastIndexByte(line, ' ')]
		}
		out[path] = line
	}
	return out
}

func sameTree(t *testing.T, before, after map[string]string) {
	t.Helper()
	var b bytes.Buffer
	for path, line := range before {
		if after[path] != line {
			fmt.Fprintf(&b, "- %s %s\n+ %s %s\n", path, line, path, after[path])
		}
	}
	for path, line := range after {
		if _, ok := before[path]; !ok {
			fmt.Fprintf(&b, "+ %s %s\n", path, line)
		}
	}
	if b.Len() > 0 {
		t.Errorf("the tree is not as it was:\n%s", b.String())
	}
}
