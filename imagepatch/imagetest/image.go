package imagetest

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"maps"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/zstd"
)

// Hash is the sha256 digest of data.
func Hash(data []byte) v1.Hash {
	h, _, err := v1.SHA256(bytes.NewReader(data))
	must(err)
	return h
}

// A Layer is a blob and what an image says of it.
type Layer struct {
	Blob   []byte
	Diff   v1.Hash
	Family types.MediaType // of the layer
}

// Plain is a layer stored uncompressed.
func Plain(files ...File) *Layer {
	data := Tar(files...)
	return &Layer{data, Hash(data), types.OCIUncompressedLayer}
}

// Gzip is a layer as images mostly have it.
func Gzip(files ...File) *Layer {
	var b bytes.Buffer
	data := Tar(files...)
	w := gzip.NewWriter(&b)
	_, err := w.Write(data)
	must(err)
	must(w.Close())
	return &Layer{b.Bytes(), Hash(data), types.OCILayer}
}

// Zstd is a layer as containerd and BuildKit can write it.
func Zstd(files ...File) *Layer {
	var b bytes.Buffer
	data := Tar(files...)
	w, err := zstd.NewWriter(&b)
	must(err)
	_, err = w.Write(data)
	must(err)
	must(w.Close())
	return &Layer{b.Bytes(), Hash(data), types.OCILayerZStd}
}

func (l *Layer) Digest() (v1.Hash, error)            { return Hash(l.Blob), nil }
func (l *Layer) DiffID() (v1.Hash, error)            { return l.Diff, nil }
func (l *Layer) Size() (int64, error)                { return int64(len(l.Blob)), nil }
func (l *Layer) MediaType() (types.MediaType, error) { return l.Family, nil }
func (l *Layer) Compressed() (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(l.Blob)), nil
}
func (l *Layer) Uncompressed() (io.ReadCloser, error) {
	full, err := partial.CompressedToLayer(compressed{l})
	if err != nil {
		return nil, err
	}
	return full.Uncompressed()
}

// compressed hides what partial is to work out.
type compressed struct{ partial.CompressedLayer }

// A Spec says what an image is to be. The zero value is an OCI image for linux/amd64 without layers.
type Spec struct {
	Docker   bool // Docker's media types
	Arch     string
	Layers   []*Layer
	Config   map[string]any // of the configuration's "config"
	Fields   map[string]any // further ones of the configuration
	Manifest map[string]any // further fields of the manifest
}

// Image makes the image.
func (s Spec) Image() v1.Image {
	manifestType, configType := types.OCIManifestSchema1, types.OCIConfigJSON
	if s.Docker {
		manifestType, configType = types.DockerManifestSchema2, types.DockerConfigJSON
	}
	config := s.config()
	layers := []v1.Descriptor{}
	blobs := map[v1.Hash]*Layer{}
	for _, l := range s.Layers {
		mediaType := l.Family
		if s.Docker && mediaType == types.OCILayer {
			mediaType = types.DockerLayer
		}
		layers = append(layers, v1.Descriptor{MediaType: mediaType, Digest: Hash(l.Blob), Size: int64(len(l.Blob))})
		blobs[Hash(l.Blob)] = &Layer{l.Blob, l.Diff, mediaType}
	}
	manifest := map[string]any{
		"schemaVersion": 2, "mediaType": manifestType, "layers": layers,
		"config": v1.Descriptor{MediaType: configType, Digest: Hash(config), Size: int64(len(config))},
	}
	maps.Copy(manifest, s.Manifest)
	img, err := partial.CompressedToImage(&core{manifestType, config, JSON(manifest), blobs})
	must(err)
	return img
}

func (s Spec) config() []byte {
	diffIDs, history := []v1.Hash{}, []any{}
	for i, l := range s.Layers {
		diffIDs = append(diffIDs, l.Diff)
		history = append(history, map[string]any{"created_by": fmt.Sprintf("layer %d", i), "created": "2024-01-02T03:04:05Z"})
	}
	history = append(history, map[string]any{"created_by": "CMD", "empty_layer": true})
	arch := s.Arch
	if arch == "" {
		arch = "amd64"
	}
	config := map[string]any{
		"os": "linux", "architecture": arch, "created": "2024-01-02T03:04:05Z", "history": history,
		"rootfs": map[string]any{"type": "layers", "diff_ids": diffIDs},
	}
	if s.Config != nil {
		config["config"] = s.Config
	}
	maps.Copy(config, s.Fields)
	return JSON(config)
}

