package main

import (
	"context"
	"io"
	"sync"

	"github.com/covify/covify/covdata"
	"github.com/covify/covify/runner"
)

// imageContents asks the engines of this machine for files of images. An engine that is not there is asked once.
func imageContents() covdata.Contents {
	type answer struct {
		engine runner.Engine
		err    error
	}
	var (
		mutex   sync.Mutex
		engines = map[string]answer{}
	)
	return func(ctx context.Context, image covdata.Image, paths []string, take func(string, io.Reader) error) error {
		mutex.Lock()
		found, known := engines[image.Engine]
		if !known {
			found.engine, found.err = runner.FindEngine(ctx, image.Engine, thisHost())
			engines[image.Engine] = found
		}
		mutex.Unlock()
		if found.err != nil {
			return found.err
		}
		return found.engine.Contents(ctx, image, paths, take)
	}
}
