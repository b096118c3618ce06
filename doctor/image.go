package doctor

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/covify/covify/imagepatch"
	"github.com/covify/covify/plan"
	"github.com/covify/covify/runner/rcfile"
	"github.com/covify/covify/wheel"
)

// Image is an image as it was found.
type Image struct {
	Name    string // as the user's next command takes it
	Sights  []imagepatch.Sight
	Version string                   // of this covify
	Fits    func(wheel.Target) error // why there is no coverage at hand for an interpreter; nil if there is
	Base    []string                 // digests by which the image that a variant is of is known now; nil if that is not known
}

// Checks examines every image that is there under the name.
func (i Image) Checks() []Check {
	if len(i.Sights) == 0 {
		return []Check{problem("python", "there is no Linux image under this name")}
	}
	var all []Check
	withPython := slices.ContainsFunc(i.Sights, func(s imagepatch.Sight) bool { return !hasNoPython(s) })
	for _, s := range i.Sights {
		checks := i.checks(s)
		if withPython && hasNoPython(s) {
			checks = []Check{ok("variant", "there is no Python: covify leaves it as it is")}
		}
		if len(i.Sights) > 1 {
			for k := range checks {
				checks[k].Seen = s.Platform + ": " + checks[k].Seen
			}
		}
		all = append(all, checks...)
	}
	return all
}

func hasNoPython(s imagepatch.Sight) bool {
	facts, err := plan.FindInterpreters(s.Root)
	return err == nil && len(facts.Environments) == 0
}

func (i Image) checks(s imagepatch.Sight) []Check {
	facts, err := plan.FindInterpreters(s.Root)
	if err != nil {
		return []Check{problem("python", "the image's files cannot be read: %v", err)}
	}
	p := patient{i, s, facts}
	if s.Labels[plan.LabelVersion] == "" {
		return p.plain()
	}
	return slices.Concat([]Check{p.variant(), p.environment()}, p.hooks(), []Check{p.settings(), p.dataDir()}, p.leftAlone(), p.command(), p.base())
}

// patient is one image, and what its files say about its Pythons.
type patient struct {
	Image
	sight imagepatch.Sight
	facts plan.Facts
}

// plain is an image that is no variant.
func (p patient) plain() []Check {
	if len(p.facts.Environments) == 0 {
		return append([]Check{problem("variant", "there is no Python that could be measured in the image")}, p.leftAlone()...)
	}
	var pythons []string
	fit := false
	for _, target := range p.facts.Targets() {
		err := p.Fits(target)
		noFit := new(wheel.NoFitError)
		switch {
		case errors.As(err, &noFit):
			pythons = append(pythons, fmt.Sprintf("%s, for which there is no coverage", target))
		case err != nil:
			pythons, fit = append(pythons, fmt.Sprintf("%s, for which a package index has to be asked", target)), true
		default:
			pythons, fit = append(pythons, target.String()), true
		}
	}
	c := problem("variant", "it is not covified: nothing in it measures; it has %s", strings.Join(pythons, " and "))
	if fit {
		c = c.fix(p.Name)
	}
	return append([]Check{c}, p.leftAlone()...)
}

func (p patient) variant() Check {
	made, coverage := p.sight.Labels[plan.LabelVersion], strings.ReplaceAll(p.sight.Labels[plan.LabelCoverage], ",", " and ")
	if made != p.Version {
		return warning("variant", "made by covify %s, this is %s; it measures with coverage %s", made, p.Version, coverage).fix(p.Name)
	}
	return ok("variant", "made by covify %s; it measures with coverage %s", made, coverage)
}

func (p patient) environment() Check {
	return environment(p.sight.Env, p.sight.Labels, plan.ConfigPath).fixUnlessOK(p.Name)
}

func (c Check) fixUnlessOK(args ...string) Check {
	if c.Outcome == OK || c.Mend != "" {
		return c
	}
	return c.fix(args...)
}

// variable returns the value of a variable in an environment.
func variable(env []string, name string) (value string, set bool) {
	for _, kv := range env {
		if v, is := strings.CutPrefix(kv, name+"="); is {
			value, set = v, true
		}
	}
	return value, set
}

