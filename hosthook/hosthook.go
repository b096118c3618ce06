// Package hosthook puts covify's hook into the environments of this machine's own interpreters, takes it out again, and tells
// what is where. Which interpreter and which directory a name means is decided by package plan, as for an image.
//
// What was done is on record before a file is written, so that a crash in between can be seen and undone. Files appear whole. Nothing
// else in an interpreter's tree is touched, and Remove leaves the tree as it was, the site directory's time included.
// The package reads no environment variables: whoever calls it says where things go.
package hosthook

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/covify/covify/plan"
	"github.com/covify/covify/wheel"
	"golang.org/x/sys/unix"
)

// Target names an interpreter or a venv of this machine.
type Target struct {
	Python string // absolute path of an executable; a venv's own, or a script that starts one such as pyenv's, will do
	Venv   string // absolute path of a venv; Python is not looked at then
	User   bool   // use the user's own site directory of Python instead of the interpreter's
}

func (t Target) String() string {
	if t.Venv != "" {
		return t.Venv
	}
	return t.Python
}

// Place is where covify keeps what belongs to its hooks.
type Place struct {
	Data  string // folder of payloads, absolute
	State string // file of records, absolute; its name ends with .json, and its folder is covify's own
}

// Options say where things go and where they come from.
type Options struct {
	Place    Place                                                       // of what Inject adds
	Others   []Place                                                     // of other users' injections, which are only looked at
	Payload  func(context.Context, wheel.Target) (*wheel.Payload, error) // Inject only
	UserBase string                                                      // site.USER_BASE, for Target.User
	Environ  []string                                                    // of interpreters that are asked something
}

// TargetError says that a Target cannot have a hook, whoever asks.
type TargetError struct{ Path, Reason string }

func (e *TargetError) Error() string { return e.Path + ": " + e.Reason }

// WriteError says that a directory may not be written to.
type WriteError struct {
	Dir      string
	Venv     bool // it is a venv's
	ReadOnly bool // not even root could
	Removing bool // the hook is there
	Err      error
}

func (e *WriteError) Error() string {
	if e.Removing {
		return fmt.Sprintf("the hook cannot be removed from %s: %v", e.Dir, e.Err)
	}
	return fmt.Sprintf("the hook cannot be written to %s: %v", e.Dir, e.Err)
}

func (e *WriteError) Unwrap() error { return e.Err }

// Hint says what to do instead.
func (e *WriteError) Hint() string {
	switch {
	case e.ReadOnly && e.Removing:
		return "the filesystem is mounted read-only: make it writable and try again"
	case e.Removing:
		return "run covify host remove as the user whose directory it is, or with sudo"
	case e.ReadOnly && e.Venv:
		return "make a venv on a filesystem that can be written to, and name it with --venv"
	case e.ReadOnly:
		return "make a venv of it (python3 -m venv .venv) and name that with --venv, or use the user's own site directory with --user"
	case e.Venv:
		return "the venv is another user's: run covify as that user or with sudo, or make one of your own and name it with --venv"
	}
	return "make a venv of it (python3 -m venv .venv) and name that with --venv, use your own site directory with --user, or run covify with sudo"
}

// NoWheelError says that no coverage wheel fits an interpreter.
type NoWheelError struct {
	Command string
	Err     *wheel.NoFitError
}

func (e *NoWheelError) Error() string { return fmt.Sprintf("no coverage for %s: %v", e.Command, e.Err) }

func (e *NoWheelError) Unwrap() error { return e.Err }

// Hint says what to do about it.
func (e *NoWheelError) Hint() string {
	if e.Err.Fits != "" {
		return "leave --coverage out, or name " + e.Err.Fits
	}
	return "use another Python (a venv of it, named with --venv), or a newer covify or 'covify bundle -o DIR' and --bundle DIR for newer wheels"
}

func noCoverage(command string, err error) error {
	var noFit *wheel.NoFitError
	if errors.As(err, &noFit) {
		return &NoWheelError{command, noFit}
	}
	return fmt.Errorf("getting coverage for %s: %w", command, err)
}

// ForeignError says that a file of the hook's name is there and is not covify's.
type ForeignError struct{ Path string }

func (e *ForeignError) Error() string { return e.Path + " is there already and is not covify's" }

// Hint says what to do about it.
func (e *ForeignError) Hint() string {
	return "move the file away; covify neither replaces nor removes it"
}

// Injection is what Inject did for one environment.
type Injection struct {
	Hook
	Changed bool   // false if everything was there already
	Warning string // why the hook will not work all the same, "" if it does
}

// Hook is one environment that has, or could have, the hook.
type Hook struct {
	Environment string `json:"environment"`            // the site directory
	Venv        string `json:"venv,omitempty"`         // whose it is, "" for an interpreter's own
	User        bool   `json:"user_site,omitempty"`    // it is the user's own site directory
	Interpreter string `json:"interpreter"`            // real path of the executable
	Command     string `json:"command"`                // what starts it: a venv's python, else Interpreter
	Python      string `json:"python"`                 // its version, "3.13"
	Own         string `json:"own_coverage,omitempty"` // version of the environment's own coverage: it goes first
	Payload     string `json:"payload,omitempty"`      // directory that coverage is imported from otherwise
	Coverage    string `json:"coverage,omitempty"`     // version of the payload's coverage
}

