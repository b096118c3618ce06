package testimages

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// matrixRow is a way to run the same tests of the example: one service, one batch, the library and the command line.
type matrixRow struct {
	engine string
	image  string // whose tag says which user it has
	flags  string // of the containers
	cmd    string
	bare   bool // without any Python on PATH: the tests are of containers alone
}

const matrixPytest = "pytest -q small"

// matrixRows are all commands on one engine, and all engines with all users.
func matrixRows() []matrixRow {
	var rows []matrixRow
	for _, cmd := range []string{
		matrixPytest, matrixPytest + " -n2", matrixPytest + " --cov --cov-report=", matrixPytest + " --cov --cov-report= -n2", "coverage run -m " + matrixPytest,
		"python -m unittest small/test_small.py", "tox -q", "make -s -f tests.mk test", "sh run.sh",
	} {
		rows = append(rows, matrixRow{engine: "docker29", image: "latest", cmd: cmd})
	}
	for _, cmd := range []string{"go -C e2e test -count=1 .", "node --test e2e/shop.test.mjs"} {
		rows = append(rows, matrixRow{engine: "docker29", image: "latest", cmd: cmd, bare: true})
	}
	for _, engine := range []string{"docker29", "docker20", "podman"} {
		rows = append(rows, matrixRow{engine: engine, image: "root", cmd: matrixPytest}, matrixRow{engine: engine, image: "nonroot", cmd: matrixPytest},
			matrixRow{engine: engine, image: "nonroot", flags: "--read-only --tmpfs=/tmp", cmd: matrixPytest})
	}
	return rows
}

// TestEngineSessionMatrix: the same tests by every command that people run tests with, on every engine, as root, as another user and with a
// read-only root: each session has the lines and arcs that coverage run has of each part alone. The table is in the test's log.
func TestEngineSessionMatrix(t *testing.T) {
	s := newShop(t, findEngine(t, "docker29"))
	if err := os.CopyFS(s.dir, os.DirFS("testdata/matrix")); err != nil {
		t.Fatal(err)
	}
	s.build(t)
	archive := s.users(t)
	t.Setenv("SHOP_RUN", "docker run --rm")
	want := s.oracle(t, "-m", "unittest", "small/test_small.py")
	inContainers := measured{}
	for path, ran := range want {
		if strings.HasPrefix(path, "catalog/") || strings.HasPrefix(path, "nightly/") {
			inContainers[path] = ran
		}
	}
	if len(inContainers) != 4 || len(want) != 9 {
		t.Fatalf("the oracle measured %d files, of those in containers %d", len(want), len(inContainers))
	}
	loaded := map[string]bool{"docker29": true}
	var table strings.Builder
	for _, row := range matrixRows() {
		t.Run(strings.ReplaceAll(strings.Join([]string{row.engine, row.image, row.flags, row.cmd}, " "), "/", "-"), func(t *testing.T) {
			e := findEngine(t, row.engine)
			if !loaded[row.engine] {
				e.run(t, "load", "-i", archive)
				loaded[row.engine] = true
			}
			begun := time.Now()
			expected := want
			if row.bare {
				expected = inContainers
			}
			got := (&shop{engine: e, dir: s.dir, venv: s.venv, bin: s.bin}).session(t, row)
			compare(t, expected, got)
			outcome := "equal"
			if t.Failed() {
				outcome = "DIFFERENT"
			}
			fmt.Fprintf(&table, "%-9s %-8s %-26s %-42s %2d files %4d lines %5.1f s  %s\n", row.engine, row.image, row.flags, row.cmd, len(got), lines(got), time.Since(begun).Seconds(), outcome)
		})
	}
	t.Logf("\n%s", table.String())
}

// users gives every image of the tests a sister that runs as root and one that does not, and returns an archive of them.
func (s *shop) users(t *testing.T) string {
	t.Helper()
	args := []string{"save", "-o", filepath.Join(t.TempDir(), "images.tar")}
	for _, name := range []string{"catalog", "nightly"} {
		for tag, user := range map[string]string{"root": "0", "nonroot": "1234"} {
			dir, image := t.TempDir(), "shop/"+name+":"+tag
			if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte("FROM shop/"+name+"\nUSER "+user+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			s.run(t, "build", "--quiet", "--provenance=false", "--tag", image, dir)
			args = append(args, image)
		}
	}
	s.run(t, args...)
	return args[2]
}

// session runs a row's tests below covify test and returns what the combined data hold.
func (s *shop) session(t *testing.T, row matrixRow) measured {
	t.Helper()
	env := s.env()
	env["SHOP_RUN"] = strings.TrimSpace("covify run --engine=" + s.command + " --rm " + row.flags)
	env["SHOP_TAG"] = row.image
	if row.bare {
		env["PATH"] = pathWithout(t, s.bin)
	}
	stdout, stderr, code := runCommand(t, s.dir, env, covifyBin, append([]string{"test", "--ledger=ledger.json", "--require=catalog,nightly", "--"}, strings.Fields(row.cmd)...)...)
	if code != 0 {
		t.Fatalf("covify test -- %s: exit code %d\n%s%s", row.cmd, code, stdout, stderr)
	}
	host := "covered"
	if row.bare {
		host = "not Python"
	}
	if got := ledgerOf(t, filepath.Join(s.dir, "ledger.json")).Host.Outcome; got != host {
		t.Errorf("the ledger says of the host: %s, want %s", got, host)
	}
	return combined(t, filepath.Join(sessionFolder(t, s.dir), "coverage"))
}

// pathWithout is a PATH with covify, docker, Go and node, and without Python.
func pathWithout(t *testing.T, bin string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"docker", "go", "node", "sh", "gcc"} {
		program, err := exec.LookPath(name)
		if err == nil {
			program, err = filepath.EvalSymlinks(program)
		}
		if err == nil {
			err = os.Symlink(program, filepath.Join(dir, name))
		}
		if err != nil && name != "gcc" {
			t.Fatal(err)
		}
	}
	return bin + ":" + dir
}

func lines(m measured) int {
	n := 0
	for _, file := range m {
		n += len(file.Lines)
	}
	return n
}
