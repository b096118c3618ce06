//go:build unix

package runner

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

func TestOpenDataDir(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o077))
	dir := filepath.Join(t.TempDir(), DefaultDataDir)
	for range 2 {
		if err := openDataDir(dir); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(dir)
		if err != nil || info.Mode().Perm() != 0o777 {
			t.Errorf("got %v, %v", info.Mode(), err)
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, "..", ".gitignore"))
	if err != nil || string(text) != "*\n" {
		t.Errorf("got %q, %v", text, err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("left in the directory: %v, %v", entries, err)
	}
}

func TestOpenDataDirErrors(t *testing.T) {
	dir := t.TempDir()
	checkout := filepath.Join(dir, "checkout")
	file := filepath.Join(dir, "file")
	for _, err := range []error{
		os.Mkdir(checkout, 0o755), os.WriteFile(filepath.Join(checkout, "app.py"), nil, 0o644), os.WriteFile(file, nil, 0o644),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{checkout, file, filepath.Join(file, "below"), "/proc/covify"} {
		err := openDataDir(path)
		if wrong := new(DataDirError); !errors.As(err, &wrong) {
			t.Errorf("%s: got %v, want a *DataDirError", path, err)
		}
		t.Log(err)
	}
	if info, err := os.Stat(checkout); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("a folder with other things became %v, %v", info.Mode(), err)
	}
}

func TestWriteConfig(t *testing.T) {
	dir := t.TempDir()
	defer syscall.Umask(syscall.Umask(0o077))
	for _, step := range []struct{ image, config, want string }{
		{"a", "one", ".coveragerc"},
		{"a", "two", ".coveragerc"},    // the project's settings changed
		{"b", "two", ".coveragerc"},    // the same for another image
		{"b", "three", ".coveragerc-"}, // a's container may still run
		{"a", "four", ".coveragerc"},
	} {
		name, err := writeConfig(dir, step.image, []byte(step.config))
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || !strings.HasSuffix(string(text), "\n"+step.config) || !strings.HasPrefix(name, step.want) || (len(name) > 11) != (len(step.want) > 11) {
			t.Errorf("%v: got %q in %s, %v", step, text, name, err)
		}
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != 0o644 {
			t.Errorf("got %v, %v", info.Mode(), err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, configName), []byte("[run]\nuser = own\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	name, err := writeConfig(dir, "a", []byte("five"))
	if err != nil || name == configName {
		t.Errorf("the user's own file was replaced: %s, %v", name, err)
	}
}

func TestLook(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(".coverage.old", "x")
	write(".coverage.grows", "x")
	before, err := look(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		".coverage", ".coverage.new", ".coverage.grows", ".coveragerc", ".coverage.new-journal", "other", "covify-note-7",
	} {
		write(name, "xy")
	}
	write(".coverage.killed", "")
	write("covify-note-8", "")
	after, err := look(dir)
	if err != nil {
		t.Fatal(err)
	}
	data, notes := after.since(before)
	if len(data) != 3 || len(notes) != 2 {
		t.Errorf("got %q, %q", data, notes)
	}
	want := []string{"a process could write neither its data nor why into " + dir + ": its disk is full", "xy"}
	if lines := readNotes(dir, notes); !slices.Equal(lines, want) {
		t.Errorf("notes %q, want %q", lines, want)
	}
}

// TestMeasuredNothing looks into data files that coverage itself writes.
func TestMeasuredNothing(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("needs python3")
	}
	dir, lib := t.TempDir(), t.TempDir()
	if out, err := exec.Command(python, "-m", "pip", "install", "--quiet", "--target", lib, "coverage").CombinedOutput(); err != nil {
		t.Skipf("needs coverage from the package index: %v\n%s", err, out)
	}
	script := `
import coverage
for name, what in {"nothing": {}, "lines": {"/a.py": [1]}, "many": {"/%d.py" % i: range(99) for i in range(999)}}.items():
    data = coverage.CoverageData(".coverage." + name)
    data.add_lines(what)
    data.write()
`
	command := exec.Command(python, "-c", script)
	command.Dir, command.Env = dir, append(os.Environ(), "PYTHONPATH="+lib)
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	whole, err := os.ReadFile(filepath.Join(dir, ".coverage.nothing"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, ".coverage.cut"), whole[:5000], 0o644); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"nothing": true, "lines": false, "many": false, "cut": false} {
		if got := measuredNothing(dir, ".coverage."+name); got != want {
			t.Errorf("%s: got %v", name, got)
		}
	}
	for cut := 0; cut < len(whole); cut += 97 { // whatever is left of a file, this must not panic
		if err := os.WriteFile(filepath.Join(dir, ".coverage.cut"), whole[:cut], 0o644); err != nil {
			t.Fatal(err)
		}
		measuredNothing(dir, ".coverage.cut")
	}
}
