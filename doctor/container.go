package doctor

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/covify/covify/covdata"
	"github.com/covify/covify/plan"
	"github.com/covify/covify/runner"
)

// Container is a container as its engine describes it.
type Container struct {
	runner.Inspection
	Engine runner.Engine
	Image  func(context.Context) ([]Check, error) // the checks of its image
	Root   string                                 // the checkout
	Python func(context.Context) (covdata.Python, error)
	// Contents asks for files of images, as Data's.
	Contents covdata.Contents
}

//go:embed probe.py
var probe string

// Checks examines the container, and where it does not run any more, its image.
func (c Container) Checks(ctx context.Context) []Check {
	checks := []Check{c.state()}
	if c.Config.Labels[plan.LabelVersion] == "" {
		return append(checks, problem("variant", "its image %s is not covified: nothing in it measures", c.Config.Image).
			mend("%s", c.again()))
	}
	checks = append(checks, ok("variant", "%s, made by covify %s; it measures with coverage %s", c.Config.Image,
		c.Config.Labels[plan.LabelVersion], strings.ReplaceAll(c.Config.Labels[plan.LabelCoverage], ",", " and ")))
	checks = append(checks, c.environment(), c.mount(), c.user())
	checks = append(checks, c.command()...)
	if c.State.Running && !c.State.Paused {
		return append(checks, c.inside(ctx)...)
	}
	image, err := c.Image(ctx)
	if err != nil {
		image = []Check{skipped("image", "%v", err)}
	}
	image = slices.DeleteFunc(image, func(i Check) bool { return i.Name == "variant" || i.Name == "environment" }) // the container's are above
	return append(append(checks, image...), c.arrived(ctx)...)
}

// again is the command that starts the container anew, as far as that is known.
func (c Container) again() string {
	words := []string{"covify", "run"}
	if c.Name != "" {
		words = append(words, "--name", c.Name)
	}
	image := c.Config.Image
	return fmt.Sprintf("%s rm -f %s; %s  # and your other flags", c.Engine.Name, runner.ShellLine([]string{c.Name}), runner.ShellLine(append(words, image)))
}

func (c Container) state() Check {
	const name = "container"
	switch s := c.State; {
	case s.Paused:
		return warning(name, "it is paused").mend("%s unpause %s", c.Engine.Name, c.Name)
	case s.Running:
		return ok(name, "it runs, in %s; data come when its processes end", c.Engine.Name)
	case s.OOMKilled:
		return problem(name, "it was killed because it ran out of memory: what was not saved by then is lost").mend("%s", c.again())
	case s.ExitCode == 137:
		return warning(name, "it was killed (exit code 137, SIGKILL): what was not saved by then is lost").mend("%s", c.again())
	default:
		return ok(name, "it ended with exit code %d", s.ExitCode)
	}
}

func (c Container) environment() Check {
	check := environment(c.Config.Env, c.Config.Labels, "")
	if check.Outcome != OK {
		check = check.mend("%s", c.again())
	}
	return check
}

func (c Container) data() string { return path.Clean(dataDir(c.Config.Labels)) }

// mount checks what is mounted on the data directory.
func (c Container) mount() Check {
	const name = "mount"
	dir := c.data()
	for _, m := range c.Mounts {
		switch {
		case path.Clean(m.Destination) != dir:
		case !m.RW:
			return problem(name, "%s is mounted read-only: no data can be written", dir).mend("%s", c.again())
		case m.Type == "tmpfs":
			return problem(name, "%s is a tmpfs: the data are gone when it stops", dir).mend("%s", c.again())
		case m.Type == "volume":
			return ok(name, "data go to the volume %s", m.Name).mend("%s", c.copyOut())
		case c.Engine.Endpoint.Remote():
			return warning(name, "data go to %s on the engine's machine", m.Source).mend("%s", c.copyOut())
		default:
			return hostFolder(name, m.Source)
		}
	}
	if _, is := c.HostConfig.Tmpfs[dir]; is {
		return problem(name, "%s is a tmpfs: the data are gone when it stops", dir).mend("%s", c.again())
	}
	if c.HostConfig.ReadonlyRootfs {
		return problem(name, "its root filesystem is read-only and nothing is mounted on %s: no data can be written", dir).mend("%s", c.again())
	}
	return warning(name, "nothing is mounted on %s: the data stay in the container, and go with it", dir).mend("%s", c.copyOut())
}

func (c Container) copyOut() string {
	return fmt.Sprintf("mkdir -p .covify/data && %s cp %s:%s/. .covify/data", c.Engine.Name, runner.ShellLine([]string{c.Name}), c.data())
}

