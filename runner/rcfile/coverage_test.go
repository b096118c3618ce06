package rcfile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

type request map[string]any

type answer struct {
	Error    string
	File     string
	Settings map[string]any
	Sections map[string]map[string]string
}

// realCoverage answers requests with coverage's own reader, see testdata/dump.py.
func realCoverage(t *testing.T, requests []request) []answer {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("needs python3")
	}
	lib := t.TempDir()
	pip := exec.Command(python, "-m", "pip", "install", "--quiet", "--target", lib, "coverage[toml]")
	if out, err := pip.CombinedOutput(); err != nil {
		t.Skipf("needs coverage from the package index: %v\n%s", err, out)
	}
	var in, out bytes.Buffer
	for _, request := range requests {
		if err := json.NewEncoder(&in).Encode(request); err != nil {
			t.Fatal(err)
		}
	}
	dump := exec.Command(python, "testdata/dump.py")
	dump.Env = append(os.Environ(), "PYTHONPATH="+lib, "PYTHONUTF8=1")
	dump.Stdin, dump.Stdout, dump.Stderr = &in, &out, os.Stderr
	if err := dump.Run(); err != nil {
		t.Fatal(err)
	}
	answers := make([]answer, len(requests))
	decoder := json.NewDecoder(&out)
	for i := range answers {
		if err := decoder.Decode(&answers[i]); err != nil {
			t.Fatal(err)
		}
	}
	return answers
}

// TestSameAsCoverage reads every fixture with real coverage, and what is written for the container
// too: all settings but the added ones must be the same, and errors must be errors there.
func TestSameAsCoverage(t *testing.T) {
	all := fixtures(t, "*")
	var requests []request
	for _, f := range all {
		dir, err := filepath.Abs(f.dir)
		if err != nil {
			t.Fatal(err)
		}
		requests = append(requests, request{"dir": dir, "rcfile": f.rcfile, "env": f.env}, f.written(t))
	}
	answers := realCoverage(t, requests)
	for i, f := range all {
		t.Run(f.name, func(t *testing.T) { f.compare(t, answers[2*i], answers[2*i+1]) })
	}
}

// written asks for the container's file, among variables that must not matter to it.
func (f fixture) written(t *testing.T) request {
	t.Helper()
	dir := t.TempDir()
	if config, err := f.find(); err == nil {
		merged, _ := config.ForContainer(f.image)
		if err := os.WriteFile(filepath.Join(dir, "container.rc"), merged.INI(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	env := map[string]string{"SRC": "wrong", "OTHER": "wrong", "x": "wrong", "txt": "wrong"}
	if home, ok := f.env["HOME"]; ok {
		env["HOME"] = home
	}
	return request{"dir": dir, "rcfile": "container.rc", "env": env}
}

func (f fixture) compare(t *testing.T, users, containers answer) {
	config, err := f.find()
	if strings.HasPrefix(f.name, "bad-") {
		if err == nil || users.Error == "" {
			t.Errorf("covify says %v, coverage says %q", err, users.Error)
		}
		return
	}
	if err != nil || users.Error != "" || containers.Error != "" {
		t.Fatalf("covify: %v, coverage: %q, in the container: %q", err, users.Error, containers.Error)
	}
	if config.File != users.File {
		t.Errorf("covify reads %q, coverage %q", config.File, users.File)
	}
	for name, want := range users.Settings {
		got := containers.Settings[name]
		if name == "paths" {
			got, want = values(got), values(want)
		}
		if reflect.DeepEqual(got, want) || f.mayAdd(config, name) {
			continue
		}
		t.Errorf("%s: %v in the container, %v on the host", name, got, want)
	}
	if containers.Settings["parallel"] != true || containers.Settings["data_file"] != ".coverage" {
		t.Errorf("parallel %v, data_file %v", containers.Settings["parallel"], containers.Settings["data_file"])
	}
}

func (f fixture) mayAdd(config *Config, name string) bool {
	switch name {
	case "branch":
		return config.File == ""
	case "source", "source_pkgs":
		return len(f.image.Source) > 0
	case "sigterm":
		return !config.Has("run", name)
	case "parallel", "patch", "concurrency", "data_file":
		return true
	}
	return false
}

// values forgets the names of [paths], which mean nothing to coverage.
func values(paths any) map[string]bool {
	out := map[string]bool{}
	for _, value := range paths.(map[string]any) {
		out[fmt.Sprint(value)] = true
	}
	return out
}

// TestSameAsConfigparser reads texts put together at random with Python's configparser.
func TestSameAsConfigparser(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 7))
	pieces := []string{
		"[run]", "[a]", "[b] ; x]", " [c]", "[DEFAULT]", "[]", "k = v", "k: v", "K2=v", "j =", "  l = 1", "\tm : 2",
		"    more", "  more = x", "", "   ", "# c", "    ; c", "    [x]", "= v", "nothing", "n = # c", "o = [", "\t\tdeep", "p q = r\r", "é = ü",
	}
	var requests []request
	for range 2000 {
		text := "[first]\n"
		for range random.IntN(9) {
			text += pieces[random.IntN(len(pieces))] + "\n"
		}
		requests = append(requests, request{"ini": text})
	}
	failed := 0
	for i, want := range realCoverage(t, requests) {
		text := requests[i]["ini"].(string)
		got, err := parseINI(text)
		if (err != nil) != (want.Error != "") || (err == nil && !maps.EqualFunc(got, want.Sections, maps.Equal)) {
			t.Errorf("%q: got %q, %v, want %q, %s", text, got, err, want.Sections, want.Error)
		}
		if want.Error != "" {
			failed++
		}
	}
	t.Logf("%d texts, %d of them errors", len(requests), failed)
}
