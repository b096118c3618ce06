package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/covify/covify/runner"
	"github.com/covify/covify/session"
)

// settle has those of a session's containers that still run save what they measured, and leaves them running; of those that ended
// unseen it notes how.
func settle(ctx context.Context, stderr io.Writer, s *session.Session, timeout time.Duration) {
	entries, err := (&session.Member{About: s.About, Dir: s.Dir}).Entries()
	if err != nil {
		fmt.Fprintf(stderr, "covify: reading what is known of the containers: %v\n", err)
	}
	open := slices.DeleteFunc(entries, func(e *session.Entry) bool {
		return cmp.Or(e.Container, e.Name) == "" || !slices.Contains([]session.Ending{session.Running, session.Detached, session.Printed}, e.Ending)
	})
	engineOf := enginesOnce()
	var group sync.WaitGroup
	for _, e := range open {
		engine, err := engineOf(ctx, e.Engine)
		if err != nil {
			fmt.Fprintf(stderr, "covify: %s: what became of it is not known: %v\n", e.Image, err)
			continue
		}
		group.Go(func() {
			settleOne(ctx, engine, e, timeout)
			_ = e.Write() // the folder is the session's own
		})
	}
	group.Wait()
}

func settleOne(ctx context.Context, engine runner.Engine, e *session.Entry, timeout time.Duration) {
	c, err := engine.Container(ctx, cmp.Or(e.Container, e.Name))
	switch {
	case errors.Is(err, runner.ErrNotThere):
		if e.Ending == session.Detached {
			e.Ended = time.Now() // and was removed: the data tell
		}
		return
	case err != nil:
		e.Notes = append(e.Notes, err.Error())
		return
	case e.Container == "" && c.DataDir() != e.DataDir:
		return // another one of that name
	}
	e.Container = c.ID
	var failed []string
	if e.Runs = c.Running; c.Running {
		failed = saveAtEnd(ctx, engine, c, e, timeout)
	} else {
		e.Ending, e.ExitCode, e.Ended = session.Exited, c.ExitCode, c.Ended
	}
	if e.DataDir == "" {
		return
	}
	files, notes, reason := runner.Left(e.DataDir, e.Started, e.ExitCode)
	e.DataFiles, e.Notes = files, append(notes, failed...)
	if !c.Running {
		e.Reason = cmp.Or(reason, e.Reason)
	}
}

// saveAtEnd has a container save, brings the data where they are not on this machine, and returns what went wrong, in words.
func saveAtEnd(ctx context.Context, engine runner.Engine, c runner.Container, e *session.Entry, timeout time.Duration) []string {
	saved, err := engine.Save(ctx, c.ID, runner.SaveOptions{Timeout: timeout})
	if err == nil && len(saved) == 0 {
		e.Reason = cmp.Or(e.Reason, "it runs on, and no measured Python process is in it")
	}
	if err == nil && len(saved) > 0 && (e.DataDir == "" || engine.Endpoint.Remote()) {
		if e.DataDir == "" {
			e.DataDir, e.Reason = e.Folder(), ""
		}
		_, err = engine.Fetch(ctx, c, e.DataDir, saved, false)
	}
	var words []string
	if err != nil {
		words = append(words, err.Error())
	}
	for _, process := range saved {
		if failure := process.Failure(); failure != "" {
			words = append(words, failure)
		}
	}
	return words
}
