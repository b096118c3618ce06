package runner

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// NoDataError says that a container ended and left no coverage data, and the likeliest reason.
type NoDataError struct {
	Dir       string
	Reason    string
	NotPython bool // the container's program is certainly none of Python
}

func (e *NoDataError) Error() string {
	return fmt.Sprintf("no coverage data in %s: %s", e.Dir, e.Reason)
}

// noData returns why a run left no data, or nil when it left some or its container still runs. Data files in
// which nothing was measured are no data.
func (j *Job) noData(ctx context.Context, result Result) *NoDataError {
	if slices.ContainsFunc(result.DataFiles, func(name string) bool { return !measuredNothing(j.DataDir, name) }) {
		return nil
	}
	state := j.container(ctx, result.Container)
	if state.Running {
		return nil
	}
	for _, reason := range []string{
		fromNotes(result.Notes),
		j.fromEngine(ctx, result.ExitCode),
		j.fromEnv(),
		j.fromConfig(result.DataFiles),
		fromExit(result.ExitCode, state.OOMKilled),
		j.fromRemote(),
	} {
		if reason != "" {
			return &NoDataError{Dir: j.DataDir, Reason: reason}
		}
	}
	if reason := j.fromCommand(); reason != "" {
		return &NoDataError{Dir: j.DataDir, Reason: reason, NotPython: true}
	}
	return &NoDataError{Dir: j.DataDir, Reason: "no Python process of the image's measured environments ended in the container " +
		"(python -S and an emptied environment switch the measuring off)"}
}

type containerState struct{ Running, OOMKilled bool }

// container asks about the container, if it is still there.
func (j *Job) container(ctx context.Context, id string) containerState {
	var answer struct{ State containerState }
	if id = cmp.Or(id, j.inv.Name); id == "" || j.engine.inspect(ctx, "container", id, nil, &answer) != nil {
		return containerState{}
	}
	return answer.State
}

// readNotes returns the lines that the hook left, each once.
func readNotes(dir string, names []string) []string {
	var lines []string
	for _, name := range names {
		if line, err := ReadNote(filepath.Join(dir, name)); err == nil {
			lines = append(lines, line)
		}
	}
	slices.Sort(lines)
	return slices.Compact(lines)
}

// ReadNote returns the line of a note of the hook. That a note is empty says something too.
func ReadNote(file string) (line string, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	if line = strings.TrimSpace(string(text)); line == "" {
		return fmt.Sprintf("a process could write neither its data nor why into %s: its disk is full", filepath.Dir(file)), nil
	}
	return strings.TrimPrefix(line, "covify: "), nil
}

func fromNotes(notes []string) string {
	switch len(notes) {
	case 0:
		return ""
	case 1:
		return notes[0]
	}
	return fmt.Sprintf("%s (and %d more notes)", notes[0], len(notes)-1)
}

// fromEngine blames an engine that went away: its client then fails with a code of its own, not the container's.
func (j *Job) fromEngine(ctx context.Context, code int) string {
	if code == 0 || !j.engine.HasAPI() {
		return ""
	}
	if err := j.engine.Endpoint.ping(ctx); err != nil {
		return fmt.Sprintf("%s at %s stopped answering while the container ran (%v): what became of it is not known",
			j.engine.Name, j.engine.Endpoint.Address, err)
	}
	return ""
}

func (j *Job) fromEnv() string {
	for _, name := range []string{processStart, coverageFile, processConfig} {
		value, theirs := j.userEnv[name]
		switch {
		case !theirs:
		case name == coverageFile && path.Dir(value) == j.image.dataDir():
		case name == coverageFile:
			return fmt.Sprintf("your %s sends data to %q in the container", name, value)
		case value == "" && name == processStart:
			return fmt.Sprintf("your empty %s switches the measuring off", name)
		case value != "":
			return fmt.Sprintf("your %s=%s is used instead of covify's", name, value)
		}
	}
	return ""
}

// fromConfig blames the user's restriction when processes were measured and it left nothing of them.
func (j *Job) fromConfig(files []string) string {
	if len(files) == 0 {
		return ""
	}
	var limits []string
	if j.config != nil {
		for _, option := range []string{"source", "source_pkgs", "source_dirs", "include", "omit"} {
			if items := j.config.List("run", option); len(items) > 0 {
				limits = append(limits, option+" = "+strings.Join(items, ", "))
			}
		}
	}
	if len(limits) == 0 {
		return "the processes that ran had no code of an application (the standard library and installed packages are not measured)"
	}
	return fmt.Sprintf("no code that ran fits [run] %s of %s (relative paths start at the container's working directory)",
		strings.Join(limits, "; "), j.config.File)
}

func fromExit(code int, outOfMemory bool) string {
	switch {
	case outOfMemory:
		return "the container was killed because it ran out of memory"
	case code == 125:
		return "the container was not started"
	case code == 126 || code == 127:
		return fmt.Sprintf("its command could not be started (exit code %d)", code)
	case code == 137:
		return "it was killed (exit code 137, SIGKILL): data are written when a process ends by itself or by SIGTERM, and when covify dump tells them to"
	case code == 129, code == 134, code == 139:
		return fmt.Sprintf("it ended by signal %d, at which Python writes no data", code-128)
	}
	return ""
}

func (j *Job) fromRemote() string {
	if !j.engine.Endpoint.Remote() {
		return ""
	}
	return fmt.Sprintf("the engine at %s is on another machine, and so are the data", j.engine.Endpoint.Address)
}

// fromCommand names a program that is certainly not Python.
func (j *Job) fromCommand() string {
	words := slices.Concat(j.image.Entrypoint, j.image.Cmd)
	switch {
	case j.inv.Entrypoint != nil:
		words = append([]string{*j.inv.Entrypoint}, j.inv.Command...)
	case len(j.inv.Command) > 0:
		words = slices.Concat(j.image.Entrypoint, j.inv.Command)
	}
	if len(words) == 0 || strings.HasPrefix(path.Base(words[0]), "python") {
		return ""
	}
	if slices.Contains(notPython, path.Base(words[0])) {
		return fmt.Sprintf("its command started no measured Python: %s", strings.Join(words, " "))
	}
	return ""
}

// notPython are programs that containers are often started with and that are not written in Python.
var notPython = strings.Fields(`sh bash dash ash zsh env true false echo cat ls sleep tail busybox tini dumb-init
	catatonit su-exec gosu setpriv nginx node java uname id pwd find grep`)
