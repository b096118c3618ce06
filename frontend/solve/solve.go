package solve

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/platforms"
	"github.com/covify/covify/frontend"
	"github.com/distribution/reference"
	bkclient "github.com/moby/buildkit/client"
	"github.com/moby/buildkit/cmd/buildctl/build"
	"github.com/moby/buildkit/exporter/containerimage/exptypes"
	"github.com/moby/buildkit/frontend/gateway/client"
	"github.com/moby/buildkit/session/auth/authprovider"
	"github.com/moby/buildkit/session/sshforward/sshprovider"
	"github.com/moby/buildkit/solver/errdefs"
	"github.com/moby/buildkit/solver/pb"
	"github.com/moby/buildkit/util/entitlements"
	"github.com/moby/buildkit/util/progress/progressui"
	"github.com/tonistiigi/fsutil"
	"golang.org/x/sync/errgroup"
)

// Request is a build in docker build's words: fields are named as its flags are, and hold what these take. The zero value of all but
// Context is docker build's default.
type Request struct {
	Context    string   // folder, "-" or the address of a repository or archive
	Dockerfile string   // path, "-", or "" for the context's own
	Contexts   []string // NAME=PLACE
	Stdin      io.Reader
	Stdout     io.Writer // for outputs without a file; nil if it is a terminal

	Target        string
	Platforms     []string
	BuildArgs     map[string]string
	Labels        map[string]string
	Pull          bool
	NoCache       bool
	NoCacheFilter []string
	AddHosts      []string // HOST:IP or HOST=IP
	Network       string
	ShmSize       int64 // bytes
	Ulimits       []string
	CgroupParent  string
	Allow         []string

	Secrets     []string
	SSH         []string
	Credentials authprovider.AuthConfigProvider

	CacheFrom, CacheTo []string
	Attests            []string // type=TYPE,KEY=VALUE
	NoAttests          bool     // none by default

	Tags        []string
	Annotations map[string]string // attributes of image outputs
	Outputs     []Output
	Load, Push  bool

	Progress     progressui.DisplayMode
	ProgressInto io.Writer
}

// Result is what came of a request.
type Result struct {
	Digest   string // of the image's manifest or index, "" if there is none
	ID       string // as docker build -q prints it: the configuration's digest where there is one
	Names    []string
	Loaded   bool     // it is in an engine
	Pushed   bool     // it is in a registry
	Places   []string // files and folders that hold it
	Metadata map[string]any
}

// Run builds with f, whose Blobs are set here. Errors are *UsageError, *LoadError, or BuildKit's, which may name lines of the
// Dockerfile; nothing is at an output then, but for files that a folder got before.
func (b *BuildKit) Run(ctx context.Context, r Request, f frontend.Frontend) (*Result, error) {
	opt, err := b.options(ctx, &r, f.Name)
	if err != nil {
		return nil, err
	}
	remove, err := r.inputs(opt)
	if err != nil {
		return nil, err
	}
	defer remove()
	out, err := b.exports(ctx, &r)
	if err != nil {
		return nil, err
	}
	defer out.discard()
	opt.Exports = out.entries
	answer, err := b.build(ctx, opt, offer(opt, f).Build, &r)
	if err != nil {
		return nil, err
	}
	if err := out.finish(ctx, b, &r); err != nil {
		return nil, err
	}
	return result(answer.ExporterResponse, &r, out, b.Store), nil
}

// build runs a build function and shows its progress.
func (b *BuildKit) build(ctx context.Context, opt *bkclient.SolveOpt, run client.BuildFunc, r *Request) (*bkclient.SolveResponse, error) {
	display, err := progressui.NewDisplay(cmp.Or[io.Writer](r.ProgressInto, io.Discard), cmp.Or(r.Progress, progressui.AutoMode))
	if err != nil {
		return nil, &UsageError{"--progress " + string(r.Progress), err}
	}
	var answer *bkclient.SolveResponse
	var cause error
	status := make(chan *bkclient.SolveStatus)
	var g errgroup.Group
	g.Go(func() (err error) {
		answer, err = b.Build(ctx, *opt, "covify", func(ctx context.Context, c client.Client) (res *client.Result, err error) {
			res, err = run(ctx, c)
			cause = err
			return res, err
		}, status)
		return err
	})
	g.Go(func() error {
		_, err := display.UpdateFrom(context.WithoutCancel(ctx), status) // it ends with the build, which closes status
		return err
	})
	if err := g.Wait(); err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, &buildError{err, cause}
	}
	return answer, nil
}

// buildError has BuildKit's words, and what the build function returned, which BuildKit has made words of.
type buildError struct {
	error
	cause error
}

func (e *buildError) Unwrap() []error { return []error{e.error, e.cause} }

// Sources writes the lines of the Dockerfile that err is about, as docker build does.
func Sources(w io.Writer, err error) {
	for _, s := range errdefs.Sources(err) {
		_ = s.Print(w)
	}
}

