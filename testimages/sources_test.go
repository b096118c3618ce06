package testimages

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	sourcesMain = `import sys
sys.path.insert(0, "/app")
import gen
import helper
print("NAME", helper.double(gen.answer()))
if len(sys.argv) > 9:
    print("never")
`
	sourcesHelper = `def double(n):
    return 2 * n


def half(n):
    return n // 2
`
	sourcesGen = `def answer():
    return 21


def unused():
    return "NAME"
`
)

// sourcesFolders are where the checkout has the programs of the two images.
var sourcesFolders = map[string]string{"one": "one/src", "two": "two/lib"}

// TestEngineImageSources: two images that have their programs in /app, with equal names and one equal file, and none of which says where
// it is from, are reported as the files of the checkout that they hold. What only an image has is reported from a copy of it.
func TestEngineImageSources(t *testing.T) {
	for _, name := range []string{"docker29", "podman"} {
		t.Run(name, func(t *testing.T) {
			e := findEngine(t, name)
			project := t.TempDir()
			for image, folder := range sourcesFolders {
				program := map[string]string{"main.py": strings.ReplaceAll(sourcesMain, "NAME", image), "helper.py": sourcesHelper}
				writeTree(t, filepath.Join(project, folder), program)
				program["gen.py"] = strings.ReplaceAll(sourcesGen, "NAME", image)
				programImage(t, e, image+":1", program)
			}
			for image := range sourcesFolders {
				said := output(t, project, e.env(), covifyBin, "run", "--engine", e.command, "--rm", "--network=none", "--hostname=same", image+":1")
				if said != image+" 42\n" {
					t.Fatalf("%s: %q", image, said)
				}
			}
			expectPaths(t, project, e)
			report, said, code := runCommand(t, project, e.env(), covifyBin, "report", "-m")
			if code != 0 {
				t.Fatalf("covify report: exit code %d\n%s%s", code, report, said)
			}
			wants(t, report+said,
				"one/src/main.py                      7      1      2      1    78%   7",
				"one/src/helper.py                    4      1      0      0    75%   6",
				"two/lib/main.py                      7      1      2      1    78%   7",
				".covify/sources/one/app/gen.py       4      1      0      0    75%   6",
				".covify/sources/two/app/gen.py       4      1      0      0    75%   6",
				"/app is one/src (2 files)",
				"1 file from the image one:1, in .covify/sources/one: [report] omit = .covify/sources/one/* leaves them out",
			)
			if strings.Contains(said, "not in the checkout") || strings.Contains(said, "differ") {
				t.Errorf("covify report says\n%s", said)
			}
			if left := e.run(t, "ps", "-a", "-q"); left != "" {
				t.Errorf("containers are left: %s", left)
			}

			// What was asked once is known; what the checkout has by now is another version.
			changed := "import os\n" + strings.ReplaceAll(sourcesMain, "NAME", "two")
			writeTree(t, project, map[string]string{"two/lib/main.py": changed})
			gone := map[string]string{"DOCKER_HOST": "unix:///nowhere", "CONTAINER_HOST": "unix:///nowhere"}
			_, said, code = runCommand(t, project, gone, covifyBin, "combine")
			if code != 0 || strings.Contains(said, "could not be asked") {
				t.Errorf("covify combine without an engine: exit code %d\n%s", code, said)
			}
			wants(t, said, "two:1: 1 file of the image differs from the checkout: two/lib/main.py: rebuild it")
			d, _ := doctor(t, project, e)
			wants(t, strings.Join(d.of("warning"), "\n"), "two:1: 1 file of the image differs from the checkout: two/lib/main.py: rebuild it")

			// Without an engine, and without what it said, likeness has to do.
			if err := os.RemoveAll(filepath.Join(project, ".covify", "sources")); err != nil {
				t.Fatal(err)
			}
			_, said, _ = runCommand(t, project, gone, covifyBin, "combine")
			wants(t, said, "image one:1 could not be asked what its files hold: ", "not in the checkout: /app/main.py (could be one/src/main.py, two/lib/main.py)")
		})
	}
}

// expectPaths fails unless covify doctor, the first to ask the images, finds all measured files, as reports do.
func expectPaths(t *testing.T, project string, e *engine) {
	t.Helper()
	d, _ := doctor(t, project, e)
	if !slices.ContainsFunc(d.of("ok"), func(s string) bool { return strings.HasPrefix(s, "paths: 6 measured files found") }) {
		t.Errorf("covify doctor says of paths: ok %q, warnings %q, problems %q", d.of("ok"), d.of("warning"), d.of("problem"))
	}
	if err := os.RemoveAll(filepath.Join(project, ".covify", "sources")); err != nil {
		t.Fatal(err)
	}
}

func wants(t *testing.T, text string, all ...string) {
	t.Helper()
	for _, want := range all {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

func writeTree(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// programImage makes an image with a program in /app, without a Dockerfile that could tell where it is from.
func programImage(t *testing.T, e *engine, image string, files map[string]string) {
	t.Helper()
	for _, c := range cases(t) {
		if c.name == "slim" {
			e.load(t, c.archive(), "sources-base:1")
		}
	}
	dir := t.TempDir()
	writeTree(t, dir, files)
	container := strings.TrimSpace(e.run(t, "create", "--network=none", "sources-base:1"))
	e.run(t, "cp", dir+"/.", container+":/app")
	e.run(t, "commit", "--change", `ENTRYPOINT ["python", "/app/main.py"]`, "--change", "CMD []", "--change", "USER 0", container, image)
	e.run(t, "rm", container)
}
