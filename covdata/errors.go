package covdata

import (
	"fmt"
	"strconv"
	"strings"
)

// NoDataError says that there is no coverage data to combine.
type NoDataError struct {
	Looked  []string  // the directories, files and patterns where data was looked for
	LeftOut []LeftOut // the files that were found there and why none of them can be used
}

func (e *NoDataError) Error() string {
	if len(e.LeftOut) == 0 {
		return "no coverage data: looked in " + strings.Join(e.Looked, ", ")
	}
	said := fmt.Sprintf("no usable coverage data: %s left out", count(len(e.LeftOut), "file"))
	for i, left := range e.LeftOut {
		if i == shown {
			return said + fmt.Sprintf("\n  and %d more", len(e.LeftOut)-shown)
		}
		said += fmt.Sprintf("\n  %s: %s", left.File, left.Reason)
	}
	return said
}

// NoSourceError says that there is data, but the source of none of its files is in the checkout.
type NoSourceError struct {
	Root     string
	Unmapped []Unmapped
}

func (e *NoSourceError) Error() string {
	said := fmt.Sprintf("none of %s is in %s", count(len(e.Unmapped), "measured file"), e.Root)
	if len(e.Unmapped) > 0 {
		said += ": " + e.Unmapped[0].Path + "; say where they belong with --map FROM=TO"
	}
	return said
}

// FailUnderError says that a report was made, and its total is below the threshold of coverage's fail_under.
type FailUnderError struct {
	Total     float64
	FailUnder float64
	Precision int
}

func (e *FailUnderError) Error() string {
	limit := strconv.FormatFloat(e.FailUnder, 'f', -1, 64)
	total := strconv.FormatFloat(e.Total, 'f', e.Precision, 64)
	for digits := e.Precision + 1; total == limit && digits < 10; digits++ {
		total = strconv.FormatFloat(e.Total, 'f', digits, 64) // 99.98 must not read as 100
	}
	return fmt.Sprintf("total coverage %s%% is below fail-under=%s%%", total, limit)
}

// ExitCode is the code that coverage itself ends with in this case.
func (e *FailUnderError) ExitCode() int { return 2 }

// CoverageError is an error that coverage reports: a config it cannot read, a source it cannot parse.
type CoverageError struct {
	Message string
}

func (e *CoverageError) Error() string { return "coverage: " + e.Message }

// PythonError says that the Python that should run coverage did not.
type PythonError struct {
	Command []string // argv of the Python, as in Python.Command
	Message string   // what it said last
}

func (e *PythonError) Error() string {
	name := e.Command[0]
	if last := e.Command[len(e.Command)-1]; len(e.Command) > 1 {
		name += " in " + last // the image
	}
	return fmt.Sprintf("running coverage with %s: %s", name, e.Message)
}

// NoPythonError says that none of the Pythons tried can run coverage.
type NoPythonError struct {
	Tried []string // one "path: reason" each
}

func (e *NoPythonError) Error() string {
	if len(e.Tried) == 0 {
		return "no Python found to run coverage with"
	}
	return "no Python found to run coverage with: " + strings.Join(e.Tried, "; ")
}