// offer makes f take the content of payloads from this process.
func offer(opt *bkclient.SolveOpt, f frontend.Frontend) frontend.Frontend {
	content := &payloads{}
	opt.LocalMounts[payloadMount] = content
	f.Blobs = content.blobs
	return f
}

// options are those of the solve, without inputs and exports; name is the frontend's own.
func (b *BuildKit) options(ctx context.Context, r *Request, name string) (*bkclient.SolveOpt, error) {
	opt := &bkclient.SolveOpt{LocalMounts: map[string]fsutil.FS{}, FrontendAttrs: map[string]string{}, AllowedEntitlements: slices.Clone(r.Allow)}
	if err := build.ValidateAllow(r.Allow); err != nil {
		return nil, &UsageError{"--allow", err}
	}
	for i, tag := range r.Tags {
		named, err := reference.ParseNormalizedNamed(tag)
		if err != nil {
			return nil, &UsageError{"--tag " + tag, err}
		}
		r.Tags[i] = reference.TagNameOnly(named).String()
	}
	for _, set := range []func(context.Context, *Request, *bkclient.SolveOpt) error{b.attributes, b.hosts, caches, sessions} {
		if err := set(ctx, r, opt); err != nil {
			return nil, err
		}
	}
	syntax(opt.FrontendAttrs, name)
	return opt, b.attests(r, opt.FrontendAttrs)
}

// attributes are the options of the Dockerfile frontend (dockerui, and dockerfile/builder's).
func (b *BuildKit) attributes(_ context.Context, r *Request, opt *bkclient.SolveOpt) error {
	attrs := opt.FrontendAttrs
	for key, value := range map[string]string{"target": r.Target, "cgroup-parent": r.CgroupParent, "ulimit": strings.Join(r.Ulimits, ","),
		"no-cache": strings.Join(r.NoCacheFilter, ",")} {
		if value != "" {
			attrs[key] = value
		}
	}
	for key, value := range r.BuildArgs {
		attrs["build-arg:"+key] = value
	}
	for key, value := range r.Labels {
		attrs["label:"+key] = value
	}
	if r.ShmSize > 0 {
		attrs["shm-size"] = strconv.FormatInt(r.ShmSize, 10)
	}
	if r.NoCache {
		attrs["no-cache"] = ""
	}
	switch {
	case r.Pull:
		attrs["image-resolve-mode"] = pb.AttrImageResolveModeForcePull
	case b.Store != NoStore:
		attrs["image-resolve-mode"] = pb.AttrImageResolveModePreferLocal
	}
	if many, _ := strconv.ParseBool(r.BuildArgs["BUILDKIT_MULTI_PLATFORM"]); many {
		attrs["multi-platform"] = "true"
	}
	var all []string
	for _, p := range r.Platforms {
		parsed, err := platforms.Parse(p)
		if err != nil {
			return &UsageError{"--platform " + p, err}
		}
		all = append(all, platforms.FormatAll(platforms.Normalize(parsed)))
	}
	if len(all) > 0 {
		attrs["platform"] = strings.Join(all, ",")
	}
	switch r.Network {
	case "host":
		opt.AllowedEntitlements = append(opt.AllowedEntitlements, entitlements.EntitlementNetworkHost.String())
		attrs["force-network-mode"] = r.Network
	case "none":
		attrs["force-network-mode"] = r.Network
	case "", "default":
	default:
		return &UsageError{"--network " + r.Network, errors.New("BuildKit knows default, none and host")}
	}
	return nil
}

// hosts are entries for /etc/hosts; host-gateway is the address that Docker's worker says.
func (b *BuildKit) hosts(ctx context.Context, r *Request, opt *bkclient.SolveOpt) error {
	var all []string
	for _, entry := range r.AddHosts {
		host, addresses, ok := strings.Cut(entry, "=")
		if !ok {
			host, addresses, ok = strings.Cut(entry, ":")
		}
		if !ok || host == "" {
			return &UsageError{"--add-host " + entry, errors.New("HOST:IP is wanted")}
		}
		for address := range strings.SplitSeq(addresses, ",") {
			if address == "host-gateway" {
				address = b.hostGateway(ctx)
			}
			address = strings.TrimSuffix(strings.TrimPrefix(address, "["), "]")
			if net.ParseIP(address) == nil {
				return &UsageError{"--add-host " + entry, fmt.Errorf("%q is no IP address", address)}
			}
			all = append(all, host+"="+address)
		}
	}
	if len(all) > 0 {
		opt.FrontendAttrs["add-hosts"] = strings.Join(all, ",")
	}
	return nil
}

func (b *BuildKit) hostGateway(ctx context.Context) string {
	workers, _ := b.ListWorkers(ctx)
	for _, w := range workers {
		if address := w.Labels["org.mobyproject.buildkit.worker.moby.host-gateway-ip"]; address != "" {
			return address
		}
	}
	return "host-gateway"
}

