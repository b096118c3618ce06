package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/covify/covify/covdata"
	"github.com/covify/covify/plan"
	"github.com/covify/covify/runner"
	"github.com/covify/covify/runner/rcfile"
	"github.com/covify/covify/session"
	"github.com/google/renameio/v2"
	"github.com/spf13/cobra"
)

const testHelp = `covify test runs a command and measures the Python processes below it, on this machine and in every container that it starts
with covify run or covify compose, as the project's own coverage settings say. Then it combines all data, prints one report, and
says what became of each container.

No interpreter is touched: processes of this machine are measured through the environment (PYTHONPATH), with their own coverage
or the one that covify brings. What pytest-cov, 'coverage run' and 'coverage combine' save below the command is part of the
report as it is. A Python that ignores PYTHONPATH (-I, -E), or is given another one, is measured only where it has a coverage of
its own, of release 7.13 or later.

The exit code is the command's. Where that is 0: 2 if the total is below --fail-under (or the settings' fail_under), 1 if nothing
was measured or something that --require names was not. A command that is not there ends with 127.`

// ownPlace, as the value of a report flag, is where the project's settings put that report.
const ownPlace = "(settings)"

type testFlags struct {
	html, xml, json, lcov string
	ledger                string
	failUnder             float64
	require               []string
	maps                  []string
	rcfile                string
	contexts              bool
	saveTimeout           time.Duration
	python                pythonFlags
}

func newTestCmd() *cobra.Command {
	f := &testFlags{}
	c := &cobra.Command{
		Use:   "test [FLAGS] [--] CMD...",
		Short: "Run tests; one report of what ran on this machine and in containers",
		Long:  testHelp,
		Example: `  covify test -- pytest
  covify test --html --xml=build/coverage.xml --fail-under=80 -- make test
  covify test --require=shop --ledger=ledger.json -- go test ./e2e`,
		Args: cobra.MinimumNArgs(1),
		RunE: f.run,
	}
	flags := c.Flags()
	flags.SetInterspersed(false)
	for _, report := range []struct {
		value      *string
		name, what string
	}{
		{&f.html, "html", "write HTML pages to `DIR`"}, {&f.xml, "xml", "write Cobertura XML to `FILE`"},
		{&f.json, "json", "write coverage's JSON to `FILE`"}, {&f.lcov, "lcov", "write LCOV to `FILE`"},
	} {
		flags.StringVar(report.value, report.name, "", report.what+" (without a value: where the project's settings say)")
		flags.Lookup(report.name).NoOptDefVal = ownPlace
	}
	flags.StringVar(&f.ledger, "ledger", "", "write what became of each container as JSON to `FILE` (- is stdout)")
	flags.Float64Var(&f.failUnder, "fail-under", 0, "exit with 2 if the total is below this percentage")
	flags.StringSliceVar(&f.require, "require", nil, "`NAMES` of containers, images or compose services, or host, that must be covered")
	flags.StringArrayVar(&f.maps, "map", nil, "`FROM=TO`: the container's directory FROM is the checkout's TO; may be repeated")
	flags.BoolVar(&f.contexts, "contexts", false, "have each line know which container, service, process or test ran it; HTML and JSON show it")
	flags.StringVar(&f.rcfile, "rcfile", "", "coverage's config file (default: the project's own)")
	flags.DurationVar(&f.saveTimeout, "save-timeout", runner.SaveTimeout, "how long the processes of a container may take to save before it is stopped")
	f.python.add(c)
	return c
}

func (f *testFlags) run(c *cobra.Command, args []string) error {
	stderr := c.ErrOrStderr()
	path, err := findCommand(args[0])
	if err != nil {
		return err
	}
	command := exec.Command(path)
	command.Args, command.Stdin, command.Stdout, command.Stderr = args, c.InOrStdin(), c.OutOrStdout(), stderr
	member, err := joined(stderr)
	if err != nil {
		return err
	}
	if member != nil {
		fmt.Fprintf(stderr, "covify: %s joins the session of process %d, at whose end the report comes\n", args[0], member.PID)
		code, err := runCommand(command)
		return codeOf(code, err)
	}
	maps, err := parseMaps(f.maps)
	if err != nil {
		return err
	}
	s, err := f.open(args)
	if err != nil {
		return err
	}
	for _, left := range s.Left {
		fmt.Fprintf(stderr, "covify: %s: it was cleaned up, with the %d data files that it left\n", left, left.Data)
	}
	if theirs := os.Getenv("COVERAGE_PROCESS_START"); theirs != "" {
		fmt.Fprintf(stderr, "covify: your COVERAGE_PROCESS_START=%s is not used below the command: the session has settings of its own\n", theirs)
	}
	command.Env = s.Env(os.Environ())
	code, err := runCommand(command)
	if err != nil {
		return errors.Join(err, s.Close())
	}
	// The interrupt that ended the command was for the command; another one is for the report.
	ctx, stop := signal.NotifyContext(context.WithoutCancel(c.Context()), os.Interrupt, syscall.SIGTERM)
	defer stop()
	settle(ctx, stderr, s, f.saveTimeout)
	err = f.judge(ctx, c, s, code, maps)
	return errors.Join(err, s.Close())
}

