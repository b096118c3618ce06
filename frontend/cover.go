package frontend

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/covify/covify/llbgen"
	"github.com/covify/covify/plan"
	"github.com/covify/covify/wheel"
	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/exporter/containerimage/exptypes"
	"github.com/moby/buildkit/frontend/gateway/client"
	"github.com/moby/buildkit/solver/pb"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
)

// A variant is what became of one image.
type variant struct {
	ref    client.Reference
	config []byte // image configuration
	plan   *plan.Plan
}

// cover replaces the reference and the configuration of every platform of a result.
func (f Frontend) cover(ctx context.Context, b *build, res *client.Result) (*client.Result, error) {
	parsed, err := exptypes.ParsePlatforms(res.Metadata)
	if err != nil {
		return nil, err
	}
	made := make([]*variant, len(parsed.Platforms))
	group, groupCtx := errgroup.WithContext(ctx)
	for i, p := range parsed.Platforms {
		ref, _ := res.FindRef(p.ID)
		config := res.Metadata[configKey(res, p.ID)]
		group.Go(func() (err error) {
			made[i], err = f.orNothing(groupCtx, b, p.ID, ref, config)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	for i, p := range parsed.Platforms {
		if made[i] == nil {
			continue
		}
		if len(res.Refs) > 0 {
			res.AddRef(p.ID, made[i].ref)
		} else {
			res.SetRef(made[i].ref)
		}
		res.AddMeta(configKey(res, p.ID), made[i].config)
		if err := b.addSBOM(ctx, res, p.ID, made[i].plan); err != nil {
			return nil, err
		}
	}
	return res, nil
}

// orNothing makes the variant of one platform's image. One that holds no Python to be covered is left as it is, with a word to the
// user: nil. It is an error where the user wants that, or has asked for a coverage version that does not fit.
func (f Frontend) orNothing(ctx context.Context, b *build, platform string, ref client.Reference, config []byte) (*variant, error) {
	v, err := f.variant(ctx, b, ref, config, plan.Image{})
	var nothing *plan.NothingError
	if errors.As(err, &nothing) && !b.settings.strict && (b.settings.coverage == "" || len(nothing.Skipped) == 0) {
		return nil, b.say(ctx, fmt.Sprintf("covify: %s is left as it is: %v", platform, err))
	}
	if err != nil {
		return nil, fmt.Errorf("covify: platform %s: %w", platform, err)
	}
	return v, nil
}

// say tells the user by a step that does nothing but bear the words: a warning of BuildKit's own would be counted among those that
// the Dockerfile's checks find.
func (b *build) say(ctx context.Context, words string) error {
	step := llb.Scratch().File(llb.Mkfile("/covify", 0o444, nil), llb.WithCustomName(words))
	def, err := step.Marshal(ctx, llb.WithCaps(*b.caps()))
	if err != nil {
		return err
	}
	_, err = b.Solve(ctx, client.SolveRequest{Definition: def.ToPB(), Evaluate: true})
	return err
}

// configKey is where the platform's image configuration is: with the platform in the key if there is one.
func configKey(res *client.Result, id string) string {
	key := exptypes.ExporterImageConfigKey + "/" + id
	if _, ok := res.Metadata[key]; ok || len(res.Refs) > 0 {
		return key
	}
	return exptypes.ExporterImageConfigKey
}

// Image makes the variant of an image that is not built here: its filesystem, its configuration, and how it is called. It returns
// the variant's filesystem, configuration and Plan. The error is a *plan.NothingError if there is no Python to be covered.
func (f Frontend) Image(ctx context.Context, c client.Client, ref client.Reference, config []byte, name, digest string) (client.Reference, []byte, *plan.Plan, error) {
	b, err := newBuild(c)
	if err != nil {
		return nil, nil, nil, err
	}
	v, err := f.variant(ctx, b, ref, config, plan.Image{Name: name, Digest: digest})
	if err != nil {
		return nil, nil, nil, err
	}
	return v.ref, v.config, v.plan, nil
}

// variant makes the variant of one image, of which called holds the name and the digest.
func (f Frontend) variant(ctx context.Context, b *build, ref client.Reference, config []byte, called plan.Image) (*variant, error) {
	img, err := readConfig(config)
	if err != nil {
		return nil, err
	}
	if ref == nil { // of FROM scratch without a file
		return nil, &plan.NothingError{}
	}
	if img.OS != "" && img.OS != "linux" {
		return nil, &plan.NothingError{Skipped: []plan.Skip{{Path: img.OS, Reason: "not a Linux image"}}}
	}
	called.Env, called.Labels, called.WorkingDir = img.Config.Env, img.Config.Labels, img.Config.WorkingDir
	base, covered := plan.Restore(called)
	root := newRefFS(ctx, ref)
	p, err := f.plan(ctx, b, root, base)
	if err != nil {
		return nil, err
	}
	rendered := *p
	if covered && root.holds(p) {
		rendered.Layers = nil
	} else if ref, err = f.render(ctx, b, ref, p, covered); err != nil {
		return nil, err
	}
	edited, err := llbgen.Config(config, &rendered)
	return &variant{ref, edited, p}, err
}

// render solves p over ref. Files of another covify, which a FROM line can bring, are removed.
func (f Frontend) render(ctx context.Context, b *build, ref client.Reference, p *plan.Plan, covered bool) (client.Reference, error) {
	state, err := ref.ToState()
	if err != nil {
		return nil, err
	}
	if covered {
		state = state.File(llb.Rm(plan.PayloadRoot, llb.WithAllowNotFound(true)), llb.WithCustomName("[covify] without the files of another covify"))
	}
	opts := llbgen.Options{Merge: b.caps().Supports(pb.CapMergeOp) == nil}
	if f.Blobs != nil {
		if opts.Blobs, err = f.Blobs(ctx, b, p); err != nil {
			return nil, err
		}
	}
	return b.solve(ctx, llbgen.State(state, p, opts))
}

func (b *build) solve(ctx context.Context, state llb.State) (client.Reference, error) {
	def, err := state.Marshal(ctx, llb.WithCaps(*b.caps()))
	if err != nil {
		return nil, err
	}
	solved, err := b.Solve(ctx, client.SolveRequest{Definition: def.ToPB(), CacheImports: b.imports})
	if err != nil {
		return nil, err
	}
	return solved.SingleRef()
}

func (f Frontend) plan(ctx context.Context, b *build, root *refFS, base plan.Image) (*plan.Plan, error) {
	facts, err := plan.FindInterpreters(root)
	if err != nil {
		return nil, err
	}
	payloads, err := plan.Choose(facts, func(t wheel.Target) (*wheel.Payload, error) { return f.Payloads(ctx, t, b.settings.coverage) })
	if err != nil {
		return nil, err
	}
	return plan.Make(root, facts, base, payloads, plan.Options{
		Version: f.Version, DataDir: b.settings.dataDir, NoEnv: b.settings.noEnv, Paths: dockerfilePaths(b.file, b.opts),
	})
}

func readConfig(raw []byte) (*ocispecs.Image, error) {
	img := &ocispecs.Image{}
	if len(raw) == 0 {
		return img, nil
	}
	if err := json.Unmarshal(raw, img); err != nil {
		return nil, fmt.Errorf("reading the image configuration: %w", err)
	}
	return img, nil
}

// holds tells whether every file of p is there as p has it.
func (r *refFS) holds(p *plan.Plan) bool {
	for _, l := range p.Layers {
		for _, f := range l.Files {
			found, err := r.find("lstat", f.Path[1:])
			if err != nil || found.Mode() != f.Mode {
				return false
			}
			if f.Mode.IsDir() {
				continue
			}
			if data, err := r.read(f.Path[1:], nil); err != nil || !bytes.Equal(data, f.Data) {
				return false
			}
		}
	}
	return true
}
