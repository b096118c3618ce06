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

// shop is a copy of docs/example, whose images an engine has.
type shop struct {
	*engine
	dir  string
	venv string
	bin  string // what is on PATH before all else
}

// newShop copies the example, with what its tests need from the index that pip is configured with.
func newShop(t *testing.T, e *engine) *shop {
	t.Helper()
	s := &shop{engine: e, dir: filepath.Join(t.TempDir(), "shop"), bin: t.TempDir()}
	s.venv = venvWith(t, "example-venv", "pytest", "pytest-cov>=7", "pytest-xdist", "coverage", "tox")
	if err := os.CopyFS(s.dir, os.DirFS("../docs/example")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(covifyBin, filepath.Join(s.bin, "covify")); err != nil {
		t.Fatal(err)
	}
	return s
}

// build gives the engine the example's images, as its README says.
func (s *shop) build(t *testing.T) {
	t.Helper()
	output(t, "", s.env(), "./supply", s.dockerfiles(t)...)
	output(t, s.dir, s.env(), "docker", "compose", "--profile=batch", "build", "--quiet")
}

func (s *shop) dockerfiles(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(s.dir, "*", "Dockerfile"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no Dockerfiles in %s: %v", s.dir, err)
	}
	return files
}

// env is what the example's tests are run with; path goes before all else on PATH.
func (s *shop) env(path ...string) map[string]string {
	env := s.engine.env()
	env["PATH"] = strings.Join(slices.Concat(path, []string{s.bin, filepath.Join(s.venv, "bin"), os.Getenv("PATH")}), ":")
	env["COMPOSE_PROJECT_NAME"] = strings.ToLower(filepath.Base(s.bin)) + "-shop"
	return env
}

// byHand are the programs of the example's images under coverage run, as who does it by hand would start them.
var byHand = map[string][]string{
	"catalog": {"-m", "gunicorn", "--workers=2", "main:app"},
	"orders":  {"main.py"},
	"nightly": {"main.py"},
}

// byHandSettings keep the data of processes that are ended by a signal or leave by os._exit.
const byHandSettings = "[run]\nbranch = true\nparallel = true\nsigterm = true\npatch = _exit\ndata_file = %s/.coverage\n"

// byHandEngine stands for docker, and gives containers of the example's images an init process and a folder for their data.
const byHandEngine = `#!/bin/sh
for word; do
	case $word in shop/*) image=${word#shop/} ;; esac
done
if [ "$1" = run ]; then
	shift
	exec DOCKER run --init --volume "DATA/${image%:*}:/coverage" "$@"
fi
exec DOCKER "$@"
`

// byHandTag is of images with coverage in them, which start their programs under it.
const byHandTag = "by-hand"

// oracle is what coverage run says of each part of the example alone, when CMD runs its tests: of the host's processes, and of every image's
// in containers that docker starts.
func (s *shop) oracle(t *testing.T, cmd ...string) measured {
	t.Helper()
	data, project := t.TempDir(), filepath.Join(t.TempDir(), "shop")
	if err := os.CopyFS(project, os.DirFS(s.dir)); err != nil {
		t.Fatal(err)
	}
	override := "services:\n"
	for _, name := range []string{"catalog", "orders", "nightly"} {
		s.buildByHand(t, name)
		override += fmt.Sprintf("  %s:\n    init: true\n    volumes: [%q]\n", name, filepath.Join(data, name)+":/coverage")
		makeOpen(t, filepath.Join(data, name))
	}
	host := filepath.Join(data, "host")
	makeOpen(t, host)
	docker := strings.TrimSpace(output(t, "", nil, "which", "docker"))
	for name, text := range map[string]string{
		"override.yaml": override,
		"coveragerc":    fmt.Sprintf(byHandSettings, host),
		"docker":        strings.NewReplacer("DOCKER", docker, "DATA", data).Replace(byHandEngine),
	} {
		if err := os.WriteFile(filepath.Join(data, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	env := s.env(data)
	env["SHOP_TAG"] = byHandTag
	env["COMPOSE_FILE"] = filepath.Join(project, "compose.yaml") + ":" + filepath.Join(data, "override.yaml")
	env["COVERAGE_PROCESS_START"] = filepath.Join(data, "coveragerc") // coverage's own .pth file measures the subprocesses
	coverage := filepath.Join(s.venv, "bin", "coverage")
	stdout, stderr, code := runCommand(t, project, env, coverage, append([]string{"run", "--rcfile=" + env["COVERAGE_PROCESS_START"]}, cmd...)...)
	if code != 0 {
		t.Fatalf("the oracle: exit code %d\n%s%s", code, stdout, stderr)
	}
	want := relativeTo(t, project, "", dump(t, host))
	for name := range byHand {
		for path, ran := range relativeTo(t, "/app", name, dump(t, filepath.Join(data, name))) {
			want[path] = ran
		}
	}
	return want
}

// buildByHand makes the image of a part with coverage in it.
func (s *shop) buildByHand(t *testing.T, name string) {
	t.Helper()
	dir := t.TempDir()
	start, err := json.Marshal(slices.Concat([]string{"python", "-m", "coverage", "run", "--rcfile=/coveragerc"}, byHand[name]))
	if err != nil {
		t.Fatal(err)
	}
	instruction := "CMD "
	if name == "nightly" {
		instruction = "ENTRYPOINT "
	}
	for file, text := range map[string]string{
		"coveragerc": fmt.Sprintf(byHandSettings, "/coverage"),
		"Dockerfile": "FROM shop/" + name + "\nUSER root\nRUN pip install --no-cache-dir --root-user-action=ignore coverage\nCOPY coveragerc /\n" +
			"ENV COVERAGE_PROCESS_START=/coveragerc\n" + instruction + string(start) + "\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	output(t, dir, s.env(), "docker", "build", "--quiet", "--tag", "shop/"+name+":"+byHandTag, ".")
}

func makeOpen(t *testing.T, dir string) {
	t.Helper()
	err := os.MkdirAll(dir, 0o777)
	if err == nil {
		err = os.Chmod(dir, 0o777)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// relativeTo names files by their place below a folder, in another one.
func relativeTo(t *testing.T, folder, other string, m measured) measured {
	t.Helper()
	moved := measured{}
	for path, ran := range m {
		rel, err := filepath.Rel(folder, path)
		if err != nil || strings.HasPrefix(rel, "..") {
			t.Fatalf("%s is not in %s, %v", path, folder, err)
		}
		moved[filepath.Join(other, rel)] = ran
	}
	return moved
}

// venvWith is a virtual environment with packages, made once a machine from the index that pip is configured with.
func venvWith(t *testing.T, name string, packages ...string) string {
	t.Helper()
	venv := filepath.Join(filepath.Dir(filepath.Dir((&testCase{}).archive())), name)
	done, wanted := filepath.Join(venv, "complete"), strings.Join(packages, " ")
	if text, err := os.ReadFile(done); err == nil && string(text) == wanted {
		return venv
	}
	output(t, "", nil, "python3", "-m", "venv", "--clear", venv)
	output(t, "", nil, filepath.Join(venv, "bin", "pip"), append([]string{"install", "--quiet"}, packages...)...)
	if err := os.WriteFile(done, []byte(wanted), 0o644); err != nil {
		t.Fatal(err)
	}
	return venv
}

// ledgerOf reads the ledger that covify test wrote.
func ledgerOf(t *testing.T, file string) (ledger struct {
	Host       struct{ Outcome string }
	Containers []struct {
		Image, Name, Service, Outcome, Ending, Why string
		Files, Lines                               int
	}
}) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(text, &ledger)
	}
	if err != nil {
		t.Fatal(err)
	}
	return ledger
}

// session is the folder of the one session of a checkout.
func sessionFolder(t *testing.T, project string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(project, ".covify/session/*"))
	if err != nil || len(found) != 1 {
		t.Fatalf("sessions %q, %v", found, err)
	}
	return found[0]
}

// TestEngineProject: of a project with host code, a command line, services and a batch in containers, one command makes one report, in which
// every file has the lines and arcs that coverage run says of its part alone; the ledger names every container.
func TestEngineProject(t *testing.T) {
	s := newShop(t, findEngine(t, "docker29"))
	s.build(t)
	stdout, stderr, code := runCommand(t, s.dir, s.env(), covifyBin, "test", "--html=pages", "--ledger=ledger.json", "--require=host,catalog,orders,nightly", "--",
		"pytest", "-q")
	if code != 0 {
		t.Fatalf("covify test: exit code %d\n%s%s", code, stdout, stderr)
	}
	t.Logf("%s%s", stdout, stderr)
	got := combined(t, filepath.Join(sessionFolder(t, s.dir), "coverage"))
	want := s.oracle(t, "-m", "pytest", "-q")
	for _, path := range []string{"shop/client.py", "shop/__main__.py", "catalog/main.py", "catalog/settings.py", "orders/main.py", "orders/settings.py", "nightly/report.py"} {
		if len(want[path].Lines) == 0 || len(want[path].Arcs) == 0 {
			t.Errorf("the oracle measured nothing of %s", path)
		}
	}
	compare(t, want, got)

	var containers []string
	for _, c := range ledgerOf(t, filepath.Join(s.dir, "ledger.json")).Containers {
		containers = append(containers, fmt.Sprintf("%s %q %s", c.Image, c.Service, c.Outcome))
		if (c.Outcome == "covered") != (c.Lines > 0 && c.Files == 2) {
			t.Errorf("ledger: %+v", c)
		}
	}
	slices.Sort(containers)
	if want := []string{`shop/catalog:latest "" covered`, `shop/catalog:latest "catalog" covered`, `shop/nightly:latest "" covered`,
		`shop/orders:latest "orders" covered`, `shop/prices:latest "prices" not Python`}; !slices.Equal(containers, want) {
		t.Errorf("containers of the ledger: %q, want %q", containers, want)
	}
	for _, page := range []string{"index.html", "ledger.html", "ledger.json"} {
		if _, err := os.Stat(filepath.Join(s.dir, "pages", page)); err != nil {
			t.Error(err)
		}
	}
	s.contexts(t, want)
}

// contexts runs the tests once more: the same lines, each of which knows the container, service, process or test that ran it.
func (s *shop) contexts(t *testing.T, want measured) {
	t.Helper()
	output(t, s.dir, s.env(), covifyBin, "test", "--contexts", "--html=marked", "--", "pytest", "-q")
	compare(t, want, combined(t, filepath.Join(sessionFolder(t, s.dir), "coverage")))
	for page, names := range map[string][]string{
		"*_main_py.html":     {"catalog (shop/catalog:latest)", "shop/catalog:latest", "orders (shop/orders:latest)", "shop/nightly:latest"},
		"*___main___py.html": {"host shop"},
		"*_client_py.html":   {"host pytest|test_catalog.test_"},
	} {
		pages, err := filepath.Glob(filepath.Join(s.dir, "marked", page))
		var text []byte
		for _, page := range pages {
			more, readErr := os.ReadFile(page)
			text, err = append(text, more...), errors.Join(err, readErr)
		}
		for _, name := range names {
			if err != nil || !strings.Contains(string(text), `"`+name) {
				t.Errorf("%s: no context %q, %v", page, name, err)
			}
		}
	}
}
