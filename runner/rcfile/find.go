// Package rcfile reads a project's coverage configuration by coverage's own rules and writes the
// configuration that coverage uses inside a container.
package rcfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Config is a coverage configuration with variables replaced. Values are what configparser would
// give: the items of a list are lines.
type Config struct {
	// File is where it was read; empty when the project has no coverage settings.
	File     string
	sections map[string]map[string]string
	notes    []string
}

// Error is a configuration that coverage would refuse.
type Error struct {
	File string
	Err  error
}

func (e *Error) Error() string { return fmt.Sprintf("reading coverage config %q: %v", e.File, e.Err) }

func (e *Error) Unwrap() error { return e.Err }

// Hint says what the user can do about it.
func (e *Error) Hint() string {
	return "coverage itself would refuse it: mend the file, or name another with --rcfile"
}

// Place says where to look for a project's configuration.
type Place struct {
	// Dir is the folder coverage would run in.
	Dir string
	// RCFile is a configuration named by the user (--rcfile, else COVERAGE_RCFILE); empty looks
	// for the usual files.
	RCFile string
	// Lookup gives the variables that values may name; nil means none is set.
	Lookup Lookup
}

type candidate struct {
	name      string
	ours      bool // a file for coverage alone: sections need no prefix
	specified bool
}

// candidates is config_files_to_try of coverage/config.py.
func (p Place) candidates() []candidate {
	first := candidate{".coveragerc", true, false}
	if p.RCFile != "" && p.RCFile != first.name {
		first = candidate{p.RCFile, true, true}
	}
	return []candidate{
		first,
		{".coveragerc.toml", true, false},
		{"setup.cfg", false, false},
		{"tox.ini", false, false},
		{"pyproject.toml", false, false},
	}
}

// Find returns the configuration coverage would use in a place: the first file that is coverage's own
// or has settings for it. A named file that is not there, or one coverage cannot read, is an *Error.
func Find(place Place) (*Config, error) {
	if place.Lookup == nil {
		place.Lookup = func(string) (string, bool) { return "", false }
	}
	for _, c := range place.candidates() {
		path := c.name
		if !filepath.IsAbs(path) {
			path = filepath.Join(place.Dir, path)
		}
		config, err := read(path, c.ours, place.Lookup)
		if errors.Is(err, fs.ErrNotExist) && !c.specified {
			continue
		}
		if err != nil {
			return nil, &Error{File: c.name, Err: err}
		}
		if config != nil {
			config.File = c.name
			return config, nil
		}
	}
	return &Config{sections: map[string]map[string]string{}}, nil
}

// read returns one file's configuration, or nil when a shared file has no settings for coverage.
func read(path string, ours bool, lookup Lookup) (*Config, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var source sections
	if filepath.Ext(path) == ".toml" {
		source, err = newTOMLSections(string(text), ours, lookup)
	} else {
		source, err = newINISections(string(text), ours, lookup)
	}
	if err != nil {
		return nil, err
	}
	config, err := load(source)
	if err != nil || (!ours && len(config.sections) == 0) {
		return nil, err
	}
	return config, nil
}

// sections is a parsed file seen by coverage's own section names.
type sections interface {
	// names lists a section's options; nil when the section is not there.
	names(section string) []string
	// value gives an option as configparser text.
	value(section, option string, k kind) (string, error)
	// losses says what the file holds that configparser text cannot.
	losses() []string
}

func load(source sections) (*Config, error) {
	config := &Config{sections: map[string]map[string]string{}}
	for section, kinds := range options {
		if err := config.take(source, section, kinds, plain); err != nil {
			return nil, err
		}
	}
	if err := config.take(source, "paths", nil, list); err != nil {
		return nil, err
	}
	for _, plugin := range config.List("run", "plugins") {
		if err := config.take(source, plugin, nil, plain); err != nil {
			return nil, err
		}
	}
	config.notes = source.losses()
	config.dropUnused()
	return config, nil
}

func (c *Config) take(source sections, section string, kinds map[string]kind, other kind) error {
	for _, option := range source.names(section) {
		k, known := kinds[option]
		if !known {
			k = other
		}
		value, err := source.value(section, option, k)
		if err == nil && known {
			err = check(value, k)
		}
		if err != nil {
			return fmt.Errorf("option %q of section %q: %w", option, section, err)
		}
		c.set(section, option, value)
	}
	return nil
}

// dropUnused forgets sections in which coverage knows no option: they make no file coverage's.
func (c *Config) dropUnused() {
	for section, kinds := range options {
		known := false
		for option := range c.sections[section] {
			_, ok := kinds[option]
			known = known || ok
		}
		if !known {
			delete(c.sections, section)
		}
	}
}

// Has reports whether an option is set, be it to nothing.
func (c *Config) Has(section, option string) bool {
	_, ok := c.sections[section][option]
	return ok
}

// Get returns an option's text; empty when it is not set.
func (c *Config) Get(section, option string) string { return c.sections[section][option] }

// List returns the items of a list option, split as coverage splits them.
func (c *Config) List(section, option string) []string {
	var items []string
	for _, item := range strings.FieldsFunc(c.Get(section, option), func(r rune) bool { return r == ',' || r == '\n' }) {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return items
}

func (c *Config) set(section, option, value string) {
	if c.sections[section] == nil {
		c.sections[section] = map[string]string{}
	}
	c.sections[section][option] = value
}

func (c *Config) setList(section, option string, items []string) {
	c.set(section, option, "\n"+strings.Join(items, "\n"))
}