// JSON renders v.
func JSON(v any) []byte {
	data, err := json.Marshal(v)
	must(err)
	return data
}

// core is the least that go-containerregistry wants of an image.
type core struct {
	mediaType        types.MediaType
	config, manifest []byte
	layers           map[v1.Hash]*Layer
}

func (c *core) RawConfigFile() ([]byte, error)      { return c.config, nil }
func (c *core) MediaType() (types.MediaType, error) { return c.mediaType, nil }
func (c *core) RawManifest() ([]byte, error)        { return c.manifest, nil }
func (c *core) LayerByDigest(h v1.Hash) (partial.CompressedLayer, error) {
	if h == Hash(c.config) {
		return partial.ConfigLayer(c)
	}
	if l, ok := c.layers[h]; ok {
		return l, nil
	}
	return nil, fmt.Errorf("no layer %s", h)
}

// An Entry is one child of an index: an Image or an Index, and further fields of its descriptor.
type Entry struct {
	Image    v1.Image
	Index    v1.ImageIndex
	Platform string
	Fields   map[string]any
}

// Attestation is the entry that BuildKit adds for an image.
func Attestation(of v1.Image) Entry {
	digest, err := of.Digest()
	must(err)
	statement := JSON(map[string]any{"subject": digest})
	layer := &Layer{statement, Hash(statement), "application/vnd.in-toto+json"}
	return Entry{Image: Spec{Layers: []*Layer{layer}, Arch: "unknown"}.Image(), Platform: "unknown/unknown", Fields: map[string]any{
		"annotations": map[string]string{"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": digest.String()}}}
}

// Index makes an index with the given further fields.
func Index(docker bool, fields map[string]any, entries ...Entry) v1.ImageIndex {
	mediaType := types.OCIImageIndex
	if docker {
		mediaType = types.DockerManifestList
	}
	x := &index{mediaType: mediaType, images: map[v1.Hash]v1.Image{}, indexes: map[v1.Hash]v1.ImageIndex{}}
	manifests := []any{}
	for _, e := range entries {
		manifests = append(manifests, x.add(e))
	}
	doc := map[string]any{"schemaVersion": 2, "mediaType": mediaType, "manifests": manifests}
	maps.Copy(doc, fields)
	x.raw = JSON(doc)
	return x
}

func (x *index) add(e Entry) map[string]any {
	var child partial.Describable = e.Image
	if e.Index != nil {
		child = e.Index
	}
	d, err := partial.Descriptor(child)
	must(err)
	if e.Index != nil {
		x.indexes[d.Digest] = e.Index
	} else {
		x.images[d.Digest] = e.Image
	}
	descriptor := map[string]any{"mediaType": d.MediaType, "digest": d.Digest, "size": d.Size}
	if e.Platform != "" {
		platform, err := v1.ParsePlatform(e.Platform)
		must(err)
		descriptor["platform"] = platform
	}
	maps.Copy(descriptor, e.Fields)
	return descriptor
}

type index struct {
	mediaType types.MediaType
	raw       []byte
	images    map[v1.Hash]v1.Image
	indexes   map[v1.Hash]v1.ImageIndex
}

func (x *index) MediaType() (types.MediaType, error) { return x.mediaType, nil }
func (x *index) Digest() (v1.Hash, error)            { return partial.Digest(x) }
func (x *index) Size() (int64, error)                { return partial.Size(x) }
func (x *index) RawManifest() ([]byte, error)        { return x.raw, nil }
func (x *index) IndexManifest() (*v1.IndexManifest, error) {
	var m v1.IndexManifest
	return &m, json.Unmarshal(x.raw, &m)
}
func (x *index) Image(h v1.Hash) (v1.Image, error) {
	if img, ok := x.images[h]; ok {
		return img, nil
	}
	return nil, fmt.Errorf("no image %s", h)
}
func (x *index) ImageIndex(h v1.Hash) (v1.ImageIndex, error) {
	if child, ok := x.indexes[h]; ok {
		return child, nil
	}
	return nil, fmt.Errorf("no index %s", h)
}
