// Package blobs keeps the payloads of many wheels in a folder where every content is once, under its sum: most files of a release
// are the same for every Python. The frontend image's root filesystem is such a folder, so that a build can copy from it.
//
//	payloads.json        the wheels and what their payloads hold
//	blobs/sha256/HEX     contents
package blobs

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/covify/covify/wheel"
)

const (
	indexPath = "payloads.json"
	dir       = "blobs/sha256"
)

// Path is where a folder holds the content with that sum, in hex.
func Path(sum string) string { return path.Join(dir, sum) }

// Sum is the sum of a content, in hex.
func Sum(data []byte) string {
	digest := sha256.Sum256(data)
	return hex.EncodeToString(digest[:])
}

// index is payloads.json.
type index struct {
	Wheels []entry `json:"wheels"`
}

// entry is a wheel and its payload. What is compiled for one Python is added for that one.
type entry struct {
	wheel.File
	Files    []file          `json:"files"`
	Compiled map[string]more `json:"compiled,omitempty"` // by python tag: "cp313"
}

type more struct {
	Files  []file `json:"files,omitempty"`
	Stdlib []file `json:"stdlib,omitempty"`
}

type file struct {
	Path string      `json:"path"`
	Mode fs.FileMode `json:"mode"`
	Sum  string      `json:"sha256"`
}

// Store gives the payloads that Write left in FS. Its methods may be called by several goroutines.
type Store struct {
	FS fs.FS

	once  sync.Once
	index index
	err   error
}

// Payload gives the payload for t that fetch.Source gives from the same wheels: of the newest release that fits, or of the version
// named. Every content is checked. Errors: *wheel.NoFitError, *wheel.WordError, *wheel.ChecksumError.
func (s *Store) Payload(t wheel.Target, version string) (*wheel.Payload, error) {
	s.once.Do(s.readIndex)
	if s.err != nil {
		return nil, s.err
	}
	files := make([]wheel.File, len(s.index.Wheels))
	for i, e := range s.index.Wheels {
		files[i] = e.File
	}
	chosen, err := wheel.Select(t, version, files)
	if err != nil {
		return nil, err
	}
	return s.open(s.index.Wheels[slices.Index(files, chosen)], t)
}

func (s *Store) readIndex() {
	data, err := fs.ReadFile(s.FS, indexPath)
	if err == nil {
		err = json.Unmarshal(data, &s.index)
	}
	if err != nil {
		s.err = fmt.Errorf("reading the list of payloads: %w", err)
	}
}

func (s *Store) open(e entry, t wheel.Target) (*wheel.Payload, error) {
	name, err := wheel.Parse(e.Name)
	if err != nil {
		return nil, err
	}
	compiled := e.Compiled[pythonTag(t)]
	p := &wheel.Payload{Name: wheel.PayloadName(name, t), Version: name.Version, Pure: name.Pure()}
	if p.Files, err = s.read(e.Name, slices.Concat(e.Files, compiled.Files)); err != nil {
		return nil, err
	}
	if p.Stdlib, err = s.read(e.Name, compiled.Stdlib); err != nil {
		return nil, err
	}
	slices.SortFunc(p.Files, func(a, b wheel.PayloadFile) int { return strings.Compare(a.Path, b.Path) })
	return p, nil
}

func (s *Store) read(wheelName string, files []file) ([]wheel.PayloadFile, error) {
	var read []wheel.PayloadFile
	for _, f := range files {
		data, err := fs.ReadFile(s.FS, Path(f.Sum))
		if err != nil {
			return nil, fmt.Errorf("reading %s of %s: %w", f.Path, wheelName, err)
		}
		if got := Sum(data); got != f.Sum {
			return nil, &wheel.ChecksumError{Wheel: wheelName, Member: f.Path, Want: f.Sum, Got: got}
		}
		read = append(read, wheel.PayloadFile{Path: f.Path, Mode: f.Mode, Data: data})
	}
	return read, nil
}

// pythonTag is the interpreter as compiled files know it; free threading makes no difference to them.
func pythonTag(t wheel.Target) string {
	return fmt.Sprintf("%s%d%d", t.Implementation, t.Major, t.Minor)
}
