package main

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/covify/covify/wheel"
	"github.com/covify/covify/wheel/bundle"
	"github.com/covify/covify/wheel/fetch"
	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets scripts run this very binary as covify.
func TestMain(m *testing.M) { testscript.Main(m, map[string]func(){"covify": main}) }

// TestScript runs testdata/script/*.txtar, each in a folder of its own, with a bundle of one coverage that fits Python 3.8
// and later, and without engine, credentials or index. Besides testscript's own commands there are
//
//	registry NAME              starts a registry; $NAME is its address
//	image KIND REF             puts a test image at a docker://, oci: or docker-archive: reference
//	auth ADDRESS               has a registry want a password from now on: user's, which is secret
//	break REF KIND             damages what is there: flip, truncate, missing or wrong
//	slow ADDRESS FILE          has a registry never answer for a blob, and make FILE when it is asked for one
//	exitcode CODE COMMAND...   runs a command that must end with CODE
//	json FILE                  checks that a file, or stdout, holds one JSON document
//	venv                       puts a virtual environment with pytest on PATH, as $VENV, and drops the bundle; needs [pytest]
//	spoil oci:DIR:TAG FAULT    makes oci:DIR:FAULT of a variant, with something wrong
//	samelines WANT GOT         compares the lines that ran in two reports of coverage json
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               setUpScript,
		Condition:           scriptCondition,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"registry": scriptRegistry, "image": scriptImage, "auth": scriptAuth, "break": scriptBreak, "slow": scriptSlow, "exitcode": scriptExitCode,
			"json": scriptJSON, "venv": scriptVenv, "samelines": scriptSameLines,
			"spoil": scriptSpoil,
		},
	})
}

func setUpScript(env *testscript.Env) error {
	env.Setenv("HOME", env.WorkDir+"/home")
	env.Setenv("COVIFY_CACHE_DIR", env.WorkDir+"/cache")
	env.Setenv("COVIFY_BUNDLE", env.WorkDir+"/bundle")
	env.Setenv("DOCKER_HOST", "unix://"+env.WorkDir+"/no-engine.sock")
	env.Setenv("PIP_CONFIG_FILE", "/dev/null")
	env.Setenv("PIP_INDEX_URL", "http://127.0.0.1:1/simple")
	env.Values[placesKey{}] = places{}
	return writeBundle(filepath.Join(env.WorkDir, "bundle"))
}

func scriptCondition(name string) (bool, error) {
	switch name {
	case "root":
		return os.Getuid() == 0, nil
	case "pytest":
		if _, err := pytestVenv(); err != nil || bundle.Empty() {
			return false, nil
		}
		return true, nil
	}
	return false, fmt.Errorf("no condition %q", name)
}

// scriptExitCode is exec for a command that must end with a certain code.
func scriptExitCode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exitcode CODE COMMAND...")
	}
	err := ts.Exec(args[1], args[2:]...)
	code := 0
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		code = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if want := args[0]; fmt.Sprint(code) != want {
		ts.Fatalf("exit code %d, not %s", code, want)
	}
}

func scriptJSON(ts *testscript.TestScript, _ bool, args []string) {
	if !json.Valid([]byte(ts.ReadFile(args[0]))) {
		ts.Fatalf("%s is no JSON:\n%s", args[0], ts.ReadFile(args[0]))
	}
}

// writeBundle makes a bundle of one wheel whose coverage does nothing.
func writeBundle(dir string) error {
	const filename = "coverage-7.17.3-py3-none-any.whl"
	data, err := fakeWheel()
	if err != nil {
		return err
	}
	listed, err := json.Marshal(fetch.BundleIndex{Files: []wheel.File{
		{Name: filename, Version: "7.17.3", SHA256: fmt.Sprintf("%x", sha256.Sum256(data)), RequiresPython: ">=3.8"}}})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(dir, "wheels"), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "wheels", filename), data, 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "index.json"), listed, 0o644)
}

func fakeWheel() ([]byte, error) {
	files := [][2]string{{"coverage/__init__.py", "# coverage"}, {"coverage-7.17.3.dist-info/METADATA", "Name: coverage"}}
	var record strings.Builder
	for _, f := range files {
		sum := sha256.Sum256([]byte(f[1]))
		fmt.Fprintf(&record, "%s,sha256=%s,%d\n", f[0], base64.RawURLEncoding.EncodeToString(sum[:]), len(f[1]))
	}
	const name = "coverage-7.17.3.dist-info/RECORD"
	files = append(files, [2]string{name, record.String() + name + ",,\n"})
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, f := range files {
		w, err := z.Create(f[0])
		if err != nil {
			return nil, err
		}
		if _, err := w.Write([]byte(f[1])); err != nil {
			return nil, err
		}
	}
	err := z.Close()
	return b.Bytes(), err
}