// environment checks the variables that switch measuring on. config is what COVERAGE_PROCESS_START should be; "" is anything.
func environment(env []string, labels map[string]string, config string) Check {
	const name = "environment"
	start, set := variable(env, "COVERAGE_PROCESS_START")
	file, _ := variable(env, "COVERAGE_FILE")
	other, _ := variable(env, "COVERAGE_PROCESS_CONFIG")
	data := dataDir(labels)
	switch {
	case other != "":
		return problem(name, "COVERAGE_PROCESS_CONFIG is set: it beats COVERAGE_PROCESS_START and its settings")
	case !set && isNoEnv(labels):
		return warning(name, "it was made with --no-env: it measures only where COVERAGE_PROCESS_START is set when it is started").
			mend("covify run IMAGE")
	case !set:
		return problem(name, "COVERAGE_PROCESS_START is not set: nothing is measured")
	case start == "":
		return problem(name, "COVERAGE_PROCESS_START is empty: that switches measuring off")
	case config != "" && start != config:
		return problem(name, "COVERAGE_PROCESS_START=%s is not covify's %s", start, config)
	case file == "":
		return problem(name, "COVERAGE_FILE is not set: data go to whatever directory a process runs in, not to %s", data)
	case path.Dir(path.Clean(file)) != path.Clean(data):
		return problem(name, "COVERAGE_FILE=%s sends the data elsewhere than to %s", file, data)
	}
	return ok(name, "COVERAGE_PROCESS_START=%s, COVERAGE_FILE=%s", start, file)
}

func isNoEnv(labels map[string]string) bool {
	var undo struct{ Env map[string]*string }
	err := json.Unmarshal([]byte(labels[plan.LabelRestore]), &undo)
	return err == nil && len(undo.Env) == 0
}

func dataDir(labels map[string]string) string {
	if dir := labels[plan.LabelData]; dir != "" {
		return dir
	}
	return plan.DataDir
}

// hooks checks that every environment has the hook, and that the hook finds its coverage.
func (p patient) hooks() []Check {
	var sound []string
	var broken []Check
	for _, e := range p.facts.Environments {
		if why := p.hook(e); why != "" {
			broken = append(broken, p.brokenHook(e, why))
			continue
		}
		sound = append(sound, e.Path)
	}
	if len(broken) > 0 {
		return broken
	}
	if len(sound) == 0 {
		return []Check{problem("hook", "the variant has no Python any more")}
	}
	return []Check{ok("hook", "in %s", strings.Join(sound, ", "))}
}

// hook says what is wrong with an environment's hook, "" if nothing is.
func (p patient) hook(e plan.Environment) string {
	text, err := p.read(path.Join(e.Path, "coverage.pth"))
	if err != nil {
		return fmt.Sprintf("%s has no hook: no coverage.pth", e.Path)
	}
	payload, _, _ := strings.Cut(string(text), "\n")
	if !strings.Contains(string(text), "_covify") {
		return fmt.Sprintf("%s/coverage.pth is not covify's", e.Path)
	}
	for _, name := range []string{"_covify.py", "coverage/__init__.py"} {
		if p.lstat(path.Join(payload, name)) == nil {
			return fmt.Sprintf("the hook in %s cannot import coverage: %s is not there", e.Path, path.Join(payload, name))
		}
	}
	if p.lstat(path.Join(e.Path, "coverage.start")) == nil {
		return fmt.Sprintf("%s has no coverage.start, which Python 3.15 and later need", e.Path)
	}
	return ""
}

func (p patient) brokenHook(e plan.Environment, why string) Check {
	for _, i := range p.facts.Interpreters {
		if i.Path != e.Interpreter {
			continue
		}
		if err := p.Fits(i.Target()); err != nil {
			return warning("hook", "%s is not measured: %v", e.Path, err)
		}
	}
	return problem("hook", "%s", why).fix(p.Name)
}

// settings checks the settings that the variant measures with unless others are given.
func (p patient) settings() Check {
	text, err := p.read(plan.ConfigPath)
	if err != nil {
		return problem("settings", "%s is not there", plan.ConfigPath).fix(p.Name)
	}
	info := p.lstat(plan.ConfigPath)
	if user := p.sight.User; info != nil && info.Mode().Perm()&0o004 == 0 && !isRoot(user) {
		return problem("settings", "%s has mode %#o: user %s cannot read it", plan.ConfigPath, info.Mode().Perm(), user).fix(p.Name)
	}
	if err := parses(text); err != nil {
		return problem("settings", "%s: %v", plan.ConfigPath, err).fix(p.Name)
	}
	return ok("settings", "%s", plan.ConfigPath)
}

