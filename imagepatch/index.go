package imagepatch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/covify/covify/plan"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Annotations with which BuildKit ties an attestation to its image (BuildKit docs/attestations/attestation-storage.md).
const (
	annotationRefType   = "vnd.docker.reference.type"
	annotationRefDigest = "vnd.docker.reference.digest"
	attestationManifest = "attestation-manifest"
)

// rawIndex is an index by its raw manifest, some of whose children are new.
type rawIndex struct {
	base      v1.ImageIndex // where the other children are
	mediaType types.MediaType
	raw       []byte
	images    map[v1.Hash]v1.Image
	indexes   map[v1.Hash]v1.ImageIndex
}

var _ v1.ImageIndex = (*rawIndex)(nil)

func (i *rawIndex) MediaType() (types.MediaType, error) { return i.mediaType, nil }
func (i *rawIndex) RawManifest() ([]byte, error)        { return i.raw, nil }
func (i *rawIndex) Digest() (v1.Hash, error)            { return partial.Digest(i) }
func (i *rawIndex) Size() (int64, error)                { return partial.Size(i) }
func (i *rawIndex) IndexManifest() (*v1.IndexManifest, error) {
	var m v1.IndexManifest
	return &m, json.Unmarshal(i.raw, &m)
}

// Image implements v1.ImageIndex.
func (i *rawIndex) Image(h v1.Hash) (v1.Image, error) {
	if img, ok := i.images[h]; ok {
		return img, nil
	}
	return i.base.Image(h)
}

// ImageIndex implements v1.ImageIndex.
func (i *rawIndex) ImageIndex(h v1.Hash) (v1.ImageIndex, error) {
	if index, ok := i.indexes[h]; ok {
		return index, nil
	}
	return i.base.ImageIndex(h)
}

// patchIndex makes the variant of every image of an index that has Python; the others stay byte for byte.
func (p *patcher) patchIndex(ctx context.Context, o *opened) (content, *Result, error) {
	result := &Result{}
	made := &indexPatch{patcher: p, result: result, name: o.name}
	index, err := made.index(ctx, o.index, o.held != nil)
	if err != nil {
		return content{}, nil, err
	}
	if made.covered == 0 {
		return content{}, nil, made.nothing()
	}
	if made.only != nil && (p.opts.Platform != nil || o.held != nil && made.covered == 1 && len(result.Platforms) == 1) {
		return content{image: made.only, held: o.held}, result, nil
	}
	return content{index: index}, result, nil
}

// indexPatch collects what happens to the images of one index, nested ones included.
type indexPatch struct {
	*patcher
	result  *Result
	name    string
	covered int
	only    v1.Image // the last image made
	changed map[string]bool
}

// nothing is the error of an index none of whose images can be covered.
func (x *indexPatch) nothing() error {
	if x.opts.Platform != nil && len(x.result.Platforms) == 0 {
		return &NotFoundError{Ref: "for platform " + x.opts.Platform.String(), Err: errors.New("the index does not have it")}
	}
	e := &plan.NothingError{}
	for _, p := range x.result.Platforms {
		e.Skipped = append(e.Skipped, plan.Skip{Path: p.Platform, Reason: p.Reason})
	}
	return e
}

// index patches an index; sparse says that it may name images that are not there, as a local engine's does.
func (x *indexPatch) index(ctx context.Context, index v1.ImageIndex, sparse bool) (v1.ImageIndex, error) {
	raw, err := index.RawManifest()
	if err != nil {
		return nil, fmt.Errorf("reading the index: %w", err)
	}
	var doc object
	if err := json.Unmarshal(raw, &doc); err != nil {
		return nil, fmt.Errorf("reading the index: %w", err)
	}
	children, err := doc.list("manifests")
	if err != nil {
		return nil, fmt.Errorf("reading the index: %w", err)
	}
	mediaType, err := index.MediaType()
	if err != nil {
		return nil, err
	}
	patched := &rawIndex{base: index, mediaType: mediaType, images: map[v1.Hash]v1.Image{}, indexes: map[v1.Hash]v1.ImageIndex{}}
	outer := x.changed
	defer func() { x.changed = outer }()
	x.changed = map[string]bool{} // attestations lie beside their images
	var kept []json.RawMessage
	for _, child := range children {
		child, err := x.child(ctx, patched, child, sparse)
		if err != nil {
			return nil, err
		}
		if child != nil {
			kept = append(kept, child)
		}
	}
	if kept, err = x.withoutAttestations(kept); err != nil {
		return nil, err
	}
	if err := doc.set("manifests", kept); err != nil {
		return nil, err
	}
	patched.raw, err = encode(doc)
	return patched, err
}

// child returns the descriptor that takes the place of raw, nil if none does.
func (x *indexPatch) child(ctx context.Context, parent *rawIndex, raw json.RawMessage, sparse bool) (json.RawMessage, error) {
	var d v1.Descriptor
	if err := json.Unmarshal(raw, &d); err != nil {
		return nil, fmt.Errorf("reading the index: %w", err)
	}
	if d.MediaType.IsIndex() {
		return x.nested(ctx, parent, raw, d, sparse)
	}
	if !d.MediaType.IsImage() || d.Annotations[annotationRefType] != "" {
		return raw, nil
	}
	if x.opts.Platform != nil && (d.Platform == nil || !d.Platform.Satisfies(*x.opts.Platform)) {
		return nil, nil
	}
	img, err := parent.Image(d.Digest)
	var missing *missingBlobError
	if sparse && (errors.As(err, &missing) || err == nil && !complete(img)) {
		x.result.Dropped = append(x.result.Dropped, fmt.Sprintf("%s: the engine does not hold it", d.Platform))
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the image %s of the index: %w", d.Digest, err)
	}
	return x.variant(ctx, parent, raw, d, img)
}

