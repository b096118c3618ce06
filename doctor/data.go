package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/covify/covify/covdata"
	"github.com/covify/covify/runner"
)

// Data are folders that coverage data come to, and the checkout that the data should be of.
type Data struct {
	Dirs   []string
	Root   string
	Config string // coverage's config file; "" for the project's own
	Python func(context.Context) (covdata.Python, error)
	// Contents asks for files of the images that left the data, as reports do; nil asks for none.
	Contents covdata.Contents
}

// found is what lies in folders of data.
type found struct {
	data   []string // paths
	bytes  int64
	newest time.Time
	empty  []string // of no bytes: a process was killed before it wrote
	cut    []string // data files beside which lies a journal: a process was killed while it wrote
	notes  []string // lines of the hook about processes that it could not measure
	unread []string
}

// Checks examines the data.
func (d Data) Checks(ctx context.Context) []Check {
	f := look(d.Dirs)
	checks := f.noteChecks()
	if len(f.unread) > 0 {
		checks = append(checks, problem("data", "%s cannot be read", f.unread[0]).mend("sudo chown -R %d %s", os.Getuid(), runner.ShellLine(d.Dirs)))
	}
	if len(f.data) == 0 {
		return append(checks, problem("data", "no data file has come to %s: a process writes its own when it ends", strings.Join(d.Dirs, ", ")).
			mend("covify test -- CMD"))
	}
	arrived := ok("data", "%s in %s, %d KB, the newest of %s ago", count(len(f.data), "data file"), strings.Join(d.Dirs, ", "), (f.bytes+1023)/1024, age(f.newest))
	if time.Since(f.newest) > 7*24*time.Hour {
		arrived.Outcome = Warning
		arrived = arrived.mend("covify test -- CMD")
	}
	checks = append(checks, arrived)
	if len(f.empty) > 0 {
		checks = append(checks, warning("data", "%s of no bytes: processes were killed before they wrote (%s)", count(len(f.empty), "file"), f.empty[0]).
			mend("find %s -name '.coverage*' -size 0 -delete", runner.ShellLine(d.Dirs)))
	}
	return append(checks, d.combined(ctx, f)...)
}

// age says how long ago something was.
func age(t time.Time) string { return max(0, time.Since(t)).Round(time.Second).String() }

func look(dirs []string) found {
	var f found
	for _, dir := range dirs {
		_ = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
			if err != nil {
				f.unread = append(f.unread, path)
				return nil
			}
			f.add(path, entry)
			return nil
		})
	}
	slices.Sort(f.notes)
	f.notes = slices.Compact(f.notes)
	return f
}

func (f *found) add(path string, entry fs.DirEntry) {
	name := entry.Name()
	info, err := entry.Info()
	switch {
	case err != nil || !info.Mode().IsRegular():
	case strings.HasPrefix(name, "covify-note-"):
		if line, err := runner.ReadNote(path); err == nil {
			f.notes = append(f.notes, line)
		}
	case name != ".coverage" && !strings.HasPrefix(name, ".coverage."):
	case strings.HasSuffix(name, "-journal"):
		f.cut = append(f.cut, strings.TrimSuffix(path, "-journal"))
	case strings.HasSuffix(name, "-wal"), strings.HasSuffix(name, "-shm"):
	case info.Size() == 0:
		f.empty = append(f.empty, path)
	default:
		f.data, f.bytes = append(f.data, path), f.bytes+info.Size()
		if info.ModTime().After(f.newest) {
			f.newest = info.ModTime()
		}
		if file, err := os.Open(path); err != nil {
			f.unread = append(f.unread, path)
		} else {
			file.Close()
		}
	}
}

// noteChecks is what the hook said of processes that it could not measure.
func (f found) noteChecks() []Check {
	const shown = 3
	var all []Check
	for i, note := range f.notes {
		c := warning("notes", "%s", note)
		if len(f.data) == 0 {
			c.Outcome = Problem
		}
		if i == shown {
			c.Seen = fmt.Sprintf("and %d more processes that could not be measured", len(f.notes)-shown)
			return append(all, c)
		}
		all = append(all, c)
	}
	return all
}