func isRoot(user string) bool {
	user, _, _ = strings.Cut(user, ":")
	return user == "" || user == "0" || user == "root"
}

// parses says what coverage would have against settings.
func parses(text []byte) error {
	dir, err := os.MkdirTemp("", "covify-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.WriteFile(filepath.Join(dir, ".coveragerc"), text, 0o600); err != nil {
		return err
	}
	_, err = rcfile.Find(rcfile.Place{Dir: dir})
	if wrong := new(rcfile.Error); errors.As(err, &wrong) {
		return wrong.Err
	}
	return err
}

func (p patient) dataDir() Check {
	dir := dataDir(p.sight.Labels)
	info := p.lstat(dir)
	switch {
	case info == nil:
		return problem("data directory", "%s is not there", dir).fix(p.Name)
	case !info.IsDir():
		return problem("data directory", "%s is not a directory", dir).fix(p.Name)
	case info.Mode().Perm() != 0o777:
		return problem("data directory", "%s has mode %#o, not 0777: not every user can write to it", dir, info.Mode().Perm()).fix(p.Name)
	}
	return ok("data directory", "%s, writable for every user", dir)
}

// leftAlone are the Pythons that are not measured.
func (p patient) leftAlone() []Check {
	var all []Check
	for _, s := range p.facts.Skipped {
		all = append(all, warning("python", "%s is left alone: %s", s.Path, s.Reason))
	}
	return all
}

func (p patient) command() []Check {
	words := slices.Concat(p.sight.Entrypoint, p.sight.Cmd)
	if why := switchedOff(words); why != "" {
		return []Check{problem("command", "%s: %s", line(words), why).mend("covify run %s %s", p.Name, withoutSwitch(words))}
	}
	return nil
}

// switchedOff says what in a command line keeps Python from measuring, "" if nothing does.
func switchedOff(words []string) string {
	if len(words) == 0 || !strings.HasPrefix(path.Base(words[0]), "python") {
		return ""
	}
	for i := 1; i < len(words); i++ {
		word := words[i]
		if !strings.HasPrefix(word, "-") || strings.HasPrefix(word, "--") {
			return "" // the program
		}
		// Of these letters what follows is a value, in the same word or the next.
		letters, value, valued := word, "", false
		if at := strings.IndexAny(word, "cmWX"); at > 0 {
			letters, value, valued = word[:at], word[at+1:], true
		}
		switch {
		case strings.Contains(letters, "S"):
			return "Python's flag -S switches off site, and with it every hook"
		case valued && strings.ContainsAny(word[len(letters):len(letters)+1], "cm"):
			return "" // the program
		case valued && value == "":
			i++
		}
	}
	return ""
}

func withoutSwitch(words []string) string {
	var kept []string
	for i, word := range words {
		if i > 0 && strings.HasPrefix(word, "-") && strings.Contains(word, "S") {
			if word = strings.ReplaceAll(word, "S", ""); word == "-" {
				continue
			}
		}
		kept = append(kept, word)
	}
	return strings.Join(kept, " ")
}

// base compares what the variant was made of with what has that name now.
func (p patient) base() []Check {
	name, digest := p.sight.Labels[plan.LabelBaseName], p.sight.Labels[plan.LabelBaseDigest]
	if digest == "" || p.Base == nil || len(p.Sights) > 1 {
		return nil
	}
	if !slices.Contains(p.Base, digest) {
		return []Check{warning("base", "%s is another image now than the one this was made of (%.19s...)", name, digest).fix(name)}
	}
	return []Check{ok("base", "%s is still what this was made of", name)}
}

func (p patient) lstat(name string) fs.FileInfo {
	real, err := plan.Resolve(p.sight.Root, name)
	if err != nil {
		return nil
	}
	info, err := fs.Lstat(p.sight.Root, strings.TrimPrefix(real, "/"))
	if err != nil {
		return nil
	}
	return info
}

func (p patient) read(name string) ([]byte, error) {
	real, err := plan.Resolve(p.sight.Root, name)
	if err != nil {
		return nil, err
	}
	return fs.ReadFile(p.sight.Root, strings.TrimPrefix(real, "/"))
}
