package solve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/google/renameio/v2"
	bkclient "github.com/moby/buildkit/client"
	"github.com/tonistiigi/go-csvvalue"
)

// Exporters that are no client's constants.
const (
	exporterMoby     = "moby"     // Docker's own: into its image store
	exporterRegistry = "registry" // docker build's word for image,push=true
	exporterNone     = "cacheonly"
)

// Output is where a result goes, as docker build's --output says it.
type Output struct {
	Type  string
	Dest  string // file or folder, "-" for stdout
	Attrs map[string]string
}

// ParseOutput reads type=TYPE,dest=PATH,KEY=VALUE, or the folder alone, or - for a tar archive on stdout.
func ParseOutput(s string) (Output, error) {
	flag := "--output " + s
	fields, err := csvvalue.Fields(s, nil)
	if err != nil {
		return Output{}, &UsageError{flag, err}
	}
	o := Output{Attrs: map[string]string{}}
	switch {
	case s == "-":
		return Output{bkclient.ExporterTar, "-", o.Attrs}, nil
	case len(fields) == 1 && fields[0] == s && !strings.HasPrefix(s, "type="):
		return Output{bkclient.ExporterLocal, s, o.Attrs}, nil
	}
	for _, field := range fields {
		key, value, ok := strings.Cut(field, "=")
		if !ok {
			return Output{}, &UsageError{flag, fmt.Errorf("%q is not KEY=VALUE", field)}
		}
		switch key = strings.ToLower(strings.TrimSpace(key)); key {
		case "type":
			o.Type = value
		case "dest":
			o.Dest = value
		default:
			o.Attrs[key] = value
		}
	}
	if o.Type == "" {
		return Output{}, &UsageError{flag, errors.New("type= is missing")}
	}
	return o, nil
}

// exports are the outputs of a request, made ready for one BuildKit.
type exports struct {
	entries []bkclient.ExportEntry
	files   []*file  // to be put in place after success
	loads   []*load  // to be awaited after success
	push    []string // names that the classic store's engine pushes afterwards
	load    bool     // the result is in the engine
	pushed  bool
	names   []string // of images, from the outputs themselves
	places  []string // files and folders, as the user named them
}

// exports chooses exporters as docker build does: a result goes into Docker's own store if nothing else is said.
func (b *BuildKit) exports(ctx context.Context, r *Request) (*exports, error) {
	outputs := slices.Clone(r.Outputs)
	if r.Load {
		outputs = append(outputs, Output{Type: bkclient.ExporterDocker})
	}
	if r.Push {
		outputs = append(outputs, Output{Type: exporterRegistry})
	}
	if len(outputs) == 0 && b.Store != NoStore {
		outputs = []Output{{Type: bkclient.ExporterImage}}
	}
	x := &exports{}
	for _, o := range outputs {
		if o.Type == exporterNone {
			continue
		}
		entry, err := x.entry(ctx, b, r, o)
		if err != nil {
			x.discard()
			return nil, err
		}
		x.entries = append(x.entries, entry)
	}
	return x, nil
}

func (x *exports) entry(ctx context.Context, b *BuildKit, r *Request, o Output) (bkclient.ExportEntry, error) {
	e := bkclient.ExportEntry{Type: o.Type, Attrs: maps.Clone(o.Attrs)}
	if e.Attrs == nil {
		e.Attrs = map[string]string{}
	}
	maps.Copy(e.Attrs, r.Annotations)
	switch e.Type {
	case exporterRegistry:
		e.Type, e.Attrs["push"] = bkclient.ExporterImage, "true"
	case bkclient.ExporterLocal:
		return e, x.folder(&e, o)
	}
	if len(r.Tags) > 0 && e.Type != bkclient.ExporterTar {
		e.Attrs["name"] = strings.Join(r.Tags, ",")
	}
	if name := e.Attrs["name"]; name != "" {
		x.names = strings.Split(name, ",")
	}
	switch e.Type {
	case bkclient.ExporterTar:
		return e, x.archive(&e, o, r)
	case bkclient.ExporterOCI, bkclient.ExporterDocker:
		if (e.Type == bkclient.ExporterOCI || o.Dest != "") && b.Store == ClassicStore {
			return e, &UsageError{"--output type=" + e.Type, errors.New("the classic image store of Docker writes no image archives; a builder of docker buildx create does, as does docker save afterwards")}
		}
		if e.Type == bkclient.ExporterOCI || o.Dest != "" {
			return e, x.archive(&e, o, r)
		}
		x.load = true
		if b.Store == NoStore {
			l, err := newLoad(ctx, b.host, &e)
			x.loads = append(x.loads, l)
			return e, err
		}
		e.Type = bkclient.ExporterImage
	}
	if e.Type == bkclient.ExporterImage {
		return e, x.image(&e, b)
	}
	return e, nil
}

