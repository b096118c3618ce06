// Package frontend is the BuildKit frontend of covify: any Dockerfile builds as it always did, and the image that comes out is the
// variant that covify IMAGE would have made of it.
package frontend

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/builder"
	"github.com/moby/buildkit/frontend/gateway/client"
	"github.com/moby/buildkit/solver/pb"
)

// marker is the option by which a nested covify knows that it is nested: it builds plainly then. Without it a Dockerfile that
// names covify would call itself without end.
const marker = "io.covify.nested"

// Build is a client.BuildFunc: the inner build, and its result with every platform's image made a variant. Errors are the
// inner build's, untouched, or name the platform.
func (f Frontend) Build(ctx context.Context, c client.Client) (*client.Result, error) {
	opts := maps.Clone(c.BuildOpts().Opts) // BuildKit shares the map and changes it
	settings, err := parseSettings(opts)
	if err != nil {
		return nil, err
	}
	if _, nested := opts[marker]; nested {
		return builder.Build(ctx, plainly(c, opts))
	}
	res, err := inner(ctx, c, opts)
	if err != nil || opts["requestid"] != "" {
		return res, err
	}
	return f.cover(ctx, c, res, opts, settings)
}

// inner runs the build that the user's file asks for.
func inner(ctx context.Context, c client.Client, opts map[string]string) (*client.Result, error) {
	syntax, cmdline := innerSyntax(opts)
	if syntax == "" {
		return builder.Build(ctx, plainly(c, opts))
	}
	inputs, err := definitions(ctx, c)
	if err != nil {
		return nil, err
	}
	own := withoutOurs(opts)
	own["source"], own["cmdline"], own[marker] = syntax, cmdline, "1"
	return c.Solve(ctx, client.SolveRequest{Frontend: "gateway.v0", FrontendOpt: own, FrontendInputs: inputs})
}

// innerSyntax is the frontend named after ours on the syntax line, as in "# syntax=covify docker/dockerfile:1-labs"; "" is the
// Dockerfile frontend that is built in.
func innerSyntax(opts map[string]string) (syntax, cmdline string) {
	_, rest, _ := strings.Cut(strings.TrimSpace(opts["cmdline"]), " ")
	rest = strings.TrimSpace(rest)
	syntax, _, _ = strings.Cut(rest, " ")
	return syntax, rest
}

// withoutOurs drops what told BuildKit to call this frontend.
func withoutOurs(opts map[string]string) map[string]string {
	own := maps.Clone(opts)
	for _, key := range []string{"source", "cmdline", "build-arg:BUILDKIT_SYNTAX"} {
		delete(own, key)
	}
	maps.DeleteFunc(own, func(key, _ string) bool { return strings.HasPrefix(key, settingPrefix) })
	return own
}

// plainly shows the built-in Dockerfile frontend a client whose options do not lead back here. A cmdline of any value keeps it
// from following the file's syntax line.
func plainly(c client.Client, opts map[string]string) client.Client {
	own := withoutOurs(opts)
	own["cmdline"] = "covify"
	return &plainClient{c, own}
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
	text := opts["cache-imports"]
	if text == "" {
		return nil, nil
	}
	var all []struct {
		Type  string
		Attrs map[string]string
	}
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		return nil, fmt.Errorf("reading cache-imports: %w", err)
	}
	var imports []client.CacheOptionsEntry
	for _, e := range all {
		imports = append(imports, client.CacheOptionsEntry{Type: e.Type, Attrs: e.Attrs})
	}
	return imports, nil
}
