package testimages

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func build(t *testing.T, e *engine, dockerfile, tag string, args ...string) {
	t.Helper()
	if out, code := tryBuild(t, e, dockerfile, tag, args...); code != 0 {
		t.Fatalf("docker build: exit code %d\n%s", code, out)
	}
}

func tryBuild(t *testing.T, e *engine, dockerfile, tag string, args ...string) (string, int) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(dockerfile), 0o644); err != nil {
		t.Fatal(err)
	}
	stdout, stderr, code := runCommand(t, "", e.env(), "docker", slices.Concat([]string{"build", "--progress=plain", "-t", tag}, args, []string{dir})...)
	return stdout + stderr, code
}

// contents lists the whole filesystem of an image as docker export gives it, with modification times of covify's own files only:
// of what was there before, they are the base's in one image and may be those of a copy in another.
func contents(t *testing.T, e *engine, image string) map[string]string {
	t.Helper()
	id := strings.TrimSpace(e.run(t, "create", image, "none"))
	defer e.run(t, "rm", id)
	export := exec.Command("docker", "export", id)
	export.Env = variables(e.env())
	out, err := export.StdoutPipe()
	if err == nil {
		err = export.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for tr := tar.NewReader(out); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.New()
		if _, err := io.Copy(sum, tr); err != nil {
			t.Fatal(err)
		}
		all[h.Name] = fmt.Sprintf("%c %o %d:%d %s %x", h.Typeflag, h.Mode, h.Uid, h.Gid, h.Linkname, sum.Sum(nil))
		if ours(h.Name) {
			all[h.Name] += h.ModTime.UTC().Format(" 2006-01-02T15:04:05.999999999")
		}
	}
	if err := export.Wait(); err != nil {
		t.Fatal(err)
	}
	return all
}

// ours tells whether a path of an exported image is a file that covify brings.
func ours(name string) bool {
	return strings.HasPrefix(name, "opt/covify/") || strings.HasPrefix(name, "app/coverage_data") ||
		slices.Contains([]string{"coverage.pth", "coverage.start"}, path.Base(name))
}

func differ(a, b map[string]string) []string {
	var lines []string
	for name, x := range a {
		if y := b[name]; x != y {
			lines = append(lines, fmt.Sprintf("%s: %s, built %s", name, x, y))
		}
	}
	for name, y := range b {
		if _, ok := a[name]; !ok {
			lines = append(lines, fmt.Sprintf("%s: built %s", name, y))
		}
	}
	slices.Sort(lines)
	return lines[:min(len(lines), 20)]
}

func sameConfig(t *testing.T, e *engine, patched, built string) {
	t.Helper()
	var configs [2]map[string]any
	for i, image := range []string{patched, built} {
		config := inspect(t, e, image)["Config"].(map[string]any)
		labels := config["Labels"].(map[string]any)
		for _, key := range []string{"org.opencontainers.image.base.name", "org.opencontainers.image.base.digest", "io.covify.restore", "io.covify.layers", "io.covify.paths", "io.covify.version"} {
			delete(labels, key)
		}
		configs[i] = config
	}
	if !reflect.DeepEqual(configs[0], configs[1]) {
		a, _ := json.Marshal(configs[0])
		b, _ := json.Marshal(configs[1])
		t.Errorf("the configurations differ:\n%s\n%s", a, b)
	}
}
