package hosthook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/covify/covify/plan"
	"github.com/covify/covify/wheel"
)

// found is an environment that a Target means, and what a wheel must fit there.
type found struct {
	Hook
	target wheel.Target
}

// patience is how long an interpreter may take to answer.
const patience = 20 * time.Second

// look finds the environments that t means: one, but for a venv with several libraries. The error is a *TargetError if
// t is not what it should be.
func look(ctx context.Context, t Target, opts Options) ([]found, error) {
	if t.Venv == "" {
		python, err := executable(ctx, t.Python, opts.Environ)
		if err != nil {
			return nil, err
		}
		t.Python, t.Venv = python, venvOf(python)
	} else if !isVenv(t.Venv) {
		return nil, &TargetError{t.Venv, "not a venv: it has no pyvenv.cfg"}
	}
	var all []found
	var err error
	if t.Venv != "" {
		all, err = lookIn(t.Venv, nil, []string{t.Venv}, func(e plan.Environment) bool { return e.Venv != "" })
	} else {
		all, err = lookIn(t.Python, []string{t.Python}, nil, func(e plan.Environment) bool { return e.Venv == "" })
	}
	if err != nil || !t.User {
		return all, err
	}
	if t.Venv != "" {
		return nil, &TargetError{t.Venv, "a venv does not use the user's own site directory"}
	}
	if opts.UserBase == "" {
		return nil, &TargetError{t.Python, "this user has no home for a site directory"}
	}
	for i, f := range all {
		stdlib := filepath.Base(filepath.Dir(f.Environment)) // "python3.13t"
		all[i].Environment = filepath.Join(opts.UserBase, "lib", stdlib, "site-packages")
		all[i].User, all[i].Own = true, ""
	}
	return all, nil
}

// lookIn has plan look at what is named, and gives the environments that fit.
func lookIn(name string, executables, venvs []string, fits func(plan.Environment) bool) ([]found, error) {
	facts, err := plan.FindNamed(os.DirFS("/"), executables, venvs)
	if err != nil {
		return nil, fmt.Errorf("looking at %s: %w", name, err)
	}
	var all []found
	for _, e := range facts.Environments {
		if fits(e) {
			all = append(all, asFound(e, facts))
		}
	}
	if len(all) > 0 {
		return all, nil
	}
	reason := "not a Python interpreter that covify knows: a Linux executable with its standard library beside it"
	if len(facts.Skipped) > 0 {
		reason = facts.Skipped[0].Reason
	}
	return nil, &TargetError{name, reason}
}

func asFound(e plan.Environment, facts plan.Facts) found {
	at := slices.IndexFunc(facts.Interpreters, func(i plan.Interpreter) bool { return i.Path == e.Interpreter })
	i := facts.Interpreters[at]
	f := found{Hook: Hook{Environment: e.Path, Venv: e.Venv, Interpreter: i.Path, Command: i.Path, Python: i.Version(), Own: e.Coverage}, target: i.Target()}
	if e.Venv != "" {
		f.Command = filepath.Join(e.Venv, "bin", "python")
	}
	return f
}

// executable gives the interpreter that python is, or that the script it is starts.
func executable(ctx context.Context, python string, environ []string) (string, error) {
	info, err := os.Stat(python)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return "", &TargetError{python, "no such file"}
	case err != nil:
		return "", fmt.Errorf("looking at an interpreter: %w", err)
	case info.IsDir():
		return "", &TargetError{python, "a directory, not a Python interpreter; a venv is named with --venv"}
	case info.Mode()&0o111 == 0:
		return "", &TargetError{python, "not a Python interpreter: it is not executable"}
	}
	if !isScript(python) {
		return python, nil
	}
	said, err := ask(ctx, python, environ, "-S", "-E", "-B", "-c", "import sys; print('covify ' + sys.executable)")
	path, ok := strings.CutPrefix(strings.TrimSpace(said), "covify ")
	if err != nil || !ok || !filepath.IsAbs(path) || isScript(path) {
		reason := "a script that starts no Python interpreter"
		if err != nil {
			reason += ": " + err.Error()
		}
		return "", &TargetError{python, reason}
	}
	return path, nil
}

func isScript(path string) bool {
	file, err := os.Open(path)
	if err != nil {
		return false
	}
	defer file.Close()
	head := make([]byte, 2)
	_, err = io.ReadFull(file, head)
	return err == nil && string(head) == "#!"
}

// ask runs an interpreter, unmeasured, and gives what it wrote to stdout.
func ask(ctx context.Context, python string, environ []string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, python, args...)
	cmd.Env = slices.DeleteFunc(slices.Clone(environ), func(kv string) bool { return strings.HasPrefix(kv, "COVERAGE_PROCESS_") })
	// An answer leaves no compiled files behind in the tree.
	cmd.Env = append(cmd.Env, "PYTHONDONTWRITEBYTECODE=1")
	cmd.WaitDelay = time.Second
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		last := bytes.TrimSpace(stderr.Bytes())
		if i := bytes.LastIndexByte(last, '\n'); i >= 0 {
			last = last[i+1:]
		}
		return "", fmt.Errorf("%w %s", err, last)
	}
	return string(out), nil
}

// venvOf gives the venv whose interpreter python is, by its place, as Python itself finds it (PEP 405); "" for none.
func venvOf(python string) string {
	for _, dir := range []string{filepath.Dir(python), filepath.Dir(filepath.Dir(python))} {
		if isVenv(dir) {
			return dir
		}
	}
	return ""
}

func isVenv(dir string) bool {
	info, err := os.Stat(filepath.Join(dir, "pyvenv.cfg"))
	return err == nil && info.Mode().IsRegular()
}

// runs reports whether the interpreter of h takes up the hook: the payload is on sys.path then.
func runs(ctx context.Context, h Hook, environ []string) (bool, error) {
	said, err := ask(ctx, h.Command, environ, "-c", "import sys; print(sys.argv[1] in sys.path)", h.Payload)
	return strings.TrimSpace(said) == "True", err
}

// pathName are names under which interpreters are on a PATH.
var pathName = regexp.MustCompile(`^(python|pypy)\d*(\.\d+)?t?$`)

// OnPath gives the interpreters in the folders of a PATH, each once, in their order. Of scripts, such as pyenv's, it takes those
// called python3 and python.
func OnPath(path string) []Target {
	var targets []Target
	seen := map[string]bool{}
	for _, dir := range filepath.SplitList(path) {
		entries, _ := os.ReadDir(dir) // a PATH may well name what is not there
		for _, e := range entries {
			python := filepath.Join(dir, e.Name())
			if !filepath.IsAbs(python) || !pathName.MatchString(e.Name()) || isScript(python) && e.Name() != "python3" && e.Name() != "python" {
				continue
			}
			real, err := filepath.EvalSymlinks(python)
			if venv := venvOf(python); venv != "" {
				real = venv
			}
			if err == nil && !seen[real] {
				seen[real] = true
				targets = append(targets, Target{Python: python})
			}
		}
	}
	return targets
}
