package plan

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/covify/covify/wheel"
)

// Plan is everything a variant needs, as a value. A renderer writes its layers in their order and assigns Env and Labels;
// it decides nothing.
type Plan struct {
	Installs []Install         `json:"installs"` // one per environment, sorted by path
	Skipped  []Skip            `json:"skipped,omitempty"`
	Layers   []Layer           `json:"layers"` // payload layers first (same bytes for every image with that ABI), then the hook layer
	Env      []string          `json:"env"`    // the complete environment afterwards
	Labels   map[string]string `json:"labels"` // likewise complete
}

// Install is one environment that will measure.
type Install struct {
	Environment
	Python  string `json:"python"`             // version of the interpreter, "3.13"
	Payload string `json:"payload"`            // directory of the payload, below PayloadRoot
	Version string `json:"coverage_installed"` // of the payload's coverage
}

// Layer is a set of files, sorted by path, parents first. Every parent of a file below the root is in the same layer.
type Layer struct {
	Name  string `json:"name"`
	Files []File `json:"files"`
}

// File is a directory or a regular file with everything a renderer must set.
type File struct {
	Path string      `json:"path"` // absolute, free of links in the base
	Mode fs.FileMode `json:"mode"` // fs.ModeDir for directories; set-id and sticky bits as fs has them
	UID  int         `json:"uid"`
	GID  int         `json:"gid"`
	Data []byte      `json:"-"`
}

// Epoch is the modification time of every file of a Plan: the first that zip archives can hold.
var Epoch = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)

// Image is what a Plan takes from, and returns to, an image's configuration.
type Image struct {
	Env        []string
	Labels     map[string]string
	WorkingDir string
	Name       string // reference of the base for org.opencontainers.image.base.name, "" if it has none
	Digest     string // of the base, for org.opencontainers.image.base.digest
}

// Options are the user's choices. The zero value is the default.
type Options struct {
	Version string            // covify's own version, for the labels
	DataDir string            // in the container; DataDir if empty
	NoEnv   bool              // leave the image's environment alone
	Paths   map[string]string // where files of the image come from: path in the image -> path in the build context, if known
}

// PayloadLayers are the layers whose files are the same for every image with that ABI: all but the hook's.
func (p *Plan) PayloadLayers() []Layer { return p.Layers[:max(0, len(p.Layers)-1)] }

// Choice is a payload for a target, or why there is none.
type Choice struct {
	Payload *wheel.Payload
	Err     error
}

// Choose asks get for a payload of every target of facts. That no wheel fits is a fact of the target; that none can be had is
// an error, which names the target.
func Choose(facts Facts, get func(wheel.Target) (*wheel.Payload, error)) (map[wheel.Target]Choice, error) {
	choices := map[wheel.Target]Choice{}
	for _, t := range facts.Targets() {
		payload, err := get(t)
		var noFit *wheel.NoFitError
		if err != nil && !errors.As(err, &noFit) {
			return nil, fmt.Errorf("getting coverage for %s: %w", t, err)
		}
		choices[t] = Choice{Payload: payload, Err: err}
	}
	return choices, nil
}

// NothingError says that an image holds no Python that can be covered, and what was left alone.
type NothingError struct{ Skipped []Skip }

func (e *NothingError) Error() string {
	if len(e.Skipped) == 0 {
		return "no Python found in the image"
	}
	reasons := make([]string, len(e.Skipped))
	for i, s := range e.Skipped {
		reasons[i] = s.Path + ": " + s.Reason
	}
	return "no Python in the image can be covered: " + strings.Join(reasons, "; ")
}

// Make returns the Plan for an image whose root filesystem is root and has facts. payloads holds a choice for each of
// facts.Targets. The error is a *NothingError if no environment can be covered, else it names the path of the image that
// stands in the way.
func Make(root fs.FS, facts Facts, img Image, payloads map[wheel.Target]Choice, opts Options) (*Plan, error) {
	opts.DataDir = cmp.Or(opts.DataDir, DataDir)
	p := &Plan{Skipped: slices.Clone(facts.Skipped)}
	chosen := p.choose(facts, payloads)
	if len(p.Installs) == 0 {
		return nil, &NothingError{p.Skipped}
	}
	b := &builder{tree: newTree(root)}
	for _, payload := range chosen {
		p.Layers = append(p.Layers, b.payloadLayer(payload))
	}
	source := withWorkingDir(facts.Source, img.WorkingDir, b.tree)
	p.Layers = append(p.Layers, b.hookLayer(p, source, opts, compiled(facts, payloads)))
	if err := errors.Join(b.err, b.tree.err); err != nil {
		return nil, err
	}
	p.configure(img, source, opts)
	if err := p.validate(); err != nil {
		return nil, fmt.Errorf("the plan breaks a rule of its own, please report this: %w", err)
	}
	return p, nil
}

