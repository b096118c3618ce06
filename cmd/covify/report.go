package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/covify/covify/covdata"
	"github.com/spf13/cobra"
)

// reportFlags are coverage's own flags for reports, by their own names.
type reportFlags struct {
	data        dataFlags
	opts        covdata.ReportOptions
	failUnder   float64
	precision   int
	skipCovered bool
	skipNot     bool
	quiet       bool
}

// reportKind is what the commands differ in.
type reportKind struct {
	format  covdata.Format
	short   string
	example string
	flags   func(*reportFlags, *cobra.Command)
}

var reportKinds = []reportKind{
	{covdata.Text, "Report coverage as text on stdout",
		"  covify report\n  covify report -m --skip-covered --fail-under=80\n  covify report --format=markdown >>\"$GITHUB_STEP_SUMMARY\"", textFlags},
	{covdata.HTML, "Report coverage as HTML pages",
		"  covify html\n  covify html -d site/coverage --title 'end to end'", htmlFlags},
	{covdata.XML, "Report coverage as Cobertura XML",
		"  covify xml\n  covify xml -o build/coverage.xml", fileFlags},
	{covdata.JSON, "Report coverage as JSON",
		"  covify json -o - | jq .totals.percent_covered", jsonFlags},
	{covdata.LCOV, "Report coverage as LCOV",
		"  covify lcov -o coverage.info", fileFlags},
}

// newReportCmds are covify report, html, xml, json and lcov.
func newReportCmds() []*cobra.Command {
	var commands []*cobra.Command
	for _, kind := range reportKinds {
		commands = append(commands, newReportCmd(kind))
	}
	return commands
}

func newReportCmd(kind reportKind) *cobra.Command {
	f := &reportFlags{}
	c := &cobra.Command{
		Use:   string(kind.format),
		Short: kind.short,
		Long: kind.short + `.

The data is combined first where that is due, as the last covify combine or
covify test did it, unless --data-dir or --map say otherwise. Paths are relative
to the checkout.`,
		Example: kind.example,
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return f.run(c, kind.format) },
	}
	f.data.add(c)
	flags := c.Flags()
	flags.StringSliceVar(&f.opts.Include, "include", nil, "only files whose paths match one of these patterns")
	flags.StringSliceVar(&f.opts.Omit, "omit", nil, "no files whose paths match one of these patterns")
	flags.BoolVarP(&f.opts.IgnoreErrors, "ignore-errors", "i", false, "go on after a source that cannot be parsed")
	flags.Float64Var(&f.failUnder, "fail-under", 0, "exit with 2 if the total is below this percentage")
	kind.flags(f, c)
	return c
}

func textFlags(f *reportFlags, c *cobra.Command) {
	coveredFlags(f, c)
	flags := c.Flags()
	flags.BoolVarP(&f.opts.ShowMissing, "show-missing", "m", false, "show the lines that did not run")
	flags.StringVar(&f.opts.Sort, "sort", "", "`COLUMN` to sort by: name, stmts, miss, branch, brpart or cover; -COLUMN descends")
	flags.StringVar(&f.opts.TextFormat, "format", "", "text, markdown or total (default text)")
}

func htmlFlags(f *reportFlags, c *cobra.Command) {
	coveredFlags(f, c)
	flags := c.Flags()
	flags.StringVarP(&f.opts.Output, "directory", "d", "", "where the pages go (default htmlcov)")
	flags.StringVar(&f.opts.Title, "title", "", "title of the pages")
	flags.BoolVar(&f.opts.ShowContexts, "show-contexts", false, "show the contexts of covered lines")
	flags.BoolVarP(&f.quiet, "quiet", "q", false, "do not say where the report is")
}

// coveredFlags are for reports that list files for a reader.
func coveredFlags(f *reportFlags, c *cobra.Command) {
	flags := c.Flags()
	flags.StringSliceVar(&f.opts.Contexts, "contexts", nil, "only contexts that match one of these regular expressions")
	flags.IntVar(&f.precision, "precision", 0, "digits after the decimal point")
	flags.BoolVar(&f.skipCovered, "skip-covered", false, "no files with full coverage")
	flags.BoolVar(&f.skipNot, "no-skip-covered", false, "files with full coverage too")
	flags.BoolVar(&f.opts.SkipEmpty, "skip-empty", false, "no files without code")
	c.MarkFlagsMutuallyExclusive("skip-covered", "no-skip-covered")
}

func fileFlags(f *reportFlags, c *cobra.Command) {
	flags := c.Flags()
	flags.StringVarP(&f.opts.Output, "output", "o", "", "the report's file, - for stdout (default: coverage's own)")
	flags.BoolVarP(&f.quiet, "quiet", "q", false, "do not say where the report is")
	if c.Name() == string(covdata.XML) {
		flags.BoolVar(&f.opts.SkipEmpty, "skip-empty", false, "no files without code")
	}
}

func jsonFlags(f *reportFlags, c *cobra.Command) {
	fileFlags(f, c)
	c.Flags().StringSliceVar(&f.opts.Contexts, "contexts", nil, "only contexts that match one of these regular expressions")
	c.Flags().BoolVar(&f.opts.ShowContexts, "show-contexts", false, "with the contexts of covered lines")
	c.Flags().BoolVar(&f.opts.PrettyPrint, "pretty-print", false, "indented")
}

// run makes the report: it alone goes to stdout, what is to be said goes to stderr after it.
func (f *reportFlags) run(c *cobra.Command, format covdata.Format) error {
	data, err := f.data.options(c, nil)
	if err != nil {
		return err
	}
	data.AsBefore = !c.Flags().Changed("data-dir") && !c.Flags().Changed("map")
	if data.AsBefore {
		data.Output = lastSession(data.Root)
	} else if c.Flags().Changed("data-dir") {
		data.Output = filepath.Join(data.Root, ".covify", "coverage-elsewhere") // the next report without the flag is of the usual place
	}
	f.opts.Data, f.opts.Stdout = data, c.OutOrStdout()
	f.optional(c)
	python, err := f.data.python.find(c.Context(), c.ErrOrStderr(), data.Root, data.Inputs)
	if err != nil {
		return err
	}
	made, err := covdata.Report(c.Context(), python, format, f.opts)
	say(c, made.Summary, data.Root)
	if made.Output != "" && made.Output != "-" && !f.quiet {
		fmt.Fprintf(c.ErrOrStderr(), "covify: wrote %s\n", shortened(made.Output))
	}
	if below := new(covdata.FailUnderError); errors.As(err, &below) {
		return codeError{err, below.ExitCode()}
	}
	return err
}

// shortened is path as seen from the current directory, if it lies below that.
func shortened(path string) string {
	here, err := os.Getwd()
	if err != nil {
		return path
	}
	if rel, err := filepath.Rel(here, path); err == nil && filepath.IsLocal(rel) {
		return rel
	}
	return path
}

// optional sets what was given on the command line, and leaves the rest to coverage's config.
func (f *reportFlags) optional(c *cobra.Command) {
	if c.Flags().Changed("fail-under") {
		f.opts.FailUnder = &f.failUnder
	}
	if c.Flags().Changed("precision") {
		f.opts.Precision = &f.precision
	}
	if f.skipCovered || f.skipNot {
		f.opts.SkipCovered = &f.skipCovered
	}
}