// image is for images that stay where BuildKit is, and are pushed from there if they are.
func (x *exports) image(e *bkclient.ExportEntry, b *BuildKit) error {
	push, _ := strconv.ParseBool(e.Attrs["push"])
	if push && e.Attrs["name"] == "" {
		return &UsageError{"--push", errors.New("needs --tag, the name of what is pushed")}
	}
	x.pushed = x.pushed || push
	if b.Store == NoStore {
		return nil
	}
	x.load, e.Type = true, exporterMoby
	switch {
	case b.Store == ContainerdStore:
		e.Attrs["prefer-image-digest"] = "true"
	case push: // its exporter cannot
		delete(e.Attrs, "push")
		x.push = append(x.push, strings.Split(e.Attrs["name"], ",")...)
	}
	return nil
}

func (x *exports) folder(e *bkclient.ExportEntry, o Output) error {
	if o.Dest == "" || o.Dest == "-" {
		return &UsageError{"--output type=local", errors.New("needs dest=FOLDER")}
	}
	e.OutputDir = o.Dest
	x.places = append(x.places, o.Dest)
	return nil
}

// archive is for outputs that are one file; tar=false makes a folder of an image's.
func (x *exports) archive(e *bkclient.ExportEntry, o Output, r *Request) error {
	flag := "--output type=" + o.Type
	if tar, err := strconv.ParseBool(o.Attrs["tar"]); err == nil && !tar && o.Type != bkclient.ExporterTar {
		return x.folder(e, o)
	}
	if o.Dest == "-" || o.Dest == "" {
		if r.Stdout == nil {
			return &UsageError{flag, errors.New("needs dest=FILE: stdout is a terminal")}
		}
		e.Output = func(map[string]string) (io.WriteCloser, error) { return keepOpen{r.Stdout}, nil }
		x.places = append(x.places, "-")
		return nil
	}
	if info, err := os.Stat(o.Dest); err == nil && info.IsDir() {
		return &UsageError{flag + ",dest=" + o.Dest, errors.New("is a folder; a file is wanted")}
	}
	f, err := newFile(o.Dest)
	if err != nil {
		return &UsageError{flag + ",dest=" + o.Dest, err}
	}
	e.Output = func(map[string]string) (io.WriteCloser, error) { return keepOpen{f}, nil }
	x.files = append(x.files, f)
	x.places = append(x.places, o.Dest)
	return nil
}

// keepOpen is closed by whoever opened it.
type keepOpen struct{ io.Writer }

func (keepOpen) Close() error { return nil }

// file is a result that appears when it is whole.
type file struct{ *renameio.PendingFile }

func newFile(path string) (*file, error) {
	f, err := renameio.NewPendingFile(path, renameio.WithPermissions(0o644))
	if err != nil {
		return nil, err
	}
	return &file{f}, nil
}

// finish puts files in place, waits for the engine, pushes.
func (x *exports) finish(ctx context.Context, b *BuildKit, r *Request) error {
	defer x.discard()
	for _, l := range x.loads {
		if err := l.wait(); err != nil {
			return err
		}
	}
	for _, f := range x.files {
		if err := f.CloseAtomicallyReplace(); err != nil {
			return err
		}
	}
	for _, name := range x.push {
		if err := push(ctx, b.host, name, r.Credentials); err != nil {
			return err
		}
	}
	return nil
}

// discard removes what is not in its place.
func (x *exports) discard() {
	for _, f := range x.files {
		_ = f.Cleanup()
	}
	for _, l := range x.loads {
		if l != nil {
			l.stop()
		}
	}
}
