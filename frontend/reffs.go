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
	"sync"
	"time"

	"github.com/covify/covify/plan"
	"github.com/moby/buildkit/frontend/gateway/client"
	fstypes "github.com/tonistiigi/fsutil/types"
)

// refFS is the root filesystem of a build result. It implements fs.ReadLinkFS and follows no links: a directory is asked for
// once, as StatFile would follow links and every call is a round trip to the daemon, which mounts the filesystem for it. Once a
// directory is listed, those below it are asked for, several at a time: a search for interpreters wants them all.
type refFS struct {
	ctx  context.Context
	ref  client.Reference
	busy chan struct{} // holds a token for every call under way

	mu   sync.Mutex
	dirs map[string]*listing // what was asked for, by fs path
}

// listing is a directory's entries, sorted by name, once done is closed.
type listing struct {
	done    chan struct{}
	entries []*fstypes.Stat
	err     error
}

// callsAtATime keep a daemon busy: of 850 directories, one at a time takes half as long again.
const callsAtATime = 8

var (
	_ fs.ReadLinkFS = (*refFS)(nil)
	_ fs.ReadDirFS  = (*refFS)(nil)
	_ fs.ReadFileFS = (*refFS)(nil)
	_ plan.Owner    = stat{}
)

func newRefFS(ctx context.Context, ref client.Reference) *refFS {
	return &refFS{ctx: ctx, ref: ref, busy: make(chan struct{}, callsAtATime), dirs: map[string]*listing{}}
}

// list returns the entries of a directory, which must be one.
func (r *refFS) list(dir string) ([]*fstypes.Stat, error) {
	l := r.start(dir)
	<-l.done
	return l.entries, l.err
}

// start asks for a directory, if nobody has.
func (r *refFS) start(dir string) *listing {
	r.mu.Lock()
	defer r.mu.Unlock()
	l, ok := r.dirs[dir]
	if !ok {
		l = &listing{done: make(chan struct{})}
		r.dirs[dir] = l
		go r.fetch(dir, l)
	}
	return l
}

func (r *refFS) fetch(dir string, l *listing) {
	defer close(l.done)
	r.busy <- struct{}{}
	found, err := r.ref.ReadDir(r.ctx, client.ReadDirRequest{Path: "/" + dir})
	<-r.busy
	if err != nil {
		l.err = &fs.PathError{Op: "readdir", Path: dir, Err: err}
		return
	}
	slices.SortFunc(found, func(a, b *fstypes.Stat) int { return strings.Compare(path.Base(a.Path), path.Base(b.Path)) })
	l.entries = found
	for _, e := range found {
		below := path.Join(dir, path.Base(e.Path))
		if fs.FileMode(e.Mode).IsDir() && plan.Searches("/"+below) {
			r.start(below)
		}
	}
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
