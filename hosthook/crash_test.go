package hosthook_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/covify/covify/hosthook"
	"github.com/covify/covify/wheel"
)

const injectEnv = "COVIFY_TEST_INJECT" // has this binary inject into a venv: "RIG VENV"

func TestMain(m *testing.M) {
	if dir, venv, ok := strings.Cut(os.Getenv(injectEnv), " "); ok {
		_, err := hosthook.Inject(context.Background(), []hosthook.Target{{Venv: venv}}, options(dir))
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	dir, err := os.MkdirTemp("", "covify-cpython-")
	if err != nil {
		panic(err)
	}
	shared = dir
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// venvRig is a rig with a venv of a CPython.
func venvRig(t *testing.T) (r *rig, venv, site string) {
	t.Helper()
	r = newRig(t)
	venv = r.venv(r.cpython("3.12", "base"), "venv")
	return r, venv, venv + "/lib/python3.12/site-packages"
}

// TestInterrupted stops an injection after each of its steps. Look tells, Remove cleans up, and so does Inject.
func TestInterrupted(t *testing.T) {
	incomplete := func(t *testing.T, r *rig) {
		edit(t, r.opts.Place.State, `"complete": true`, `"complete": false`)
	}
	steps := []struct {
		name  string
		state hosthook.State
		undo  func(t *testing.T, r *rig, site string) // of a whole injection, back to the step
	}{
		{"record written", hosthook.Incomplete, func(t *testing.T, r *rig, site string) {
			incomplete(t, r)
			must(t, errors.Join(os.Remove(site+"/covify.pth"), os.Remove(site+"/covify.start"), os.RemoveAll(r.opts.Place.Data)))
		}},
		{"payload half unpacked", hosthook.Incomplete, func(t *testing.T, r *rig, site string) {
			incomplete(t, r)
			must(t, errors.Join(os.Remove(site+"/covify.pth"), os.Remove(site+"/covify.start")))
			payloads, _ := filepath.Glob(r.opts.Place.Data + "/payloads/*")
			must(t, errors.Join(os.Remove(payloads[0]+"/_covify.py"), os.Rename(payloads[0], r.opts.Place.Data+"/payloads/.new-1")))
		}},
		{"payload written", hosthook.Incomplete, func(t *testing.T, r *rig, site string) {
			incomplete(t, r)
			must(t, errors.Join(os.Remove(site+"/covify.pth"), os.Remove(site+"/covify.start")))
		}},
		{"hook half written", hosthook.Incomplete, func(t *testing.T, r *rig, site string) {
			incomplete(t, r)
			must(t, errors.Join(os.Remove(site+"/covify.start"), os.Rename(site+"/covify.pth", site+"/.covify.pth123456"), os.Truncate(site+"/.covify.pth123456", 20)))
		}},
		{"one file written", hosthook.Incomplete, func(t *testing.T, r *rig, site string) {
			incomplete(t, r)
			must(t, os.Remove(site+"/covify.start"))
		}},
		{"files written", hosthook.Incomplete, func(t *testing.T, r *rig, _ string) { incomplete(t, r) }},
		{"files without a record", hosthook.Stray, func(t *testing.T, r *rig, _ string) { must(t, os.Remove(r.opts.Place.State)) }},
	}
	for _, step := range steps {
		t.Run(step.name, func(t *testing.T) {
			r, venv, site := venvRig(t)
			before := snapshot(t, venv)
			target := hosthook.Target{Venv: venv}
			interrupt := func() {
				r.inject(target)
				step.undo(t, r, site)
				if s := r.status(target); s.State != step.state || len(s.Problems) == 0 {
					t.Errorf("status %+v", s)
				}
			}
			clean := func() {
				t.Helper()
				sameTree(t, untimed(before), untimed(snapshot(t, venv)))
				for _, left := range []string{r.opts.Place.State, r.opts.Place.Data} {
					if _, err := os.Lstat(left); !errors.Is(err, os.ErrNotExist) {
						t.Errorf("%s is left: %v", left, err)
					}
				}
			}
			interrupt()
			r.remove(target)
			r.remove() // payloads that nothing uses
			clean()

			interrupt()
			if done := r.inject(target); len(done) != 1 || !done[0].Changed {
				t.Errorf("mended %+v", done)
			}
			if s := r.status(target); s.State != hosthook.Active {
				t.Errorf("status after mending %+v", s)
			}
			r.remove()
			clean()
		})
	}
}

func edit(t *testing.T, path, old, new string) {
	t.Helper()
	data, err := os.ReadFile(path)
	must(t, err)
	if !strings.Contains(string(data), old) {
		t.Fatalf("%s does not say %s:\n%s", path, old, data)
	}
	must(t, os.WriteFile(path, []byte(strings.ReplaceAll(string(data), old, new)), 0o644))
}

// TestKilled kills injecting processes at any moment. Nothing is ever in the venv without a record of it, and Remove cleans up.
func TestKilled(t *testing.T) {
	r, venv, site := venvRig(t)
	before := untimed(snapshot(t, venv))
	states := map[hosthook.State]int{}
	for n := range 60 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), injectEnv+"="+r.dir+" "+venv)
		must(t, cmd.Start())
		for range 2000 { // until it has begun
			if _, err := os.Stat(r.opts.Place.State); err == nil {
				break
			}
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Duration(rand.IntN(1+2*n)) * time.Millisecond)
		_ = cmd.Process.Kill() // it may have ended
		killed := cmd.Wait() != nil
		s := r.status(hosthook.Target{Venv: venv})
		states[s.State]++
		if s.State == hosthook.Stray || !killed && s.State != hosthook.Active {
			t.Fatalf("run %d, killed %v: %+v", n, killed, s)
		}
		if data, err := os.ReadFile(site + "/covify.pth"); err == nil && !strings.HasSuffix(string(data), "_covify.start()')\n") {
			t.Fatalf("a part of a hook: %s", data)
		}
		r.remove()
		sameTree(t, before, untimed(snapshot(t, venv)))
	}
	if t.Log(states); states[hosthook.Incomplete] == 0 {
		t.Error("none was interrupted in its work")
	}
	if _, err := os.Stat(filepath.Dir(r.opts.Place.State)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("left of the record: %v", err)
	}
}

