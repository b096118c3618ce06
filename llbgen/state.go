// Package llbgen renders a plan.Plan as LLB, BuildKit's build graph, over the state of a finished build. It decides nothing.
package llbgen

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"slices"

	"github.com/covify/covify/plan"
	"github.com/covify/covify/wheel/blobs"
	"github.com/moby/buildkit/client/llb"
)

// Options are how to render. The zero value works with every BuildKit.
type Options struct {
	Merge bool // the daemon has MergeOp: layers are made once for every base, else copied over each

	// Blobs is a filesystem that holds the contents of the payload layers, at BlobPath. Without it they travel in the definition,
	// which is limited to 16 MiB.
	Blobs *llb.State
}

// BlobPath is where Options.Blobs holds a content.
func BlobPath(content []byte) string {
	return "/" + blobs.Path(fmt.Sprintf("%x", sha256.Sum256(content)))
}

// State returns base with the layers of p over it.
func State(base llb.State, p *plan.Plan, opts Options) llb.State {
	for i, l := range p.Layers {
		if i >= len(p.PayloadLayers()) {
			opts.Blobs = nil
		}
		files, name := layer(l, opts), llb.WithCustomName("[covify] "+l.Name)
		if opts.Merge {
			base = llb.Merge([]llb.State{base, llb.Scratch().File(files, llb.WithCustomName("[covify] layer "+l.Name))}, name)
		} else {
			base = base.File(files, name)
		}
	}
	return base
}

// layer lays the files of l over a filesystem. They are made below a directory of their own, and copied as a whole: making a file
// leaves the time of its making on the directory above it.
func layer(l plan.Layer, opts Options) *llb.FileAction {
	whole, created := wholeName(l), plan.Epoch
	stage := llb.Scratch().File(llb.Mkdir(whole, 0o755).Mkdir(empty, 0o755), llb.WithCustomName("[covify] files of "+l.Name))
	for chain := range slices.Chunk(l.Files, opts.chainLength(len(l.Files))) {
		actions := llb.Mkdir("/", 0o755, llb.WithParents(true))
		for _, f := range chain {
			actions = create(actions, whole, f, stage, opts.Blobs)
		}
		stage = stage.File(actions, llb.WithCustomName("[covify] files of "+l.Name))
	}
	return llb.Copy(stage, whole, "/", &llb.CopyInfo{CopyDirContentsOnly: true, CreatedTime: &created})
}

// chainLength is how many actions one operation has, of all. Docker 20.10's BuildKit, which has no MergeOp, starts them all at once,
// and when they wait for the same input some give up ("flightcontrol: exceeded retry timeout").
func (o Options) chainLength(all int) int {
	if o.Merge {
		return max(1, all)
	}
	return 12
}

// wholeName is a directory's name that tells modes and owners of a layer: to the cache of Docker 20.10's BuildKit, copies of
// directories that differ in these alone are the same.
func wholeName(l plan.Layer) string {
	h := sha256.New()
	for _, f := range l.Files {
		fmt.Fprintln(h, f.Path, f.Mode, f.UID, f.GID)
	}
	return fmt.Sprintf("/%x", h.Sum(nil))
}

// empty is a directory of layer's stage. A copy of it can have any mode, which mkdir masks.
const empty = "/.empty"

// create makes one directory or file below whole, its content from contents if there are any.
func create(a *llb.FileAction, whole string, f plan.File, stage llb.State, contents *llb.State) *llb.FileAction {
	to, owner := whole+f.Path, llb.WithUIDGID(f.UID, f.GID)
	info := &llb.CopyInfo{
		ChownOpt: &llb.ChownOpt{User: &llb.UserOpt{UID: f.UID}, Group: &llb.UserOpt{UID: f.GID}},
		Mode:     &llb.ChmodOpt{Mode: unix(f.Mode)},
	}
	switch masked := unix(f.Mode)&^0o755 != 0; {
	case f.Mode.IsDir() && masked:
		return a.Copy(stage, empty, to, info)
	case f.Mode.IsDir():
		return a.Mkdir(to, f.Mode.Perm(), owner)
	case contents != nil:
		return a.Copy(*contents, BlobPath(f.Data), to, info)
	}
	return a.Mkfile(to, f.Mode.Perm(), f.Data, owner)
}

// unix returns the mode as chmod(2) takes it.
func unix(m fs.FileMode) fs.FileMode {
	mode := m.Perm()
	for bit, value := range map[fs.FileMode]fs.FileMode{fs.ModeSetuid: 0o4000, fs.ModeSetgid: 0o2000, fs.ModeSticky: 0o1000} {
		if m&bit != 0 {
			mode |= value
		}
	}
	return mode
}
