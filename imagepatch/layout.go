package imagepatch

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Annotations that name an image in a layout's index.
const (
	annotationRefName   = "org.opencontainers.image.ref.name" // OCI image-spec, annotations.md
	annotationImageName = "io.containerd.image.name"          // the full name, as containerd and Docker write it
)

// A layout reads an OCI image layout (image-spec, image-layout.md) from a directory or an archive. It serves as the
// v1.ImageIndex of any of its indexes.
type layout struct {
	fsys       fs.FS
	descriptor v1.Descriptor // of raw
	raw        []byte
}

var _ v1.ImageIndex = (*layout)(nil)

// openLayout finds the one image or index called name in the layout, or the only one if name is "".
func openLayout(fsys fs.FS, name string) (*opened, error) {
	raw, err := fs.ReadFile(fsys, "index.json")
	if err != nil {
		return nil, fmt.Errorf("not an OCI image layout: %w", err)
	}
	var top v1.IndexManifest
	if err := json.Unmarshal(raw, &top); err != nil {
		return nil, fmt.Errorf("reading index.json: %w", err)
	}
	d, err := pick(top.Manifests, name)
	if err != nil {
		return nil, err
	}
	l := &layout{fsys: fsys}
	o := &opened{digest: d.Digest.String(), tag: d.Annotations[annotationRefName]}
	if d.MediaType.IsIndex() {
		o.index, err = l.ImageIndex(d.Digest)
	} else {
		o.image, err = l.Image(d.Digest)
	}
	return o, err
}

// pick chooses a descriptor by its name annotation.
func pick(all []v1.Descriptor, name string) (v1.Descriptor, error) {
	var found []v1.Descriptor
	var names []string
	for _, d := range all {
		ref, full := d.Annotations[annotationRefName], d.Annotations[annotationImageName]
		if name == "" || name == ref || full != "" && (name == full || strings.HasSuffix(full, "/"+name)) || name == d.Digest.String() {
			found = append(found, d)
		}
		names = append(names, fmt.Sprintf("%q", ref))
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) == 0:
		return v1.Descriptor{}, &NotFoundError{Ref: name, Err: fmt.Errorf("the layout holds %s", strings.Join(names, ", "))}
	}
	return v1.Descriptor{}, fmt.Errorf("the layout holds %d images, name one of %s", len(found), strings.Join(names, ", "))
}

// blob opens a blob of the layout. Its content is not checked here: manifests and configurations are by read, layers by
// their diffID.
func (l *layout) blob(h v1.Hash) (fs.File, error) {
	f, err := l.fsys.Open(path.Join("blobs", h.Algorithm, h.Hex))
	if errors.Is(err, fs.ErrNotExist) {
		err = &missingBlobError{h}
	}
	return f, err
}

// missingBlobError says that a layout names a blob that it does not hold, as a sparse one may.
type missingBlobError struct{ digest v1.Hash }

func (e *missingBlobError) Error() string { return "blob " + e.digest.String() + " is missing" }

// read returns a small blob, verified.
func (l *layout) read(h v1.Hash) ([]byte, error) {
	f, err := l.blob(h)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(f)
	if err == nil && hashOf(data) != h {
		err = &CorruptError{"blob " + h.String(), fmt.Errorf("its content has the digest %s", hashOf(data))}
	}
	return data, err
}

func (l *layout) MediaType() (types.MediaType, error) { return l.descriptor.MediaType, nil }
func (l *layout) Digest() (v1.Hash, error)            { return partial.Digest(l) }
func (l *layout) Size() (int64, error)                { return partial.Size(l) }
func (l *layout) RawManifest() ([]byte, error)        { return l.raw, nil }
func (l *layout) IndexManifest() (*v1.IndexManifest, error) {
	var m v1.IndexManifest
	return &m, json.Unmarshal(l.raw, &m)
}

// ImageIndex implements v1.ImageIndex.
func (l *layout) ImageIndex(h v1.Hash) (v1.ImageIndex, error) {
	raw, mediaType, err := l.manifest(h, types.OCIImageIndex)
	if err != nil {
		return nil, err
	}
	return &layout{l.fsys, v1.Descriptor{MediaType: mediaType, Digest: h, Size: int64(len(raw))}, raw}, nil
}

// Image implements v1.ImageIndex.
func (l *layout) Image(h v1.Hash) (v1.Image, error) {
	raw, mediaType, err := l.manifest(h, types.OCIManifestSchema1)
	if err != nil {
		return nil, err
	}
	var m v1.Manifest
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil, fmt.Errorf("reading manifest %s: %w", h, err)
	}
	config, err := l.read(m.Config.Digest)
	if err != nil {
		return nil, fmt.Errorf("reading the image configuration: %w", err)
	}
	var diffIDs struct {
		RootFS v1.RootFS `json:"rootfs"`
	}
	_ = json.Unmarshal(config, &diffIDs) // an artifact's configuration may be anything
	img := &rawImage{mediaType: mediaType, config: config, manifest: func() ([]byte, error) { return raw, nil }}
	for i, d := range m.Layers {
		layer := &layoutLayer{layout: l, descriptor: d}
		if i < len(diffIDs.RootFS.DiffIDs) {
			layer.diffID = diffIDs.RootFS.DiffIDs[i]
		}
		img.layers = append(img.layers, layer)
	}
	return img, nil
}

// manifest returns a manifest with the media type it says it has, else the one given.
func (l *layout) manifest(h v1.Hash, mediaType types.MediaType) ([]byte, types.MediaType, error) {
	raw, err := l.read(h)
	if err != nil {
		return nil, "", fmt.Errorf("reading manifest %s: %w", h, err)
	}
	var m struct {
		MediaType types.MediaType `json:"mediaType"`
	}
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil, "", fmt.Errorf("reading manifest %s: %w", h, err)
	}
	if m.MediaType != "" {
		mediaType = m.MediaType
	}
	return raw, mediaType, nil
}

// layoutLayer is a layer that lies in a layout.
type layoutLayer struct {
	layout     *layout
	descriptor v1.Descriptor
	diffID     v1.Hash
}

func (l *layoutLayer) Digest() (v1.Hash, error)            { return l.descriptor.Digest, nil }
func (l *layoutLayer) DiffID() (v1.Hash, error)            { return l.diffID, nil }
func (l *layoutLayer) Size() (int64, error)                { return l.descriptor.Size, nil }
func (l *layoutLayer) MediaType() (types.MediaType, error) { return l.descriptor.MediaType, nil }

// Compressed implements v1.Layer. The content is checked against the digest while it is read.
func (l *layoutLayer) Compressed() (io.ReadCloser, error) {
	f, err := l.layout.blob(l.descriptor.Digest)
	if err != nil {
		return nil, err
	}
	return verified(f, l.descriptor.Digest), nil
}

// Stored implements stored: without the check, since whoever looks inside knows the diffID.
func (l *layoutLayer) Stored() (io.ReadCloser, int64, error) {
	f, err := l.layout.blob(l.descriptor.Digest)
	return f, l.descriptor.Size, err
}

// Uncompressed implements v1.Layer.
func (l *layoutLayer) Uncompressed() (io.ReadCloser, error) {
	f, err := l.layout.blob(l.descriptor.Digest)
	if err != nil {
		return nil, err
	}
	return decompressLayer(f)
}