// TestTogether injects and removes by many at once.
func TestTogether(t *testing.T) {
	r, venv, _ := venvRig(t)
	other := r.venv(r.dir+"/base/bin/python3.12", "other")
	before := []map[string]string{untimed(snapshot(t, venv)), untimed(snapshot(t, other))}
	targets := []hosthook.Target{{Venv: venv}, {Venv: other}}
	var all sync.WaitGroup
	for n := range 24 {
		all.Go(func() {
			var err error
			if n%3 == 2 {
				_, err = hosthook.Remove(t.Context(), targets[n%2:], r.opts)
			} else {
				_, err = hosthook.Inject(t.Context(), targets[n%2:], r.opts)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	r.inject(targets...)
	report, err := hosthook.Look(t.Context(), targets, r.opts)
	must(t, err)
	if len(report.Hooks) != 2 || report.Hooks[0].State != hosthook.Active || report.Hooks[1].State != hosthook.Active || len(report.Leftovers) != 0 {
		t.Errorf("%+v", report)
	}
	r.remove()
	sameTree(t, before[0], untimed(snapshot(t, venv)))
	sameTree(t, before[1], untimed(snapshot(t, other)))
}

// TestNotWhole has somebody change what was injected.
func TestNotWhole(t *testing.T) {
	for _, c := range []struct {
		name   string
		state  hosthook.State
		word   string
		change func(site, payload string) error
	}{
		{"hook changed", hosthook.Damaged, "covify.start was changed", func(site, _ string) error {
			return os.WriteFile(site+"/covify.start", []byte("_covify:start\n\n"), 0o644)
		}},
		{"hook deleted", hosthook.Incomplete, "covify.pth is missing", func(site, _ string) error { return os.Remove(site + "/covify.pth") }},
		{"payload changed", hosthook.Damaged, "was changed: _covify.py", func(_, payload string) error {
			return os.WriteFile(payload+"/_covify.py", nil, 0o644)
		}},
		{"payload deleted", hosthook.Incomplete, "is missing", func(_, payload string) error { return os.RemoveAll(payload) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, venv, site := venvRig(t)
			before := untimed(snapshot(t, venv))
			target := hosthook.Target{Venv: venv}
			payload := r.inject(target)[0].Payload
			must(t, c.change(site, payload))
			if s := r.status(); s.State != c.state || s.Intact || !strings.Contains(strings.Join(s.Problems, "\n"), c.word) {
				t.Errorf("status %+v", s)
			}
			if done := r.inject(target); !done[0].Changed {
				t.Error("nothing was mended")
			}
			if s := r.status(); s.State != hosthook.Active || len(s.Problems) != 0 {
				t.Errorf("status after mending %+v", s)
			}
			r.remove()
			sameTree(t, before, untimed(snapshot(t, venv)))
		})
	}
}

// TestGone takes away what the hook was put into.
func TestGone(t *testing.T) {
	for _, c := range []struct {
		name, word string
		change     func(r *rig, venv, site string)
	}{
		{"venv deleted", "the venv TMP/venv is gone", func(r *rig, venv, _ string) { must(r.T, os.RemoveAll(venv)) }},
		{"base removed", "the venv TMP/venv is not what it was", func(r *rig, _, _ string) { must(r.T, os.RemoveAll(r.dir+"/base")) }},
		{"venv made anew by another version", "the venv TMP/venv is Python 3.13 with TMP/venv/lib/python3.13/site-packages now", func(r *rig, venv, _ string) {
			must(r.T, os.RemoveAll(venv))
			r.venv(r.cpython("3.13", "newer"), "venv")
		}},
		{"upgraded over it", "the venv TMP/venv is Python 3.13 with TMP/venv/lib/python3.13/site-packages now", func(r *rig, venv, _ string) {
			must(r.T, os.RemoveAll(r.dir+"/base"))
			r.run(nil, r.cpython("3.13", "base"), "-m", "venv", "--without-pip", "--clear", venv)
			must(r.T, os.MkdirAll(venv+"/lib/python3.12", 0o755)) // what a package manager leaves
		}},
		{"site directory vanished", "covify.pth is missing", func(r *rig, _, site string) { must(r.T, os.RemoveAll(site)) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, venv, site := venvRig(t)
			r.inject(hosthook.Target{Venv: venv})
			c.change(r, venv, site)
			s := r.status()
			if want := strings.ReplaceAll(c.word, "TMP", r.dir); !strings.Contains(strings.Join(s.Problems, "\n"), want) || s.State == hosthook.Active || s.Active {
				t.Errorf("status %+v", s)
			}
			var before map[string]string
			if _, err := os.Stat(venv); err == nil {
				before = untimed(snapshot(t, venv))
				delete(before, site+"/covify.pth")
				delete(before, site+"/covify.start")
			}
			if removed := r.remove(); len(removed) != 1 {
				t.Errorf("removed %+v", removed)
			}
			if before != nil {
				sameTree(t, before, untimed(snapshot(t, venv)))
			}
			report, err := hosthook.Look(t.Context(), nil, r.opts)
			if err != nil || len(report.Hooks)+len(report.Leftovers) != 0 {
				t.Errorf("left: %+v %v", report, err)
			}
		})
	}
}

// TestInterpreterUpgraded replaces 3.12 with 3.13 in one prefix, as a package manager does: the old site directory stays, with the hook in it.
func TestInterpreterUpgraded(t *testing.T) {
	r := newRig(t)
	python := r.cpython("3.12", "usr")
	site := r.dir + "/usr/lib/python3.12/site-packages"
	must(t, os.Mkdir(site, 0o755))
	must(t, os.WriteFile(site+"/mine.py", nil, 0o644))
	r.inject(hosthook.Target{Python: python})
	must(t, os.Remove(python))
	newer := r.cpython("3.13", "usr")
	if s := r.status(); s.State != hosthook.Gone || s.Active || s.Problems[0] != "the interpreter "+python+" is gone" {
		t.Errorf("status %+v", s)
	}
	r.inject(hosthook.Target{Python: newer})
	if removed := r.remove(hosthook.Target{Python: python}); len(removed) != 1 || removed[0].Python != "3.12" {
		t.Errorf("removed %+v", removed)
	}
	if entries, err := os.ReadDir(site); err != nil || len(entries) != 1 {
		t.Errorf("left in %s: %v %v", site, entries, err)
	}
	if s := r.status(); s.State != hosthook.Active || s.Python != "3.13" {
		t.Errorf("status of the new one %+v", s)
	}
}

// TestChangedMeanwhile has a package installed while the hook is there: the directory's time is then not set back.
func TestChangedMeanwhile(t *testing.T) {
	r, venv, site := venvRig(t)
	r.inject(hosthook.Target{Venv: venv})
	must(t, os.WriteFile(site+"/other.py", nil, 0o644))
	changed, err := os.Stat(site)
	must(t, err)
	r.remove()
	now, err := os.Stat(site)
	must(t, err)
	if now.ModTime().Before(changed.ModTime()) {
		t.Errorf("the time of %s was set back to %v", site, now.ModTime())
	}
}

// TestOwnCoverage has a venv with a coverage of its own, which measures.
func TestOwnCoverage(t *testing.T) {
	r, venv, site := venvRig(t)
	older := r.opts
	payload, err := older.Payload(t.Context(), wheel.Target{Implementation: "cp", Major: 3, Minor: 9})
	must(t, err)
	for _, f := range payload.Files {
		if strings.HasPrefix(f.Path, "coverage/") && strings.HasSuffix(f.Path, ".py") {
			path := filepath.Join(site, f.Path)
			must(t, errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, f.Data, 0o644)))
		}
	}
	must(t, os.Mkdir(site+"/coverage-"+payload.Version+".dist-info", 0o755))
	i := r.inject(hosthook.Target{Venv: venv})[0]
	if i.Own != payload.Version || i.Coverage == payload.Version {
		t.Errorf("own coverage %q, payload's %q, want %q first", i.Own, i.Coverage, payload.Version)
	}
	env := []string{"COVERAGE_PROCESS_START=" + r.dir + "/rc", "COVERAGE_FILE=" + r.dir + "/own/.coverage"}
	must(t, os.Mkdir(r.dir+"/own", 0o755))
	out := r.run(env, venv+"/bin/python", "-W", "ignore", "-c", "import coverage; print(coverage.__version__, coverage.process_startup.coverage is not None)")
	if !strings.Contains(out, payload.Version+" True\n") {
		t.Errorf("measured by %s, not %s", out, payload.Version)
	}
}

// TestForeign has a file of the hook's name that is somebody else's: it stays, and so does all else.
func TestForeign(t *testing.T) {
	r, venv, site := venvRig(t)
	must(t, os.WriteFile(site+"/covify.pth", []byte("/srv/somebody\n"), 0o644))
	before := snapshot(t, venv)
	var foreign *hosthook.ForeignError
	if _, err := hosthook.Inject(t.Context(), []hosthook.Target{{Venv: venv}}, r.opts); !errors.As(err, &foreign) || foreign.Path != site+"/covify.pth" {
		t.Errorf("error %v", err)
	}
	r.remove(hosthook.Target{Venv: venv})
	sameTree(t, before, snapshot(t, venv))
	must(t, os.Remove(site+"/covify.pth"))

	// A coverage.pth that somebody put there by hand is in nobody's way.
	must(t, os.WriteFile(site+"/coverage.pth", []byte("import coverage; coverage.process_startup()\n"), 0o644))
	before = snapshot(t, venv)
	r.inject(hosthook.Target{Venv: venv})
	r.remove()
	sameTree(t, before, snapshot(t, venv))
}

// TestWrongTargets names what is no interpreter.
func TestWrongTargets(t *testing.T) {
	r := newRig(t)
	ls, err := exec.LookPath("ls")
	must(t, err)
	script := r.put("bin/script", "#!/bin/sh\necho no\n")
	must(t, os.Chmod(script, 0o755))
	static := r.put("bin/python3", "text")
	for _, c := range []struct {
		target hosthook.Target
		want   string
	}{
		{hosthook.Target{Python: r.dir + "/none"}, "no such file"},
		{hosthook.Target{Python: r.dir}, "a directory, not a Python interpreter; a venv is named with --venv"},
		{hosthook.Target{Python: ls}, "not a Python interpreter that covify knows"},
		{hosthook.Target{Python: script}, "a script that starts no Python interpreter"},
		{hosthook.Target{Python: static}, "not a Python interpreter: it is not executable"},
		{hosthook.Target{Venv: r.dir}, "not a venv: it has no pyvenv.cfg"},
	} {
		var wrong *hosthook.TargetError
		_, err := hosthook.Inject(t.Context(), []hosthook.Target{c.target}, r.opts)
		if !errors.As(err, &wrong) || wrong.Path != c.target.String() || !strings.Contains(wrong.Reason, c.want) {
			t.Errorf("%v: error %v, not %s", c.target, err, c.want)
		}
	}
	if _, err := os.Stat(r.opts.Place.Data); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("something was written: %v", err)
	}
}

// TestPayloadCannotBeWritten fails after the record was written: it is taken back.
func TestPayloadCannotBeWritten(t *testing.T) {
	r, venv, _ := venvRig(t)
	before := snapshot(t, venv)
	r.put("data", "in the way")
	_, err := hosthook.Inject(t.Context(), []hosthook.Target{{Venv: venv}}, r.opts)
	if err == nil || !strings.Contains(err.Error(), "making a place for coverage") {
		t.Errorf("error %v", err)
	}
	sameTree(t, before, snapshot(t, venv))
	if _, err := os.Stat(r.opts.Place.State); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a record is left: %v", err)
	}
}

