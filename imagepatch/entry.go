package imagepatch

import (
	"archive/tar"
	"errors"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/covify/covify/plan"
)

// kind is what a layer's entry does.
type kind byte

const (
	kindFile     kind = 'f'
	kindDir      kind = 'd'
	kindLink     kind = 'l' // symbolic
	kindHardLink kind = 'h'
	kindOther    kind = 'o' // device, FIFO
	kindWhiteout kind = 'w' // removes Path from the layers below
	kindOpaque   kind = 'q' // removes what the layers below have in Path
)

// entry is what is kept of one tar header of a layer. Modes and owners are kept where a plan can ask for them.
type entry struct {
	Path string `json:"p"` // as fs.ValidPath
	Kind kind   `json:"k"`
	Mode int64  `json:"m,omitempty"` // as in tar: permissions, set-id and sticky bits
	UID  int    `json:"u,omitempty"`
	GID  int    `json:"g,omitempty"`
	Link string `json:"l,omitempty"` // target of a link
	Data []byte `json:"d,omitempty"` // as much of the content as plan.Wants says
}

func (e entry) fileMode() fs.FileMode {
	mode := (&tar.Header{Mode: e.Mode, Typeflag: tar.TypeReg}).FileInfo().Mode()
	switch e.Kind {
	case kindDir:
		mode |= fs.ModeDir
	case kindLink:
		mode |= fs.ModeSymlink
	case kindOther:
		mode |= fs.ModeIrregular
	}
	return mode
}

const (
	whiteoutPrefix = ".wh."
	opaqueMarker   = ".wh..wh..opq"
)

// readEntries reads an uncompressed layer to its end.
func readEntries(r io.Reader) ([]entry, error) {
	entries := []entry{}
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return entries, nil
		}
		if err != nil {
			return nil, err
		}
		e, ok := newEntry(h)
		if !ok {
			continue
		}
		if want := plan.Wants("/" + e.Path); want > 0 && e.Kind == kindFile {
			if e.Data, err = io.ReadAll(io.LimitReader(tr, int64(want))); err != nil {
				return nil, err
			}
		}
		entries = append(entries, e)
	}
}

// newEntry keeps what matters of h; ok is false for headers that name no file below the root.
func newEntry(h *tar.Header) (e entry, ok bool) {
	name := cleanName(h.Name)
	base := path.Base(name)
	e = entry{Path: name, Mode: h.Mode & 0o7777, UID: h.Uid, GID: h.Gid}
	switch {
	case base == opaqueMarker:
		return entry{Path: path.Dir(name), Kind: kindOpaque}, true
	case strings.Contains("/"+name, "/"+whiteoutPrefix+whiteoutPrefix):
		return entry{}, false // AUFS bookkeeping
	case strings.HasPrefix(base, whiteoutPrefix):
		return entry{Path: path.Join(path.Dir(name), strings.TrimPrefix(base, whiteoutPrefix)), Kind: kindWhiteout}, true
	}
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeGNUSparse:
		e.Kind = kindFile
	case tar.TypeDir:
		e.Kind = kindDir
	case tar.TypeSymlink:
		e.Kind, e.Link = kindLink, h.Linkname
	case tar.TypeLink:
		e.Kind, e.Link = kindHardLink, cleanName(h.Linkname)
	case tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
		e.Kind = kindOther
	default:
		return entry{}, false
	}
	if e.Kind == kindFile && plan.Wants("/"+name) == 0 {
		e.Mode, e.UID, e.GID = 0, 0, 0 // nobody asks; the cache is a third smaller
	}
	return e, true
}

// cleanName makes a tar member's name relative to the root, wherever its dots lead.
func cleanName(name string) string {
	if name = strings.TrimPrefix(path.Clean("/"+name), "/"); name != "" {
		return name
	}
	return "."
}
