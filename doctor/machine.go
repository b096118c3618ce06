package doctor

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/covify/covify/covdata"
	"github.com/covify/covify/hosthook"
	"github.com/covify/covify/runner"
	"github.com/covify/covify/runner/rcfile"
	"github.com/covify/covify/session"
	"golang.org/x/sys/unix"
)

// Machine is this machine, and a checkout on it.
type Machine struct {
	Root   string // the checkout
	Host   runner.Host
	Lookup rcfile.Lookup // of the environment
	RCFile string        // coverage's config file; "" for the project's own
	Engine string        // the engine's name; "" for the first that answers
	Python func(context.Context) (covdata.Python, error)
	// Contents asks for files of images, as Data's.
	Contents covdata.Contents
	Hooks    hosthook.Options
	Targets  []hosthook.Target // interpreters of this machine that may have the hook
}

// Checks examines the machine and the checkout.
func (m Machine) Checks(ctx context.Context) []Check {
	return slices.Concat(
		[]Check{m.settings()}, m.shell(), m.sessions(), []Check{m.dataDir(), disk(m.Root), m.clock()},
		m.engine(ctx), m.endpoints(), []Check{m.python(ctx)}, m.hook(ctx), m.data(ctx))
}

// settings checks the project's coverage settings.
func (m Machine) settings() Check {
	const name = "settings"
	config, err := rcfile.Find(rcfile.Place{Dir: m.Root, RCFile: m.RCFile, Lookup: m.Lookup})
	if wrong := new(rcfile.Error); errors.As(err, &wrong) {
		return problem(name, "%s: %v", wrong.File, wrong.Err).mend("${EDITOR:-vi} %s", runner.ShellLine([]string{wrong.File}))
	}
	if err != nil {
		return problem(name, "%v", err)
	}
	if config.File == "" {
		return ok(name, "the project has no coverage settings: coverage's defaults are used")
	}
	edit := fmt.Sprintf("${EDITOR:-vi} %s", runner.ShellLine([]string{config.File}))
	if all := slices.IndexFunc(config.List("run", "omit"), func(p string) bool { return p == "*" || p == "*/*" || p == "/*" }); all >= 0 {
		return problem(name, "%s: [run] omit = %s leaves out everything", config.File, config.List("run", "omit")[all]).mend(edit)
	}
	for _, source := range config.List("run", "source") {
		if !m.has(source) {
			return warning(name, "%s: [run] source = %s: there is no such folder or package in %s", config.File, source, m.Root).mend(edit)
		}
	}
	return ok(name, "%s%s", config.File, restriction(config))
}

// has reports whether a source is a folder of the checkout, or may be a package of it.
func (m Machine) has(source string) bool {
	places := []string{source, filepath.Join(m.Root, source), filepath.Join(m.Root, strings.ReplaceAll(source, ".", "/")),
		filepath.Join(m.Root, strings.ReplaceAll(source, ".", "/")+".py"), filepath.Join(m.Root, "src", strings.ReplaceAll(source, ".", "/"))}
	return slices.ContainsFunc(places, func(p string) bool {
		_, err := os.Stat(p)
		return err == nil && (filepath.IsAbs(p))
	})
}

func restriction(config *rcfile.Config) string {
	said := ""
	for _, option := range []string{"branch", "source", "source_pkgs", "include", "omit"} {
		if items := config.List("run", option); len(items) > 0 {
			said += fmt.Sprintf("; %s = %s", option, strings.Join(items, ", "))
		}
	}
	return said
}

