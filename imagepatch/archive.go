package imagepatch

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/covify/covify/plan"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// content is what is written to a target: an image or an index.
type content struct {
	image v1.Image
	index v1.ImageIndex
	held  map[string]bool // diffIDs of the layers that the engine it came from has
}

func (c content) digest() (v1.Hash, error) {
	if c.index != nil {
		return c.index.Digest()
	}
	return c.image.Digest()
}

// An archive is written as an OCI layout with a manifest.json beside it, as docker save does: whatever reads one of the two
// can load it. An image that came without a manifest goes out without one.
type archive struct {
	content
	name    string // full name of the image, or the tag for a layout
	ociOnly bool   // no manifest.json
	store   store  // of the engine that reads it and has the layers in held
	zipped  bool   // layers that lie in no archive are written with gzip
	tw      *tar.Writer
	seen    map[string]bool
}

func (a *archive) write(w io.Writer) error {
	a.tw, a.seen = tar.NewWriter(w), map[string]bool{}
	if a.index == nil && a.isLegacy() {
		if err := a.writeLegacy(); err != nil {
			return err
		}
		return a.tw.Close()
	}
	if err := a.writeLayout(); err != nil {
		return err
	}
	return a.tw.Close()
}

// isLegacy reports whether the image's layers lie in a docker-archive: naming their digests would mean compressing them.
func (a *archive) isLegacy() bool {
	layers, err := a.image.Layers()
	if err != nil || a.ociOnly {
		return false
	}
	for _, l := range layers {
		if _, ok := l.(*archiveLayer); ok {
			return true
		}
	}
	return false
}

func (a *archive) writeLayout() error {
	var d *v1.Descriptor
	var err error
	if a.index != nil {
		if err := a.putIndex(a.index); err != nil {
			return err
		}
		d, err = partial.Descriptor(a.index)
	} else {
		if err := a.putImage(a.image); err != nil {
			return err
		}
		d, err = partial.Descriptor(a.image)
	}
	if err != nil {
		return err
	}
	d.Annotations = a.annotations()
	d.Platform = nil
	top, err := encode(v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: []v1.Descriptor{*d}})
	if err != nil {
		return err
	}
	if a.index == nil && !a.ociOnly {
		if err := a.putManifestJSON(); err != nil {
			return err
		}
	}
	if err := a.put("index.json", top); err != nil {
		return err
	}
	return a.put("oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`))
}

// annotations name the image both ways that readers look for it.
func (a *archive) annotations() map[string]string {
	if a.name == "" {
		return nil
	}
	if a.ociOnly && strings.ContainsAny(a.name, ":/") {
		return map[string]string{annotationRefName: a.name, annotationImageName: fullName(a.name)}
	}
	if a.ociOnly {
		return map[string]string{annotationRefName: a.name}
	}
	tag := a.name
	if ref, err := name.ParseReference(a.name); err == nil {
		tag = ref.Identifier()
	}
	return map[string]string{annotationRefName: tag, annotationImageName: fullName(a.name)}
}

func (a *archive) putIndex(index v1.ImageIndex) error { return eachBelow(index, a.putImage, a.putBlob) }

func (a *archive) putImage(img v1.Image) error {
	layers, err := img.Layers()
	if err != nil {
		return err
	}
	for _, l := range layers {
		if err := a.putLayer(l); err != nil {
			return err
		}
	}
	config, err := img.RawConfigFile()
	if err != nil {
		return err
	}
	manifest, err := img.RawManifest()
	if err != nil {
		return err
	}
	if err := a.putBlob(config); err != nil {
		return err
	}
	return a.putBlob(manifest)
}

func (a *archive) putLayer(l v1.Layer) error {
	digest, err := l.Digest()
	if err != nil {
		return err
	}
	size, err := l.Size()
	if err != nil {
		return err
	}
	if diffID, err := l.DiffID(); a.store == containerdStore && err == nil && a.held[diffID.String()] {
		return nil
	}
	return a.stream(blobName(digest), size, l.Compressed)
}

