package blobs

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/covify/covify/wheel"
)

// Bundle is what Write takes payloads from; fetch.Source is one.
type Bundle interface {
	Bundled() ([]wheel.File, error)
	OpenBundled(wheel.File, wheel.Target) (*wheel.Payload, error)
}

// Write gives put every file of a folder with the payloads of all wheels in the bundle, and with other contents that a layer has
// besides: each path once, the list last. The same bundle gives the same files in the same order. Errors are the bundle's and put's.
func Write(bundle Bundle, others [][]byte, put func(path string, data []byte) error) error {
	wheels, err := bundle.Bundled()
	if err != nil {
		return err
	}
	w := &writer{bundle: bundle, put: put, written: map[string]bool{}}
	pythons := pythons(wheels)
	var all index
	for _, file := range wheels {
		e, err := w.entry(file, pythons)
		if err != nil {
			return err
		}
		all.Wheels = append(all.Wheels, e)
	}
	for _, data := range others {
		if _, err := w.blob(data); err != nil {
			return err
		}
	}
	listed, err := json.Marshal(all)
	if err != nil {
		return err
	}
	return put(indexPath, listed)
}

type writer struct {
	bundle  Bundle
	put     func(string, []byte) error
	written map[string]bool // by sum
}

func (w *writer) entry(file wheel.File, pythons []wheel.Target) (entry, error) {
	e := entry{File: file, Compiled: map[string]more{}}
	name, err := wheel.Parse(file.Name)
	if err != nil {
		return e, err
	}
	plain, err := w.bundle.OpenBundled(file, wheel.Target{})
	if err != nil {
		return e, err
	}
	if e.Files, err = w.files(plain.Files, nil); err != nil {
		return e, err
	}
	for _, python := range pythons {
		if tag := pythonTag(python); name.Pure() || slices.Contains(name.Pythons, tag) {
			if err := w.compiled(&e, python); err != nil {
				return e, err
			}
		}
	}
	return e, nil
}

// compiled adds to e what the bundle has compiled of its wheel for one Python.
func (w *writer) compiled(e *entry, python wheel.Target) error {
	payload, err := w.bundle.OpenBundled(e.File, python)
	if err != nil {
		return err
	}
	var m more
	if m.Files, err = w.files(payload.Files, e.Files); err != nil {
		return err
	}
	if m.Stdlib, err = w.files(payload.Stdlib, nil); err != nil {
		return err
	}
	if m.Files != nil || m.Stdlib != nil {
		e.Compiled[pythonTag(python)] = m
	}
	return nil
}

// files writes the contents of those files that are not listed yet, and lists them.
func (w *writer) files(files []wheel.PayloadFile, listed []file) (added []file, err error) {
	for _, f := range files {
		if slices.ContainsFunc(listed, func(l file) bool { return l.Path == f.Path }) {
			continue
		}
		sum, err := w.blob(f.Data)
		if err != nil {
			return nil, err
		}
		added = append(added, file{f.Path, f.Mode, sum})
	}
	return added, nil
}

func (w *writer) blob(data []byte) (sum string, err error) {
	sum = Sum(data)
	if w.written[sum] {
		return sum, nil
	}
	w.written[sum] = true
	if err := w.put(Path(sum), data); err != nil {
		return "", fmt.Errorf("writing a payload's content: %w", err)
	}
	return sum, nil
}

// pythons are the CPythons that wheels are built for.
func pythons(wheels []wheel.File) []wheel.Target {
	found := map[string]wheel.Target{}
	for _, file := range wheels {
		name, err := wheel.Parse(file.Name)
		if err != nil {
			continue // Select passes it over as well
		}
		for _, tag := range name.Pythons {
			number, ok := strings.CutPrefix(tag, "cp")
			if !ok || len(number) < 2 {
				continue
			}
			major, err1 := strconv.Atoi(number[:1])
			minor, err2 := strconv.Atoi(number[1:])
			if err1 == nil && err2 == nil {
				found[tag] = wheel.Target{Implementation: "cp", Major: major, Minor: minor}
			}
		}
	}
	var all []wheel.Target
	for _, tag := range slices.Sorted(maps.Keys(found)) {
		all = append(all, found[tag])
	}
	return all
}