// hostFolder is the folder of this machine that a container's data go to.
func hostFolder(name, dir string) Check {
	info, err := os.Stat(dir)
	if err != nil {
		return warning(name, "data go to %s, which cannot be seen from here: %v", dir, err)
	}
	if info.Mode().Perm() != 0o777 {
		return warning(name, "data go to %s, whose mode is %#o, not 0777: users of containers other than its owner cannot write to it", dir, info.Mode().Perm()).
			mend("chmod 0777 %s", runner.ShellLine([]string{dir}))
	}
	return ok(name, "data go to %s", dir)
}

func (c Container) user() Check {
	who := "root"
	if c.Config.User != "" {
		who = "user " + c.Config.User
	}
	if c.HostConfig.ReadonlyRootfs {
		who += ", with a read-only root"
	}
	return ok("user", "%s", who)
}

// shells are programs that do not pass SIGTERM on to what they started.
var shells = []string{"sh", "bash", "dash", "ash", "busybox"}

// command says what becomes of the data when the container is stopped.
func (c Container) command() []Check {
	words := slices.Concat([]string(c.Config.Entrypoint), []string(c.Config.Cmd))
	if len(words) == 0 {
		return nil
	}
	line := line(words)
	if why := switchedOff(words); why != "" {
		return []Check{problem("command", "%s: %s", line, why).mend("%s %s", c.again(), withoutSwitch(words))}
	}
	switch program := path.Base(words[0]); {
	case !c.State.Running:
		return nil
	case slices.Contains(shells, program):
		return []Check{warning("command", "%s: its first process is a shell, which %s stop does not get past: what is not saved before is lost then", line, c.Engine.Name).
			mend("covify dump %s", runner.ShellLine([]string{c.Name}))}
	default:
		return []Check{ok("command", "%s", line)}
	}
}

// line shows a command in a line of its own.
func line(words []string) string {
	text, rest, cut := strings.Cut(strings.Join(words, " "), "\n")
	if cut = cut && strings.TrimSpace(rest) != ""; cut {
		text += " ..."
	}
	return text
}

// inside is what a Python in a container finds.
type inside struct {
	UID      int
	Time     float64
	Python   string
	Hook     string
	Coverage string
	Version  string
	Config   string
	Data     string
	Room     *struct{ Bytes, Inodes, Free uint64 }
	Files    *struct {
		Data  int
		Notes []string
	}
	Processes []process
}

type process struct {
	PID  int
	Argv []string
	Env  []string // COVERAGE_*; nil if another user's
}

// inside runs a Python of the container, as its user, that looks at everything from there.
func (c Container) inside(ctx context.Context) []Check {
	var pythons []plan.Python
	if err := json.Unmarshal([]byte(c.Config.Labels[plan.LabelPython]), &pythons); err != nil || len(pythons) == 0 {
		return []Check{skipped("hook", "the label %s names no Python", plan.LabelPython)}
	}
	config, _ := variable(c.Config.Env, "COVERAGE_PROCESS_START")
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	env := []string{"COVERAGE_PROCESS_START=", "COVERAGE_PROCESS_CONFIG="}
	before := time.Now()
	out, err := c.Engine.Exec(ctx, c.ID, env, pythons[0].Path, "-c", probe, c.data(), config)
	after := time.Now()
	if err != nil {
		return []Check{skipped("hook", "%v", err)}
	}
	_, text, marked := bytes.Cut(out, []byte("covify-doctor:"))
	var in inside
	if err := json.Unmarshal(bytes.TrimSpace(text), &in); err != nil || !marked {
		return []Check{skipped("hook", "%s in the container did not say what it found", pythons[0].Path)}
	}
	checks := []Check{c.hook(in), c.settings(in, config), c.writable(in)}
	if in.Room != nil {
		checks = append(checks, room(c.data()+" in the container", in.Room.Bytes, in.Room.Inodes, in.Room.Free))
	}
	checks = append(checks, clock("the container", between(before, after, in.Time)))
	checks = append(checks, c.processes(in)...)
	if in.Files != nil {
		checks = append(checks, c.files(in)...)
	}
	return append(checks, c.mapped(ctx)...)
}

// between is how far a clock that was read between two moments is behind; 0 if it may be right.
func between(before, after time.Time, seconds float64) time.Duration {
	then := time.Unix(0, int64(seconds*1e9))
	switch {
	case then.Before(before):
		return before.Sub(then)
	case then.After(after):
		return after.Sub(then)
	}
	return 0
}

func (c Container) hook(in inside) Check {
	if in.Hook != "" {
		return problem("hook", "Python %s does not find covify's hook: %s", in.Python, in.Hook).mend("covify %s && %s", c.Config.Image, c.again())
	}
	if in.Coverage != "" {
		return problem("hook", "Python %s cannot import coverage: %s", in.Python, in.Coverage).mend("covify %s && %s", c.Config.Image, c.again())
	}
	return ok("hook", "Python %s imports it, and coverage %s", in.Python, in.Version)
}

