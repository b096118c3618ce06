package solve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/containerd/platforms"
	"github.com/covify/covify/frontend"
	"github.com/covify/covify/plan"
	"github.com/distribution/reference"
	bkclient "github.com/moby/buildkit/client"
	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/exporter/containerimage/exptypes"
	"github.com/moby/buildkit/frontend/gateway/client"
	"github.com/moby/buildkit/solver/pb"
	"github.com/moby/moby/api/types/image"
	docker "github.com/moby/moby/client"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/tonistiigi/fsutil"
)

// OtherWayError says that an image cannot be covered where it is; its content has to be looked at elsewhere.
type OtherWayError struct {
	Reason string
	Err    error
	Failed bool // it was tried, and BuildKit gave up
}

func (e *OtherWayError) Error() string { return "not covered within the engine: " + e.Reason }
func (e *OtherWayError) Unwrap() error { return e.Err }

// EngineImage names an image of an engine, and what becomes of it.
type EngineImage struct {
	Host     string // the engine's API
	Name     string // with a tag, as the engine has it
	Target   string
	Platform string            // wanted, "" for what there is
	Settings map[string]string // COVIFY_* build args
}

// Covered is a variant in an engine.
type Covered struct {
	Digest    string // as the engine calls it
	Platform  string
	Plan      *plan.Plan
	Dropped   []string // what an index held besides, and why it is gone
	Unchanged bool     // the target was that before
}

// Image makes the variant of an image of an engine in that engine, by its own BuildKit: no layer leaves it. The error is a
// *plan.NothingError, or an *OtherWayError where the engine has no BuildKit, or the image is for several platforms, or a variant of
// which layers would have to be replaced.
func Image(ctx context.Context, i EngineImage, f frontend.Frontend) (*Covered, error) {
	api, err := engine(i.Host)
	if err != nil {
		return nil, &OtherWayError{Reason: "no engine", Err: err}
	}
	defer api.Close()
	from, err := i.inspect(ctx, api)
	if err != nil {
		return nil, err
	}
	b, err := Docker(ctx, i.Host)
	if err != nil {
		return nil, &OtherWayError{Reason: "the engine has no BuildKit", Err: err}
	}
	defer b.Close()
	if b.Store == ContainerdStore && !from.listed {
		return nil, &OtherWayError{Reason: "the engine does not say whether it is an index"}
	}
	before := imageID(ctx, api, i.Target)
	made, err := i.run(ctx, b, f, from)
	if errors.Is(err, errSame) {
		_, err = api.ImageTag(ctx, docker.ImageTagOptions{Source: i.Name, Target: i.Target})
	}
	if err != nil {
		return nil, err
	}
	made.Digest = imageID(ctx, api, i.Target)
	made.Unchanged = made.Digest == before
	return made, nil
}

// base is an image as its engine describes it.
type base struct {
	name     string // full
	digest   string // of its manifest, or of its configuration in the classic store
	platform ocispecs.Platform
	listed   bool // the engine has said which manifests there are
	variant  bool // it says so itself
	dropped  []string
}

func (i *EngineImage) inspect(ctx context.Context, api *docker.Client) (*base, error) {
	if _, err := api.Ping(ctx, docker.PingOptions{NegotiateAPIVersion: true}); err != nil {
		return nil, &OtherWayError{Reason: "the engine does not answer", Err: err}
	}
	named, err := reference.ParseNormalizedNamed(i.Name)
	if err != nil {
		return nil, &OtherWayError{Reason: i.Name + " is no name", Err: err}
	}
	found, err := api.ImageInspect(ctx, i.Name, docker.ImageInspectWithManifests(true))
	if err != nil {
		found, err = api.ImageInspect(ctx, i.Name) // an engine that knows no manifests
	}
	if cerrdefs.IsNotFound(err) {
		return nil, &OtherWayError{Reason: "there is no such image", Err: err}
	}
	if err != nil {
		return nil, fmt.Errorf("inspecting %s: %w", i.Name, err)
	}
	b := &base{name: reference.TagNameOnly(named).String(), digest: found.ID,
		platform: ocispecs.Platform{OS: found.Os, Architecture: found.Architecture, Variant: found.Variant}}
	switch {
	case !slices.ContainsFunc(found.RepoTags, b.isCalled):
		return nil, &OtherWayError{Reason: i.Name + " is no tag"}
	case found.Config == nil:
		return nil, &OtherWayError{Reason: "the engine does not describe it"}
	}
	b.variant = found.Config.Labels[plan.LabelVersion] != ""
	return b, b.choose(found.Manifests)
}

func (b *base) isCalled(tag string) bool {
	other, err := reference.ParseNormalizedNamed(tag)
	return err == nil && other.String() == b.name
}

