package wheel

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
)

// member is a file of a wheel made for a test; an empty sum lets RECORD tell the truth.
type member struct {
	name, body string
	mode       fs.FileMode
	sum        string
	unlisted   bool
}

const distInfo = "coverage-7.1.dist-info/"

// makeWheel zips members with a RECORD over them.
func makeWheel(t *testing.T, members []member, extraRecord string) (File, []byte) {
	t.Helper()
	var record strings.Builder
	var buf bytes.Buffer
	archive := zip.NewWriter(&buf)
	add := func(name, body string, mode fs.FileMode) {
		header := &zip.FileHeader{Name: name, Method: zip.Deflate}
		header.SetMode(mode)
		w, err := archive.CreateHeader(header)
		if err == nil {
			_, err = w.Write([]byte(body))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range members {
		mode := m.mode
		if mode == 0 {
			mode = 0o644
		}
		add(m.name, m.body, mode)
		sum := sha256.Sum256([]byte(m.body))
		listed := m.sum
		if listed == "" {
			listed = fmt.Sprintf("sha256=%s,%d", base64.RawURLEncoding.EncodeToString(sum[:]), len(m.body))
		}
		if !m.unlisted {
			fmt.Fprintf(&record, "%s,%s\n", m.name, listed)
		}
	}
	fmt.Fprintf(&record, "%sRECORD,,\n%s", distInfo, extraRecord)
	add(distInfo+"RECORD", record.String(), 0o644)
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(buf.Bytes())
	return File{Name: "coverage-7.1-py3-none-any.whl", Version: "7.1", SHA256: hex.EncodeToString(sum[:])}, buf.Bytes()
}

func soundMembers() []member {
	return []member{
		{name: "coverage/__init__.py", body: "version = 7\n"},
		{name: "coverage/tracer.so", body: "\x7fELF", mode: 0o775},
		{name: "a1_coverage.pth", body: "import coverage"},
		{name: distInfo + "METADATA", body: "Name: coverage"},
		{name: distInfo + "licenses/LICENSE.txt", body: "Apache"},
	}
}

func TestOpen(t *testing.T) {
	file, data := makeWheel(t, soundMembers(), "")
	compiled := map[string][]byte{"coverage/__pycache__/__init__.cpython-313.pyc": []byte("code")}
	payload, err := Open(file, data, cp313, compiled)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range payload.Files {
		got = append(got, fmt.Sprintf("%s %o", f.Path, f.Mode))
	}
	want := "LICENSE.txt 644, _covify.about/coverage-7.1.dist-info/METADATA 644, coverage/__init__.py 644, coverage/__pycache__/__init__.cpython-313.pyc 644, coverage/tracer.so 755"
	if strings.Join(got, ", ") != want {
		t.Errorf("files: %s", strings.Join(got, ", "))
	}
	if payload.Name != "7.1-py3-none-any-cp313" || payload.Version != "7.1" || !payload.Pure {
		t.Errorf("%s, %s, pure %v", payload.Name, payload.Version, payload.Pure)
	}
	file.Name = "coverage-7.1-cp313-cp313-musllinux_1_2_aarch64.whl"
	payload, err = Open(file, data, Target{"cp", 3, 13, "cp313", "musl", "aarch64"}, nil)
	if err != nil || payload.Name != "7.1-cp313-musl-aarch64" || payload.Pure {
		t.Errorf("%+v, %v", payload, err)
	}
}

func TestOpenRefuses(t *testing.T) {
	sum := "sha256=" + base64.RawURLEncoding.EncodeToString(make([]byte, 32))
	cases := map[string]struct {
		extra    member
		record   string
		words    string
		checksum bool
	}{
		"unlisted":      {extra: member{name: "coverage/x.py", unlisted: true}, words: "coverage/x.py is not in RECORD"},
		"no sum":        {extra: member{name: "coverage/x.py", sum: ","}, words: "coverage/x.py is not in RECORD"},
		"wrong sum":     {extra: member{name: "coverage/x.py", sum: sum + ",0"}, words: "coverage/x.py in wheel", checksum: true},
		"wrong size":    {extra: member{name: "coverage/x.py", sum: sum + ",9"}, words: "has 0 bytes, RECORD says 9"},
		"weak sum":      {extra: member{name: "coverage/x.py", sum: "md5=abc,0"}, words: "is not sha256"},
		"missing":       {extra: member{name: "coverage/x.py"}, record: "coverage/y.py," + sum + ",1\n", words: "coverage/y.py is in RECORD but not in the wheel"},
		"climbs":        {extra: member{name: "coverage/../../x"}, words: "leads outside"},
		"absolute":      {extra: member{name: "/etc/x"}, words: "leads outside"},
		"backslash":     {extra: member{name: `coverage\..\x`}, words: "leads outside"},
		"twice":         {extra: member{name: "coverage/__init__.py"}, words: "twice"},
		"symlink":       {extra: member{name: "coverage/x.py", body: "/etc/passwd", mode: fs.ModeSymlink | 0o777}, words: "not a regular file"},
		"second RECORD": {extra: member{name: "other.dist-info/RECORD"}, words: "two RECORD files"},
		"licence clash": {extra: member{name: distInfo + "LICENSE.txt"}, words: "LICENSE.txt twice"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			file, data := makeWheel(t, append(soundMembers(), c.extra), c.record)
			_, err := Open(file, data, cp313, nil)
			if err == nil || !strings.Contains(err.Error(), c.words) {
				t.Fatalf("error: %v", err)
			}
			if c.checksum != errors.As(err, new(*ChecksumError)) || c.checksum == errors.As(err, new(*InvalidError)) {
				t.Errorf("error: %T", err)
			}
		})
	}
}

func TestOpenChecksTheWhole(t *testing.T) {
	file, data := makeWheel(t, soundMembers(), "")
	var mismatch *ChecksumError
	if _, err := Open(file, data[:len(data)-1], cp313, nil); !errors.As(err, &mismatch) || mismatch.Member != "" {
		t.Errorf("truncated: %v", err)
	}
	unsummed := file
	unsummed.SHA256 = ""
	if _, err := Open(unsummed, data, cp313, nil); !errors.As(err, &mismatch) {
		t.Errorf("without a sum: %v", err)
	}
	text := []byte("<html>not a wheel")
	sum := sha256.Sum256(text)
	file.SHA256 = hex.EncodeToString(sum[:])
	if _, err := Open(file, text, cp313, nil); !errors.As(err, new(*InvalidError)) {
		t.Errorf("not a zip: %v", err)
	}
}

func TestAddCompiledRefuses(t *testing.T) {
	for _, path := range []string{"../x.pyc", "/x.pyc", "coverage/__init__.py"} {
		file, data := makeWheel(t, soundMembers(), "")
		if _, err := Open(file, data, cp313, map[string][]byte{path: nil}); err == nil {
			t.Errorf("%s was added", path)
		}
	}
}
