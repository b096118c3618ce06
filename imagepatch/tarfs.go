package imagepatch

import (
	"archive/tar"
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

// A tarFS gives random access to the regular files of an uncompressed tar file, whose content stays on disk.
// It implements fs.FS by the names the archive has; directories and links are left out.
type tarFS struct {
	file  *os.File
	files map[string]tarMember
}

type tarMember struct {
	name         string
	offset, size int64
	link         string // another member that holds the content: docker save links equal layers
}

// openTar indexes the tar file at path. A compressed one is decompressed into a temporary file first.
func openTar(path string) (*tarFS, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	plain, err := decompressed(f)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	t := &tarFS{file: plain, files: map[string]tarMember{}}
	if err := t.index(); err != nil {
		t.Close()
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	return t, nil
}

// decompressed returns f itself at its start, or a temporary, already unlinked file with its decompressed content.
func decompressed(f *os.File) (*os.File, error) {
	magic, _ := bufio.NewReader(f).Peek(4)
	if _, err := f.Seek(0, io.SeekStart); err != nil || compression(magic) == plain {
		return f, err
	}
	defer f.Close()
	r, err := decompress(f)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return spool(r)
}

// spool copies r to a temporary file that has no name any more.
func spool(r io.Reader) (*os.File, error) {
	tmp, err := os.CreateTemp("", "covify-")
	if err != nil {
		return nil, err
	}
	os.Remove(tmp.Name())
	if _, err := io.Copy(tmp, r); err != nil {
		tmp.Close()
		return nil, err
	}
	_, err = tmp.Seek(0, io.SeekStart)
	return tmp, err
}

func (t *tarFS) index() error {
	tr := tar.NewReader(t.file)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		offset, err := t.file.Seek(0, io.SeekCurrent)
		if err != nil {
			return err
		}
		name := cleanName(h.Name)
		switch h.Typeflag {
		case tar.TypeReg:
			t.files[name] = tarMember{name: name, offset: offset, size: h.Size}
		case tar.TypeSymlink:
			t.files[name] = tarMember{name: name, link: cleanName(name + "/../" + h.Linkname)}
		case tar.TypeLink:
			t.files[name] = tarMember{name: name, link: cleanName(h.Linkname)}
		}
	}
}

// Close releases the file.
func (t *tarFS) Close() error { return t.file.Close() }

// Open implements fs.FS.
func (t *tarFS) Open(name string) (fs.File, error) {
	m, ok := t.files[name]
	for range 8 {
		if ok && m.link != "" {
			m, ok = t.files[m.link]
		}
	}
	if !ok || m.link != "" {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &tarFile{io.NewSectionReader(t.file, m.offset, m.size), m}, nil
}

type tarFile struct {
	*io.SectionReader
	member tarMember
}

func (f *tarFile) Close() error               { return nil }
func (f *tarFile) Stat() (fs.FileInfo, error) { return f.member, nil }

// The member is its own fs.FileInfo.
func (m tarMember) Name() string       { return m.name }
func (m tarMember) Size() int64        { return m.size }
func (m tarMember) Mode() fs.FileMode  { return 0o444 }
func (m tarMember) ModTime() time.Time { return time.Time{} }
func (m tarMember) IsDir() bool        { return false }
func (m tarMember) Sys() any           { return nil }
