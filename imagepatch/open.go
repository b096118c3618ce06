package imagepatch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/google/go-containerregistry/pkg/authn"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Access is how registries and the engine are reached. The zero value asks registries anonymously and knows no engine.
type Access struct {
	Keychain  authn.Keychain    // credentials
	Transport http.RoundTripper // http.DefaultTransport if nil
	PlainHTTP bool              // also speak http to registries that are not on this machine
	Engine    *Engine           // for docker-daemon:
}

// opened is an image or an index, whichever is there.
type opened struct {
	image  v1.Image
	index  v1.ImageIndex
	name   string                      // for org.opencontainers.image.base.name, "" if the place has no name that others could use
	tag    string                      // found with it in a layout or archive
	digest string                      // of the manifest; of the configuration where there is no manifest
	held   map[string]bool             // diffIDs that the engine it came from has
	id     string                      // of what ref named, before any platform was chosen; "" if that takes reading it
	fetch  func(context.Context) error // brings the content of what is only identified so far; nil if it is there
	closer io.Closer
}

// Close releases files.
func (o *opened) Close() error {
	if o.closer == nil {
		return nil
	}
	return o.closer.Close()
}

// open finds what ref names. Errors are *NotFoundError, *AuthError, *TransientError where they are that.
func open(ctx context.Context, ref Ref, access *Access) (*opened, error) {
	switch ref.Transport {
	case Registry:
		return openRegistry(ctx, ref, access)
	case DockerDaemon:
		return openDaemon(ctx, ref, access)
	case OCILayout:
		if _, err := os.Stat(ref.Path); err != nil {
			return nil, &NotFoundError{ref.String(), err}
		}
		o, err := openLayout(os.DirFS(ref.Path), ref.Name)
		return o, readingError(ref, err)
	case OCIArchive, DockerArchive:
		t, err := openTar(ref.Path)
		if os.IsNotExist(err) {
			return nil, &NotFoundError{ref.String(), err}
		}
		if err != nil {
			return nil, err
		}
		o, err := openDockerArchive(t, ref.Name)
		if err != nil {
			t.Close()
			return nil, readingError(ref, err)
		}
		o.closer = t
		return o, nil
	}
	return nil, fmt.Errorf("reference %s names no place", ref)
}

// readingError adds to an error of reading a layout or archive which one it is.
func readingError(ref Ref, err error) error {
	var missing *NotFoundError
	if errors.As(err, &missing) {
		return &NotFoundError{ref.String(), missing.Err}
	}
	if err != nil {
		err = fmt.Errorf("reading %s: %w", ref, err)
	}
	return err
}
