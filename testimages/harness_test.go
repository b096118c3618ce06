package testimages

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// covifyBin is the program under test, built once with the wheels it carries.
var covifyBin string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "covify-testimages-")
	if err != nil {
		panic(err)
	}
	covifyBin = filepath.Join(dir, "covify")
	if out, err := exec.Command("go", "build", "-o", covifyBin, "../cmd/covify").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building covify: %v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// testCase is a test image's case.json: the image, and what its ENTRYPOINT and CMD start.
type testCase struct {
	name      string
	Image     string
	Platforms []string
	Python    []string
	Run       struct{ Flags, Cmd []string }
	Program   []string          // argv of ENTRYPOINT and CMD together
	Files     map[string]string // path in the container to path in the case's folder
	Exit      int               `json:"expect_exit"`

	pushed string // where a registry has the image, if it is not testimages/build's
}

// cases reads every test image's case; those whose archive testimages/build has not made fail the test.
func cases(t *testing.T) []*testCase {
	t.Helper()
	files, err := filepath.Glob("*/case.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no test images: %v", err)
	}
	var all []*testCase
	for _, file := range files {
		c := &testCase{name: filepath.Dir(file)}
		data, err := os.ReadFile(file)
		if err == nil {
			err = json.Unmarshal(data, c)
		}
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if _, err := os.Stat(c.archive()); err != nil {
			t.Fatalf("%v (testimages/build makes it)", err)
		}
		all = append(all, c)
	}
	return all
}

func (c *testCase) archive() string {
	cache := os.Getenv("COVIFY_DEV_CACHE")
	if cache == "" {
		dir, err := os.UserCacheDir()
		if err != nil {
			panic(err)
		}
		cache = filepath.Join(dir, "covify-dev")
	}
	return filepath.Join(cache, "images", c.name+".tar")
}

// source is the image without covify, as covify plan takes it.
func (c *testCase) source() string {
	if c.pushed != "" {
		return "docker://" + c.pushed
	}
	return "docker-archive:" + c.archive()
}

// variables returns the environment with some of it changed; an empty value removes the variable.
func variables(changes map[string]string) []string {
	var env []string
	for _, kv := range os.Environ() {
		key, _, _ := strings.Cut(kv, "=")
		if _, ok := changes[key]; !ok {
			env = append(env, kv)
		}
	}
	for key, value := range changes {
		if value != "" {
			env = append(env, key+"="+value)
		}
	}
	return env
}

// output runs a command and returns its stdout; a failure ends the test with all it said.
func output(t *testing.T, dir string, env map[string]string, command string, args ...string) string {
	t.Helper()
	stdout, stderr, code := runCommand(t, dir, env, command, args...)
	if code != 0 {
		t.Fatalf("%s %s: exit code %d\n%s%s", command, strings.Join(args, " "), code, stdout, stderr)
	}
	return stdout
}

func runCommand(t *testing.T, dir string, env map[string]string, command string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	c := exec.Command(command, args...)
	c.Dir, c.Env, c.Stdout, c.Stderr = dir, variables(env), &out, &errs
	err := c.Run()
	var exited *exec.ExitError
	if err != nil && !errors.As(err, &exited) {
		t.Fatalf("%s: %v", command, err)
	}
	return out.String(), errs.String(), c.ProcessState.ExitCode()
}

// wheelFolder unpacks the published wheel of a payload, as pip would lay it into a site directory.
func wheelFolder(t *testing.T, version, payload string) string {
	t.Helper()
	parts := strings.Split(filepath.Base(payload), "-") // 7.17.3-cp313-glibc-x86_64
	libc := map[string]string{"glibc": "manylinux", "musl": "musllinux"}[parts[2]]
	found, err := filepath.Glob(fmt.Sprintf("../wheel/bundle/data/wheels/coverage-%s-%s-*%s*_%s*.whl", version, parts[1], libc, parts[3]))
	if err != nil || len(found) != 1 {
		t.Fatalf("wheel of %s: found %q, %v", payload, found, err)
	}
	dir := filepath.Join(t.TempDir(), "wheel")
	unzip(t, found[0], dir)
	return dir
}

func unzip(t *testing.T, file, dir string) {
	t.Helper()
	z, err := zip.OpenReader(file)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	for _, f := range z.File {
		if f.FileInfo().IsDir() {
			continue
		}
		to := filepath.Join(dir, filepath.FromSlash(f.Name))
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		r.Close()
		if err == nil {
			err = os.WriteFile(to, data, 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// measured is what coverage says was executed: by file, the lines and the arcs.
type measured map[string]struct {
	Lines []int
	Arcs  [][2]int
}

// dumpScript prints the union of data files, as coverage itself reads them.
const dumpScript = `
import glob, json, sys
sys.path.insert(0, sys.argv[1])
from coverage import CoverageData
union = {}
for name in sorted(glob.glob(sys.argv[2] + "/.coverage.*")):
    data = CoverageData(basename=name)
    try:
        data.read()
    except Exception:
        if sys.argv[3:] == ["oracle"]:  # of the resource tracker, killed with its container
            continue
        raise
    for path in data.measured_files():
        lines, arcs = union.setdefault(path, (set(), set()))
        lines.update(data.lines(path) or [])
        arcs.update(map(tuple, data.arcs(path) or []))
print(json.dumps({path: {"Lines": sorted(l), "Arcs": sorted(a)} for path, (l, a) in union.items() if l}))
`

// dump reads all data files of a folder.
func dump(t *testing.T, folder string) measured {
	t.Helper()
	return dumpWith(t, folder)
}

// dumpWith reads all data files of a folder; mode "oracle" forgives the file of a process that was killed with its container.
func dumpWith(t *testing.T, folder string, mode ...string) measured {
	t.Helper()
	found, err := filepath.Glob("../wheel/bundle/data/wheels/coverage-7.*-py3-none-any.whl")
	if err != nil || len(found) == 0 {
		t.Fatalf("no pure wheel in the bundle: %v", err)
	}
	dir := filepath.Join(t.TempDir(), "pure")
	unzip(t, found[len(found)-1], dir)
	var m measured
	if err := json.Unmarshal([]byte(output(t, "", nil, "python3", slices.Concat([]string{"-c", dumpScript, dir, folder}, mode)...)), &m); err != nil {
		t.Fatal(err)
	}
	return m
}
