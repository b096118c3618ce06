package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/covify/covify/covdata"
	"github.com/spf13/cobra"
)

// dataFlags say which coverage data is combined and how; combine and every report have them.
type dataFlags struct {
	dataDir string
	maps    []string
	rcfile  string
	python  pythonFlags
}

func (f *dataFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.dataDir, "data-dir", "", "directory with the containers' data (default .covify/data)")
	c.Flags().StringArrayVar(&f.maps, "map", nil, "`FROM=TO`: the container's directory FROM is the checkout's TO; may be repeated")
	c.Flags().StringVar(&f.rcfile, "rcfile", "", "coverage's config file (default: the project's own)")
	f.python.add(c)
}

// options are those of the checkout that the current directory is in, with the paths besides the usual places.
func (f *dataFlags) options(c *cobra.Command, paths []string) (covdata.CombineOptions, error) {
	root, err := checkoutRoot()
	if err != nil {
		return covdata.CombineOptions{}, err
	}
	opts := covdata.CombineOptions{Root: root, HostData: true, Config: f.rcfile, Contents: imageContents(), Stderr: c.ErrOrStderr()}
	opts.Inputs = []string{f.dataDir}
	if f.dataDir == "" {
		opts.Inputs[0] = filepath.Join(root, ".covify", "data")
	} else {
		paths = append(paths, f.dataDir)
	}
	for _, path := range paths {
		if _, err := os.Stat(path); err != nil {
			return opts, errorf("finding coverage data: %w", err)
		}
		if path != f.dataDir {
			opts.Inputs = append(opts.Inputs, path)
		}
	}
	opts.Maps, err = parseMaps(f.maps)
	return opts, err
}

// parseMaps reads the values of --map.
func parseMaps(texts []string) ([]covdata.Map, error) {
	var maps []covdata.Map
	for _, text := range texts {
		from, to, found := strings.Cut(text, "=")
		if !found || from == "" || to == "" {
			return nil, usageError{errorf("--map %s: not FROM=TO, as in /srv/app=src", text)}
		}
		maps = append(maps, covdata.Map{From: from, To: to})
	}
	return maps, nil
}

// checkoutRoot is the nearest directory with covify's data at or above the current one, in the same git checkout and
// below the home folder; else it is the current directory.
func checkoutRoot() (string, error) {
	here, err := os.Getwd()
	if err != nil {
		return "", errorf("finding the current directory: %w", err)
	}
	home, _ := os.UserHomeDir()
	for dir := here; dir != filepath.Dir(dir) && (dir == here || dir != home); dir = filepath.Dir(dir) {
		if isThere(filepath.Join(dir, ".covify")) {
			return dir, nil
		}
		if isThere(filepath.Join(dir, ".git")) {
			break
		}
	}
	return here, nil
}

func isThere(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// say prints what became of the data on stderr; a nil summary has nothing to say.
func say(c *cobra.Command, summary *covdata.Summary, root string) {
	if summary == nil {
		return
	}
	for _, line := range summary.Words(root) {
		fmt.Fprintln(c.ErrOrStderr(), "covify: "+line)
	}
}

// newCombineCmd is covify combine: data files into one, with the paths of the checkout.
func newCombineCmd() *cobra.Command {
	var (
		data   dataFlags
		output string
		asJSON bool
	)
	c := &cobra.Command{
		Use:   "combine [PATH...]",
		Short: "Combine coverage data of containers and host",
		Long: `Combine the data that containers left in .covify/data, the host's own data files
(.coverage, .coverage.*) and the PATHs, files or directories, into .covify/coverage.

Paths of containers become those of the checkout: by [paths] of the project's
coverage config, by --map, by what the Dockerfile of the image said, if covify
built it, and else by likeness. Files that cannot be mapped, and
data that cannot be combined, are named. Nothing is deleted or changed.`,
		Example: `  covify combine
  covify combine --map /srv/app=src
  covify combine artifacts/unit artifacts/.coverage.e2e --json`,
		RunE: func(c *cobra.Command, args []string) error {
			opts, err := data.options(c, args)
			if err != nil {
				return err
			}
			opts.Output = output
			python, err := data.python.find(c.Context(), c.ErrOrStderr(), opts.Root, opts.Inputs)
			if err != nil {
				return err
			}
			summary, err := covdata.Combine(c.Context(), python, opts)
			if err != nil {
				return err
			}
			if asJSON {
				encoder := json.NewEncoder(c.OutOrStdout())
				encoder.SetIndent("", "  ")
				return encoder.Encode(summary)
			}
			say(c, summary, opts.Root)
			fmt.Fprintln(c.OutOrStdout(), summary.Output)
			return nil
		},
	}
	data.add(c)
	c.Flags().StringVarP(&output, "output", "o", "", "the combined data file (default .covify/coverage)")
	c.Flags().BoolVar(&asJSON, "json", false, "print what was done as JSON")
	return c
}
