package wheel

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
)

// maxUnpacked bounds what a wheel may unpack to; coverage's take about 2 MB.
const maxUnpacked = 256 << 20

// Payload is coverage as it goes into an image: its package, the licence
// texts, and compiled files where they are known.
type Payload struct {
	Name    string // folder name, the same for the same content: "7.17.3-cp313-glibc-x86_64", "7.17.3-py3-none-any-cp313t"
	Version string // coverage's release
	Pure    bool   // without the C tracer
	Files   []PayloadFile
	Stdlib  []PayloadFile // compiled standard library modules, below the library's folder, that a hook has every process import
}

// PayloadFile is a regular file of a payload.
type PayloadFile struct {
	Path string      // below the payload's folder, slash separated
	Mode fs.FileMode // 0644 or 0755
	Data []byte
}

// ChecksumError says that bytes are not those that were promised.
type ChecksumError struct {
	Wheel  string // the wheel's file name
	Member string // the file inside the wheel, "" for the wheel itself
	Want   string // hex, or "" where no sum was given at all
	Got    string
}

func (e *ChecksumError) Error() string {
	what := "wheel " + e.Wheel
	if e.Member != "" {
		what = e.Member + " in " + what
	}
	if e.Want == "" {
		return what + ": no sha256 is known for it"
	}
	return fmt.Sprintf("%s: sha256 is %s, not %s", what, e.Got, e.Want)
}

// InvalidError says that a wheel is not made as PEP 427 wants it.
type InvalidError struct {
	Wheel string
	Err   error
}

func (e *InvalidError) Error() string { return fmt.Sprintf("wheel %s: %v", e.Wheel, e.Err) }

func (e *InvalidError) Unwrap() error { return e.Err }

// Verify compares data with the sum its listing promised. A listing without a
// sum is refused: nothing unverified goes into an image.
func (f File) Verify(data []byte) error {
	sum := sha256.Sum256(data)
	got := hex.EncodeToString(sum[:])
	if got != strings.ToLower(f.SHA256) {
		return &ChecksumError{Wheel: f.Name, Want: f.SHA256, Got: got}
	}
	return nil
}

// Open checks the wheel f, whose bytes are data, and gives what of it goes
// into an image for t, sorted by path. Compiled files from pyc (keyed by path
// in the payload) are added as they are; the caller knows that they were made
// from these sources. Errors are *ChecksumError and *InvalidError.
func Open(f File, data []byte, t Target, pyc map[string][]byte) (*Payload, error) {
	if err := f.Verify(data); err != nil {
		return nil, err
	}
	name, err := Parse(f.Name)
	if err != nil {
		return nil, &InvalidError{f.Name, err}
	}
	files, err := unpack(f.Name, data)
	if err != nil {
		return nil, err
	}
	p := &Payload{Name: PayloadName(name, t), Version: name.Version, Pure: name.Pure()}
	for _, file := range files {
		if place, ok := placeOf(file.Path); ok {
			p.Files = append(p.Files, PayloadFile{place, file.Mode, file.Data})
		}
	}
	if err := p.AddCompiled(pyc); err != nil {
		return nil, &InvalidError{f.Name, err}
	}
	return p, nil
}

// aboutDir is below a payload and has a name that nothing can import.
const aboutDir = "_covify.about"

// PayloadName is the name of the payload that the wheel n gives for t.
func PayloadName(n Name, t Target) string {
	if n.Pure() {
		return fmt.Sprintf("%s-%s-%s", n.Version, n.Tag(), t.abi())
	}
	return fmt.Sprintf("%s-%s-%s-%s", n.Version, t.abi(), t.Libc, t.Arch)
}

// placeOf maps a wheel's member to its path in the payload. The package is
// kept, with libraries auditwheel put beside it, and the licence texts. The
// metadata go where scanners for SBOMs find them and importlib.metadata, which
// looks into the payload itself, does not. The rest is left out, also
// a1_coverage.pth, since the hook is covify's.
func placeOf(member string) (string, bool) {
	top, rest, _ := strings.Cut(member, "/")
	if top == Project || top == Project+".libs" {
		return member, true
	}
	base := path.Base(member)
	if strings.HasSuffix(top, ".dist-info") && rest == "METADATA" {
		return path.Join(aboutDir, member), true
	}
	if strings.HasSuffix(top, ".dist-info") && (base == "LICENSE.txt" || base == "NOTICE.txt") {
		return base, rest != ""
	}
	return "", false
}

// AddCompiled adds compiled files, keyed by path. A path that is taken, or
// that leads outside, is an error.
func (p *Payload) AddCompiled(pyc map[string][]byte) error {
	held := map[string]bool{}
	for _, file := range p.Files {
		if held[file.Path] {
			return fmt.Errorf("%s twice", file.Path)
		}
		held[file.Path] = true
	}
	for _, name := range slices.Sorted(maps.Keys(pyc)) {
		if !fs.ValidPath(name) || held[name] {
			return fmt.Errorf("compiled file %q has no place", name)
		}
		p.Files = append(p.Files, PayloadFile{name, 0o644, pyc[name]})
	}
	slices.SortFunc(p.Files, func(a, b PayloadFile) int { return strings.Compare(a.Path, b.Path) })
	return nil
}

// unpack gives all files of a wheel, each checked against its RECORD.
func unpack(wheelName string, data []byte) ([]PayloadFile, error) {
	archive, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, &InvalidError{wheelName, err}
	}
	files, err := readMembers(archive)
	if err != nil {
		return nil, &InvalidError{wheelName, err}
	}
	record, err := findRecord(files)
	if err != nil {
		return nil, &InvalidError{wheelName, err}
	}
	if err := record.check(wheelName, files); err != nil {
		return nil, err
	}
	return files, nil
}

func readMembers(archive *zip.Reader) ([]PayloadFile, error) {
	var files []PayloadFile
	seen, left := map[string]bool{}, int64(maxUnpacked)
	for _, member := range archive.File {
		name := strings.TrimSuffix(member.Name, "/")
		switch {
		case !fs.ValidPath(name) || strings.ContainsAny(name, "\\\x00"):
			return nil, fmt.Errorf("member %q leads outside", member.Name)
		case seen[name]:
			return nil, fmt.Errorf("member %q twice", member.Name)
		case member.Mode().IsDir():
			continue
		case !member.Mode().IsRegular():
			return nil, fmt.Errorf("member %q is not a regular file", member.Name)
		}
		seen[name] = true
		body, err := readMember(member, left)
		if err != nil {
			return nil, fmt.Errorf("member %q: %w", member.Name, err)
		}
		left -= int64(len(body))
		files = append(files, PayloadFile{name, modeOf(member.Mode()), body})
	}
	return files, nil
}

// readMember reads at most limit bytes, whatever the header claims.
func readMember(member *zip.File, limit int64) ([]byte, error) {
	r, err := member.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	body, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(body)) > limit {
		return nil, fmt.Errorf("wheel unpacks to more than %d bytes", maxUnpacked)
	}
	return body, nil
}

func modeOf(m fs.FileMode) fs.FileMode {
	if m&0o111 != 0 {
		return 0o755
	}
	return 0o644
}