// Inject puts the hook into the environment of each target, and does nothing where it is already. A target that fails
// does not keep the others from getting theirs; the error joins what failed. Errors are *TargetError, *WriteError,
// *ForeignError, those of Options.Payload, and others, each naming its target.
func Inject(ctx context.Context, targets []Target, opts Options) ([]Injection, error) {
	unlock, err := opts.Place.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	var done []Injection
	var failed []error
	for _, t := range targets {
		injections, err := injectTarget(ctx, t, opts)
		if err != nil {
			failed = append(failed, err)
		}
		for _, i := range injections {
			if !slices.ContainsFunc(done, func(d Injection) bool { return d.Environment == i.Environment }) {
				done = append(done, i)
			}
		}
	}
	return done, errors.Join(failed...)
}

func injectTarget(ctx context.Context, t Target, opts Options) ([]Injection, error) {
	places, err := look(ctx, t, opts)
	if err != nil {
		return nil, err
	}
	var done []Injection
	for _, p := range places {
		i, err := inject(ctx, p, opts)
		if err != nil {
			return done, err
		}
		done = append(done, i)
	}
	return done, nil
}

// inject does the work for one environment. The lock is held.
func inject(ctx context.Context, p found, opts Options) (Injection, error) {
	none := Injection{}
	if i, known, err := injectedByOthers(p, opts); known {
		return i, err
	}
	coverage, err := opts.Payload(ctx, p.target)
	if err != nil {
		return none, noCoverage(p.Command, err)
	}
	pay, err := newPayload(coverage, opts.Place.Data)
	if err != nil {
		return none, err
	}
	p.Payload, p.Coverage = pay.dir, coverage.Version
	st, err := opts.Place.read()
	if err != nil {
		return none, err
	}
	want := newRecord(p.Hook, plan.HostHook(pay.dir))
	old := st.find(p.Environment)
	if old != nil && old.Complete && old.same(want) && len(old.wrong()) == 0 {
		return Injection{Hook: p.Hook}, nil
	}
	if err := mayWrite(want, old, p.Hook); err != nil {
		return none, err
	}
	want.before(old)
	st.put(want)
	if err := opts.Place.write(st); err != nil {
		return none, err
	}
	if err := want.apply(pay, p.Hook); err != nil {
		return none, errors.Join(err, undo(opts.Place, st, want))
	}
	if err := opts.Place.write(st); err != nil {
		return none, err
	}
	if old != nil {
		err = opts.Place.dropPayload(st, old.Payload)
	}
	return Injection{p.Hook, true, silence(ctx, p.Hook, opts.Environ)}, err
}

// silence says why the interpreter of h does not take up its hook, "" if it does.
func silence(ctx context.Context, h Hook, environ []string) string {
	switch taken, err := runs(ctx, h, environ); {
	case err != nil:
		return fmt.Sprintf("%s does not run: %v", h.Command, err)
	case !taken:
		return fmt.Sprintf("%s does not read .pth files in %s", h.Command, h.Environment)
	}
	return ""
}

// injectedByOthers answers for an environment that is on another place's record: a good hook there is as good as one's own.
func injectedByOthers(p found, opts Options) (Injection, bool, error) {
	for _, other := range opts.Others {
		st, err := other.read()
		if err != nil {
			continue
		}
		if r := st.find(p.Environment); r != nil {
			if wrong := r.wrong(); len(wrong) > 0 {
				return Injection{}, true, fmt.Errorf("%s: the hook is on record in %s and is not whole (%s): run covify host inject, or remove, as the user it is of",
					p.Environment, other.State, wrong[0])
			}
			return Injection{Hook: r.Hook}, true, nil
		}
	}
	return Injection{}, false, nil
}

// mayWrite checks, before anything is changed, that the hook's files can be written and take nobody's place.
func mayWrite(want, old *record, h Hook) error {
	dir := existing(h.Environment)
	if err := unix.Faccessat(unix.AT_FDCWD, dir, unix.W_OK|unix.X_OK, unix.AT_EACCESS); err != nil {
		return writeError(h, dir, err)
	}
	for _, f := range want.Files {
		data, err := os.ReadFile(f.Path)
		if errors.Is(err, os.ErrNotExist) || err == nil && (isHook(f.Path, data) || old != nil && old.wrote(f.Path, data)) {
			continue
		}
		if err != nil {
			return fmt.Errorf("looking for a hook in %s: %w", h.Environment, err)
		}
		return &ForeignError{f.Path}
	}
	return nil
}

func writeError(h Hook, dir string, err error) error {
	return &WriteError{Dir: dir, Venv: h.Venv != "", ReadOnly: errors.Is(err, unix.EROFS), Err: err}
}

// existing is dir, or the nearest directory above it that exists.
func existing(dir string) string {
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(dir); err == nil || dir == filepath.Dir(dir) {
			return dir
		}
	}
}

// undo takes back what an injection that failed has written.
func undo(place Place, st *state, r *record) error {
	if err := r.takeOut(); err != nil {
		return err // the record stays, so that Remove can try again
	}
	st.drop(r.Environment)
	return errors.Join(place.write(st), place.dropPayload(st, r.Payload))
}
