package rcfile

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Image is what a container's image says about its coverage.
type Image struct {
	// Coverage lists the coverage releases in it; empty is taken for a current one.
	Coverage []string
	// Source and SourcePkgs name applications that default settings would not measure. They are
	// used when the user's configuration restricts nothing itself.
	Source     []string `json:"source"`
	SourcePkgs []string `json:"source_pkgs"`
}

// ForContainer returns the configuration for an image's processes: the user's settings with what it
// takes to keep the data of every process, and words for the user about what was changed. The
// receiver is unchanged.
func (c *Config) ForContainer(image Image) (*Config, []string) {
	out := c.clone()
	m := merge{Config: out, image: image, words: slices.Clone(c.notes)}
	m.olderCoverage()
	delete(out.sections["run"], "data_file")
	out.set("run", "parallel", "true")
	if c.File == "" && !c.Has("run", "branch") {
		out.set("run", "branch", "true")
	}
	m.sigterm()
	m.patch()
	m.concurrency()
	m.source()
	if plugins := c.List("run", "plugins"); len(plugins) > 0 {
		m.say("plugins of %s must be in the image: %s", c.File, strings.Join(plugins, ", "))
	}
	return out, m.words
}

type merge struct {
	*Config
	image Image
	words []string
}

func (m *merge) say(format string, args ...any) {
	m.words = append(m.words, fmt.Sprintf(format, args...))
}

// knows reports whether every coverage in the image has a [run] option: one that has not would
// warn on stderr of each process.
func (m *merge) knows(option string) bool {
	return m.oldest(since[option]) == ""
}

// oldest returns a release of the image older than a version, or nothing.
func (m *merge) oldest(than string) string {
	for _, version := range m.image.Coverage {
		if slices.Compare(release(version), release(than)) < 0 {
			return version
		}
	}
	return ""
}

// olderCoverage says which of the user's own settings some coverage of the image cannot know.
func (m *merge) olderCoverage() {
	for _, option := range slices.Sorted(maps.Keys(since)) {
		if old := m.oldest(since[option]); old != "" && m.Has("run", option) {
			m.say("coverage %s in the image does not know [run] %s of %s", old, option, m.File)
		}
	}
}

func (m *merge) sigterm() {
	if m.Has("run", "sigterm") {
		if slices.Contains(pythonBools[4:], strings.ToLower(m.Get("run", "sigterm"))) {
			m.say("sigterm is off in %s: a process ended by SIGTERM leaves no data", m.File)
		}
		return
	}
	if m.knows("sigterm") {
		m.set("run", "sigterm", "true")
	}
}

// patch adds the two patches that save at os._exit and before exec; the user's own words stay.
func (m *merge) patch() {
	if !m.knows("patch") {
		return
	}
	patches := m.List("run", "patch")
	for _, needed := range []string{"_exit", "execv"} {
		if !slices.Contains(patches, needed) {
			patches = append(patches, needed)
		}
	}
	m.setList("run", "patch", patches)
}

// concurrency adds thread to a list with multiprocessing alone, with which coverage stops
// measuring threads. Without a list coverage measures both.
func (m *merge) concurrency() {
	kinds := m.List("run", "concurrency")
	threads := func(kind string) bool { return kind != "multiprocessing" }
	if len(kinds) == 0 || slices.ContainsFunc(kinds, threads) {
		return
	}
	m.setList("run", "concurrency", []string{"multiprocessing", "thread"})
	m.say("concurrency = multiprocessing alone does not measure threads: thread added for the container")
}

func (m *merge) source() {
	for _, option := range []string{"source", "source_pkgs", "source_dirs", "include"} {
		if len(m.List("run", option)) > 0 {
			return
		}
	}
	if len(m.image.Source) > 0 {
		m.setList("run", "source", m.image.Source)
	}
	if len(m.image.SourcePkgs) > 0 {
		m.setList("run", "source_pkgs", m.image.SourcePkgs)
	}
}

// release returns the leading numbers of a version: 7.10.7 gives 7, 10, 7.
func release(version string) []int {
	var numbers []int
	for _, part := range strings.Split(version, ".") {
		number, err := strconv.Atoi(part)
		if err != nil {
			break
		}
		numbers = append(numbers, number)
	}
	return numbers
}
