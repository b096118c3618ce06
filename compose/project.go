package compose

import (
	"encoding/json"
	"fmt"
	"path"
	"strings"

	"github.com/covify/covify/runner"
)

// Project is what 'compose config --format json' says, as far as covify needs it. Variables are resolved, paths of this machine
// are absolute.
type Project struct {
	Name     string
	Services map[string]Service
}

// Service is one of a project's.
type Service struct {
	Image       string
	Build       json.RawMessage // nothing if it is not built
	Platform    string
	PullPolicy  string `json:"pull_policy"`
	Entrypoint  []string
	Command     []string
	Environment map[string]*string // nil for a variable that is not set on this machine
	Volumes     []Volume
	Tmpfs       []string
	Container   string `json:"container_name"` // empty for compose's own choice
}

// Volume is one mount of a service.
type Volume struct {
	Type     string
	Source   string
	Target   string
	ReadOnly bool `json:"read_only"`
}

// ReadProject takes in what compose said.
func ReadProject(text []byte) (Project, error) {
	var p Project
	if err := json.Unmarshal(text, &p); err != nil {
		return p, fmt.Errorf("reading what compose says of the project: %w", err)
	}
	return p, nil
}

// Built reports whether compose builds the service's image.
func (s Service) Built() bool { return len(s.Build) > 0 && string(s.Build) != "null" }

// ImageName is what the service's image is called in the engine: its own name, else the one that compose gives what it builds.
func (p Project) ImageName(service string, compatibility bool) string {
	if image := p.Services[service].Image; image != "" {
		return image
	}
	return p.Name + separator(compatibility) + service
}

// ContainerName is what the first container of a service is called.
func (p Project) ContainerName(service string, compatibility bool) string {
	if name := p.Services[service].Container; name != "" {
		return name
	}
	between := separator(compatibility)
	return p.Name + between + service + between + "1"
}

func separator(compatibility bool) string {
	if compatibility {
		return "_"
	}
	return "-"
}

// Invocation is the run of one of the service's containers, as if covify run had been asked for it. A COVERAGE_ variable that is
// empty counts as not given: that is how compose writes one that is not set on this machine.
func (s Service) Invocation(image string) runner.Invocation {
	inv := runner.Invocation{Image: image, Platform: s.Platform, Command: s.Command}
	if len(s.Entrypoint) > 0 {
		inv.Entrypoint = &s.Entrypoint[0]
		inv.Command = append(s.Entrypoint[1:len(s.Entrypoint):len(s.Entrypoint)], s.Command...)
	}
	for name, value := range s.Environment {
		if strings.HasPrefix(name, "COVERAGE_") && value != nil && *value != "" {
			inv.Env = append(inv.Env, name+"="+unescape(*value))
		}
	}
	for _, v := range s.Volumes {
		inv.Mounts = append(inv.Mounts, runner.Mount{Kind: v.Type, Source: unescape(v.Source), Target: path.Clean(unescape(v.Target)), ReadOnly: v.ReadOnly})
	}
	for _, target := range s.Tmpfs {
		target, _, _ = strings.Cut(target, ":")
		inv.Mounts = append(inv.Mounts, runner.Mount{Kind: "tmpfs", Target: path.Clean(unescape(target))})
	}
	return inv
}

// compose writes a dollar twice, as it would read a single one as a variable.
func unescape(text string) string { return strings.ReplaceAll(text, "$$", "$") }

func escape(text string) string { return strings.ReplaceAll(text, "$", "$$") }

// WithRunFlags is the invocation as the flags and arguments of compose run change it.
func WithRunFlags(inv runner.Invocation, run Command) runner.Invocation {
	if name := run.Value("name"); name != "" {
		inv.Name = name
	}
	for _, setting := range run.Values("env") {
		if strings.HasPrefix(setting, "COVERAGE_") {
			inv.Env = append(inv.Env, setting)
		}
	}
	for _, value := range run.Values("volume") {
		inv.Mounts = append(inv.Mounts, runner.ParseVolume(value))
	}
	if len(run.Values("entrypoint")) > 0 {
		entrypoint := run.Value("entrypoint")
		inv.Entrypoint, inv.Command = &entrypoint, nil
	}
	if len(run.After) > 0 {
		inv.Command = run.After
	}
	return inv
}
