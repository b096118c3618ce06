package runner

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os/exec"
	"path"
	"slices"
	"strings"

	"github.com/covify/covify/covdata"
)

// contentsLabel marks a container that is there to have files copied out of it, and never runs.
const contentsLabel = "io.covify.sources"

// few is how many files of a directory are copied one by one; of more the directory is.
const few = 4

// mostAgain is how many files are copied by themselves that were not found in the part of a directory that was read.
const mostAgain = 50

// mostOfDirectory is how many bytes of a directory are read in search of files.
const mostOfDirectory = 1 << 30

// Contents gives the files of an image, or of its container if that is named, to take, and runs nothing. A path that there is none for
// is not an error. [ErrNotThere] says that the engine has no such image, or no such container of that image.
func (e Engine) Contents(ctx context.Context, image covdata.Image, paths []string, take func(path string, content io.Reader) error) error {
	container, remove, err := e.still(ctx, image)
	if err != nil {
		return err
	}
	defer remove()
	c := copying{engine: e, container: container, missing: map[string]bool{}, take: take}
	for _, p := range paths {
		c.missing[p] = true
	}
	for _, from := range sourcesOf(paths) {
		if err := c.from(ctx, from); err != nil {
			return fmt.Errorf("copying files of image %q: %w", image.Name, err)
		}
	}
	return nil
}

// still gives a container that has an image's files, and what is to be done with it at last.
func (e Engine) still(ctx context.Context, image covdata.Image) (container string, remove func(), err error) {
	if image.Container != "" {
		var found struct{ ID, Image string }
		err := e.inspect(ctx, "container", image.Container, nil, &found)
		if err == nil && found.Image != image.ID {
			err = ErrNotThere
		}
		return found.ID, func() {}, err
	}
	if _, err := e.Image(ctx, image.ID, image.Platform); err != nil {
		return "", nil, err
	}
	args := []string{"create", "--pull=never", "--network=none", "--label", contentsLabel + "=" + image.Name}
	if image.Platform != "" {
		args = append(args, "--platform", image.Platform)
	}
	if e.Name == "podman" {
		args = append(args, "--image-volume=ignore") // it would be empty
	}
	out, err := exec.CommandContext(ctx, e.Path, append(args, image.ID, "true")...).Output()
	if err != nil {
		return "", nil, fmt.Errorf("making a container of image %q: %w", image.Name, withStderr(err))
	}
	lines := strings.Fields(string(out))
	if len(lines) == 0 {
		return "", nil, fmt.Errorf("making a container of image %q: %s names none", image.Name, e.Name)
	}
	container = lines[len(lines)-1]
	return container, func() {
		_ = exec.CommandContext(context.WithoutCancel(ctx), e.Path, "rm", "-f", "-v", container).Run() // nothing else can be done about it
	}, nil
}

// copying takes files out of a container.
type copying struct {
	engine    Engine
	container string
	missing   map[string]bool // what was not found yet
	take      func(path string, content io.Reader) error
}

// from copies what is wanted of a directory, or a file. What is no file of its own in the directory's archive (a hard link) or lies
// beyond the most that is read is copied by itself.
func (c *copying) from(ctx context.Context, s source) error {
	again, err := c.archive(ctx, s.path)
	if err != nil || !s.directory {
		return err
	}
	for _, p := range again {
		if _, err := c.archive(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

var errFound = errors.New("all is found")

// archive reads the archive of a path, and returns what else has to be asked for by itself.
func (c *copying) archive(ctx context.Context, from string) (again []string, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	command := exec.CommandContext(ctx, c.engine.Path, "cp", c.container+":"+from, "-")
	out, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, err
	}
	limited := &io.LimitedReader{R: out, N: mostOfDirectory}
	again, readErr := c.read(limited, from)
	cancelled := ctx.Err()
	cancel() // it may have more to say
	failed := command.Wait()
	switch {
	case cancelled != nil:
		return nil, cancelled
	case errors.Is(readErr, errFound):
		return again, nil
	case limited.N == 0 && len(again) <= mostAgain:
		return again, nil
	case readErr != nil:
		return nil, c.there(context.WithoutCancel(ctx), readErr)
	case failed != nil:
		return again, c.there(context.WithoutCancel(ctx), nil) // nothing is at that path
	}
	return again, nil
}

// there returns an error if the container cannot be asked any more, else the one given.
func (c *copying) there(ctx context.Context, err error) error {
	var answer struct{ ID string }
	return errors.Join(c.engine.inspect(ctx, "container", c.container, nil, &answer), err)
}

// read takes the wanted files of an archive. The error is errFound once there is no more to be found.
func (c *copying) read(r io.Reader, from string) (again []string, err error) {
	archive := tar.NewReader(r)
	below := c.below(from)
	for len(below) > 0 {
		header, err := archive.Next()
		if err == io.EOF {
			return again, nil
		}
		if err != nil {
			return append(again, slices.Sorted(maps.Keys(below))...), err
		}
		name := place(from, header.Name)
		switch {
		case !below[name]:
		case header.Typeflag == tar.TypeReg:
			if err := c.take(name, archive); err != nil {
				return nil, err
			}
			delete(c.missing, name)
			delete(below, name)
		case header.Typeflag == tar.TypeLink && name != from:
			again = append(again, name)
			delete(below, name)
		}
	}
	return again, errFound
}

func (c *copying) below(from string) map[string]bool {
	found := map[string]bool{}
	for p := range c.missing {
		if p == from || strings.HasPrefix(p, strings.TrimSuffix(from, "/")+"/") {
			found[p] = true
		}
	}
	return found
}

// place is where an entry of the archive of a path lies in the container: archives begin with the path's last name.
func place(from, name string) string {
	name = path.Clean("/" + name)[1:]
	if first, _, _ := strings.Cut(name, "/"); first == path.Base(from) {
		return path.Join(path.Dir(from), name)
	}
	return path.Join(from, name)
}

// source is a path that is copied as a whole.
type source struct {
	path      string
	directory bool
}

// broad are directories of which only parts are copied: most of what they hold is not a program's own.
var broad = map[string]bool{"/": true, "/usr": true, "/usr/local": true, "/usr/lib": true, "/usr/local/lib": true, "/opt": true, "/home": true,
	"/root": true, "/srv": true, "/var": true, "/var/lib": true, "/tmp": true, "/mnt": true}

// sourcesOf says what to copy for the files at paths: few files one by one, of more the directory that has them.
func sourcesOf(paths []string) []source {
	return sourcesBelow("/", slices.Sorted(slices.Values(paths)))
}

func sourcesBelow(dir string, paths []string) []source {
	var all []source
	if len(paths) <= few {
		for _, p := range paths {
			all = append(all, source{path: p})
		}
		return all
	}
	byName := map[string][]string{}
	for _, p := range paths {
		name, _, _ := strings.Cut(strings.TrimPrefix(p[len(strings.TrimSuffix(dir, "/")):], "/"), "/")
		byName[name] = append(byName[name], p)
	}
	if len(byName) > 1 && !isBroad(dir) {
		return []source{{dir, true}}
	}
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		all = append(all, sourcesBelow(path.Join(dir, name), byName[name])...)
	}
	return all
}

func isBroad(dir string) bool {
	base := path.Base(dir)
	return broad[dir] || base == "site-packages" || base == "dist-packages" || (strings.HasPrefix(base, "python") && path.Base(path.Dir(dir)) == "lib")
}
