// Package compose decides what docker compose is given so that the Python services of a project are measured: it takes command
// lines apart, reads what compose says of a project, and writes the override file. It starts nothing.
package compose

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Line is a command line of covify compose, taken apart. It is inert: nothing was looked up for it.
type Line struct {
	Command Command
	Help    bool // --help before any command

	// covify's own flags.
	DataDir string // --data-dir; empty for the default
	RCFile  string // --rcfile
	Engine  string // --engine: docker, podman or nerdctl; empty to choose
	Print   string // --print: shell or json; empty to run
	// SaveTimeout is --save-timeout; 0 for the default.
	SaveTimeout time.Duration

	// What compose's global flags say.
	Files         []string // -f
	Directory     string   // --project-directory
	Compatibility bool     // --compatibility: image names of the old kind

	global []item
}

// Command is compose's command with its arguments.
type Command struct {
	Name     string // empty if there is none
	Services []string
	After    []string // of run: what the container runs instead of its own command

	items []item
}

// item is a flag or an argument as it was written.
type item struct {
	name  string // of a flag, the long one where compose has one; "" for an argument
	value string
	words []string
}

// UsageError is a command line that covify compose cannot take.
type UsageError struct{ Text string }

func (e *UsageError) Error() string { return e.Text }

// grammar says which flags take a value of their own; every other flag takes none. Short flags are given by their long names.
type grammar struct {
	values map[string]bool
	shorts map[byte]string
	once   bool // flags end at the first argument
}

var globals = grammar{
	values: set("file project-name profile env-file project-directory workdir parallel progress ansi"),
	shorts: map[byte]string{'f': "file", 'p': "project-name", 'v': "version"},
	once:   true,
}

// own are covify's flags, none of which compose has.
var own = set("data-dir engine print rcfile save-timeout")

// commands are those of which covify must know what a service is and what a flag.
var commands = map[string]grammar{
	"up": {
		values: set("attach exit-code-from no-attach pull scale timeout wait-timeout"),
		shorts: map[byte]string{'d': "detach", 't': "timeout", 'w': "watch"},
	},
	"create": {values: set("pull scale")},
	"scale":  {},
	"run": {
		values: set("cap-add cap-drop entrypoint env env-from-file label name publish pull user volume workdir"),
		shorts: map[byte]string{'d': "detach", 'e': "env", 'l': "label", 'p': "publish", 'u': "user", 'v': "volume", 'w': "workdir"},
		once:   true,
	},
	"stop":    {values: set("timeout"), shorts: map[byte]string{'t': "timeout"}},
	"restart": {values: set("timeout"), shorts: map[byte]string{'t': "timeout"}},
	"down":    {values: set("timeout rmi"), shorts: map[byte]string{'t': "timeout"}},
	"kill":    {values: set("signal"), shorts: map[byte]string{'s': "signal"}},
	"rm":      {},
	"start":   {values: set("wait-timeout")},
}

func set(words string) map[string]bool {
	out := map[string]bool{}
	for word := range strings.FieldsSeq(words) {
		out[word] = true
	}
	return out
}

// Parse takes a command line apart. Errors are *UsageError; what compose itself would refuse is left to it.
func Parse(args []string) (Line, error) {
	line := Line{}
	before := globals
	before.values = set("data-dir engine rcfile save-timeout")
	for name := range globals.values {
		before.values[name] = true
	}
	items, rest := before.split(args)
	for _, it := range items {
		if err := line.take(it); err != nil {
			return Line{}, err
		}
	}
	if len(rest) == 0 {
		return line, nil
	}
	line.Command = parseCommand(rest[0], rest[1:])
	return line, nil
}

// split reads flags, and arguments among them, until what follows is no flag of these.
func (g grammar) split(args []string) (items []item, rest []string) {
	for len(args) > 0 {
		word := args[0]
		switch {
		case word == "--":
			items = append(items, item{name: "--", words: args[:1]})
			return items, args[1:]
		case len(word) < 2 || word[0] != '-':
			if g.once {
				return items, args
			}
			items, args = append(items, item{value: word, words: args[:1]}), args[1:]
		default:
			it := g.flag(word)
			if it.words == nil && len(args) > 1 {
				it.value, it.words = args[1], args[:2]
			} else if it.words == nil {
				it.words = args[:1] // compose says that its value is missing
			}
			items, args = append(items, it), args[len(it.words):]
		}
	}
	return items, nil
}

// flag reads one word; without words of its own its value is in the next one. Of a bundle of short flags the last one with a
// value is told, else the first.
func (g grammar) flag(word string) item {
	if long, found := strings.CutPrefix(word, "--"); found {
		name, value, attached := strings.Cut(long, "=")
		if !attached && g.values[name] {
			return item{name: name}
		}
		return item{name: name, value: value, words: []string{word}}
	}
	for i := 1; i < len(word); i++ {
		name := g.shorts[word[i]]
		if !g.values[name] {
			continue
		}
		if i == len(word)-1 {
			return item{name: name}
		}
		return item{name: name, value: strings.TrimPrefix(word[i+1:], "="), words: []string{word}}
	}
	if word == "-h" {
		return item{name: "help", words: []string{word}}
	}
	return item{name: g.shorts[word[1]], words: []string{word}}
}

