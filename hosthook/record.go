package hosthook

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/covify/covify/plan"
	"github.com/google/renameio/v2"
	"golang.org/x/sys/unix"
)

// state is what a Place has on record.
type state struct {
	Version int       `json:"version"`
	Hooks   []*record `json:"hooks"` // sorted by environment
}

const stateVersion = 1

// record is one environment's hook as it was, or was about to be, written.
type record struct {
	Hook
	Files    []recordedFile `json:"files"`
	Made     []string       `json:"made,omitempty"` // directories made for it, outermost first
	Touched  string         `json:"touched"`        // the directory that was there and got an entry
	Before   time.Time      `json:"before"`         // its modification time
	After    time.Time      `json:"after,omitzero"` // and afterwards: another one means that somebody else was there since
	Complete bool           `json:"complete"`       // false until every file is written
}

type recordedFile struct {
	Path   string `json:"path"`
	SHA256 string `json:"sha256"`
	data   []byte
}

func newRecord(h Hook, files []plan.HookFile) *record {
	r := &record{Hook: h}
	for _, f := range files {
		r.Files = append(r.Files, recordedFile{filepath.Join(h.Environment, f.Name), sum(f.Data), f.Data})
	}
	return r
}

func sum(data []byte) string {
	s := sha256.Sum256(data)
	return hex.EncodeToString(s[:])
}

// lock keeps other processes from changing anything of place until unlock is called.
func (place Place) lock() (unlock func(), err error) {
	dir := filepath.Dir(place.State)
	for {
		if err := openTo(dir); err != nil {
			return nil, fmt.Errorf("making a place for the record of hooks: %w; XDG_STATE_HOME can name another", err)
		}
		file, err := os.Open(dir)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("opening the place of the record of hooks: %w", err)
		}
		if err := flock(file); err != nil {
			return nil, errors.Join(fmt.Errorf("locking %s: %w", dir, err), file.Close())
		}
		if !isStill(file, dir) { // the one before had nothing more to keep there
			file.Close()
			continue
		}
		for _, temp := range named(dir, unwritten) { // nobody else writes here now
			_ = os.Remove(temp)
		}
		return func() { file.Close() }, nil
	}
}

func flock(file *os.File) error {
	for {
		if err := unix.Flock(int(file.Fd()), unix.LOCK_EX); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

func isStill(file *os.File, path string) bool {
	opened, err := file.Stat()
	there, err2 := os.Stat(path)
	return err == nil && err2 == nil && os.SameFile(opened, there)
}

func (place Place) read() (*state, error) {
	st := &state{Version: stateVersion}
	data, err := os.ReadFile(place.State)
	if errors.Is(err, os.ErrNotExist) {
		return st, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the record of hooks: %w", err)
	}
	if err := json.Unmarshal(data, st); err != nil {
		return nil, fmt.Errorf("the record of hooks %s is damaged (%w): delete it, then name each interpreter to covify host remove", place.State, err)
	}
	if st.Version != stateVersion {
		return nil, fmt.Errorf("the record of hooks %s is of another covify (version %d): use that one", place.State, st.Version)
	}
	return st, nil
}

// write puts st on record; none is no file.
func (place Place) write(st *state) error {
	if len(st.Hooks) == 0 {
		if err := os.Remove(place.State); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("removing the record of hooks: %w", err)
		}
		return nil
	}
	data, err := json.MarshalIndent(st, "", "  ")
	if err == nil {
		err = putWhole(place.State, append(data, '\n'))
	}
	if err != nil {
		return fmt.Errorf("writing the record of hooks: %w", err)
	}
	return nil
}

// putWhole writes a file that appears whole, with a temporary one beside it.
func putWhole(path string, data []byte) error {
	return renameio.WriteFile(path, data, 0o644, renameio.WithTempDir(filepath.Dir(path)), renameio.WithStaticPermissions(0o644))
}

func (st *state) find(environment string) *record {
	for _, r := range st.Hooks {
		if r.Environment == environment {
			return r
		}
	}
	return nil
}

func (st *state) put(r *record) {
	st.drop(r.Environment)
	st.Hooks = append(st.Hooks, r)
	slices.SortFunc(st.Hooks, func(a, b *record) int { return strings.Compare(a.Environment, b.Environment) })
}

func (st *state) drop(environment string) {
	st.Hooks = slices.DeleteFunc(st.Hooks, func(r *record) bool { return r.Environment == environment })
}

func (st *state) uses(payload string) bool {
	return slices.ContainsFunc(st.Hooks, func(r *record) bool { return r.Payload == payload })
}

// same reports whether r and other are about the same hook of the same interpreter.
func (r *record) same(other *record) bool {
	mine, others := r.Hook, other.Hook
	mine.Own, others.Own = "", "" // comes and goes without covify
	return mine == others && slices.EqualFunc(r.Files, other.Files, func(a, b recordedFile) bool { return a.Path == b.Path && a.SHA256 == b.SHA256 })
}

// wrote reports whether r has a file with this content.
func (r *record) wrote(path string, data []byte) bool {
	return slices.ContainsFunc(r.Files, func(f recordedFile) bool { return f.Path == path && f.SHA256 == sum(data) })
}

// before notes what Remove must restore. old is the environment's earlier record, whose notes hold if nobody was there since.
func (r *record) before(old *record) {
	for dir := r.Environment; ; dir = filepath.Dir(dir) {
		if info, err := os.Stat(dir); err == nil {
			r.Touched, r.Before = dir, info.ModTime()
			break
		}
		r.Made = append([]string{dir}, r.Made...)
	}
	if old == nil {
		return
	}
	if old.undisturbed() {
		r.Made, r.Touched, r.Before = old.Made, old.Touched, old.Before
	} else if len(r.Made) == 0 {
		r.Made = old.Made
	}
}

// undisturbed reports whether nobody but covify has changed the directory since r was complete.
func (r *record) undisturbed() bool {
	info, err := os.Stat(r.Touched)
	return err == nil && r.Complete && info.ModTime().Equal(r.After)
}

// apply writes the payload and the hook, and completes r.
func (r *record) apply(pay payload, h Hook) error {
	if !pay.intact() {
		if err := pay.write(); err != nil {
			return err
		}
	}
	for _, dir := range r.Made {
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
			return writeError(h, filepath.Dir(dir), bare(err))
		}
	}
	for _, f := range r.Files {
		if err := putWhole(f.Path, f.data); err != nil {
			return writeError(h, h.Environment, bare(err))
		}
	}
	info, err := os.Stat(r.Touched)
	if err != nil {
		return err
	}
	r.After, r.Complete = info.ModTime(), true
	return nil
}

