package covdata_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/covify/covify/covdata"
)

func TestFindPython(t *testing.T) {
	old := filepath.Join(t.TempDir(), "python")
	text := "#!/bin/sh\necho '{\"path\": \"/usr/bin/python\", \"version\": [3, 6], \"lacks\": \"\"}'\n"
	if err := os.WriteFile(old, []byte(text), 0o777); err != nil {
		t.Fatal(err)
	}
	_, err := covdata.FindPython(bg, []string{old, "/no/such/python"})
	var none *covdata.NoPythonError
	if !errors.As(err, &none) || len(none.Tried) != 2 || !strings.Contains(err.Error(), "Python 3.6, older than 3.9") {
		t.Errorf("error %v", err)
	}
	found, err := covdata.FindPython(bg, []string{old, python(t).Command[0]})
	if err != nil || found.Version[0] != 3 || !filepath.IsAbs(found.Path) {
		t.Errorf("found %+v, error %v", found, err)
	}
}

func TestPythonThatFails(t *testing.T) {
	failing := covdata.Python{Command: []string{"sh", "-c", "echo no luck >&2; exit 3", "image"}}
	_, err := covdata.Combine(bg, failing, covdata.CombineOptions{Root: t.TempDir()})
	var said *covdata.PythonError
	if !errors.As(err, &said) || !strings.Contains(err.Error(), "running coverage with sh in image: exit status 3: no luck") {
		t.Errorf("error %v", err)
	}
}

func TestInContainer(t *testing.T) {
	got := covdata.InContainer([]string{"docker", "run", "--user", "1000:1000"}, "shop:cov", "/usr/local/bin/python3", []string{"/home/me/shop", "/data"})
	want := []string{
		"docker", "run", "--user", "1000:1000", "--rm", "-i", "--network=none", "--entrypoint", "/usr/local/bin/python3",
		"-e", "COVERAGE_PROCESS_START=", "-e", "COVERAGE_PROCESS_CONFIG=", "-e", "COVERAGE_FILE=",
		"-v", "/home/me/shop:/home/me/shop", "-v", "/data:/data", "shop:cov",
	}
	if !slices.Equal(got.Command, want) {
		t.Errorf("argv %q, want %q", got.Command, want)
	}
}