// choose takes the only image of an index that the engine holds. An index of several is not for this way: covify covers all.
func (b *base) choose(manifests []image.ManifestSummary) error {
	var here []image.ManifestSummary
	for _, m := range manifests {
		switch {
		case m.Kind == image.ManifestKindImage && m.Available:
			here = append(here, m)
		case m.Kind == image.ManifestKindImage && m.Descriptor.Platform != nil:
			b.dropped = append(b.dropped, platforms.Format(*m.Descriptor.Platform)+": the engine does not hold it")
		}
	}
	switch b.listed = len(manifests) > 0; {
	case !b.listed:
		return nil
	case len(here) != 1:
		return &OtherWayError{Reason: fmt.Sprintf("it is an index of %d images", len(here))}
	}
	b.digest = here[0].ID
	for _, m := range manifests {
		if m.Kind == image.ManifestKindAttestation && m.AttestationData != nil && m.AttestationData.For.String() == b.digest {
			b.dropped = append(b.dropped, fmt.Sprintf("attestation %s: it speaks of the image %s, which the variant replaces", m.ID, b.digest))
		}
	}
	return nil
}

func imageID(ctx context.Context, api *docker.Client, name string) string {
	found, err := api.ImageInspect(ctx, name)
	if err != nil {
		return ""
	}
	return found.ID
}

func (i *EngineImage) run(ctx context.Context, b *BuildKit, f frontend.Frontend, from *base) (*Covered, error) {
	opt := &bkclient.SolveOpt{FrontendAttrs: map[string]string{}, LocalMounts: map[string]fsutil.FS{}}
	for key, value := range i.Settings {
		opt.FrontendAttrs["build-arg:"+key] = value
	}
	request := &Request{Tags: []string{i.Target}}
	out, err := b.exports(ctx, request)
	if err != nil {
		return nil, err
	}
	opt.Exports = out.entries
	f = offer(opt, f)
	made := &Covered{Platform: platforms.Format(from.platform), Dropped: from.dropped}
	_, err = b.build(ctx, opt, func(ctx context.Context, c client.Client) (*client.Result, error) {
		res, p, err := cover(ctx, c, f, from)
		made.Plan = p
		return res, err
	}, request)
	if nothing := new(plan.NothingError); errors.As(err, &nothing) {
		return nil, nothing
	}
	if other := new(OtherWayError); errors.As(err, &other) {
		return nil, other
	}
	if err != nil && !errors.Is(err, errSame) && ctx.Err() == nil {
		return nil, &OtherWayError{fmt.Sprintf("its BuildKit says: %v", err), err, true}
	}
	return made, err
}

// errSame says that an image is the variant that would be made of it.
var errSame = errors.New("nothing to change")

// cover is the build function. A variant gives errSame, or an *OtherWayError where layers would have to be replaced.
func cover(ctx context.Context, c client.Client, f frontend.Frontend, from *base) (*client.Result, *plan.Plan, error) {
	_, _, config, err := c.ResolveImageConfig(ctx, from.name, sourceresolver.Opt{
		ImageOpt: &sourceresolver.ResolveImageOpt{Platform: &from.platform, ResolveMode: pb.AttrImageResolveModePreferLocal},
	})
	if err != nil {
		return nil, nil, err
	}
	if from.variant && !endsCovered(config) {
		return nil, nil, &OtherWayError{Reason: "it is made from a variant"}
	}
	root, err := open(ctx, c, from)
	if err != nil {
		return nil, nil, err
	}
	ref, covered, p, err := f.Image(ctx, c, root, config, from.name, from.digest)
	switch {
	case err != nil:
		return nil, nil, err
	case from.variant && ref == root && sameJSON(config, covered):
		return nil, p, errSame
	case from.variant:
		return nil, nil, &OtherWayError{Reason: "it is a variant of another covify or with other settings"}
	}
	res := client.NewResult()
	res.SetRef(ref)
	res.AddMeta(exptypes.ExporterImageConfigKey, covered)
	return res, p, nil
}

// open gives access to the image's files, where the engine has them.
func open(ctx context.Context, c client.Client, from *base) (client.Reference, error) {
	state := llb.Image(from.name, llb.ResolveModePreferLocal, llb.Platform(from.platform))
	def, err := state.Marshal(ctx, llb.Platform(from.platform), llb.WithCaps(c.BuildOpts().LLBCaps))
	if err != nil {
		return nil, err
	}
	solved, err := c.Solve(ctx, client.SolveRequest{Definition: def.ToPB()})
	if err != nil {
		return nil, err
	}
	return solved.SingleRef()
}

// endsCovered tells whether the last layer of an image is covify's, by its history.
func endsCovered(config []byte) bool {
	var img ocispecs.Image
	if json.Unmarshal(config, &img) != nil {
		return false
	}
	for _, h := range slices.Backward(img.History) {
		if !h.EmptyLayer {
			return h.Comment == plan.HistoryComment
		}
	}
	return false
}

func sameJSON(a, b []byte) bool {
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}
