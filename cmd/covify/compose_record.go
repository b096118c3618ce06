package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/covify/covify/runner"
	"github.com/covify/covify/session"
)

// projectContainer is one of a project's, as compose ps knows it.
type projectContainer struct {
	ID, Name, Service, Image, State string
	ExitCode                        int
}

func (c projectContainer) running() bool {
	return slices.Contains([]string{"running", "paused", "restarting"}, c.State)
}

// containers are those of a project, by their IDs.
type containers map[string]projectContainer

// containers asks compose about the project's containers. A project that compose cannot name has none.
func (p *composer) containers(ctx context.Context) containers {
	text, err := p.askQuietly(ctx, io.Discard, "ps", "--all", "--no-trunc", "--format", "json")
	if err != nil {
		return nil
	}
	found := containers{}
	decoder := json.NewDecoder(bytes.NewReader(text)) // one after the other, or one list in compose before 2.21
	for {
		var raw json.RawMessage
		if decoder.Decode(&raw) != nil {
			return found
		}
		var list []projectContainer
		if json.Unmarshal(raw, &list) != nil {
			var one projectContainer
			_ = json.Unmarshal(raw, &one)
			list = []projectContainer{one}
		}
		for _, c := range list {
			found[c.ID] = c
		}
	}
}

// enterService opens a service's record: the one of a container that is still there, so that its data go on to where they went,
// else a new one.
func (p *composer) enterService(s *service, before containers) error {
	if p.member == nil {
		return nil
	}
	if p.line.Command.Name != "run" || !slices.Contains(p.line.Command.Services, s.name) {
		entries, err := p.member.Entries()
		if err != nil {
			return err
		}
		for _, entry := range entries {
			if c, there := before[entry.Container]; there && entry.Service == s.name && c.Service == s.name {
				s.entry = entry
				return nil
			}
		}
	}
	var err error
	if s.entry, err = p.member.NewEntry(s.image); err != nil {
		return err
	}
	s.entry.Service, s.entry.Engine = s.name, p.engine.Name
	return s.entry.Write()
}

// refuse notes that the services were not started.
func (p *composer) refuse(services []*service, why error) error {
	var err error
	for _, s := range services {
		if s.entry == nil || s.entry.Container != "" {
			continue // what was there before is as it was
		}
		s.entry.Image, s.entry.Ending, s.entry.Ended, s.entry.Reason = s.image, session.NotStarted, time.Now(), why.Error()
		err = errors.Join(err, s.entry.Write())
	}
	return err
}

// printed notes that the services are for others to start.
func (p *composer) printed(services []*service) error {
	for _, s := range services {
		if s.entry == nil {
			continue
		}
		s.describe()
		if s.entry.Container == "" && p.line.Command.Name != "run" {
			s.entry.Name = s.first
		}
		s.entry.Ending = session.Printed
		if err := s.entry.Write(); err != nil {
			return err
		}
	}
	return nil
}

// describe puts what is known of the service into its record.
func (s *service) describe() {
	s.entry.Image, s.entry.Reason, s.entry.NotPython = s.image, "", false
	if s.job == nil {
		s.entry.DataDir = ""
		s.entry.Reason, s.entry.NotPython = whyUnmeasured(s.why)
		return
	}
	s.entry.Variant, s.entry.Digest, s.entry.DataDir = s.job.Variant, s.job.Digest(), s.job.DataDir
	s.entry.Reason, s.entry.NotPython = s.job.Foreseen()
	if s.entry.DataDir == "" {
		s.entry.Reason = "its data stay in a volume or in the container"
	}
}

// started notes what became of the services that a command was to start, and returns the command's own failure.
func (p *composer) started(services []*service, before, after containers, failed error) error {
	known, err := p.member.Entries()
	if err != nil {
		return errors.Join(failed, err)
	}
	for _, s := range services {
		s.describe()
		mine := p.madeFor(s, before, after)
		if len(mine) == 0 {
			err = errors.Join(err, p.withoutContainer(s, failed))
		}
		for _, c := range mine {
			err = errors.Join(err, p.record(s, c, known))
		}
	}
	return errors.Join(failed, err)
}

