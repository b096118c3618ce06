package session

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/covify/covify/runner"
)

// stamp is a file at one moment.
type stamp struct {
	size    int64
	changed time.Time
}

// look finds a data file and its parallel ones (data_file.*).
func look(dataFile string) map[string]stamp {
	found := map[string]stamp{}
	dir, base := filepath.Split(dataFile)
	entries, _ := os.ReadDir(dir) // there is no such folder yet
	for _, entry := range entries {
		if name := entry.Name(); !isData(name, base) {
			continue
		}
		if info, err := entry.Info(); err == nil && info.Mode().IsRegular() {
			found[filepath.Join(dir, entry.Name())] = stamp{info.Size(), info.ModTime()}
		}
	}
	return found
}

func isData(name, base string) bool {
	if name != base && !strings.HasPrefix(name, base+".") {
		return false
	}
	return !strings.HasSuffix(name, "-journal") && !strings.HasSuffix(name, "-wal") && !strings.HasSuffix(name, "-shm")
}

// ownData are the data files that the project's own coverage commands wrote during the session.
func (s *Session) ownData() []string {
	var files []string
	for path, now := range look(s.own) {
		if s.was[path] != now {
			files = append(files, path)
		}
	}
	slices.Sort(files)
	return files
}

// dataFiles are the data files below a folder.
func dataFiles(dir string) []string {
	var files []string
	_ = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() && isData(entry.Name(), ".coverage") {
			files = append(files, path)
		}
		return nil // what cannot be read is no data
	})
	return files
}

// Inputs are the data of the session: its folders, and files that are elsewhere.
func (s *Session) Inputs() []string {
	inputs := []string{filepath.Join(s.Dir, hostName), filepath.Join(s.Dir, containersName)}
	return slices.Concat(inputs, s.ownData(), s.elsewhere())
}

// elsewhere are the data files that containers left in folders that are not the session's.
func (s *Session) elsewhere() []string {
	var files []string
	for _, record := range s.records() {
		if record.DataDir == "" || s.has(record.DataDir) {
			continue
		}
		for _, name := range record.DataFiles {
			files = append(files, filepath.Join(record.DataDir, name))
		}
	}
	return files
}

func (s *Session) has(dir string) bool {
	rel, err := filepath.Rel(s.Dir, dir)
	return err == nil && filepath.IsLocal(rel)
}

// HostNotes are the lines of the hook about the host's processes that it could not measure.
func (s *Session) HostNotes() []string {
	names, _ := filepath.Glob(filepath.Join(s.Dir, hostName, "covify-note-*"))
	var lines []string
	for _, name := range names {
		if line, err := runner.ReadNote(name); err == nil {
			lines = append(lines, line)
		}
	}
	slices.Sort(lines)
	return slices.Compact(lines)
}
