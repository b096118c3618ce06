package main

import (
	"errors"
	"fmt"
	"sync"

	"github.com/spf13/cobra"

	"github.com/covify/covify/wheel"
)

// newBundleCmd is covify bundle: wheels into a folder, for where there is no network.
func newBundleCmd() *cobra.Command {
	var (
		wheels wheelFlags
		choice wheel.Choice
		dir    string
	)
	c := &cobra.Command{
		Use:   "bundle -o DIR",
		Short: "Collect coverage's wheels for offline use",
		Long: `Collect coverage's wheels, from the package index that pip uses, in a folder.
There, --bundle DIR or COVIFY_BUNDLE=DIR makes every other command use it.

Without further flags the folder gets, for every Python that wheels are published
for, the newest release that supports it, on linux/amd64 and linux/arm64.`,
		Example: `  covify bundle -o wheels
  covify bundle -o wheels --python 3.11 --python 3.13t --platform linux/arm64
  covify bundle -o wheels --version 7.10.7 --python 3.9 --platform musllinux_x86_64`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if dir == "" {
				return usageError{errorf("covify bundle needs -o DIR, the folder to fill")}
			}
			var said sync.Mutex // wheels are fetched several at a time
			logf := func(format string, args ...any) {
				said.Lock()
				defer said.Unlock()
				fmt.Fprintf(c.ErrOrStderr(), format+"\n", args...)
			}
			source, err := wheels.source(logf)
			if err != nil {
				return err
			}
			bundle, size, err := source.WriteBundle(c.Context(), dir, choice)
			if err != nil {
				return bundleError(err)
			}
			for _, file := range bundle.Files {
				fmt.Fprintln(c.OutOrStdout(), file.Name)
			}
			logf("%s: %d wheels, %.1f MB", dir, len(bundle.Files), float64(size)/1e6)
			return nil
		},
	}
	wheels.add(c)
	flags := c.Flags()
	flags.StringVarP(&dir, "output", "o", "", "the folder; what an earlier bundle left there is replaced")
	flags.StringSliceVar(&choice.Versions, "version", nil, "releases of coverage (default: the newest that supports each Python)")
	flags.StringSliceVar(&choice.Pythons, "python", nil, "Pythons, such as 3.11, 3.13t, pypy3.10 (default: all)")
	flags.StringSliceVar(&choice.Platforms, "platform", nil, "platforms, such as linux/amd64 or musllinux_aarch64 (default: linux/amd64, linux/arm64)")
	flags.BoolVar(&choice.All, "all", false, "every Linux wheel of the newest release besides")
	return c
}

// bundleError gives err the exit code that its kind has here.
func bundleError(err error) error {
	var word *wheel.WordError
	var noFit *wheel.NoFitError
	switch {
	case errors.As(err, &word):
		return usageError{err}
	case errors.As(err, &noFit):
		return codeError{err, exitNothing}
	}
	return err
}
