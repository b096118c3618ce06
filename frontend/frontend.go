// Package frontend is the BuildKit frontend of covify: any Dockerfile builds as it always did, and the image that comes out is the
// variant that covify IMAGE would have made of it.
package frontend

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strings"

	"github.com/covify/covify/plan"
	"github.com/covify/covify/wheel"
	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/frontend/dockerfile/builder"
	"github.com/moby/buildkit/frontend/dockerui"
	"github.com/moby/buildkit/frontend/gateway/client"
	"github.com/moby/buildkit/solver/pb"
	"github.com/moby/buildkit/util/apicaps"
)

// Frontend makes variants of build results. It is the same for the frontend image and for a client that builds.
type Frontend struct {
	Name    string // reference of the frontend image, for files that name it; its source option is known without
	Version string // covify's

	// Payloads gives the payload for a target, of a coverage version or, if that is empty, the newest that fits.
	Payloads func(ctx context.Context, t wheel.Target, coverage string) (*wheel.Payload, error)

	// Blobs gives a filesystem that holds the content of a Plan's payload layers, as llbgen.Options has it. Without Blobs, or
	// where it gives nil, contents travel in the definition.
	Blobs func(ctx context.Context, c client.Client, p *plan.Plan) (*llb.State, error)
}

// marker is the option by which a nested covify, of any version, knows that it is nested: it builds plainly then. Without it a
// Dockerfile that names covify would call itself without end.
const marker = "io.covify.nested"

const syntaxArg = "build-arg:BUILDKIT_SYNTAX"

// Build is a client.BuildFunc: the inner build, and its result with every platform's image made a variant. Errors are the
// inner build's, untouched, or name the platform.
func (f Frontend) Build(ctx context.Context, c client.Client) (*client.Result, error) {
	b, err := newBuild(c)
	if err != nil {
		return nil, err
	}
	if _, nested := b.opts[marker]; nested {
		return builder.Build(ctx, b.plainClient())
	}
	b.readFile(ctx)
	res, err := b.inner(ctx, f.Name)
	if err != nil || b.opts["requestid"] != "" {
		return res, err
	}
	return f.cover(ctx, b, res)
}

// A build is one request of a client.
type build struct {
	client.Client
	opts     map[string]string // our own copy: BuildKit shares the map and changes it
	settings settings
	imports  []client.CacheOptionsEntry
	file     []byte // the Dockerfile, nil if it cannot be read: the inner build says why
}

func newBuild(c client.Client) (*build, error) {
	b := &build{Client: c, opts: maps.Clone(c.BuildOpts().Opts)}
	b.settings = parseSettings(b.opts)
	var err error
	b.imports, err = cacheImports(b.opts)
	return b, err
}

// caps are what the daemon's LLB can hold.
func (b *build) caps() *apicaps.CapSet {
	caps := b.BuildOpts().LLBCaps
	return &caps
}

// readFile reads the Dockerfile as the inner build will, which finds it loaded.
func (b *build) readFile(ctx context.Context) {
	c, err := dockerui.NewClient(b.plainClient())
	if err != nil {
		return
	}
	if src, err := c.ReadEntrypoint(ctx, "Dockerfile"); err == nil {
		b.file = src.Data
	}
}

// inner runs the build that the user's file asks for, of a frontend that is called name.
func (b *build) inner(ctx context.Context, name string) (*client.Result, error) {
	syntax, cmdline, own := b.innerSyntax(name)
	switch {
	case syntax == "":
		return builder.Build(ctx, b.plainClient())
	case own: // followed by the built-in frontend, whose errors show the line that names it
		opts := b.innerOpts()
		opts[marker] = "1"
		return builder.Build(ctx, &plainClient{b.Client, opts})
	}
	inputs, err := definitions(ctx, b)
	if err != nil {
		return nil, err
	}
	opts := b.innerOpts()
	opts["source"], opts["cmdline"], opts[marker] = syntax, cmdline, "1"
	return b.Solve(ctx, client.SolveRequest{Frontend: "gateway.v0", FrontendOpt: opts, FrontendInputs: inputs})
}

// innerOpts are the options of the inner build: without what told BuildKit to call this frontend, without covify's settings, and
// without the order for an SBOM, as BuildKit then makes one of the variant. A file that has more than the result scanned keeps it.
func (b *build) innerOpts() map[string]string {
	opts := maps.Clone(b.opts)
	for _, key := range []string{"source", "cmdline", syntaxArg} {
		delete(opts, key)
	}
	if !b.scansMore() {
		delete(opts, sbomOpt)
	}
	maps.DeleteFunc(opts, func(key, _ string) bool { return isSetting(key) })
	return opts
}

// plainClient shows the built-in Dockerfile frontend options that do not lead back here. A cmdline of any value keeps it from
// following the file's syntax line.
func (b *build) plainClient() client.Client {
	opts := b.innerOpts()
	opts["cmdline"] = "covify"
	return &plainClient{b.Client, opts}
}

type plainClient struct {
	client.Client
	opts map[string]string
}

func (c *plainClient) BuildOpts() client.BuildOpts {
	o := c.Client.BuildOpts()
	o.Opts = maps.Clone(c.opts)
	return o
}

func definitions(ctx context.Context, c client.Client) (map[string]*pb.Definition, error) {
	inputs, err := c.Inputs(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the build's inputs: %w", err)
	}
	all := map[string]*pb.Definition{}
	for name, state := range inputs {
		def, err := state.Marshal(ctx)
		if err != nil {
			return nil, fmt.Errorf("reading the build's input %s: %w", name, err)
		}
		all[name] = def.ToPB()
	}
	return all, nil
}

// cacheImports are those of the build, which a solve of our own must carry or nothing of it is found.
func cacheImports(opts map[string]string) ([]client.CacheOptionsEntry, error) {
	var imports []client.CacheOptionsEntry
	for _, ref := range strings.FieldsFunc(opts["cache-from"], func(r rune) bool { return r == ',' }) {
		imports = append(imports, client.CacheOptionsEntry{Type: "registry", Attrs: map[string]string{"ref": ref}}) // as clients before cache-imports
	}
	text := opts["cache-imports"]
	if text == "" {
		return imports, nil
	}
	var all []struct {
		Type  string
		Attrs map[string]string
	}
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		return nil, fmt.Errorf("reading cache-imports: %w", err)
	}
	for _, e := range all {
		imports = append(imports, client.CacheOptionsEntry{Type: e.Type, Attrs: e.Attrs})
	}
	return imports, nil
}
