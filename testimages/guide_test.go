package testimages

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// quoted is what stands in a page as code: a block, or some words in a line.
var quoted = regexp.MustCompile("(?s)```.*?\n(.*?)```|`([^`\n]+)`")

// prose are the lines of a pipeline that are for its reader.
var prose = regexp.MustCompile(`(?m)^\s*(#|description:).*$`)

// called is a covify command line within code, to its end, a pipe or the next command.
var called = regexp.MustCompile(`(?m)(?:^|[ $(|;&])covify ([^\n|;&>)]*)`)

// theirs are commands whose flags are another program's.
var theirs = []string{"run", "compose"}

// TestGuideCommands: every command line of covify in the pages and pipelines of docs names a command that there is, with flags that it has.
func TestGuideCommands(t *testing.T) {
	files, err := filepath.Glob("../docs/pipelines/*")
	if err != nil {
		t.Fatal(err)
	}
	checked := map[string]bool{}
	for _, file := range append(files, "../docs/guide.md", "../docs/example/README.md") {
		for _, line := range commandLines(t, file) {
			checkCommand(t, file, line, checked)
		}
	}
	for _, command := range []string{"test", "run", "compose", "report", "dump", "doctor", "xml", "combine"} {
		if !checked[command] {
			t.Errorf("no page has covify %s: the test does not read them rightly", command)
		}
	}
}

// commandLines are what stands after covify in a file's commands.
func commandLines(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	code := []string{prose.ReplaceAllString(string(text), "")}
	if filepath.Ext(file) == ".md" {
		code = nil
		for _, found := range quoted.FindAllStringSubmatch(string(text), -1) {
			code = append(code, found[1], found[2])
		}
	}
	var lines []string
	for _, part := range code {
		for _, found := range called.FindAllStringSubmatch(part, -1) {
			if !strings.HasPrefix(found[1], "#") {
				lines = append(lines, found[1])
			}
		}
	}
	return lines
}

func checkCommand(t *testing.T, file, line string, checked map[string]bool) {
	t.Helper()
	words := strings.Fields(line)
	if len(words) == 0 || !regexp.MustCompile(`^[a-z]+$`).MatchString(words[0]) {
		return // covify IMAGE, or prose
	}
	help, stderr, code := runCommand(t, "", nil, covifyBin, words[0], "--help")
	if code != 0 || !strings.Contains(help, "covify "+words[0]) {
		t.Errorf("%s: covify %s: there is no such command\n%s", file, line, stderr)
		return
	}
	checked[words[0]] = true
	if slices.Contains(theirs, words[0]) {
		return
	}
	for _, word := range words[1:] {
		flag, _, _ := strings.Cut(word, "=")
		if word == "--" {
			return
		}
		if strings.HasPrefix(flag, "--") && !regexp.MustCompile(regexp.QuoteMeta(flag)+`\b`).MatchString(help) {
			t.Errorf("%s: covify %s: there is no %s", file, line, flag)
		}
	}
}
