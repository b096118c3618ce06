package session

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
)

// Entries are the session's records so far of containers that covify commands started. One that is being written is left out.
func (m *Member) Entries() ([]*Entry, error) {
	names, err := filepath.Glob(filepath.Join(m.Dir, containersName, "*.json"))
	var all []*Entry
	for _, name := range names {
		e := &Entry{path: name}
		if text, err := os.ReadFile(name); err == nil && json.Unmarshal(text, &e.Record) == nil {
			all = append(all, e)
		}
	}
	return all, err
}

// Replica is the entry of another container that leaves its data in the same folder, as those of one compose service do; name
// tells it from others. It is not written yet.
func (e *Entry) Replica(name string) *Entry {
	return &Entry{Record: e.Record, path: strings.TrimSuffix(e.path, ".json") + "-" + unfit.ReplaceAllString(name, "-") + ".json"}
}