func (c Container) settings(in inside, config string) Check {
	if config == "" {
		return skipped("settings", "none are named")
	}
	if in.Config != "" {
		return problem("settings", "UID %d cannot use %s: %s", in.UID, config, in.Config).mend("%s", c.mendConfig(config))
	}
	return ok("settings", "%s, readable for UID %d", config, in.UID)
}

// mendConfig makes settings readable: they lie in the data directory, or in the image.
func (c Container) mendConfig(config string) string {
	for _, m := range c.Mounts {
		if m.Type == "bind" && path.Clean(m.Destination) == path.Dir(config) && !c.Engine.Endpoint.Remote() {
			return "chmod a+r " + runner.ShellLine([]string{path.Join(m.Source, path.Base(config))})
		}
	}
	return fmt.Sprintf("%s exec -u 0 %s chmod a+r %s", c.Engine.Name, runner.ShellLine([]string{c.Name}), config)
}

func (c Container) writable(in inside) Check {
	const name = "data directory"
	dir := c.data()
	switch {
	case in.Data == "":
		return ok(name, "%s, writable for UID %d", dir, in.UID)
	case strings.Contains(in.Data, "Read-only"):
		return problem(name, "UID %d cannot write to %s: %s", in.UID, dir, in.Data).mend("%s", c.again())
	}
	mend := fmt.Sprintf("%s exec -u 0 %s chmod 0777 %s", c.Engine.Name, runner.ShellLine([]string{c.Name}), dir)
	return problem(name, "UID %d cannot write to %s: %s", in.UID, dir, in.Data).mend("%s", mend)
}

// processes checks those of Python that run now.
func (c Container) processes(in inside) []Check {
	const name = "processes"
	measured, unknown := 0, 0
	var all []Check
	for _, p := range in.Processes {
		if len(p.Argv) == 0 || !strings.HasPrefix(path.Base(p.Argv[0]), "python") {
			continue
		}
		start, set := variable(p.Env, "COVERAGE_PROCESS_START")
		other, _ := variable(p.Env, "COVERAGE_PROCESS_CONFIG")
		switch why := switchedOff(p.Argv); {
		case why != "":
			all = append(all, warning(name, "process %d (%s): %s", p.PID, line(p.Argv), why))
		case p.Env == nil:
			unknown++
		case (!set || start == "") && other == "":
			all = append(all, warning(name, "process %d (%s) was started without COVERAGE_PROCESS_START: it is not measured", p.PID, line(p.Argv)))
		default:
			measured++
		}
	}
	said := count(measured, "Python process") + " with what switches measuring on"
	if measured != 1 {
		said = fmt.Sprintf("%d Python processes with what switches measuring on", measured)
	}
	if unknown > 0 {
		said += fmt.Sprintf(", %d of other users", unknown)
	}
	return append(all, ok(name, "%s", said))
}

// files tells what came to the data directory so far, as seen from inside.
func (c Container) files(in inside) []Check {
	var all []Check
	for _, note := range in.Files.Notes {
		all = append(all, warning("notes", "%s", strings.TrimPrefix(note, "covify: ")))
	}
	arrived := ok("data", "%s so far; covify dump has running processes save", count(in.Files.Data, "data file"))
	return append(all, arrived)
}

// folder is where the data are on this machine, "" if they are not.
func (c Container) folder() string {
	if c.Engine.Endpoint.Remote() {
		return ""
	}
	for _, m := range c.Mounts {
		if path.Clean(m.Destination) == c.data() && m.Source != "" {
			if _, err := os.ReadDir(m.Source); err == nil {
				return m.Source
			}
		}
	}
	return ""
}

// mapped checks the data that are on this machine already.
func (c Container) mapped(ctx context.Context) []Check {
	dir := c.folder()
	if dir == "" || len(look([]string{dir}).data) == 0 {
		return nil
	}
	d := Data{Dirs: []string{dir}, Root: c.Root, Python: c.Python, Contents: c.Contents}
	return d.combined(ctx, look([]string{dir}))
}

// arrived checks what a container that has ended left.
func (c Container) arrived(ctx context.Context) []Check {
	dir := c.folder()
	if dir == "" {
		return []Check{skipped("data", "not on this machine").mend("%s", c.copyOut())}
	}
	return Data{Dirs: []string{dir}, Root: c.Root, Python: c.Python, Contents: c.Contents}.Checks(ctx)
}

// Find returns the container of a name, nil if the engine has none.
func Find(ctx context.Context, engine runner.Engine, name string) (*runner.Inspection, error) {
	found, err := engine.Inspect(ctx, name)
	if errors.Is(err, runner.ErrNotThere) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &found, nil
}
