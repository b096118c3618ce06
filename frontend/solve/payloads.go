package solve

import (
	"context"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/covify/covify/llbgen"
	"github.com/covify/covify/plan"
	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/frontend/gateway/client"
	"github.com/moby/buildkit/solver/pb"
	"github.com/moby/buildkit/util/staticfs"
	"github.com/tonistiigi/fsutil"
	"github.com/tonistiigi/fsutil/types"
)

// payloadMount is the local mount by which BuildKit asks for the content of payloads.
const payloadMount = "covify-payloads"

// payloads offers file contents to BuildKit from memory, by their digests: definitions name them only, so they stay small, and
// what a BuildKit has had before is not sent again.
type payloads struct {
	mu       sync.Mutex
	contents map[string][]byte // by path, without the leading slash
}

var _ fsutil.FS = (*payloads)(nil)

// blobs is frontend.Frontend's Blobs. Old BuildKits give up on a hundred files copied from one mount ("flightcontrol: exceeded retry
// timeout"): those without MergeOp take the contents in the definition, which is as fast.
func (p *payloads) blobs(_ context.Context, c client.Client, made *plan.Plan) (*llb.State, error) {
	caps := c.BuildOpts().LLBCaps
	if len(made.PayloadLayers()) == 0 || caps.Supports(pb.CapMergeOp) != nil {
		return nil, nil
	}
	contents := map[string][]byte{}
	for _, l := range made.PayloadLayers() {
		for _, f := range l.Files {
			if f.Mode.IsRegular() {
				contents[strings.TrimPrefix(llbgen.BlobPath(f.Data), "/")] = f.Data
			}
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.contents == nil {
		p.contents = map[string][]byte{}
	}
	maps.Copy(p.contents, contents)
	// The names tell this mount from another plan's: BuildKit asks once for mounts that look the same.
	names := slices.Sorted(maps.Keys(contents))
	state := llb.Local(payloadMount, llb.IncludePatterns(names), llb.SharedKeyHint(payloadMount), llb.WithCustomName("[covify] send coverage"))
	return &state, nil
}

func (p *payloads) static() *staticfs.FS {
	p.mu.Lock()
	defer p.mu.Unlock()
	content := staticfs.NewFS()
	for _, dir := range []string{"blobs", "blobs/sha256"} {
		content.Add(dir, &types.Stat{Mode: uint32(fs.ModeDir | 0o755), ModTime: plan.Epoch.UnixNano()}, nil)
	}
	for name, data := range p.contents {
		content.Add(name, &types.Stat{Mode: 0o644, ModTime: plan.Epoch.UnixNano()}, data)
	}
	return content
}

// Walk implements fsutil.FS.
func (p *payloads) Walk(ctx context.Context, target string, fn fs.WalkDirFunc) error {
	return p.static().Walk(ctx, target, fn)
}

// Open implements fsutil.FS.
func (p *payloads) Open(name string) (io.ReadCloser, error) { return p.static().Open(name) }
