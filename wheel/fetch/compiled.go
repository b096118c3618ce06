package fetch

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/covify/covify/wheel"
)

// StartUpModule is the start-up module's path in a payload.
const StartUpModule = "_covify.py"

func compiledPath(version, tag string) string {
	return path.Join("pyc", fmt.Sprintf("%s-%s-%s.zip", wheel.Project, version, tag))
}

// addCompiled adds what the bundle compiled for the payload's release on t's
// Python; nothing there is no error. Python never checks these files against
// their sources, so each goes along only with the very source it was made of,
// whose sha256 is the archive member's comment.
func addCompiled(p *wheel.Payload, bundle fs.FS, t wheel.Target, startUp []byte) error {
	if t.Implementation != "cp" {
		return nil
	}
	name := compiledPath(p.Version, fmt.Sprintf("cp%d%d", t.Major, t.Minor))
	data, err := fs.ReadFile(bundle, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the bundle: %w", err)
	}
	sources := map[string]string{}
	if startUp != nil {
		sources[StartUpModule] = sum(startUp)
	}
	for _, file := range p.Files {
		if path.Ext(file.Path) == ".py" {
			sources[file.Path] = sum(file.Data)
		}
	}
	compiled, err := readCompiled(data, sources)
	if err != nil {
		return fmt.Errorf("reading the bundle's %s: %w", name, err)
	}
	for _, name := range slices.Sorted(maps.Keys(compiled)) {
		if below, ok := strings.CutPrefix(name, stdlib); ok {
			p.Stdlib = append(p.Stdlib, wheel.PayloadFile{Path: below, Mode: 0o644, Data: compiled[name]})
			delete(compiled, name)
		}
	}
	return p.AddCompiled(compiled)
}

// stdlib is where an archive has compiled files of the standard library. Python checks those against its own sources.
const stdlib = "stdlib/"

// readCompiled gives the members of an archive whose source is among sources,
// which are sums by path.
func readCompiled(data []byte, sources map[string]string) (map[string][]byte, error) {
	archive, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for _, member := range archive.File {
		if source, ok := sources[sourceOf(member.Name)]; !strings.HasPrefix(member.Name, stdlib) && (!ok || source != member.Comment) {
			continue
		}
		r, err := member.Open()
		if err != nil {
			return nil, err
		}
		body, err := io.ReadAll(r)
		if err = errors.Join(err, r.Close()); err != nil {
			return nil, fmt.Errorf("%s: %w", member.Name, err)
		}
		files[member.Name] = body
	}
	return files, nil
}

// sourceOf turns "a/__pycache__/b.cpython-313.pyc" into "a/b.py" (PEP 3147).
func sourceOf(compiled string) string {
	dir, base := path.Split(compiled)
	stem, _, _ := strings.Cut(base, ".")
	return path.Join(path.Dir(path.Clean(dir)), stem+".py")
}

func sum(data []byte) string {
	digest := sha256.Sum256(data)
	return hex.EncodeToString(digest[:])
}
