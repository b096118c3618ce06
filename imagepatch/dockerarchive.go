package imagepatch

import (
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// archiveEntry is one image of a docker-archive's manifest.json (moby image/spec, v1.2: "Combined Image JSON + Filesystem
// Changeset Format").
type archiveEntry struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// openDockerArchive finds the image called name, or the only one if name is "", in what docker save wrote. An archive that
// is an OCI layout too, as newer engines write it, is read as that: it has the image's digests.
func openDockerArchive(fsys fs.FS, name string) (*opened, error) {
	if _, err := fs.Stat(fsys, "index.json"); err == nil {
		return openLayout(fsys, name)
	}
	raw, err := fs.ReadFile(fsys, "manifest.json")
	if err != nil {
		return nil, fmt.Errorf("neither an archive of docker save nor an OCI one: %w", err)
	}
	var all []archiveEntry
	if err := json.Unmarshal(raw, &all); err != nil {
		return nil, fmt.Errorf("reading manifest.json: %w", err)
	}
	e, err := pickEntry(all, name)
	if err != nil {
		return nil, err
	}
	img, err := archiveImage(fsys, e)
	if err != nil {
		return nil, err
	}
	id, err := img.ConfigName()
	o := &opened{image: img, digest: id.String()}
	if len(e.RepoTags) > 0 {
		o.tag = e.RepoTags[0]
	}
	return o, err
}

func pickEntry(all []archiveEntry, name string) (archiveEntry, error) {
	var names []string
	for _, e := range all {
		if name != "" && slices.ContainsFunc(e.RepoTags, func(tag string) bool { return tag == name || strings.HasSuffix(tag, "/"+name) }) {
			return e, nil
		}
		names = append(names, e.RepoTags...)
	}
	if name == "" && len(all) == 1 {
		return all[0], nil
	}
	if name == "" {
		return archiveEntry{}, fmt.Errorf("the archive holds %d images, name one of %s", len(all), strings.Join(names, ", "))
	}
	return archiveEntry{}, &NotFoundError{Ref: name, Err: fmt.Errorf("the archive holds %s", strings.Join(names, ", "))}
}

func archiveImage(fsys fs.FS, e archiveEntry) (v1.Image, error) {
	config, err := fs.ReadFile(fsys, e.Config)
	if err != nil {
		return nil, fmt.Errorf("reading the image configuration: %w", err)
	}
	var c v1.ConfigFile
	if err := json.Unmarshal(config, &c); err != nil {
		return nil, fmt.Errorf("reading the image configuration: %w", err)
	}
	if len(c.RootFS.DiffIDs) != len(e.Layers) {
		return nil, fmt.Errorf("the archive has %d layers and the image configuration names %d", len(e.Layers), len(c.RootFS.DiffIDs))
	}
	img := &rawImage{mediaType: types.DockerManifestSchema2, config: config}
	for i, file := range e.Layers {
		member := &archiveMember{fsys, file, c.RootFS.DiffIDs[i]}
		layer, err := partial.UncompressedToLayer(member)
		if err != nil {
			return nil, err
		}
		img.layers = append(img.layers, &archiveLayer{layer, member})
	}
	img.manifest = once(func() ([]byte, error) { return makeManifest(img) })
	return img, nil
}

// makeManifest writes the manifest that a docker-archive lacks. It compresses every layer, to know its digest.
func makeManifest(img *rawImage) ([]byte, error) {
	m := v1.Manifest{SchemaVersion: 2, MediaType: img.mediaType, Config: v1.Descriptor{
		MediaType: types.DockerConfigJSON, Size: int64(len(img.config)), Digest: hashOf(img.config)}}
	for _, l := range img.layers {
		d, err := partial.Descriptor(l)
		if err != nil {
			return nil, err
		}
		m.Layers = append(m.Layers, *d)
	}
	return encode(m)
}

// archiveMember is a layer's file in the archive, whatever its compression.
type archiveMember struct {
	fsys   fs.FS
	file   string
	diffID v1.Hash
}

func (m *archiveMember) DiffID() (v1.Hash, error)            { return m.diffID, nil }
func (m *archiveMember) MediaType() (types.MediaType, error) { return types.DockerLayer, nil }

// Uncompressed implements partial.UncompressedLayer.
func (m *archiveMember) Uncompressed() (io.ReadCloser, error) {
	f, err := m.fsys.Open(m.file)
	if err != nil {
		return nil, err
	}
	return decompressLayer(f)
}

// archiveLayer adds to a layer that it can be read as it is stored.
type archiveLayer struct {
	v1.Layer
	member *archiveMember
}

// Stored implements stored.
func (l *archiveLayer) Stored() (io.ReadCloser, int64, error) {
	f, err := l.member.fsys.Open(l.member.file)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}
