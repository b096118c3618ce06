package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/containerd/log"
	"github.com/covify/covify/frontend"
	"github.com/covify/covify/frontend/solve"
	"github.com/covify/covify/plan"
	"github.com/covify/covify/runner"
	"github.com/docker/cli/cli/config"
	"github.com/docker/cli/cli/config/types"
	"github.com/docker/cli/opts"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/renameio/v2"
	"github.com/moby/buildkit/session/auth/authprovider"
	"github.com/moby/buildkit/util/appdefaults"
	"github.com/moby/buildkit/util/progress/progressui"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// frontendImage is the reference of the frontend image that belongs to this covify; it is set when linking.
var frontendImage = "covify/covify"

const buildHelp = `covify build builds a Dockerfile as docker build does, with docker build's own flags, and what comes out is the variant
that covify IMAGE would have made of it. The Dockerfile stays as it is.

CONTEXT is a folder, - (a Dockerfile or an archive on stdin) or the address of a repository or archive.

It runs in the BuildKit of --addr or BUILDKIT_HOST, else in the builder that docker buildx has chosen, else in Docker's own,
else in the buildkitd of this machine. As with docker build the image goes into Docker's store if no output is named.`

// buildFlags are docker build's, and covify's own.
type buildFlags struct {
	request    solve.Request
	tags       []string
	buildArgs  []string
	labels     []string
	outputs    []string
	platforms  []string
	attests    []string
	notes      []string
	sbom       string
	provenance string
	shmSize    opts.MemBytes
	ulimits    *opts.UlimitOpt
	progress   string
	quiet      bool
	iidFile    string
	metadata   string

	addr     string
	builder  string
	print    bool
	image    string
	coverage string
	dataDir  string
	noEnv    bool
	strict   bool
	wheels   wheelFlags
}

func newBuildCmd() *cobra.Command {
	var f buildFlags
	c := &cobra.Command{
		Use:   "build [FLAGS] CONTEXT",
		Short: "Build a Dockerfile into a variant",
		Long:  buildHelp,
		Example: `  covify build -t app:cov .
  covify build -t registry.example/app:cov --platform linux/amd64,linux/arm64 --push .
  covify build --print -t app:cov . # the same as a docker buildx build`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if f.print {
				return f.printCommand(c, args[0])
			}
			return f.build(c, args[0])
		},
	}
	f.addDocker(c.Flags())
	f.addOwn(c)
	return c
}

// addDocker adds the flags that docker build has.
func (f *buildFlags) addDocker(flags *pflag.FlagSet) {
	r := &f.request
	f.ulimits = opts.NewUlimitOpt(nil)
	flags.StringVarP(&r.Dockerfile, "file", "f", "", "the Dockerfile (default CONTEXT/Dockerfile), - for stdin")
	flags.StringArrayVarP(&f.tags, "tag", "t", nil, "`name` of the result")
	flags.StringArrayVar(&f.buildArgs, "build-arg", nil, "`NAME=VALUE`, or NAME for the environment's value")
	flags.StringArrayVar(&r.Contexts, "build-context", nil, "`NAME=PLACE`: another context, a folder, docker-image://, oci-layout:// or an address")
	flags.StringVar(&r.Target, "target", "", "`stage` to build")
	flags.StringArrayVar(&f.platforms, "platform", nil, "`platforms` to build for")
	flags.StringArrayVar(&r.Secrets, "secret", nil, "`id=NAME[,src=FILE|env=VARIABLE]`")
	flags.StringArrayVar(&r.SSH, "ssh", nil, "`default|ID[=SOCKET|KEY]`: agent or keys for RUN --mount=type=ssh")
	flags.StringArrayVar(&f.labels, "label", nil, "`NAME=VALUE` of the image")
	flags.BoolVar(&r.NoCache, "no-cache", false, "take nothing from the build cache")
	flags.StringArrayVar(&r.NoCacheFilter, "no-cache-filter", nil, "`stages` that take nothing from the build cache")
	flags.BoolVar(&r.Pull, "pull", false, "ask registries for newer base images")
	flags.StringArrayVar(&r.AddHosts, "add-host", nil, "`HOST:IP` for /etc/hosts")
	flags.StringVar(&r.Network, "network", "default", "of RUN: default, none or host")
	flags.Var(&f.shmSize, "shm-size", "`size` of /dev/shm of RUN")
	flags.Var(f.ulimits, "ulimit", "`limits` of RUN")
	flags.StringVar(&r.CgroupParent, "cgroup-parent", "", "`cgroup` of RUN")
	flags.StringArrayVar(&r.CacheFrom, "cache-from", nil, "where cache comes from: `NAME or type=...`")
	flags.StringArrayVar(&r.CacheTo, "cache-to", nil, "where cache goes to: `NAME or type=...`")
	flags.StringArrayVarP(&f.outputs, "output", "o", nil, "where the result goes: `FOLDER or type=...,dest=...`")
	flags.BoolVar(&r.Load, "load", false, "the result goes into the engine")
	flags.BoolVar(&r.Push, "push", false, "the result goes into the registry of its name")
	flags.StringVar(&f.progress, "progress", os.Getenv("BUILDKIT_PROGRESS"), "auto, plain, tty, rawjson or quiet")
	flags.BoolVarP(&f.quiet, "quiet", "q", false, "say nothing but the image's ID")
	flags.StringVar(&f.iidFile, "iidfile", "", "`file` for the image's ID")
	flags.StringVar(&f.metadata, "metadata-file", "", "`file` for what is known of the result, as JSON")
	flags.StringArrayVar(&f.attests, "attest", nil, "`type=sbom|provenance[,...]`")
	flags.StringVar(&f.sbom, "sbom", "", "short for --attest type=sbom")
	flags.StringVar(&f.provenance, "provenance", "", "short for --attest type=provenance")
	flags.StringArrayVar(&f.request.Allow, "allow", nil, "`entitlement` such as network.host")
	flags.StringArrayVar(&f.notes, "annotation", nil, "`NAME=VALUE` of the image's manifest")
	flags.StringVar(&f.builder, "builder", "", "`builder` of docker buildx")
	flags.Lookup("sbom").NoOptDefVal = "true"
	flags.Lookup("provenance").NoOptDefVal = "true"
}

