package covdata_test

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/covify/covify/covdata"
)

var bg = context.Background()

const program = `import sys


def big(n):
    if n > 10:
        return "big"
    return "small"


for word in sys.argv[1:]:
    print(big(int(word)))
`

// TestCombineIsCoveragesOwn compares with `coverage combine` where that alone is enough: data of the host.
func TestCombineIsCoveragesOwn(t *testing.T) {
	t.Parallel()
	for _, flag := range []string{"--branch", "--context=one"} {
		t.Run(flag, func(t *testing.T) {
			root := t.TempDir()
			writeFiles(t, root, map[string]string{"pkg/prog.py": program})
			runPython(t, root, "-m", "coverage", "run", "-p", flag, "pkg/prog.py", "1")
			runPython(t, root, "-m", "coverage", "run", "-p", flag, "pkg/prog.py", "100")
			summary := combine(t, covdata.CombineOptions{Root: root, HostData: true})
			runPython(t, root, "-m", "coverage", "combine", "--keep", "--data-file=.coverage")

			got := readData(t, filepath.Join(root, covdata.DefaultOutput))["pkg/prog.py"]
			want := readData(t, filepath.Join(root, ".coverage"))[filepath.Join(root, "pkg/prog.py")]
			if len(want.Lines) == 0 || !reflect.DeepEqual(got, want) {
				t.Errorf("got %v, coverage combine says %v", got, want)
			}
			if summary.Combined != 2 || summary.Files != 1 || len(summary.Unmapped) > 0 {
				t.Errorf("summary %+v", summary)
			}
		})
	}
}

// TestCombineStaleHash: up to 7.16 a name keeps the hash of the first save, and coverage skips an equal one.
func TestCombineStaleHash(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	writeFiles(t, root, map[string]string{"a.py": program})
	writeData(t, root, map[string]measured{
		"data/.coverage.c1.pid7.Xabcdefx.HABCDEFGHIJh": {"/app/a.py": {1}},
		"data/.coverage.c1.pid8.Xabcdefx.HABCDEFGHIJh": {"/app/a.py": {10}},
	})
	combine(t, covdata.CombineOptions{Root: root, Inputs: []string{filepath.Join(root, "data")}})
	got := readData(t, filepath.Join(root, covdata.DefaultOutput))["a.py"].Lines
	if !slices.Equal(got, []int{1, 10}) {
		t.Errorf("lines %v, want 1 and 10", got)
	}
}

// TestCombineOld combines data that the real old releases made; testdata/old/make is the recipe.
func TestCombineOld(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	source, err := os.ReadFile("testdata/old/cart.py")
	if err != nil {
		t.Fatal(err)
	}
	writeFiles(t, root, map[string]string{"shop/cart.py": string(source)})
	for kind, want := range map[string][]int{"line": {5, 9, 13, 17, 21, 25}, "branch": {5, 9}} {
		files, err := filepath.Glob("testdata/old/" + kind + "-*.gz")
		if err != nil || len(files) < 2 {
			t.Fatal("no old data: ", err)
		}
		var inputs []string
		for _, file := range files {
			inputs = append(inputs, gunzip(t, file))
		}
		summary := combine(t, covdata.CombineOptions{Root: root, Inputs: inputs})
		if summary.Combined != len(files) || summary.Kind != kind {
			t.Errorf("%s: summary %+v", kind, summary)
		}
		got := readData(t, filepath.Join(root, covdata.DefaultOutput))["shop/cart.py"].Lines
		for _, line := range want {
			if !slices.Contains(got, line) {
				t.Errorf("%s: line %d is missing in %v", kind, line, got)
			}
		}
	}
}

func gunzip(t *testing.T, path string) string {
	t.Helper()
	packed, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer packed.Close()
	reader, err := gzip.NewReader(packed)
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(reader)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), strings.TrimSuffix(filepath.Base(path), ".gz"))
	if err := os.WriteFile(file, content, 0o666); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestCombineBadFiles: every bad file gets a clear word, the good one is combined, and none is touched.