// shell checks for variables that get in the way.
func (m Machine) shell() []Check {
	const name = "shell"
	var all []Check
	if dir, set := m.Lookup(session.Variable); set && dir != "" {
		if _, err := session.Join(dir); err != nil {
			return []Check{warning(name, "%s names a session that is over", session.Variable).
				mend("unset %s COVERAGE_PROCESS_START PYTHONPATH", session.Variable)}
		}
		return []Check{ok(name, "this shell runs in the session of %s", dir)}
	}
	for _, variable := range []string{"COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG"} {
		if value, set := m.Lookup(variable); set && value != "" {
			all = append(all, warning(name, "%s is set here: Pythons that have a hook measure themselves, outside of covify test as well", variable).
				mend("unset %s", variable))
		}
	}
	if value, set := m.Lookup("COVERAGE_FILE"); set && value != "" {
		all = append(all, warning(name, "COVERAGE_FILE=%s is set here: the project's own coverage commands put their data there", value).mend("unset COVERAGE_FILE"))
	}
	return all
}

// sessions checks for a session that runs, and for what killed ones left.
func (m Machine) sessions() []Check {
	const name = "session"
	var all []Check
	running, killed := session.Look(m.Root)
	if running != nil {
		all = append(all, ok(name, "process %d runs covify test here since %s: %s", running.PID, age(running.Started), strings.Join(running.Command, " ")))
	}
	for _, left := range killed {
		all = append(all, problem(name, "%s: what it left cannot be cleaned up", left).mend("rm -r %s", runner.ShellLine([]string{session.Base(m.Root)})))
	}
	for _, stray := range session.Strays(m.Root) {
		all = append(all, warning(name, "process %d (%s) of a session that is over still runs: what it does is not measured", stray.PID, stray.Command).
			mend("kill %d", stray.PID))
	}
	if len(all) == 0 {
		return []Check{ok(name, "none runs, and none was left by a killed covify")}
	}
	return all
}

// dataDir checks the folder that containers' data come to.
func (m Machine) dataDir() Check {
	dir := filepath.Join(m.Root, runner.DefaultDataDir)
	return dataFolder(dir, filepath.Dir(dir))
}

// dataFolder checks a folder for data; own is the folder above it that is covify's, or the folder itself.
func dataFolder(dir, own string) Check {
	const name = "data directory"
	there := dir
	info, err := os.Stat(there)
	for ; err != nil && filepath.Dir(there) != there; info, err = os.Stat(there) {
		if !errors.Is(err, os.ErrNotExist) {
			return problem(name, "%v", err).mend("mv %[1]s %[1]s.old", runner.ShellLine([]string{own}))
		}
		there = filepath.Dir(there)
	}
	if err == nil && !info.IsDir() {
		return problem(name, "%s is not a directory", there).mend("mv %[1]s %[1]s.old", runner.ShellLine([]string{there}))
	}
	if err := unix.Faccessat(unix.AT_FDCWD, there, unix.W_OK|unix.X_OK, unix.AT_EACCESS); err != nil {
		return problem(name, "%s is not writable: %v", there, err).mend("sudo chown -R %d:%d %s", os.Geteuid(), os.Getegid(), runner.ShellLine([]string{there}))
	}
	switch {
	case there != dir:
		return ok(name, "%s can be made", dir)
	case info.Mode().Perm() != 0o777:
		return warning(name, "%s has mode %#o, not 0777: containers that do not run as its owner cannot write to it", dir, info.Mode().Perm()).
			mend("chmod 0777 %s", runner.ShellLine([]string{dir}))
	}
	return ok(name, "%s, writable for every user", dir)
}

// Room below which data may not find a place.
const (
	tight = 256 << 20
	full  = 4 << 20
)

func disk(dir string) Check {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return skipped("disk", "%s: %v", dir, err)
	}
	return room(dir, s.Bavail*uint64(s.Bsize), s.Files, s.Ffree) //nolint:unconvert // the types differ between systems
}

// room judges what is free where data go; a filesystem without inodes says 0 of all.
func room(dir string, bytes, inodes, free uint64) Check {
	const name = "disk"
	switch {
	case inodes > 0 && free < 100:
		return problem(name, "%d inodes are free at %s: no file can be made", free, dir).mend("df -i %s", runner.ShellLine([]string{dir}))
	case bytes < full:
		return problem(name, "%d KB are free at %s: each process needs 53 KB at least", bytes>>10, dir).mend("df -h %s", runner.ShellLine([]string{dir}))
	case bytes < tight:
		return warning(name, "%d MB are free at %s", bytes>>20, dir).mend("df -h %s", runner.ShellLine([]string{dir}))
	}
	return ok(name, "%d MB are free at %s", bytes>>20, dir)
}

