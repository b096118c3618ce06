package wheel

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Choice says which wheels to collect. Its zero value asks for every Python,
// on the platforms most images are made for.
type Choice struct {
	Versions  []string // coverage releases; none means the newest that fits each Python
	Pythons   []string // "3.11", "3.13t", "2.7", "pypy3.10"; none means all that wheels are published for
	Platforms []string // "linux/amd64", "manylinux_x86_64", "musllinux_aarch64"; none means linux/amd64 and linux/arm64
	All       bool     // besides, every Linux wheel of the newest release
}

// WordError says that a user's word for a Python, platform or release is not one.
type WordError struct {
	What, Word, Like string
}

func (e *WordError) Error() string {
	return fmt.Sprintf("%s %q is not like %s", e.What, e.Word, e.Like)
}

// Pick gives the chosen ones of files, sorted by name; pure wheels come along,
// for interpreters that no native one fits. A release or Python that was named
// and that nothing fits is an error. Errors: *WordError, *NoFitError.
func (c Choice) Pick(files []File) ([]File, error) {
	targets, err := c.targets(files)
	if err != nil {
		return nil, err
	}
	picked := map[string]File{}
	misses := map[[2]string]error{} // by what was asked for; nil once something fits
	for _, version := range orAny(c.Versions) {
		for _, t := range targets {
			file, err := Select(t.Target, version, files)
			for _, asked := range [][2]string{{"coverage", version}, {"python", t.asked}} {
				if before, seen := misses[asked]; err == nil || !seen || before != nil {
					misses[asked] = err
				}
			}
			if err == nil {
				picked[file.Name] = file
			}
		}
	}
	for _, asked := range slices.SortedFunc(maps.Keys(misses), func(a, b [2]string) int { return slices.Compare(a[:], b[:]) }) {
		if err := misses[asked]; err != nil && asked[1] != "" {
			return nil, err
		}
	}
	if c.All {
		addNewest(picked, files)
	}
	if len(picked) == 0 {
		return nil, &NoFitError{}
	}
	return slices.SortedFunc(maps.Values(picked), func(a, b File) int { return strings.Compare(a.Name, b.Name) }), nil
}

// addNewest adds all Linux and pure wheels of the newest stable release.
func addNewest(picked map[string]File, files []File) {
	_, newest := Target{}.candidates(files)
	for _, file := range files {
		name, err := Parse(file.Name)
		if err != nil || file.Version != newest || file.Yanked {
			continue
		}
		linux := slices.ContainsFunc(name.Platforms, func(tag string) bool { return strings.Contains(tag, "linux") })
		if linux || name.Pure() {
			picked[file.Name] = file
		}
	}
}

// wish is a target and the Python that was asked for to get it.
type wish struct {
	Target
	asked string
}

// targets are what c's words mean, each word checked.
func (c Choice) targets(files []File) ([]wish, error) {
	for _, version := range c.Versions {
		if _, err := parseVersion(version); err != nil {
			return nil, err
		}
	}
	platforms, err := platformTargets(c.Platforms)
	if err != nil {
		return nil, err
	}
	pythons, err := c.pythonTargets(files)
	if err != nil {
		return nil, err
	}
	var wishes []wish
	for _, python := range pythons {
		for _, platform := range platforms {
			wanted := python
			wanted.Libc, wanted.Arch = platform.Libc, platform.Arch
			wishes = append(wishes, wanted)
		}
		python.ABI = ""
		wishes = append(wishes, python)
	}
	return wishes, nil
}

func (c Choice) pythonTargets(files []File) ([]wish, error) {
	if len(c.Pythons) == 0 {
		return publishedPythons(files), nil
	}
	var targets []wish
	for _, word := range c.Pythons {
		wanted, err := parsePython(word)
		if err != nil {
			return nil, err
		}
		for _, t := range wanted {
			targets = append(targets, wish{t, word})
		}
	}
	return targets, nil
}

