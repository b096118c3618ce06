package hosthook

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/covify/covify/plan"
	"github.com/covify/covify/wheel"
	"github.com/covify/covify/wheel/fetch"
	"golang.org/x/sys/unix"
)

// payload is a payload as it is, or will be, on this machine.
type payload struct {
	dir   string
	files []wheel.PayloadFile
}

// PutPayload puts coverage and the start-up module into a directory of their own below data, if they are not there, and returns
// that directory: with it on sys.path, _covify.start() measures. It appears whole or not at all; equal content gets the
// same directory.
func PutPayload(coverage *wheel.Payload, data string) (string, error) {
	p, err := newPayload(coverage, data)
	if err != nil || p.intact() {
		return p.dir, err
	}
	return p.dir, p.write()
}

// newPayload names the directory after its content, so that what a running process imports from is not replaced by another release.
func newPayload(coverage *wheel.Payload, data string) (payload, error) {
	if strings.ContainsFunc(data, func(r rune) bool { return r < ' ' || strings.ContainsRune(`'"%\`, r) }) || !filepath.IsAbs(data) {
		return payload{}, fmt.Errorf("the data folder %q cannot be named in a .pth file: it must be absolute and without quotes, backslashes, per cent signs and control characters; XDG_DATA_HOME can name another", data)
	}
	p := payload{files: append([]wheel.PayloadFile{{Path: fetch.StartUpModule, Mode: 0o644, Data: plan.Startup()}}, coverage.Files...)}
	var sums strings.Builder
	for _, f := range p.files {
		fmt.Fprintf(&sums, "%s  %s\n", sum(f.Data), f.Path)
	}
	p.files = append(p.files, wheel.PayloadFile{Path: sumsPath, Mode: 0o644, Data: []byte(sums.String())})
	p.dir = filepath.Join(payloads(data), coverage.Name+"-"+sum([]byte(sums.String()))[:sumLength])
	return p, nil
}

const (
	sumsPath  = "_covify.about/SHA256SUMS" // of a payload's other files, as sha256sum has it
	sumLength = 12                         // of the sum of that file, at the end of the directory's name
)

// payloadWrong says what is wrong with the payload at dir, "" if every file is as it was written. More may be there: what
// Python compiles.
func payloadWrong(dir string) string {
	sums, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(sumsPath)))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "the payload " + dir + " is missing"
	case err != nil:
		return err.Error()
	case !strings.HasSuffix(dir, "-"+sum(sums)[:sumLength]):
		return "the payload " + dir + " was changed"
	}
	for line := range strings.Lines(string(sums)) {
		want, name, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "  ")
		data, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
		if err != nil || sum(data) != want {
			return "the payload " + dir + " was changed: " + name
		}
	}
	return ""
}

func payloads(data string) string { return filepath.Join(data, "payloads") }

func (p payload) intact() bool { return payloadWrong(p.dir) == "" }

const newPrefix = ".new-" // of a directory that is not whole yet, or not any more

// write makes the directory, in place of a damaged one if need be.
func (p payload) write() error {
	parent := filepath.Dir(p.dir)
	if err := errors.Join(openTo(filepath.Dir(parent)), openTo(parent)); err != nil {
		return fmt.Errorf("making a place for coverage: %w", err)
	}
	temp, err := os.MkdirTemp(parent, newPrefix)
	if err != nil {
		return fmt.Errorf("making a place for coverage: %w", err)
	}
	defer os.RemoveAll(temp)
	err = os.Chmod(temp, 0o755)
	for _, f := range p.files {
		err = errors.Join(err, putFile(filepath.Join(temp, filepath.FromSlash(f.Path)), f.Data, f.Mode))
	}
	if err != nil {
		return fmt.Errorf("unpacking coverage: %w", err)
	}
	if err := replaceDir(temp, p.dir); err != nil && !p.intact() { // intact: another process was faster
		return fmt.Errorf("unpacking coverage: %w", err)
	}
	return nil
}

// openTo makes a directory that is not there. Who may use the environments must be able to read it, whatever the umask.
func openTo(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.Chmod(dir, 0o755)
}

func putFile(path string, data []byte, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.Chmod(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(path, data, mode); err != nil {
		return err
	}
	return os.Chmod(path, mode)
}

// replaceDir renames from to to. What is at to, which is damaged, goes where from was.
func replaceDir(from, to string) error {
	err := os.Rename(from, to)
	if !errors.Is(err, fs.ErrExist) && !errors.Is(err, unix.ENOTEMPTY) {
		return err
	}
	aside := from + ".old"
	if err := os.Rename(to, aside); err != nil {
		return err
	}
	defer os.RemoveAll(aside)
	return os.Rename(from, to)
}

// dropPayload removes a payload that no record of st needs any more.
func (place Place) dropPayload(st *state, dir string) error {
	if filepath.Dir(dir) != payloads(place.Data) || st.uses(dir) {
		return nil
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("removing a payload: %w", err)
	}
	place.dropEmpty()
	return nil
}

// dropEmpty removes the directories of payloads and records if nothing is left in them. The lock is held.
func (place Place) dropEmpty() {
	for _, dir := range []string{payloads(place.Data), place.Data, filepath.Dir(place.State)} {
		_ = os.Remove(dir) // it may hold something
	}
}

// unused lists the payloads, whole or not, that no record of st needs.
func (place Place) unused(st *state) []string {
	entries, _ := os.ReadDir(payloads(place.Data)) // none is the usual case
	var dirs []string
	for _, e := range entries {
		if dir := filepath.Join(payloads(place.Data), e.Name()); !st.uses(dir) {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}
