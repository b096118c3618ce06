package frontend

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/covify/covify/plan"
	"github.com/moby/buildkit/frontend/gateway/client"
	fstypes "github.com/tonistiigi/fsutil/types"
)

// refFS is the root filesystem of a build result. It implements fs.ReadLinkFS and follows no links: a directory is asked for
// once, as StatFile would follow links and every call is a round trip to the daemon.
type refFS struct {
	ctx  context.Context
	ref  client.Reference
	dirs map[string][]*fstypes.Stat // what was listed, by fs path
}

var (
	_ fs.ReadLinkFS = (*refFS)(nil)
	_ fs.ReadDirFS  = (*refFS)(nil)
	_ fs.ReadFileFS = (*refFS)(nil)
	_ plan.Owner    = stat{}
)

func newRefFS(ctx context.Context, ref client.Reference) *refFS {
	return &refFS{ctx, ref, map[string][]*fstypes.Stat{}}
}

// list returns the entries of a directory, which must be one, sorted by name.
func (r *refFS) list(dir string) ([]*fstypes.Stat, error) {
	if found, ok := r.dirs[dir]; ok {
		return found, nil
	}
	found, err := r.ref.ReadDir(r.ctx, client.ReadDirRequest{Path: "/" + dir})
	if err != nil {
		return nil, &fs.PathError{Op: "readdir", Path: dir, Err: err}
	}
	slices.SortFunc(found, func(a, b *fstypes.Stat) int { return strings.Compare(path.Base(a.Path), path.Base(b.Path)) })
	r.dirs[dir] = found
	return found, nil
}

func (r *refFS) find(op, name string) (stat, error) {
	if !fs.ValidPath(name) {
		return stat{}, &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	if name == "." {
		return stat{name, &fstypes.Stat{Mode: uint32(fs.ModeDir | 0o755)}}, nil
	}
	entries, err := r.list(path.Dir(name))
	if err != nil {
		return stat{}, err
	}
	for _, e := range entries {
		if path.Base(e.Path) == path.Base(name) {
			return stat{path.Base(name), e}, nil
		}
	}
	return stat{}, &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
}

// Lstat implements fs.ReadLinkFS.
func (r *refFS) Lstat(name string) (fs.FileInfo, error) {
	s, err := r.find("lstat", name)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// ReadLink implements fs.ReadLinkFS.
func (r *refFS) ReadLink(name string) (string, error) {
	s, err := r.find("readlink", name)
	if err == nil && s.Mode()&fs.ModeSymlink == 0 {
		err = &fs.PathError{Op: "readlink", Path: name, Err: fs.ErrInvalid}
	}
	if err != nil {
		return "", err
	}
	return s.s.Linkname, nil
}

// ReadDir implements fs.ReadDirFS.
func (r *refFS) ReadDir(name string) ([]fs.DirEntry, error) {
	found, err := r.list(name)
	if err != nil {
		return nil, err
	}
	entries := make([]fs.DirEntry, len(found))
	for i, s := range found {
		entries[i] = fs.FileInfoToDirEntry(stat{path.Base(s.Path), s})
	}
	return entries, nil
}

// ReadFile implements fs.ReadFileFS: as much of the file as plan.Wants says.
func (r *refFS) ReadFile(name string) ([]byte, error) {
	want := plan.Wants("/" + name)
	if want == 0 {
		return nil, &fs.PathError{Op: "read", Path: name, Err: errors.New("no plan asks for it")}
	}
	return r.read(name, &client.FileRange{Length: want})
}

func (r *refFS) read(name string, part *client.FileRange) ([]byte, error) {
	data, err := r.ref.ReadFile(r.ctx, client.ReadRequest{Filename: "/" + name, Range: part})
	if err != nil {
		return nil, &fs.PathError{Op: "read", Path: name, Err: err}
	}
	return data, nil
}

// Open implements fs.FS for regular files.
func (r *refFS) Open(name string) (fs.File, error) {
	s, err := r.find("open", name)
	if err != nil {
		return nil, err
	}
	data, err := r.ReadFile(name)
	if err != nil {
		return nil, err
	}
	return &file{s, bytes.NewReader(data)}, nil
}

type file struct {
	stat stat
	io.Reader
}

func (f *file) Stat() (fs.FileInfo, error) { return f.stat, nil }
func (f *file) Close() error               { return nil }

// stat is an fs.FileInfo whose Sys tells the owner.
type stat struct {
	name string
	s    *fstypes.Stat
}

func (s stat) Name() string          { return s.name }
func (s stat) Size() int64           { return s.s.Size }
func (s stat) Mode() fs.FileMode     { return fs.FileMode(s.s.Mode) }
func (s stat) ModTime() time.Time    { return time.Unix(0, s.s.ModTime) }
func (s stat) IsDir() bool           { return s.Mode().IsDir() }
func (s stat) Sys() any              { return s }
func (s stat) Owner() (uid, gid int) { return int(s.s.Uid), int(s.s.Gid) }
