package covdata_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/covify/covify/covdata"
)

// testPython is a Python of this machine with a coverage of its own version's choice, installed once into the
// development cache.
var testPython = sync.OnceValues(func() (covdata.Python, error) {
	var candidates []string
	for _, name := range []string{"python3", "python"} {
		if path, err := exec.LookPath(name); err == nil {
			candidates = append(candidates, path)
		}
	}
	found, err := covdata.FindPython(bg, candidates)
	if err != nil {
		return covdata.Python{}, err
	}
	lib, err := installCoverage(found.Path)
	return covdata.Python{Command: []string{found.Path}, Path: lib}, err
})

func installCoverage(python string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	lib := filepath.Join(cache, "covify-dev", "covdata-coverage", strings.ReplaceAll(python, "/", "_"))
	if _, err := os.Stat(filepath.Join(lib, "coverage")); err == nil {
		return lib, nil
	}
	if err := os.MkdirAll(filepath.Dir(lib), 0o777); err != nil {
		return "", err
	}
	temp, err := os.MkdirTemp(filepath.Dir(lib), "new-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(temp)
	out, err := exec.Command(python, "-m", "pip", "install", "--quiet", "--no-deps", "--target", temp, "coverage").CombinedOutput()
	if err != nil {
		return "", &covdata.PythonError{Command: []string{python, "-m", "pip"}, Message: string(out)}
	}
	return lib, os.Rename(temp, lib)
}

func python(t *testing.T) covdata.Python {
	t.Helper()
	found, err := testPython()
	if err != nil {
		t.Fatalf("these tests need a Python with pip on PATH: %v", err)
	}
	return found
}

// runPython runs a Python program with coverage importable and returns its stdout.
func runPython(t *testing.T, dir string, args ...string) []byte {
	t.Helper()
	p := python(t)
	cmd := exec.Command(p.Command[0], args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PYTHONPATH="+p.Path)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("python %q: %v\n%s%s", args, err, out, stderr.Bytes())
	}
	return out
}

// writeFiles writes {path: content} below dir.
func writeFiles(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

// measured is what a data file holds: {measured file: executed lines}.
type measured map[string][]int

const makeData = `
import coverage, json, os, sys
for name, files in json.load(open(sys.argv[1])).items():
    os.makedirs(os.path.dirname(name), exist_ok=True)
    data = coverage.CoverageData(name)
    data.add_lines(files)
    data.close(force=True)
`

// writeData makes data files, {path below dir: what it holds}, with coverage.
func writeData(t *testing.T, dir string, files map[string]measured) {
	t.Helper()
	all := map[string]measured{}
	for name, held := range files {
		all[filepath.Join(dir, name)] = held
	}
	text, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	wanted := filepath.Join(t.TempDir(), "data.json")
	if err := os.WriteFile(wanted, text, 0o666); err != nil {
		t.Fatal(err)
	}
	runPython(t, dir, "-c", makeData, wanted)
}

// held is all that a data file says about one source file.
type held struct {
	Lines    []int
	Arcs     [][2]int
	Contexts map[string][]string // line: contexts
}

const dumpData = `
import coverage, json, sys
data = coverage.CoverageData(sys.argv[1])
data.read()
print(json.dumps({file: {
    "Lines": sorted(data.lines(file)),
    "Arcs": sorted(data.arcs(file)) if data.has_arcs() else None,
    "Contexts": {str(line): sorted(names) for line, names in data.contexts_by_lineno(file).items()},
} for file in data.measured_files()}))
`

func readData(t *testing.T, path string) map[string]held {
	t.Helper()
	var all map[string]held
	if err := json.Unmarshal(runPython(t, t.TempDir(), "-c", dumpData, path), &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// contents are the bytes of every file below dir, by path.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		all[path] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func combine(t *testing.T, opts covdata.CombineOptions) *covdata.Summary {
	t.Helper()
	opts.Stderr = t.Output()
	summary, err := covdata.Combine(bg, python(t), opts)
	if err != nil {
		t.Fatal(err)
	}
	return summary
}
