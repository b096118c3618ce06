package imagepatch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/moby/moby/client"
)

// Sight is an image as it is, covify's own layers included.
type Sight struct {
	Platform   string // "linux/amd64"; "" if unknown
	Root       fs.FS  // every name; of files, mode and content as plan.Wants says
	Env        []string
	Labels     map[string]string
	Entrypoint []string
	Cmd        []string
	User       string
}

// Look returns the image at src, or every Linux image of the index there, and changes nothing. Errors are those of Patch.
func Look(ctx context.Context, src Ref, opts Options) ([]Sight, error) {
	p := newPatcher(opts)
	o, err := open(ctx, src, &p.opts.Access)
	if err != nil {
		return nil, err
	}
	defer o.Close()
	if o.fetch != nil {
		if err := o.fetch(ctx); err != nil {
			return nil, err
		}
	}
	images := []listed{{o.image, ""}}
	if o.index != nil {
		if images, err = p.imagesOf(o.index, o.held != nil); err != nil {
			return nil, fmt.Errorf("looking at %s: %w", src, err)
		}
	}
	var all []Sight
	for _, img := range images {
		s, err := p.sight(ctx, img.image)
		if err != nil {
			return nil, fmt.Errorf("looking at %s: %w", src, err)
		}
		if img.platform != "" {
			s.Platform = img.platform
		}
		all = append(all, s)
	}
	return all, nil
}

// listed is an image, and the platform that an index gives it.
type listed struct {
	image    v1.Image
	platform string
}

// imagesOf lists the images of an index that can hold Python; sparse says that it may name images that are not there.
func (p *patcher) imagesOf(index v1.ImageIndex, sparse bool) ([]listed, error) {
	m, err := index.IndexManifest()
	if err != nil {
		return nil, fmt.Errorf("reading the index: %w", err)
	}
	var all []listed
	for _, d := range m.Manifests {
		if d.MediaType.IsIndex() {
			nested, err := index.ImageIndex(d.Digest)
			if err != nil {
				return nil, fmt.Errorf("reading the index %s of the index: %w", d.Digest, err)
			}
			below, err := p.imagesOf(nested, sparse)
			if err != nil {
				return nil, err
			}
			all = append(all, below...)
			continue
		}
		if !p.wanted(d) {
			continue
		}
		img, err := index.Image(d.Digest)
		var missing *missingBlobError
		if sparse && (errors.As(err, &missing) || err == nil && !complete(img)) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading the image %s of the index: %w", d.Digest, err)
		}
		all = append(all, listed{img, platformOf(d)})
	}
	return all, nil
}

func platformOf(d v1.Descriptor) string {
	if d.Platform == nil {
		return ""
	}
	return d.Platform.String()
}

func (p *patcher) wanted(d v1.Descriptor) bool {
	if !d.MediaType.IsImage() || d.Annotations[annotationRefType] != "" || (d.Platform != nil && d.Platform.OS != "linux") {
		return false
	}
	return p.opts.Platform == nil || (d.Platform != nil && d.Platform.Satisfies(*p.opts.Platform))
}

func (p *patcher) sight(ctx context.Context, img v1.Image) (Sight, error) {
	config, err := img.ConfigFile()
	if err != nil {
		return Sight{}, fmt.Errorf("reading the image configuration: %w", transferError("the image configuration", err))
	}
	layers, err := img.Layers()
	if err != nil {
		return Sight{}, fmt.Errorf("reading the image manifest: %w", err)
	}
	if len(layers) != len(config.RootFS.DiffIDs) {
		return Sight{}, fmt.Errorf("the image has %d layers and its configuration names %d", len(layers), len(config.RootFS.DiffIDs))
	}
	entries, err := p.layers.read(ctx, layers, config.RootFS.DiffIDs)
	if err != nil {
		return Sight{}, err
	}
	root := newRootFS()
	for _, layer := range entries {
		root.apply(layer)
	}
	return Sight{Platform: config.Platform().String(), Root: root, Env: config.Config.Env, Labels: config.Config.Labels,
		Entrypoint: config.Config.Entrypoint, Cmd: config.Config.Cmd, User: config.Config.User}, nil
}

// Digests are those by which the image at ref can be known now: its own, and those of the images of an index. Only registries and
// engines are asked.
func Digests(ctx context.Context, ref Ref, access *Access) ([]string, error) {
	switch ref.Transport {
	case Registry:
		return registryDigests(ctx, ref, access)
	case DockerDaemon:
		return engineDigests(ctx, ref, access)
	}
	return nil, &NotFoundError{ref.String(), errors.New("not in a registry or engine")}
}

func registryDigests(ctx context.Context, ref Ref, access *Access) ([]string, error) {
	r, err := access.parse(ref.Name)
	if err != nil {
		return nil, err
	}
	found, err := remote.Get(r, access.options(ctx)...)
	if err != nil {
		return nil, registryError(ref.String(), r.Context().RegistryStr(), err)
	}
	all := []string{found.Digest.String()}
	if !found.MediaType.IsIndex() {
		return all, nil
	}
	index, err := found.ImageIndex()
	if err != nil {
		return nil, err
	}
	m, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	for _, d := range m.Manifests {
		all = append(all, d.Digest.String())
	}
	return all, nil
}

func engineDigests(ctx context.Context, ref Ref, access *Access) ([]string, error) {
	c, err := access.Engine.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	found, err := c.ImageInspect(ctx, ref.Name, client.ImageInspectWithManifests(true))
	if err != nil {
		found, err = c.ImageInspect(ctx, ref.Name) // an API before 1.48 has no manifests
	}
	if err != nil {
		return nil, &NotFoundError{ref.String(), err}
	}
	all := []string{found.ID}
	for _, m := range found.Manifests {
		all = append(all, m.ID)
	}
	for _, r := range found.RepoDigests {
		if d, err := name.NewDigest(r); err == nil {
			all = append(all, d.DigestStr())
		}
	}
	return all, nil
}
