package covdata

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

// patience is how long a Python that is told to stop has for it.
const patience = 5 * time.Second

// Python is a Python that runs coverage: one of this machine, or one in a container.
type Python struct {
	// Command is the argv up to and including the interpreter; arguments of the interpreter can follow it.
	Command []string
	// Env is the environment as "NAME=value"; nil is that of this process.
	Env []string
	// Path is the directory that holds the package coverage; empty if the Python has a coverage of its own.
	Path string
}

// MinimumVersion is the oldest Python that coverage data is combined with.
var MinimumVersion = [2]int{3, 9}

// Interpreter is a Python found on this machine.
type Interpreter struct {
	Path    string // its executable, absolute
	Version [2]int // major and minor
}

// probe prints what FindPython has to know; Python 2 can run it too.
const probe = `import sys
try:
    import sqlite3
    lacks = ""
except ImportError:
    lacks = "sqlite3"
print('{"path": "%s", "version": [%d, %d], "lacks": "%s"}' % ((sys.executable.replace("\\", "/"),) + tuple(sys.version_info[:2]) + (lacks,)))`

// FindPython returns the first of the candidates (paths of executables) that can run coverage: at least
// MinimumVersion, with sqlite3. Otherwise the error is a *NoPythonError with the reason for each.
func FindPython(ctx context.Context, candidates []string) (*Interpreter, error) {
	none := &NoPythonError{}
	for _, candidate := range candidates {
		found, err := probePython(ctx, candidate)
		if err == nil {
			return found, nil
		}
		none.Tried = append(none.Tried, candidate+": "+err.Error())
	}
	return nil, none
}

func probePython(ctx context.Context, candidate string) (*Interpreter, error) {
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, candidate, "-S", "-c", probe)
	cmd.Env = withoutHook(cmd.Environ())
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, lastLine(stderr.String()))
	}
	var said struct {
		Path    string
		Version [2]int
		Lacks   string
	}
	if err := json.Unmarshal(out, &said); err != nil {
		return nil, fmt.Errorf("reading its version: %w", err)
	}
	if slices.Compare(said.Version[:], MinimumVersion[:]) < 0 {
		return nil, fmt.Errorf("is Python %d.%d, older than %d.%d",
			said.Version[0], said.Version[1], MinimumVersion[0], MinimumVersion[1])
	}
	if said.Lacks != "" {
		return nil, fmt.Errorf("is Python %d.%d without %s", said.Version[0], said.Version[1], said.Lacks)
	}
	return &Interpreter{Path: said.Path, Version: said.Version}, nil
}

// InContainer is the Python of an image. The engine's command ends with its run command and the caller's flags; with
// docker, --user UID:GID of this process belongs there, so that the container can read and write what this user can. The
// mounts are directories that the container gets at the very same paths; they must hold the checkout, the inputs, the
// output's directory and, if set, Python.Path.
func InContainer(engineCommand []string, image, interpreter string, mounts []string) Python {
	argv := slices.Clone(engineCommand)
	argv = append(argv, "--rm", "-i", "--network=none", "--entrypoint", interpreter)
	for _, name := range hookVariables {
		argv = append(argv, "-e", name+"=")
	}
	for _, dir := range mounts {
		argv = append(argv, "-v", dir+":"+dir)
	}
	return Python{Command: append(argv, image)}
}

// hookVariables are those that make a Python measure itself at its start, or move the data it should read.
var hookVariables = []string{"COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG", "COVERAGE_FILE"}

func withoutHook(env []string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return name == "COVERAGE_PROCESS_START" || name == "COVERAGE_PROCESS_CONFIG"
	})
}

// run runs the script folder with the job on stdin, and answers what it asks. The error is a *PythonError, ctx's, or the answer's.
func (p Python) run(ctx context.Context, script string, job []byte, answer answerer, stdout, stderr io.Writer) error {
	var said bytes.Buffer
	argv := append(slices.Clone(p.Command), "-S", script)
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = p.Env
	cmd.Env = withoutHook(cmd.Environ())
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // an engine's client passes it on
	cmd.WaitDelay = patience
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("running coverage: %w", err)
	}
	answers := &dialogue{answer: answer, stdin: stdin, report: stdout}
	cmd.Stdout = answers
	cmd.Stderr = io.MultiWriter(stderr, &said)
	if err = cmd.Start(); err == nil {
		_, _ = stdin.Write(append(job, '\n')) // a Python that ends before it has read this says why
		err = cmd.Wait()
	}
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return &PythonError{Command: p.Command, Message: strings.TrimSpace(err.Error() + ": " + lastLine(said.String()))}
	}
	return answers.close()
}

// answerer answers a question of the script, both in JSON.
type answerer func(question []byte) (answer []byte, err error)

// questionMark begins a line of the script's stdout that is a question.
var questionMark = []byte("\x00covify ")

// dialogue is the script's stdout: it answers the lines that are questions, and passes on the others, which are the report.
type dialogue struct {
	answer answerer
	stdin  io.Writer
	report io.Writer
	line   []byte // of a question, as far as it has come
}

// Write implements io.Writer.
func (d *dialogue) Write(text []byte) (int, error) {
	d.line = append(d.line, text...)
	for len(d.line) > 0 {
		begun := min(len(d.line), len(questionMark))
		end := bytes.IndexByte(d.line, '\n') + 1
		switch {
		case !bytes.Equal(d.line[:begun], questionMark[:begun]):
			if end == 0 {
				end = len(d.line)
			}
			if _, err := d.report.Write(d.line[:end]); err != nil {
				return 0, err
			}
		case end == 0:
			return len(text), nil
		default:
			answer, err := d.answer(d.line[len(questionMark) : end-1])
			if err != nil {
				return 0, err
			}
			if _, err := d.stdin.Write(append(answer, '\n')); err != nil {
				return 0, err
			}
		}
		d.line = d.line[end:]
	}
	return len(text), nil
}

// close passes on what began like a question and was none.
func (d *dialogue) close() error {
	_, err := d.report.Write(d.line)
	return err
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}