// findCommand finds a program as a shell does, with a shell's exit codes.
func findCommand(name string) (string, error) {
	path, err := exec.LookPath(name)
	switch {
	case err == nil:
		return path, nil
	case errors.Is(err, os.ErrPermission):
		return "", codeError{errorf("running %s: %w", name, err), 126}
	}
	return "", codeError{&commandError{name}, 127}
}

// commandError says that there is no such program.
type commandError struct{ name string }

func (e *commandError) Error() string { return e.name + ": command not found" }

// Hint says what the user can do about it.
func (e *commandError) Hint() string {
	if words := strings.Fields(e.name); len(words) > 1 {
		return "the command is one word here; covify test -- " + e.name + " gives it its own words, and sh -c runs a line of a shell"
	}
	return "it is looked for on PATH, as a shell does: is the environment active that has it?"
}

func runCommand(command *exec.Cmd) (int, error) {
	code, err := runner.RunChild(command)
	if err != nil {
		return 0, codeError{errorf("running %s: %w", command.Args[0], err), 126}
	}
	return code, nil
}

func codeOf(code int, err error) error {
	if err == nil && code != 0 {
		return codeError{errors.New(""), code}
	}
	return err
}

// open begins the session with the project's own settings.
func (f *testFlags) open(args []string) (*session.Session, error) {
	root, err := sessionRoot()
	if err != nil {
		return nil, err
	}
	named := f.rcfile
	if named == "" {
		named = os.Getenv("COVERAGE_RCFILE")
	}
	if named != "" && !filepath.IsAbs(named) {
		named = filepath.Join(root, named)
	}
	config, err := rcfile.Find(rcfile.Place{Dir: root, RCFile: named, Lookup: os.LookupEnv})
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, errorf("finding covify's own program: %w", err)
	}
	return session.Open(session.Options{
		Root: root, Command: args, RCFile: named, Config: config, SaveTimeout: f.saveTimeout, Contexts: f.contexts, Branch: wantsBranch(root, args),
		Own: ownDataFile(root, config), StartUp: plan.Startup(), Coverage: []string{self, "session-coverage"},
	})
}

// ownDataFile is where the project's own coverage commands put their data.
func ownDataFile(root string, config *rcfile.Config) string {
	file := ".coverage"
	for _, set := range []string{os.Getenv("COVERAGE_FILE"), config.Get("run", "data_file")} {
		if set != "" {
			file = set
			break
		}
	}
	if filepath.IsAbs(file) {
		return filepath.Clean(file)
	}
	return filepath.Join(root, file)
}

// wantsBranch reports whether branches are asked for on a command line: data with and without them cannot be combined, so that
// all is measured in the same way.
func wantsBranch(root string, args []string) bool {
	if slices.Contains(args, "--branch") || strings.Contains(strings.Join(args, " ")+os.Getenv("PYTEST_ADDOPTS"), "--cov-branch") {
		return true
	}
	for _, name := range []string{"pytest.ini", ".pytest.ini", "pytest.toml", ".pytest.toml", "pyproject.toml", "tox.ini", "setup.cfg"} {
		if text, err := os.ReadFile(filepath.Join(root, name)); err == nil && strings.Contains(string(text), "--cov-branch") {
			return true
		}
	}
	return false
}

// judge combines what the session left, reports it, and returns what the exit code says. The command's own failure goes first.
func (f *testFlags) judge(ctx context.Context, c *cobra.Command, s *session.Session, code int, maps []covdata.Map) error {
	full := s.Full()
	summary, failed := f.report(ctx, c, s, maps)
	if full != nil {
		failed = append([]error{full}, failed...)
	}
	var folders []covdata.Folder
	if summary != nil {
		folders = summary.Folders
	}
	ledger := s.Ledger(code, folders)
	if full != nil && ledger.Host.Outcome == session.Failed {
		ledger.Host.Why = full.Error()
	}
	for _, line := range ledger.Words() {
		fmt.Fprintf(c.ErrOrStderr(), "covify: %s\n", line)
	}
	if err := f.writeLedger(c.OutOrStdout(), ledger); err != nil {
		failed = append(failed, err)
	}
	for _, name := range ledger.Silent(f.require) {
		failed = append(failed, errorf("--require: nothing was covered of %s", name))
	}
	return verdict(failed, code)
}

// verdict is one error of all, with the exit code of the command, else of the worst.
func verdict(failed []error, code int) error {
	below := new(covdata.FailUnderError)
	rest := slices.DeleteFunc(slices.Clone(failed), func(err error) bool { return errors.As(err, &below) })
	switch {
	case code != 0:
		return codeError{joint(failed), code}
	case len(failed) == 0:
		return nil
	case len(rest) == 0:
		return codeError{joint(failed), below.ExitCode()}
	case errors.Is(rest[0], context.Canceled):
		return codeError{joint(failed), exitInterrupted}
	}
	return codeError{joint(failed), exitCode(rest[0])}
}

