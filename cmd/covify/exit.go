package main

import (
	"errors"
	"os/exec"

	"github.com/covify/covify/frontend/solve"
	"github.com/covify/covify/imagepatch"
	"github.com/covify/covify/plan"
	"github.com/covify/covify/runner"
	"github.com/covify/covify/wheel"
	"github.com/covify/covify/wheel/fetch"
)

// Exit codes, the same for every command; covify run and covify test end with the code of what they ran.
const (
	exitDone        = 0
	exitError       = 1
	exitUsage       = 2
	exitNothing     = 3  // no Python, or none that coverage fits
	exitAuth        = 4  // a registry or index wants other credentials
	exitTransient   = 75 // EX_TEMPFAIL of sysexits.h: trying again may help
	exitInterrupted = 130
)

// usageError marks wrong use of the command line.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// codeError carries an exit code of its own.
type codeError struct {
	error
	code int
}

func (e codeError) Unwrap() error { return e.error }

// exitCode tells the code for err by its type.
func exitCode(err error) int {
	var (
		coded     codeError
		exited    *exec.ExitError
		usage     usageError
		ref       *imagepatch.RefError
		nothing   *plan.NothingError
		auth      *imagepatch.AuthError
		transient *imagepatch.TransientError
		index     *fetch.IndexError
		word      *wheel.WordError
		noFit     *wheel.NoFitError
		daemon    *imagepatch.EngineError
		engine    *runner.EngineError
		setting   *solve.UsageError
		buildkit  *solve.NotFoundError
		load      *solve.LoadError
	)
	switch {
	case errors.As(err, &coded):
		return coded.code
	case errors.As(err, &exited):
		return exited.ExitCode()
	case errors.As(err, &usage), errors.As(err, &ref), errors.As(err, &word), errors.As(err, &setting):
		return exitUsage
	case errors.As(err, &nothing), errors.As(err, &noFit):
		return exitNothing
	case errors.As(err, &auth):
		return exitAuth
	case errors.As(err, &transient), errors.As(err, &daemon), errors.As(err, &engine), errors.As(err, &buildkit), errors.As(err, &load):
		return exitTransient
	case errors.As(err, &index) && index.Unauthorised():
		return exitAuth
	case errors.As(err, &index):
		return exitTransient
	}
	return exitError
}
