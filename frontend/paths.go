package frontend

import (
	"bytes"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/dfgitutil"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerfile/shell"
)

// dockerfilePaths is what a Dockerfile, built with the frontend options opts, says about the files of its target: path in the image,
// absolute and clean, to path in the main build context, with slashes and "." for its root; each stands for all that is below it, and the
// longest path decides. An empty value says that the path does not come from where the one above it says. Only what is certain
// is said: a Dockerfile that does not parse gives an empty map. It is a help, no part of the build.
func dockerfilePaths(dockerfile []byte, opts map[string]string) map[string]string {
	file, err := parser.Parse(bytes.NewReader(dockerfile))
	if err != nil {
		return nil
	}
	stages, global, err := instructions.Parse(file.AST, linter.New(&linter.Config{})) // without one it panics on "# check="
	if err != nil {
		return nil
	}
	b := &stageReader{lex: shell.NewLex(file.EscapeToken), opts: opts, global: variables{}}
	for _, arg := range global {
		b.argue(b.global, arg.Args, nil)
	}
	for _, s := range stages {
		b.add(s)
	}
	target := b.find(opts["target"])
	if opts["target"] == "" && len(b.stages) > 0 {
		target = b.stages[len(b.stages)-1]
	}
	if target == nil {
		return nil
	}
	return target.origins.under(contextPrefix(opts))
}

