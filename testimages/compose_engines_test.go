package testimages

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Two programs with one name; the first runs until it is stopped.
const (
	composeWaits = `import time


def used():
    return "waits"


print(used(), flush=True)
while True:
    time.sleep(0.1)
`
	composeEnds = `def other():
    return "ends"


print(other())
`
	composeFile = `services:
  waits:
    image: covify-test/waits
    network_mode: none
  ends:
    image: covify-test/ends
    network_mode: none
  strict:
    image: covify-test/ends
    network_mode: none
    read_only: true
    user: "1000"
`
)

// TestEngineComposeEngines: on Docker 20.10 and podman too, services that all have an /app/main.py land right, also as another user with a
// read-only root, with the lines and arcs of coverage run. podman 4.3's API has containers of compose killed at once when they are stopped.
func TestEngineComposeEngines(t *testing.T) {
	for _, name := range []string{"docker20", "podman"} {
		t.Run(name, func(t *testing.T) {
			e := findEngine(t, name)
			project := t.TempDir()
			files := map[string]string{"compose.yaml": composeFile, ".coveragerc": "[run]\nbranch = true\nsigterm = true\n",
				"waits/main.py": composeWaits, "ends/main.py": composeEnds}
			for name, text := range files {
				path := filepath.Join(project, name)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			for _, c := range cases(t) {
				if c.name == "debian" {
					e.load(t, c.archive(), c.Image+":1")
					e.service(t, c.Image+":1", filepath.Join(project, "waits"), "covify-test/waits")
					e.service(t, c.Image+":1", filepath.Join(project, "ends"), "covify-test/ends")
				}
			}
			stdout, stderr, code := runCommand(t, project, e.env(), covifyBin, "test", "--require=waits,ends,strict", "--", "sh", "-c",
				strings.ReplaceAll("COVIFY compose up -d && sleep 2 && COVIFY compose down", "COVIFY", covifyBin))
			if code != 0 {
				t.Fatalf("covify test: exit code %d\n%s%s", code, stdout, stderr)
			}
			t.Logf("%s%s", stdout, stderr)
			compare(t, composeOracle(t, project), combined(t, filepath.Join(sessionFolder(t, project), "coverage")))
		})
	}
}

// service makes an image of the program in a folder, in a way that every engine has.
func (e *engine) service(t *testing.T, base, folder, image string) {
	t.Helper()
	container := strings.TrimSpace(e.run(t, "create", base))
	e.run(t, "cp", folder, container+":/app")
	e.run(t, "commit", "--change", `ENTRYPOINT ["python3", "/app/main.py"]`, "--change", "CMD []", container, image)
	e.run(t, "rm", container)
}

// composeOracle is what coverage run says of the programs.
func composeOracle(t *testing.T, project string) measured {
	t.Helper()
	coverage := filepath.Join(sessionVenv(t), "bin", "coverage")
	for _, program := range []string{"waits", "ends"} {
		stdout, stderr, code := runCommand(t, project, nil, "timeout", "2", coverage, "run", "-p", program+"/main.py")
		if code != 0 && code != 124 { // timeout ended it
			t.Fatalf("coverage run of %s: exit code %d\n%s%s", program, code, stdout, stderr)
		}
	}
	return relativeTo(t, project, "", dump(t, project))
}