// bare is the system's word in err, without a path that is only a temporary one.
func bare(err error) error {
	var number unix.Errno
	if errors.As(err, &number) {
		return number
	}
	return err
}

// takeOut removes what r wrote, and nothing that somebody else did. The directory gets its time back if nobody was
// there in between.
func (r *record) takeOut() error {
	undisturbed := r.undisturbed()
	for _, f := range r.Files {
		if err := takeFile(f.Path, func(data []byte) bool { return sum(data) == f.SHA256 || isHook(f.Path, data) }); err != nil {
			return err
		}
	}
	for _, temp := range unfinished(r.Environment) {
		if err := os.Remove(temp); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("removing the hook: %w", err)
		}
	}
	for _, dir := range slices.Backward(r.Made) {
		if os.Remove(dir) != nil {
			break // somebody else uses it by now, or it is gone
		}
	}
	if undisturbed {
		_ = os.Chtimes(r.Touched, time.Time{}, r.Before) // the directory may be another user's
	}
	return nil
}

// takeFile removes the file at path if it is covify's by its content. Nothing there is fine.
func takeFile(path string, ours func([]byte) bool) error {
	data, err := os.ReadFile(path)
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, unix.ENOTDIR):
		return nil
	case err != nil:
		return fmt.Errorf("removing the hook: %w", err)
	case !ours(data):
		return &ForeignError{path}
	}
	if err := os.Remove(path); err != nil {
		return &WriteError{Dir: filepath.Dir(path), Venv: isBelowVenv(path), ReadOnly: errors.Is(err, unix.EROFS), Removing: true, Err: bare(err)}
	}
	return nil
}

// isHook reports whether a file is a hook of any covify, by its content.
func isHook(path string, data []byte) bool {
	if filepath.Ext(path) == ".start" {
		return string(bytes.TrimSpace(data)) == "_covify:start"
	}
	first, rest, ok := bytes.Cut(data, []byte("\n"))
	return ok && filepath.IsAbs(string(first)) && bytes.HasPrefix(rest, []byte("import os, sys; exec(")) && bytes.Contains(rest, []byte("_covify"))
}

// The names of files that a crash kept renameio from giving their own: those of a hook, and of a record.
var (
	temporary = regexp.MustCompile(`^\.` + plan.HostStem + `\.(pth|start)\d+$`)
	unwritten = regexp.MustCompile(`^\.host\.json\d+$`)
)

// unfinished lists files that a crash kept from getting their names.
func unfinished(environment string) []string { return named(environment, temporary) }

func named(dir string, name *regexp.Regexp) []string {
	entries, _ := os.ReadDir(dir) // gone with its venv, perhaps
	var files []string
	for _, e := range entries {
		if e.Type().IsRegular() && name.MatchString(e.Name()) {
			files = append(files, filepath.Join(dir, e.Name()))
		}
	}
	return files
}

// filesWrong says what is wrong with the files of r, a sentence each; nothing if they are as written.
func (r *record) filesWrong() []string {
	var wrong []string
	for _, f := range r.Files {
		data, err := os.ReadFile(f.Path)
		switch {
		case errors.Is(err, os.ErrNotExist), errors.Is(err, unix.ENOTDIR):
			wrong = append(wrong, f.Path+" is missing")
		case err != nil:
			wrong = append(wrong, err.Error())
		case sum(data) != f.SHA256:
			wrong = append(wrong, f.Path+" was changed")
		}
	}
	return wrong
}

// wrong says what is wrong with r as a whole.
func (r *record) wrong() []string {
	wrong := r.filesWrong()
	if !r.Complete {
		wrong = append([]string{"an injection was interrupted"}, wrong...)
	}
	if reason := payloadWrong(r.Payload); reason != "" {
		wrong = append(wrong, reason)
	}
	return wrong
}

func isBelowVenv(path string) bool {
	for dir := filepath.Dir(path); dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if isVenv(dir) {
			return true
		}
	}
	return false
}