// clock compares this machine's clock with that of the filesystem, which may be another machine's.
func (m Machine) clock() Check {
	dir := m.Root
	if info, err := os.Stat(filepath.Join(m.Root, ".covify")); err == nil && info.IsDir() {
		dir = filepath.Join(m.Root, ".covify")
	}
	file, err := os.CreateTemp(dir, ".covify-probe-")
	if err != nil {
		return skipped("clock", "no file can be made in %s", dir)
	}
	info, err := file.Stat()
	now := time.Now()
	if err := errors.Join(err, file.Close(), os.Remove(file.Name())); err != nil {
		return skipped("clock", "%v", err)
	}
	return clock("the filesystem of "+dir, now.Sub(info.ModTime()))
}

// clock judges how far another clock is behind this machine's.
func clock(of string, behind time.Duration) Check {
	if behind.Abs() > 2*time.Second {
		return warning("clock", "that of %s is %s off: which data are new cannot be told by their times", of, behind.Abs().Round(time.Second)).
			mend("timedatectl set-ntp true")
	}
	return ok("clock", "the same for %s", of)
}

// engine checks that an engine answers, and says how variants are made in it.
func (m Machine) engine(ctx context.Context) []Check {
	const name = "engine"
	engine, err := runner.FindEngine(ctx, m.Engine, m.Host)
	if err != nil {
		return []Check{noEngine(err)}
	}
	at := ""
	if engine.HasAPI() {
		at = fmt.Sprintf(" at %s (%s)", engine.Endpoint.Address, engine.Endpoint.Origin)
	}
	release, err := engine.Release(ctx)
	if err != nil {
		return []Check{problem(name, "%s%s: %v", engine.Name, at, err).mend("%s version", engine.Name)}
	}
	way := "variants are made of saved images and loaded into it"
	if release.BuildKit {
		way = "variants are made within it, by its BuildKit"
	}
	all := []Check{ok(name, "%s %s%s; %s", engine.Name, release.Version, at, way)}
	if engine.Endpoint.Remote() {
		all = append(all, warning(name, "%s is on another machine: data come to folders there", engine.Endpoint.Address).mend("covify run -v coverage:/app/coverage_data IMAGE"))
	}
	return all
}

// noEngine is a problem where there should be one, by a command or an address that is there.
func noEngine(err error) Check {
	failed := new(runner.EngineError)
	if !errors.As(err, &failed) {
		return problem("engine", "%v", err)
	}
	for _, tried := range failed.Tried {
		address := tried.Endpoint
		switch {
		case address.Address == "":
		case address.Origin == "DOCKER_HOST", address.Origin == "CONTAINER_HOST":
			return problem("engine", "%v", err).mend("unset %s", address.Origin)
		case address.Origin != "default":
			return problem("engine", "%v", err).mend("docker context use default")
		case errors.Is(tried.Err, os.ErrPermission):
			return problem("engine", "%v", err).mend("sudo usermod -aG docker \"$USER\" && newgrp docker")
		default:
			return problem("engine", "%v", err).mend("sudo systemctl start %s", tried.Name)
		}
	}
	return warning("engine", "%v: processes of this machine can be measured, containers cannot", err)
}