func TestCombineBadFiles(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	writeFiles(t, root, map[string]string{"a.py": program})
	writeData(t, root, map[string]measured{"data/.coverage.good": {"/app/a.py": {1, 4, 10}}})
	content, err := os.ReadFile(filepath.Join(root, "data/.coverage.good"))
	if err != nil {
		t.Fatal(err)
	}
	good := string(content)
	middle := strings.Repeat("x", 4096)
	writeFiles(t, root, map[string]string{
		"data/.coverage.empty":     "",
		"data/.coverage.text":      "hello, world",
		"data/.coverage.json":      `!coverage.py: This is a private format, don't read it directly!{"lines":{}}`,
		"data/.coverage.truncated": good[:20000],
		"data/.coverage.head":      good[:50],
		"data/.coverage.damaged":   good[:8192] + middle + middle + good[16384:],
		"data/.coverage.same":      good,
	})
	runPython(t, root, "-c", `import sqlite3
for name, sql in [("foreign", "create table x (y)"), ("future", "create table coverage_schema (version integer); insert into coverage_schema values (99)")]:
    con = sqlite3.connect("data/.coverage." + name)
    con.executescript(sql)
    con.close()`)
	before := contents(t, filepath.Join(root, "data"))

	summary := combine(t, covdata.CombineOptions{Root: root, Inputs: []string{filepath.Join(root, "data")}})
	if !maps.Equal(before, contents(t, filepath.Join(root, "data"))) {
		t.Error("the inputs changed")
	}
	if summary.Combined != 1 || summary.Duplicates != 1 {
		t.Errorf("combined %d, duplicates %d, want 1 and 1", summary.Combined, summary.Duplicates)
	}
	for name, want := range map[string]string{
		"empty": "ended before it saved", "text": "not a coverage data file", "json": "coverage 4",
		"truncated": "truncated: 20000 of", "head": "truncated", "damaged": "damaged",
		"foreign": "not coverage's", "future": "schema 99",
	} {
		if reason := reasonFor(summary, ".coverage."+name); !strings.Contains(reason, want) {
			t.Errorf("%s: reason %q, want %q in it", name, reason, want)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(root, ".covify/.combine-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func reasonFor(summary *covdata.Summary, name string) string {
	for _, left := range summary.LeftOut {
		if filepath.Base(left.File) == name {
			return left.Reason
		}
	}
	return "(not left out)"
}

func TestCombineMixedKinds(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	writeFiles(t, root, map[string]string{"prog.py": program})
	runPython(t, root, "-m", "coverage", "run", "-p", "prog.py", "1")
	runPython(t, root, "-m", "coverage", "run", "-p", "--branch", "prog.py", "1")
	runPython(t, root, "-m", "coverage", "run", "-p", "--branch", "prog.py", "100")
	summary := combine(t, covdata.CombineOptions{Root: root, HostData: true})
	if summary.Kind != "branch" || summary.Combined != 2 || len(summary.LeftOut) != 1 {
		t.Fatalf("summary %+v", summary)
	}
	if reason := summary.LeftOut[0].Reason; !strings.Contains(reason, "cannot combine") {
		t.Errorf("reason %q", reason)
	}
}

// TestCombineInterruptedWrite: a killed process leaves a journal or a write-ahead log; the copy is mended.
func TestCombineInterruptedWrite(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	writeFiles(t, root, map[string]string{"a.py": program})
	writeData(t, root, map[string]measured{
		"data/.coverage.wal":     {"/app/a.py": {1}},
		"data/.coverage.journal": {"/app/a.py": {4}},
		"data/.coverage.super":   {"/app/a.py": {5}},
	})
	runPython(t, root, "-c", `import os, sqlite3, shutil
from coverage.numbits import nums_to_numbits
con = sqlite3.connect("data/.coverage.wal")
con.execute("pragma journal_mode=wal")
con.execute("update line_bits set numbits = ?", (nums_to_numbits([1, 10]),))
con.commit()
victim = sqlite3.connect("data/.coverage.journal", isolation_level=None)
victim.execute("pragma cache_size=1"); victim.execute("pragma cache_spill=1")
victim.execute("begin"); victim.execute("delete from line_bits")
victim.execute("create table junk (x)")
for i in range(300): victim.execute("insert into junk values (?)", ("x" * 3000,))
open("data/.coverage.super-journal", "wb").write(b"/etc/passwd\xd9\xd5\x05\xf9\x20\xa1\x63\xd7")
os._exit(0)`)
	before := contents(t, filepath.Join(root, "data"))
	if len(before) < 6 {
		t.Fatalf("the killed writes left no journals: %v", slices.Collect(maps.Keys(before)))
	}
	summary := combine(t, covdata.CombineOptions{Root: root, Inputs: []string{filepath.Join(root, "data")}})
	if !maps.Equal(before, contents(t, filepath.Join(root, "data"))) {
		t.Error("the inputs changed")
	}
	got := readData(t, filepath.Join(root, covdata.DefaultOutput))["a.py"].Lines
	if !slices.Equal(got, []int{1, 4, 10}) || len(summary.Recovered) != 2 {
		t.Errorf("lines %v, recovered %v", got, summary.Recovered)
	}
	if reason := reasonFor(summary, ".coverage.super"); !strings.Contains(reason, "journal") {
		t.Errorf("reason %q", reason)
	}
}

func TestCombineNoData(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	writeFiles(t, root, map[string]string{".covify/coverage": "from before"})
	opts := covdata.CombineOptions{Root: root, Inputs: []string{filepath.Join(root, "data")}, HostData: true, Stderr: t.Output()}
	_, err := covdata.Combine(bg, python(t), opts)
	var none *covdata.NoDataError
	if !errors.As(err, &none) || !slices.Equal(none.Looked, []string{filepath.Join(root, "data"), filepath.Join(root, ".coverage") + "*"}) {
		t.Fatalf("error %v", err)
	}
	writeFiles(t, root, map[string]string{"data/.coverage.x": ""})
	_, err = covdata.Combine(bg, python(t), opts)
	if !errors.As(err, &none) || !strings.Contains(err.Error(), ".coverage.x: empty") {
		t.Fatalf("error %v", err)
	}
	if kept, _ := os.ReadFile(filepath.Join(root, ".covify/coverage")); string(kept) != "from before" {
		t.Error("the output changed without data")
	}
}

func TestCombineManyEqual(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	writeFiles(t, root, map[string]string{"a.py": program})
	writeData(t, root, map[string]measured{"data/.coverage.0": {"/app/a.py": {1}}})
	content, err := os.ReadFile(filepath.Join(root, "data/.coverage.0"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 1000 {
		writeFiles(t, root, map[string]string{fmt.Sprintf("data/run/.coverage.%d", i): string(content)})
	}
	summary := combine(t, covdata.CombineOptions{Root: root, Inputs: []string{filepath.Join(root, "data")}})
	if summary.Found != 1001 || summary.Combined != 1 || summary.Duplicates != 1000 {
		t.Errorf("summary %+v", summary)
	}
}
