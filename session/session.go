// Package session measures a command, the host's processes below it and the containers it starts together: it gives them a
// folder, an environment and a ledger, and leaves nothing else behind.
package session

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/covify/covify/runner/rcfile"
	"github.com/google/renameio/v2"
)

// Variable names the session to whatever runs in it: its value is the session's folder.
const Variable = "COVIFY_SESSION"

// The names in a session's folder.
const (
	aboutName      = "session.json"
	configName     = "coveragerc"
	oldConfigName  = "coveragerc-old" // for coverage that refuses settings it does not know
	hostName       = "host"           // data of the host's processes
	containersName = "containers"     // a folder of data for each container, beside each its record
	pythonName     = "python"         // what is on PYTHONPATH; gone when the session is over
	outputName     = "coverage"       // the combined data
)

//go:embed python/*.py
var python embed.FS

// Options are what a session needs. All paths are absolute.
type Options struct {
	Root    string // the checkout
	Command []string
	RCFile  string // the config file that the user names; "" if none
	Config  *rcfile.Config
	Branch  bool // what is measured where Config does not say
	// SaveTimeout is how long the processes of a container are waited for that are to save.
	SaveTimeout time.Duration
	Contexts    bool   // each line knows who ran it
	Own         string // where the project's own coverage commands put their data: its data_file
	StartUp     []byte // the start-up module, as in variants
	// Coverage is argv of a command that, with an interpreter's version and the suffix of its extension modules after it, prints a
	// folder with coverage for it.
	Coverage []string
}

// About is what is known of a session to others.
type About struct {
	Root    string    `json:"root"`
	PID     int       `json:"pid"`
	Started time.Time `json:"started"`
	Ended   time.Time `json:"ended,omitzero"`
	Command []string  `json:"command"`
	RCFile  string    `json:"rcfile,omitempty"`
	Branch  bool      `json:"branch"`

	SaveTimeout time.Duration `json:"save_timeout,omitempty"`
	Contexts    bool          `json:"contexts,omitempty"`
}

// Session is one that this process runs.
type Session struct {
	About
	Dir     string
	Left    []Leftover // of earlier sessions that could not end
	Sources []Source

	lock *lock
	own  string
	was  map[string]stamp
}

// Leftover is a session whose covify was killed.
type Leftover struct {
	About
	Data int // the data files that it left
}

func (l Leftover) String() string {
	return fmt.Sprintf("an earlier session (%s, of %s) was killed", strings.Join(l.Command, " "), l.Started.Local().Format("2 January 15:04"))
}

// BusyError says that a session runs in the checkout already.
type BusyError struct {
	Root string
	PID  string // "" if not known
}

func (e *BusyError) Error() string {
	who := "another covify test"
	if e.PID != "" {
		who += " (process " + e.PID + ")"
	}
	return fmt.Sprintf("%s runs in %s", who, e.Root)
}

// Hint says what the user can do about it.
func (e *BusyError) Hint() string {
	return "their data would mix: wait for its end, use a checkout of its own (git worktree add), or put one covify test around both commands"
}

// FolderError says that the session's folder cannot be used.
type FolderError struct {
	Dir string
	Err error
}

func (e *FolderError) Error() string { return fmt.Sprintf("session folder %q: %v", e.Dir, e.Err) }

func (e *FolderError) Unwrap() error { return e.Err }

// Hint says what the user can do about it.
func (e *FolderError) Hint() string {
	return "covify test keeps its data in the current directory's .covify: that must be writable, with room for the data"
}

// Open begins a session in a checkout, in place of the last one there. Errors are *BusyError and *FolderError.
func Open(opts Options) (*Session, error) {
	base := Base(opts.Root)
	if strings.ContainsRune(base, filepath.ListSeparator) {
		return nil, &FolderError{base, fmt.Errorf("a path with %q in it cannot be on PYTHONPATH: use a checkout elsewhere", filepath.ListSeparator)}
	}
	if err := makeBase(opts.Root); err != nil {
		return nil, &FolderError{base, err}
	}
	held, err := acquire(lockFile(opts.Root))
	if err != nil {
		if errors.Is(err, errHeld) {
			return nil, &BusyError{opts.Root, holder(lockFile(opts.Root))}
		}
		return nil, &FolderError{base, err}
	}
	s := &Session{lock: held, own: opts.Own, About: About{Root: opts.Root, PID: os.Getpid(), Started: time.Now(),
		Command: opts.Command, RCFile: opts.RCFile, SaveTimeout: opts.SaveTimeout, Contexts: opts.Contexts,
		Branch: opts.Branch}}
	if err := s.make(base, opts); err != nil {
		return nil, errors.Join(&FolderError{base, err}, held.release())
	}
	return s, nil
}

// Base is where a checkout's sessions are.
func Base(root string) string { return filepath.Join(root, ".covify", "session") }

func lockFile(root string) string { return filepath.Join(root, ".covify", "session.lock") }

func makeBase(root string) error {
	if err := os.MkdirAll(Base(root), 0o777); err != nil {
		return err
	}
	ignore := filepath.Join(root, ".covify", ".gitignore")
	if _, err := os.Stat(ignore); err == nil {
		return nil
	}
	return os.WriteFile(ignore, []byte("*\n"), 0o666)
}

