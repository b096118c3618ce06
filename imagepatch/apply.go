package imagepatch

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/covify/covify/plan"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/gzip"
)

// A base is an image without covify's layers, as far as Apply needs it: what a Plan is made over.
type base struct {
	image   v1.Image
	config  []byte     // raw, of the image
	plan    plan.Image // restored
	layers  []v1.Layer // of the image
	diffIDs []v1.Hash
	variant bool              // the configuration is a variant's
	paths   map[string]string // which says where its files come from
	ours    []bool            // which of layers are covify's
}

// newBase looks at an image's configuration; name and digest are how the image is called, if it is.
func newBase(img v1.Image, name, digest string) (*base, error) {
	raw, err := img.RawConfigFile()
	if err != nil {
		return nil, fmt.Errorf("reading the image configuration: %w", err)
	}
	var config v1.ConfigFile
	if err := json.Unmarshal(raw, &config); err != nil {
		return nil, fmt.Errorf("reading the image configuration: %w", err)
	}
	b := &base{image: img, config: raw, diffIDs: config.RootFS.DiffIDs}
	if b.layers, err = img.Layers(); err != nil {
		return nil, fmt.Errorf("reading the image manifest: %w", err)
	}
	if len(b.layers) != len(b.diffIDs) {
		return nil, fmt.Errorf("the image has %d layers and its configuration names %d", len(b.layers), len(b.diffIDs))
	}
	b.plan, b.variant = plan.Restore(plan.Image{Env: config.Config.Env, Labels: config.Config.Labels, WorkingDir: config.Config.WorkingDir, Name: name, Digest: digest})
	b.paths, _ = plan.Paths(config.Config.Labels) // a help: one that does not parse is none
	return b, nil
}

// mark finds covify's layers of a variant by what they hold. Labels cannot tell them: a build has no digests yet when it writes those.
func (b *base) mark(layers [][]entry, name, digest string) {
	b.ours = make([]bool, len(layers))
	if !b.variant {
		return
	}
	for i, entries := range layers {
		b.ours[i] = isOurs(entries)
	}
	if n := len(b.ours); n > 0 && slices.Contains(b.ours, true) && !b.ours[n-1] {
		b.plan.Name, b.plan.Digest = name, digest // built from a variant: it is the base now
		b.paths = nil                             // and what was put over its files is not known
	}
}

// isOurs reports whether a layer holds covify's files and, directories aside, nothing else.
func isOurs(entries []entry) bool {
	payload := false
	for _, e := range entries {
		if e.Kind != kindDir && !plan.IsOwn("/"+e.Path) {
			return false
		}
		payload = payload || plan.IsPayload("/"+e.Path)
	}
	return payload
}

// own returns the layers that are not covify's, and their diffIDs.
func (b *base) own() (layers []v1.Layer, diffIDs []v1.Hash) {
	return without(b.layers, b.ours), without(b.diffIDs, b.ours)
}

func without[T any](all []T, drop []bool) []T {
	var kept []T
	for i, x := range all {
		if i >= len(drop) || !drop[i] {
			kept = append(kept, x)
		}
	}
	return kept
}

// apply renders p over b. Layers already compressed are taken from the cache folder, "" for none.
func apply(b *base, p *plan.Plan, cache string) (v1.Image, error) {
	mediaType, err := b.image.MediaType()
	if err != nil {
		return nil, err
	}
	var added []*blobLayer
	for _, l := range p.Layers {
		blob, err := renderLayer(l, cache)
		if err != nil {
			return nil, fmt.Errorf("making the layer %s: %w", l.Name, err)
		}
		blob.mediaType = types.DockerLayer
		if ociFamily(mediaType) {
			blob.mediaType = types.OCILayer
		}
		added = append(added, blob)
	}
	config, err := editConfig(b, p, added)
	if err != nil {
		return nil, fmt.Errorf("editing the image configuration: %w", err)
	}
	layers, _ := b.own()
	for _, l := range added {
		layers = append(layers, l)
	}
	return &rawImage{mediaType: mediaType, config: config, layers: layers, manifest: once(func() ([]byte, error) {
		return editManifest(b, p, config, added, ociFamily(mediaType))
	})}, nil
}

// renderLayer writes a layer as a gzip-compressed tar file: the same bytes for the same layer.
func renderLayer(l plan.Layer, cache string) (*blobLayer, error) {
	content, err := tarOf(l)
	if err != nil {
		return nil, err
	}
	diffID := hashOf(content)
	if data := readBlob(cache, diffID); data != nil {
		return &blobLayer{digest: hashOf(data), diffID: diffID, data: data}, nil
	}
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(content); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	layer := &blobLayer{digest: hashOf(b.Bytes()), diffID: diffID, data: b.Bytes()}
	if cache != "" {
		_ = writeCache(blobFile(cache, diffID, layer.digest.Hex), layer.data) // it only saves the next run some work
	}
	return layer, nil
}

// blobFile names a compressed layer in the cache by the digests of both its forms.
func blobFile(cache string, diffID v1.Hash, digest string) string {
	return filepath.Join(cache, "blobs", diffID.Hex+"-"+digest+".tar.gz")
}

// readBlob returns the compressed layer with a diffID from the cache, nil if it is not there as it was put there.
func readBlob(cache string, diffID v1.Hash) []byte {
	if cache == "" {
		return nil
	}
	files, _ := filepath.Glob(blobFile(cache, diffID, "*"))
	for _, file := range files {
		if data, err := os.ReadFile(file); err == nil && file == blobFile(cache, diffID, hashOf(data).Hex) {
			return data
		}
	}
	return nil
}

