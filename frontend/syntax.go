package frontend

import (
	"strings"

	"github.com/distribution/reference"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// innerSyntax is the frontend that the inner build wants, and its command line: the one named after ours, as in
// "# syntax=covify docker/dockerfile:1-labs", else the one of the file's own syntax line if that names another image: own is true
// then. "" is the Dockerfile frontend that is built in here.
func (b *build) innerSyntax(name string) (syntax, cmdline string, own bool) {
	if rest := afterFirst(b.opts["cmdline"]); rest != "" {
		return first(rest), rest, false
	}
	named, cmdline, _, ok := parser.DetectSyntax(b.file)
	if !ok {
		return "", "", false
	}
	if SameImage(named, b.opts["source"]) || SameImage(named, first(b.opts["cmdline"])) || SameImage(named, name) {
		rest := afterFirst(cmdline)
		return first(rest), rest, false
	}
	return named, cmdline, true
}

func first(words string) string {
	word, _, _ := strings.Cut(strings.TrimSpace(words), " ")
	return word
}

func afterFirst(words string) string {
	_, rest, _ := strings.Cut(strings.TrimSpace(words), " ")
	return strings.TrimSpace(rest)
}

// SameImage tells whether two references name the same repository; covify of another tag is covify.
func SameImage(a, b string) bool {
	if a == "" || b == "" {
		return false
	}
	x, err := reference.ParseNormalizedNamed(a)
	if err != nil {
		return a == b
	}
	y, err := reference.ParseNormalizedNamed(b)
	return err == nil && x.Name() == y.Name()
}
