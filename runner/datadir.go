package runner

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// DefaultDataDir is where data come to, below the folder covify runs in.
const DefaultDataDir = ".covify/data"

// configName is the coverage configuration in a data directory.
const configName = ".coveragerc"

// DataDirError is a data directory that cannot be used.
type DataDirError struct {
	Dir string
	Err error
}

func (e *DataDirError) Error() string { return fmt.Sprintf("data directory %q: %v", e.Dir, e.Err) }

func (e *DataDirError) Unwrap() error { return e.Err }

// Hint says what the user can do about it.
func (e *DataDirError) Hint() string { return "choose another with --data-dir" }

// openDataDir makes a data directory that every UID can write to, whatever the umask. The files in it can
// be deleted by whoever owns it. A folder that holds other things is not opened to all: that is an error, as
// everything that fails here, of type *DataDirError.
func openDataDir(dir string) error {
	if err := makeDataDir(dir); err != nil {
		return &DataDirError{Dir: dir, Err: err}
	}
	return nil
}

func makeDataDir(dir string) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	if parent := filepath.Dir(dir); filepath.Base(parent) == ".covify" {
		if err := ignoreByGit(parent); err != nil {
			return err
		}
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if info.Mode().Perm() != 0o777 {
		if stranger := firstStranger(dir); stranger != "" {
			return fmt.Errorf("must be writable for every UID (mode 0777), but is %#o and holds %q: not opened to all",
				info.Mode().Perm(), stranger)
		}
		if err := os.Chmod(dir, 0o777); err != nil {
			return err
		}
	}
	probe, err := os.CreateTemp(dir, ".covify-probe-")
	if err != nil {
		return err
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}

func ignoreByGit(dir string) error {
	file, err := os.OpenFile(filepath.Join(dir, ".gitignore"), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = file.WriteString("*\n")
	return errors.Join(err, file.Close())
}

// firstStranger names something in a folder that no data directory holds.
func firstStranger(dir string) string {
	entries, _ := os.ReadDir(dir)
	for _, entry := range entries {
		name := entry.Name()
		if !strings.HasPrefix(name, ".coverage") && !isNote(name) && name != ".gitignore" {
			return name
		}
	}
	return ""
}

// isData reports whether a file of a data directory is coverage data: .coverage or .coverage.*, but neither a
// configuration nor what SQLite leaves beside a file it writes to.
func isData(name string) bool {
	return (name == ".coverage" || strings.HasPrefix(name, ".coverage.")) &&
		!strings.HasSuffix(name, "-journal") && !strings.HasSuffix(name, "-wal") && !strings.HasSuffix(name, "-shm")
}

// isNote reports whether a file is a line the hook left because it could not measure a process.
func isNote(name string) bool { return strings.HasPrefix(name, "covify-note-") }

// contents are the data files and notes of a data directory at one moment.
type contents map[string]fileState

type fileState struct {
	size    int64
	changed time.Time
}

func look(dir string) (contents, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, &DataDirError{Dir: dir, Err: err}
	}
	found := contents{}
	for _, entry := range entries {
		if !isData(entry.Name()) && !isNote(entry.Name()) {
			continue
		}
		if info, err := entry.Info(); err == nil { // another process may have combined it away
			found[entry.Name()] = fileState{info.Size(), info.ModTime()}
		}
	}
	return found, nil
}

// since lists what appeared or changed after an earlier look: data files and notes.
func (c contents) since(before contents) (data, notes []string) {
	for name, state := range c {
		switch old, had := before[name]; {
		case had && old == state:
		case state.size == 0 && isData(name): // nothing: a process was killed while it wrote
		case isData(name):
			data = append(data, name)
		default:
			notes = append(notes, name)
		}
	}
	return data, notes
}

// writeConfig puts a container's configuration into a data directory, whole or not at all and readable by every
// UID, and returns its name: .coveragerc, or a name of its own where that is another's with other
// contents: that of an image whose container may still run, or the user's.
func writeConfig(dir, image string, config []byte) (string, error) {
	mark := "# written by covify run for " + image
	name := configName
	if old, err := os.ReadFile(filepath.Join(dir, name)); err == nil {
		theirs, body, _ := bytes.Cut(old, []byte("\n"))
		if bytes.Equal(body, config) {
			return name, nil
		}
		if string(theirs) != mark {
			name = fmt.Sprintf("%s-%08x", configName, crc32.ChecksumIEEE([]byte(image)))
		}
	}
	if err := replaceFile(filepath.Join(dir, name), append([]byte(mark+"\n"), config...)); err != nil {
		return "", &DataDirError{Dir: dir, Err: err}
	}
	return name, nil
}

// replaceFile does without fsync: a configuration lost with the machine is of no use afterwards.
func replaceFile(path string, text []byte) error {
	temp, err := os.CreateTemp(filepath.Dir(path), ".coveragerc-new-")
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name())
	_, err = temp.Write(text)
	if err := errors.Join(err, temp.Chmod(0o644), temp.Close()); err != nil {
		return err
	}
	return os.Rename(temp.Name(), path)
}