// compiled are the files that keep the hook from costing every process a compilation, by their path in the image.
func compiled(facts Facts, payloads map[wheel.Target]Choice) map[string][]byte {
	files := map[string][]byte{}
	for _, i := range facts.Interpreters {
		if c := payloads[i.Target()]; i.SlowSite && c.Payload != nil {
			for _, f := range c.Payload.Stdlib {
				files[path.Join(i.Stdlib, f.Path)] = f.Data
			}
		}
	}
	return files
}

// choose fills Installs and Skipped and returns the distinct payloads, sorted by name.
func (p *Plan) choose(facts Facts, payloads map[wheel.Target]Choice) []*wheel.Payload {
	var chosen []*wheel.Payload
	for _, e := range facts.Environments {
		python := facts.interpreter(e.Interpreter)
		c := payloads[python.Target()]
		if c.Payload == nil {
			p.Skipped = append(p.Skipped, Skip{e.Path, fmt.Sprint(cmp.Or(c.Err, errors.New("no coverage chosen for it")))})
			continue
		}
		p.Installs = append(p.Installs, Install{e, python.Version(), path.Join(PayloadRoot, c.Payload.Name), c.Payload.Version})
		if !slices.Contains(chosen, c.Payload) {
			chosen = append(chosen, c.Payload)
		}
	}
	slices.SortFunc(chosen, func(a, b *wheel.Payload) int { return strings.Compare(a.Name, b.Name) })
	return slices.CompactFunc(chosen, func(a, b *wheel.Payload) bool { return a.Name == b.Name })
}

// Versions returns the coverage versions that may measure in the variant, the image's own included, sorted and distinct.
func (p *Plan) Versions() []string {
	var all []string
	for _, i := range p.Installs {
		all = append(all, i.Version)
		if i.Coverage != "" {
			all = append(all, i.Coverage)
		}
	}
	slices.SortFunc(all, wheel.CompareVersions)
	return slices.Compact(all)
}

// withWorkingDir adds the working directory to a source that names anything: naming some code limits measuring to it,
// and the program started in the working directory should not fall out.
func withWorkingDir(s Source, dir string, t *tree) Source {
	if len(s.Dirs) == 0 && len(s.Packages) == 0 || dir == "" || path.Clean(dir) == "/" {
		return s
	}
	if real, err := t.resolve(dir); err == nil && !slices.Contains(s.Dirs, real) {
		s.Dirs = append(slices.Clone(s.Dirs), real)
		slices.Sort(s.Dirs)
	}
	return s
}

// validate checks the rules that both renderers rely on. A broken one is a defect of this package.
func (p *Plan) validate() error {
	dirs := map[string]File{}
	files := map[string]bool{}
	for _, l := range p.Layers {
		here := map[string]bool{"/": true}
		for i, f := range l.Files {
			switch {
			case !path.IsAbs(f.Path) || path.Clean(f.Path) != f.Path:
				return fmt.Errorf("%s: path %q is not clean", l.Name, f.Path)
			case i > 0 && l.Files[i-1].Path >= f.Path:
				return fmt.Errorf("%s: %s is not in order", l.Name, f.Path)
			case !here[path.Dir(f.Path)]:
				return fmt.Errorf("%s: the parent of %s is missing", l.Name, f.Path)
			case files[f.Path]:
				return fmt.Errorf("%s: %s is written twice", l.Name, f.Path)
			case !f.Mode.IsDir() && !f.Mode.IsRegular():
				return fmt.Errorf("%s: %s is neither directory nor regular file", l.Name, f.Path)
			}
			if !f.Mode.IsDir() {
				files[f.Path] = true
				continue
			}
			here[f.Path] = true
			if known, ok := dirs[f.Path]; ok && (known.Mode != f.Mode || known.UID != f.UID || known.GID != f.GID) {
				return fmt.Errorf("%s: %s differs between layers", l.Name, f.Path)
			}
			dirs[f.Path] = f
		}
	}
	return nil
}
