package rcfile

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// INI returns the configuration as a .coveragerc, which coverage reads to the same values whatever
// its environment holds. The same configuration gives the same bytes.
func (c *Config) INI() []byte {
	var out strings.Builder
	for _, section := range c.order() {
		fmt.Fprintf(&out, "[%s]\n", section)
		taken := map[string]bool{}
		for _, option := range slices.Sorted(maps.Keys(c.sections[section])) {
			writeOption(&out, optionName(option, taken), c.sections[section][option])
		}
		out.WriteByte('\n')
	}
	return []byte(out.String())
}

func (c *Config) order() []string {
	var names, plugins []string
	for section := range c.sections {
		if !slices.Contains(sectionOrder, section) {
			plugins = append(plugins, section)
		}
	}
	for _, section := range sectionOrder {
		if c.sections[section] != nil {
			names = append(names, section)
		}
	}
	slices.Sort(plugins)
	return append(names, plugins...)
}

func writeOption(out *strings.Builder, option, value string) {
	lines := strings.Split(value, "\n")
	out.WriteString(strings.TrimRight(option+" = "+literal(strings.TrimSpace(lines[0])), " ") + "\n")
	for _, line := range lines[1:] {
		line = literal(strings.TrimSpace(line))
		// A line of a value that starts as a comment would be dropped; a default value is not.
		if strings.HasPrefix(line, "#") || strings.HasPrefix(line, ";") {
			line = "${COVIFY_UNSET-" + line[:1] + "}" + line[1:]
		}
		out.WriteString(strings.TrimRight("    "+line, " ") + "\n")
	}
}

var unsafeInName = regexp.MustCompile(`[^\p{L}\p{N}_.-]+`)

// optionName makes a TOML key an option name: configparser ignores case and refuses duplicates.
func optionName(key string, taken map[string]bool) string {
	name := strings.ToLower(unsafeInName.ReplaceAllString(key, "_"))
	for taken[name] {
		name += "_"
	}
	taken[name] = true
	return name
}
