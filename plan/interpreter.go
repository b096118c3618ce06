package plan

import (
	"bytes"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// FindInterpreters looks at the root filesystem of an image: every CPython and PyPy executable outside of package
// caches, and every environment of theirs. Nothing is run. root must implement fs.ReadLinkFS; its FileInfos may tell
// owners through Owner. Files that are not readable as what they seem to be are left out; an error means that root
// itself could not be read.
func FindInterpreters(root fs.FS) (Facts, error) {
	f := &finder{tree: newTree(root), visited: map[string]bool{}}
	f.search("/")
	return f.finish()
}

// FindNamed is FindInterpreters for a filesystem too large to search, such as a running machine's: it looks at the
// executables and venvs at the given absolute paths, and at the interpreters that the venvs are made from. What is named and is
// not an interpreter or a venv is missing in the Facts.
func FindNamed(root fs.FS, executables, venvs []string) (Facts, error) {
	f := &finder{tree: newTree(root), visited: map[string]bool{}}
	for _, p := range executables {
		f.candidate(p)
	}
	for _, dir := range venvs {
		if real, err := f.resolve(dir); err == nil && f.exists(path.Join(real, "pyvenv.cfg")) {
			f.venvs = append(f.venvs, real)
			f.basesOf(real)
		}
	}
	return f.finish()
}

// finish collects the environments of the interpreters and venvs that were found.
func (f *finder) finish() (Facts, error) {
	f.environments()
	f.findSource()
	slices.SortFunc(f.facts.Interpreters, func(a, b Interpreter) int { return strings.Compare(a.Path, b.Path) })
	slices.SortFunc(f.facts.Environments, func(a, b Environment) int { return strings.Compare(a.Path, b.Path) })
	slices.SortFunc(f.facts.Skipped, func(a, b Skip) int { return strings.Compare(a.Path, b.Path) })
	return f.facts, f.err
}

type finder struct {
	*tree
	facts   Facts
	visited map[string]bool // real paths of executables
	venvs   []string        // directories that hold a pyvenv.cfg
}

// pythonName are the file names of interpreters: python, python3, python3.13, python3.13t, python2.7, pypy3, pypy3.10,
// platform-python3.6 (RHEL 8).
var pythonName = regexp.MustCompile(`^(?:platform-)?(python|pypy)(?:(\d)(?:\.(\d+))?)?([a-z]*)$`)

// pruned are directories that hold no interpreter that runs: kernel interfaces, documentation, package caches.
var pruned = map[string]bool{
	"/proc": true, "/sys": true, "/dev": true, "/boot": true, "/etc": true, "/usr/share": true, "/usr/include": true,
	"/usr/src": true, "/usr/lib/debug": true, "/var/lib": true, "/var/cache": true, "/var/log": true, "/run": true, "/tmp": true,
}

var prunedNames = map[string]bool{
	"node_modules": true, ".git": true, "__pycache__": true, ".cache": true, "site-packages": true, "dist-packages": true,
	"include": true, "man": true, "conda-meta": true,
}

// prunes reports whether FindInterpreters never looks below the directory at an absolute path.
func prunes(dir string) bool {
	if pruned[dir] || prunedNames[path.Base(dir)] {
		return true
	}
	if parent := path.Dir(dir); parent == "/usr/lib" || parent == "/usr/lib64" || parent == "/lib" || parent == "/lib64" {
		return !strings.HasPrefix(path.Base(dir), "pypy")
	}
	return libName.MatchString(path.Base(dir)) && strings.HasPrefix(path.Base(path.Dir(dir)), "lib")
}

// Searches reports whether FindInterpreters looks into a directory at an absolute path, with no links in it, if it comes by there.
func Searches(dir string) bool { return !prunes(dir) }

// search walks dir, whose path holds no links, and collects candidates.
func (f *finder) search(dir string) {
	entries := f.list(dir)
	conda := slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == "conda-meta" })
	for _, e := range entries {
		p := path.Join(dir, e.Name())
		switch {
		case e.IsDir():
			if cache := conda && e.Name() == "pkgs"; !cache && !prunes(p) {
				f.search(p)
			}
		case e.Name() == "pyvenv.cfg":
			f.venvs = append(f.venvs, dir)
		case pythonName.MatchString(e.Name()):
			f.candidate(p)
		}
	}
}

