package main

import (
	"fmt"
	"io"

	"github.com/covify/covify/imagepatch"
	"github.com/spf13/cobra"
)

func newPlanCmd() *cobra.Command {
	var f imageFlags
	c := &cobra.Command{
		Use:     "plan IMAGE",
		Short:   "Print what covify IMAGE would do and why; change nothing",
		Example: "  covify plan app:1.0\n  covify plan --json docker://registry.example/app:1.0",
		Args:    cobra.ExactArgs(1),
		RunE:    func(c *cobra.Command, args []string) error { return runPlan(c, args[0], &f) },
	}
	f.add(c)
	return c
}

func runPlan(c *cobra.Command, image string, f *imageFlags) error {
	src, opts, err := f.resolve(c.Context(), c.ErrOrStderr(), image)
	if err != nil {
		return err
	}
	result, err := imagepatch.Plan(c.Context(), src, *opts)
	if err != nil {
		return err
	}
	if f.json {
		return printJSON(c.OutOrStdout(), result)
	}
	printPlan(c.OutOrStdout(), result)
	return nil
}

func printPlan(w io.Writer, r *imagepatch.Result) {
	for _, p := range r.Platforms {
		fmt.Fprintf(w, "%s\n", p.Platform)
		if p.Plan == nil {
			fmt.Fprintf(w, "  left as it is: %s\n", p.Reason)
			continue
		}
		for _, i := range p.Plan.Installs {
			fmt.Fprintf(w, "  cover  %s\n         by coverage %s in %s, run by %s\n", i.Path, i.Version, i.Payload, i.Interpreter)
			if i.Coverage != "" {
				fmt.Fprintf(w, "         the image's own coverage %s goes first\n", i.Coverage)
			}
		}
		for _, s := range p.Plan.Skipped {
			fmt.Fprintf(w, "  skip   %s: %s\n", s.Path, s.Reason)
		}
		for _, l := range p.Plan.Layers {
			bytes := 0
			for _, file := range l.Files {
				bytes += len(file.Data)
			}
			fmt.Fprintf(w, "  layer  %s: %d files and directories, %d bytes\n", l.Name, len(l.Files), bytes)
		}
		for _, kv := range p.Plan.Env {
			if len(kv) > 9 && kv[:9] == "COVERAGE_" {
				fmt.Fprintf(w, "  env    %s\n", kv)
			}
		}
	}
	for _, d := range r.Dropped {
		fmt.Fprintf(w, "drop %s\n", d)
	}
}