// publishedPythons are the interpreters that files were built for, in order.
func publishedPythons(files []File) []wish {
	seen := map[Target]bool{}
	for _, file := range files {
		name, err := Parse(file.Name)
		if err != nil {
			continue
		}
		for _, python := range name.Pythons {
			t, ok := parseTag(python)
			if !ok {
				continue
			}
			if !name.Pure() {
				t.ABI = name.ABIs[0]
			}
			seen[t] = true
		}
	}
	targets := slices.SortedFunc(maps.Keys(seen), func(a, b Target) int {
		return cmp.Or(cmp.Compare(a.Implementation, b.Implementation), cmp.Compare(a.Major, b.Major),
			cmp.Compare(a.Minor, b.Minor), cmp.Compare(a.ABI, b.ABI))
	})
	var wishes []wish
	for _, t := range targets {
		wishes = append(wishes, wish{Target: t})
	}
	return wishes
}

// parseTag reads a python tag such as "cp313" or "pp39".
func parseTag(tag string) (Target, bool) {
	if len(tag) < 4 || (tag[:2] != "cp" && tag[:2] != "pp") {
		return Target{}, false
	}
	major, err1 := strconv.Atoi(tag[2:3])
	minor, err2 := strconv.Atoi(tag[3:])
	return Target{Implementation: tag[:2], Major: major, Minor: minor}, err1 == nil && err2 == nil
}

// parsePython reads a user's word for a Python; older ones come in several ABIs.
func parsePython(word string) ([]Target, error) {
	t, rest := Target{Implementation: "cp"}, word
	if after, ok := strings.CutPrefix(word, "pypy"); ok {
		t.Implementation, rest = "pp", after
	}
	number := strings.TrimRight(rest, "td")
	if n, err := fmt.Sscanf(number+"\n", "%d.%d\n", &t.Major, &t.Minor); n != 2 || err != nil {
		return nil, &WordError{"python", word, "3.12, 3.14t or pypy3.10"}
	}
	if t.Implementation == "pp" {
		return []Target{t}, nil
	}
	t.ABI = t.abi() + rest[len(number):]
	switch {
	case t.Major == 2:
		wide := t
		t.ABI, wide.ABI = t.ABI+"m", t.ABI+"mu"
		return []Target{t, wide}, nil
	case t.Major == 3 && t.Minor < 8:
		t.ABI += "m" // the pymalloc flag, gone from 3.8 on
	}
	return []Target{t}, nil
}

// unames gives uname's word for Docker's.
var unames = map[string]string{
	"amd64": "x86_64", "arm64": "aarch64", "386": "i686", "arm/v7": "armv7l",
	"ppc64le": "ppc64le", "riscv64": "riscv64", "s390x": "s390x",
}

// platformTargets reads platforms in Docker's words (both libcs) or in wheel tags' (one).
func platformTargets(words []string) ([]Target, error) {
	if len(words) == 0 {
		words = []string{"linux/amd64", "linux/arm64"}
	}
	var targets []Target
	for _, word := range words {
		docker, isDocker := strings.CutPrefix(word, "linux/")
		glibc, isGlibc := strings.CutPrefix(word, "manylinux_")
		musl, isMusl := strings.CutPrefix(word, "musllinux_")
		switch {
		case isDocker && unames[docker] != "":
			targets = append(targets, Target{Libc: "glibc", Arch: unames[docker]}, Target{Libc: "musl", Arch: unames[docker]})
		case isGlibc:
			targets = append(targets, Target{Libc: "glibc", Arch: glibc})
		case isMusl:
			targets = append(targets, Target{Libc: "musl", Arch: musl})
		default:
			return nil, &WordError{"platform", word, "linux/amd64, manylinux_x86_64 or musllinux_aarch64"}
		}
	}
	return targets, nil
}

func orAny(versions []string) []string {
	if len(versions) == 0 {
		return []string{""}
	}
	return versions
}
