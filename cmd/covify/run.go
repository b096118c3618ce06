package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/covify/covify/imagepatch"
	"github.com/covify/covify/plan"
	"github.com/covify/covify/runner"
	"github.com/spf13/cobra"
)

const runHelp = `covify run starts a container as 'docker run' does, with every flag of docker run, podman run or nerdctl run, and brings
the coverage of its Python processes to this machine. An image that is no variant yet is made one first.

It mounts a data directory, sets COVERAGE_FILE and COVERAGE_PROCESS_START, and puts the project's own coverage settings
(.coveragerc, .coveragerc.toml, setup.cfg, tox.ini, pyproject.toml) there with what keeps the data of every process. Its exit
code is the container's; a container that succeeded and left no data ends with 1.

A signal that covify run gets (Ctrl-C too) is passed on when the container's processes have saved, a further one at once. A container
that has not ended 10 seconds after SIGTERM (--stop-timeout says how many) is killed, as 'docker stop' would do it.

covify's own flags, anywhere before IMAGE:
      --data-dir DIR         where data come to (default .covify/data)
      --rcfile FILE          coverage settings to use instead of the project's
      --engine NAME          docker, podman or nerdctl (default the first that answers)
      --save-timeout TIME    how long its processes may take to save before a signal is passed on (default 2s)
      --print[=shell|json]   make everything ready, but print the engine's command line instead of running it`

func newRunCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "run [ENGINE FLAGS] IMAGE [CMD...]",
		Short: "Run an image and bring its coverage home",
		Long:  runHelp,
		Example: `  covify run --rm app:1.0
  covify run --rm -it -p 8000:8000 -e DEBUG=1 app:1.0 gunicorn app:app
  eval "$(covify run --print -d --name app app:1.0)"`,
		DisableFlagParsing: true, // the flags are the engine's
		RunE: func(c *cobra.Command, args []string) error {
			inv, err := runner.ParseArgs(args)
			if err != nil {
				return runUsage(c, err)
			}
			if inv.Help {
				return c.Help()
			}
			return runContainer(c, inv)
		},
	}
}

func runUsage(c *cobra.Command, err error) error {
	if wrong := new(runner.UsageError); errors.As(err, &wrong) {
		return usageError{errorf("%w\nSee '%s --help'.", err, c.CommandPath())}
	}
	return err
}

func runContainer(c *cobra.Command, inv runner.Invocation) error {
	ctx, stderr := c.Context(), c.ErrOrStderr()
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	member, err := joined(stderr)
	if err != nil {
		return err
	}
	record, err := enter(member, inv)
	if err != nil {
		return err
	}
	engine, err := runner.FindEngine(ctx, inv.Engine, thisHost())
	if err != nil {
		return record.failed(err)
	}
	opts := runner.Options{
		Engine: engine, Dir: dir, Lookup: os.LookupEnv, SELinux: runner.SELinuxEnforcing(),
		Covify: covifier(stderr, engine, inv.Pull),
	}
	if err := record.options(member, &opts); err != nil {
		return record.failed(err)
	}
	job, err := runner.Prepare(ctx, inv, opts)
	if err != nil {
		return record.failed(runUsage(c, err))
	}
	for _, words := range job.Words {
		fmt.Fprintf(stderr, "covify: %s\n", words)
	}
	if job.DataDir != "" {
		lastRun{engine.Name, job.Variant}.remember(job.DataDir)
	}
	if err := record.ready(job); err != nil {
		return err
	}
	job.Started = record.started
	if inv.Print != "" {
		return errors.Join(printJob(c.OutOrStdout(), job, inv.Print), record.printed())
	}
	result, err := job.Run(ctx, runner.Stdio{In: c.InOrStdin(), Out: c.OutOrStdout(), Err: stderr})
	if err != nil {
		return record.failed(err)
	}
	if record.inSession() {
		return record.ended(result)
	}
	return summarize(stderr, job, result)
}

func printJob(w io.Writer, job *runner.Job, form string) error {
	if form == "json" {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false)
		return e.Encode(job)
	}
	_, err := fmt.Fprintln(w, job.Shell())
	return err
}