// addOwn adds the flags that docker build does not have.
func (f *buildFlags) addOwn(c *cobra.Command) {
	flags := c.Flags()
	flags.StringVar(&f.addr, "addr", os.Getenv("BUILDKIT_HOST"), "`address` of a BuildKit")
	flags.StringVar(&f.coverage, "coverage", "", "coverage `version`, instead of the newest that fits each Python")
	flags.StringVar(&f.dataDir, "container-data-dir", plan.DataDir, "where the variant keeps its data files, in the container")
	flags.BoolVar(&f.noEnv, "no-env", false, "leave the image's environment alone: measure only where COVERAGE_PROCESS_START is set at run time")
	flags.BoolVar(&f.strict, "strict", false, "a result without Python is an error")
	flags.BoolVar(&f.print, "print", false, "print the docker buildx build command that does the same, and do nothing else")
	flags.StringVar(&f.image, "frontend-image", frontendImage, "covify's frontend image, for --print and for Dockerfiles that name it")
	f.wheels.add(c)
}

// build runs docker build's work here.
func (f *buildFlags) build(c *cobra.Command, context string) error {
	ctx, stderr := c.Context(), c.ErrOrStderr()
	_ = log.SetLevel("fatal") // libraries speak of what is of no use to a user
	if err := f.complete(c, context); err != nil {
		return err
	}
	covify, err := newFrontend(&f.wheels, func(format string, args ...any) { fmt.Fprintf(stderr, "covify: "+format+"\n", args...) }, f.image)
	if err != nil {
		return err
	}
	places, err := f.places()
	if err != nil {
		return err
	}
	b, err := solve.Find(ctx, places)
	if err != nil {
		return err
	}
	defer b.Close()
	if b.Store == solve.NoStore && len(f.outputs) == 0 && !f.request.Load && !f.request.Push {
		fmt.Fprintf(stderr, "covify: no output is named, and %s keeps no images: the result stays in its cache (--load, --push and --output take it out)\n", b.Where)
	}
	if f.iidFile != "" {
		if err := os.Remove(f.iidFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err // what is not made must not be found there
		}
	}
	result, err := b.Run(ctx, f.request, covify)
	if err != nil {
		solve.Sources(stderr, err)
		return err
	}
	return f.report(c.OutOrStdout(), result)
}

// complete turns flags into the request's fields.
func (f *buildFlags) complete(c *cobra.Command, context string) (err error) {
	r := &f.request
	r.Context, r.Tags, r.Stdin, r.ProgressInto = context, f.tags, c.InOrStdin(), c.ErrOrStderr()
	if out, ok := c.OutOrStdout().(*os.File); !ok || !isTerminal(out) {
		r.Stdout = c.OutOrStdout()
	}
	if r.Progress = progressui.DisplayMode(f.progress); f.quiet {
		r.Progress = progressui.QuietMode
	}
	if r.BuildArgs, err = f.args(); err != nil {
		return err
	}
	if r.Labels, err = pairs("--label", f.labels); err != nil {
		return err
	}
	if r.Annotations, err = annotations(f.notes); err != nil {
		return err
	}
	for _, o := range f.outputs {
		output, err := solve.ParseOutput(o)
		if err != nil {
			return err
		}
		r.Outputs = append(r.Outputs, output)
	}
	for _, p := range f.platforms {
		r.Platforms = append(r.Platforms, strings.Split(p, ",")...)
	}
	r.ShmSize = f.shmSize.Value()
	for _, u := range f.ulimits.GetList() {
		r.Ulimits = append(r.Ulimits, u.String())
	}
	r.Attests = f.allAttests()
	r.NoAttests = isTrue(os.Getenv("BUILDX_NO_DEFAULT_ATTESTATIONS"))
	r.Credentials = credentials
	return nil
}