// contextPrefix is where the main build context is in its repository, "." if that is not known: buildx says it of a local
// context, the reference of a git context names it.
func contextPrefix(opts map[string]string) string {
	name := opts["contextkey"]
	if name == "" {
		name = "context"
	}
	remote, subdir := opts[name], opts["contextsubdir"]
	if git, isGit, err := dfgitutil.ParseGitRef(remote); isGit && err == nil {
		return path.Join(".", rootless(git.SubDir), rootless(subdir))
	}
	if remote != "" {
		return path.Join(".", rootless(subdir))
	}
	return path.Join(".", rootless(strings.ReplaceAll(opts["vcs:localdir:"+name], `\`, "/")))
}

// rootless is a path as it is below a root that it cannot leave.
func rootless(p string) string { return strings.TrimPrefix(path.Join("/", p), "/") }

// variables are those whose value is known; it is a shell.EnvGetter.
type variables map[string]string

func (v variables) Get(name string) (string, bool) { value, ok := v[name]; return value, ok }
func (v variables) Keys() []string                 { return slices.Collect(maps.Keys(v)) }

func (v variables) set(name, value string, known bool) {
	if delete(v, name); known {
		v[name] = value
	}
}

// stage is what is known at one point of a stage.
type stage struct {
	name    string
	origins origins
	env     variables
	workdir string          // "" if only the base image knows
	dirs    map[string]bool // paths that are certainly directories
}

// stageReader reads stages one after the other.
type stageReader struct {
	lex    *shell.Lex
	opts   map[string]string
	global variables
	stages []*stage
}

// find is an earlier stage by its name or number, nil for what is an image, or replaced by a named context.
func (b *stageReader) find(name string) *stage {
	for _, s := range slices.Backward(b.stages) {
		if s.name != "" && strings.EqualFold(s.name, name) {
			return s
		}
	}
	if i, err := strconv.Atoi(name); err == nil && i >= 0 && i < len(b.stages) {
		return b.stages[i]
	}
	return nil
}

// replaced reports whether the user gives a named context instead of a stage.
func (b *stageReader) replaced(name string) bool {
	for key := range b.opts {
		given, named := strings.CutPrefix(key, "context:")
		given, _, _ = strings.Cut(given, "::") // its platform
		if named && name != "" && strings.EqualFold(given, name) {
			return true
		}
	}
	return false
}

// expand replaces the variables of a word; known is false if one of them is not known.
func (b *stageReader) expand(word string, env variables) (value string, known bool) {
	value, unmatched, err := b.lex.ProcessWord(word, env)
	return value, err == nil && len(unmatched) == 0
}

// argue declares ARGs: a build arg is their value, else their own default, else what they are globally.
func (b *stageReader) argue(env variables, args []instructions.KeyValuePairOptional, global variables) {
	for _, arg := range args {
		given, isGiven := b.opts["build-arg:"+arg.Key]
		value, isGlobal := global[arg.Key]
		switch {
		case isGiven:
			env[arg.Key] = given
		case arg.Value != nil:
			value, known := b.expand(*arg.Value, env)
			env.set(arg.Key, value, known)
		case isGlobal:
			env[arg.Key] = value
		}
	}
}

func (b *stageReader) add(parsed instructions.Stage) {
	s := &stage{name: parsed.Name, origins: origins{}, env: variables{}, dirs: map[string]bool{"/": true}}
	defer func() { b.stages = append(b.stages, s) }()
	if b.replaced(parsed.Name) {
		return
	}
	base, known := b.expand(parsed.BaseName, b.global)
	if _, err := strconv.Atoi(base); known && err != nil && !b.replaced(base) {
		if from := b.find(base); from != nil {
			s.origins, s.env, s.workdir, s.dirs = maps.Clone(from.origins), maps.Clone(from.env), from.workdir, maps.Clone(from.dirs)
		}
	}
	if base == "scratch" {
		s.workdir = "/"
	}
	for _, command := range parsed.Commands {
		b.command(s, command)
	}
}

func (b *stageReader) command(s *stage, command instructions.Command) {
	switch c := command.(type) {
	case *instructions.ArgCommand:
		b.argue(s.env, c.Args, b.global)
	case *instructions.EnvCommand:
		before := maps.Clone(s.env)
		for _, pair := range c.Env {
			name, _ := b.expand(pair.Key, before)
			value, known := b.expand(pair.Value, before)
			s.env.set(name, value, known)
		}
	case *instructions.WorkdirCommand:
		dir, known := b.expand(c.Path, s.env)
		if s.workdir = s.absolute(dir); !known {
			s.workdir = ""
		}
		s.isDir(s.workdir)
	case *instructions.AddCommand:
		from := &stage{origins: buildContext}
		b.copy(s, transfer{from: from, sources: c.SourcePaths, contents: c.SourceContents, dest: c.DestPath, add: true, unpack: c.Unpack == nil || *c.Unpack})
	case *instructions.CopyCommand:
		from := &stage{origins: buildContext}
		if c.From != "" {
			from = b.find(c.From)
		}
		b.copy(s, transfer{from: from, sources: c.SourcePaths, contents: c.SourceContents, dest: c.DestPath, parents: c.Parents})
	}
}

// absolute is a path seen from the working directory, "" if that is not known.
func (s *stage) absolute(p string) string {
	if path.IsAbs(p) || s.workdir == "" {
		return rooted(p)
	}
	return path.Join(s.workdir, p)
}

// rooted is an absolute path, clean; "" for one that is not absolute.
func rooted(p string) string {
	if !path.IsAbs(p) {
		return ""
	}
	return path.Clean(p)
}

// isDir notes that a path, and so all above it, are directories.
func (s *stage) isDir(dir string) {
	for ; dir != "" && !s.dirs[dir]; dir = path.Dir(dir) {
		s.dirs[dir] = true
	}
}

// transfer is a COPY or an ADD.
type transfer struct {
	from     *stage // nil for what is not known: an image, a named context
	sources  []string
	contents []instructions.SourceContent // heredocs
	dest     string
	add      bool // ADD, which takes URLs
	unpack   bool // and unpacks archives
	parents  bool // --parents
}

// copy notes what a transfer does to a stage. One to a place that is not known says nothing.
func (b *stageReader) copy(s *stage, t transfer) {
	dest, known := b.expand(t.dest, s.env)
	to := s.absolute(dest)
	if !known || to == "" {
		return
	}
	if t.from == nil {
		t.from = &stage{}
	}
	into := s.dirs[to] || endsAsDir(dest) || len(t.sources)+len(t.contents) > 1 || t.parents
	if into {
		s.isDir(to)
	}
	vague := 0 // sources of which the Dockerfile does not tell whether they are files or directories
	for _, word := range t.sources {
		src, known := b.expand(word, s.env)
		switch {
		case !known || t.add && (isRemote(src) || t.unpack && isArchive(src)):
		case t.parents:
			s.copyParents(t.from, src, to)
		case hasWildcard(src):
			s.copyMatches(t.from, src, to)
		case !into:
			s.origins.graft(to, t.from.origins, rooted("/"+src))
			if t.from.isKnownDir(src) {
				s.isDir(to)
			}
		case t.from.isKnownDir(src):
			s.origins.graft(to, t.from.origins, rooted("/"+src))
		case isFileName(src):
			s.origins.graft(path.Join(to, path.Base(src)), t.from.origins, rooted("/"+src))
		default:
			if vague++; vague == 1 {
				s.copyVague(t.from, src, to)
			}
		}
	}
	for _, content := range t.contents {
		if into {
			s.origins.file(path.Join(to, content.Path))
		} else {
			s.origins.file(to)
		}
	}
}

// copyParents notes COPY --parents: the source's own path, or what follows /./ in it, is kept below to.
func (s *stage) copyParents(from *stage, src, to string) {
	base, kept, pivoted := strings.Cut(src, "/./")
	if !pivoted {
		base, kept = "/", src
	}
	if hasWildcard(base) {
		return
	}
	base, kept = rooted("/"+base), rootless(kept)
	if !hasWildcard(kept) {
		s.origins.graft(path.Join(to, kept), from.origins, path.Join(base, kept))
		return
	}
	for hasWildcard(kept) {
		kept = rootless(path.Dir(kept))
	}
	s.origins.suggest(path.Join(to, kept), from.origins, path.Join(base, kept))
}

// copyMatches notes a pattern for Python files; others can match directories, whose content would then be in to.
func (s *stage) copyMatches(from *stage, pattern, to string) {
	pattern = rooted("/" + pattern)
	if dir := path.Dir(pattern); path.Ext(pattern) == ".py" && !hasWildcard(dir) {
		s.isDir(to)
		s.origins.suggest(to, from.origins, dir)
	}
}

// copyVague notes a copy into a directory of what is likely a directory itself, unless something is known of that directory's files:
// then it may as well be one more file.
func (s *stage) copyVague(from *stage, src, to string) {
	src = rooted("/" + src)
	if _, taken := s.origins[to]; taken {
		to = path.Join(to, path.Base(src))
	}
	s.origins.graft(to, from.origins, src)
}

// isKnownDir reports whether the Dockerfile alone tells that a source is a directory.
func (s *stage) isKnownDir(src string) bool { return endsAsDir(src) || s.dirs[rooted("/"+src)] }

func endsAsDir(p string) bool {
	last := p[strings.LastIndex(p, "/")+1:]
	return last == "" || last == "." || last == ".."
}

// isFileName reports whether a name has the ending of a file; that of python3.13 is none.
func isFileName(p string) bool {
	name := path.Base(p)
	ending := strings.TrimPrefix(path.Ext(name), ".")
	_, err := strconv.Atoi(ending)
	return ending != "" && len(ending) < len(name)-1 && err != nil
}

func hasWildcard(p string) bool { return strings.ContainsAny(p, `*?[\`) }

func isRemote(src string) bool {
	git, isGit, err := dfgitutil.ParseGitRef(src)
	return strings.HasPrefix(src, "http://") || strings.HasPrefix(src, "https://") || isGit && (err != nil || !git.IndistinguishableFromLocal)
}

func isArchive(src string) bool {
	return slices.ContainsFunc([]string{".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst"},
		func(ending string) bool { return strings.HasSuffix(src, ending) })
}
