// Package bundle holds the wheels that the covify binary carries. They are
// downloaded by `make wheels` and never committed; without them the package is
// empty and covify asks the package index.
package bundle

import (
	"embed"
	"io/fs"
)

//go:embed all:data
var data embed.FS

// FS gives the embedded bundle, as package fetch reads it.
func FS() fs.FS {
	sub, err := fs.Sub(data, "data")
	if err != nil {
		panic(err) // the name is a constant and valid
	}
	return sub
}

// Empty says that the binary was built without wheels.
func Empty() bool {
	_, err := fs.Stat(FS(), "index.json")
	return err != nil
}
