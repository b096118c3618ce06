// Command wheels collects the wheels that the covify binary carries, before
// there is a covify to do it. It is called by hack/bundle.
//
// usage: go run ./hack/wheels DIR
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/covify/covify/wheel"
	"github.com/covify/covify/wheel/fetch"
)

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "hack/wheels:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) != 1 {
		return errors.New("usage: go run ./hack/wheels DIR")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return err
	}
	index, err := fetch.IndexFromPip(os.Getenv, home, os.ReadFile)
	if err != nil {
		return err
	}
	source := &fetch.Source{
		Index:    index,
		CacheDir: filepath.Join(cache, "covify", "wheels"), // as covify itself has it
		Logf:     func(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) },
	}
	bundle, size, err := source.WriteBundle(ctx, args[0], wheel.Choice{All: true})
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "%d wheels, %.1f MB\n", len(bundle.Files), float64(size)/1e6)
	return nil
}
