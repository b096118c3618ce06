package plan_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/covify/covify/plan"
	"github.com/covify/covify/wheel"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestGolden makes the Plan of every folder of testdata: "tree" describes a root filesystem, "image.json" (optional) is
// the image's configuration; "facts.json" and "plan.txt" are what must come out. A new case is a folder.
//
// A line of a tree is one of
//
//	dir  PATH [MODE [UID:GID]]
//	file PATH [QUOTED CONTENT]
//	elf  PATH ARCH [LOADER]
//	link PATH TARGET
func TestGolden(t *testing.T) {
	cases, err := filepath.Glob("testdata/*/tree")
	if err != nil || len(cases) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range cases {
		dir := filepath.Dir(file)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			root := readTree(t, file)
			facts, err := plan.FindInterpreters(root)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, filepath.Join(dir, "facts.json"), asJSON(t, facts))
			golden(t, filepath.Join(dir, "plan.txt"), describe(root, facts, readImage(t, dir)))
		})
	}
}

func readImage(t *testing.T, dir string) (img plan.Image) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "image.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return img
	}
	if err == nil {
		err = json.Unmarshal(data, &img)
	}
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// describe renders a Plan, or why there is none, as text to compare.
func describe(root fs.FS, facts plan.Facts, img plan.Image) []byte {
	p, err := plan.Make(root, facts, img, payloads(facts), plan.Options{Version: "1.2.3"})
	var b bytes.Buffer
	if err != nil {
		fmt.Fprintln(&b, err)
		return b.Bytes()
	}
	for _, s := range p.Skipped {
		fmt.Fprintf(&b, "skipped %s: %s\n", s.Path, s.Reason)
	}
	for _, l := range p.Layers {
		fmt.Fprintf(&b, "layer %s\n", l.Name)
		for _, f := range l.Files {
			fmt.Fprintf(&b, "  %v %d:%d %s\n", f.Mode, f.UID, f.GID, f.Path)
			if path.Ext(f.Path) != ".py" && !f.Mode.IsDir() {
				fmt.Fprintf(&b, "    | %s\n", strings.ReplaceAll(strings.TrimSpace(string(f.Data)), "\n", "\n    | "))
			}
		}
	}
	for _, kv := range p.Env {
		fmt.Fprintf(&b, "env %s\n", kv)
	}
	for _, key := range slices.Sorted(mapKeys(p.Labels)) {
		fmt.Fprintf(&b, "label %s=%s\n", key, p.Labels[key])
	}
	return b.Bytes()
}

func mapKeys(m map[string]string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// payloads chooses among a few wheels, as published, for every target; Python 3.5 and older find none.
func payloads(facts plan.Facts) map[wheel.Target]plan.Choice {
	all := map[wheel.Target]plan.Choice{}
	for _, t := range facts.Targets() {
		if t.Major == 3 && t.Minor < 6 {
			all[t] = plan.Choice{Err: &wheel.NoFitError{Target: t}}
			continue
		}
		version := "7.17.3"
		if t.Minor < 9 {
			version = "6.2"
		}
		all[t] = plan.Choice{Payload: &wheel.Payload{Name: version + "-" + t.ABI + "-" + t.Libc + "-" + t.Arch, Version: version,
			Files:  []wheel.PayloadFile{{Path: "coverage/__init__.py", Mode: 0o644, Data: []byte("# coverage")}},
			Stdlib: []wheel.PayloadFile{{Path: "encodings/__pycache__/utf_8_sig.cpython-313.pyc", Mode: 0o644, Data: []byte("code")}}}}
	}
	return all
}

func asJSON(t *testing.T, v any) []byte {
	t.Helper()
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(data, '\n')
}

func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v (go test ./plan -update writes it)", err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs\ngot:\n%s\nwant:\n%s", file, got, want)
	}
}

type ids [2]int

func (i ids) Owner() (uid, gid int) { return i[0], i[1] }

