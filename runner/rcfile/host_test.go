package rcfile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestForHost(t *testing.T) {
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "src"), 0o755); err != nil {
		t.Fatal(err)
	}
	text := `[run]
data_file = build/cov
relative_files = true
concurrency = multiprocessing
source = src
    pkg
omit = tests/*
    */gen/*
patch = subprocess
[report]
omit = x/*
`
	if err := os.WriteFile(filepath.Join(root, ".coveragerc"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	config, err := Find(Place{Dir: root})
	if err != nil {
		t.Fatal(err)
	}
	host := Host{Root: root, DataFile: "/s/host/.coverage", Omit: []string{"/s/python/*"}}
	want := strings.ReplaceAll(`[run]
branch = false
concurrency =
    multiprocessing
    thread
data_file = /s/host/.coverage
omit =
    ROOT/tests/*
    */gen/*
    /s/python/*
parallel = true
patch =
    _exit
    execv
relative_files = false
sigterm = true
source =
    ROOT/src
    pkg

[report]
omit = x/*

`, "ROOT", root)
	if got := string(config.WithBranch(false).ForHost(host).INI()); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	host.Coverage = "5.0"
	if got := string(config.ForHost(host).INI()); strings.Contains(got, "sigterm") || strings.Contains(got, "_exit") {
		t.Errorf("settings that coverage 5.0 refuses:\n%s", got)
	}
	got := config.WithContext("web").WithContext("two").WithTests()
	if who, tests := got.Get("run", "context"), got.Get("run", "dynamic_context"); who != "web two" || tests != "test_function" {
		t.Errorf("context %q, dynamic_context %q", who, tests)
	}
	if got := config.Get("run", "data_file"); got != "build/cov" {
		t.Errorf("the project's own settings changed: data_file %q", got)
	}
}
