package plan

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/covify/covify/wheel"
)

const (
	newDir  = fs.ModeDir | 0o755
	openDir = fs.ModeDir | 0o777
)

// A builder makes the layers of a Plan over a base.
type builder struct {
	*tree
	err error // the first path that cannot be written
}

func (b *builder) payloadLayer(p *wheel.Payload) Layer {
	s := b.stage()
	for _, f := range p.Files {
		s.file(inPayload(p.Name, f.Path), f.Mode.Perm(), f.Data)
	}
	s.file(inPayload(p.Name, startModule+".py"), 0o644, Startup())
	return Layer{Name: p.Name, Files: s.sorted()}
}

// hookLayer holds what differs from image to image: the hooks, the default settings and the data directory.
func (b *builder) hookLayer(p *Plan, source Source, opts Options, compiled map[string][]byte) Layer {
	s := b.stage()
	for name, data := range compiled {
		s.file(name, 0o644, data)
	}
	for _, i := range p.Installs {
		s.file(path.Join(i.Path, hookStem+".pth"), 0o644, pthFile(i.Payload))
		s.file(path.Join(i.Path, hookStem+".start"), 0o644, startFile())
	}
	s.file(ConfigPath, 0o644, defaultConfig(p.Versions()[0], source))
	s.dir(opts.DataDir, openDir)
	return Layer{Name: "hook", Files: s.sorted()}
}

// A stage collects the files of one layer by their real paths, together with the directories above them.
type stage struct {
	*builder
	files map[string]File
}

func (b *builder) stage() *stage { return &stage{b, map[string]File{}} }

// file adds a regular file owned by root. A link at p itself would be replaced, not followed.
func (s *stage) file(p string, perm fs.FileMode, data []byte) {
	dir, err := s.place(path.Dir(p))
	if err != nil {
		s.fail(err)
		return
	}
	real := path.Join(dir, path.Base(p))
	s.parents(real)
	s.files[real] = File{Path: real, Mode: perm, Data: data}
}

// dir adds a directory with the given mode; one that the base has keeps its owner.
func (s *stage) dir(p string, mode fs.FileMode) {
	real, err := s.place(p)
	if err != nil {
		s.fail(err)
		return
	}
	s.parents(path.Join(real, "x"))
	f := s.files[real]
	f.Mode = mode
	s.files[real] = f
}

// parents adds the directories above a real path, as the base has them: a layer that only names a file would have the
// directories above it made anew by some unpackers, with modes of their own.
func (s *stage) parents(real string) {
	for dir := path.Dir(real); dir != "/"; dir = path.Dir(dir) {
		if _, ok := s.files[dir]; ok {
			return
		}
		f := File{Path: dir, Mode: newDir}
		if info := s.lstatDir(dir); info != nil {
			if !info.IsDir() {
				s.fail(fmt.Errorf("%s is in the way: it is not a directory", dir))
				return
			}
			f.Mode = info.Mode()
			f.UID, f.GID = owner(info)
		}
		s.files[dir] = f
	}
}

// lstatDir describes dir, nil if it or a directory above it does not exist.
func (b *builder) lstatDir(dir string) fs.FileInfo {
	real, err := b.resolve(dir)
	if err != nil || real != dir {
		return nil
	}
	return b.lstat(dir).info
}

func (b *builder) fail(err error) {
	if b.err == nil {
		b.err = fmt.Errorf("placing covify's files: %w", err)
	}
}

func (s *stage) sorted() []File {
	files := make([]File, 0, len(s.files))
	for _, f := range s.files {
		files = append(files, f)
	}
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return files
}

// History is the entry of a layer in an image's history (OCI image-spec, config.md), but for its time.
type History struct {
	Comment   string `json:"comment"`
	CreatedBy string `json:"created_by"`
}

// HistoryComment tells the entries of covify's layers from others.
const HistoryComment = "covify"

// History returns the layer's entry.
func (l Layer) History() History { return History{HistoryComment, "covify " + l.Name} }

// IsPayload tells whether an absolute path is below PayloadRoot.
func IsPayload(p string) bool { return strings.HasPrefix(p, PayloadRoot+"/") }

// IsOwn tells whether a file of a variant may be covify's, by its absolute path: one of a payload, a hook, or the compiled codec
// that site reads hooks with.
func IsOwn(p string) bool {
	switch dir, name := path.Split(p); {
	case p == PayloadRoot, IsPayload(p), name == hookStem+".pth", name == hookStem+".start":
		return true
	default:
		return strings.HasSuffix(dir, "/encodings/__pycache__/") && strings.HasPrefix(name, "utf_8_sig.")
	}
}
