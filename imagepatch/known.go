package imagepatch

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/covify/covify/plan"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// known is what Patch made of an image once. While the image, the options and covify are the same, and what was made is
// still at the target, there is nothing to do.
type known struct {
	Target    string // identity of what was written
	Digest    string
	Platforms []Platform
	Dropped   []string
}

// knownFile is where the outcome for an image is kept, "" if outcomes are not.
func (p *patcher) knownFile(src *opened, dst Ref) string {
	if p.opts.CacheDir == "" || p.opts.Identity == "" || src.id == "" {
		return ""
	}
	key, err := json.Marshal(struct {
		Identity, Source, Name string
		Target                 Ref
		Plan                   plan.Options
		Platform               any
	}{p.opts.Identity, src.id, src.name, dst, p.opts.Plan, p.opts.Platform})
	if err != nil {
		return ""
	}
	return filepath.Join(p.opts.CacheDir, "known", fmt.Sprintf("%x.json", sha256.Sum256(key)))
}

// recall returns the outcome kept in file if it is still at dst, else nil.
func (p *patcher) recall(ctx context.Context, file string, dst Ref) *Result {
	if file == "" {
		return nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	var k known
	if json.Unmarshal(data, &k) != nil || k.Target == "" || identity(ctx, dst, &p.opts.Access) != k.Target {
		return nil
	}
	return &Result{Target: dst, Digest: k.Digest, Platforms: k.Platforms, Dropped: k.Dropped, Unchanged: true}
}

// remember keeps an outcome; one that cannot be kept costs the next run some time.
func (p *patcher) remember(ctx context.Context, file string, r *Result) {
	if file == "" {
		return
	}
	k := known{Digest: r.Digest, Platforms: r.Platforms, Dropped: r.Dropped, Target: r.Digest}
	if r.Target.Transport != Registry {
		k.Target = identity(ctx, r.Target, &p.opts.Access)
	}
	data, err := json.Marshal(k)
	if err == nil {
		err = writeCache(file, data)
	}
	if err != nil {
		p.opts.Logf("not remembering the outcome: %v", err)
	}
}

// identity asks what is at ref, cheaply: a registry's manifest digest, an engine's image ID. It is "" if nothing is there,
// or nothing that can be asked.
func identity(ctx context.Context, ref Ref, access *Access) string {
	switch ref.Transport {
	case Registry:
		r, err := access.parse(ref.Name)
		if err != nil {
			return ""
		}
		d, err := remote.Head(r, access.options(ctx)...)
		if err != nil {
			return ""
		}
		return d.Digest.String()
	case DockerDaemon:
		c, err := access.Engine.connect(ctx)
		if err != nil {
			return ""
		}
		defer c.Close()
		found, err := c.ImageInspect(ctx, ref.Name)
		if err != nil {
			return ""
		}
		return found.ID
	}
	return ""
}
