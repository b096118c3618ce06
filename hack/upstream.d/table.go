// Command table compares two runs of the upstream tests: table CANNOT PLAIN.json COVIFY.json. It prints how many tests pass, fail, are
// skipped and could not run, then every test that passes plainly and not through covify, and exits with 1 if there is one.
//
// CANNOT holds a test's name and why it cannot run, a line each: such a test is counted as one that could not run where it fails.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
)

// test is the name of one test on one worker with one choice of the matrix, as far as the suite itself starts it; what follows are
// subtests of its own.
var test = regexp.MustCompile(`^TestIntegration/([^/]+)/worker=[^/]+(?:/(?:env|frontend|network\.host|security\.insecure)=[^/]+)*`)

const cannotRun = "could not run"

// results are outcomes (pass, fail, skip) by the names of tests.
type results map[string]string

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: table CANNOT PLAIN.json COVIFY.json")
		os.Exit(2)
	}
	lost, err := compare(os.Stdout, os.Args[1], os.Args[2], os.Args[3])
	if err != nil {
		fmt.Fprintln(os.Stderr, "table:", err)
		os.Exit(2)
	}
	if lost > 0 {
		os.Exit(1)
	}
}

// compare writes the table and returns the number of tests lost.
func compare(w io.Writer, cannot, plain, covify string) (int, error) {
	reasons, err := readCannot(cannot)
	if err != nil {
		return 0, err
	}
	a, err := readResults(plain)
	if err != nil {
		return 0, err
	}
	b, err := readResults(covify)
	if err != nil {
		return 0, err
	}
	countA, countB := count(a, reasons), count(b, reasons)
	fmt.Fprintf(w, "| | plain | covify |\n|---|---|---|\n")
	for _, outcome := range []string{"pass", "fail", "skip", cannotRun} {
		fmt.Fprintf(w, "| %s | %d | %d |\n", outcome, countA[outcome], countB[outcome])
	}
	lost := differ(a, b)
	fmt.Fprintf(w, "\npass plainly and not through covify: %d of %d\n", len(lost), countA["pass"])
	for _, name := range lost {
		fmt.Fprintln(w, name)
		for _, part := range failedParts(b, name) {
			fmt.Fprintln(w, "   ", part)
		}
	}
	list(w, "fail plainly", a, func(name string) bool { return short(name) != "" && a[name] == "fail" && reasons[short(name)] == "" })
	list(w, "parts that pass plainly and not through covify, of tests that fail plainly", a, func(name string) bool {
		top := test.FindString(name)
		return top != name && a[top] == "fail" && a[name] == "pass" && b[name] != "pass" && b[name] != ""
	})
	list(w, "pass through covify alone", a, func(name string) bool { return short(name) != "" && a[name] == "fail" && b[name] == "pass" })
	return len(lost), nil
}

func list(w io.Writer, title string, all results, wanted func(string) bool) {
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if wanted(name) {
			lines = append(lines, name)
		}
	}
	fmt.Fprintf(w, "\n%s: %d\n", title, len(lines))
	for _, line := range lines {
		fmt.Fprintln(w, line)
	}
}

// short is what a test is called in the suite, "" for what is none but a part of one.
func short(name string) string {
	if m := test.FindStringSubmatch(name); m != nil && m[0] == name {
		return m[1]
	}
	return ""
}

// count is the number of tests with each outcome.
func count(all results, reasons map[string]string) map[string]int {
	n := map[string]int{}
	for name, outcome := range all {
		switch {
		case short(name) == "": // a part of one
		case outcome == "fail" && reasons[short(name)] != "":
			n[cannotRun]++
		default:
			n[outcome]++
		}
	}
	return n
}

// differ are the tests that pass in a and not in b.
func differ(a, b results) []string {
	var lost []string
	for name, outcome := range a {
		if short(name) != "" && outcome == "pass" && b[name] != "pass" {
			lost = append(lost, name)
		}
	}
	slices.Sort(lost)
	return lost
}

// failedParts are the subtests of a test that failed.
func failedParts(all results, name string) []string {
	var parts []string
	for part, outcome := range all {
		if rest, ok := strings.CutPrefix(part, name+"/"); ok && outcome == "fail" {
			parts = append(parts, rest)
		}
	}
	slices.Sort(parts)
	return parts
}

// readResults reads what go test -json wrote.
func readResults(file string) (results, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	all := results{}
	for d := json.NewDecoder(f); ; {
		var event struct{ Action, Test string }
		err := d.Decode(&event)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", file, err)
		}
		switch {
		case event.Test == "": // the whole package
		case event.Action == "run":
			all[event.Test] = "fail" // until it ends
		case slices.Contains([]string{"pass", "fail", "skip"}, event.Action):
			all[event.Test] = event.Action
		}
	}
}

// readCannot reads lines of a test's name and a reason.
func readCannot(file string) (map[string]string, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	reasons := map[string]string{}
	s := bufio.NewScanner(f)
	for s.Scan() {
		name, reason, ok := strings.Cut(s.Text(), " ")
		if strings.HasPrefix(name, "#") || name == "" {
			continue
		}
		if !ok {
			return nil, fmt.Errorf("%s: %s has no reason", file, name)
		}
		reasons[name] = reason
	}
	return reasons, s.Err()
}
