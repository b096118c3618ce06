package runner

import (
	"os"
	"os/exec"
	"slices"
	"time"
)

// Foreseen is why a container of the job can leave no data, as far as that is known before it runs; "" if nothing speaks against it.
func (j *Job) Foreseen() (reason string, notPython bool) {
	if reason := j.fromEnv(); reason != "" {
		return reason, false
	}
	reason = j.fromCommand()
	return reason, reason != ""
}

// Left are the names of the data files that containers left in a data directory since a moment, the lines of the hook about
// processes it could not measure, and, for a container without data, the reason if its exit code or the hook tells one.
func Left(dir string, since time.Time, code int) (files, notes []string, reason string) {
	found, err := look(dir)
	if err != nil {
		return nil, nil, err.Error()
	}
	for name, state := range found {
		switch {
		case state.changed.Before(since) || state.size == 0:
		case isNote(name):
			notes = append(notes, name)
		default:
			files = append(files, name)
		}
	}
	slices.Sort(files)
	notes = readNotes(dir, notes)
	if slices.ContainsFunc(files, func(name string) bool { return !measuredNothing(dir, name) }) {
		return files, notes, ""
	}
	if reason = fromNotes(notes); reason == "" {
		reason = fromExit(code, false)
	}
	return files, notes, reason
}

// ParseVolume reads the value of -v: [SOURCE:]TARGET[:OPTIONS]. A source that is a path is a bind.
func ParseVolume(value string) Mount { return parseVolume(value) }

// RunSaving is RunChild for a command that ends containers when it gets a signal: the signal is passed on when save has
// returned, a further one at once. In the foreground of a terminal, whose signals the command gets too, save is called at the same time.
func RunSaving(command *exec.Cmd, save func()) (int, error) {
	return runAttached(command, true, false, func(os.Signal) { save() })
}
