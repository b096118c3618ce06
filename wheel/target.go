package wheel

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Target is the interpreter a wheel is for.
type Target struct {
	Implementation string // "cp" or "pp", as in PEP 425
	Major, Minor   int
	ABI            string // "cp313", "cp313t", "cp313d", "cp27mu", "pypy310_pp73"; "" takes pure wheels only
	Libc           string // "glibc", "musl"; "" takes pure wheels only
	Arch           string // in uname's words: "x86_64", "aarch64", "i686", "ppc64le", ...
}

// String gives the target in the words of messages: "CPython 3.13 (cp313, glibc, x86_64)".
func (t Target) String() string {
	if t == (Target{}) {
		return "any Python asked for"
	}
	name := map[string]string{"cp": "CPython", "pp": "PyPy"}[t.Implementation]
	if name == "" {
		name = t.Implementation
	}
	detail := slices.DeleteFunc([]string{t.ABI, t.Libc, t.Arch}, func(s string) bool { return s == "" })
	if len(detail) == 0 {
		return fmt.Sprintf("%s %d.%d", name, t.Major, t.Minor)
	}
	return fmt.Sprintf("%s %d.%d (%s)", name, t.Major, t.Minor, strings.Join(detail, ", "))
}

// abi names the interpreter's ABI, made up from the version where it is unknown.
func (t Target) abi() string {
	if t.ABI != "" {
		return t.ABI
	}
	return fmt.Sprintf("%s%d%d", t.Implementation, t.Major, t.Minor)
}

// rank is how well a wheel fits; lower is better.
type rank int

const (
	native  rank = iota // compiled for this very ABI and platform
	pure                // no compiled code, tagged for this Python
	foreign             // no compiled code, tagged for another implementation only
	unfit
)

// rank tells how well the wheel n fits t, and for native ones what libc
// version the platform tag asks for at least (2.17 is 2017).
//
// Before 7.6.11 coverage tagged its pure wheels for PyPy alone. The code in
// them is that of the source archive, so where nothing else fits they serve
// any implementation.
func (t Target) rank(n Name) (rank, int) {
	if n.Pure() {
		switch {
		case slices.ContainsFunc(n.Pythons, t.runsTag):
			return pure, 0
		case slices.ContainsFunc(n.Pythons, isPyPyTag):
			return foreign, 0
		}
		return unfit, 0
	}
	if t.ABI == "" || !slices.Contains(n.Pythons, t.pythonTag()) || !slices.Contains(n.ABIs, t.ABI) {
		return unfit, 0
	}
	libc, ok := t.libcNeeded(n.Platforms)
	if !ok {
		return unfit, 0
	}
	return native, libc
}

func (t Target) pythonTag() string {
	return fmt.Sprintf("%s%d%d", t.Implementation, t.Major, t.Minor)
}

// runsTag says whether the interpreter runs pure code with that python tag:
// "cp313" for the exact one, "py3" and "py310" for it and later ones.
func (t Target) runsTag(tag string) bool {
	if tag == t.pythonTag() || tag == fmt.Sprintf("py%d", t.Major) {
		return true
	}
	minor, ok := strings.CutPrefix(tag, fmt.Sprintf("py%d", t.Major))
	if !ok {
		return false
	}
	least, err := strconv.Atoi(minor)
	return err == nil && least <= t.Minor
}

func isPyPyTag(tag string) bool { return strings.HasPrefix(tag, "pp") }

// libcNeeded is the lowest libc version among the platform tags for t's libc
// and architecture (PEP 513, 571, 599, 600, 656).
func (t Target) libcNeeded(platforms []string) (int, bool) {
	least, found := 0, false
	for _, tag := range platforms {
		needs, ok := t.platformNeeds(tag)
		if ok && (!found || needs < least) {
			least, found = needs, true
		}
	}
	return least, found
}

// legacyManylinux gives the glibc versions behind the names older than PEP 600.
var legacyManylinux = map[string]string{"manylinux1": "2_5", "manylinux2010": "2_12", "manylinux2014": "2_17"}

func (t Target) platformNeeds(tag string) (int, bool) {
	policy, ok := strings.CutSuffix(tag, "_"+t.Arch)
	if !ok {
		return 0, false
	}
	var version string
	switch t.Libc {
	case "glibc":
		version = legacyManylinux[policy]
		if version == "" {
			version = strings.TrimPrefix(policy, "manylinux_")
		}
	case "musl":
		version = strings.TrimPrefix(policy, "musllinux_")
	}
	var major, minor int
	if n, err := fmt.Sscanf(version, "%d_%d", &major, &minor); n != 2 || err != nil {
		return 0, false
	}
	return major*1000 + minor, true
}
