package plan

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// maxHops is how many symbolic links one path may pass through, as Linux has it (path_resolution(7)).
const maxHops = 40

var errLinks = errors.New("too many levels of symbolic links")

// A tree reads a root filesystem by absolute paths. Links are resolved inside the root, component by component, since
// fs.FS implementations differ in what they follow, and none knows where the root is.
type tree struct {
	fsys fs.FS
	seen map[string]node // what lstat and readlink said, by path
	err  error           // the first error that was not fs.ErrNotExist
}

type node struct {
	info   fs.FileInfo // nil if nothing is there
	target string      // of a symbolic link
}

func newTree(root fs.FS) *tree { return &tree{fsys: root, seen: map[string]node{}} }

// Owner is what the Sys value of a file's FileInfo implements when the filesystem knows who owns the file.
type Owner interface {
	Owner() (uid, gid int)
}

func rel(p string) string {
	if p = strings.TrimPrefix(path.Clean("/"+p), "/"); p != "" {
		return p
	}
	return "."
}

// lstat describes what is at p, whose directory holds no links; its info is nil if nothing is there.
func (t *tree) lstat(p string) node {
	if n, ok := t.seen[p]; ok {
		return n
	}
	var n node
	info, err := fs.Lstat(t.fsys, rel(p))
	if err == nil {
		n.info = info
		if info.Mode()&fs.ModeSymlink != 0 {
			n.target, err = fs.ReadLink(t.fsys, rel(p))
		}
	}
	t.note(err)
	t.seen[p] = n
	return n
}

// note keeps the first error that is not a file's absence: a tree that cannot be read must not look like an empty one.
func (t *tree) note(err error) {
	if err != nil && t.err == nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errLinks) {
		t.err = err
	}
}

// resolve returns the path of p without links; the last component is resolved too. It fails with an error that is
// fs.ErrNotExist if nothing is there, and with another one after maxHops links.
func (t *tree) resolve(p string) (string, error) {
	real, rest, err := t.walk(p)
	if err == nil && rest != "" {
		err = fmt.Errorf("%s: %w", path.Join(real, rest), fs.ErrNotExist)
	}
	return real, err
}

// Resolve returns the path without links of what an absolute path names in a root filesystem. The error is fs.ErrNotExist if nothing
// is there.
func Resolve(root fs.FS, p string) (string, error) { return newTree(root).resolve(p) }

// place resolves as much of p as exists and keeps the rest as it is: where a new file at p would really be. A dangling
// link on the way is an error, since nothing can be created through it.
func (t *tree) place(p string) (string, error) {
	real, rest, err := t.walk(p)
	if err != nil {
		return "", err
	}
	if n := t.lstat(real); n.info != nil && !n.info.IsDir() && rest != "" {
		return "", fmt.Errorf("%s is not a directory", real)
	}
	return path.Join(real, rest), nil
}

// walk follows p to the last component that exists; rest is what remains, empty if all of it does.
func (t *tree) walk(p string) (real, rest string, err error) {
	real = "/"
	if t.lstat(real).info == nil {
		return "", "", fmt.Errorf("reading the root directory: %w", t.err)
	}
	todo := strings.Split(p, "/")
	for hops := 0; len(todo) > 0; {
		name := todo[0]
		todo = todo[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			real = path.Dir(real)
			continue
		}
		here := path.Join(real, name)
		n := node{}
		if t.lstat(real).info.IsDir() {
			n = t.lstat(here)
		}
		if n.info == nil {
			return real, path.Join(append([]string{name}, todo...)...), nil
		}
		if n.info.Mode()&fs.ModeSymlink == 0 {
			real = here
			continue
		}
		if hops++; hops > maxHops {
			return "", "", fmt.Errorf("resolving %s: %w", p, errLinks)
		}
		if path.IsAbs(n.target) {
			real = "/"
		}
		todo = append(strings.Split(n.target, "/"), todo...)
	}
	return real, "", nil
}

// stat describes what is at p after links, nil if nothing is.
func (t *tree) stat(p string) fs.FileInfo {
	r, err := t.resolve(p)
	if err != nil {
		t.note(err)
		return nil
	}
	return t.lstat(r).info
}

func (t *tree) exists(p string) bool { return t.stat(p) != nil }

func (t *tree) isDir(p string) bool {
	info := t.stat(p)
	return info != nil && info.IsDir()
}

// read returns the content of the file at p, links followed, and nil if it is not there.
func (t *tree) read(p string) []byte {
	r, err := t.resolve(p)
	if err != nil {
		t.note(err)
		return nil
	}
	data, err := fs.ReadFile(t.fsys, rel(r))
	t.note(err)
	return data
}

// list returns the entries of the directory at p sorted by name, none if there is no such directory.
func (t *tree) list(p string) []fs.DirEntry {
	r, err := t.resolve(p)
	if err != nil {
		t.note(err)
		return nil
	}
	if n := t.lstat(r); n.info == nil || !n.info.IsDir() {
		return nil
	}
	entries, err := fs.ReadDir(t.fsys, rel(r))
	t.note(err)
	return entries
}

func owner(info fs.FileInfo) (uid, gid int) {
	if o, ok := info.Sys().(Owner); ok {
		return o.Owner()
	}
	return 0, 0
}
