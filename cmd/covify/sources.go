package main

import (
	"context"
	"io"
	"sync"

	"github.com/covify/covify/covdata"
	"github.com/covify/covify/runner"
)

// enginesOnce finds this machine's engines by their names, each once: one that is not there is not asked again.
func enginesOnce() func(ctx context.Context, name string) (runner.Engine, error) {
	type answer struct {
		engine runner.Engine
		err    error
	}
	var (
		mutex sync.Mutex
		known = map[string]answer{}
	)
	return func(ctx context.Context, name string) (runner.Engine, error) {
		mutex.Lock()
		defer mutex.Unlock()
		found, asked := known[name]
		if !asked {
			found.engine, found.err = runner.FindEngine(ctx, name, thisHost())
			known[name] = found
		}
		return found.engine, found.err
	}
}

// imageContents asks the engines of this machine for files of images.
func imageContents() covdata.Contents {
	engineOf := enginesOnce()
	return func(ctx context.Context, image covdata.Image, paths []string, take func(string, io.Reader) error) error {
		engine, err := engineOf(ctx, image.Engine)
		if err != nil {
			return err
		}
		return engine.Contents(ctx, image, paths, take)
	}
}
