// Package imagepatch turns an image, wherever it is kept, into its coverage variant: it reads layers as a filesystem,
// has a Plan made from it, and appends the Plan to the image or to every image of an index. Nothing of the image is run.
package imagepatch

import (
	"context"
	"fmt"

	"github.com/covify/covify/plan"
	"github.com/covify/covify/wheel"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Options are how to patch. Payloads is needed; everything else has a useful zero value.
type Options struct {
	Plan     plan.Options
	Payloads func(context.Context, wheel.Target) (*wheel.Payload, error)
	Access   Access
	Platform *v1.Platform // only this platform of an index
	CacheDir string       // for what was learned of layers and outcomes; "" for none
	Identity string       // of covify and its wheels: outcomes are kept for it; "" keeps none
	Workers  int          // layers read at a time, 4 if zero
	Logf     func(format string, args ...any)

	// Within, if set, may make the variant where the image is, before its content is asked for. With nil, nil it leaves that to Patch.
	Within func(context.Context) (*Result, error)
}

// Result is what became of an image.
type Result struct {
	Target    Ref
	Digest    string // of what was written; of the configuration where the place keeps no manifest
	Platforms []Platform
	Dropped   []string // what an index held besides, and why it is gone
	Unchanged bool     // the target was there already, made by the same covify from the same image
}

// Platform is what became of one image of an index, or of the only image.
type Platform struct {
	Platform string // "linux/amd64"; "" if unknown
	Plan     *plan.Plan
	Reason   string // why there is no Plan
}

// Patch writes the variant of the image at src to dst. Errors are *plan.NothingError if no platform has a Python that
// can be covered, *NotFoundError, *AuthError, *EngineError, *CorruptError or *TransientError where they are that. What is at
// dst stays as it was unless all went well.
func Patch(ctx context.Context, src, dst Ref, opts Options) (*Result, error) {
	p := newPatcher(opts)
	o, err := open(ctx, src, &p.opts.Access)
	if err != nil {
		return nil, err
	}
	defer o.Close()
	file := p.knownFile(o, dst)
	if r := p.recall(ctx, file, dst); r != nil {
		return r, nil
	}
	if opts.Within != nil {
		result, err := opts.Within(ctx)
		if err != nil {
			return nil, fmt.Errorf("covifying %s: %w", src, err)
		}
		if result != nil {
			p.remember(ctx, file, result)
			return result, nil
		}
	}
	c, result, err := p.patch(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("covifying %s: %w", src, err)
	}
	result.Target = dst
	if dst.isOCI() && !src.isOCI() {
		if c, err = toOCI(c); err != nil {
			return nil, err
		}
	}
	if err := write(ctx, dst, c, &p.opts.Access); err != nil {
		return nil, err
	}
	if result.Digest, err = digestAt(dst, c); err != nil {
		return nil, err
	}
	p.remember(ctx, file, result)
	return result, nil
}

// Plan returns what Patch would do, and changes nothing.
func Plan(ctx context.Context, src Ref, opts Options) (*Result, error) {
	p := newPatcher(opts)
	o, err := open(ctx, src, &p.opts.Access)
	if err != nil {
		return nil, err
	}
	defer o.Close()
	_, result, err := p.patch(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("looking at %s: %w", src, err)
	}
	return result, nil
}

// digestAt is the digest by which content is known at a place.
func digestAt(ref Ref, c content) (string, error) {
	if c.index == nil && ref.Transport != Registry && !ref.isOCI() && (&archive{content: c}).isLegacy() {
		id, err := c.image.ConfigName()
		return id.String(), err
	}
	d, err := c.digest()
	return d.String(), err
}

type patcher struct {
	opts   Options
	layers layerReader
}

func newPatcher(opts Options) *patcher {
	if opts.Logf == nil {
		opts.Logf = func(string, ...any) {}
	}
	if opts.Workers == 0 {
		opts.Workers = 4
	}
	return &patcher{opts: opts, layers: layerReader{cache: opts.CacheDir, workers: opts.Workers, logf: opts.Logf}}
}

func (p *patcher) patch(ctx context.Context, o *opened) (content, *Result, error) {
	if o.fetch != nil {
		if err := o.fetch(ctx); err != nil {
			return content{}, nil, err
		}
	}
	if o.index != nil {
		return p.patchIndex(ctx, o)
	}
	config, err := o.image.ConfigFile()
	if err != nil {
		return content{}, nil, fmt.Errorf("reading the image configuration: %w", transferError("the image configuration", err))
	}
	if want := p.opts.Platform; want != nil && !config.Platform().Satisfies(*want) {
		return content{}, nil, &NotFoundError{Ref: "for platform " + want.String(), Err: fmt.Errorf("the only image there is for %s", config.Platform())}
	}
	platform := Platform{Platform: config.Platform().String()}
	img, made, err := p.image(ctx, o.image, o.name, o.digest)
	if err != nil {
		return content{}, nil, err
	}
	platform.Plan = made
	return content{image: img, held: o.held}, &Result{Platforms: []Platform{platform}}, nil
}

// image makes the variant of one image.
func (p *patcher) image(ctx context.Context, img v1.Image, name, digest string) (v1.Image, *plan.Plan, error) {
	b, err := newBase(img, name, digest)
	if err != nil {
		return nil, nil, err
	}
	layers, err := p.layers.read(ctx, b.layers, b.diffIDs)
	if err != nil {
		return nil, nil, err
	}
	b.mark(layers, name, digest)
	root := newRootFS()
	for _, entries := range without(layers, b.ours) {
		root.apply(entries)
	}
	facts, err := plan.FindInterpreters(root)
	if err != nil {
		return nil, nil, fmt.Errorf("looking for Python: %w", err)
	}
	payloads, err := plan.Choose(facts, func(t wheel.Target) (*wheel.Payload, error) { return p.opts.Payloads(ctx, t) })
	if err != nil {
		return nil, nil, err
	}
	opts := p.opts.Plan
	if opts.Paths == nil {
		opts.Paths = b.paths
	}
	made, err := plan.Make(root, facts, b.plan, payloads, opts)
	if err != nil {
		return nil, nil, err
	}
	variant, err := apply(b, made, p.opts.CacheDir)
	return variant, made, err
}