// summarize says what came of a run and returns an error with its exit code.
func summarize(stderr io.Writer, job *runner.Job, result runner.Result) error {
	for _, note := range result.Notes {
		if result.NoData == nil || result.NoData.Reason != note {
			fmt.Fprintf(stderr, "covify: %s\n", note)
		}
	}
	switch {
	case job.DataDir == "":
	case result.NoData != nil && result.ExitCode == 0:
		return result.NoData
	case result.NoData != nil:
		return codeError{result.NoData, result.ExitCode}
	case result.Detached:
		fmt.Fprintf(stderr, "covify: data come to %s when the container ends\n", shortened(job.DataDir))
	case len(result.DataFiles) > 0:
		fmt.Fprintf(stderr, "covify: %s in %s; covify report shows them\n", plural(len(result.DataFiles), "data file", "data files"), shortened(job.DataDir))
	}
	if result.ExitCode != 0 {
		return codeError{errors.New(""), result.ExitCode}
	}
	return nil
}

// covifier makes a variant in the engine: of its own image, or of the registry's where it has none. pull is docker
// run's --pull, which is about the image that the variant is made of.
func covifier(stderr io.Writer, engine runner.Engine, pull string) runner.Covifier {
	return func(ctx context.Context, image, platform string) (string, error) {
		_, err := engine.Image(ctx, image, platform)
		missing := errors.Is(err, runner.ErrNotThere)
		if err != nil && !missing {
			return "", err
		}
		if missing && pull == "never" {
			return "", errorf("image %q: %w, and --pull=never is given", image, err)
		}
		if pull == "always" || (missing && !engine.HasAPI()) {
			if err := engineCommand(ctx, stderr, engine, pullArgs(image, platform)...); err != nil {
				return "", err
			}
			pulled, err := engine.Image(ctx, image, platform)
			if err != nil || pulled.Variant() {
				return image, err
			}
			missing = false
		}
		dst, err := imagepatch.Ref{Transport: imagepatch.DockerDaemon, Name: image}.Variant()
		if err != nil {
			return "", err
		}
		switch {
		case !engine.HasAPI():
			err = covifyByFiles(ctx, stderr, engine, image, dst.Name)
		case missing:
			err = covifyInto(ctx, stderr, engine, "docker://"+image, dst, platform)
		default:
			err = covifyInto(ctx, stderr, engine, "docker-daemon:"+image, dst, platform)
		}
		return dst.Name, err
	}
}

func pullArgs(image, platform string) []string {
	if platform == "" {
		return []string{"pull", image}
	}
	return []string{"pull", "--platform", platform, image}
}

// covifyInto makes a variant as covify IMAGE -t does, with the engine that runs it. Of one that is there already it says nothing, and
// nothing of what an index held besides: that is not what runs.
func covifyInto(ctx context.Context, stderr io.Writer, engine runner.Engine, image string, dst imagepatch.Ref, platform string) error {
	f := imageFlags{platform: platform, dataDir: plan.DataDir, access: accessFlags{tlsVerify: true}}
	src, opts, err := f.resolve(ctx, stderr, image)
	if err != nil {
		return err
	}
	opts.Access.Engine = &imagepatch.Engine{Host: engine.Endpoint.Address}
	result, err := f.variant(ctx, stderr, src, dst, opts)
	if err != nil {
		return err
	}
	if result.Unchanged {
		return nil
	}
	result.Dropped = nil
	describe(stderr, result)
	return nil
}

// covifyByFiles has an engine without an API save the image and load the variant.
func covifyByFiles(ctx context.Context, stderr io.Writer, engine runner.Engine, image, variant string) error {
	dir, err := os.MkdirTemp("", "covify-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	saved := filepath.Join(dir, "saved.tar")
	if err := quietCommand(ctx, engine, "save", "-o", saved, image); err != nil {
		return err
	}
	dst := imagepatch.Ref{Transport: imagepatch.DockerArchive, Path: filepath.Join(dir, "variant.tar"), Name: variant}
	if err := covifyInto(ctx, stderr, engine, "docker-archive:"+saved, dst, ""); err != nil {
		return err
	}
	return quietCommand(ctx, engine, "load", "-i", dst.Path)
}

// engineCommand runs a command of the engine's; stdout is not covify's to fill with its progress. Its exit code is no
// container's, so the error does not hold it.
func engineCommand(ctx context.Context, stderr io.Writer, engine runner.Engine, args ...string) error {
	command := exec.CommandContext(ctx, engine.Path, args...)
	command.Stdout, command.Stderr = stderr, stderr
	if err := command.Run(); err != nil {
		return errorf("%s %s: %v", engine.Name, args[0], err)
	}
	return nil
}

// quietCommand is engineCommand for what is of no interest unless it goes wrong.
func quietCommand(ctx context.Context, engine runner.Engine, args ...string) error {
	var said bytes.Buffer
	if err := engineCommand(ctx, &said, engine, args...); err != nil {
		return errorf("%w: %s", err, bytes.TrimSpace(said.Bytes()))
	}
	return nil
}
