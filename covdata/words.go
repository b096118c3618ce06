package covdata

import (
	"fmt"
	"path/filepath"
	"strings"
)

// shown is how many of a kind are named before the rest is only counted.
const shown = 10

// Words says the summary in lines for a person: the outcome first, then what needs a look. Paths below root are
// shown relative to it.
func (s *Summary) Words(root string) []string {
	var words []string
	if s.Fresh {
		words = append(words, s.outcome(root))
		for _, rule := range s.Mapped {
			words = append(words, fmt.Sprintf("  %s is %s (%s)", rule.From, rule.To, count(rule.Files, "file")))
		}
		for _, from := range s.FromImages {
			words = append(words, fmt.Sprintf("  %s from the image %s, in %s: [report] omit = %[3]s/* leaves them out",
				count(from.Files, "file"), from.Image, from.Folder))
		}
	}
	for _, stale := range s.Stale {
		words = append(words, stale.Words())
	}
	if s.WithoutBranches > 0 {
		words = append(words, fmt.Sprintf("%s measured branches and others did not: reported without; [run] branch = true in the settings has all measure them",
			count(s.WithoutBranches, "data file")))
	}
	for i, left := range s.LeftOut {
		if i == shown {
			words = append(words, fmt.Sprintf("left out %d more data files", len(s.LeftOut)-shown))
			break
		}
		words = append(words, fmt.Sprintf("left out %s: %s", below(root, left.File), left.Reason))
	}
	for i, missing := range s.Unmapped {
		if i == shown {
			words = append(words, fmt.Sprintf("not in the checkout: %d more files", len(s.Unmapped)-shown))
			break
		}
		words = append(words, missing.words())
	}
	for _, refused := range s.Refused {
		words = append(words, fmt.Sprintf("image %s could not be asked what its files hold: %s", refused.Image, refused.Reason))
	}
	if len(s.Unmapped) > 0 {
		words = append(words, "reports leave these files out; --map FROM=TO says where a directory belongs")
	}
	for _, unused := range s.UnusedMaps {
		words = append(words, fmt.Sprintf("--map %s=%s: no measured file is below %s", unused.From, unused.To, unused.From))
	}
	return words
}

func (s *Summary) outcome(root string) string {
	said := fmt.Sprintf("combined %s", count(s.Combined, "data file"))
	if s.Duplicates > 0 {
		said += fmt.Sprintf(" (%d more with equal content)", s.Duplicates)
	}
	if len(s.Recovered) > 0 {
		said += fmt.Sprintf(" (%d with an interrupted write)", len(s.Recovered))
	}
	said += fmt.Sprintf(" into %s: %s", below(root, s.Output), count(s.Files, "source file"))
	if s.Kind == "branch" {
		said += ", with branches"
	}
	return said
}

// named is how many stale files are named.
const named = 3

// Words says which files an image has otherwise, and what to do.
func (s Stale) Words() string {
	files, verb, rest := count(len(s.Files), "file"), "differ", ""
	if len(s.Files) == 1 {
		verb = "differs"
	}
	if len(s.Files) > named {
		rest = ", ..."
	}
	return fmt.Sprintf("%s: %s of the image %s from the checkout: %s%s: rebuild it, or lines are shown where they are not", s.Image, files,
		verb, strings.Join(s.Files[:min(named, len(s.Files))], ", "), rest)
}

func (u Unmapped) words() string {
	switch {
	case u.Ambiguous:
		return fmt.Sprintf("not in the checkout: %s (could be %s)", u.Path, strings.Join(u.Nearest, ", "))
	case len(u.Nearest) > 0:
		return fmt.Sprintf("not in the checkout: %s (nearest: %s)", u.Path, strings.Join(u.Nearest, ", "))
	}
	return "not in the checkout: " + u.Path
}

// below shortens path if it lies below root.
func below(root, path string) string {
	rel, err := filepath.Rel(root, path)
	if err != nil || !filepath.IsLocal(rel) {
		return path
	}
	return rel
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
