package rcfile

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Host is what the configuration of this machine's processes depends on.
type Host struct {
	Root     string   // the project; relative paths of its settings start there
	DataFile string   // absolute
	Omit     []string // patterns of files that are not the project's
	Coverage string   // the oldest coverage that reads it; empty is taken for a current one
}

// ForHost returns the configuration for processes of this machine that are measured from their start: the user's settings
// with what it takes to keep the data of every process, wherever it is started. The receiver is unchanged.
func (c *Config) ForHost(host Host) *Config {
	out := c.clone()
	m := merge{Config: out}
	if host.Coverage != "" {
		m.image.Coverage = []string{host.Coverage}
	}
	m.sigterm()
	m.patch()
	// The hook is in every process anyway, and this patch would write into environments with a coverage before 7.13.
	if patches := slices.DeleteFunc(out.List("run", "patch"), func(patch string) bool { return patch == "subprocess" }); len(patches) > 0 {
		out.setList("run", "patch", patches)
	}
	m.concurrency()
	out.set("run", "parallel", "true")
	out.set("run", "data_file", host.DataFile)
	out.set("run", "relative_files", "false") // the paths would be relative to wherever a process starts
	for _, option := range []string{"source", "source_dirs"} {
		out.eachItem(option, func(item string) string { return folderBelow(host.Root, item) })
	}
	for _, option := range []string{"include", "omit"} {
		out.eachItem(option, func(item string) string { return patternBelow(host.Root, item) })
	}
	if file := out.Get("run", "debug_file"); file != "" && !filepath.IsAbs(file) {
		out.set("run", "debug_file", filepath.Join(host.Root, file))
	}
	if len(host.Omit) > 0 {
		out.setList("run", "omit", append(out.List("run", "omit"), host.Omit...))
	}
	return out
}

// WithBranch returns the configuration with branches measured or not where it does not say so itself.
func (c *Config) WithBranch(branch bool) *Config {
	out := c.clone()
	if !out.Has("run", "branch") {
		out.set("run", "branch", map[bool]string{true: "true", false: "false"}[branch])
	}
	return out
}

// WithContext returns the configuration with every line marked as run by who (coverage's static context), after the user's own mark.
func (c *Config) WithContext(who string) *Config {
	out := c.clone()
	out.set("run", "context", strings.TrimSpace(out.Get("run", "context")+" "+who))
	return out
}

// WithTests returns the configuration with every line marked by the test function that ran it, unless it marks lines in a way of its own.
func (c *Config) WithTests() *Config {
	out := c.clone()
	if !out.Has("run", "dynamic_context") {
		out.set("run", "dynamic_context", "test_function")
		if out.Get("run", "core") == "sysmon" { // which knows no such marks, and warns
			delete(out.sections["run"], "core")
		}
	}
	return out
}

func (c *Config) clone() *Config {
	out := &Config{File: c.File, sections: map[string]map[string]string{}, notes: slices.Clone(c.notes)}
	for section, options := range c.sections {
		out.sections[section] = maps.Clone(options)
	}
	return out
}

func (c *Config) eachItem(option string, change func(string) string) {
	items := c.List("run", option)
	if len(items) == 0 {
		return
	}
	for i := range items {
		items[i] = change(items[i])
	}
	c.setList("run", option, items)
}

// folderBelow makes an item of source absolute if it is a folder; else it is a package's name.
func folderBelow(root, item string) string {
	path := filepath.Join(root, item)
	if info, err := os.Stat(path); err != nil || !info.IsDir() || filepath.IsAbs(item) {
		return item
	}
	return path
}

// patternBelow makes a pattern absolute where coverage would.
func patternBelow(root, item string) string {
	if strings.HasPrefix(item, "*") || strings.HasPrefix(item, "?") || filepath.IsAbs(item) {
		return item
	}
	path := filepath.Join(root, item)
	if strings.HasSuffix(item, "/") {
		path += "/"
	}
	return path
}
