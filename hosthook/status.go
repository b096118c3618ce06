package hosthook

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
)

// State is what can be said of an environment's hook.
type State string

const (
	None       State = "none"       // there is no hook
	Active     State = "active"     // everything is as written, and the interpreter takes it up
	Inactive   State = "inactive"   // everything is as written, but the interpreter does not take it up
	Incomplete State = "incomplete" // an injection was interrupted, or files are missing
	Damaged    State = "damaged"    // files were changed
	Gone       State = "gone"       // the venv or interpreter is not there any more, or is another version
	Stray      State = "stray"      // there is a hook, or a part of one, that is on no record
)

// Status is an environment and what can be said of its hook.
type Status struct {
	Hook
	State    State    `json:"state"`
	Active   bool     `json:"active"`             // a process that asks for it is measured
	Intact   bool     `json:"intact"`             // files and payload are as written
	Problems []string `json:"problems,omitempty"` // what is wrong, a sentence each
	Record   string   `json:"record,omitempty"`   // the file it is on record in
}

// Report is what is known of this machine.
type Report struct {
	Hooks     []Status `json:"hooks"`               // sorted by environment
	Leftovers []string `json:"leftovers,omitempty"` // payloads that nothing uses
}

// Look tells what is on record in Options.Place and Options.Others, and how the environments of the targets are. It changes
// nothing. The error joins what could not be looked at; the report holds the rest.
func Look(ctx context.Context, targets []Target, opts Options) (*Report, error) {
	report := &Report{Hooks: []Status{}}
	var failed []error
	for _, place := range append([]Place{opts.Place}, opts.Others...) {
		st, err := place.read()
		if errors.Is(err, os.ErrPermission) && place != opts.Place {
			continue
		}
		if err != nil {
			failed = append(failed, err)
			continue
		}
		for _, r := range st.Hooks {
			s := statusOf(ctx, r, opts)
			s.Record = place.State
			report.Hooks = append(report.Hooks, s)
		}
		report.Leftovers = append(report.Leftovers, place.unused(st)...)
	}
	for _, t := range targets {
		places, err := look(ctx, t, opts)
		failed = append(failed, err)
		for _, f := range places {
			if !slices.ContainsFunc(report.Hooks, func(s Status) bool { return s.Environment == f.Environment }) {
				report.Hooks = append(report.Hooks, statusOfStray(ctx, f, opts))
			}
		}
	}
	slices.SortStableFunc(report.Hooks, func(a, b Status) int { return strings.Compare(a.Environment, b.Environment) })
	return report, errors.Join(failed...)
}

func statusOf(ctx context.Context, r *record, opts Options) Status {
	s := Status{Hook: r.Hook, Problems: r.wrong()}
	s.Intact = len(s.Problems) == 0
	missing := slices.ContainsFunc(s.Problems, func(p string) bool { return strings.HasSuffix(p, " is missing") })
	for _, temp := range unfinished(r.Environment) {
		s.Problems = append(s.Problems, temp+" is left of an interrupted injection")
	}
	now, gone := r.presently(ctx, opts)
	if gone != "" {
		s.State, s.Problems = Gone, append([]string{gone}, s.Problems...)
		return s
	}
	s.Own = now.Own
	silence := silence(ctx, r.Hook, opts.Environ)
	switch {
	case !r.Complete || missing:
		s.State, s.Active = Incomplete, silence == ""
	case !s.Intact:
		s.State = Damaged
	case silence != "":
		s.State, s.Problems = Inactive, append(s.Problems, silence)
	default:
		s.State, s.Active = Active, true
	}
	return s
}

// presently looks at the environment of r again; gone says why it is not what it was, "" if it is.
func (r *record) presently(ctx context.Context, opts Options) (now Hook, gone string) {
	t := Target{Python: r.Command, Venv: r.Venv, User: r.User}
	what := "interpreter " + r.Interpreter
	if r.Venv != "" {
		what = "venv " + r.Venv
	}
	if _, err := os.Stat(t.String()); errors.Is(err, os.ErrNotExist) {
		return now, "the " + what + " is gone"
	}
	places, err := look(ctx, t, opts)
	if err != nil {
		return now, "the " + what + " is not what it was: " + err.Error()
	}
	for _, f := range places {
		if f.Environment == r.Environment {
			return f.Hook, ""
		}
	}
	return now, "the " + what + " is Python " + places[0].Python + " with " + places[0].Environment + " now"
}

func statusOfStray(ctx context.Context, f found, opts Options) Status {
	files := stray(f.Environment)
	if len(files) == 0 {
		return Status{Hook: f.Hook, State: None}
	}
	s := Status{Hook: f.Hook, State: Stray}
	s.Payload = strayPayload(f.Environment)
	if s.Payload != "" {
		s.Active = silence(ctx, s.Hook, opts.Environ) == ""
	}
	for _, file := range files {
		s.Problems = append(s.Problems, file+" is on no record of this user's")
	}
	return s
}