func caches(_ context.Context, r *Request, opt *bkclient.SolveOpt) (err error) {
	inline, _ := strconv.ParseBool(r.BuildArgs["BUILDKIT_INLINE_CACHE"])
	to := slices.Clone(r.CacheTo)
	if inline {
		to = append(to, "type=inline")
	}
	if opt.CacheImports, err = build.ParseImportCache(registryCaches(r.CacheFrom)); err != nil {
		return &UsageError{"--cache-from", err}
	}
	if opt.CacheExports, err = build.ParseExportCache(registryCaches(to)); err != nil {
		return &UsageError{"--cache-to", err}
	}
	return nil
}

// registryCaches writes out what docker build takes a bare reference for.
func registryCaches(all []string) []string {
	var full []string
	for _, c := range all {
		if !strings.Contains(c, "type=") {
			c = "type=registry,ref=" + c
		}
		full = append(full, c)
	}
	return full
}

// sessions are what BuildKit may ask this process for.
func sessions(_ context.Context, r *Request, opt *bkclient.SolveOpt) error {
	if r.Credentials != nil {
		opt.Session = append(opt.Session, authprovider.NewDockerAuthProvider(authprovider.DockerAuthProviderConfig{AuthConfigProvider: r.Credentials}))
	}
	if len(r.Secrets) > 0 {
		secrets, err := build.ParseSecret(r.Secrets)
		if err != nil {
			return &UsageError{"--secret", err}
		}
		opt.Session = append(opt.Session, secrets)
	}
	if len(r.SSH) > 0 {
		agents, err := build.ParseSSH(r.SSH)
		if err != nil {
			return &UsageError{"--ssh", err}
		}
		provider, err := sshprovider.NewSSHAgentProvider(agents)
		if err != nil {
			return &UsageError{"--ssh", err}
		}
		opt.Session = append(opt.Session, provider)
	}
	return nil
}

// attests asks for attestations. Without a word docker build has the least provenance, where the store can keep it.
func (b *BuildKit) attests(r *Request, attrs map[string]string) error {
	for _, a := range r.Attests {
		kind, rest := "", []string(nil)
		off := false
		for field := range strings.SplitSeq(a, ",") {
			key, value, _ := strings.Cut(field, "=")
			switch key {
			case "type":
				kind = value
			case "disabled":
				off, _ = strconv.ParseBool(value)
			default:
				rest = append(rest, field)
			}
		}
		if kind == "" {
			return &UsageError{"--attest " + a, errors.New("type= is missing")}
		}
		delete(attrs, "attest:"+kind)
		if off {
			r.NoAttests = r.NoAttests || kind == "provenance"
			continue
		}
		if b.Store == ClassicStore {
			return &UsageError{"--attest " + a, errors.New("the classic image store of Docker keeps no attestations")}
		}
		attrs["attest:"+kind] = strings.Join(rest, ",")
	}
	if _, asked := attrs["attest:provenance"]; !asked && !r.NoAttests && b.Store != ClassicStore {
		attrs["attest:provenance"] = "mode=min,inline-only=true"
	}
	return nil
}

// syntax passes BUILDKIT_SYNTAX on as the words after covify's own name, which is what they are in a build of this frontend.
func syntax(attrs map[string]string, name string) {
	wanted := strings.TrimSpace(attrs["build-arg:BUILDKIT_SYNTAX"])
	if wanted == "" {
		return
	}
	delete(attrs, "build-arg:BUILDKIT_SYNTAX")
	first, rest, _ := strings.Cut(wanted, " ")
	if frontend.SameImage(first, name) {
		wanted = strings.TrimSpace(rest)
	}
	attrs["source"], attrs["cmdline"] = name, strings.TrimSpace(name+" "+wanted)
}

// result reads what the exporters say.
func result(response map[string]string, r *Request, x *exports, store Store) *Result {
	res := &Result{Digest: response[exptypes.ExporterImageDigestKey], Names: slices.Clone(r.Tags), Loaded: x.load, Pushed: x.pushed,
		Places: x.places, Metadata: map[string]any{}}
	res.ID = cmp.Or(response[exptypes.ExporterImageConfigDigestKey], res.Digest)
	if store == ClassicStore {
		res.Digest = "" // it keeps no manifest; what it says is the configuration's
	}
	if len(res.Names) == 0 {
		res.Names = slices.Clone(x.names)
	}
	for i, name := range res.Names {
		if named, err := reference.ParseNormalizedNamed(name); err == nil {
			res.Names[i] = reference.FamiliarString(named)
		}
	}
	for key, value := range response {
		res.Metadata[key] = decoded(value)
	}
	return res
}

// decoded is a value of an exporter's response, which may be JSON in base64.
func decoded(value string) any {
	data, err := base64.StdEncoding.DecodeString(value)
	var object map[string]any
	if err != nil || json.Unmarshal(data, &object) != nil || len(object) == 0 {
		return value
	}
	return json.RawMessage(data)
}
