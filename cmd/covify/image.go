package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/covify/covify/frontend"
	"github.com/covify/covify/frontend/solve"
	"github.com/covify/covify/imagepatch"
	"github.com/covify/covify/plan"
	"github.com/covify/covify/wheel"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/spf13/cobra"
)

// imageFlags are what covify IMAGE and covify plan have in common.
type imageFlags struct {
	platform string
	coverage string
	dataDir  string
	noEnv    bool
	json     bool
	quiet    bool
	access   accessFlags
	wheels   wheelFlags
}

func (f *imageFlags) add(c *cobra.Command) {
	flags := c.Flags()
	flags.StringVar(&f.platform, "platform", "", "only this platform of an index, such as linux/arm64")
	flags.StringVar(&f.coverage, "coverage", "", "coverage `version`, instead of the newest that fits each Python")
	flags.StringVar(&f.dataDir, "container-data-dir", plan.DataDir, "where the variant keeps its data files, in the container")
	flags.BoolVar(&f.noEnv, "no-env", false, "leave the image's environment alone: measure only where COVERAGE_PROCESS_START is set at run time")
	flags.BoolVar(&f.json, "json", false, "print the result as JSON")
	flags.BoolVarP(&f.quiet, "quiet", "q", false, "say nothing but the result")
	f.access.add(c)
	f.wheels.add(c)
}

func newImageCmd() *cobra.Command {
	var f imageFlags
	var target string
	var dryRun bool
	c := &cobra.Command{
		Use:   "covify IMAGE",
		Short: "Python coverage from inside containers, without touching them",
		Long: `covify gives back a variant of a container image that measures its own Python coverage. It appends two small
layers; nothing of the image is run or rebuilt, and no engine is needed.

IMAGE is docker://NAME (a registry's), docker-daemon:NAME (a local engine's), oci:DIR[:TAG], oci-archive:FILE or
docker-archive:FILE. A bare name is the local engine's image if it has it, else the registry's.`,
		Example: `  covify app:1.0                                  # the engine's app:1.0 becomes app:1.0-cov
  covify docker://registry.example/app:1.0        # in the registry, without downloading it
  covify docker://registry.example/app -t oci:out # from a registry into a folder
  covify run --rm app:1.0 && covify report        # the coverage of one run`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 1 {
				return wrongUse(c, errorf("one IMAGE at a time, not %d", len(args)), args)
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return c.Help()
			}
			if dryRun {
				return runPlan(c, args[0], &f)
			}
			return runImage(c, args[0], target, &f)
		},
	}
	f.add(c)
	c.Flags().StringVarP(&target, "tag", "t", "", "where the variant goes; by default -cov after the tag, in the place IMAGE came from")
	c.Flags().BoolVar(&dryRun, "dry-run", false, "print what would be done, as covify plan does")
	return c
}

func runImage(c *cobra.Command, image, target string, f *imageFlags) error {
	ctx := c.Context()
	src, opts, err := f.resolve(ctx, c.ErrOrStderr(), image)
	if err != nil {
		return err
	}
	dst, err := targetRef(src, target)
	if err != nil {
		return err
	}
	result, err := f.variant(ctx, c.ErrOrStderr(), src, dst, opts)
	if err != nil {
		return err
	}
	if !f.quiet {
		describe(c.ErrOrStderr(), result)
	}
	if f.json {
		return printJSON(c.OutOrStdout(), result)
	}
	fmt.Fprintln(c.OutOrStdout(), resultRef(result))
	return nil
}