func blobName(h v1.Hash) string { return path.Join("blobs", h.Algorithm, h.Hex) }

func (a *archive) putBlob(data []byte) error { return a.put(blobName(hashOf(data)), data) }

func (a *archive) put(name string, data []byte) error {
	return a.stream(name, int64(len(data)), func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil })
}

// stream writes one member, once.
func (a *archive) stream(name string, size int64, open func() (io.ReadCloser, error)) error {
	if a.seen[name] {
		return nil
	}
	a.seen[name] = true
	rc, err := open()
	if err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	defer rc.Close()
	if err := a.tw.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: size, ModTime: plan.Epoch, Typeflag: tar.TypeReg}); err != nil {
		return err
	}
	if _, err := io.Copy(a.tw, rc); err != nil {
		return fmt.Errorf("copying %s: %w", name, err)
	}
	return nil
}

func (a *archive) putManifestJSON() error {
	config, err := a.image.ConfigName()
	if err != nil {
		return err
	}
	layers, err := a.image.Layers()
	if err != nil {
		return err
	}
	e := archiveEntry{Config: blobName(config), RepoTags: a.repoTags()}
	for _, l := range layers {
		digest, err := l.Digest()
		if err != nil {
			return err
		}
		e.Layers = append(e.Layers, blobName(digest))
	}
	return a.putJSON("manifest.json", []archiveEntry{e})
}

// repoTags is the name as docker save writes it: without the default registry.
func (a *archive) repoTags() []string {
	if a.name == "" {
		return nil
	}
	ref, err := name.NewTag(a.name)
	if err != nil {
		return nil
	}
	short := strings.TrimPrefix(fullName(ref.Name()), "docker.io/")
	return []string{strings.TrimPrefix(short, "library/")}
}

func (a *archive) putJSON(name string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return a.put(name, data)
}

// writeLegacy writes a docker-archive whose layers are as they are stored in theirs.
func (a *archive) writeLegacy() error {
	config, err := a.image.RawConfigFile()
	if err != nil {
		return err
	}
	layers, err := a.image.Layers()
	if err != nil {
		return err
	}
	a.zipped = isZipped(layers)
	e := archiveEntry{Config: hashOf(config).Hex + ".json", RepoTags: a.repoTags()}
	for _, l := range layers {
		diffID, err := l.DiffID()
		if err != nil {
			return err
		}
		file := diffID.Hex + "/layer.tar"
		e.Layers = append(e.Layers, file)
		if a.store == classicStore && a.held[diffID.String()] {
			continue
		}
		if err := a.putStored(file, l); err != nil {
			return err
		}
	}
	if err := a.put(e.Config, config); err != nil {
		return err
	}
	return a.putJSON("manifest.json", []archiveEntry{e})
}

// isZipped reports whether layers of an archive are stored with gzip there.
func isZipped(layers []v1.Layer) bool {
	for _, l := range layers {
		s, ok := l.(stored)
		if !ok {
			continue
		}
		rc, _, err := s.Stored()
		if err != nil {
			return false
		}
		defer rc.Close()
		magic := make([]byte, 4)
		_, err = io.ReadFull(rc, magic)
		return err == nil && compression(magic) == gzipped
	}
	return false
}

// putStored writes a layer as it is stored, or as its neighbours are: some readers look at one layer only.
func (a *archive) putStored(file string, l v1.Layer) error {
	if s, ok := l.(stored); ok {
		rc, size, err := s.Stored()
		if err != nil {
			return err
		}
		return a.stream(file, size, func() (io.ReadCloser, error) { return rc, nil })
	}
	if a.zipped {
		size, err := l.Size()
		if err != nil {
			return err
		}
		return a.stream(file, size, l.Compressed)
	}
	rc, err := l.Uncompressed()
	if err != nil {
		return err
	}
	defer rc.Close()
	tmp, err := spool(rc)
	if err != nil {
		return err
	}
	info, err := tmp.Stat()
	if err != nil {
		tmp.Close()
		return err
	}
	return a.stream(file, info.Size(), func() (io.ReadCloser, error) { return tmp, nil })
}
