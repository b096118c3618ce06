package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

const cart = `def price(n):
    if n > 10:
        return 9
    return 10


print(price(1))
`

// command runs a command by itself and returns its stdout, stderr and error.
func command(t *testing.T, c *cobra.Command, args ...string) (string, string, error) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	c.SetArgs(args)
	c.SetOut(&stdout)
	c.SetErr(&stderr)
	c.SilenceErrors, c.SilenceUsage = true, true
	err := c.ExecuteContext(t.Context())
	return stdout.String(), stderr.String(), err
}

func reportCmd(t *testing.T, name string) *cobra.Command {
	t.Helper()
	for _, c := range newReportCmds() {
		if c.Name() == name {
			return c
		}
	}
	t.Fatalf("no command %s", name)
	return nil
}

// leaveData runs cart.py measured, as a container at /app would have it, in a folder that is gone afterwards.
func leaveData(t *testing.T, dataDir string) {
	t.Helper()
	python := pythonFlags{}
	found, err := python.onHost(t.Context(), os.Stderr)
	if err != nil {
		t.Fatalf("this test needs a Python on PATH: %v", err)
	}
	app := filepath.Join(t.TempDir(), "app")
	if err := errors.Join(os.MkdirAll(app, 0o777), os.WriteFile(filepath.Join(app, "cart.py"), []byte(cart), 0o666)); err != nil {
		t.Fatal(err)
	}
	run := exec.Command(found.Command[0], "-m", "coverage", "run", "--branch", "-p", "cart.py")
	run.Dir = app
	run.Env = append(os.Environ(), "PYTHONPATH="+found.Path, "COVERAGE_FILE="+filepath.Join(dataDir, ".coverage"))
	if out, err := run.CombinedOutput(); err != nil {
		t.Fatalf("coverage run: %v\n%s", err, out)
	}
	if err := os.RemoveAll(app); err != nil {
		t.Fatal(err)
	}
}

func TestCombineAndReport(t *testing.T) {
	root := t.TempDir()
	dataDir := filepath.Join(root, ".covify", "data")
	if err := errors.Join(os.MkdirAll(dataDir, 0o777), os.MkdirAll(filepath.Join(root, "src", "shop"), 0o777),
		os.WriteFile(filepath.Join(root, "src", "shop", "cart.py"), []byte(cart), 0o666)); err != nil {
		t.Fatal(err)
	}
	leaveData(t, dataDir)

	t.Chdir(filepath.Join(root, "src")) // below the checkout's root
	stdout, stderr, err := command(t, newCombineCmd())
	if err != nil || !strings.HasSuffix(stdout, ".covify/coverage\n") || !strings.Contains(stderr, "/app is src/shop (1 file)") {
		t.Fatalf("combine: %v\n%s%s", err, stdout, stderr)
	}
	stdout, stderr, err = command(t, reportCmd(t, "report"), "-m")
	if err != nil || !strings.Contains(stdout, "src/shop/cart.py") || !strings.Contains(stdout, " 3\n") || stderr != "" {
		t.Errorf("report: %v\n%s%s", err, stdout, stderr)
	}
	_, stderr, err = command(t, reportCmd(t, "xml"), "-o", "out.xml")
	if xml, _ := os.ReadFile("out.xml"); err != nil || !strings.Contains(string(xml), `filename="src/shop/cart.py"`) || stderr != "covify: wrote out.xml\n" {
		t.Errorf("xml: %v\n%s", err, stderr)
	}
	if _, _, err = command(t, reportCmd(t, "report"), "--fail-under=99"); exitCode(err) != 2 {
		t.Errorf("below the threshold: %v, exit code %d", err, exitCode(err))
	}
}

func TestCombineUsage(t *testing.T) {
	t.Chdir(t.TempDir())
	if _, _, err := command(t, newCombineCmd(), "--map", "/srv"); exitCode(err) != exitUsage {
		t.Errorf("--map without a target: %v", err)
	}
	if _, _, err := command(t, newCombineCmd(), "nowhere"); exitCode(err) != exitError || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("a path that is not there: %v", err)
	}
	if _, _, err := command(t, newCombineCmd()); exitCode(err) != exitError || !strings.Contains(err.Error(), filepath.Join(".covify", "data")) {
		t.Errorf("no data: %v", err)
	}
}
