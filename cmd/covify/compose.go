package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/covify/covify/compose"
	"github.com/covify/covify/runner"
	"github.com/covify/covify/session"
	"github.com/spf13/cobra"
)

const composeHelp = `covify compose is docker compose, with every command and flag of it, for a project whose Python services are measured. No
compose file changes: the services' images are made variants, and an override file with their mounts and variables is handed to
docker compose after the project's own files. What is not Python runs as it is. Images are pulled and built as docker compose
would, and plain docker compose goes on working with the project: logs, ps, exec, down.

Each service's data come to a folder of its own: in a session (covify test) to the session's, else to .covify/data/SERVICE. Before
down, stop, kill, restart and rm end containers, the Python processes in them save what they measured. The exit code is docker
compose's.

covify's own flags, before compose's command:
      --data-dir DIR         where data come to (default .covify/data)
      --rcfile FILE          coverage settings to use instead of the project's
      --engine NAME          docker, podman or nerdctl (default the first that answers)
      --save-timeout TIME    how long processes may take to save before they are ended (default 2s)
      --print[=shell|json]   make everything ready, but print compose's command line instead of running it`

func newComposeCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "compose [COMPOSE FLAGS] COMMAND [ARGS...]",
		Short: "docker compose, with the coverage of its Python services brought home",
		Long:  composeHelp,
		Example: `  covify compose up -d --wait
  covify compose -f compose.yaml -f compose.test.yaml up --abort-on-container-exit --exit-code-from tests
  covify compose run --rm tests pytest
  covify compose down`,
		DisableFlagParsing: true, // the flags are compose's
		RunE: func(c *cobra.Command, args []string) error {
			line, err := compose.Parse(args)
			if err != nil {
				return usageError{errorf("%w\nSee '%s --help'.", err, c.CommandPath())}
			}
			if line.Help || (line.Command.Name == "" && len(args) == 0) {
				return c.Help()
			}
			return runCompose(c, line)
		},
	}
}

// composer is one call of covify compose.
type composer struct {
	line    compose.Line
	engine  runner.Engine
	program []string // docker compose
	env     []string // what is set for it besides this process's own environment
	files   []string // of the project
	extra   []string // global flags besides the user's
	dir     string
	member  *session.Member // nil without a session
	in      io.Reader
	out     io.Writer
	err     io.Writer
}

func runCompose(c *cobra.Command, line compose.Line) error {
	ctx := c.Context()
	p := &composer{line: line, in: c.InOrStdin(), out: c.OutOrStdout(), err: c.ErrOrStderr()}
	var err error
	if p.dir, err = os.Getwd(); err != nil {
		return err
	}
	if p.member, err = joined(p.err); err != nil {
		return err
	}
	if p.engine, err = runner.FindEngine(ctx, line.Engine, thisHost()); err != nil {
		return err
	}
	if p.program, err = composeProgram(ctx, p.engine); err != nil {
		return err
	}
	p.setEnv()
	command := line.Command
	switch {
	case line.DryRun() || command.Has("help"):
	case command.Starts():
		return p.start(ctx)
	case command.Changes() && line.Print == "":
		return p.change(ctx)
	}
	p.files = line.Files
	return p.run(p.words(command.Words()...))
}

// noComposeError says that there is no compose to hand a project to.
type noComposeError struct {
	engine string
	said   string
}

func (e *noComposeError) Error() string {
	return fmt.Sprintf("%s has no compose: %s", e.engine, e.said)
}

// Hint says what the user can do about it.
func (e *noComposeError) Hint() string {
	return "install Docker's compose plugin (package docker-compose-plugin), or put docker-compose on PATH"
}

