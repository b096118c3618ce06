package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
)

// pytestVenv is a virtual environment with pytest, pytest-cov, pytest-xdist and tox, made once a machine from the index that pip is
// configured with.
var pytestVenv = sync.OnceValues(func() (string, error) {
	cache := os.Getenv("COVIFY_DEV_CACHE")
	if cache == "" {
		dir, err := os.UserCacheDir()
		if err != nil {
			return "", err
		}
		cache = filepath.Join(dir, "covify-dev")
	}
	venv := filepath.Join(cache, "pytest-venv")
	if _, err := os.Stat(filepath.Join(venv, "bin", "all-is-there")); err == nil {
		return venv, nil
	}
	for _, command := range [][]string{
		{"python3", "-m", "venv", "--clear", venv},
		{filepath.Join(venv, "bin", "pip"), "install", "--quiet", "pytest", "pytest-cov", "pytest-xdist", "tox"},
	} {
		if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
			return "", fmt.Errorf("%v: %w\n%s", command, err, out)
		}
	}
	return venv, os.WriteFile(filepath.Join(venv, "bin", "all-is-there"), nil, 0o644)
})

// scriptVenv puts the virtual environment in front of PATH, and has covify use the wheels that it carries.
func scriptVenv(ts *testscript.TestScript, _ bool, _ []string) {
	venv, err := pytestVenv()
	ts.Check(err)
	ts.Setenv("VENV", venv)
	ts.Setenv("PATH", filepath.Join(venv, "bin")+string(filepath.ListSeparator)+ts.Getenv("PATH"))
	ts.Setenv("COVIFY_BUNDLE", "")
}

// scriptSameLines compares two reports of coverage json: the same files, and in each the same lines ran.
func scriptSameLines(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: samelines WANT GOT")
	}
	want, got := executed(ts, args[0]), executed(ts, args[1])
	if same := reflect.DeepEqual(want, got); same == neg {
		ts.Fatalf("%s:\n%v\n%s:\n%v", args[0], want, args[1], got)
	}
}

func executed(ts *testscript.TestScript, name string) map[string][]int {
	var report struct {
		Files map[string]struct {
			Lines []int `json:"executed_lines"`
		}
	}
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(name)), &report))
	lines := map[string][]int{}
	for file, ran := range report.Files {
		lines[file] = ran.Lines
	}
	if len(lines) == 0 {
		ts.Fatalf("%s holds no file", name)
	}
	return lines
}
