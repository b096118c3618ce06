package rcfile

import (
	"fmt"
	"strings"
	"unicode"
)

// defaultSection is the section whose options every other section inherits.
const defaultSection = "DEFAULT"

// ini holds the sections of a configparser file: section to option to value.
type ini map[string]map[string]string

// syntaxError says which line of a file configparser would refuse.
type syntaxError struct {
	line int
	text string
}

func (e *syntaxError) Error() string { return fmt.Sprintf("line %d: %s", e.line, e.text) }

// parseINI reads text as Python's configparser.ConfigParser(interpolation=None) does: values go on
// over deeper indented lines, comments and empty lines between those are allowed, option names are
// lower-cased, and duplicates are errors.
func parseINI(text string) (ini, error) {
	p := iniParser{out: ini{}, values: map[string]map[string][]string{}}
	text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
	for i, line := range strings.Split(text, "\n") {
		if err := p.line(line); err != "" {
			return nil, &syntaxError{line: i + 1, text: err}
		}
	}
	return p.join(), nil
}

type iniParser struct {
	out     ini
	values  map[string]map[string][]string
	section string
	option  string
	indent  int
}

// line takes one line and returns what is wrong with it, or nothing.
func (p *iniParser) line(line string) string {
	value := strings.TrimSpace(line)
	if value == "" {
		p.more("")
		return ""
	}
	if value[0] == '#' || value[0] == ';' {
		return ""
	}
	indent := len(line) - len(strings.TrimLeftFunc(line, unicode.IsSpace))
	if indent > p.indent && p.more(value) {
		return ""
	}
	p.indent = indent
	if end := strings.LastIndexByte(value, ']'); value[0] == '[' && end > 1 {
		return p.header(value[1:end])
	}
	if p.section == "" {
		return "no section header before " + value
	}
	return p.assign(value)
}

// more appends a line to the option being read, if there is one.
func (p *iniParser) more(value string) bool {
	if p.option == "" {
		return false
	}
	options := p.values[p.section]
	options[p.option] = append(options[p.option], value)
	return true
}

func (p *iniParser) header(name string) string {
	if p.values[name] != nil && name != defaultSection {
		return fmt.Sprintf("section %q is there twice", name)
	}
	if p.values[name] == nil {
		p.values[name] = map[string][]string{}
	}
	p.section, p.option = name, ""
	return ""
}

func (p *iniParser) assign(line string) string {
	at := strings.IndexAny(line, "=:")
	if at < 0 {
		return fmt.Sprintf("neither a section, an option nor more of a value: %q", line)
	}
	option := strings.ToLower(strings.TrimSpace(line[:at]))
	if option == "" {
		return fmt.Sprintf("no option name in %q", line)
	}
	if p.values[p.section][option] != nil {
		return fmt.Sprintf("option %q is twice in section %q", option, p.section)
	}
	p.option = option
	p.values[p.section][option] = []string{strings.TrimSpace(line[at+1:])}
	return ""
}

// join makes one text of each value's lines and gives every section the default section's options.
func (p *iniParser) join() ini {
	for name, options := range p.values {
		if name == defaultSection {
			continue
		}
		p.out[name] = map[string]string{}
		for _, from := range []map[string][]string{p.values[defaultSection], options} {
			for option, lines := range from {
				p.out[name][option] = strings.TrimRightFunc(strings.Join(lines, "\n"), unicode.IsSpace)
			}
		}
	}
	return p.out
}
