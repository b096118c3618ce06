package plan

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// Labels of a variant. The base's own labels stay.
const (
	LabelVersion    = "io.covify.version"  // covify's version
	LabelCoverage   = "io.covify.coverage" // coverage versions, comma separated
	LabelData       = "io.covify.data"     // the data directory
	LabelPython     = "io.covify.python"   // Pythons as JSON, each with the coverage it measures with
	LabelSource     = "io.covify.source"   // Source as JSON, if it names anything
	LabelPaths      = "io.covify.paths"    // Options.Paths as JSON, if there are any
	LabelRestore    = "io.covify.restore"  // what Restore puts back, JSON
	LabelBaseName   = "org.opencontainers.image.base.name"
	LabelBaseDigest = "org.opencontainers.image.base.digest"
)

// restore is what a variant replaced in its base's configuration; a nil value was not there.
type restore struct {
	Name   string             `json:"name,omitempty"`
	Digest string             `json:"digest,omitempty"`
	Env    map[string]*string `json:"env,omitempty"`
	Labels map[string]*string `json:"labels,omitempty"`
}

// configure sets Env and Labels to what they are in the variant.
func (p *Plan) configure(img Image, source Source, opts Options) {
	undo := restore{Name: img.Name, Digest: img.Digest, Env: map[string]*string{}, Labels: map[string]*string{}}
	p.Env = slices.Clone(img.Env)
	if !opts.NoEnv {
		p.setEnv("COVERAGE_PROCESS_START", ConfigPath, undo.Env)
		p.setEnv("COVERAGE_FILE", opts.DataDir+"/.coverage", undo.Env)
	}
	p.Labels = maps.Clone(img.Labels)
	if p.Labels == nil {
		p.Labels = map[string]string{}
	}
	p.Labels[LabelVersion] = opts.Version
	p.Labels[LabelCoverage] = strings.Join(p.Versions(), ",")
	p.Labels[LabelData] = opts.DataDir
	p.Labels[LabelPython] = asJSON(p.pythons())
	if len(source.Dirs)+len(source.Packages) > 0 {
		p.Labels[LabelSource] = asJSON(source)
	}
	if len(opts.Paths) > 0 {
		p.Labels[LabelPaths] = asJSON(opts.Paths)
	}
	p.setLabel(LabelBaseName, img.Name, undo.Labels)
	p.setLabel(LabelBaseDigest, img.Digest, undo.Labels)
	p.Labels[LabelRestore] = asJSON(undo)
}

// Python is an interpreter of a variant, as LabelPython lists them.
type Python struct {
	Path    string `json:"path"`    // executable
	Version string `json:"version"` // "3.13"
	Payload string `json:"payload"` // directory that coverage is imported from
}

// pythons lists the interpreters of the installs, each once.
func (p *Plan) pythons() []Python {
	var all []Python
	for _, i := range p.Installs {
		if !slices.ContainsFunc(all, func(known Python) bool { return known.Path == i.Interpreter }) {
			all = append(all, Python{i.Interpreter, i.Python, i.Payload})
		}
	}
	return all
}

func (p *Plan) setEnv(key, value string, undo map[string]*string) {
	undo[key] = nil
	for i, kv := range p.Env {
		if old, ok := strings.CutPrefix(kv, key+"="); ok {
			undo[key] = &old
			p.Env[i] = key + "=" + value
			return
		}
	}
	p.Env = append(p.Env, key+"="+value)
}

// setLabel replaces a label; an empty value removes the base's, which would speak of the base's own base.
func (p *Plan) setLabel(key, value string, undo map[string]*string) {
	undo[key] = nil
	if old, ok := p.Labels[key]; ok {
		undo[key] = &old
	}
	if delete(p.Labels, key); value != "" {
		p.Labels[key] = value
	}
}

// Restore undoes on a variant's configuration what Make did, so that running covify on a variant replaces. It returns the
// configuration of the base; ok is false, and img returned as it is, if img is no variant.
func Restore(img Image) (base Image, ok bool) {
	if _, ok := img.Labels[LabelVersion]; !ok {
		return img, false
	}
	var undo restore
	// A label that does not parse was edited by somebody: the rest is still worth undoing.
	_ = json.Unmarshal([]byte(img.Labels[LabelRestore]), &undo)
	base = img
	base.Name, base.Digest = cmp.Or(undo.Name, img.Name), cmp.Or(undo.Digest, img.Digest)
	base.Env = restoreEnv(img.Env, undo.Env)
	base.Labels = maps.Clone(img.Labels)
	for _, key := range []string{LabelVersion, LabelCoverage, LabelData, LabelPython, LabelSource, LabelPaths, LabelRestore} {
		delete(base.Labels, key)
	}
	for key, old := range undo.Labels {
		if delete(base.Labels, key); old != nil {
			base.Labels[key] = *old
		}
	}
	return base, true
}

// Paths is what LabelPaths says; nothing if there is none. The error is about one that does not parse: somebody edited it.
func Paths(labels map[string]string) (paths map[string]string, err error) {
	if label := labels[LabelPaths]; label != "" {
		err = json.Unmarshal([]byte(label), &paths)
	}
	return paths, err
}

func restoreEnv(env []string, undo map[string]*string) []string {
	var restored []string
	for _, kv := range env {
		key, _, _ := strings.Cut(kv, "=")
		old, ours := undo[key]
		switch {
		case !ours:
			restored = append(restored, kv)
		case old != nil:
			restored = append(restored, key+"="+*old)
		}
	}
	return restored
}

// asJSON renders a value of this package; encoding/json sorts map keys.
func asJSON(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err) // no channel, function or cycle in them
	}
	return string(data)
}
