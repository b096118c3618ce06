package rcfile

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/BurntSushi/toml"
)

// iniSections reads HandyConfigParser's way: "coverage:run" before "run", the latter only in
// coverage's own files.
type iniSections struct {
	file     ini
	prefixes []string
	lookup   Lookup
}

func newINISections(text string, ours bool, lookup Lookup) (*iniSections, error) {
	if !utf8.ValidString(text) {
		return nil, fmt.Errorf("not UTF-8 text")
	}
	file, err := parseINI(text)
	if err != nil {
		return nil, err
	}
	prefixes := []string{"coverage:"}
	if ours {
		prefixes = append(prefixes, "")
	}
	return &iniSections{file: file, prefixes: prefixes, lookup: lookup}, nil
}

func (s *iniSections) real(section string) map[string]string {
	for _, prefix := range s.prefixes {
		if found := s.file[prefix+section]; found != nil {
			return found
		}
	}
	return nil
}

func (s *iniSections) names(section string) []string {
	return slices.Sorted(maps.Keys(s.real(section)))
}

func (s *iniSections) value(section, option string, _ kind) (string, error) {
	return substitute(s.real(section)[option], s.lookup)
}

func (s *iniSections) losses() []string { return nil }

// tomlSections reads TomlConfigParser's way: "tool.coverage.run", and "run" in coverage's own files.
type tomlSections struct {
	data   map[string]any
	ours   bool
	lookup Lookup
	lost   []string
}

func newTOMLSections(text string, ours bool, lookup Lookup) (*tomlSections, error) {
	s := &tomlSections{ours: ours, lookup: lookup}
	if _, err := toml.Decode(text, &s.data); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *tomlSections) real(section string) map[string]any {
	if found := table(s.data, "tool.coverage."+section); found != nil || !s.ours {
		return found
	}
	return table(s.data, section)
}

func table(data map[string]any, name string) map[string]any {
	for _, part := range strings.Split(name, ".") {
		data, _ = data[part].(map[string]any)
	}
	return data
}

func (s *tomlSections) names(section string) []string {
	return slices.Sorted(maps.Keys(s.real(section)))
}

func (s *tomlSections) value(section, option string, k kind) (string, error) {
	value := s.real(section)[option]
	known := options[section] != nil || section == "paths"
	if !known {
		return s.pluginText(section, option, value), nil
	}
	if text, ok := value.(string); ok && k != list && k != regexes {
		text, err := substitute(text, s.lookup)
		if k == boolean && text != "true" && text != "false" {
			return "", fmt.Errorf("not a boolean: %q", text)
		}
		return text, err
	}
	switch k {
	case list, regexes:
		return s.items(value, k)
	case file:
		return "", fmt.Errorf("not a string: %v", value)
	case boolean:
		if _, ok := value.(bool); !ok {
			return "", fmt.Errorf("not a boolean: %v", value)
		}
	case integer:
		if _, ok := value.(int64); !ok {
			return "", fmt.Errorf("not an integer: %v", value)
		}
	}
	return scalar(value), nil
}

// items writes a list one item a line. An item that such text cannot hold is an error, as leaving it
// out would change what is measured; a line break in a pattern is written as its escape.
func (s *tomlSections) items(value any, k kind) (string, error) {
	values, ok := value.([]any)
	if !ok {
		return "", fmt.Errorf("not a list: %v", value)
	}
	var out strings.Builder
	for _, value := range values {
		item, ok := value.(string)
		if !ok {
			return "", fmt.Errorf("not a list of strings: %v", value)
		}
		item, err := substitute(item, s.lookup)
		if err != nil {
			return "", err
		}
		if k == regexes {
			item = strings.ReplaceAll(item, "\n", `\n`)
		} else if strings.ContainsAny(item, ",\n") {
			return "", fmt.Errorf("a comma or line break inside %q cannot be passed to the container", item)
		}
		out.WriteString("\n" + item)
	}
	return out.String(), nil
}

// pluginText gives a plugin's option, which coverage passes on unchanged, as text.
func (s *tomlSections) pluginText(section, option string, value any) string {
	switch value := value.(type) {
	case string:
		return value
	case []any:
		s.lost = append(s.lost, fmt.Sprintf("plugin option %s.%s is a list in TOML and lines of text in the container", section, option))
		var out strings.Builder
		for _, item := range value {
			out.WriteString("\n" + scalar(item))
		}
		return out.String()
	case map[string]any:
		s.lost = append(s.lost, fmt.Sprintf("plugin option %s.%s is a table in TOML and lines of text in the container", section, option))
		var out strings.Builder
		for _, name := range slices.Sorted(maps.Keys(value)) {
			fmt.Fprintf(&out, "\n%q: %s", name, scalar(value[name]))
		}
		return out.String()
	}
	return scalar(value)
}

func (s *tomlSections) losses() []string { return s.lost }

func scalar(value any) string {
	if number, ok := value.(float64); ok {
		return strconv.FormatFloat(number, 'g', -1, 64)
	}
	return fmt.Sprint(value)
}

var (
	pythonInt   = regexp.MustCompile(`^\s*[-+]?\d+(_\d+)*\s*$`)
	pythonBools = []string{"1", "yes", "true", "on", "0", "no", "false", "off"}
)

// check refuses what coverage could not convert.
func check(value string, k kind) error {
	switch k {
	case boolean:
		if !slices.Contains(pythonBools, strings.ToLower(value)) {
			return fmt.Errorf("not a boolean: %q", value)
		}
	case integer:
		if !pythonInt.MatchString(value) {
			return fmt.Errorf("not an integer: %q", value)
		}
	case float:
		if _, err := strconv.ParseFloat(strings.TrimSpace(value), 64); err != nil {
			return fmt.Errorf("not a number: %q", value)
		}
	}
	return nil
}
