package imagepatch

import (
	"cmp"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
)

// Transport is where an image is kept, by skopeo's names (containers-transports(5)).
type Transport string

const (
	Registry      Transport = "docker"         // docker://NAME[:TAG|@DIGEST]
	OCILayout     Transport = "oci"            // oci:DIR[:TAG]
	OCIArchive    Transport = "oci-archive"    // oci-archive:FILE[:TAG]
	DockerArchive Transport = "docker-archive" // docker-archive:FILE[:NAME:TAG]
	DockerDaemon  Transport = "docker-daemon"  // docker-daemon:NAME[:TAG], Docker's or podman's socket
)

// Ref names an image. Refs compare with ==.
type Ref struct {
	Transport Transport // "" for a bare name, which may be a daemon's or a registry's
	Path      string    // of a layout or archive
	Name      string    // of the image: a reference for Registry and DockerDaemon, the tag or name within a layout or archive
}

// RefError says which reference could not be understood, and why.
type RefError struct {
	Ref    string
	Reason string
}

func (e *RefError) Error() string { return fmt.Sprintf("image reference %q: %s", e.Ref, e.Reason) }

// ParseRef reads a reference as skopeo writes them, or a bare image name.
func ParseRef(s string) (Ref, error) {
	if s == "" {
		return Ref{}, &RefError{s, "is empty"}
	}
	transport, rest, found := strings.Cut(s, ":")
	switch t := Transport(transport); {
	case found && t == Registry && strings.HasPrefix(rest, "//"):
		return imageName(s, t, strings.TrimPrefix(rest, "//"))
	case found && t == DockerDaemon:
		return imageName(s, t, rest)
	case found && (t == OCILayout || t == OCIArchive || t == DockerArchive):
		path, tag, _ := strings.Cut(rest, ":")
		if path == "" {
			return Ref{}, &RefError{s, "names no path"}
		}
		return Ref{Transport: t, Path: path, Name: tag}, nil
	case found && (t == "dir" || t == "containers-storage" || t == "ostree" || strings.HasPrefix(rest, "//")):
		return Ref{}, &RefError{s, "transport " + transport + ": is not supported; docker://, docker-daemon:, oci:, oci-archive: and docker-archive: are"}
	}
	return imageName(s, "", s)
}

func imageName(s string, t Transport, n string) (Ref, error) {
	if _, err := name.ParseReference(n); err != nil {
		return Ref{}, &RefError{s, cmp.Or(strings.TrimPrefix(err.Error(), "could not parse reference: "), "names no image")}
	}
	return Ref{Transport: t, Name: n}, nil
}

// String writes r as ParseRef reads it.
func (r Ref) String() string {
	switch r.Transport {
	case "":
		return r.Name
	case Registry:
		return "docker://" + r.Name
	case DockerDaemon:
		return "docker-daemon:" + r.Name
	}
	if r.Name == "" {
		return string(r.Transport) + ":" + r.Path
	}
	return string(r.Transport) + ":" + r.Path + ":" + r.Name
}

func (r Ref) isOCI() bool { return r.Transport == OCILayout || r.Transport == OCIArchive }

// Variant returns the default place of r's variant: the tag with -cov after it, where r is; an archive gets a file of its own.
func (r Ref) Variant() (Ref, error) {
	v := r
	switch r.Transport {
	case OCILayout, OCIArchive, DockerArchive:
		if r.Transport != OCILayout {
			v.Path = variantFile(r.Path)
		}
		if r.Transport == DockerArchive && r.Name != "" {
			break
		}
		if r.Name != "" || r.Transport == OCILayout {
			v.Name = variantTag(r.Name)
		}
		return v, nil
	}
	tagged, digest, _ := strings.Cut(r.Name, "@")
	ref, err := name.ParseReference(tagged)
	if err != nil {
		return Ref{}, &RefError{r.Name, err.Error()}
	}
	tag := ref.Identifier()
	base := strings.TrimSuffix(tagged, ":"+tag)
	if base == tagged && digest != "" {
		tag = strings.ReplaceAll(digest[:min(19, len(digest))], ":", "-") // sha256-0123456789ab
	}
	v.Name = base + ":" + variantTag(tag)
	return v, nil
}

// variantFile puts -cov before the extension of an archive; the variant's is not compressed.
func variantFile(path string) string {
	ext := filepath.Ext(path)
	if ext == ".gz" || ext == ".zst" {
		path = strings.TrimSuffix(path, ext)
		ext = filepath.Ext(path)
	}
	return strings.TrimSuffix(strings.TrimSuffix(path, ext), "-cov") + "-cov" + ext
}

// variantTag puts -cov after a tag, or after the tag of a name, once: a variant's variant is itself.
func variantTag(tag string) string {
	switch {
	case tag == "":
		return "latest-cov"
	case strings.HasSuffix(tag, "-cov"):
		return tag
	}
	return tag + "-cov"
}

// fullName is the complete name of an image as engines write it, "" for what is no name. The registry client calls the
// default registry by its host instead.
func fullName(n string) string {
	ref, err := name.ParseReference(n)
	if err != nil {
		return ""
	}
	if ref.Context().RegistryStr() == name.DefaultRegistry {
		return "docker.io" + strings.TrimPrefix(ref.Name(), name.DefaultRegistry)
	}
	return ref.Name()
}
