package plan_test

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/covify/covify/plan"
	"github.com/covify/covify/wheel"
	"github.com/covify/covify/wheel/bundle"
	"github.com/covify/covify/wheel/fetch"
)

const nobody = 65534

// A rig is a root filesystem with a real CPython at /usr/local and venvs in /opt, over which a Plan was made and written.
type rig struct {
	root    string
	minor   string // "3.13"
	target  wheel.Target
	version string // of the payload's coverage
	payload string // the payload's directory on this machine
	app     string
	cases   []*probe
}

// A probe is one run of a program in a rig, and what came of it.
type probe struct {
	name   string
	python string   // a venv's name, "" for the interpreter's own environment
	args   []string // relative to the app's directory
	env    []string // beside COVERAGE_FILE, which names a directory of the probe's own
	off    bool     // COVERAGE_PROCESS_START is not set
	config string   // content of the settings, the Plan's own if empty
	uid    uint32
	setup  func(p *probe) error // before the run
	check  func(t *testing.T, r *rig, p *probe)

	data, coveragerc      string
	stdout, stderr, notes string
	code                  int
	measured              measured
}

// measured is what data files hold: the executed lines by the file's name, and the arcs.
type measured struct {
	Files  int                 `json:"files"`
	Broken int                 `json:"broken"` // files cut short
	Lines  map[string][]int    `json:"lines"`
	Arcs   map[string][][2]int `json:"arcs"`
}

// TestPythonHook lays a Plan over real CPythons and holds the hook and the start-up module to their promises. Bytes are
// as in an image but for the payload's place in the .pth files: an image has it at /opt/covify, a test below a directory.
func TestPythonHook(t *testing.T) {
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" && runtime.GOARCH != "arm64" {
		t.Skip("no CPython to be had for this platform")
	}
	if bundle.Empty() {
		t.Skip("no wheels at hand (make wheels)")
	}
	// Two at a time: each starts some dozens of processes.
	slots := make(chan struct{}, 2)
	for _, minor := range []string{"3.10", "3.11", "3.12", "3.13", "3.14"} {
		t.Run(minor, func(t *testing.T) {
			t.Parallel()
			slots <- struct{}{}
			defer func() { <-slots }()
			r := newRig(t, minor)
			r.cases = slices.Concat(offCases(), onCases(), lossCases(), brokenCases(), ownCases(), r.pureCases(), r.saveCases())
			r.run(t)
			for _, p := range r.cases {
				t.Run(p.name, func(t *testing.T) { p.check(t, r, p) })
			}
		})
	}
}