func isTerminal(file *os.File) bool {
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

func isTrue(value string) bool { return value == "1" || value == "true" }

// args are the build args, with covify's settings, the proxies of docker's configuration and SOURCE_DATE_EPOCH among them.
func (f *buildFlags) args() (map[string]string, error) {
	all := map[string]string{}
	maps.Copy(all, proxies())
	if value, ok := os.LookupEnv("SOURCE_DATE_EPOCH"); ok {
		all["SOURCE_DATE_EPOCH"] = value
	}
	for _, arg := range f.buildArgs {
		name, value, given := strings.Cut(arg, "=")
		if name == "" {
			return nil, usageError{errorf("--build-arg %s: NAME=VALUE is wanted", arg)}
		}
		if !given {
			if value, given = os.LookupEnv(name); !given {
				continue
			}
		}
		all[name] = value
	}
	if !strings.HasPrefix(f.dataDir, "/") {
		return nil, usageError{errorf("--container-data-dir %s: a path in the container starts with /", f.dataDir)}
	}
	maps.Copy(all, f.settings())
	return all, nil
}

// settings are covify's flags as the build args that its frontend reads.
func (f *buildFlags) settings() map[string]string {
	return settingArgs(f.coverage, f.dataDir, f.noEnv, f.strict)
}

func settingArgs(coverage, dataDir string, noEnv, strict bool) map[string]string {
	all := map[string]string{}
	if coverage != "" {
		all["COVIFY_COVERAGE"] = coverage
	}
	if dataDir != plan.DataDir {
		all["COVIFY_DATA_DIR"] = dataDir
	}
	if noEnv {
		all["COVIFY_NO_ENV"] = "1"
	}
	if strict {
		all["COVIFY_STRICT"] = "1"
	}
	return all
}

// proxies are the build args that docker's configuration asks for.
func proxies() map[string]string {
	all := map[string]string{}
	stored, err := config.Load(config.Dir())
	if err != nil {
		return all
	}
	for name, value := range stored.ParseProxyConfig(engineHost(), nil) {
		if value != nil {
			all[name] = *value
		}
	}
	return all
}

func pairs(flag string, all []string) (map[string]string, error) {
	m := map[string]string{}
	for _, pair := range all {
		key, value, _ := strings.Cut(pair, "=")
		if key == "" {
			return nil, usageError{errorf("%s %s: NAME=VALUE is wanted", flag, pair)}
		}
		m[key] = value
	}
	return m, nil
}

// annotations are attributes of BuildKit's exporters: annotation.NAME, or annotation-TYPE[PLATFORM].NAME for TYPE:NAME.
func annotations(all []string) (map[string]string, error) {
	given, err := pairs("--annotation", all)
	m := map[string]string{}
	for key, value := range given {
		kinds, name, ok := strings.Cut(key, ":")
		if !ok {
			m["annotation."+key] = value
			continue
		}
		for kind := range strings.SplitSeq(kinds, ",") {
			m["annotation-"+kind+"."+name] = value
		}
	}
	return m, err
}

// allAttests writes --sbom and --provenance as --attest does.
func (f *buildFlags) allAttests() []string {
	all := slices.Clone(f.attests)
	for kind, value := range map[string]string{"sbom": f.sbom, "provenance": f.provenance} {
		switch value {
		case "":
		case "true", "1":
			all = append(all, "type="+kind)
		case "false", "0":
			all = append(all, "type="+kind+",disabled=true")
		default:
			all = append(all, "type="+kind+","+value)
		}
	}
	slices.Sort(all)
	return all
}

// credentials finds those of a registry for BuildKit.
func credentials(_ context.Context, host string, _ []string, _ authprovider.ExpireCachedAuthCheck) (types.AuthConfig, error) {
	if host == authprovider.DockerHubRegistryHost {
		host = name.DefaultRegistry
	}
	registry, err := name.NewRegistry(host)
	if err != nil {
		return types.AuthConfig{}, err
	}
	found, err := keychain().Resolve(registry)
	if err != nil {
		return types.AuthConfig{}, err
	}
	auth, err := found.Authorization()
	if err != nil {
		return types.AuthConfig{}, err
	}
	return types.AuthConfig{Username: auth.Username, Password: auth.Password, Auth: auth.Auth, IdentityToken: auth.IdentityToken,
		RegistryToken: auth.RegistryToken, ServerAddress: host}, nil
}

// places are where a BuildKit may be on this machine.
func (f *buildFlags) places() (solve.Places, error) {
	p := solve.Places{Address: f.addr, Docker: engineHost(), Socket: appdefaults.UserAddress()}
	if !isSocket(p.Socket) {
		p.Socket = appdefaults.Address
	}
	docker, err := exec.LookPath("docker")
	if err != nil && f.builder != "" {
		return p, errorf("--builder %s: %w", f.builder, err)
	}
	if err == nil {
		p.Buildx = []string{docker, "buildx", "dial-stdio"}
	}
	if f.builder != "" {
		p.Buildx = []string{docker, "buildx", "--builder", f.builder, "dial-stdio"}
		p.Chosen = true
	}
	return p, nil
}

// newFrontend is the frontend as it runs in this process.
func newFrontend(wheels *wheelFlags, logf func(string, ...any), image string) (frontend.Frontend, error) {
	source, err := wheels.source(logf)
	if err != nil {
		return frontend.Frontend{}, err
	}
	return frontend.Frontend{Name: image, Version: covifyVersion(), Payloads: source.Payload}, nil
}

// report prints where the result is, and writes the files about it.
func (f *buildFlags) report(stdout io.Writer, r *solve.Result) error {
	if f.iidFile != "" {
		if err := os.WriteFile(f.iidFile, []byte(r.ID), 0o644); err != nil {
			return err
		}
	}
	if f.metadata != "" {
		data, err := json.MarshalIndent(r.Metadata, "", "  ")
		if err == nil {
			err = renameio.WriteFile(f.metadata, append(data, '\n'), 0o644)
		}
		if err != nil {
			return err
		}
	}
	for _, line := range resultLines(r, f.quiet) {
		fmt.Fprintln(stdout, line)
	}
	return nil
}

// resultLines are a result as the user's next command takes it. Where stdout holds the result itself there are none.
func resultLines(r *solve.Result, quiet bool) []string {
	var lines []string
	switch {
	case slices.Contains(r.Places, "-"):
	case quiet:
		lines = []string{r.ID}
	case r.Pushed && r.Digest != "":
		for _, name := range r.Names {
			lines = append(lines, name+"@"+r.Digest)
		}
	case len(r.Names) > 0 && (r.Loaded || r.Pushed):
		lines = slices.Clone(r.Names)
	case r.Loaded:
		lines = []string{r.ID}
	case len(r.Places) > 0:
		lines = r.Places
	}
	return slices.DeleteFunc(lines, func(line string) bool { return line == "" })
}

// printCommand prints docker buildx build's equivalent.
func (f *buildFlags) printCommand(c *cobra.Command, context string) error {
	args, syntax := []string{"docker", "buildx", "build"}, f.image
	own := []string{"addr", "coverage", "container-data-dir", "no-env", "strict", "print", "frontend-image", "bundle", "offline"}
	if f.wheels.bundle != "" && c.Flags().Changed("bundle") {
		return usageError{errors.New("--bundle has no equivalent: the frontend image has wheels of its own")}
	}
	c.Flags().Visit(func(flag *pflag.Flag) {
		if slices.Contains(own, flag.Name) {
			return
		}
		for _, value := range flagValues(flag) {
			if asked, ok := strings.CutPrefix(value, "BUILDKIT_SYNTAX="); ok && flag.Name == "build-arg" {
				syntax += " " + asked
				continue
			}
			args = append(args, flagArg(flag, value)...)
		}
	})
	added := []string{"BUILDKIT_SYNTAX=" + syntax}
	for name, value := range f.settings() {
		added = append(added, name+"="+value)
	}
	slices.Sort(added)
	for _, arg := range added {
		args = append(args, "--build-arg", arg)
	}
	_, err := fmt.Fprintln(c.OutOrStdout(), runner.ShellLine(append(args, context)))
	return err
}

func flagValues(flag *pflag.Flag) []string {
	switch v := flag.Value.(type) {
	case pflag.SliceValue:
		return v.GetSlice()
	case *opts.UlimitOpt:
		var all []string
		for _, u := range v.GetList() {
			all = append(all, u.String())
		}
		return all
	}
	return []string{flag.Value.String()}
}

// flagArg writes a flag as it is given; one that can stand alone has its value joined to it.
func flagArg(flag *pflag.Flag, value string) []string {
	switch {
	case flag.Value.Type() == "bool" && value == "true":
		return []string{"--" + flag.Name}
	case flag.NoOptDefVal != "":
		return []string{"--" + flag.Name + "=" + value}
	}
	return []string{"--" + flag.Name, value}
}
