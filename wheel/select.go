package wheel

import (
	"cmp"
	"fmt"
	"slices"

	pep440 "github.com/aquasecurity/go-pep440-version"
)

// oldest is the first release whose data files are SQLite, schema 7: what
// every later coverage can combine.
var oldest = pep440.MustParse("5.0")

// NoFitError says that no wheel on offer fits an interpreter.
type NoFitError struct {
	Target  Target
	Version string // the release asked for, "" for any
	Newest  string // the newest stable release on offer for any Python, "" if none is
	Fits    string // the newest release that would have fitted, where another one was asked for
}

func (e *NoFitError) Error() string {
	switch {
	case e.Fits != "":
		return fmt.Sprintf("no wheel of coverage %s fits %s: %s does", e.Version, e.Target, e.Fits)
	case e.Version != "":
		return fmt.Sprintf("no wheel of coverage %s fits %s", e.Version, e.Target)
	case e.Newest == "":
		return fmt.Sprintf("no coverage wheel for %s: none on offer at all", e.Target)
	}
	return fmt.Sprintf("no coverage wheel fits %s (newest release seen: %s)", e.Target, e.Newest)
}

// candidate is a wheel that fits, with all that decides between several.
type candidate struct {
	file    File
	release pep440.Version
	rank    rank
	libc    int
}

// Select chooses the wheel for t among files, which may be in any order: of
// the newest stable release with a wheel that fits, the native one with the
// lowest libc requirement, else the pure one. A version asks for exactly that
// release, be it a pre-release or yanked. Errors: *NoFitError, *WordError.
func Select(t Target, version string, files []File) (File, error) {
	fitting, newest := t.candidates(files)
	var wanted []candidate
	if version != "" {
		want, err := parseVersion(version)
		if err != nil {
			return File{}, err
		}
		wanted = slices.DeleteFunc(slices.Clone(fitting), func(c candidate) bool { return !c.release.Equal(want) })
	} else {
		wanted = slices.DeleteFunc(slices.Clone(fitting), candidate.unasked)
	}
	if len(wanted) > 0 {
		return slices.MinFunc(wanted, compare).file, nil
	}
	failure := &NoFitError{Target: t, Version: version, Newest: newest}
	if others := slices.DeleteFunc(fitting, candidate.unasked); len(others) > 0 {
		failure.Fits = slices.MinFunc(others, compare).file.Version
	}
	return File{}, failure
}

func parseVersion(word string) (pep440.Version, error) {
	version, err := pep440.Parse(word)
	if err != nil {
		return version, &WordError{"coverage version", word, "7.10.7"}
	}
	return version, nil
}

// unasked says that the wheel is taken only by one who names its release.
func (c candidate) unasked() bool {
	return c.file.Yanked || c.release.IsPreRelease()
}

// compare puts the better wheel first; the name decides between equals, so
// that the order of an index's page never does.
func compare(a, b candidate) int {
	return cmp.Or(
		b.release.Compare(a.release),
		cmp.Compare(a.rank, b.rank),
		cmp.Compare(a.libc, b.libc),
		cmp.Compare(a.file.Name, b.file.Name),
		cmp.Compare(a.file.SHA256, b.file.SHA256),
	)
}

// candidates are the wheels that fit t, and the newest stable release seen.
// Files whose name, release or requirement cannot be read are passed over, as
// pip does: indexes hold oddities of two decades.
func (t Target) candidates(files []File) (fitting []candidate, newest string) {
	releases := releases{}
	requirements := requirements{}
	var top pep440.Version
	for _, file := range files {
		release, ok := releases.parse(file.Version)
		if !ok {
			continue
		}
		if !file.Yanked && !release.IsPreRelease() && (newest == "" || release.GreaterThan(top)) {
			top, newest = release, file.Version
		}
		name, err := Parse(file.Name)
		if err != nil || release.LessThan(oldest) {
			continue
		}
		// The requirement comes last: parsing it is the costly part.
		if rank, libc := t.rank(name); rank != unfit && requirements.allow(file.RequiresPython, t) {
			fitting = append(fitting, candidate{file, release, rank, libc})
		}
	}
	return fitting, newest
}

// releases remembers parsed versions: an index lists each a hundred times.
type releases map[string]*pep440.Version

func (r releases) parse(s string) (pep440.Version, bool) {
	known, seen := r[s]
	if !seen {
		if v, err := pep440.Parse(s); err == nil {
			known = &v
		}
		r[s] = known
	}
	if known == nil {
		return pep440.Version{}, false
	}
	return *known, true
}

// requirements remembers what requires-python said of the target.
type requirements map[string]bool

func (r requirements) allow(specifiers string, t Target) bool {
	if specifiers == "" {
		return true
	}
	allowed, seen := r[specifiers]
	if !seen {
		parsed, err := pep440.NewSpecifiers(specifiers)
		python, perr := pep440.Parse(fmt.Sprintf("%d.%d", t.Major, t.Minor))
		allowed = err == nil && perr == nil && parsed.Check(python)
		r[specifiers] = allowed
	}
	return allowed
}

// CompareVersions orders two releases by PEP 440. What cannot be parsed comes first.
func CompareVersions(a, b string) int {
	va, erra := pep440.Parse(a)
	vb, errb := pep440.Parse(b)
	if erra != nil || errb != nil {
		return cmp.Or(cmp.Compare(b2i(erra == nil), b2i(errb == nil)), cmp.Compare(a, b))
	}
	return va.Compare(vb)
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}