// complete reports whether all layers of an image of a layout are there.
func complete(img v1.Image) bool {
	layers, err := img.Layers()
	for _, l := range layers {
		if s, ok := l.(stored); ok && err == nil {
			rc, _, openErr := s.Stored()
			if err = openErr; err == nil {
				rc.Close()
			}
		}
	}
	return err == nil
}

func (x *indexPatch) nested(ctx context.Context, parent *rawIndex, raw json.RawMessage, d v1.Descriptor, sparse bool) (json.RawMessage, error) {
	index, err := parent.ImageIndex(d.Digest)
	if err != nil {
		return nil, fmt.Errorf("reading the index %s of the index: %w", d.Digest, err)
	}
	before := x.covered
	patched, err := x.index(ctx, index, sparse)
	if err != nil || x.covered == before {
		return raw, err
	}
	digest, err := patched.Digest()
	if err != nil {
		return nil, err
	}
	parent.indexes[digest] = patched
	return redescribe(raw, patched)
}

// variant makes the variant of one image of an index, or says why it stays as it is.
func (x *indexPatch) variant(ctx context.Context, parent *rawIndex, raw json.RawMessage, d v1.Descriptor, img v1.Image) (json.RawMessage, error) {
	platform := Platform{Platform: fmt.Sprint(d.Platform)}
	if d.Platform == nil {
		platform.Platform = ""
	}
	made, p, err := x.made(ctx, d, img)
	var nothing *plan.NothingError
	switch {
	case errors.As(err, &nothing):
		platform.Reason = nothing.Error()
		x.result.Platforms = append(x.result.Platforms, platform)
		return raw, nil
	case err != nil:
		return nil, fmt.Errorf("platform %s: %w", platform.Platform, err)
	}
	digest, err := made.Digest()
	if err != nil {
		return nil, err
	}
	platform.Plan = p
	x.result.Platforms = append(x.result.Platforms, platform)
	x.changed[d.Digest.String()] = true
	x.covered++
	x.only = made
	parent.images[digest] = made
	return redescribe(raw, made)
}

func (x *indexPatch) made(ctx context.Context, d v1.Descriptor, img v1.Image) (v1.Image, *plan.Plan, error) {
	if d.Platform != nil && d.Platform.OS != "linux" {
		return nil, nil, &plan.NothingError{Skipped: []plan.Skip{{Path: d.Platform.String(), Reason: "not a Linux image"}}}
	}
	return x.image(ctx, img, x.name, d.Digest.String())
}

// withoutAttestations drops the attestations of images that changed: they speak of other bytes.
func (x *indexPatch) withoutAttestations(children []json.RawMessage) ([]json.RawMessage, error) {
	var kept []json.RawMessage
	for _, raw := range children {
		var d v1.Descriptor
		if err := json.Unmarshal(raw, &d); err != nil {
			return nil, err
		}
		of := d.Annotations[annotationRefDigest]
		if d.Annotations[annotationRefType] == attestationManifest && (x.changed[of] || x.opts.Platform != nil) {
			x.result.Dropped = append(x.result.Dropped, fmt.Sprintf("attestation %s: it speaks of the image %s, which the variant replaces", d.Digest, of))
			continue
		}
		kept = append(kept, raw)
	}
	return kept, nil
}

// redescribe changes digest and size of a descriptor.
func redescribe(raw json.RawMessage, to partial.Describable) (json.RawMessage, error) {
	var d object
	if err := json.Unmarshal(raw, &d); err != nil {
		return nil, err
	}
	digest, err := to.Digest()
	if err != nil {
		return nil, err
	}
	size, err := to.Size()
	if err != nil {
		return nil, err
	}
	delete(d, "data")
	if err := errors.Join(d.set("digest", digest), d.set("size", size)); err != nil {
		return nil, err
	}
	return encode(d)
}

// eachBelow calls put for every image of an index and of the indexes in it, and putIndex for the raw manifest of each index, after
// all that it names.
func eachBelow(index v1.ImageIndex, put func(v1.Image) error, putIndex func([]byte) error) error {
	m, err := index.IndexManifest()
	if err != nil {
		return err
	}
	for _, d := range m.Manifests {
		if err := below(index, d, put, putIndex); err != nil {
			return err
		}
	}
	raw, err := index.RawManifest()
	if err != nil {
		return err
	}
	return putIndex(raw)
}

func below(index v1.ImageIndex, d v1.Descriptor, put func(v1.Image) error, putIndex func([]byte) error) error {
	if d.MediaType.IsIndex() {
		child, err := index.ImageIndex(d.Digest)
		if err != nil {
			return err
		}
		return eachBelow(child, put, putIndex)
	}
	child, err := index.Image(d.Digest)
	if err != nil {
		return err
	}
	return put(child)
}
