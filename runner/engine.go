package runner

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"strings"
	"time"
)

// engineNames are the engines in the order in which they are tried.
var engineNames = []string{"docker", "podman", "nerdctl"}

// patience is how long an engine here may take to answer before it counts as not there.
const patience = 900 * time.Millisecond

// Engine is a container engine: its own command, and its API where that answers.
type Engine struct {
	Name     string // docker, podman or nerdctl
	Path     string // of its command
	Endpoint Endpoint

	api bool // Endpoint can be asked; otherwise the command is
}

// HasAPI reports whether Endpoint answers. An engine without is asked by its command.
func (e Engine) HasAPI() bool { return e.api }

// EngineError says that no engine can be used, with what was tried.
type EngineError struct {
	Tried []EngineTried
}

// EngineTried is one engine that cannot be used.
type EngineTried struct {
	Name     string
	Endpoint Endpoint // zero when its command is not there
	Err      error
}

func (e *EngineError) Error() string {
	var reasons []string
	for _, tried := range e.Tried {
		reason := tried.Name + ": " + tried.Err.Error()
		if tried.Endpoint.Address != "" {
			reason = fmt.Sprintf("%s at %s (%s): %v", tried.Name, tried.Endpoint.Address, tried.Endpoint.Origin, tried.Err)
		}
		reasons = append(reasons, reason)
	}
	return "no container engine answers: " + strings.Join(reasons, "; ")
}

func (e *EngineError) Unwrap() []error {
	var all []error
	for _, tried := range e.Tried {
		all = append(all, tried.Err)
	}
	return all
}

// Hint says what the user can do about it.
func (e *EngineError) Hint() string {
	for _, tried := range e.Tried {
		if tried.Endpoint.Address != "" {
			return fmt.Sprintf("start %s, or point %s at one that runs, or choose another with --engine",
				tried.Name, addressVariable(tried.Name))
		}
	}
	return "install docker, podman or nerdctl, or put it on PATH"
}

func addressVariable(engine string) string {
	if engine == "podman" {
		return "CONTAINER_HOST"
	}
	return "DOCKER_HOST"
}

// FindEngine returns the engine to use: the one named, else the first of docker, podman and nerdctl that is
// there. An address the user set is not passed over. It takes at most a second; the error is *EngineError.
func FindEngine(ctx context.Context, name string, host Host) (Engine, error) {
	names := engineNames
	if name != "" {
		names = []string{name}
	}
	var failed EngineError
	for _, name := range names {
		engine, err := tryEngine(ctx, name, host)
		if err == nil {
			return engine, nil
		}
		failed.Tried = append(failed.Tried, EngineTried{name, engine.Endpoint, err})
		if origin := engine.Endpoint.Origin; origin != "" && origin != "default" {
			break
		}
	}
	return Engine{}, &failed
}

func tryEngine(ctx context.Context, name string, host Host) (Engine, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return Engine{}, errors.New("its command is not on PATH")
	}
	engine := Engine{Name: name, Path: path}
	switch name {
	case "docker":
		if engine.Endpoint, err = DockerEndpoint(host); err != nil {
			return engine, err
		}
	case "podman":
		engine.Endpoint = PodmanEndpoint(host)
	default:
		return engine, nil
	}
	err = engine.Endpoint.ping(ctx)
	engine.api = err == nil
	if errors.Is(err, errNoDial) || (name == "podman" && engine.Endpoint.Origin == "default") {
		return engine, nil // its command can be asked
	}
	return engine, err
}

// ping asks whether an API answers at all, within patience for one on this machine.
func (e Endpoint) ping(ctx context.Context) error {
	limit := patience
	if e.Remote() {
		limit *= 5
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	status, _, err := e.get(ctx, "/_ping", nil)
	if failed := new(url.Error); errors.As(err, &failed) {
		if failed.Timeout() {
			return fmt.Errorf("no answer within %v", limit)
		}
		return failed.Err // the URL is not the user's
	}
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("answers /_ping with status %d", status)
	}
	return err
}

// get asks the API for a path. API paths go without a version: each daemon then takes its own.
func (e Endpoint) get(ctx context.Context, path string, query url.Values) (int, []byte, error) {
	client, base, err := e.client(patience)
	if err != nil {
		return 0, nil, err
	}
	base.Path, base.RawQuery = path, query.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, base.String(), nil)
	if err != nil {
		return 0, nil, err
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response.StatusCode, body, err
}

// ErrNotThere says that the engine has no such image or container.
var ErrNotThere = errors.New("the engine does not have it")

// inspect fills out with what the engine knows of an image or a container.
func (e Engine) inspect(ctx context.Context, noun, name string, query url.Values, out any) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if !e.api {
		return e.inspectByCommand(ctx, noun, name, out)
	}
	path := "/" + noun + "s/" + name + "/json"
	if e.Name == "podman" {
		path = "/v4.0.0/libpod" + path // its Docker paths take short names for docker.io's only
	}
	status, body, err := e.Endpoint.get(ctx, path, query)
	switch {
	case err != nil:
		return fmt.Errorf("asking %s about %s %q: %w", e.Name, noun, name, err)
	case status == http.StatusNotFound && e.Name == "podman" && e.Endpoint.Origin == "default":
		return e.inspectByCommand(ctx, noun, name, out) // its service may use another storage
	case status == http.StatusNotFound:
		return ErrNotThere
	case status != http.StatusOK:
		return fmt.Errorf("asking %s about %s %q: status %d: %s", e.Name, noun, name, status, bytes.TrimSpace(body))
	}
	return json.Unmarshal(body, out)
}

func (e Engine) inspectByCommand(ctx context.Context, noun, name string, out any) error {
	text, err := exec.CommandContext(ctx, e.Path, noun, "inspect", name).Output()
	if err != nil {
		// Only a list tells a thing that is not there from an engine that is not there.
		list := []string{"images", "-q", name}
		if noun == "container" {
			list = []string{"ps", "-q", "-a"}
		}
		if exec.CommandContext(ctx, e.Path, list...).Run() == nil {
			return ErrNotThere
		}
		return fmt.Errorf("asking %s about %s %q: %w", e.Name, noun, name, withStderr(err))
	}
	var all []json.RawMessage
	if err := json.Unmarshal(text, &all); err != nil || len(all) == 0 {
		return fmt.Errorf("asking %s about %s %q: its answer is not the list expected", e.Name, noun, name)
	}
	return json.Unmarshal(all[0], out)
}

func withStderr(err error) error {
	if exit := new(exec.ExitError); errors.As(err, &exit) && len(exit.Stderr) > 0 {
		return fmt.Errorf("%w: %s", err, bytes.TrimSpace(exit.Stderr))
	}
	return err
}