// TestDataFolder has a data folder that no .pth file can name.
func TestDataFolder(t *testing.T) {
	r, venv, _ := venvRig(t)
	for _, name := range []string{"it's", "100%", "a\nb", `a\b`, `"a"`} {
		r.opts.Place.Data = r.dir + "/" + name
		if _, err := hosthook.Inject(t.Context(), []hosthook.Target{{Venv: venv}}, r.opts); err == nil || !strings.Contains(err.Error(), "cannot be named in a .pth file") {
			t.Errorf("%q: error %v", name, err)
		}
	}
	r.opts.Place.Data = r.dir + "/Ünser Platz"
	r.inject(hosthook.Target{Venv: venv})
	if s := r.status(); s.State != hosthook.Active {
		t.Errorf("status %+v", s)
	}
}

// TestOthersRecord has root's record of the same venv: it counts, and status tells where it is.
func TestOthersRecord(t *testing.T) {
	r, venv, _ := venvRig(t)
	target := hosthook.Target{Venv: venv}
	r.inject(target)
	theirs := r.opts.Place
	r.opts.Others = []hosthook.Place{theirs}
	r.opts.Place = hosthook.Place{Data: r.dir + "/mine", State: r.dir + "/mine/host.json"}
	if done := r.inject(target); done[0].Changed {
		t.Errorf("injected again: %+v", done)
	}
	if s := r.status(target); s.State != hosthook.Active || s.Record != theirs.State {
		t.Errorf("status %+v", s)
	}
	if removed := r.remove(); len(removed) != 0 {
		t.Errorf("removed what is another's: %v", removed)
	}
	if removed := r.remove(target); len(removed) != 1 {
		t.Errorf("removed %v", removed)
	}
}

func TestJSON(t *testing.T) {
	r, venv, _ := venvRig(t)
	r.inject(hosthook.Target{Venv: venv})
	report, err := hosthook.Look(t.Context(), nil, r.opts)
	must(t, err)
	data, err := json.Marshal(report)
	must(t, err)
	var keys struct {
		Hooks []map[string]any `json:"hooks"`
	}
	must(t, json.Unmarshal(data, &keys))
	for _, key := range []string{"environment", "venv", "interpreter", "command", "python", "payload", "coverage", "state", "active", "intact", "record"} {
		if _, ok := keys.Hooks[0][key]; !ok {
			t.Errorf("no %s in %s", key, data)
		}
	}
	if !slices.Equal(report.Leftovers, nil) {
		t.Errorf("left over: %v", report.Leftovers)
	}
}
