package wheel

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden table anew")

// recordedFiles are names of real published wheels; fetch's index test records them.
func recordedFiles(t *testing.T) []File {
	t.Helper()
	data, err := os.ReadFile("testdata/coverage-files.txt")
	if err != nil {
		t.Fatal(err)
	}
	var files []File
	for line := range strings.Lines(string(data)) {
		name, requires, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		parsed, err := Parse(name)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, File{Name: name, Version: parsed.Version, RequiresPython: requires})
	}
	return files
}

// TestSelectTable chooses for every interpreter there is and compares with
// testdata/select.golden, one line each.
func TestSelectTable(t *testing.T) {
	files := recordedFiles(t)
	var table strings.Builder
	for _, target := range everyTarget() {
		file, err := Select(target, "", files)
		if err != nil {
			fmt.Fprintf(&table, "%-40s %v\n", target, err)
			continue
		}
		fmt.Fprintf(&table, "%-40s %s\n", target, file.Name)
	}
	if *update {
		if err := os.WriteFile("testdata/select.golden", []byte(table.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	golden, err := os.ReadFile("testdata/select.golden")
	if err != nil {
		t.Fatal(err)
	}
	want := slices.Collect(strings.Lines(string(golden)))
	for i, line := range slices.Collect(strings.Lines(table.String())) {
		if i >= len(want) || want[i] != line {
			t.Errorf("line %d\n got %s", i+1, line)
		}
	}
}

func everyTarget() []Target {
	var targets []Target
	add := func(impl string, major, minor int, abi string) {
		for _, libc := range []string{"glibc", "musl"} {
			for _, arch := range []string{"x86_64", "aarch64", "i686", "ppc64le", "riscv64", "s390x", "armv7l"} {
				targets = append(targets, Target{impl, major, minor, abi, libc, arch})
			}
		}
	}
	add("cp", 2, 6, "cp26mu")
	add("cp", 2, 7, "cp27m")
	add("cp", 2, 7, "cp27mu")
	for minor := 4; minor <= 7; minor++ {
		add("cp", 3, minor, fmt.Sprintf("cp3%dm", minor))
	}
	for minor := 8; minor <= 15; minor++ {
		add("cp", 3, minor, fmt.Sprintf("cp3%d", minor))
	}
	for _, abi := range []string{"cp313t", "cp313d"} {
		add("cp", 3, 13, abi)
	}
	add("cp", 3, 14, "cp314t")
	add("cp", 3, 15, "cp315t")
	for minor := 6; minor <= 11; minor++ {
		targets = append(targets, Target{"pp", 3, minor, fmt.Sprintf("pypy3%d_pp73", minor), "glibc", "x86_64"})
	}
	return append(targets, Target{"cp", 3, 13, "", "", ""}, Target{"cp", 3, 13, "cp313", "", "x86_64"})
}

// TestSelectIgnoresOrder gives the files in two orders.
func TestSelectIgnoresOrder(t *testing.T) {
	files := recordedFiles(t)
	turned := slices.Clone(files)
	slices.Reverse(turned)
	for _, target := range everyTarget() {
		one, _ := Select(target, "", files)
		two, _ := Select(target, "", turned)
		if one != two {
			t.Errorf("%s: %s or %s, by order", target, one.Name, two.Name)
		}
	}
}

var cp313 = Target{"cp", 3, 13, "cp313", "glibc", "x86_64"}

func TestSelectVersion(t *testing.T) {
	files := recordedFiles(t)
	for version, want := range map[string]string{
		"7.10.7":        "coverage-7.10.7-cp313-cp313-",
		"7.11.4a0.dev1": "coverage-7.11.4a0.dev1-cp313-cp313-",
		"7.6.1":         "coverage-7.6.1-cp313-cp313-",
		"6.2":           "coverage-6.2-pp36.pp37.pp38-none-any.whl",
	} {
		file, err := Select(cp313, version, files)
		if err != nil || !strings.HasPrefix(file.Name, want) {
			t.Errorf("%s: %s, %v", version, file.Name, err)
		}
	}
}

func TestSelectNoFit(t *testing.T) {
	files := recordedFiles(t)
	cases := []struct {
		target                Target
		version, newest, fits string
		words                 string
	}{
		{Target{"cp", 3, 4, "cp34m", "glibc", "x86_64"}, "", "7.17.3", "", "no coverage wheel fits CPython 3.4 (cp34m, glibc, x86_64) (newest release seen: 7.17.3)"},
		{Target{"cp", 3, 9, "cp39", "glibc", "x86_64"}, "7.17.3", "7.17.3", "7.10.7", "no wheel of coverage 7.17.3 fits CPython 3.9 (cp39, glibc, x86_64): 7.10.7 does"},
		{cp313, "99", "7.17.3", "7.17.3", ""},
		{cp313, "4.5.4", "7.17.3", "7.17.3", ""},
	}
	for _, c := range cases {
		_, err := Select(c.target, c.version, files)
		var noFit *NoFitError
		if !errors.As(err, &noFit) || noFit.Newest != c.newest || noFit.Fits != c.fits {
			t.Errorf("%s %q: %#v", c.target, c.version, err)
		}
		if c.words != "" && err.Error() != c.words {
			t.Errorf("words: %s", err)
		}
	}
	if _, err := Select(cp313, "", nil); err == nil {
		t.Error("nothing on offer, and no error")
	}
	if _, err := Select(cp313, "seven", files); err == nil || errors.As(err, new(*NoFitError)) {
		t.Errorf("version %q: %v", "seven", err)
	}
}

func TestSelectYanked(t *testing.T) {
	files := []File{
		{Name: "coverage-7.2-py3-none-any.whl", Version: "7.2", Yanked: true},
		{Name: "coverage-7.1-py3-none-any.whl", Version: "7.1"},
		{Name: "coverage-7.3b1-py3-none-any.whl", Version: "7.3b1"},
	}
	for version, want := range map[string]string{"": "7.1", "7.2": "7.2", "7.3b1": "7.3b1"} {
		if file, err := Select(cp313, version, files); err != nil || file.Version != want {
			t.Errorf("%q: %s, %v", version, file.Version, err)
		}
	}
}

func TestParse(t *testing.T) {
	name, err := Parse("coverage-7.1-1build-cp27.cp313-cp313-manylinux1_x86_64.manylinux_2_5_x86_64.whl")
	if err != nil || name.Build != "1build" || name.Tag() != "cp27.cp313-cp313-manylinux1_x86_64.manylinux_2_5_x86_64" {
		t.Errorf("%+v, %v", name, err)
	}
	for _, bad := range []string{"", "coverage.whl", "coverage-7.1.tar.gz", "a-b-c-d-e-f-g.whl", "coverage--py3-none-any.whl", "../coverage-7.1-py3-none-any.whl"} {
		if _, err := Parse(bad); err == nil {
			t.Errorf("%q was parsed", bad)
		}
	}
}

func TestCompareVersions(t *testing.T) {
	order := []string{"nonsense", "5.6b1", "7.2.7", "7.11.0"}
	shuffled := []string{"7.11.0", "5.6b1", "7.2.7", "nonsense"}
	slices.SortFunc(shuffled, CompareVersions)
	if !slices.Equal(order, shuffled) {
		t.Error(shuffled)
	}
}

func TestPick(t *testing.T) {
	files := recordedFiles(t)
	cases := []struct {
		choice Choice
		want   []string // beginnings of names
		err    bool
	}{
		{Choice{Pythons: []string{"3.13"}, Platforms: []string{"musllinux_aarch64"}}, []string{"coverage-7.17.3-cp313-cp313-musllinux", "coverage-7.17.3-py3-"}, false},
		{Choice{Pythons: []string{"3.13t"}}, []string{"coverage-7.17.3-py3-"}, false},
		{Choice{Pythons: []string{"2.7"}, Platforms: []string{"manylinux_x86_64"}}, []string{"coverage-5.5-cp27-cp27m-", "coverage-5.5-cp27-cp27mu-", "coverage-5.5-pp36-"}, false},
		{Choice{Pythons: []string{"pypy3.9"}}, []string{"coverage-7.10.7-py3-"}, false},
		{Choice{Versions: []string{"7.6.1"}, Pythons: []string{"3.8"}, Platforms: []string{"manylinux_i686"}}, []string{"coverage-7.6.1-cp38-cp38-manylinux", "coverage-7.6.1-pp38"}, false},
		{Choice{Versions: []string{"7.17.3"}, Pythons: []string{"3.9"}}, nil, true},
		{Choice{Pythons: []string{"three"}}, nil, true},
		{Choice{Platforms: []string{"windows/amd64"}}, nil, true},
	}
	for _, c := range cases {
		picked, err := c.choice.Pick(files)
		if (err != nil) != c.err || len(picked) != len(c.want) {
			t.Errorf("%+v: %v, %v", c.choice, picked, err)
			continue
		}
		for i, file := range picked {
			if !strings.HasPrefix(file.Name, c.want[i]) {
				t.Errorf("%+v: %s", c.choice, file.Name)
			}
		}
	}
}

// TestPickAll wants every Linux wheel of the newest release, and for each
// older Python its own last release.
func TestPickAll(t *testing.T) {
	picked, err := Choice{All: true}.Pick(recordedFiles(t))
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for _, file := range picked {
		count[file.Version]++
	}
	for version, least := range map[string]int{"7.17.3": 71, "7.16.2": 5, "7.10.7": 5, "7.6.1": 5, "7.2.7": 5, "6.2": 4, "5.5": 4} {
		if count[version] < least {
			t.Errorf("%s: %d wheels", version, count[version])
		}
	}
	t.Log(len(picked), count)
}
