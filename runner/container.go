package runner

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path"
	"strings"
	"time"

	"github.com/covify/covify/plan"
)

// Container is what an engine knows of a container.
type Container struct {
	ID, Name string
	Image    string // as it was started with
	Labels   map[string]string
	Running  bool
	ExitCode int
	Ended    time.Time // zero while it runs
	Mounts   []Mount
}

// Container asks the engine about a container by its name or ID. [ErrNotThere] says that it has none such.
func (e Engine) Container(ctx context.Context, name string) (Container, error) {
	found, err := e.Inspect(ctx, name)
	if err != nil {
		return Container{}, err
	}
	c := Container{ID: found.ID, Name: found.Name, Image: cmp.Or(found.ImageName, found.Config.Image), Labels: found.Config.Labels,
		Running: found.State.Running, ExitCode: found.State.ExitCode}
	if !c.Running {
		c.Ended = found.State.FinishedAt
	}
	for _, m := range found.Mounts {
		c.Mounts = append(c.Mounts, Mount{Kind: m.Type, Source: m.Source, Target: m.Destination, ReadOnly: !m.RW})
	}
	return c, nil
}

// Variants are the IDs of the running containers of variants.
func (e Engine) Variants(ctx context.Context) ([]string, error) {
	text, err := exec.CommandContext(ctx, e.Path, "ps", "-q", "--no-trunc", "--filter", "label="+plan.LabelVersion).Output()
	if err != nil {
		return nil, fmt.Errorf("listing the containers of %s: %w", e.Name, withStderr(err))
	}
	return strings.Fields(string(text)), nil
}

// Variant reports whether the container is one of an image that covify made.
func (c Container) Variant() bool { return c.Labels[plan.LabelVersion] != "" }

// dataDir is the data directory in the container.
func (c Container) dataDir() string { return Image{Labels: c.Labels}.dataDir() }

// DataDir is the folder of the engine's machine that holds the container's data; "" where they are in a volume or in the container.
func (c Container) DataDir() string {
	for _, m := range c.Mounts {
		if m.Kind == "bind" && path.Clean(m.Target) == path.Clean(c.dataDir()) {
			return m.Source
		}
	}
	return ""
}

// pythons are the interpreters that the image's label lists.
func (c Container) pythons() ([]string, error) {
	var all []plan.Python
	if err := json.Unmarshal([]byte(c.Labels[plan.LabelPython]), &all); err != nil {
		return nil, fmt.Errorf("reading label %s: %w", plan.LabelPython, err)
	}
	var paths []string
	for _, python := range all {
		paths = append(paths, python.Path)
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("label %s names no interpreter", plan.LabelPython)
	}
	return paths, nil
}
