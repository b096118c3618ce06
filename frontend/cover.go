package frontend

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/covify/covify/llbgen"
	"github.com/covify/covify/plan"
	"github.com/covify/covify/wheel"
	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/exporter/containerimage/exptypes"
	"github.com/moby/buildkit/frontend/gateway/client"
	"github.com/moby/buildkit/solver/pb"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

// Frontend makes variants of build results.
type Frontend struct {
	Version  string                                                              // covify's
	Payloads func(context.Context, wheel.Target, string) (*wheel.Payload, error) // the payload for a target, of a coverage version or the newest
}

// settingPrefix marks the build args that are for covify.
const settingPrefix = "build-arg:COVIFY_"

// settings are the user's choices, given as build args.
type settings struct {
	coverage string // COVIFY_COVERAGE: version
	dataDir  string // COVIFY_DATA_DIR
	noEnv    bool   // COVIFY_NO_ENV=1
	strict   bool   // COVIFY_STRICT=1: an image without Python is an error
}

func parseSettings(opts map[string]string) (s settings, err error) {
	for key, value := range opts {
		name, ours := strings.CutPrefix(key, settingPrefix)
		if !ours {
			continue
		}
		switch name {
		case "COVERAGE":
			s.coverage = value
		case "DATA_DIR":
			s.dataDir = value
		case "NO_ENV":
			s.noEnv = value == "1" || value == "true"
		case "STRICT":
			s.strict = value == "1" || value == "true"
		default:
			return s, fmt.Errorf("covify: unknown build arg COVIFY_%s; there are COVIFY_COVERAGE, COVIFY_DATA_DIR, COVIFY_NO_ENV and COVIFY_STRICT", name)
		}
	}
	return s, nil
}

// cover replaces the reference and the configuration of every platform of a result.
func (f Frontend) cover(ctx context.Context, c client.Client, res *client.Result, opts map[string]string, s settings) (*client.Result, error) {
	platforms, err := exptypes.ParsePlatforms(res.Metadata)
	if err != nil {
		return nil, err
	}
	imports, err := cacheImports(opts)
	if err != nil {
		return nil, err
	}
	for _, p := range platforms.Platforms {
		ref, _ := res.FindRef(p.ID)
		key := configKey(res, p.ID)
		made, config, err := f.platform(ctx, c, ref, res.Metadata[key], imports, s)
		var nothing *plan.NothingError
		switch {
		case errors.As(err, &nothing) && !s.strict:
			if err := warn(ctx, c, fmt.Sprintf("covify: %s is left as it is: %v", p.ID, err)); err != nil {
				return nil, err
			}
			continue
		case err != nil:
			return nil, fmt.Errorf("covify: platform %s: %w", p.ID, err)
		}
		if len(res.Refs) > 0 {
			res.AddRef(p.ID, made)
		} else {
			res.SetRef(made)
		}
		res.AddMeta(key, config)
	}
	return res, nil
}

// configKey is where the platform's image configuration is: with the platform in the key if there is one.
func configKey(res *client.Result, id string) string {
	key := exptypes.ExporterImageConfigKey + "/" + id
	if _, ok := res.Metadata[key]; ok || len(res.Refs) > 0 {
		return key
	}
	return exptypes.ExporterImageConfigKey
}

func warn(ctx context.Context, c client.Client, words string) error {
	return c.Warn(ctx, "", words, client.WarnOpts{Level: 1})
}

// platform makes the variant of one image.
func (f Frontend) platform(ctx context.Context, c client.Client, ref client.Reference, config []byte, imports []client.CacheOptionsEntry, s settings) (client.Reference, []byte, error) {
	img, err := readConfig(config)
	if err != nil {
		return nil, nil, err
	}
	if ref == nil {
		return nil, nil, &plan.NothingError{}
	}
	if img.OS != "" && img.OS != "linux" {
		return nil, nil, &plan.NothingError{Skipped: []plan.Skip{{Path: img.OS, Reason: "not a Linux image"}}}
	}
	p, err := f.plan(ctx, ref, img, s)
	if err != nil {
		return nil, nil, err
	}
	state, err := ref.ToState()
	if err != nil {
		return nil, nil, err
	}
	caps := c.BuildOpts().LLBCaps
	def, err := llbgen.State(state, p, llbgen.Options{Merge: caps.Supports(pb.CapMergeOp) == nil}).Marshal(ctx, llb.WithCaps(caps))
	if err != nil {
		return nil, nil, err
	}
	solved, err := c.Solve(ctx, client.SolveRequest{Definition: def.ToPB(), CacheImports: imports})
	if err != nil {
		return nil, nil, err
	}
	made, err := solved.SingleRef()
	if err != nil {
		return nil, nil, err
	}
	edited, err := llbgen.Config(config, p)
	return made, edited, err
}

func (f Frontend) plan(ctx context.Context, ref client.Reference, img *ocispecs.Image, s settings) (*plan.Plan, error) {
	root := newRefFS(ctx, ref)
	facts, err := plan.FindInterpreters(root)
	if err != nil {
		return nil, err
	}
	payloads, err := plan.Choose(facts, func(t wheel.Target) (*wheel.Payload, error) { return f.Payloads(ctx, t, s.coverage) })
	if err != nil {
		return nil, err
	}
	base, _, _ := plan.Restore(plan.Image{Env: img.Config.Env, Labels: img.Config.Labels, WorkingDir: img.Config.WorkingDir})
	return plan.Make(root, facts, base, payloads, plan.Options{Version: f.Version, DataDir: s.dataDir, NoEnv: s.noEnv})
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