// madeFor are the containers that run a service, those of compose run only if this is what was asked for.
func (p *composer) madeFor(s *service, before, after containers) []projectContainer {
	oneOff := p.line.Command.Name == "run" && slices.Contains(p.line.Command.Services, s.name)
	var mine []projectContainer
	for id, c := range after {
		if _, old := before[id]; c.Service == s.name && (!oneOff || !old) {
			mine = append(mine, c)
		}
	}
	slices.SortFunc(mine, func(a, b projectContainer) int { return strings.Compare(a.Name, b.Name) })
	return mine
}

// withoutContainer notes that a service has no container any more, or never had one.
func (p *composer) withoutContainer(s *service, failed error) error {
	e := s.entry
	e.Ended = time.Now()
	if p.line.Command.Name == "run" && slices.Contains(p.line.Command.Services, s.name) {
		e.Name = p.line.Command.Value("name")
		e.Ending, e.ExitCode = session.Exited, 0
		if failed != nil {
			e.ExitCode = exitCode(failed)
		}
		p.left(e)
		return e.Write()
	}
	e.Ending, e.Reason = session.NotStarted, cmp.Or(e.Reason, "compose started no container of it")
	return e.Write()
}

// record notes one container of a service: in the record that it has, in the service's own, or in one more.
func (p *composer) record(s *service, c projectContainer, known []*session.Entry) error {
	e := s.entry
	if i := slices.IndexFunc(known, func(k *session.Entry) bool { return k.Container == c.ID }); i >= 0 {
		began := known[i].Started
		known[i].Record, e = s.entry.Record, known[i]
		e.Started = began
	} else if e.Container != "" && e.Container != c.ID {
		e = e.Replica(c.ID[:min(12, len(c.ID))])
	}
	e.Name, e.Container, e.Service = c.Name, c.ID, s.name
	p.ending(e, c)
	return e.Write()
}

// ending notes whether a container runs, or how it ended and what it left.
func (p *composer) ending(e *session.Entry, c projectContainer) {
	switch {
	case c.running():
		e.Ending = session.Detached
	case c.State == "created":
		e.Ending, e.Reason = session.NotStarted, cmp.Or(e.Reason, "its container was made, but not started")
	default:
		e.Ending, e.ExitCode, e.Ended = session.Exited, c.ExitCode, time.Now()
		p.left(e)
	}
}

// left notes what an ended container left.
func (p *composer) left(e *session.Entry) {
	if e.DataDir == "" || e.NotPython {
		return
	}
	var reason string
	e.DataFiles, e.Notes, reason = runner.Left(e.DataDir, e.Started, e.ExitCode)
	e.Reason = cmp.Or(e.Reason, reason)
}

// summarize says what came of a command without a session.
func (p *composer) summarize(services []*service, after containers, began time.Time, failed error) error {
	var running, covered []string
	ended := p.line.Command.Name == "run"
	for _, s := range services {
		if s.job == nil || s.job.DataDir == "" {
			continue
		}
		ended = ended || after.has(s.name)
		files, notes, _ := runner.Left(s.job.DataDir, began, 0)
		for _, note := range notes {
			fmt.Fprintf(p.err, "covify: %s: %s\n", s.name, note)
		}
		switch {
		case after.has(s.name, projectContainer.running):
			running = append(running, s.name)
		case len(files) > 0:
			covered = append(covered, s.name)
		}
		if len(files) > 0 && s.job.Bind == nil {
			fmt.Fprintf(p.err, "covify: data of %s are in %s; covify combine takes them in by that path\n", s.name, shortened(s.job.DataDir))
		}
	}
	if len(running) > 0 {
		fmt.Fprintf(p.err, "covify: data of %s come to %s when covify compose down ends them\n", strings.Join(running, ", "), p.dataDir())
	}
	if len(covered) > 0 {
		fmt.Fprintf(p.err, "covify: data of %s have come to %s; covify report shows them\n", strings.Join(covered, ", "), p.dataDir())
	}
	if ended && len(running)+len(covered) == 0 && failed == nil && p.line.Command.Attached() {
		return errorf("no coverage data in %s: no measured Python process ended in the services", p.dataDir())
	}
	return failed
}