func newRig(t *testing.T, minor string) *rig {
	t.Helper()
	root, err := os.MkdirTemp("", "covify-rig-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(root) })
	r := &rig{root: root, minor: minor, app: root + "/srv/app"}
	must(t, os.Chmod(root, 0o755)) // for the probes of another user
	out, err := exec.Command("../hack/cpython", minor, root+"/usr/local").CombinedOutput()
	if err != nil {
		t.Fatalf("hack/cpython: %v\n%s", err, out)
	}
	for _, name := range []string{"own", "beside", "both", "nosqlite", "pure", "gone", "custom"} {
		r.venv(t, name, name == "both")
	}
	must(t, os.CopyFS(r.app, os.DirFS("testdata/apps")))
	r.write(t, r.makePlan(t))
	r.furnish(t)
	r.furnishSaves(t)
	return r
}

// venv lays a venv whose links stay inside the root.
func (r *rig) venv(t *testing.T, name string, system bool) {
	t.Helper()
	dir := filepath.Join(r.root, "opt", name)
	must(t, os.MkdirAll(dir+"/lib/python"+r.minor+"/site-packages", 0o755))
	must(t, os.MkdirAll(dir+"/bin", 0o755))
	must(t, os.Symlink("../../../usr/local/bin/python"+r.minor, dir+"/bin/python"))
	cfg := fmt.Sprintf("home = %s/usr/local/bin\ninclude-system-site-packages = %v\n", r.root, system)
	must(t, os.WriteFile(dir+"/pyvenv.cfg", []byte(cfg), 0o644))
}

func (r *rig) site(venv string) string {
	base := r.root + "/usr/local"
	if venv != "" {
		base = r.root + "/opt/" + venv
	}
	return base + "/lib/python" + r.minor + "/site-packages"
}

func (r *rig) python(venv string) string {
	if venv != "" {
		return r.root + "/opt/" + venv + "/bin/python"
	}
	return r.root + "/usr/local/bin/python" + r.minor
}

func (r *rig) makePlan(t *testing.T) *plan.Plan {
	t.Helper()
	root := os.DirFS(r.root)
	facts, err := plan.FindInterpreters(root)
	must(t, err)
	targets := facts.Targets()
	if len(targets) != 1 || len(facts.Environments) != 8 {
		t.Fatalf("facts: %s", asJSON(t, facts))
	}
	r.target = targets[0]
	p, err := plan.Make(root, facts, plan.Image{}, map[wheel.Target]plan.Choice{r.target: {Payload: r.payloadFor(t, r.target)}}, plan.Options{})
	must(t, err)
	r.version = p.Installs[0].Version
	r.payload = r.root + p.Installs[0].Payload
	return p
}

func (r *rig) payloadFor(t *testing.T, target wheel.Target) *wheel.Payload {
	t.Helper()
	source := fetch.Source{Bundle: bundle.FS(), StartUp: plan.Startup(), Offline: true}
	payload, err := source.Payload(context.Background(), target, "")
	must(t, err)
	return payload
}

// write renders a Plan below the root.
func (r *rig) write(t *testing.T, p *plan.Plan) {
	t.Helper()
	for _, l := range p.Layers {
		for _, f := range l.Files {
			place := r.root + f.Path
			if f.Mode.IsDir() {
				must(t, os.MkdirAll(place, 0o755))
				must(t, os.Chmod(place, f.Mode))
				continue
			}
			data := f.Data
			if filepath.Ext(place) == ".pth" {
				data = bytes.ReplaceAll(data, []byte(plan.PayloadRoot), []byte(r.root+plan.PayloadRoot))
			}
			must(t, os.WriteFile(place, data, f.Mode))
		}
	}
}

// furnish makes of the venvs what their names say.
func (r *rig) furnish(t *testing.T) {
	t.Helper()
	r.unzip(t, r.wheel(t, "7.6.1", "pp38.pp39.pp310"), r.site("own"))
	r.unzip(t, r.wheel(t, r.version, r.target.ABI), r.site("beside"))
	must(t, os.WriteFile(r.site("nosqlite")+"/a.pth", []byte("import sys; sys.modules['_sqlite3'] = None\n"), 0o644))
	r.repoint(t, "gone", r.payload, r.root+"/nowhere")
	must(t, os.WriteFile(r.site("custom")+"/zz.pth", []byte("import sys; sys.path.insert(0, "+fmt.Sprintf("%q", r.root+"/custom")+")\n"), 0o644))
	must(t, os.MkdirAll(r.root+"/custom", 0o755))
	must(t, os.WriteFile(r.root+"/custom/sitecustomize.py", []byte("import os\nassert 'COVIFY_CHILD' not in os.environ\n"), 0o644))

	pure := r.payloadFor(t, wheel.Target{Implementation: "cp", Major: r.target.Major, Minor: r.target.Minor, ABI: r.target.ABI})
	if !pure.Pure {
		t.Fatalf("%s is not pure", pure.Name)
	}
	dir := r.root + plan.PayloadRoot + "/" + pure.Name
	for _, f := range append(pure.Files, wheel.PayloadFile{Path: "_covify.py", Mode: 0o644, Data: plan.Startup()}) {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, f.Path)), 0o755))
		must(t, os.WriteFile(filepath.Join(dir, f.Path), f.Data, f.Mode))
	}
	r.repoint(t, "pure", r.payload, dir)

	// With LATE set, a site directory that site reads after the hook's, as Debian has them, holds a coverage of the image's own.
	r.unzip(t, r.wheel(t, "7.6.1", "pp38.pp39.pp310"), r.root+"/late")
	first := `import os, site; os.environ.get("LATE") and setattr(site, "getsitepackages", lambda p=None, f=site.getsitepackages: f(p) + [os.environ["LATE"]])`
	last := `import os, sys; os.environ.get("LATE") and sys.path.append(os.environ["LATE"])`
	must(t, os.WriteFile(r.site("")+"/a.pth", []byte(first+"\n"), 0o644))
	must(t, os.WriteFile(r.site("")+"/z.pth", []byte(last+"\n"), 0o644))
}