// endpoints checks what else may lead test programs to another engine than covify uses.
func (m Machine) endpoints() []Check {
	const name = "endpoint"
	used, err := runner.DockerEndpoint(m.Host)
	if err != nil {
		mend := "docker context use default"
		if name, set := m.Lookup("DOCKER_CONTEXT"); set && name != "" {
			mend = "unset DOCKER_CONTEXT"
		}
		return []Check{problem(name, "%v", err).mend(mend)}
	}
	var all []Check
	file := filepath.Join(m.Host.Home, ".testcontainers.properties")
	if host := property(file, "tc.host"); host != "" && host != used.Address {
		all = append(all, warning(name, "tc.host=%s in %s beats DOCKER_HOST: what testcontainers starts runs there, and covify uses %s", host, file, used.Address).
			mend("sed -i '/^ *tc.host/d' %s", runner.ShellLine([]string{file})))
	}
	if used.Origin != "DOCKER_HOST" {
		return all
	}
	without := m.Host
	without.Env = func(name string) string {
		if name == "DOCKER_HOST" || m.Host.Env == nil {
			return ""
		}
		return m.Host.Env(name)
	}
	if other, err := runner.DockerEndpoint(without); err == nil && other.Origin != "default" && other.Address != used.Address {
		all = append(all, warning(name, "DOCKER_HOST=%s beats the %s (%s)", used.Address, other.Origin, other.Address).mend("unset DOCKER_HOST"))
	}
	return all
}

// property reads a value of a Java properties file, as far as addresses need it.
func property(file, key string) string {
	text, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer text.Close()
	for lines := bufio.NewScanner(text); lines.Scan(); {
		name, value, found := strings.Cut(lines.Text(), "=")
		if found && strings.TrimSpace(name) == key {
			return strings.TrimSpace(strings.ReplaceAll(value, `\`, ""))
		}
	}
	return ""
}

// python checks that something can make reports.
func (m Machine) python(ctx context.Context) Check {
	python, err := m.Python(ctx)
	if err != nil {
		return warning("python", "no Python of this machine can make reports: %v", err).mend("covify report --image VARIANT")
	}
	if python.Path == "" {
		return ok("python", "%s makes reports", strings.Join(python.Command, " "))
	}
	return ok("python", "%s makes reports, with coverage in %s", strings.Join(python.Command, " "), python.Path)
}

// hook checks the hook in this machine's own interpreters, which covify test does without.
func (m Machine) hook(ctx context.Context) []Check {
	const name = "host hook"
	report, err := hosthook.Look(ctx, m.Targets, m.Hooks)
	if report == nil {
		return []Check{skipped(name, "%v", err)}
	}
	var all []Check
	for _, s := range report.Hooks {
		where := []string{"--python", s.Command}
		if s.Venv != "" {
			where = []string{"--venv", s.Venv}
		}
		said := s.Environment + ": " + string(s.State)
		if len(s.Problems) > 0 {
			said += ": " + s.Problems[0]
		}
		switch s.State {
		case hosthook.None:
		case hosthook.Active:
			all = append(all, ok(name, "%s, coverage %s", said, s.Coverage))
		case hosthook.Inactive:
			all = append(all, warning(name, "%s", said).fix(append([]string{"host", "remove"}, where...)...))
		case hosthook.Gone:
			all = append(all, warning(name, "%s", said).fix("host", "remove"))
		default:
			all = append(all, problem(name, "%s", said).fix(append([]string{"host", "inject"}, where...)...))
		}
	}
	for _, dir := range report.Leftovers {
		all = append(all, warning(name, "%s is used by no hook", dir).fix("host", "remove"))
	}
	if len(all) == 0 {
		return []Check{ok(name, "in no interpreter; covify test needs none")}
	}
	return all
}

// data checks what has come to the checkout.
func (m Machine) data(ctx context.Context) []Check {
	var dirs []string
	for _, dir := range []string{filepath.Join(m.Root, runner.DefaultDataDir), session.Base(m.Root)} {
		if f := look([]string{dir}); len(f.data)+len(f.notes)+len(f.empty) > 0 {
			dirs = append(dirs, dir)
		}
	}
	if len(dirs) == 0 {
		return []Check{skipped("data", "none has come to %s yet: covify test -- CMD, or covify run IMAGE", filepath.Join(m.Root, ".covify"))}
	}
	return Data{Dirs: dirs, Root: m.Root, Config: m.RCFile, Python: m.Python, Contents: m.Contents}.Checks(ctx)
}