// has reports whether a service has a container of which all that is asked is true.
func (all containers) has(service string, asked ...func(projectContainer) bool) bool {
	for _, c := range all {
		if c.Service == service && !slices.ContainsFunc(asked, func(is func(projectContainer) bool) bool { return !is(c) }) {
			return true
		}
	}
	return false
}

func (p *composer) dataDir() string { return cmp.Or(p.line.DataDir, runner.DefaultDataDir) }

// change runs a command that can end containers, after what runs in them has been saved.
func (p *composer) change(ctx context.Context) error {
	p.files = p.line.Files
	if err := p.keepStdin(); err != nil {
		return err
	}
	before := p.containers(ctx)
	running := p.running(before)
	p.save(ctx, running)
	codes := p.awaitCodes(running)
	defer codes.stop()
	failed := p.run(p.words(p.line.Command.Words()...))
	if p.member == nil {
		return failed
	}
	return errors.Join(failed, p.ended(before, p.containers(context.WithoutCancel(ctx)), running, codes))
}

// running are those containers that run and are of a service that the command names, if it names any.
func (p *composer) running(all containers) containers {
	found := containers{}
	services := p.line.Command.Services
	for id, c := range all {
		if c.running() && (len(services) == 0 || slices.Contains(services, c.Service)) {
			found[id] = c
		}
	}
	return found
}

// save has what runs in containers of variants saved, all at once. What does not is named; it is no reason not to go on.
func (p *composer) save(ctx context.Context, running containers) {
	timeout := p.line.SaveTimeout
	if p.member != nil {
		timeout = cmp.Or(timeout, p.member.SaveTimeout)
	}
	var all sync.WaitGroup
	for id, c := range running {
		all.Go(func() {
			saved, err := p.engine.Save(ctx, id, runner.SaveOptions{Timeout: timeout})
			ended, other := new(runner.NotRunningError), new(runner.NotVariantError)
			if err != nil && !errors.Is(err, runner.ErrNotThere) && !errors.As(err, &ended) && !errors.As(err, &other) {
				fmt.Fprintf(p.err, "covify: %s: %v\n", c.Name, err)
			}
			for _, process := range saved {
				if failure := process.Failure(); failure != "" {
					fmt.Fprintf(p.err, "covify: %s: %s\n", c.Name, failure)
				}
			}
		})
	}
	all.Wait()
}

// exitCodes are those of containers that may be removed as soon as they have ended.
type exitCodes struct {
	codes map[string]chan int
	stop  context.CancelFunc
}

// awaitCodes begins to wait for the ends of containers.
func (p *composer) awaitCodes(running containers) exitCodes {
	ctx, stop := context.WithCancel(context.Background())
	x := exitCodes{map[string]chan int{}, stop}
	if p.member == nil {
		return x // nobody asks
	}
	for id := range running {
		told := make(chan int, 1)
		x.codes[id] = told
		go func() {
			text, err := exec.CommandContext(ctx, p.engine.Path, "wait", id).Output()
			if code, wrong := strconv.Atoi(strings.TrimSpace(string(text))); err == nil && wrong == nil {
				told <- code
			}
			close(told)
		}()
	}
	return x
}

// of is the exit code of a container that has ended, if it is known.
func (x exitCodes) of(id string) (code int, known bool) {
	select {
	case code, known = <-x.codes[id]:
	case <-time.After(time.Second):
	}
	return code, known
}

// ended notes how those of the session's containers ended that do not run any more, and which run again.
func (p *composer) ended(before, after, running containers, codes exitCodes) error {
	known := containers{}
	for id, c := range before {
		if !c.running() {
			known[id] = c // it had ended by itself; it may be removed now
		}
	}
	maps.Copy(known, after)
	entries, err := p.member.Entries()
	for _, e := range entries {
		_, was := running[e.Container]
		c, there := known[e.Container]
		if e.Container == "" || (!was && !there) || c.running() == (e.Ending == session.Detached) {
			continue
		}
		if !there {
			c.State = "exited"
			if code, known := codes.of(e.Container); known {
				c.ExitCode = code
			}
		}
		p.ending(e, c)
		err = errors.Join(err, e.Write())
	}
	return err
}
