package runner

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Invocation is a command line of covify run, taken apart. It is inert: nothing was looked up for it.
type Invocation struct {
	Image   string
	Command []string // what follows the image
	Help    bool     // --help was among the flags; Image may then be empty

	// covify's own flags.
	DataDir string // --data-dir; empty for the default
	RCFile  string // --rcfile
	Engine  string // --engine: docker, podman or nerdctl; empty to choose
	Print   string // --print: shell or json; empty to run

	SaveTimeout time.Duration // --save-timeout; 0 for the default

	// What the engine's flags say.
	Remove, Detach, Interactive, TTY, ReadOnly bool

	Name, CIDFile, User, Platform, Pull, StopTimeout string

	Entrypoint *string  // nil when not given
	Env        []string // -e values about COVERAGE_*, as given: KEY=VALUE, or KEY for the caller's own value
	EnvFiles   []string
	Mounts     []Mount

	flags []flagWords
}

// flagWords is one flag, or one bundle of short ones, as the user wrote it.
type flagWords struct {
	name  string // of a long flag
	words []string
}

// UsageError is a command line that covify run cannot take.
type UsageError struct{ Text string }

func (e *UsageError) Error() string { return e.Text }

func usage(format string, args ...any) error {
	return &UsageError{Text: fmt.Sprintf(format, args...)}
}

// ParseArgs takes a command line apart: flags of docker run, podman run and nerdctl run together with
// covify's own, the image, and the command. Errors are *UsageError.
func ParseArgs(args []string) (Invocation, error) {
	p := parser{rest: args}
	for len(p.rest) > 0 && len(p.rest[0]) > 1 && p.rest[0][0] == '-' {
		word := p.rest[0]
		p.rest = p.rest[1:]
		if word == "--" {
			break
		}
		if err := p.flag(word); err != nil {
			return Invocation{}, err
		}
	}
	if p.Help {
		return p.Invocation, nil
	}
	if len(p.rest) == 0 || p.rest[0] == "" {
		return Invocation{}, usage("no image given")
	}
	p.Image, p.Command = p.rest[0], p.rest[1:]
	return p.Invocation, nil
}

// EngineFlags returns the flags that are the engine's, unchanged and in order, but for the long ones
// named.
func (inv Invocation) EngineFlags(without ...string) []string {
	var words []string
	for _, flag := range inv.flags {
		if flag.name == "" || !slices.Contains(without, flag.name) {
			words = append(words, flag.words...)
		}
	}
	return words
}

type parser struct {
	Invocation
	rest []string
}

func (p *parser) flag(word string) error {
	before := p.rest
	if !strings.HasPrefix(word, "--") {
		if err := p.bundle(word[1:]); err != nil {
			return err
		}
		p.keep("", word, before)
		return nil
	}
	name, value, attached := strings.Cut(word[2:], "=")
	if own[name] {
		return p.own(name, value, attached)
	}
	if !attached && booleans[name] {
		value, attached = "true", true
	}
	value, err := p.value("--"+name, value, attached)
	if err != nil {
		return err
	}
	p.keep(name, word, before)
	return p.note(name, value)
}

// keep records a flag's words: the flag itself and what was taken from the words after it.
func (p *parser) keep(name, word string, before []string) {
	taken := before[:len(before)-len(p.rest)]
	p.flags = append(p.flags, flagWords{name: name, words: append([]string{word}, taken...)})
}

// bundle reads short flags as pflag does: -it, -eX, -e=X, -ite X, -i=false.
func (p *parser) bundle(letters string) error {
	for i := 0; i < len(letters); i++ {
		name, known := shorts[letters[i]]
		if !known {
			return usage("unknown flag -%c in -%s", letters[i], letters)
		}
		value := strings.TrimPrefix(letters[i+1:], "=")
		attached := value != letters[i+1:] || (value != "" && !booleans[name])
		last := attached || !booleans[name]
		if !attached && booleans[name] {
			value, attached = "true", true
		}
		value, err := p.value("-"+letters[i:i+1], value, attached)
		if err != nil {
			return err
		}
		if err := p.note(name, value); err != nil || last {
			return err
		}
	}
	return nil
}

// value returns an attached value, else takes the next word.
func (p *parser) value(flag, value string, attached bool) (string, error) {
	if attached {
		return value, nil
	}
	if len(p.rest) == 0 {
		return "", usage("flag %s needs a value", flag)
	}
	value, p.rest = p.rest[0], p.rest[1:]
	return value, nil
}

func (p *parser) own(name, value string, attached bool) error {
	if name == "print" {
		if !attached {
			value = "shell"
		}
		p.Print = value
		return oneOf("--print", value, "shell", "json")
	}
	value, err := p.value("--"+name, value, attached)
	if err != nil {
		return err
	}
	if value == "" {
		return usage("flag --%s needs a value", name)
	}
	switch name {
	case "data-dir":
		p.DataDir = value
	case "rcfile":
		p.RCFile = value
	case "engine":
		p.Engine = value
		return oneOf("--engine", value, engineNames...)
	case "save-timeout":
		if p.SaveTimeout, err = time.ParseDuration(value); err != nil || p.SaveTimeout <= 0 {
			return usage("flag --save-timeout takes a time such as 2s, not %q", value)
		}
	}
	return nil
}

// stopTimeout is how long the container has to end after a SIGTERM; negative for as long as it takes.
func (inv Invocation) stopTimeout() time.Duration {
	seconds, err := strconv.Atoi(inv.StopTimeout)
	if err != nil {
		return stopGrace
	}
	return time.Duration(seconds) * time.Second
}

func oneOf(flag, value string, allowed ...string) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	return usage("flag %s takes %s, not %q", flag, strings.Join(allowed, ", "), value)
}

// note remembers what covify must know of an engine's flag.
func (p *parser) note(name, value string) error {
	if known := p.switches()[name]; known != nil {
		on, err := strconv.ParseBool(value)
		if err != nil {
			return usage("flag --%s takes true or false, not %q", name, value)
		}
		*known = on
		return nil
	}
	if known := p.texts()[name]; known != nil {
		*known = value
		return nil
	}
	switch name {
	case "entrypoint":
		p.Entrypoint = &value
	case "env":
		if strings.HasPrefix(value, "COVERAGE_") {
			p.Env = append(p.Env, value)
		}
	case "env-file":
		p.EnvFiles = append(p.EnvFiles, value)
	case "volume":
		p.Mounts = append(p.Mounts, parseVolume(value))
	case "mount":
		p.Mounts = append(p.Mounts, parseMount(value))
	case "tmpfs":
		target, _, _ := strings.Cut(value, ":")
		p.Mounts = append(p.Mounts, Mount{Kind: "tmpfs", Target: target})
	case "rootfs":
		return usage("covify run needs an image; --rootfs names a folder")
	}
	return nil
}

func (p *parser) switches() map[string]*bool {
	return map[string]*bool{
		"rm": &p.Remove, "detach": &p.Detach, "interactive": &p.Interactive, "tty": &p.TTY,
		"read-only": &p.ReadOnly, "help": &p.Help,
	}
}

func (p *parser) texts() map[string]*string {
	return map[string]*string{
		"name": &p.Name, "cidfile": &p.CIDFile, "user": &p.User, "platform": &p.Platform, "pull": &p.Pull,
		"stop-timeout": &p.StopTimeout,
	}
}
