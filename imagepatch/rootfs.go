package imagepatch

import (
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/covify/covify/plan"
)

// A rootFS is what a stack of layers makes of a root filesystem: every name, and the content of the few files that a plan
// asks for. It implements fs.ReadLinkFS and follows no links.
type rootFS struct{ root *inode }

var (
	_ fs.ReadLinkFS = rootFS{}
	_ fs.ReadDirFS  = rootFS{}
	_ fs.ReadFileFS = rootFS{}
	_ plan.Owner    = (*inode)(nil)
)

// inode is a file, directory or link. As fs.FileInfo's Sys it tells the owner.
type inode struct {
	entry    entry
	children map[string]*inode // of a directory
}

// Owner implements plan.Owner.
func (n *inode) Owner() (uid, gid int) { return n.entry.UID, n.entry.GID }

func newRootFS() rootFS { return rootFS{newDirectory()} }

// newDirectory is what unpackers make of a directory that no layer describes.
func newDirectory() *inode {
	return &inode{entry: entry{Kind: kindDir, Mode: 0o755}, children: map[string]*inode{}}
}

// apply lays a layer over what is there (OCI image-spec, layer.md): whiteouts first, since they speak of the layers below only.
func (r rootFS) apply(layer []entry) {
	for _, e := range layer {
		switch e.Kind {
		case kindWhiteout:
			r.remove(e.Path)
		case kindOpaque:
			if n := r.lookup(e.Path); n != nil && n.children != nil {
				clear(n.children)
			}
		}
	}
	var early []entry // hard links that come before what they lead to
	for _, e := range layer {
		switch e.Kind {
		case kindWhiteout, kindOpaque:
		case kindHardLink:
			if !r.link(e) {
				early = append(early, e)
			}
		default:
			r.put(e)
		}
	}
	for _, e := range early {
		r.link(e)
	}
}

// link makes e another name of what its target is now; it reports whether there is such a file.
func (r rootFS) link(e entry) bool {
	n := r.lookup(e.Link)
	if n == nil || n.children != nil {
		return false
	}
	linked := n.entry
	linked.Path = e.Path
	r.put(linked)
	return true
}

func (r rootFS) put(e entry) {
	if e.Path == "." {
		r.root.entry = e
		return
	}
	dir := r.root
	for name := range strings.SplitSeq(path.Dir(e.Path), "/") {
		if name == "." {
			continue
		}
		next := dir.children[name]
		if next == nil || next.children == nil {
			next = newDirectory()
			dir.children[name] = next
		}
		dir = next
	}
	n := &inode{entry: e}
	if e.Kind == kindDir {
		n.children = map[string]*inode{}
		if old := dir.children[path.Base(e.Path)]; old != nil && old.children != nil {
			n.children = old.children
		}
	}
	dir.children[path.Base(e.Path)] = n
}

func (r rootFS) remove(p string) {
	if dir := r.lookup(path.Dir(p)); dir != nil {
		delete(dir.children, path.Base(p))
	}
}

// lookup finds a node by its path, nil if there is none.
func (r rootFS) lookup(p string) *inode {
	n := r.root
	if p == "." {
		return n
	}
	for name := range strings.SplitSeq(p, "/") {
		if n = n.children[name]; n == nil {
			return nil
		}
	}
	return n
}

func (r rootFS) find(op, name string) (*inode, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	if n := r.lookup(name); n != nil {
		return n, nil
	}
	return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
}

// Lstat implements fs.ReadLinkFS.
func (r rootFS) Lstat(name string) (fs.FileInfo, error) {
	n, err := r.find("lstat", name)
	if err != nil {
		return nil, err
	}
	return fileInfo{path.Base(name), n}, nil
}

// ReadLink implements fs.ReadLinkFS.
func (r rootFS) ReadLink(name string) (string, error) {
	n, err := r.find("readlink", name)
	if err == nil && n.entry.Kind != kindLink {
		err = &fs.PathError{Op: "readlink", Path: name, Err: fs.ErrInvalid}
	}
	if err != nil {
		return "", err
	}
	return n.entry.Link, nil
}

// ReadDir implements fs.ReadDirFS.
func (r rootFS) ReadDir(name string) ([]fs.DirEntry, error) {
	n, err := r.find("readdir", name)
	if err != nil {
		return nil, err
	}
	entries := make([]fs.DirEntry, 0, len(n.children))
	for _, child := range slices.Sorted(maps.Keys(n.children)) {
		entries = append(entries, fs.FileInfoToDirEntry(fileInfo{child, n.children[child]}))
	}
	return entries, nil
}

// ReadFile implements fs.ReadFileFS: the bytes kept of the file, as plan.Wants says.
func (r rootFS) ReadFile(name string) ([]byte, error) {
	n, err := r.find("read", name)
	if err != nil {
		return nil, err
	}
	return n.entry.Data, nil
}

// Open implements fs.FS.
func (r rootFS) Open(name string) (fs.File, error) {
	n, err := r.find("open", name)
	if err != nil {
		return nil, err
	}
	return &openFile{fileInfo{path.Base(name), n}, strings.NewReader(string(n.entry.Data))}, nil
}

type openFile struct {
	info fileInfo
	io.Reader
}

func (f *openFile) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *openFile) Close() error               { return nil }

type fileInfo struct {
	name string
	node *inode
}

func (i fileInfo) Name() string       { return i.name }
func (i fileInfo) Size() int64        { return int64(len(i.node.entry.Data)) }
func (i fileInfo) ModTime() time.Time { return time.Time{} }
func (i fileInfo) IsDir() bool        { return i.node.children != nil }
func (i fileInfo) Sys() any           { return i.node }
func (i fileInfo) Mode() fs.FileMode  { return i.node.entry.fileMode() }
