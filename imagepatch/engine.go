package imagepatch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/client"
)

// Engine is a local engine's API socket: Docker's, or podman's, which speaks the same.
type Engine struct {
	Host string // "unix:///var/run/docker.sock", "tcp://..."
}

// EngineError says that no engine answers.
type EngineError struct {
	Host string
	Err  error
}

func (e *EngineError) Error() string {
	return fmt.Sprintf("no container engine answers at %s: %v (start one, or name an image of a registry with docker://)", e.Host, e.Err)
}
func (e *EngineError) Unwrap() error { return e.Err }

// pingTimeout bounds how long an engine may take to answer at all.
const pingTimeout = 3 * time.Second

// connect returns a client of an engine that answers.
func (e *Engine) connect(ctx context.Context) (*client.Client, error) {
	if e == nil || e.Host == "" {
		return nil, &EngineError{"any of the usual sockets", fmt.Errorf("no address known")}
	}
	c, err := client.New(client.WithHost(e.Host))
	if err != nil {
		return nil, &EngineError{e.Host, err}
	}
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	if _, err := c.Ping(ctx, client.PingOptions{NegotiateAPIVersion: true}); err != nil {
		c.Close()
		return nil, &EngineError{e.Host, err}
	}
	return c, nil
}

// Has reports whether the engine holds an image of that name; the error is an *EngineError if the engine does not answer.
func (e *Engine) Has(ctx context.Context, image string) (bool, error) {
	c, err := e.connect(ctx)
	if err != nil {
		return false, err
	}
	defer c.Close()
	_, err = c.ImageInspect(ctx, image)
	if cerrdefs.IsNotFound(err) {
		return false, nil
	}
	return err == nil, err
}

// openDaemon asks the engine for an image, whose content it brings when it is needed.
func openDaemon(ctx context.Context, r Ref, access *Access) (*opened, error) {
	c, err := access.Engine.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	found, err := c.ImageInspect(ctx, r.Name)
	if cerrdefs.IsNotFound(err) {
		return nil, &NotFoundError{r.String(), err}
	}
	if err != nil {
		return nil, fmt.Errorf("inspecting %s: %w", r, err)
	}
	o := &opened{id: found.ID, held: map[string]bool{}}
	if isTagged(found.RepoTags, r.Name) {
		o.name = fullName(r.Name)
	}
	for _, diffID := range found.RootFS.Layers {
		o.held[diffID] = true
	}
	o.fetch = func(ctx context.Context) error { return o.save(ctx, r, access.Engine) }
	return o, nil
}

// save has the engine write the image to a temporary file, the only way it offers to an image's content, and reads it there.
func (o *opened) save(ctx context.Context, r Ref, engine *Engine) error {
	c, err := engine.connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	saved, err := c.ImageSave(ctx, []string{o.id}) // a name without a tag would be all its tags
	if err != nil {
		return fmt.Errorf("saving %s: %w", r, err)
	}
	defer saved.Close()
	file, err := spool(saved)
	if err != nil {
		return fmt.Errorf("saving %s to a temporary file: %w", r, err)
	}
	t := &tarFS{file: file, files: map[string]tarMember{}}
	o.closer = t
	if err := t.index(); err != nil {
		return fmt.Errorf("reading the saved %s: %w", r, err)
	}
	read, err := openDockerArchive(t, "")
	if err != nil {
		return fmt.Errorf("reading the saved %s: %w", r, err)
	}
	o.image, o.index, o.digest = read.image, read.index, read.digest
	return nil
}

// isTagged tells a name from an image ID, which engines take in the same place.
func isTagged(tags []string, n string) bool {
	full := fullName(n)
	return slices.ContainsFunc(tags, func(tag string) bool { return fullName(tag) == full })
}

// loadDaemon hands content to the engine under the name of r.
func loadDaemon(ctx context.Context, r Ref, c content, access *Access) error {
	engine, err := access.Engine.connect(ctx)
	if err != nil {
		return err
	}
	defer engine.Close()
	a := archive{content: c, name: fullName(r.Name)}
	if c.held == nil {
		return load(ctx, engine, r, a)
	}
	a.store = storeOf(ctx, engine)
	err = load(ctx, engine, r, a)
	var missing *missingLayerError
	if errors.As(err, &missing) {
		a.store = otherStore // it lost what it had
		err = load(ctx, engine, r, a)
	}
	return err
}

func load(ctx context.Context, engine *client.Client, r Ref, a archive) error {
	pr, pw := io.Pipe()
	go func() { pw.CloseWithError(a.write(pw)) }()
	defer pr.Close()
	loaded, err := engine.ImageLoad(ctx, pr, client.ImageLoadWithQuiet(true))
	if err != nil {
		return fmt.Errorf("loading %s into the engine: %w", r, err)
	}
	defer loaded.Close()
	return loadResult(r, loaded)
}

// store is how an engine keeps images, as far as loading goes.
type store int

const (
	otherStore      store = iota // wants every layer: podman's
	classicStore                 // Docker's own: loads docker-archives by diffID and reads no layer that it has
	containerdStore              // Docker's from version 29 on: loads OCI layouts, whose blobs may be in its content store already
)

func storeOf(ctx context.Context, c *client.Client) store {
	info, err := c.Info(ctx, client.InfoOptions{})
	if err != nil {
		return otherStore
	}
	for _, kv := range info.Info.DriverStatus {
		if strings.Contains(kv[1], "containerd") {
			return containerdStore
		}
	}
	switch info.Info.Driver {
	case "overlay2", "fuse-overlayfs", "btrfs", "zfs", "vfs", "aufs", "devicemapper":
		if info.Info.DockerRootDir != "" && len(info.Info.Runtimes) > 0 && !strings.Contains(info.Info.DockerRootDir, "containers/storage") {
			return classicStore
		}
	}
	return otherStore
}

// missingLayerError says that an engine was not given a layer that it does not have.
type missingLayerError struct{ message string }

func (e *missingLayerError) Error() string { return e.message }

// loadResult reads the engine's progress messages to their end; an error arrives as one of them.
func loadResult(r Ref, messages io.Reader) error {
	for d := json.NewDecoder(messages); ; {
		var m struct {
			Error  string `json:"error"`
			Stream string `json:"stream"`
		}
		if err := d.Decode(&m); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("loading %s into the engine: %w", r, err)
		}
		if strings.Contains(m.Stream, "Error unpacking image") { // said, and no error otherwise
			return fmt.Errorf("loading %s into the engine: %w", r, &missingLayerError{strings.TrimSpace(m.Stream)})
		}
		if strings.Contains(m.Error, "layer.tar: no such file") { // the classic store knows layers by what is below them, too
			return fmt.Errorf("loading %s into the engine: %w", r, &missingLayerError{m.Error})
		}
		if m.Error != "" {
			return fmt.Errorf("loading %s into the engine: %s", r, m.Error)
		}
	}
}
