package fetch

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/covify/covify/wheel"
)

var update = flag.Bool("update", false, "record the index's file names anew")

const recorded = "../testdata/coverage-files.txt"

// userIndex is the index that pip on this machine uses.
func userIndex(t *testing.T) Index {
	t.Helper()
	home, err := os.UserHomeDir()
	if err != nil {
		t.Fatal(err)
	}
	index, err := IndexFromPip(os.Getenv, home, os.ReadFile)
	if err != nil {
		t.Fatal(err)
	}
	return index
}

// TestIndexOffersWhatIsRecorded holds the recorded names that package wheel's
// golden table uses against the real index.
func TestIndexOffersWhatIsRecorded(t *testing.T) {
	source := &Source{Index: userIndex(t), Logf: t.Logf}
	files, err := source.Files(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	lines := recordLines(files)
	if *update {
		if err := os.WriteFile(recorded, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(recorded)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if !slices.Contains(lines, strings.TrimSuffix(line, "\n")) {
			t.Errorf("recorded, but not offered: %q", line)
		}
	}
}

// recordLines gives "name, tab, requires-python" of the releases that matter:
// the last ones for some Python, their successors, and the current ones.
func recordLines(files []wheel.File) []string {
	matters := regexp.MustCompile(`^(4\.5\.4|5\.5|5\.6b1|6\.2|6\.3|7\.2\.7|7\.3\.0|7\.6\.1|7\.6\.2|7\.10\.7|7\.11\.0|7\.11\.4a0\.dev1|7\.16\.2|7\.17\.[23])$`)
	var lines []string
	for _, file := range files {
		if matters.MatchString(file.Version) {
			lines = append(lines, fmt.Sprintf("%s\t%s", file.Name, file.RequiresPython))
		}
	}
	slices.Sort(lines)
	return lines
}

// TestIndexGivesPayloads fetches, checks and opens real wheels, old and new.
func TestIndexGivesPayloads(t *testing.T) {
	source := &Source{Index: userIndex(t), CacheDir: t.TempDir(), Logf: t.Logf}
	for _, target := range []wheel.Target{
		{Implementation: "cp", Major: 3, Minor: 13, ABI: "cp313", Libc: "glibc", Arch: "x86_64"},
		{Implementation: "cp", Major: 3, Minor: 12, ABI: "cp312", Libc: "musl", Arch: "aarch64"},
		{Implementation: "cp", Major: 3, Minor: 6, ABI: "cp36m", Libc: "glibc", Arch: "x86_64"},
		{Implementation: "cp", Major: 2, Minor: 7, ABI: "cp27mu", Libc: "glibc", Arch: "x86_64"},
		{Implementation: "pp", Major: 3, Minor: 10, ABI: "pypy310_pp73", Libc: "glibc", Arch: "x86_64"},
	} {
		payload, err := source.Payload(t.Context(), target, "")
		if err != nil {
			t.Errorf("%s: %v", target, err)
			continue
		}
		if !slices.ContainsFunc(payload.Files, func(f wheel.PayloadFile) bool { return f.Path == "coverage/__init__.py" }) {
			t.Errorf("%s: payload %s has no coverage/__init__.py", target, payload.Name)
		}
	}
	again := &Source{Index: source.Index, CacheDir: source.CacheDir, Offline: true, Logf: t.Logf}
	target := wheel.Target{Implementation: "cp", Major: 3, Minor: 13, ABI: "cp313", Libc: "glibc", Arch: "x86_64"}
	if _, err := again.Payload(t.Context(), target, ""); err != nil {
		t.Errorf("offline, from the cache: %v", err)
	}
}