func (l *Line) take(it item) error {
	if own[it.name] {
		return l.takeOwn(it)
	}
	switch it.name {
	case "file":
		l.Files = append(l.Files, it.value)
		return nil
	case "project-directory", "workdir":
		l.Directory = it.value
	case "compatibility":
		l.Compatibility = it.value != "false"
	case "help":
		l.Help = true
	}
	l.global = append(l.global, it)
	return nil
}

func (l *Line) takeOwn(it item) error {
	if it.name == "print" && it.value == "" {
		it.value = "shell"
	}
	if it.value == "" {
		return &UsageError{fmt.Sprintf("flag --%s needs a value", it.name)}
	}
	allowed := map[string][]string{"print": {"shell", "json"}, "engine": {"docker", "podman", "nerdctl"}}[it.name]
	if allowed != nil && !slices.Contains(allowed, it.value) {
		return &UsageError{fmt.Sprintf("flag --%s takes %s, not %q", it.name, strings.Join(allowed, ", "), it.value)}
	}
	if it.name == "save-timeout" {
		var err error
		if l.SaveTimeout, err = time.ParseDuration(it.value); err != nil || l.SaveTimeout <= 0 {
			return &UsageError{fmt.Sprintf("flag --save-timeout takes a time such as 2s, not %q", it.value)}
		}
		return nil
	}
	*map[string]*string{"data-dir": &l.DataDir, "rcfile": &l.RCFile, "engine": &l.Engine, "print": &l.Print}[it.name] = it.value
	return nil
}

func parseCommand(name string, args []string) Command {
	c := Command{Name: name}
	g, known := commands[name]
	if !known {
		c.items = []item{{words: args}}
		return c
	}
	items, rest := g.split(args)
	c.items = items
	for _, it := range items {
		if it.name == "" && it.value != "" {
			c.Services = append(c.Services, it.value)
		}
	}
	switch {
	case name == "run" && len(rest) > 0:
		c.Services, c.After = rest[:1], rest[1:]
	case name != "run":
		c.Services = append(c.Services, rest...)
	}
	if len(rest) > 0 {
		c.items = append(c.items, item{words: rest})
	}
	if name == "scale" {
		for i, service := range c.Services {
			c.Services[i], _, _ = strings.Cut(service, "=")
		}
	}
	return c
}

// Has reports whether a flag without a value was given and not switched off; name is the long one.
func (c Command) Has(name string) bool {
	return slices.ContainsFunc(c.items, func(it item) bool { return it.name == name && it.value != "false" })
}

// Values are those of a flag that takes one, in order; name is the long one.
func (c Command) Values(name string) []string {
	var values []string
	for _, it := range c.items {
		if it.name == name {
			values = append(values, it.value)
		}
	}
	return values
}

// Value is the last of a flag's; "" if it was not given.
func (c Command) Value(name string) string {
	values := c.Values(name)
	if len(values) == 0 {
		return ""
	}
	return values[len(values)-1]
}

// Words are the command and its arguments as they were written, but for the flags named.
func (c Command) Words(without ...string) []string {
	if c.Name == "" {
		return nil
	}
	return append([]string{c.Name}, words(c.items, without...)...)
}

func words(items []item, without ...string) []string {
	var out []string
	for _, it := range items {
		if it.name == "" || !slices.Contains(without, it.name) {
			out = append(out, it.words...)
		}
	}
	return out
}

// Globals are compose's global flags as they were written, but for the files.
func (l Line) Globals() []string { return words(l.global) }

// DryRun reports whether compose is only to say what it would do.
func (l Line) DryRun() bool {
	dry := func(it item) bool { return it.name == "dry-run" && it.value != "false" }
	return slices.ContainsFunc(l.global, dry) || l.Command.Has("dry-run")
}

// Starts reports whether the command makes containers.
func (c Command) Starts() bool {
	return slices.Contains([]string{"up", "create", "run", "scale"}, c.Name)
}

// Changes reports whether the command can end containers, or run ended ones again.
func (c Command) Changes() bool {
	return slices.Contains([]string{"down", "stop", "kill", "restart", "rm", "start"}, c.Name)
}

// Attached reports whether the command goes on until the containers that it starts have ended, or it is interrupted.
func (c Command) Attached() bool {
	if c.Name == "up" && (c.Has("wait") || c.Has("no-start")) {
		return false
	}
	return (c.Name == "up" || c.Name == "run") && !c.bundled('d') && !c.Has("detach")
}

// bundled reports whether a switch is among short flags that are written as one word: -dT.
func (c Command) bundled(letter byte) bool {
	g := commands[c.Name]
	for _, it := range c.items {
		if len(it.words) == 0 || len(it.words[0]) < 2 || it.words[0][0] != '-' || it.words[0][1] == '-' {
			continue
		}
		for _, flag := range []byte(it.words[0][1:]) {
			if flag == letter {
				return true
			}
			if g.values[g.shorts[flag]] {
				break // the rest is its value
			}
		}
	}
	return false
}
