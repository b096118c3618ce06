package main

import (
	"cmp"
	"runtime/debug"

	"github.com/spf13/cobra"
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
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usageError{errorf("%w\nSee '%s --help'.", err, c.CommandPath())}
	})
	root.AddCommand(newPlanCmd(), newBuildCmd(), newRunCmd(), newComposeCmd(), newDumpCmd(), newTestCmd(), newSessionCoverageCmd(), newCombineCmd(), newBundleCmd(), newHostCmd(), newDoctorCmd())
	root.AddCommand(newReportCmds()...)
	for _, c := range root.Commands() {
		c.Args = usageArgs(c.Args)
	}
	root.PersistentPreRun = cleanUpBefore
	return root
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
