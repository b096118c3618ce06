// Command payloads writes what the frontend image holds besides its program: the payloads of all wheels in the bundle, as package
// blobs keeps them. It is called by hack/programs.
//
// usage: go run ./hack/payloads DIR    DIR is made anew
package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/covify/covify/plan"
	"github.com/covify/covify/wheel/blobs"
	"github.com/covify/covify/wheel/bundle"
	"github.com/covify/covify/wheel/fetch"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "hack/payloads:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return errors.New("usage: go run ./hack/payloads DIR")
	}
	if bundle.Empty() {
		return errors.New("wheel/bundle/data holds no wheels: run make wheels first")
	}
	dir := args[0]
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	source := &fetch.Source{Bundle: bundle.FS(), StartUp: plan.Startup(), Offline: true}
	err := blobs.Write(source, [][]byte{plan.Startup()}, func(name string, data []byte) error {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		return os.WriteFile(path, data, 0o644)
	})
	if err != nil {
		return err
	}
	return setTimes(dir)
}

// setTimes gives everything in dir the same time of change, for an image that is the same whenever it is built.
func setTimes(dir string) error {
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chtimes(path, plan.Epoch, plan.Epoch)
	})
}