// variant makes the variant: within the engine that has the image and gets the variant, if that can do it; else by reading the image.
func (f *imageFlags) variant(ctx context.Context, stderr io.Writer, src, dst imagepatch.Ref, opts *imagepatch.Options) (*imagepatch.Result, error) {
	if src.Transport != imagepatch.DockerDaemon || dst.Transport != imagepatch.DockerDaemon || f.platform != "" {
		return imagepatch.Patch(ctx, src, dst, *opts)
	}
	// opts has read where wheels come from already, and asks for f.coverage.
	covify := frontend.Frontend{Name: frontendImage, Version: covifyVersion(), Payloads: func(ctx context.Context, t wheel.Target, _ string) (*wheel.Payload, error) {
		return opts.Payloads(ctx, t)
	}}
	opts.Within = func(ctx context.Context) (*imagepatch.Result, error) {
		made, err := solve.Image(ctx, solve.EngineImage{Host: opts.Access.Engine.Host, Name: src.Name, Target: dst.Name,
			Settings: settingArgs(f.coverage, f.dataDir, f.noEnv, false)}, covify)
		if other := new(solve.OtherWayError); errors.As(err, &other) {
			if other.Failed {
				f.logf(stderr)("%s is %v; reading it instead", src, other)
			}
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		return &imagepatch.Result{Target: dst, Digest: made.Digest, Dropped: made.Dropped, Unchanged: made.Unchanged,
			Platforms: []imagepatch.Platform{{Platform: made.Platform, Plan: made.Plan}}}, nil
	}
	return imagepatch.Patch(ctx, src, dst, *opts)
}

// resolve turns the command line into the arguments of imagepatch.
func (f *imageFlags) resolve(ctx context.Context, stderr io.Writer, image string) (imagepatch.Ref, *imagepatch.Options, error) {
	logf := f.logf(stderr)
	opts := &imagepatch.Options{
		Plan:     plan.Options{Version: covifyVersion(), DataDir: f.dataDir, NoEnv: f.noEnv},
		CacheDir: cacheDir(),
		Identity: f.wheels.identity(f.coverage),
		Logf:     func(string, ...any) {},
	}
	if !strings.HasPrefix(f.dataDir, "/") {
		return imagepatch.Ref{}, nil, usageError{errorf("--container-data-dir %s: a path in the container starts with /", f.dataDir)}
	}
	if f.platform != "" {
		p, err := v1.ParsePlatform(f.platform)
		if err != nil {
			return imagepatch.Ref{}, nil, usageError{errorf("--platform %s: %w", f.platform, err)}
		}
		opts.Platform = p
	}
	access, err := f.access.resolve()
	if err != nil {
		return imagepatch.Ref{}, nil, err
	}
	opts.Access = *access
	source, err := f.wheels.source(logf)
	if err != nil {
		return imagepatch.Ref{}, nil, err
	}
	opts.Payloads = func(ctx context.Context, t wheel.Target) (*wheel.Payload, error) {
		return source.Payload(ctx, t, f.coverage)
	}
	src, err := sourceRef(ctx, image, access, logf)
	return src, opts, err
}

func (f *imageFlags) logf(stderr io.Writer) func(string, ...any) {
	if f.quiet {
		return func(string, ...any) {}
	}
	return func(format string, args ...any) { fmt.Fprintf(stderr, "covify: "+format+"\n", args...) }
}

// sourceRef reads the image argument; a bare name is looked up.
func sourceRef(ctx context.Context, image string, access *imagepatch.Access, logf func(string, ...any)) (imagepatch.Ref, error) {
	ref, err := imagepatch.ParseRef(image)
	if err != nil || ref.Transport != "" {
		return ref, err
	}
	ref.Transport = imagepatch.Registry
	if has, err := access.Engine.Has(ctx, ref.Name); err == nil && has {
		ref.Transport = imagepatch.DockerDaemon
	}
	logf("%s is %s", image, ref)
	return ref, nil
}

// targetRef reads -t; a bare name is in the place the source came from.
func targetRef(src imagepatch.Ref, target string) (imagepatch.Ref, error) {
	if target == "" {
		return src.Variant()
	}
	dst, err := imagepatch.ParseRef(target)
	if err == nil && strings.Contains(dst.Name, "@") {
		err = usageError{errorf("-t %s: a target has a tag, not a digest", target)}
	}
	if err != nil || dst.Transport != "" {
		return dst, err
	}
	if src.Transport != imagepatch.Registry && src.Transport != imagepatch.DockerDaemon {
		return dst, usageError{errorf("-t %s: write docker://%[1]s for a registry or docker-daemon:%[1]s for the local engine", target)}
	}
	dst.Transport = src.Transport
	return dst, nil
}

// resultRef is the result as the user's next command takes it: an engine's image by its name, others by their digest.
func resultRef(r *imagepatch.Result) string {
	switch r.Target.Transport {
	case imagepatch.DockerDaemon:
		return r.Target.Name
	case imagepatch.Registry:
		return r.Target.Name + "@" + r.Digest
	}
	return r.Target.String()
}

// describe says in words what was found and done.
func describe(w io.Writer, r *imagepatch.Result) {
	for _, p := range r.Platforms {
		at := ""
		if len(r.Platforms) > 1 {
			at = p.Platform + ": "
		}
		if p.Plan == nil {
			fmt.Fprintf(w, "covify: %sleft as it is: %s\n", at, p.Reason)
			continue
		}
		for _, i := range p.Plan.Installs {
			own := ""
			if i.Coverage != "" {
				own = ", where the image's own " + i.Coverage + " goes first"
			}
			fmt.Fprintf(w, "covify: %s%s: coverage %s for %s%s\n", at, i.Path, i.Version, i.Interpreter, own)
		}
		for _, s := range p.Plan.Skipped {
			fmt.Fprintf(w, "covify: %sleft alone: %s: %s\n", at, s.Path, s.Reason)
		}
	}
	for _, d := range r.Dropped {
		fmt.Fprintf(w, "covify: dropped %s\n", d)
	}
	if r.Unchanged {
		fmt.Fprintf(w, "covify: %s is that already\n", r.Target)
	}
}

// imageResult is a Result as JSON.
type imageResult struct {
	Target    string           `json:"target,omitempty"`
	Digest    string           `json:"digest,omitempty"`
	Platforms []platformResult `json:"platforms"`
	Dropped   []string         `json:"dropped,omitempty"`
}

type platformResult struct {
	Platform string     `json:"platform"`
	Reason   string     `json:"reason,omitempty"` // why there is no plan
	Plan     *plan.Plan `json:"plan,omitempty"`
}

func printJSON(w io.Writer, r *imagepatch.Result) error {
	out := imageResult{Digest: r.Digest, Dropped: slices.Clone(r.Dropped), Platforms: []platformResult{}}
	if r.Target != (imagepatch.Ref{}) {
		out.Target = r.Target.String()
	}
	for _, p := range r.Platforms {
		out.Platforms = append(out.Platforms, platformResult{p.Platform, p.Reason, p.Plan})
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(out)
}
