package hosthook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/covify/covify/plan"
	"golang.org/x/sys/unix"
)

// Remove takes the hook out of the environments of the targets, and without targets out of every one on record in
// Options.Place, together with payloads that nothing uses. What is not there any more, in whole or in part, is no error; so a
// crash, a deleted venv and an upgraded interpreter are cleaned up too. A hook in a target's environment that is on nobody's
// record is removed as well. It returns what had a hook; the error joins what failed, each naming its environment or target.
func Remove(ctx context.Context, targets []Target, opts Options) ([]Hook, error) {
	if len(targets) == 0 {
		return opts.Place.removeAll()
	}
	var removed []Hook
	var failed []error
	for _, t := range targets {
		hooks, err := removeTarget(ctx, t, opts)
		removed = append(removed, hooks...)
		failed = append(failed, err)
	}
	return removed, errors.Join(failed...)
}

// removeAll empties the place.
func (place Place) removeAll() ([]Hook, error) {
	removed, err := place.remove(func(Hook) bool { return true })
	if err != nil {
		return removed, err
	}
	unlock, err := place.lock()
	if err != nil {
		return removed, err
	}
	defer unlock()
	st, err := place.read()
	if err != nil {
		return removed, err
	}
	for _, dir := range place.unused(st) {
		if err := os.RemoveAll(dir); err != nil {
			return removed, fmt.Errorf("removing a payload: %w", err)
		}
	}
	place.dropEmpty()
	return removed, nil
}

// remove takes out the hooks on record that which chooses.
func (place Place) remove(which func(Hook) bool) ([]Hook, error) {
	unlock, err := place.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	st, err := place.read()
	if err != nil {
		return nil, err
	}
	var removed []Hook
	var failed []error
	for _, r := range slices.Clone(st.Hooks) {
		if !which(r.Hook) {
			continue
		}
		err := place.writable()
		if err == nil {
			err = r.takeOut()
		}
		if err != nil {
			failed = append(failed, err)
			continue
		}
		st.drop(r.Environment)
		if err := errors.Join(place.write(st), place.dropPayload(st, r.Payload)); err != nil {
			failed = append(failed, err)
		}
		removed = append(removed, r.Hook)
	}
	return removed, errors.Join(failed...)
}

// writable tells beforehand whether the record can be changed: a hook must not go and stay on record.
func (place Place) writable() error {
	dir := filepath.Dir(place.State)
	if err := unix.Faccessat(unix.AT_FDCWD, dir, unix.W_OK|unix.X_OK, unix.AT_EACCESS); err != nil {
		return &WriteError{Dir: dir, Removing: true, ReadOnly: errors.Is(err, unix.EROFS), Err: err}
	}
	return nil
}

// removeTarget takes out what is on record of t, and what is in its environments though on no record.
func removeTarget(ctx context.Context, t Target, opts Options) ([]Hook, error) {
	places, lookErr := look(ctx, t, opts)
	which := func(h Hook) bool {
		return t.owns(h) || slices.ContainsFunc(places, func(f found) bool { return f.Environment == h.Environment })
	}
	var removed []Hook
	for _, place := range append([]Place{opts.Place}, opts.Others...) {
		if st, err := place.read(); err != nil || !slices.ContainsFunc(st.Hooks, func(r *record) bool { return which(r.Hook) }) {
			if err != nil && place == opts.Place {
				return removed, err
			}
			continue
		}
		hooks, err := place.remove(which)
		removed = append(removed, hooks...)
		if err != nil {
			return removed, err
		}
	}
	if lookErr != nil && len(removed) == 0 {
		return nil, lookErr // there may be nothing to look at any more, but then it was on record
	}
	for _, f := range places {
		if len(stray(f.Environment)) == 0 {
			continue
		}
		if err := takeStray(f.Environment); err != nil {
			return removed, err
		}
		removed = append(removed, f.Hook)
	}
	return removed, nil
}

// owns reports whether t names the interpreter or venv of h by its path, which need not exist any more.
func (t Target) owns(h Hook) bool {
	if t.Venv != "" {
		return h.Venv == filepath.Clean(t.Venv)
	}
	return h.Command == filepath.Clean(t.Python)
}

// stray lists the files of a hook in an environment, those of an interrupted injection included.
func stray(environment string) []string {
	files := unfinished(environment)
	pth := filepath.Join(environment, plan.HostStem+".pth")
	if data, err := os.ReadFile(pth); err == nil && isHook(pth, data) {
		files = append(files, pth)
	}
	start := filepath.Join(environment, plan.HostStem+".start")
	if data, err := os.ReadFile(start); err == nil && isHook(start, data) {
		files = append(files, start)
	}
	return files
}

// takeStray removes a hook that is on no record. When the directory was changed before is not known.
func takeStray(environment string) error {
	for _, path := range stray(environment) {
		if err := takeFile(path, func([]byte) bool { return true }); err != nil {
			return err
		}
	}
	return nil
}

// strayPayload gives the payload that a hook on no record leads to, "" if it does not say.
func strayPayload(environment string) string {
	data, err := os.ReadFile(filepath.Join(environment, plan.HostStem+".pth"))
	if err != nil {
		return ""
	}
	first, _, _ := bytes.Cut(data, []byte("\n"))
	return string(first)
}