// composeProgram finds the engine's compose, else one that stands alone.
func composeProgram(ctx context.Context, engine runner.Engine) ([]string, error) {
	said, err := exec.CommandContext(ctx, engine.Path, "compose", "version").CombinedOutput()
	if err == nil {
		return []string{engine.Path, "compose"}, nil
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	for _, name := range []string{"docker-compose", "podman-compose"} {
		if path, missing := exec.LookPath(name); missing == nil && (engine.Name == "podman" || name == "docker-compose") {
			return []string{path}, nil
		}
	}
	first, _, _ := strings.Cut(strings.TrimSpace(string(said)), "\n")
	return nil, &noComposeError{engine.Name, first}
}

// setEnv says what compose is to know that the user has not said.
func (p *composer) setEnv() {
	if os.Getenv("COMPOSE_MENU") == "" {
		p.env = append(p.env, "COMPOSE_MENU=false") // its keys, Ctrl-C among them, would not be seen here
	}
	if alone := len(p.program) == 1; alone && p.engine.Name == "podman" && os.Getenv("DOCKER_HOST") == "" {
		p.env = append(p.env, "DOCKER_HOST="+p.engine.Endpoint.Address)
	}
}

// words is a whole command line of compose for the project.
func (p *composer) words(command ...string) []string {
	words := slices.Concat(p.program, p.line.Globals(), p.extra)
	for _, file := range p.files {
		words = append(words, "-f", file)
	}
	return append(words, command...)
}

// run has compose take over the terminal; the error carries its exit code.
func (p *composer) run(words []string) error {
	if p.line.Print != "" {
		return p.print(words, nil)
	}
	command := exec.Command(words[0], words[1:]...)
	command.Stdin, command.Stdout, command.Stderr, command.Env = p.in, p.out, p.err, append(os.Environ(), p.env...)
	code, err := runner.RunSaving(command, p.interrupted)
	if err != nil {
		return errorf("running %s: %w", words[0], err)
	}
	return codeOf(code, nil)
}

// interrupted has the project's containers save before a signal reaches compose, if it ends them then.
func (p *composer) interrupted() {
	if p.line.Command.Attached() {
		ctx := context.Background()
		p.save(ctx, p.running(p.containers(ctx)))
	}
}

// ask returns what compose answers. When it refuses, its own words are on stderr and its exit code is the error's.
func (p *composer) ask(ctx context.Context, command ...string) ([]byte, error) {
	text, err := p.askQuietly(ctx, p.err, command...)
	if exited := new(exec.ExitError); errors.As(err, &exited) && ctx.Err() == nil {
		return nil, codeError{errors.New(""), exited.ExitCode()}
	}
	return text, err
}

func (p *composer) askQuietly(ctx context.Context, stderr io.Writer, command ...string) ([]byte, error) {
	words := p.words(command...)
	asked := exec.CommandContext(ctx, words[0], words[1:]...)
	asked.Stderr, asked.Env = stderr, append(os.Environ(), p.env...)
	return asked.Output()
}

// tell has compose do something before the command itself; its progress goes to stderr.
func (p *composer) tell(ctx context.Context, command ...string) error {
	words := p.words(command...)
	told := exec.CommandContext(ctx, words[0], words[1:]...)
	told.Stdout, told.Stderr, told.Env = p.err, p.err, append(os.Environ(), p.env...)
	err := told.Run()
	if exited := new(exec.ExitError); errors.As(err, &exited) && ctx.Err() == nil {
		return codeError{errorf("compose %s failed; nothing was started", command[0]), exited.ExitCode()}
	}
	return err
}

// project has compose say what will run.
func (p *composer) project(ctx context.Context) (compose.Project, error) {
	if err := p.findFiles(ctx); err != nil {
		return compose.Project{}, err
	}
	text, err := p.ask(ctx, slices.Concat([]string{"config", "--format", "json"}, p.line.Command.Services)...)
	if err != nil {
		return compose.Project{}, err
	}
	project, err := compose.ReadProject(text)
	if len(p.line.Command.Services) > 0 && p.line.Command.Has("no-deps") {
		for name := range project.Services {
			if !slices.Contains(p.line.Command.Services, name) {
				delete(project.Services, name)
			}
		}
	}
	return project, err
}

// findFiles names the project's files, since compose looks for none beside the override.
func (p *composer) findFiles(ctx context.Context) error {
	if p.files = slices.Clone(p.line.Files); len(p.files) > 0 {
		return p.keepStdin()
	}
	settings := map[string]string{}
	text, err := p.askQuietly(ctx, io.Discard, "config", "--environment") // with what an .env file sets
	for line := range bytes.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimRight(string(line), "\r\n"), "=")
		settings[name] = value
	}
	variable := func(name string) string { return settings[name] }
	if err != nil {
		variable = os.Getenv // a compose that does not know the flag, or one that will say what is wrong
	}
	p.files = compose.Files(p.dir, p.line.Directory, variable)
	return nil
}

// keepStdin writes a project's file that comes by stdin down: compose reads it more than once here.
func (p *composer) keepStdin() error {
	i := slices.Index(p.files, "-")
	if i < 0 {
		return nil
	}
	text, err := io.ReadAll(p.in)
	if err != nil {
		return errorf("reading the compose file on stdin: %w", err)
	}
	if p.files[i], err = p.keep("stdin", text); err != nil {
		return err
	}
	p.in = nil
	if p.line.Directory == "" {
		p.extra = []string{"--project-directory", p.dir}
	}
	return nil
}

// keep writes a file of covify's that compose reads. Its name says what is in it, so that calls side by side do not meet.
func (p *composer) keep(name string, text []byte) (string, error) {
	dir := filepath.Join(p.dir, ".covify", "compose")
	if p.member != nil {
		dir = filepath.Join(p.member.Dir, "compose")
	}
	if err := makeOwnFolder(dir); err != nil {
		return "", errorf("making the folder of override files: %w", err)
	}
	path := filepath.Join(dir, fmt.Sprintf("%s-%08x.yaml", name, crc32.ChecksumIEEE(text)))
	err := writeFile(path, func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	})
	if err != nil {
		return "", errorf("writing what compose is to read: %w", err)
	}
	return path, nil
}

// makeOwnFolder makes a folder in a checkout's .covify, which git ignores.
func makeOwnFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	parent := filepath.Dir(dir)
	ignore := filepath.Join(parent, ".gitignore")
	if filepath.Base(parent) != ".covify" || isThere(ignore) {
		return nil
	}
	return os.WriteFile(ignore, []byte("*\n"), 0o666)
}

// print says what would be run, for others to run it.
func (p *composer) print(words []string, dirs map[string]string) error {
	if p.line.Print == "json" {
		e := json.NewEncoder(p.out)
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false)
		return e.Encode(map[string]any{"command": words, "data_dirs": dirs})
	}
	_, err := fmt.Fprintln(p.out, runner.ShellLine(words))
	return err
}