// joint is one error, whose words are each on a line that names covify; without any it has no words.
func joint(failed []error) error { return jointError(failed) }

type jointError []error

func (e jointError) Error() string {
	var words []string
	for _, err := range e {
		words = append(words, err.Error())
	}
	return strings.Join(words, "\ncovify: ")
}

// Hint is the first that one of the errors has.
func (e jointError) Hint() string {
	for _, err := range e {
		var hinted interface{ Hint() string }
		if errors.As(err, &hinted) && hinted.Hint() != "" {
			return hinted.Hint()
		}
	}
	return ""
}

// nothingError says that a session measured nothing.
type nothingError struct{ reason string }

func (e *nothingError) Error() string { return "nothing was measured: " + e.reason }

// report makes the report on the terminal and those that were asked for.
func (f *testFlags) report(ctx context.Context, c *cobra.Command, s *session.Session, maps []covdata.Map) (*covdata.Summary, []error) {
	if !s.HasData() {
		return nil, []error{&nothingError{s.Reason()}}
	}
	opts := covdata.ReportOptions{Stdout: c.OutOrStdout(), Data: covdata.CombineOptions{
		Root: s.Root, Inputs: s.Inputs(), Output: s.Output(), Config: s.RCFile, Maps: maps, Session: true,
		Contents: imageContents(), Stderr: c.ErrOrStderr()}}
	if c.Flags().Changed("fail-under") {
		opts.FailUnder = &f.failUnder
	}
	python, err := f.python.find(ctx, c.ErrOrStderr(), s.Root, opts.Data.Inputs)
	if err != nil {
		return nil, []error{err}
	}
	made, err := covdata.Report(ctx, python, covdata.Text, opts)
	if none := new(covdata.NoDataError); errors.As(err, &none) {
		return made.Summary, nothing(s, none)
	}
	say(c, made.Summary, s.Root)
	below := new(covdata.FailUnderError)
	if err != nil && !errors.As(err, &below) {
		return made.Summary, []error{err}
	}
	var failed []error
	if err != nil {
		failed = append(failed, err)
	}
	for _, wanted := range []struct {
		format covdata.Format
		place  string
	}{{covdata.HTML, f.html}, {covdata.XML, f.xml}, {covdata.JSON, f.json}, {covdata.LCOV, f.lcov}} {
		if wanted.place == "" {
			continue
		}
		if err := f.write(ctx, c, python, wanted.format, wanted.place, opts); err != nil {
			failed = append(failed, err)
		}
	}
	return made.Summary, failed
}

// nothing says that there is no data, and which there was that could not be combined.
func nothing(s *session.Session, none *covdata.NoDataError) []error {
	failed := []error{&nothingError{s.Reason()}}
	for _, left := range none.LeftOut {
		if left.Reason != "nothing was measured" {
			return append(failed, none)
		}
	}
	return failed
}

func (f *testFlags) write(ctx context.Context, c *cobra.Command, python covdata.Python, format covdata.Format, place string, opts covdata.ReportOptions) error {
	opts.ShowContexts = f.contexts && (format == covdata.HTML || format == covdata.JSON)
	if opts.Output = place; place == ownPlace {
		opts.Output = ""
	}
	made, err := covdata.Report(ctx, python, format, opts)
	if below := new(covdata.FailUnderError); errors.As(err, &below) {
		err = nil // the first report said so
	}
	if err != nil {
		return errorf("%s report: %w", format, err)
	}
	if made.Output != "-" {
		words := shortened(made.Output)
		if format == covdata.HTML {
			f.html = filepath.Dir(made.Output)
			words += ", with the ledger in ledger.html"
		}
		fmt.Fprintf(c.ErrOrStderr(), "covify: wrote %s\n", words)
	}
	return nil
}

// writeLedger writes the ledger where it was asked for, and beside the HTML pages.
func (f *testFlags) writeLedger(stdout io.Writer, ledger session.Ledger) error {
	places := []string{f.ledger}
	if f.ledger == "-" {
		places = nil
		if err := ledger.JSON(stdout); err != nil {
			return errorf("writing the ledger: %w", err)
		}
	}
	if pages := filepath.Join(f.html, "index.html"); f.html != "" && isThere(pages) {
		places = append(places, filepath.Join(f.html, "ledger.json"))
		if err := ledger.WritePage(filepath.Join(f.html, "ledger.html")); err != nil {
			return errorf("writing the ledger: %w", err)
		}
	}
	for _, place := range places {
		if place == "" {
			continue
		}
		if err := writeFile(place, ledger.JSON); err != nil {
			return errorf("writing the ledger: %w", err)
		}
	}
	return nil
}

// writeFile has a file appear whole or not at all; what is no file, such as a pipe, is written to.
func writeFile(path string, write func(io.Writer) error) error {
	var text bytes.Buffer
	if err := write(&text); err != nil {
		return err
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return os.WriteFile(path, text.Bytes(), 0o666)
	}
	return renameio.WriteFile(path, text.Bytes(), 0o644)
}