func readTree(t *testing.T, file string) fstest.MapFS {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	root := fstest.MapFS{}
	for line := range strings.Lines(string(data)) {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if err := addLine(root, line); err != nil {
			t.Fatalf("%s: %q: %v", file, line, err)
		}
	}
	return root
}

func addLine(root fstest.MapFS, line string) error {
	kind, rest, _ := strings.Cut(line, " ")
	name, rest, _ := strings.Cut(strings.TrimSpace(rest), " ")
	words := strings.Fields(rest)
	f := &fstest.MapFile{Mode: 0o644, Sys: ids{}}
	switch kind {
	case "dir":
		f.Mode = fs.ModeDir | 0o755
		if len(words) > 0 {
			mode, err := strconv.ParseUint(words[0], 8, 32)
			if err != nil {
				return err
			}
			f.Mode = fs.ModeDir | fs.FileMode(mode&0o777)
			if mode&0o2000 != 0 {
				f.Mode |= fs.ModeSetgid
			}
		}
		if len(words) > 1 {
			var i ids
			if _, err := fmt.Sscanf(words[1], "%d:%d", &i[0], &i[1]); err != nil {
				return err
			}
			f.Sys = i
		}
	case "file":
		if rest != "" {
			content, err := strconv.Unquote(rest)
			if err != nil {
				return err
			}
			f.Data = []byte(content)
		}
	case "elf":
		f.Mode = 0o755
		f.Data = elf(words[0], words[1:])
	case "link":
		f.Mode, f.Data = fs.ModeSymlink|0o777, []byte(rest)
	default:
		return errors.New("unknown kind")
	}
	root[name] = f
	return nil
}

// elf writes the head of an executable: identification, machine and, if there is a loader, its program header.
func elf(arch string, loader []string) []byte {
	machines := map[string]uint16{"x86_64": 62, "aarch64": 183, "i686": 3, "armv7l": 40, "s390x": 22}
	var order binary.AppendByteOrder = binary.LittleEndian
	b := append([]byte("\x7fELF\x02\x01\x01"), make([]byte, 57)...)
	if arch == "s390x" {
		order, b[5] = binary.BigEndian, 2
	}
	put := func(at int, n int, v uint64) {
		var field []byte
		switch n {
		case 2:
			field = order.AppendUint16(nil, uint16(v))
		case 8:
			field = order.AppendUint64(nil, v)
		}
		copy(b[at:], field)
	}
	put(18, 2, uint64(machines[arch]))
	put(32, 8, 64)
	if len(loader) == 0 {
		return append(b, make([]byte, 64)...)
	}
	put(56, 2, 1)
	b = append(b, order.AppendUint32(order.AppendUint32(nil, 3), 4)...) // PT_INTERP, readable
	b = append(b, order.AppendUint64(nil, 128)...)                      // offset
	b = append(b, make([]byte, 16)...)                                  // addresses
	b = append(b, order.AppendUint64(nil, uint64(len(loader[0])+1))...) // size in the file
	b = append(b, make([]byte, 128-len(b))...)
	return append(append(b, loader[0]...), 0)
}

// TestImports keeps the package to what it promises: no network, clock, environment or disk of its own.
func TestImports(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for dep := range strings.FieldsSeq(string(out)) {
		if strings.HasPrefix(dep, "github.com/covify/covify/") && dep != "github.com/covify/covify/plan" && dep != "github.com/covify/covify/wheel" {
			t.Errorf("plan depends on %s", dep)
		}
	}
	out, err = exec.Command("go", "list", "-f", `{{join .Imports "\n"}}`, ".", "../wheel").Output()
	if err != nil {
		t.Fatal(err)
	}
	for dep := range strings.FieldsSeq(string(out)) {
		if dep == "os" || strings.HasPrefix(dep, "os/") || strings.HasPrefix(dep, "net") || dep == "syscall" {
			t.Errorf("plan or wheel imports %s", dep)
		}
	}
	out, err = exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for dep := range strings.FieldsSeq(string(out)) {
		if dep == "net" || dep == "os/exec" {
			t.Errorf("plan depends on %s", dep)
		}
	}
}
