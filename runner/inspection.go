package runner

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"time"
)

// Inspection is all that an engine knows of one of its containers, as far as its coverage goes.
type Inspection struct {
	ID        string
	Name      string
	ImageName string // podman's, of what its user named
	State     struct {
		Running, Paused, OOMKilled bool
		ExitCode                   int
		FinishedAt                 time.Time
	}
	Config struct {
		Image      string // as its user named it
		Env        []string
		User       string
		Entrypoint commandWords
		Cmd        commandWords
		Labels     map[string]string
	}
	Mounts []struct {
		Type        string // bind, volume or tmpfs
		Name        string // of a volume
		Source      string
		Destination string
		RW          bool
	}
	HostConfig struct {
		ReadonlyRootfs bool
		Tmpfs          map[string]string
	}
}

// commandWords are argv, which some releases of podman write as one string.
type commandWords []string

// UnmarshalJSON implements json.Unmarshaler.
func (w *commandWords) UnmarshalJSON(text []byte) error {
	var line string
	if json.Unmarshal(text, &line) == nil {
		*w = strings.Fields(line)
		return nil
	}
	return json.Unmarshal(text, (*[]string)(w))
}

// Inspect asks the engine about a container by its name or ID. [ErrNotThere] says that it has none.
func (e Engine) Inspect(ctx context.Context, name string) (Inspection, error) {
	var found Inspection
	err := e.inspect(ctx, "container", name, nil, &found)
	found.Name = strings.TrimPrefix(found.Name, "/")
	return found, err
}

// Exec runs a command in a running container as its own user, with the variables given, and returns what it writes to stdout.
func (e Engine) Exec(ctx context.Context, container string, env []string, argv ...string) ([]byte, error) {
	args := []string{"exec"}
	for _, setting := range env {
		args = append(args, "-e", setting)
	}
	args = append(append(args, container), argv...)
	out, err := exec.CommandContext(ctx, e.Path, args...).Output()
	if err != nil {
		return nil, fmt.Errorf("running %s in container %q: %w", argv[0], container, withStderr(err))
	}
	return out, nil
}

// Release is what an engine is.
type Release struct {
	Version  string
	BuildKit bool // it builds in BuildKit
}

// Release asks the engine for its version.
func (e Engine) Release(ctx context.Context) (Release, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if !e.api {
		out, err := exec.CommandContext(ctx, e.Path, "--version").Output()
		if err != nil {
			return Release{}, fmt.Errorf("asking %s for its version: %w", e.Name, withStderr(err))
		}
		fields := append([]string{"unknown"}, strings.Fields(string(out))...)
		return Release{Version: fields[len(fields)-1]}, nil
	}
	status, body, err := e.Endpoint.get(ctx, "/version", nil)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("status %d", status)
	}
	var answer struct {
		Version    string
		APIVersion string `json:"ApiVersion"`
		Components []struct{ Name string }
	}
	if err == nil {
		err = json.Unmarshal(body, &answer)
	}
	if err != nil {
		return Release{}, fmt.Errorf("asking %s for its version: %w", e.Name, err)
	}
	r := Release{Version: answer.Version, BuildKit: hasBuildKit(answer.APIVersion)}
	for _, part := range answer.Components {
		if strings.HasPrefix(part.Name, "Podman") {
			r.BuildKit = false
		}
	}
	return r, nil
}

// hasBuildKit tells by the version of Docker's API: BuildKit is part of it since 18.09.
func hasBuildKit(api string) bool {
	var major, minor int
	n, err := fmt.Sscanf(api, "%d.%d", &major, &minor)
	return err == nil && n == 2 && (major > 1 || minor >= 39)
}