func tarOf(l plan.Layer) ([]byte, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range l.Files {
		h, err := tar.FileInfoHeader(planFile{f}, "")
		if err != nil {
			return nil, err
		}
		h.Name = strings.TrimPrefix(f.Path, "/")
		if f.Mode.IsDir() {
			h.Name += "/"
		}
		h.Uid, h.Gid, h.ModTime, h.Format = f.UID, f.GID, plan.Epoch, tar.FormatPAX
		if err := w.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.Data); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return b.Bytes(), err
}

func hashOf(data []byte) v1.Hash {
	return v1.Hash{Algorithm: "sha256", Hex: fmt.Sprintf("%x", sha256.Sum256(data))}
}

// object is a JSON object whose other fields stay as they are.
type object map[string]json.RawMessage

func (o object) set(key string, v any) error {
	data, err := encode(v)
	o[key] = data
	return err
}

// list returns the elements of an array, none if the field is absent or null.
func (o object) list(key string) (all []json.RawMessage, err error) {
	if raw, ok := o[key]; ok {
		err = json.Unmarshal(raw, &all)
	}
	return all, err
}

// encode renders v without escaping <, > and &, which the rest of the document may hold as they are.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSpace(b.Bytes()), err
}

// editConfig changes env, labels, history and diff_ids of an image configuration (OCI image-spec, config.md), nothing else.
func editConfig(b *base, p *plan.Plan, added []*blobLayer) ([]byte, error) {
	var config, container object
	if err := json.Unmarshal(b.config, &config); err != nil {
		return nil, err
	}
	if raw, ok := config["config"]; ok {
		if err := json.Unmarshal(raw, &container); err != nil {
			return nil, err
		}
	}
	if container == nil {
		container = object{}
	}
	_, diffIDs := b.own()
	for _, l := range added {
		diffIDs = append(diffIDs, l.diffID)
	}
	history, err := editHistory(config, b.ours, p)
	if err != nil {
		return nil, err
	}
	sets := []error{container.set("Labels", p.Labels), config.set("rootfs", v1.RootFS{Type: "layers", DiffIDs: diffIDs})}
	if delete(container, "Env"); len(p.Env) > 0 {
		sets = append(sets, container.set("Env", p.Env))
	}
	if history != nil {
		sets = append(sets, config.set("history", history))
	}
	sets = append(sets, config.set("config", container))
	for _, err := range sets {
		if err != nil {
			return nil, err
		}
	}
	return encode(config)
}

// editHistory drops the entries of covify's layers and adds those of the plan's. An image without history gets none:
// tools count its entries against the layers.
func editHistory(config object, ours []bool, p *plan.Plan) ([]json.RawMessage, error) {
	all, err := config.list("history")
	if err != nil || len(all) == 0 {
		return nil, err
	}
	var kept []json.RawMessage
	layer := 0
	for _, raw := range all {
		var h struct {
			Empty bool `json:"empty_layer"`
		}
		if err := json.Unmarshal(raw, &h); err != nil {
			return nil, err
		}
		if !h.Empty {
			layer++
			if layer <= len(ours) && ours[layer-1] {
				continue
			}
		}
		kept = append(kept, raw)
	}
	for _, l := range p.Layers {
		raw, err := encode(l.History())
		if err != nil {
			return nil, err
		}
		kept = append(kept, raw)
	}
	return kept, nil
}

// editManifest changes config, layers and, in the OCI family, the base annotations of a manifest.
func editManifest(b *base, p *plan.Plan, config []byte, added []*blobLayer, oci bool) ([]byte, error) {
	raw, err := b.image.RawManifest()
	if err != nil {
		return nil, fmt.Errorf("reading the image manifest: %w", err)
	}
	var manifest, descriptor object
	if err := json.Unmarshal(raw, &manifest); err != nil {
		return nil, fmt.Errorf("reading the image manifest: %w", err)
	}
	if err := json.Unmarshal(manifest["config"], &descriptor); err != nil {
		return nil, fmt.Errorf("reading the image manifest: %w", err)
	}
	layers, err := manifest.list("layers")
	if err != nil {
		return nil, fmt.Errorf("reading the image manifest: %w", err)
	}
	layers = without(layers, b.ours)
	for _, l := range added {
		// A map, so that the fields are in the order that editing a descriptor gives: a variant's variant is itself.
		raw, err := encode(map[string]any{"mediaType": l.mediaType, "digest": l.digest, "size": len(l.data)})
		if err != nil {
			return nil, err
		}
		layers = append(layers, raw)
	}
	delete(descriptor, "data") // the old configuration, embedded
	sets := []error{descriptor.set("digest", hashOf(config)), descriptor.set("size", len(config)),
		manifest.set("config", descriptor), manifest.set("layers", layers)}
	if oci {
		sets = append(sets, annotate(manifest, p.Labels))
	}
	for _, err := range sets {
		if err != nil {
			return nil, err
		}
	}
	return encode(manifest)
}

// annotate names the base where OCI tools look for it (image-spec, annotations.md).
func annotate(manifest object, labels map[string]string) error {
	annotations := map[string]string{}
	if raw, ok := manifest["annotations"]; ok {
		if err := json.Unmarshal(raw, &annotations); err != nil {
			return err
		}
	}
	for _, key := range []string{plan.LabelBaseName, plan.LabelBaseDigest} {
		if delete(annotations, key); labels[key] != "" {
			annotations[key] = labels[key]
		}
	}
	if len(annotations) == 0 {
		return nil
	}
	return manifest.set("annotations", annotations)
}
