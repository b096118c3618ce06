// Package doctor examines what coverage of containers and of this machine hangs on: an image, a container, a folder of data, a
// checkout. It gives checks as values and changes nothing.
package doctor

import (
	"fmt"
	"slices"

	"github.com/covify/covify/runner"
)

// Outcome is what a check says.
type Outcome string

const (
	OK      Outcome = "ok"
	Warning Outcome = "warning" // coverage comes, but not all that could, or it needs a look
	Problem Outcome = "problem" // no coverage comes
	Skipped Outcome = "skipped" // could not be looked at; Seen says why
)

// Check is one thing that was looked at.
type Check struct {
	Name    string  `json:"name"`
	Outcome Outcome `json:"outcome"`
	Seen    string  `json:"seen"`
	Mend    string  `json:"mend,omitempty"` // what to type into a shell; "" if there is nothing to mend, or no one command for it

	Fix []string `json:"-"` // arguments of covify that are the Mend, where covify can do it by itself
}

func ok(name, seen string, args ...any) Check {
	return Check{Name: name, Outcome: OK, Seen: fmt.Sprintf(seen, args...)}
}

func warning(name, seen string, args ...any) Check {
	return Check{Name: name, Outcome: Warning, Seen: fmt.Sprintf(seen, args...)}
}

func problem(name, seen string, args ...any) Check {
	return Check{Name: name, Outcome: Problem, Seen: fmt.Sprintf(seen, args...)}
}

func skipped(name, seen string, args ...any) Check {
	return Check{Name: name, Outcome: Skipped, Seen: fmt.Sprintf(seen, args...)}
}

// mend adds the command that helps.
func (c Check) mend(command string, args ...any) Check {
	if len(args) > 0 {
		command = fmt.Sprintf(command, args...)
	}
	c.Mend = command
	return c
}

// fix adds the covify command that helps, which covify can run by itself.
func (c Check) fix(args ...string) Check {
	c.Fix = args
	c.Mend = runner.ShellLine(append([]string{"covify"}, args...))
	return c
}

// Problems counts the checks that found one.
func Problems(checks []Check) int {
	n := 0
	for _, c := range checks {
		if c.Outcome == Problem {
			n++
		}
	}
	return n
}

// Fixes are the covify commands that mend what the checks found, each once, in their order.
func Fixes(checks []Check) [][]string {
	var all [][]string
	for _, c := range checks {
		same := func(known []string) bool { return slices.Equal(known, c.Fix) }
		if len(c.Fix) > 0 && (c.Outcome == Problem || c.Outcome == Warning) && !slices.ContainsFunc(all, same) {
			all = append(all, c.Fix)
		}
	}
	return all
}

// count says a number of things.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
