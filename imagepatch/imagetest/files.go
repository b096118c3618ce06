// Package imagetest makes small images, and a registry to keep them in, for tests.
package imagetest

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"time"
)

// A File is one member of a layer. Its zero Type is a regular file, or a directory if the name ends with a slash.
type File struct {
	Name    string
	Type    byte // as in archive/tar
	Mode    int64
	UID     int
	GID     int
	Link    string
	Content string
}

// Link is a symbolic link.
func Link(name, target string) File { return File{Name: name, Type: tar.TypeSymlink, Link: target} }

// HardLink is another name of a file.
func HardLink(name, target string) File { return File{Name: name, Type: tar.TypeLink, Link: target} }

// Dir is a directory of mode 0755.
func Dir(name string) File { return File{Name: strings.TrimSuffix(name, "/") + "/"} }

// Text is a regular file of mode 0644.
func Text(name, content string) File { return File{Name: name, Content: content} }

// Tar writes an uncompressed layer: the same bytes for the same files.
func Tar(files ...File) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		h := &tar.Header{Name: f.Name, Typeflag: f.Type, Mode: f.Mode, Uid: f.UID, Gid: f.GID, Linkname: f.Link, ModTime: time.Unix(1e9, 0)}
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
			if strings.HasSuffix(f.Name, "/") {
				h.Typeflag = tar.TypeDir
			}
		}
		if h.Mode == 0 {
			h.Mode = map[byte]int64{tar.TypeDir: 0o755, tar.TypeSymlink: 0o777}[h.Typeflag]
		}
		if h.Mode == 0 {
			h.Mode = 0o644
		}
		if h.Typeflag == tar.TypeReg {
			h.Size = int64(len(f.Content))
		}
		must(w.WriteHeader(h))
		_, err := w.Write([]byte(f.Content))
		must(err)
	}
	must(w.Close())
	return b.Bytes()
}

// machines are the values of e_machine (System V ABI) by uname's words.
var machines = map[string]uint16{"x86_64": 62, "aarch64": 183}

// ELF is the head of a dynamically linked executable, as much as covify reads of one.
func ELF(arch string) string {
	loader := map[string]string{"x86_64": "/lib64/ld-linux-x86-64.so.2", "aarch64": "/lib/ld-linux-aarch64.so.1"}[arch]
	le := binary.LittleEndian
	b := make([]byte, 120)
	copy(b, "\x7fELF\x02\x01\x01")
	le.PutUint16(b[18:], machines[arch])
	le.PutUint64(b[32:], 64)                    // program headers
	le.PutUint16(b[56:], 1)                     // one of them
	le.PutUint32(b[64:], 3)                     // PT_INTERP
	le.PutUint64(b[72:], 120)                   // its offset
	le.PutUint64(b[96:], uint64(len(loader)+1)) // its size
	return string(b) + loader + "\x00"
}

// Python is what makes a CPython at /usr/local, as official images have it. version is like "3.13", arch as uname says it.
func Python(version, arch string) []File {
	lib := "usr/local/lib/python" + version
	return []File{
		Dir("usr"), Dir("usr/local"), Dir("usr/local/bin"), Dir("usr/local/lib"), Dir(lib),
		{Name: "usr/local/bin/python" + version, Mode: 0o755, Content: ELF(arch)},
		Link("usr/local/bin/python3", "python"+version),
		Text(lib+"/os.py", "# os"),
		Dir(lib + "/lib-dynload"),
		Dir(lib + "/site-packages"),
	}
}

func must(err error) {
	if err != nil {
		panic(fmt.Sprintf("imagetest: %v", err)) // writing to memory does not fail
	}
}
