// Command bench measures covify side by side with what is used in its place and prints tables with ratios. bench/run
// calls it among the engines it needs.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

// options are the command line and what the environment says of engines.
type options struct {
	covify   string // binary to measure
	image    string // archive with the official-layout image
	work     string // directory for what comes and goes
	sizeMB   int    // of the padded image's compressed layers
	quick    bool
	json     bool
	registry string   // host:port
	docker29 string   // address
	docker20 string   // address, "" for none
	tables   []string // wanted, in this order
}

// runs is n, or less where it has to be quick.
func (o *options) runs(n, quick int) int {
	if o.quick {
		return quick
	}
	return n
}

// makers are the tables by the name that repeats them.
var makers = []struct {
	name string
	make func(context.Context, *world) ([]*table, error)
}{
	{"registry", registryTables},
	{"local", localTables},
	{"build", buildTables},
	{"hook", hookTables},
	{"run", runTables},
	{"session", sessionTables},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run is the program; its first argument may name one of the small jobs that bench gives to processes of their own.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	if len(args) > 0 {
		switch args[0] {
		case jobMeasure:
			return measureJob(ctx, stdin, stdout)
		case jobDownload:
			return downloadJob(ctx, args[1:])
		}
	}
	opts, err := parse(args, stderr)
	if err != nil {
		return err
	}
	w, err := newWorld(opts, stderr)
	if err != nil {
		return err
	}
	defer w.Close()
	return report(ctx, w, stdout)
}

func parse(args []string, stderr io.Writer) (*options, error) {
	o := &options{registry: os.Getenv("COVIFY_REGISTRY"), docker29: os.Getenv("COVIFY_ENGINE_DOCKER29"), docker20: os.Getenv("COVIFY_ENGINE_DOCKER20")}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.covify, "covify", "bin/covify", "covify to measure")
	flags.StringVar(&o.image, "image", "", "docker-archive of the image to measure with")
	flags.StringVar(&o.work, "work", os.TempDir(), "directory for temporary files")
	flags.IntVar(&o.sizeMB, "size", -1, "megabytes of the padded image's layers, compressed (1000, quick 200); 0 leaves it out")
	flags.BoolVar(&o.quick, "quick", false, "the fewest runs")
	flags.BoolVar(&o.json, "json", false, "print JSON")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if o.sizeMB < 0 {
		o.sizeMB = o.runs(1000, 200)
	}
	o.tables = flags.Args()
	for _, name := range o.tables {
		if !slices.Contains(tableNames(), name) {
			return nil, fmt.Errorf("no table is called %q: there are %s", name, strings.Join(tableNames(), ", "))
		}
	}
	if o.image == "" || o.registry == "" || o.docker29 == "" {
		return nil, fmt.Errorf("--image, COVIFY_REGISTRY and COVIFY_ENGINE_DOCKER29 are needed: bench/run sets them")
	}
	return o, nil
}

func tableNames() []string {
	var names []string
	for _, m := range makers {
		names = append(names, m.name)
	}
	return names
}

// report makes the wanted tables and prints each as it is done, or all as one JSON document.
func report(ctx context.Context, w *world, stdout io.Writer) error {
	m, err := describeMachine(ctx, w)
	if err != nil {
		return err
	}
	if !w.opts.json {
		fmt.Fprintln(stdout, m)
	}
	all := []*table{}
	for _, maker := range makers {
		if len(w.opts.tables) > 0 && !slices.Contains(w.opts.tables, maker.name) {
			continue
		}
		tables, err := maker.make(ctx, w)
		if err != nil {
			return fmt.Errorf("table %s: %w", maker.name, err)
		}
		for _, t := range tables {
			t.Repeat = w.repeat(maker.name)
			if !w.opts.json {
				t.print(stdout)
			}
		}
		all = append(all, tables...)
	}
	if !w.opts.json {
		return nil
	}
	e := json.NewEncoder(stdout)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(map[string]any{"machine": m, "tables": all})
}
