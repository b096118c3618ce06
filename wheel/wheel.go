// Package wheel knows coverage's published wheels: which one fits a Python
// interpreter, and what is inside it once it is checked.
//
// Everything here is a function of its arguments: no network, no clock, no
// environment. Package fetch brings the lists and the bytes.
package wheel

import (
	"fmt"
	"strings"
)

// Project is the name coverage.py is published under.
const Project = "coverage"

// File is one published wheel, as an index or a bundle lists it.
type File struct {
	Name           string `json:"name"`    // file name, PEP 427
	Version        string `json:"version"` // release, PEP 440
	SHA256         string `json:"sha256"`  // of the file, lower-case hex; "" when the index gives none
	URL            string `json:"url,omitempty"`
	RequiresPython string `json:"requires-python,omitempty"` // PEP 440 specifiers, "" for any Python
	Yanked         bool   `json:"yanked,omitempty"`
}

// Name is a wheel's file name taken apart (PEP 427). A compressed tag set
// keeps its several values.
type Name struct {
	Distribution string
	Version      string
	Build        string // build tag, mostly ""
	Pythons      []string
	ABIs         []string
	Platforms    []string
}

// Parse takes a wheel's file name apart. It refuses what PEP 427 does not
// allow, and folders in the name.
func Parse(filename string) (Name, error) {
	stem, ok := strings.CutSuffix(filename, ".whl")
	if !ok || strings.ContainsAny(filename, "/\\") {
		return Name{}, fmt.Errorf("%q is not a wheel's file name", filename)
	}
	parts := strings.Split(stem, "-")
	if len(parts) != 5 && len(parts) != 6 {
		return Name{}, fmt.Errorf("wheel name %q has %d parts, not 5 or 6", filename, len(parts))
	}
	for _, part := range parts {
		if part == "" {
			return Name{}, fmt.Errorf("wheel name %q has an empty part", filename)
		}
	}
	n := Name{Distribution: parts[0], Version: parts[1]}
	if len(parts) == 6 {
		n.Build = parts[2]
	}
	tags := parts[len(parts)-3:]
	n.Pythons = strings.Split(tags[0], ".")
	n.ABIs = strings.Split(tags[1], ".")
	n.Platforms = strings.Split(tags[2], ".")
	return n, nil
}

// Pure says that the wheel holds no compiled code: abi none, platform any.
func (n Name) Pure() bool {
	return len(n.ABIs) == 1 && n.ABIs[0] == "none" && len(n.Platforms) == 1 && n.Platforms[0] == "any"
}

// Tag gives the name's last three parts, as in "cp313-cp313-musllinux_1_2_x86_64".
func (n Name) Tag() string {
	return strings.Join(n.Pythons, ".") + "-" + strings.Join(n.ABIs, ".") + "-" + strings.Join(n.Platforms, ".")
}
