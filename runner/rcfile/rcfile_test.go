package rcfile

import (
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

// fixture is a folder of testdata: a project's files, and beside them "env" (variables), "rcfile" (a
// file named by the user) and image.json, each optional.
type fixture struct {
	name, dir, rcfile string
	env               map[string]string
	image             Image
}

func fixtures(t *testing.T, pattern string) []fixture {
	t.Helper()
	dirs, err := filepath.Glob(filepath.Join("testdata", pattern))
	if err != nil {
		t.Fatal(err)
	}
	var all []fixture
	for _, dir := range dirs {
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			continue
		}
		all = append(all, loadFixture(t, dir))
	}
	return all
}

func loadFixture(t *testing.T, dir string) fixture {
	t.Helper()
	f := fixture{name: filepath.Base(dir), dir: dir, env: map[string]string{}}
	f.image.Coverage = []string{"7.17.3"}
	if text, err := os.ReadFile(filepath.Join(dir, "rcfile")); err == nil {
		f.rcfile = strings.TrimSpace(string(text))
	}
	if text, err := os.ReadFile(filepath.Join(dir, "env")); err == nil {
		for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
			name, value, _ := strings.Cut(line, "=")
			f.env[name] = value
		}
	}
	if text, err := os.ReadFile(filepath.Join(dir, "image.json")); err == nil {
		if err := json.Unmarshal(text, &f.image); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

func (f fixture) find() (*Config, error) {
	return Find(Place{Dir: f.dir, RCFile: f.rcfile, Lookup: func(name string) (string, bool) {
		value, ok := f.env[name]
		return value, ok
	}})
}

func TestForContainer(t *testing.T) {
	for _, f := range fixtures(t, "[^b]*") {
		t.Run(f.name, func(t *testing.T) {
			config, err := f.find()
			if err != nil {
				t.Fatal(err)
			}
			merged, words := config.ForContainer(f.image)
			got := string(merged.INI())
			for _, word := range words {
				got += "; says: " + word + "\n"
			}
			golden(t, filepath.Join(f.dir, "want.coveragerc"), got)
		})
	}
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestBad(t *testing.T) {
	for _, f := range fixtures(t, "bad-*") {
		t.Run(f.name, func(t *testing.T) {
			_, err := f.find()
			if wrong := new(Error); !errors.As(err, &wrong) {
				t.Fatalf("got %v, want an *Error", err)
			}
			t.Log(err)
		})
	}
}

func TestCommaInTOMLList(t *testing.T) {
	dir := t.TempDir()
	text := "[tool.coverage.run]\nomit = [\"a,b\"]\n"
	if err := os.WriteFile(filepath.Join(dir, "pyproject.toml"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := Find(Place{Dir: dir})
	if wrong := new(Error); !errors.As(err, &wrong) || !strings.Contains(err.Error(), "comma") {
		t.Fatalf("got %v, want an *Error about the comma", err)
	}
}
