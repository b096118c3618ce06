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

// TestEngineFrontend builds a Dockerfile over every test image with # syntax=covify and compares the result with what covify
// IMAGE makes of the same image: the same files with the same modes, owners and content, the same env, and the same labels but for
// those that name the base. It runs and measures what coverage run measures.
func TestEngineFrontend(t *testing.T) {
	registry, e := registryAddress(t), findEngine(t, "docker29")
	frontend := frontendImage(t, registry, e)
	for _, c := range cases(t) {
		if len(c.Python) == 0 || len(c.Platforms) > 1 {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			base := registry + "/frontend/" + c.name + ":1"
			skopeo(t, "docker-archive:"+c.archive(), "docker://"+base)
			patched := strings.TrimSpace(output(t, "", e.env(), covifyBin, "docker://"+base))
			e.run(t, "pull", "-q", patched)
			built := c.Image + ":built"
			build(t, e, "# syntax="+frontend+"\nFROM "+base+"\n", built)

			if a, b := contents(t, e, patched), contents(t, e, built); !reflect.DeepEqual(a, b) {
				t.Errorf("the images differ:\n%s", strings.Join(differ(a, b), "\n"))
			}
			sameConfig(t, e, patched, built)
			data := runVariant(t, c, e, built)
			compare(t, oracle(t, c, e, filepath.Join(data, ".coveragerc")), dump(t, data))
		})
	}
}

// TestEngineFrontendOnce: however covify is named, it covers once; without Python it warns and builds.
func TestEngineFrontendOnce(t *testing.T) {
	registry, e := registryAddress(t), findEngine(t, "docker29")
	frontend := frontendImage(t, registry, e)
	base := registry + "/frontend/once:1"
	for _, c := range cases(t) {
		if c.name == "distroless" {
			skopeo(t, "docker-archive:"+c.archive(), "docker://"+base)
		}
	}
	directive, plain := "# syntax="+frontend+"\nFROM "+base+"\n", "FROM "+base+"\n"
	for name, way := range map[string]struct {
		dockerfile string
		args       []string
	}{
		"directive":               {directive, nil},
		"build arg":               {plain, []string{"--build-arg", "BUILDKIT_SYNTAX=" + frontend}},
		"build arg and directive": {directive, []string{"--build-arg", "BUILDKIT_SYNTAX=" + frontend}},
		"covify after covify":     {"# syntax=" + frontend + " " + frontend + "\nFROM " + base + "\n", nil},
	} {
		t.Run(name, func(t *testing.T) {
			built := "once:" + strings.ReplaceAll(name, " ", "-")
			build(t, e, way.dockerfile, built, way.args...)
			layers := inspect(t, e, built)["RootFS"].(map[string]any)["Layers"].([]any)
			build(t, e, plain, "once:plain")
			before := inspect(t, e, "once:plain")["RootFS"].(map[string]any)["Layers"].([]any)
			if len(layers) != len(before)+2 {
				t.Errorf("%d layers over %d", len(layers), len(before))
			}
		})
	}
	build(t, e, "# syntax="+frontend+"\nFROM scratch\nLABEL a=b\n", "once:scratch")
	out, code := tryBuild(t, e, "# syntax="+frontend+"\nFROM scratch\nLABEL a=b\n", "once:strict", "--build-arg", "COVIFY_STRICT=1")
	if code == 0 || !strings.Contains(out, "no Python found") {
		t.Errorf("strict: exit code %d\n%s", code, out)
	}
	out, code = tryBuild(t, e, "# syntax="+frontend+"\nFROM "+base+"\nRUNN false\n", "once:wrong")
	if code == 0 || !strings.Contains(out, "Dockerfile:3") || !strings.Contains(out, "unknown instruction: RUNN") {
		t.Errorf("a wrong Dockerfile: exit code %d\n%s", code, out)
	}
}

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
