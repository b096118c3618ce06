package plan

import (
	"bytes"
	"cmp"
	"encoding/json"
	"io"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
)

// environments lists where site reads .pth files: the interpreters' own directories and the venvs'.
func (f *finder) environments() {
	for _, i := range f.facts.Interpreters {
		site := f.siteDir(i)
		e := Environment{Path: site, Interpreter: i.Path, Coverage: f.installed(site, "coverage")}
		if path.Base(site) == "dist-packages" && e.Coverage == "" {
			e.Coverage = f.installed("/usr/lib/python3/dist-packages", "coverage") // as apt puts it
		}
		f.environment(e)
	}
	for _, dir := range f.venvs {
		f.venv(dir)
	}
}

// environment adds e at its real place, once.
func (f *finder) environment(e Environment) {
	real, err := f.place(e.Path)
	if err != nil {
		f.skip(e.Path, err.Error())
		return
	}
	e.Path = real
	for _, known := range f.facts.Environments {
		if known.Path != real {
			continue
		}
		if known.Interpreter != e.Interpreter {
			f.skip(real, "shared by "+known.Interpreter+" and "+e.Interpreter+": only the first is covered")
		}
		return
	}
	f.facts.Environments = append(f.facts.Environments, e)
}

func (f *finder) skip(p, reason string) { f.facts.Skipped = append(f.facts.Skipped, Skip{p, reason}) }

// siteDir is where the interpreter's own site directory is, existing or not. Debian patches site to read
// dist-packages (debian/patches/distutils-install-layout.diff); of its directories the one under /usr/local belongs to a
// single version.
func (f *finder) siteDir(i Interpreter) string {
	if i.Prefix == "/usr" && f.isDebian(i) {
		return path.Join("/usr/local/lib", path.Base(i.Stdlib), "dist-packages")
	}
	return path.Join(i.Stdlib, "site-packages")
}

func (f *finder) isDebian(i Interpreter) bool {
	if site := f.read(path.Join(i.Stdlib, "site.py")); site != nil {
		return bytes.Contains(site, []byte("dist-packages"))
	}
	return f.isDir("/usr/lib/python3/dist-packages")
}

// venv adds the site directories of the venv at dir (PEP 405).
func (f *finder) venv(dir string) {
	found := false
	for _, libdir := range []string{"lib", "lib64"} {
		for _, e := range f.list(path.Join(dir, libdir)) {
			m := libName.FindStringSubmatch(e.Name())
			site := path.Join(dir, libdir, e.Name(), "site-packages")
			if m == nil || !f.isDir(site) {
				continue
			}
			found = true
			base, reason := f.baseOf(dir, m)
			if reason != "" {
				f.skip(dir, reason)
				return
			}
			f.environment(Environment{Path: site, Venv: dir, Interpreter: base, Coverage: f.installed(site, "coverage")})
		}
	}
	if !found {
		f.skip(dir, "a venv without site-packages")
	}
}

var homeKey = regexp.MustCompile(`(?m)^\s*home\s*=\s*(.*?)\s*$`)

// baseOf finds the interpreter that a venv's python is: through the links of its bin directory, else by the home key of
// pyvenv.cfg. lib is the match of the venv's library directory.
func (f *finder) baseOf(dir string, lib []string) (interpreter, reason string) {
	for _, name := range []string{"python", lib[1] + lib[2], lib[1] + lib[2] + "." + lib[3]} {
		if real, err := f.resolve(path.Join(dir, "bin", name)); err == nil {
			if i, ok := f.byPath(real, lib); ok {
				return i.Path, ""
			}
		}
	}
	home := ""
	if m := homeKey.FindSubmatch(f.read(path.Join(dir, "pyvenv.cfg"))); m != nil {
		home = string(m[1])
	}
	real, err := f.resolve(home)
	if home != "" && err == nil {
		for _, i := range f.facts.Interpreters {
			if path.Dir(i.Path) == real && f.fits(i, lib) {
				return i.Path, ""
			}
		}
		for _, e := range f.list(real) {
			if p, err := f.resolve(path.Join(real, e.Name())); err == nil && pythonName.MatchString(e.Name()) {
				if i, ok := f.byPath(p, lib); ok {
					return i.Path, ""
				}
			}
		}
	}
	return "", "a venv whose base interpreter, " + cmp.Or(lib[1]+lib[2]+"."+lib[3]+lib[4]+" in "+home, "unnamed") + ", is not in the image"
}

// basesOf examines the executables that baseOf may take a venv for: those that its own lead to, and those in its home.
func (f *finder) basesOf(dir string) {
	places := []string{path.Join(dir, "bin")}
	if m := homeKey.FindSubmatch(f.read(path.Join(dir, "pyvenv.cfg"))); m != nil {
		places = append(places, string(m[1]))
	}
	for _, place := range places {
		for _, e := range f.list(place) {
			if pythonName.MatchString(e.Name()) {
				f.candidate(path.Join(place, e.Name()))
			}
		}
	}
}

