package hosthook_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/covify/covify/hosthook"
)

// cycle is what every kind of interpreter must show: inject, measure a program and its subprocess as coverage run measures each
// alone, inject again, status, remove; the tree at root is then byte for byte as it was, times included.
func (r *rig) cycle(target hosthook.Target, python, root string) {
	r.Helper()
	coverage, want := r.expected(python)
	if len(want["main.py"]) == 0 || len(want["child.py"]) == 0 {
		r.Fatalf("coverage run measured nothing: %v", want)
	}
	before := snapshot(r.T, root)
	if s := r.status(target); s.State != hosthook.None {
		r.Fatalf("before anything: %+v", s)
	}
	done := r.inject(target)
	if len(done) != 1 || !done[0].Changed {
		r.Fatalf("injected %+v", done)
	}
	main := filepath.Join(r.dir, "app/main.py")
	asked := []string{"COVERAGE_PROCESS_START=" + filepath.Join(r.dir, "rc")}
	got := r.arcs(coverage, asked, python, main)
	delete(got, "sitecustomize.py") // Debian's, outside of the library: a subprocess is measured from its start-up on, as by coverage's own hook
	if !reflect.DeepEqual(got, want) {
		r.Errorf("measured\n%v\ncoverage run says\n%v", got, want)
	}
	if got := r.arcs(coverage, nil, python, main); len(got) != 0 {
		r.Errorf("measured without being asked: %v", got)
	}
	if got := r.arcs(coverage, asked, python, "-S", filepath.Join(r.dir, "app/child.py")); len(got) != 0 {
		r.Errorf("python -S is said not to be measurable, and was: %v", got)
	}
	injected, kept := snapshot(r.T, root), snapshot(r.T, filepath.Join(r.dir, "state"))
	if again := r.inject(target); len(again) != 1 || again[0].Changed {
		r.Errorf("injected again: %+v", again)
	}
	sameTree(r.T, injected, snapshot(r.T, root))
	sameTree(r.T, kept, snapshot(r.T, filepath.Join(r.dir, "state")))
	if s := r.status(target); s.State != hosthook.Active || !s.Active || !s.Intact || s.Environment != done[0].Environment || s.Payload == "" {
		r.Errorf("status %+v", s)
	}
	if removed := r.remove(target); len(removed) != 1 || removed[0].Environment != done[0].Environment {
		r.Errorf("removed %+v", removed)
	}
	sameTree(r.T, before, snapshot(r.T, root))
	for _, left := range []string{filepath.Dir(r.opts.Place.State), r.opts.Place.Data} {
		if _, err := os.Lstat(left); !errors.Is(err, os.ErrNotExist) {
			r.Errorf("%s is left: %v", left, err)
		}
	}
}

func TestVenv(t *testing.T) {
	for _, minor := range []string{"3.10", "3.11", "3.12", "3.13", "3.14"} {
		t.Run(minor, func(t *testing.T) {
			r := newRig(t)
			venv := r.venv(r.cpython(minor, "base"), "venv")
			r.cycle(hosthook.Target{Venv: venv}, venv+"/bin/python", r.dir+"/venv")
		})
	}
}

// TestVenvByItsPython names the venv by its interpreter, a link to the base's: the base stays as it is.
func TestVenvByItsPython(t *testing.T) {
	r := newRig(t)
	venv := r.venv(r.cpython("3.12", "base"), "venv")
	base := snapshot(t, r.dir+"/base")
	r.cycle(hosthook.Target{Python: venv + "/bin/python3"}, venv+"/bin/python3", venv)
	sameTree(t, base, snapshot(t, r.dir+"/base"))
}

// TestPyenv has the layout of pyenv: versions below one folder, and scripts on PATH that start one of them. The embedded
// builds have no site-packages: the directory comes and goes with the hook.
func TestPyenv(t *testing.T) {
	r := newRig(t)
	python := r.cpython("3.13", ".pyenv/versions/3.13.1")
	r.cpython("3.12", ".pyenv/versions/3.12.3")
	shim := r.put(".pyenv/shims/python3", "#!/bin/sh\nexec "+python+" \"$@\"\n")
	must(t, os.Chmod(shim, 0o755))
	if on := hosthook.OnPath(r.dir + "/nowhere:" + filepath.Dir(shim)); !reflect.DeepEqual(on, []hosthook.Target{{Python: shim}}) {
		t.Errorf("on PATH: %v", on)
	}
	r.cycle(hosthook.Target{Python: shim}, python, r.dir+"/.pyenv")
	r.inject(hosthook.Target{Python: shim})
	if s := r.status(); s.Interpreter != python || s.Environment != r.dir+"/.pyenv/versions/3.13.1/lib/python3.13/site-packages" {
		t.Errorf("status %+v", s)
	}
}

// TestUserSite uses the user's own site directory, which is not there before, nor afterwards.
func TestUserSite(t *testing.T) {
	r := newRig(t)
	python := r.cpython("3.12", "usr")
	must(t, os.Mkdir(r.opts.UserBase, 0o700))
	system := snapshot(t, r.dir+"/usr")
	r.cycleUser(hosthook.Target{Python: python, User: true}, python)
	sameTree(t, system, snapshot(t, r.dir+"/usr"))
}

func (r *rig) cycleUser(target hosthook.Target, python string) {
	r.opts.Environ = r.command(nil, python).Env
	r.cycle(target, python, r.opts.UserBase)
}

func TestUVVenv(t *testing.T) {
	r := newRig(t)
	python := r.cpython("3.13", "base")
	uv, err := exec.LookPath("uv")
	if err != nil {
		tools := r.dir + "/tools"
		host, err := exec.LookPath("python3")
		if err != nil {
			t.Skip("no uv, and no Python to install it with")
		}
		for _, args := range [][]string{{host, "-m", "venv", tools}, {tools + "/bin/python", "-m", "pip", "install", "-q", "uv"}} {
			if out, err := exec.CommandContext(t.Context(), args[0], args[1:]...).CombinedOutput(); err != nil {
				t.Skipf("no uv, and none to be had: %v\n%s", err, out)
			}
		}
		uv = tools + "/bin/uv"
	}
	r.run([]string{"UV_CACHE_DIR=" + r.dir + "/uvcache"}, uv, "venv", "--python", python, "--no-python-downloads", r.dir+"/.venv")
	r.cycle(hosthook.Target{Venv: r.dir + "/.venv"}, r.dir+"/.venv/bin/python", r.dir+"/.venv")
}