// candidate examines the executable that p is or leads to, once.
func (f *finder) candidate(p string) {
	real, err := f.resolve(p)
	if err != nil || f.visited[real] || !pythonName.MatchString(path.Base(real)) {
		return
	}
	f.visited[real] = true
	info := f.stat(real)
	if info == nil || !info.Mode().IsRegular() {
		return
	}
	elf, ok := readELF(f.head(real))
	if !ok {
		return // a script
	}
	if f.inVenv(real) {
		return // a venv's copy of its base interpreter
	}
	i := Interpreter{Path: real, Arch: elf.arch}
	if reason := f.describe(&i, elf); reason != "" {
		f.facts.Skipped = append(f.facts.Skipped, Skip{real, reason})
		return
	}
	f.add(i)
}

// add keeps i, unless another name of the same interpreter is known: python3.6 and python3.6m are hard links.
func (f *finder) add(i Interpreter) {
	for k, known := range f.facts.Interpreters {
		if known.Stdlib == i.Stdlib && known.Arch == i.Arch {
			if len(i.Path) < len(known.Path) && strings.Contains(path.Base(i.Path), ".") {
				f.facts.Interpreters[k] = i
			}
			return
		}
	}
	f.facts.Interpreters = append(f.facts.Interpreters, i)
}

func (f *finder) inVenv(real string) bool {
	dir := path.Dir(real)
	return f.stat(path.Join(dir, "pyvenv.cfg")) != nil || f.stat(path.Join(path.Dir(dir), "pyvenv.cfg")) != nil
}

func (f *finder) head(p string) []byte {
	file, err := f.fsys.Open(rel(p))
	if err != nil {
		f.note(err)
		return nil
	}
	defer file.Close()
	return readHead(file)
}

// describe fills in what the name, the standard library and the loader of i say; reason is why it cannot be used.
func (f *finder) describe(i *Interpreter, elf binaryFacts) (reason string) {
	m := pythonName.FindStringSubmatch(path.Base(i.Path))
	kind, version, flags := m[1], "", m[4]
	if m[3] != "" {
		version = m[2] + "." + m[3]
	}
	if strings.HasPrefix(flags, "d") {
		return "a debug build: it shares the environments of the release build"
	}
	if flags != "t" {
		flags = ""
	}
	i.Prefix, i.Stdlib = f.stdlib(path.Dir(i.Path), kind, m[2], version, flags)
	if i.Stdlib == "" {
		return "no standard library beside it"
	}
	v := libName.FindStringSubmatch(path.Base(i.Stdlib))
	i.Major, _ = strconv.Atoi(v[2])
	i.Minor, _ = strconv.Atoi(v[3])
	i.Implementation = "cp"
	if kind == "pypy" {
		i.Implementation = "pp"
	}
	i.ABI = f.abi(*i, v[4])
	i.Libc = f.libc(*i, elf)
	i.SlowSite = f.slowSite(*i)
	return ""
}

// slowSite reports whether site decodes .pth files with a module (CPython 3.13 and later, Lib/site.py) that the image has no
// compiled file of: official images are stripped of those, and an unprivileged process cannot keep what it compiles.
func (f *finder) slowSite(i Interpreter) bool {
	const codec = "utf_8_sig"
	encodings := path.Join(i.Stdlib, "encodings")
	if i.Implementation != "cp" || strings.HasSuffix(i.ABI, "t") || !f.exists(path.Join(encodings, codec+".py")) {
		return false
	}
	cache := fmt.Sprintf("%s.cpython-%d%d.pyc", codec, i.Major, i.Minor)
	return !f.exists(path.Join(encodings, "__pycache__", cache)) && bytes.Contains(f.read(path.Join(i.Stdlib, "site.py")), []byte("utf-8-sig"))
}

// libName are the names of the directories that hold a standard library.
var libName = regexp.MustCompile(`^(python|pypy)(\d)\.(\d+)(t?)$`)