func (f *finder) fits(i Interpreter, lib []string) bool {
	return i.Version() == lib[2]+"."+lib[3] && strings.HasSuffix(i.ABI, "t") == (lib[4] == "t")
}

// byPath finds an interpreter by its real path, or by that of another name of it.
func (f *finder) byPath(real string, lib []string) (Interpreter, bool) {
	for _, i := range f.facts.Interpreters {
		if i.Path == real || path.Dir(i.Path) == path.Dir(real) && f.visited[real] && f.fits(i, lib) {
			return i, true
		}
	}
	return Interpreter{}, false
}

// installed returns the version of a distribution in a site directory, by the name of its metadata directory (PEP 376).
func (f *finder) installed(site, dist string) string {
	for _, e := range f.list(site) {
		name, ok := strings.CutPrefix(e.Name(), dist+"-")
		if !ok {
			continue
		}
		for _, suffix := range []string{".dist-info", ".egg-info"} {
			if version, ok := strings.CutSuffix(name, suffix); ok {
				version, _, _ = strings.Cut(version, "-py")
				return version
			}
		}
	}
	return ""
}

// findSource collects what coverage takes for third-party code although it is the image's own.
func (f *finder) findSource() {
	for _, e := range f.facts.Environments {
		f.facts.Source.Packages = append(f.facts.Source.Packages, f.localProjects(e.Path)...)
		if e.Venv != "" {
			f.facts.Source.Dirs = append(f.facts.Source.Dirs, f.codeBelow(e.Venv)...)
		}
	}
	slices.Sort(f.facts.Source.Packages)
	slices.Sort(f.facts.Source.Dirs)
	f.facts.Source.Packages = slices.Compact(f.facts.Source.Packages)
	f.facts.Source.Dirs = slices.Compact(f.facts.Source.Dirs)
}

// localProjects names the packages of the distributions that were installed from a local directory, not editable:
// their direct_url.json says so (PEP 610).
func (f *finder) localProjects(site string) []string {
	var packages []string
	for _, e := range f.list(site) {
		dist, ok := strings.CutSuffix(e.Name(), ".dist-info")
		if !ok {
			continue
		}
		info := path.Join(site, e.Name())
		var origin struct {
			URL string `json:"url"`
			Dir *struct {
				Editable bool `json:"editable"`
			} `json:"dir_info"`
		}
		if json.Unmarshal(f.read(path.Join(info, "direct_url.json")), &origin) != nil || origin.Dir == nil || origin.Dir.Editable {
			continue
		}
		packages = append(packages, f.topLevel(site, info, dist)...)
	}
	return packages
}

// topLevel names a distribution's packages by top_level.txt, where its build backend wrote one, else by its own name.
func (f *finder) topLevel(site, info, dist string) []string {
	if names := strings.Fields(string(f.read(path.Join(info, "top_level.txt")))); len(names) > 0 {
		return names
	}
	name, _, _ := strings.Cut(dist, "-")
	name = strings.ToLower(strings.ReplaceAll(name, ".", "_"))
	if f.isDir(path.Join(site, name)) || f.stat(path.Join(site, name+".py")) != nil {
		return []string{name}
	}
	return nil
}

// venvOwn are the names that venv, virtualenv and installers put into a venv.
var venvOwn = map[string]bool{"bin": true, "lib": true, "lib64": true, "include": true, "share": true, "etc": true, "man": true, "local": true}

// codeBelow lists the directories of Python code directly below a venv, as "python -m venv /app" leaves them, and the venv
// itself if Python files lie directly in it: its installed packages stay third-party for coverage.
func (f *finder) codeBelow(venv string) []string {
	var dirs []string
	for _, e := range f.list(venv) {
		if e.IsDir() && !venvOwn[e.Name()] && !strings.HasPrefix(e.Name(), ".") && f.hasCode(path.Join(venv, e.Name()), 2) {
			dirs = append(dirs, path.Join(venv, e.Name()))
		}
	}
	if f.hasCode(venv, 0) {
		dirs = append(dirs, venv)
	}
	return dirs
}

// hasCode reports whether a Python file lies in dir or at most depth levels below.
func (f *finder) hasCode(dir string, depth int) bool {
	return slices.ContainsFunc(f.list(dir), func(e fs.DirEntry) bool {
		if e.IsDir() {
			return depth > 0 && !strings.HasPrefix(e.Name(), ".") && f.hasCode(path.Join(dir, e.Name()), depth-1)
		}
		return strings.HasSuffix(e.Name(), ".py")
	})
}

func readHead(r io.Reader) []byte {
	head, _ := io.ReadAll(io.LimitReader(r, headSize))
	return head
}
