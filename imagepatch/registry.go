package imagepatch

import (
	"context"
	"fmt"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// openRegistry asks for a manifest and nothing else; an index is never resolved to one of its platforms.
func openRegistry(ctx context.Context, r Ref, access *Access) (*opened, error) {
	ref, err := access.parse(r.Name)
	if err != nil {
		return nil, err
	}
	registry := ref.Context().RegistryStr()
	d, err := remote.Get(ref, access.options(ctx)...)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", r, registryError(r.String(), registry, err))
	}
	o := &opened{name: fullName(r.Name), digest: d.Digest.String(), id: d.Digest.String()}
	if d.MediaType.IsIndex() {
		o.index, err = d.ImageIndex()
	} else {
		o.image, err = d.Image()
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", r, registryError(r.String(), registry, err))
	}
	return o, nil
}

// pushRegistry writes content under r. The tag is written last, so a push that dies leaves the old one as it was. Blobs that
// the registry has in another repository are mounted.
func pushRegistry(ctx context.Context, r Ref, c content, access *Access) error {
	ref, err := access.parse(r.Name)
	if err != nil {
		return err
	}
	if c.index != nil {
		err = remote.WriteIndex(ref, c.index, access.options(ctx)...)
	} else {
		err = remote.Write(ref, c.image, access.options(ctx)...)
	}
	if err != nil {
		return fmt.Errorf("pushing %s: %w", r, registryError(r.String(), ref.Context().RegistryStr(), err))
	}
	return nil
}

func (a *Access) parse(n string) (name.Reference, error) {
	var opts []name.Option
	if a.PlainHTTP {
		opts = append(opts, name.Insecure)
	}
	ref, err := name.ParseReference(n, opts...)
	if err != nil {
		return nil, &RefError{n, err.Error()}
	}
	return ref, nil
}

// options are the registry client's.
func (a *Access) options(ctx context.Context) []remote.Option {
	keychain := a.Keychain
	if keychain == nil {
		keychain = authn.NewMultiKeychain()
	}
	opts := []remote.Option{remote.WithContext(ctx), remote.WithAuthFromKeychain(keychain), remote.WithUserAgent("covify")}
	if a.Transport != nil {
		opts = append(opts, remote.WithTransport(a.Transport))
	}
	return opts
}