func (s *Session) make(base string, opts Options) error {
	s.Left = leftovers(base)
	if err := removeAll(base); err != nil {
		return err
	}
	// A name of its own: what a killed session left running writes nowhere into this one.
	s.Dir = filepath.Join(base, fmt.Sprintf("%s-%d", s.Started.UTC().Format("20060102T150405.000"), s.PID))
	for name, mode := range map[string]fs.FileMode{containersName: 0o755, hostName: 0o777, pythonName: 0o755} {
		dir := filepath.Join(s.Dir, name)
		if err := errors.Join(os.MkdirAll(dir, 0o755), os.Chmod(dir, mode)); err != nil {
			return err
		}
	}
	if err := s.writeAbout(); err != nil {
		return err
	}
	settings := opts.Config.WithBranch(opts.Branch)
	if opts.Contexts {
		settings = settings.WithTests()
	}
	for name, coverage := range map[string]string{configName: "", oldConfigName: "5.0"} {
		config := settings.ForHost(rcfile.Host{Root: opts.Root, Coverage: coverage,
			DataFile: filepath.Join(s.Dir, hostName, ".coverage"), Omit: []string{filepath.Join(s.Dir, pythonName, "*")}})
		if err := os.WriteFile(filepath.Join(s.Dir, name), config.INI(), 0o644); err != nil {
			return err
		}
	}
	s.Sources = []Source{started{filepath.Join(s.Dir, containersName)}}
	s.was = look(s.own)
	return s.writePython(opts)
}

func (s *Session) writePython(opts Options) error {
	dir := filepath.Join(s.Dir, pythonName)
	files := map[string][]byte{"_covify.py": opts.StartUp, "command": []byte(strings.Join(opts.Coverage, "\x00"))}
	if opts.Contexts {
		files["contexts"] = nil
	}
	names, err := fs.Glob(python, "python/*.py")
	if err != nil {
		return err
	}
	for _, name := range names {
		if files[filepath.Base(name)], err = python.ReadFile(name); err != nil {
			return err
		}
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (s *Session) writeAbout() error {
	text, err := json.Marshal(s.About)
	if err != nil {
		return err
	}
	return renameio.WriteFile(filepath.Join(s.Dir, aboutName), append(text, '\n'), 0o644)
}

// Env returns an environment in which a command's processes are measured, made of the caller's.
func (s *Session) Env(callers []string) []string {
	env := []string{Variable + "=" + s.Dir, "COVERAGE_PROCESS_START=" + filepath.Join(s.Dir, configName)}
	path := filepath.Join(s.Dir, pythonName)
	tox := toxOverride
	for _, entry := range callers {
		switch name, value, _ := strings.Cut(entry, "="); name {
		case "TOX_OVERRIDE":
			if value != "" {
				tox = value + ";" + tox
			}
		case Variable, "COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG", "COVIFY_CHILD":
		case "PYTHONPATH":
			if value != "" {
				path += string(filepath.ListSeparator) + value
			}
		default:
			env = append(env, entry)
		}
	}
	return append(env, "PYTHONPATH="+path, "TOX_OVERRIDE="+tox)
}

// toxOverride has tox pass on what it keeps from its environments.
const toxOverride = "testenv.pass_env+=COVIFY_*,COVERAGE_*,PYTHONPATH"

// Output is the file that the session's data are combined into.
func (s *Session) Output() string { return filepath.Join(s.Dir, outputName) }

// Close ends the session: no process is measured from now on. The data stay for reports until the next session.
func (s *Session) Close() error {
	s.Ended = time.Now()
	return errors.Join(removeAll(filepath.Join(s.Dir, pythonName)), s.writeAbout(), s.lock.release())
}

// removeAll empties a folder and removes it; what is written there meanwhile is met again.
func removeAll(dir string) error {
	err := os.RemoveAll(dir)
	if err != nil {
		err = os.RemoveAll(dir)
	}
	return err
}

// leftovers are the sessions below base that did not end. Whoever asks holds the lock.
func leftovers(base string) []Leftover {
	var all []Leftover
	for _, dir := range sessions(base) {
		about, err := readAbout(dir)
		if err != nil || !about.Ended.IsZero() {
			continue
		}
		all = append(all, Leftover{about, len(dataFiles(dir))})
	}
	return all
}

// sessions are the folders of sessions, the newest last.
func sessions(base string) []string {
	entries, _ := os.ReadDir(base) // sorted, and the names begin with the time
	var dirs []string
	for _, entry := range entries {
		if entry.IsDir() {
			dirs = append(dirs, filepath.Join(base, entry.Name()))
		}
	}
	return dirs
}

func readAbout(dir string) (About, error) {
	var about About
	text, err := os.ReadFile(filepath.Join(dir, aboutName))
	if err == nil {
		err = json.Unmarshal(text, &about)
	}
	return about, err
}

// CleanUp ends the sessions of a checkout whose covify was killed: their hook goes, their data stay until the next session. It is
// quick where there is nothing to do.
func CleanUp(root string) []Leftover {
	base := Base(root)
	left := leftovers(base)
	if len(left) == 0 {
		return nil
	}
	held, err := acquire(lockFile(root))
	if err != nil {
		return nil // the session runs
	}
	defer func() { _ = held.release() }()
	for _, dir := range sessions(base) {
		about, err := readAbout(dir)
		if err != nil || !about.Ended.IsZero() {
			continue
		}
		s := Session{About: about, Dir: dir}
		s.Ended = time.Now()
		if removeAll(filepath.Join(dir, pythonName)) == nil {
			_ = s.writeAbout() // else the next one does it
		}
	}
	return left
}

// Last returns the combined data of the checkout's last session and when that ended; "" if there is none.
func Last(root string) (output string, ended time.Time) {
	for _, dir := range slices.Backward(sessions(Base(root))) {
		about, err := readAbout(dir)
		output := filepath.Join(dir, outputName)
		if _, none := os.Stat(output); err == nil && none == nil {
			return output, about.Ended
		}
	}
	return "", time.Time{}
}
