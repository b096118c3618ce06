// Package llbgen renders a plan.Plan as LLB, BuildKit's build graph, over the state of a finished build. It decides nothing.
package llbgen

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"path"

	"github.com/covify/covify/plan"
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
func BlobPath(content []byte) string { return fmt.Sprintf("/blobs/sha256/%x", sha256.Sum256(content)) }

// State returns base with the layers of p over it.
func State(base llb.State, p *plan.Plan, opts Options) llb.State {
	for i, l := range p.Layers {
		var blobs *llb.State
		if i < len(p.Layers)-1 { // a payload's, not the hook layer
			blobs = opts.Blobs
		}
		files := layer(l, blobs)
		name := llb.WithCustomName("[covify] " + l.Name)
		if opts.Merge {
			base = llb.Merge([]llb.State{base, files}, name)
		} else {
			base = base.File(llb.Copy(files, "/", "/", &llb.CopyInfo{CopyDirContentsOnly: true}), name)
		}
	}
	return base
}

// layer holds the files of l alone. Making files leaves the time of making on directories, and the modes of mkdir are masked;
// copying them again, each into the directory above it, sets both.
func layer(l plan.Layer, blobs *llb.State) llb.State {
	var made *llb.FileAction
	for _, f := range l.Files {
		made = create(made, f, blobs)
	}
	stage := llb.Scratch().File(made, llb.WithCustomName("[covify] files of "+l.Name))
	var copied *llb.FileAction
	for _, f := range l.Files {
		copied = place(copied, stage, f)
	}
	return llb.Scratch().File(copied, llb.WithCustomName("[covify] layer "+l.Name))
}

// create makes one directory or file with its content, from blobs if there are any.
func create(a *llb.FileAction, f plan.File, blobs *llb.State) *llb.FileAction {
	if a == nil {
		a = llb.Mkdir("/", 0o755, llb.WithParents(true))
	}
	switch {
	case f.Mode.IsDir():
		return a.Mkdir(f.Path, 0o755)
	case blobs != nil:
		return a.Copy(*blobs, BlobPath(f.Data), f.Path)
	}
	return a.Mkfile(f.Path, 0o644, f.Data)
}

// place copies one directory, empty, or file to its place with everything that a Plan says of it.
func place(a *llb.FileAction, stage llb.State, f plan.File) *llb.FileAction {
	created := plan.Epoch
	info := &llb.CopyInfo{
		CreatedTime: &created,
		ChownOpt:    &llb.ChownOpt{User: &llb.UserOpt{UID: f.UID}, Group: &llb.UserOpt{UID: f.GID}},
		Mode:        &llb.ChmodOpt{Mode: unix(f.Mode)},
	}
	if f.Mode.IsDir() {
		info.ExcludePatterns = []string{"*"}
	}
	if a == nil {
		return llb.Copy(stage, f.Path, path.Dir(f.Path)+"/", info)
	}
	return a.Copy(stage, f.Path, path.Dir(f.Path)+"/", info)
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