// combined has coverage combine the data into a file of its own, and tells what became of them.
func (d Data) combined(ctx context.Context, f found) []Check {
	python, err := d.Python(ctx)
	if err != nil {
		return []Check{skipped("paths", "no Python that could read the data: %v", err)}
	}
	temp, err := os.MkdirTemp("", "covify-")
	if err != nil {
		return []Check{skipped("paths", "no room to combine the data: %v", err)}
	}
	defer os.RemoveAll(temp)
	summary, err := covdata.Combine(ctx, python, covdata.CombineOptions{Root: d.Root, Config: d.Config, Inputs: d.Dirs,
		Output: filepath.Join(temp, "coverage"), Session: true, Contents: d.Contents})
	if none := new(covdata.NoDataError); errors.As(err, &none) {
		return unusable(none.LeftOut)
	}
	if err != nil {
		return []Check{problem("data", "the data cannot be combined: %v", err).mend("covify combine")}
	}
	checks := []Check{d.paths(summary)}
	for _, stale := range summary.Stale {
		checks = append(checks, warning("image", "%s", stale.Words()))
	}
	for _, left := range summary.LeftOut {
		checks = append(checks, leftOut(left))
	}
	if summary.WithoutBranches > 0 {
		checks = append(checks, warning("branches", "%s measured branches, others did not: reports are of lines then. [run] branch = true in the settings has all measure them",
			count(summary.WithoutBranches, "data file")).mend("printf '[run]\\nbranch = true\\n' >>.coveragerc"))
	}
	if len(f.cut) > 0 {
		checks = append(checks, warning("data", "%s was being written when its process was killed (%s); what is whole in it is used", count(len(f.cut), "data file"), f.cut[0]))
	}
	return checks
}

const measuredNothing = "nothing was measured"

// unusable tells of data none of which can be used.
func unusable(files []covdata.LeftOut) []Check {
	nothing := 0
	var checks []Check
	for _, left := range files {
		if left.Reason == measuredNothing {
			nothing++
			continue
		}
		c := leftOut(left)
		c.Outcome = Problem
		checks = append(checks, c)
	}
	if nothing > 0 {
		checks = append(checks, problem("data", "%s: Python ran, but no code that the coverage settings measure (source, include and omit decide; "+
			"the standard library and installed packages are left out)", count(nothing, "empty data file")).mend("grep -nE 'source|include|omit' .coveragerc setup.cfg tox.ini pyproject.toml"))
	}
	return checks
}

func leftOut(left covdata.LeftOut) Check {
	if left.Reason == measuredNothing {
		return ok("data", "%s is empty: its process ran no code that the settings measure", filepath.Base(left.File))
	}
	return warning("data", "%s is of no use: %s", left.File, left.Reason).mend("rm %s", runner.ShellLine([]string{left.File}))
}

// paths tells whether the measured files are those of the checkout.
func (d Data) paths(s *covdata.Summary) Check {
	const name = "paths"
	if len(s.Unmapped) == 0 {
		said := count(s.Files, "measured file") + " found in " + d.Root
		for _, m := range s.Mapped {
			said += fmt.Sprintf("; %s is %s", m.From, m.To)
		}
		return ok(name, "%s", said)
	}
	first := s.Unmapped[max(0, slices.IndexFunc(s.Unmapped, hasOneNear))]
	seen := fmt.Sprintf("%s not in %s: %s", are(len(s.Unmapped), "measured file"), d.Root, first.Path)
	if len(first.Nearest) > 0 {
		seen += " (nearest: " + strings.Join(first.Nearest, ", ") + ")"
	}
	for _, refused := range s.Refused {
		seen += fmt.Sprintf("; image %s could not be asked what its files hold: %s", refused.Image, refused.Reason)
	}
	c := warning(name, "%s", seen)
	if s.Files == 0 {
		c.Outcome = Problem
	}
	if !hasOneNear(first) {
		c.Seen += "; covify combine --map " + path.Dir(first.Path) + "=DIR says which directory of the checkout it is"
		return c
	}
	from, to := common(first.Path, first.Nearest[0])
	return c.mend("covify combine --map %s", runner.ShellLine([]string{from + "=" + to}))
}

// hasOneNear tells that there is no doubt which file of the checkout a measured one could be.
func hasOneNear(u covdata.Unmapped) bool { return len(u.Nearest) == 1 && !u.Ambiguous }

func are(n int, noun string) string {
	if n == 1 {
		return count(n, noun) + " is"
	}
	return count(n, noun) + " are"
}

// common takes the names that two paths end with in common away from both.
func common(measured, here string) (from, to string) {
	for measured != "/" && here != "." && path.Base(measured) == path.Base(here) {
		measured, here = path.Dir(measured), path.Dir(here)
	}
	return measured, here
}
