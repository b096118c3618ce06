package imagepatch

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/covify/covify/plan"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// ociTypes are the OCI names of Docker's media types (image-spec, media-types.md, "Compatibility Matrix").
var ociTypes = map[types.MediaType]types.MediaType{
	types.DockerManifestList:      types.OCIImageIndex,
	types.DockerManifestSchema2:   types.OCIManifestSchema1,
	types.DockerConfigJSON:        types.OCIConfigJSON,
	types.DockerLayer:             types.OCILayer,
	types.DockerUncompressedLayer: types.OCIUncompressedLayer,
	types.DockerForeignLayer:      types.OCIRestrictedLayer,
}

// toOCI gives content OCI media types: readers of OCI layouts, skopeo and podman among them, know no others there. What is
// OCI already stays byte for byte.
func toOCI(c content) (content, error) {
	var err error
	if c.index != nil {
		c.index, err = indexToOCI(c.index)
	} else {
		c.image, err = imageToOCI(c.image)
	}
	if err != nil {
		err = fmt.Errorf("converting to OCI media types: %w", err)
	}
	return c, err
}

func imageToOCI(img v1.Image) (v1.Image, error) {
	mediaType, err := img.MediaType()
	if err != nil || mediaType != types.DockerManifestSchema2 {
		return img, err
	}
	config, err := img.RawConfigFile()
	if err != nil {
		return nil, err
	}
	layers, err := img.Layers()
	if err != nil {
		return nil, err
	}
	return &rawImage{mediaType: types.OCIManifestSchema1, config: config, layers: layers, manifest: once(func() ([]byte, error) {
		raw, err := img.RawManifest()
		if err != nil {
			return nil, err
		}
		return manifestToOCI(raw, config)
	})}, nil
}

// manifestToOCI converts a manifest; a variant's gets the annotations it would have had in the OCI family.
func manifestToOCI(raw, imageConfig []byte) ([]byte, error) {
	var m object
	var labelled v1.ConfigFile
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil, err
	}
	config, err := descriptorToOCI(m["config"])
	if err != nil {
		return nil, err
	}
	layers, err := m.list("layers")
	if err != nil {
		return nil, err
	}
	for i, l := range layers {
		if layers[i], err = descriptorToOCI(l); err != nil {
			return nil, err
		}
	}
	if json.Unmarshal(imageConfig, &labelled) == nil && labelled.Config.Labels[plan.LabelVersion] != "" {
		if err := annotate(m, labelled.Config.Labels); err != nil {
			return nil, err
		}
	}
	if err := errors.Join(m.set("mediaType", types.OCIManifestSchema1), m.set("config", config), m.set("layers", layers)); err != nil {
		return nil, err
	}
	return encode(m)
}

// descriptorToOCI changes the media type of a descriptor.
func descriptorToOCI(raw json.RawMessage) (json.RawMessage, error) {
	var d object
	var mediaType types.MediaType
	if err := json.Unmarshal(raw, &d); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(d["mediaType"], &mediaType); err != nil {
		return nil, err
	}
	oci, ok := ociTypes[mediaType]
	if !ok {
		return raw, nil
	}
	if err := d.set("mediaType", oci); err != nil {
		return nil, err
	}
	return encode(d)
}

func indexToOCI(index v1.ImageIndex) (v1.ImageIndex, error) {
	mediaType, err := index.MediaType()
	if err != nil || mediaType != types.DockerManifestList {
		return index, err
	}
	raw, err := index.RawManifest()
	if err != nil {
		return nil, err
	}
	var doc object
	if err := json.Unmarshal(raw, &doc); err != nil {
		return nil, err
	}
	children, err := doc.list("manifests")
	if err != nil {
		return nil, err
	}
	converted := &rawIndex{base: index, mediaType: types.OCIImageIndex, images: map[v1.Hash]v1.Image{}, indexes: map[v1.Hash]v1.ImageIndex{}}
	for i, child := range children {
		if children[i], err = converted.childToOCI(child); err != nil {
			return nil, err
		}
	}
	if err := errors.Join(doc.set("mediaType", types.OCIImageIndex), doc.set("manifests", children)); err != nil {
		return nil, err
	}
	converted.raw, err = encode(doc)
	return converted, err
}

func (i *rawIndex) childToOCI(raw json.RawMessage) (json.RawMessage, error) {
	var d v1.Descriptor
	if err := json.Unmarshal(raw, &d); err != nil {
		return nil, err
	}
	if d.MediaType != types.DockerManifestSchema2 {
		return raw, nil
	}
	img, err := i.base.Image(d.Digest)
	if err != nil {
		return nil, err
	}
	if img, err = imageToOCI(img); err != nil {
		return nil, err
	}
	digest, err := img.Digest()
	if err != nil {
		return nil, err
	}
	i.images[digest] = img
	if raw, err = redescribe(raw, img); err != nil {
		return nil, err
	}
	return descriptorToOCI(raw)
}
