// Package llbgen renders a plan.Plan as LLB, BuildKit's build graph, over the state of a finished build. It decides nothing.
package llbgen

import (
	"io/fs"
	"path"

	"github.com/covify/covify/plan"
	"github.com/moby/buildkit/client/llb"
)

// Options are how to render. The zero value works with every BuildKit.
type Options struct {
	Merge bool // the daemon has MergeOp: layers are made once for every base, else copied over each
}

// State returns base with the layers of p over it.
func State(base llb.State, p *plan.Plan, opts Options) llb.State {
	for _, l := range p.Layers {
		files := layer(l)
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
// copying them again sets both.
func layer(l plan.Layer) llb.State {
	stage := llb.Scratch()
	var made *llb.FileAction
	for _, f := range l.Files {
		made = create(made, f)
	}
	stage = stage.File(made, llb.WithCustomName("[covify] files of "+l.Name))
	var copied *llb.FileAction
	for _, f := range l.Files {
		copied = place(copied, stage, f)
	}
	return llb.Scratch().File(copied, llb.WithCustomName("[covify] layer "+l.Name))
}

func create(a *llb.FileAction, f plan.File) *llb.FileAction {
	if f.Mode.IsDir() {
		return mkdir(a, f)
	}
	opts := []llb.MkfileOption{llb.WithUIDGID(f.UID, f.GID), llb.WithCreatedTime(plan.Epoch)}
	if a == nil {
		return llb.Mkfile(f.Path, f.Mode.Perm(), f.Data, opts...)
	}
	return a.Mkfile(f.Path, f.Mode.Perm(), f.Data, opts...)
}

func mkdir(a *llb.FileAction, f plan.File) *llb.FileAction {
	opts := []llb.MkdirOption{llb.WithUIDGID(f.UID, f.GID), llb.WithCreatedTime(plan.Epoch)}
	if a == nil {
		return llb.Mkdir(f.Path, f.Mode.Perm(), opts...)
	}
	return a.Mkdir(f.Path, f.Mode.Perm(), opts...)
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
