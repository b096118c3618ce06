package main

import (
	"cmp"
	"fmt"
	"regexp"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// version is set when linking; a plain go install has it from the module.
var version string

func covifyVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok && version == "" {
		return info.Main.Version
	}
	return cmp.Or(version, "(devel)")
}

// newRootCmd is the command line: covify IMAGE, and everything else by name.
func newRootCmd() *cobra.Command {
	root := newImageCmd()
	root.Version = covifyVersion()
	root.SilenceUsage = true
	root.SilenceErrors = true
	root.SetVersionTemplate("covify {{.Version}}\n")
	root.SuggestionsMinimumDistance = 2 // letters that may be wrong
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return wrongUse(c, err, c.Flags().Args())
	})
	cobra.AddTemplateFunc("flagUsages", flagUsages)
	root.SetUsageTemplate(strings.Replace(root.UsageTemplate(), ".LocalFlags.FlagUsages", "flagUsages .LocalFlags", 1))
	root.AddCommand(newPlanCmd(), newBuildCmd(), newRunCmd(), newComposeCmd(), newDumpCmd(), newTestCmd(), newSessionCoverageCmd(), newCombineCmd(), newBundleCmd(), newHostCmd(), newDoctorCmd())
	root.AddCommand(newReportCmds()...)
	for _, c := range root.Commands() {
		c.Args = usageArgs(c.Args)
	}
	root.PersistentPreRun = cleanUpBefore
	return root
}

// wrongUse is a usageError that says where help is, and which command was meant if the words are covify IMAGE's and begin with almost one.
func wrongUse(c *cobra.Command, err error, words []string) error {
	wrong := usageError{errorf("%w\nSee '%s --help'.", err, c.CommandPath())}
	if c.HasParent() || len(words) == 0 {
		return wrong
	}
	if near := c.SuggestionsFor(words[0]); len(near) > 0 {
		return &misspeltError{wrong, words[0], near[0]}
	}
	return wrong
}

// misspeltError says that an image was meant to be a command.
type misspeltError struct {
	error
	word, near string
}

func (e *misspeltError) Unwrap() error { return e.error }

// Hint says what the user can do about it.
func (e *misspeltError) Hint() string {
	return fmt.Sprintf("%s is no command of covify and was taken for an image; did you mean covify %s?", e.word, e.near)
}

var optionalValue = regexp.MustCompile(`--(\S+) (\S+)\[="[^"]*"\]`)

// flagUsages lists flags, with --flag[=VALUE] for those that can stand alone.
func flagUsages(flags *pflag.FlagSet) string {
	return optionalValue.ReplaceAllStringFunc(flags.FlagUsages(), func(flag string) string {
		return fmt.Sprintf("%-*s", len(flag), optionalValue.ReplaceAllString(flag, "--$1[=$2]"))
	})
}

// usageArgs makes what check says against the number of arguments wrong use.
func usageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	if check == nil {
		return nil
	}
	return func(c *cobra.Command, args []string) error {
		if err := check(c, args); err != nil {
			return usageError{errorf("%w\nSee '%s --help'.", err, c.CommandPath())}
		}
		return nil
	}
}
