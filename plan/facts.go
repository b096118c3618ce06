// Package plan decides what a coverage variant of an image holds: it looks at a root filesystem, and from what it
// finds and the options it makes a Plan, an inert value that others render. The same tree and the same options give
// the same Plan on any machine. The package reaches no network, clock, environment or disk of its own.
package plan

import (
	"fmt"

	"github.com/covify/covify/wheel"
)

// Facts is what a root filesystem says about its Pythons.
type Facts struct {
	Interpreters []Interpreter `json:"interpreters"` // sorted by path
	Environments []Environment `json:"environments"` // sorted by path
	Skipped      []Skip        `json:"skipped,omitempty"`
	Source       Source        `json:"source,omitzero"`
}

// Interpreter is one Python executable. Paths are absolute, without links.
type Interpreter struct {
	Path           string `json:"path"`           // "/usr/local/bin/python3.13"
	Implementation string `json:"implementation"` // "cp" or "pp", as in wheel tags (PEP 425)
	Major          int    `json:"major"`
	Minor          int    `json:"minor"`
	ABI            string `json:"abi"`                 // "cp313", "cp313t", ...
	Arch           string `json:"arch"`                // as uname says it: "x86_64"
	Libc           string `json:"libc,omitempty"`      // "glibc", "musl", or empty if it loads no extension modules
	Prefix         string `json:"prefix"`              // sys.prefix: "/usr/local"
	Stdlib         string `json:"stdlib"`              // "/usr/local/lib/python3.13"
	SlowSite       bool   `json:"slow_site,omitempty"` // the first .pth file makes every process compile the codec it is read with
}

// Version returns "3.13".
func (i Interpreter) Version() string { return fmt.Sprintf("%d.%d", i.Major, i.Minor) }

// Target returns what a wheel must fit to run in i.
func (i Interpreter) Target() wheel.Target {
	return wheel.Target{Implementation: i.Implementation, Major: i.Major, Minor: i.Minor, ABI: i.ABI, Libc: i.Libc, Arch: i.Arch}
}

// Environment is a directory whose .pth files the site module of an interpreter reads.
type Environment struct {
	Path        string `json:"path"`               // the site directory; may not exist yet
	Venv        string `json:"venv,omitempty"`     // directory of pyvenv.cfg (PEP 405), empty for the interpreter's own
	Interpreter string `json:"interpreter"`        // its Path
	Coverage    string `json:"coverage,omitempty"` // version of the image's own coverage here: it goes first
}

// Skip is something that was left alone.
type Skip struct {
	Path   string `json:"path"`
	Reason string `json:"reason"`
}

// Source is code that coverage's defaults take for somebody else's: projects installed from a local directory into a
// site directory (PEP 610), and code kept below a venv. Empty if there is none.
type Source struct {
	Dirs     []string `json:"source,omitempty"`
	Packages []string `json:"source_pkgs,omitempty"`
}

// Targets returns the distinct targets of the environments, in the order of the interpreters.
func (f Facts) Targets() []wheel.Target {
	used := map[string]bool{}
	for _, e := range f.Environments {
		used[e.Interpreter] = true
	}
	var targets []wheel.Target
	seen := map[wheel.Target]bool{}
	for _, i := range f.Interpreters {
		if t := i.Target(); used[i.Path] && !seen[t] {
			seen[t] = true
			targets = append(targets, t)
		}
	}
	return targets
}

func (f Facts) interpreter(path string) Interpreter {
	for _, i := range f.Interpreters {
		if i.Path == path {
			return i
		}
	}
	return Interpreter{}
}
