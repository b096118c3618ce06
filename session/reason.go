package session

import (
	"fmt"
	"path/filepath"
	"slices"
)

// HasData reports whether any process left a data file, whatever is in it.
func (s *Session) HasData() bool {
	return len(dataFiles(filepath.Join(s.Dir, hostName))) > 0 || len(dataFiles(filepath.Join(s.Dir, containersName))) > 0 ||
		len(s.ownData()) > 0 || len(s.elsewhere()) > 0
}

// Reason is the likeliest one for a session without data.
func (s *Session) Reason() string {
	if notes := s.HostNotes(); len(notes) > 0 {
		return notes[0]
	}
	if s.HasData() {
		return "Python ran, but no code that the coverage settings measure (source, include and omit decide; the standard library and " +
			"installed packages are left out)"
	}
	records := s.records()
	failed := slices.IndexFunc(records, func(r Record) bool { return r.Reason != "" })
	if failed >= 0 {
		return fmt.Sprintf("container of %s: %s", records[failed].Image, records[failed].Reason)
	}
	if len(records) > 0 {
		return fmt.Sprintf("the %d containers left no data, and no measured Python process ran on this machine", len(records))
	}
	return "no Python process was started below the command, or none with the session's environment (python -I, -E and -S, an emptied " +
		"environment and another PYTHONPATH switch the measuring off), and no container was started with covify run"
}