// stdlib finds the standard library as getpath.py does (CPython Modules/getpath.py): upward from the executable's directory, the
// first lib/pythonX.Y or lib64/pythonX.Y that holds os.py, else the prefixes that builds commonly have compiled in. version
// may be empty, major too.
func (f *finder) stdlib(dir, kind, major, version, flags string) (prefix, lib string) {
	prefixes := []string{}
	for ; dir != "/"; dir = path.Dir(dir) {
		prefixes = append(prefixes, dir)
	}
	for _, prefix := range append(prefixes, "/", "/usr/local", "/usr") {
		for _, libdir := range []string{"lib", "lib64"} {
			if lib := f.stdlibIn(path.Join(prefix, libdir), kind, major, version, flags); lib != "" {
				return path.Dir(path.Dir(lib)), lib
			}
		}
	}
	return "", ""
}

func (f *finder) stdlibIn(libdir, kind, major, version, flags string) string {
	var found []string
	for _, e := range f.list(libdir) {
		m := libName.FindStringSubmatch(e.Name())
		if m == nil || m[1] != kind || m[4] != flags && version != "" || major != "" && m[2] != major || version != "" && m[2]+"."+m[3] != version {
			continue
		}
		dir := path.Join(libdir, e.Name())
		if f.stat(path.Join(dir, "os.py")) != nil || f.stat(path.Join(dir, "os.pyc")) != nil {
			found = append(found, dir)
		}
	}
	if len(found) != 1 {
		return "" // none, or a bare "python" among several libraries: its versioned name speaks for itself
	}
	real, err := f.resolve(found[0])
	if err != nil {
		return ""
	}
	return real
}

// extension are the suffixes of extension modules: .cpython-313-x86_64-linux-gnu.so, .pypy310-pp73-x86_64-linux-gnu.so (PEP 3149).
var extension = regexp.MustCompile(`\.(?:cpython-(\d+[a-z]*)|pypy(\d+)-(pp\d+))(?:-([a-z0-9_]+)-linux-(gnu|musl)[a-z0-9]*)?\.so$`)

// abi tells the ABI tag from the standard library's own extension modules, else from the version.
func (f *finder) abi(i Interpreter, flags string) string {
	for _, dir := range []string{path.Join(i.Stdlib, "lib-dynload"), i.Stdlib} {
		for _, e := range f.list(dir) {
			m := extension.FindStringSubmatch(e.Name())
			switch {
			case m == nil:
			case m[1] != "":
				return "cp" + m[1]
			default:
				return "pypy" + m[2] + "_" + m[3]
			}
		}
	}
	number := fmt.Sprintf("%d%d", i.Major, i.Minor)
	switch {
	case i.Implementation == "pp":
		return "pypy" + number + "_pp73"
	case i.Major == 2:
		return "cp" + number + "mu" // wide unicode, as all of Linux has it
	case i.Major == 3 && i.Minor < 8:
		return "cp" + number + "m"
	}
	return "cp" + number + flags
}

// libc tells the C library by the loader, else by the suffix of the extension modules (gnu and musl differ from 3.11
// on), else by the loaders the image has. A static executable loads no extension modules.
func (f *finder) libc(i Interpreter, elf binaryFacts) string {
	switch {
	case strings.Contains(elf.loader, "ld-musl"):
		return "musl"
	case elf.loader != "":
		return "glibc"
	case elf.static:
		return ""
	}
	for _, e := range f.list(path.Join(i.Stdlib, "lib-dynload")) {
		if m := extension.FindStringSubmatch(e.Name()); m != nil && m[5] == "musl" {
			return "musl"
		}
	}
	for _, e := range f.list("/lib") {
		if strings.HasPrefix(e.Name(), "ld-musl-") {
			return "musl"
		}
	}
	return "glibc"
}

// Wants returns how many bytes of a regular file FindInterpreters, or whoever examines a variant, may read, 0 for nearly all. A
// filesystem made for them need not hold more.
func Wants(p string) int {
	name := path.Base(p)
	switch {
	case pythonName.MatchString(name):
		return headSize
	case name == "pyvenv.cfg", name == "site.py" && libName.MatchString(path.Base(path.Dir(p))):
		return 64 << 10
	case name == "direct_url.json", name == "top_level.txt", name == hookStem+".pth", p == ConfigPath:
		return 16 << 10
	}
	return 0
}
