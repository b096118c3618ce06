package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Ways to run a project's tests.
const (
	sessionEmpty  = "covify test -- true, in an empty project"
	sessionPlain  = "pytest"
	sessionRival  = "coverage run -m pytest"
	sessionReport = "coverage run -m pytest && coverage report"
	sessionCovify = "covify test -- pytest"
)

// A thousand small tests.
const (
	testFiles = 50
	testsEach = 20
)

// sessionTables measure what a session costs a project that starts no container. What covify test does at its end, combining and
// reporting, coverage run leaves to a command of its own: it is measured with that and without.
func sessionTables(ctx context.Context, w *world) ([]*table, error) {
	cache, err := w.folder("cache")
	if err != nil {
		return nil, err
	}
	empty, err := inEmptyProject(ctx, w, cache)
	if err != nil {
		return nil, err
	}
	venv, err := w.pytestVenv(ctx)
	if err != nil {
		return nil, err
	}
	project, err := w.testProject()
	if err != nil {
		return nil, err
	}
	tests, err := ofTests(ctx, w, cache, venv, project)
	if err != nil {
		return nil, err
	}
	return []*table{empty, tests}, nil
}

func inEmptyProject(ctx context.Context, w *world, cache string) (*table, error) {
	project, err := w.folder("empty")
	if err != nil {
		return nil, err
	}
	// Nothing measured is an error, which is what is to be timed.
	session := w.covify(cache)
	session.Args = []string{"sh", "-c", `"$0" test -- true || test $? = 1`, w.opts.covify}
	session.Dir = project
	results, err := compare(ctx, w, nil, trial{name: sessionEmpty, runs: w.opts.runs(21, 5), memory: true,
		ready: func(context.Context, string) ([]command, error) { return []command{session}, nil }})
	if err != nil {
		return nil, err
	}
	t := &table{Title: "A session of nothing", Results: results}
	t.seconds(sessionEmpty, 0.3)
	return t, nil
}

func ofTests(ctx context.Context, w *world, cache, venv, project string) (*table, error) {
	in := func(env []string, argvs ...string) func(context.Context, string) ([]command, error) {
		return func(context.Context, string) ([]command, error) {
			var commands []command
			for _, line := range argvs {
				argv := strings.Fields(line)
				if argv[0] != "covify" {
					argv[0] = filepath.Join(venv, "bin", argv[0])
				} else {
					argv[0] = w.opts.covify
				}
				commands = append(commands, command{Args: argv, Env: append(env, "PATH="+filepath.Join(venv, "bin")+":"+os.Getenv("PATH")), Dir: project})
			}
			return commands, nil
		}
	}
	const pytest = "pytest -q -p no:cacheprovider"
	runs := w.opts.runs(15, 3)
	results, err := compare(ctx, w, nil,
		trial{name: sessionPlain, runs: runs, ready: in(nil, pytest)},
		trial{name: sessionRival, runs: runs, ready: in(nil, "coverage run -m "+pytest)},
		trial{name: sessionReport, runs: runs, ready: in(nil, "coverage run -m "+pytest, "coverage report")},
		trial{name: sessionCovify, runs: runs, ready: in([]string{"COVIFY_CACHE_DIR=" + cache}, "covify test -- "+pytest)})
	if err != nil {
		return nil, err
	}
	t := &table{Title: fmt.Sprintf("%d small tests, no container", testFiles*testsEach), Results: results}
	t.atMost(sessionCovify, sessionRival, 1.05)
	t.atMost(sessionCovify, sessionReport, 0)
	t.more(sessionCovify, sessionRival, 0)
	t.more(sessionReport, sessionRival, 0)
	return t, nil
}

// pytestVenv is a virtual environment with pytest and coverage, from the index that pip is configured with.
func (w *world) pytestVenv(ctx context.Context) (string, error) {
	venv := filepath.Join(w.dir, "pytest-venv")
	return venv, runAll(ctx,
		command{Args: []string{"python3", "-m", "venv", venv}},
		command{Args: []string{filepath.Join(venv, "bin", "pip"), "install", "--quiet", "pytest", "coverage"}})
}

// testProject has a module for each file of tests, which calls each of its functions.
func (w *world) testProject() (string, error) {
	project, err := w.folder("project")
	if err != nil {
		return "", err
	}
	files := map[string]string{"conftest.py": "", "app/__init__.py": ""}
	for i := range testFiles {
		var code, tests strings.Builder
		fmt.Fprintf(&tests, "from app import m%d as m\n", i)
		for k := range testsEach {
			fmt.Fprintf(&code, "def f%d(n):\n    total = 0\n    for i in range(n):\n        if i %% 2:\n            total += i\n    return total\n\n\n", k)
			fmt.Fprintf(&tests, "\n\ndef test_f%d():\n    assert m.f%[1]d(10) == 25\n", k)
		}
		files[fmt.Sprintf("app/m%d.py", i)], files[fmt.Sprintf("tests/test_m%d.py", i)] = code.String(), tests.String()
	}
	for name, text := range files {
		path := filepath.Join(project, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return "", err
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return "", err
		}
	}
	return project, nil
}