func (r *rig) repoint(t *testing.T, venv, from, to string) {
	t.Helper()
	file := r.site(venv) + "/coverage.pth"
	data, err := os.ReadFile(file)
	must(t, err)
	must(t, os.WriteFile(file, bytes.ReplaceAll(data, []byte(from), []byte(to)), 0o644))
}

// wheel names a wheel of the bundle for this machine, by a tag it has.
func (r *rig) wheel(t *testing.T, version, tag string) string {
	t.Helper()
	all, err := fs.Glob(bundle.FS(), "wheels/coverage-"+version+"-*"+tag+"-*.whl")
	must(t, err)
	for _, name := range all {
		if strings.Contains(name, "none-any") || strings.Contains(name, "manylinux") && strings.Contains(name, r.target.Arch) {
			return name
		}
	}
	t.Fatalf("no wheel of coverage %s for %s among %v", version, tag, all)
	return ""
}

func (r *rig) unzip(t *testing.T, name, dir string) {
	t.Helper()
	data, err := fs.ReadFile(bundle.FS(), name)
	must(t, err)
	archive, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	must(t, err)
	must(t, os.CopyFS(dir, archive))
}

// run runs all probes and then reads what they left with one more process.
func (r *rig) run(t *testing.T) {
	t.Helper()
	var group sync.WaitGroup
	queue := make(chan *probe)
	for range 2 {
		group.Go(func() {
			for p := range queue {
				if err := p.run(r); err != nil {
					t.Errorf("%s: %v", p.name, err)
				}
			}
		})
	}
	dirs := []string{}
	for _, p := range r.cases {
		p.data = filepath.Join(r.root, "data", strings.ReplaceAll(p.name, " ", "-"))
		dirs = append(dirs, p.data)
		queue <- p
	}
	close(queue)
	group.Wait()
	cmd := exec.Command(r.python(""), append([]string{r.app + "/dump.py"}, dirs...)...)
	cmd.Dir, cmd.Stderr = r.app, os.Stderr
	out, err := cmd.Output()
	must(t, err)
	all := map[string]measured{}
	must(t, json.Unmarshal(out, &all))
	for _, p := range r.cases {
		p.measured = all[p.data]
	}
}

func (p *probe) run(r *rig) error {
	if err := p.prepare(r); err != nil {
		return err
	}
	env := slices.Concat([]string{"COVERAGE_FILE=" + p.data + "/.coverage", "PYTHONDONTWRITEBYTECODE=1", "PATH=/usr/bin:/bin"}, p.env)
	if !p.off {
		env = append(env, "COVERAGE_PROCESS_START="+p.coveragerc)
	}
	ctx, stop := context.WithTimeout(context.Background(), 30*time.Second)
	defer stop()
	cmd := exec.CommandContext(ctx, r.python(p.python), p.args...)
	cmd.WaitDelay = time.Second // a child may hold its output open
	cmd.Dir, cmd.Env = r.app, env
	if p.uid != 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: p.uid, Gid: p.uid}}
	}
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); ctx.Err() != nil || cmd.ProcessState == nil {
		return fmt.Errorf("did not end: %w", err)
	}
	p.stdout, p.stderr, p.code = stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()
	notes, _ := filepath.Glob(p.data + "/covify-note-*")
	for _, note := range notes {
		data, err := os.ReadFile(note)
		if err != nil {
			return err
		}
		p.notes += string(data)
	}
	return nil
}

func (p *probe) prepare(r *rig) error {
	p.coveragerc = r.root + plan.ConfigPath
	err := errors.Join(os.MkdirAll(p.data, 0o755), os.Chmod(p.data, 0o777))
	if p.config != "" {
		p.coveragerc = p.data + ".ini"
		err = errors.Join(err, os.WriteFile(p.coveragerc, []byte(p.config), 0o644))
	}
	if p.setup != nil {
		err = errors.Join(err, p.setup(p))
	}
	return err
}

// of returns the probe of that name.
func (r *rig) of(name string) *probe {
	for _, p := range r.cases {
		if p.name == name {
			return p
		}
	}
	return &probe{}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
