package frontend

import (
	"path"
	"slices"
	"strings"
)

// origins says where a filesystem's files come from: a path in it, absolute and clean, to a path in the main build context, which
// stands for everything below it too. The longest path decides. An empty value is of another origin than the path above says.
type origins map[string]string

// buildContext is the main build context itself.
var buildContext = origins{"/": "."}

// of is the path in the build context that p comes from; known is false if that cannot be said.
func (o origins) of(p string) (origin string, known bool) {
	for at := p; ; at = path.Dir(at) {
		if origin, known := o[at]; known {
			return path.Join(origin, strings.TrimPrefix(p, at)), origin != ""
		}
		if at == "/" {
			return "", false
		}
	}
}

// above is what is said of to by a path above it.
func (o origins) above(to string) (origin string, known bool) {
	if to == "/" {
		return "", false
	}
	origin, known = o.of(path.Dir(to))
	return path.Join(origin, path.Base(to)), known
}

// graft notes a copy of src, and all below it, of the filesystem from. What was at to and below it stays only where src is of no known
// origin: a directory's content is put beside what is there.
func (o origins) graft(to string, from origins, src string) {
	if origin, known := from.of(src); known {
		o.drop(to)
		o[to] = origin
	} else if _, covered := o.above(to); covered {
		o[to] = ""
	}
	for p, origin := range from {
		if rest, below := strings.CutPrefix(p, strings.TrimSuffix(src, "/")+"/"); below && p != src {
			o[path.Join(to, rest)] = origin
		}
	}
}

// file notes a file at to that comes from elsewhere than the build context.
func (o origins) file(to string) {
	delete(o, to)
	if _, covered := o.above(to); covered {
		o[to] = ""
	}
}

// suggest notes where some files in to come from, if nothing is known of to.
func (o origins) suggest(to string, from origins, src string) {
	_, taken := o.of(to)
	if origin, known := from.of(src); known && !taken {
		o[to] = origin
	}
}

// drop forgets what is below dir.
func (o origins) drop(dir string) {
	for p := range o {
		if p != dir && strings.HasPrefix(p, strings.TrimSuffix(dir, "/")+"/") {
			delete(o, p)
		}
	}
}

// under is o with every origin below the directory prefix, and without what a path above says already.
func (o origins) under(prefix string) origins {
	kept := origins{}
	paths := make([]string, 0, len(o))
	for p := range o {
		paths = append(paths, p)
	}
	slices.Sort(paths) // what is above comes first
	for _, p := range paths {
		said, known := kept.above(p)
		switch origin := o[p]; {
		case origin == "" && known:
			kept[p] = ""
		case origin != "" && (!known || said != path.Join(prefix, origin)):
			kept[p] = path.Join(prefix, origin)
		}
	}
	return kept
}
