package imagepatch

import (
	"bytes"
	"fmt"
	"io"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// rawImage is an image by its raw manifest and configuration, so that fields unknown here pass through untouched. The
// manifest may be made on demand: a docker-archive has none, and making one compresses every layer.
type rawImage struct {
	mediaType types.MediaType
	config    []byte
	layers    []v1.Layer
	manifest  func() ([]byte, error)
}

var _ v1.Image = (*rawImage)(nil)

func (i *rawImage) MediaType() (types.MediaType, error) { return i.mediaType, nil }
func (i *rawImage) RawConfigFile() ([]byte, error)      { return i.config, nil }
func (i *rawImage) RawManifest() ([]byte, error)        { return i.manifest() }
func (i *rawImage) Layers() ([]v1.Layer, error)         { return i.layers, nil }
func (i *rawImage) ConfigFile() (*v1.ConfigFile, error) { return partial.ConfigFile(i) }
func (i *rawImage) ConfigName() (v1.Hash, error)        { return partial.ConfigName(i) }
func (i *rawImage) Manifest() (*v1.Manifest, error)     { return partial.Manifest(i) }
func (i *rawImage) Digest() (v1.Hash, error)            { return partial.Digest(i) }
func (i *rawImage) Size() (int64, error)                { return partial.Size(i) }

// LayerByDigest implements v1.Image; the configuration counts as a layer.
func (i *rawImage) LayerByDigest(h v1.Hash) (v1.Layer, error) {
	if name, err := i.ConfigName(); err == nil && name == h {
		return partial.ConfigLayer(i)
	}
	return i.layer(h, v1.Layer.Digest)
}

// LayerByDiffID implements v1.Image.
func (i *rawImage) LayerByDiffID(h v1.Hash) (v1.Layer, error) { return i.layer(h, v1.Layer.DiffID) }

func (i *rawImage) layer(h v1.Hash, by func(v1.Layer) (v1.Hash, error)) (v1.Layer, error) {
	for _, l := range i.layers {
		if got, err := by(l); err != nil {
			return nil, err
		} else if got == h {
			return l, nil
		}
	}
	return nil, fmt.Errorf("no layer %s in the image", h)
}

// blobLayer is a gzip-compressed layer in memory, with everything about it known.
type blobLayer struct {
	digest, diffID v1.Hash
	mediaType      types.MediaType
	data           []byte
}

func (l *blobLayer) Digest() (v1.Hash, error)            { return l.digest, nil }
func (l *blobLayer) DiffID() (v1.Hash, error)            { return l.diffID, nil }
func (l *blobLayer) Size() (int64, error)                { return int64(len(l.data)), nil }
func (l *blobLayer) MediaType() (types.MediaType, error) { return l.mediaType, nil }
func (l *blobLayer) Compressed() (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(l.data)), nil
}
func (l *blobLayer) Uncompressed() (io.ReadCloser, error) { return decompress(bytes.NewReader(l.data)) }

// ociFamily reports whether a manifest's media type is of the OCI family, not Docker's. The two must not mix in one manifest.
func ociFamily(t types.MediaType) bool {
	return t == types.OCIManifestSchema1 || t == types.OCIImageIndex
}

// once makes a manifest function run one time.
func once(f func() ([]byte, error)) func() ([]byte, error) { return sync.OnceValues(f) }
