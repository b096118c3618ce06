package imagepatch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	ggcrlayout "github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/renameio/v2"
)

// write puts content where ref says, whole or not at all.
func write(ctx context.Context, ref Ref, c content, access *Access) error {
	switch ref.Transport {
	case Registry:
		return pushRegistry(ctx, ref, c, access)
	case DockerDaemon:
		return loadDaemon(ctx, ref, c, access)
	case OCILayout:
		return writeDir(ref, c)
	case OCIArchive:
		return writeFile(ref, &archive{content: c, name: ref.Name, ociOnly: true})
	case DockerArchive:
		if c.index != nil {
			return fmt.Errorf("writing %s: the format holds one platform, choose it with --platform, or write an oci-archive", ref)
		}
		return writeFile(ref, &archive{content: c, name: ref.Name})
	}
	return fmt.Errorf("reference %s names no place", ref)
}

// writeFile writes an archive beside its place and renames it. A link stays; what is no file, as a device, is not replaced.
func writeFile(ref Ref, a *archive) error {
	path := ref.Path
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("writing %s: %s is there and is no regular file", ref, path)
	}
	f, err := renameio.NewPendingFile(path, renameio.WithPermissions(0o644), renameio.WithExistingPermissions())
	if err != nil {
		return fmt.Errorf("writing %s: %w", ref, err)
	}
	defer f.Cleanup()
	if err := a.write(f); err != nil {
		return fmt.Errorf("writing %s: %w", ref, err)
	}
	if err := f.CloseAtomicallyReplace(); err != nil {
		return fmt.Errorf("writing %s: %w", ref, err)
	}
	return nil
}

// writeDir writes an OCI layout: blobs first, its index last. A directory that does not exist appears when all is there.
func writeDir(ref Ref, c content) error {
	if _, err := os.Stat(ref.Path); err == nil {
		if err := fillDir(ref.Path, ref.Name, c); err != nil {
			return fmt.Errorf("writing %s: %w", ref, err)
		}
		return nil
	}
	tmp, err := os.MkdirTemp(filepath.Dir(filepath.Clean(ref.Path)), ".covify-")
	if err != nil {
		return fmt.Errorf("writing %s: %w", ref, err)
	}
	defer os.RemoveAll(tmp)
	if err := os.Chmod(tmp, 0o755); err != nil {
		return err
	}
	if err := fillDir(tmp, ref.Name, c); err != nil {
		return fmt.Errorf("writing %s: %w", ref, err)
	}
	if err := os.Rename(tmp, ref.Path); err != nil {
		return fmt.Errorf("writing %s: %w", ref, err)
	}
	return nil
}

func fillDir(dir, tag string, c content) error {
	top, err := layoutIndex(dir)
	if err != nil {
		return err
	}
	p := ggcrlayout.Path(dir)
	var d *v1.Descriptor
	if c.index != nil {
		if d, err = partial.Descriptor(c.index); err == nil {
			err = writeIndexBlobs(p, c.index)
		}
	} else {
		if d, err = partial.Descriptor(c.image); err == nil {
			err = p.WriteImage(c.image)
		}
	}
	if err != nil {
		return err
	}
	if tag != "" {
		d.Annotations = map[string]string{annotationRefName: tag}
	}
	top.Manifests = slices.DeleteFunc(top.Manifests, func(old v1.Descriptor) bool { return old.Annotations[annotationRefName] == tag })
	top.Manifests = append(top.Manifests, *d)
	data, err := encode(top)
	if err != nil {
		return err
	}
	if err := renameio.WriteFile(filepath.Join(dir, "oci-layout"), []byte(`{"imageLayoutVersion":"1.0.0"}`), 0o644); err != nil {
		return err
	}
	return renameio.WriteFile(filepath.Join(dir, "index.json"), data, 0o644)
}

// writeIndexBlobs writes an index and all below it as blobs.
func writeIndexBlobs(p ggcrlayout.Path, index v1.ImageIndex) error {
	return eachBelow(index, func(img v1.Image) error { return p.WriteImage(img) }, func(raw []byte) error {
		return renameio.WriteFile(filepath.Join(string(p), blobName(hashOf(raw))), raw, 0o644)
	})
}

// layoutIndex reads the index of a layout that there is, or returns a new one for an empty directory.
func layoutIndex(dir string) (*v1.IndexManifest, error) {
	top := &v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex}
	raw, err := os.ReadFile(filepath.Join(dir, "index.json"))
	if errors.Is(err, fs.ErrNotExist) {
		entries, err := os.ReadDir(dir)
		if err == nil && len(entries) > 0 {
			err = fmt.Errorf("%s is neither empty nor an OCI image layout", dir)
		}
		return top, err
	}
	if err != nil {
		return nil, err
	}
	return top, json.Unmarshal(raw, top)
}
