package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

const jobMeasure = "measure-job"

// command is a process to measure.
type command struct {
	Args []string
	Env  []string // added to bench's own
	Dir  string
}

func (c command) String() string { return strings.Join(c.Args, " ") }

// measured is what running commands one after the other took.
type measured struct {
	Wall time.Duration
	Peak int64 // bytes of the largest process
}

// measure runs commands by way of a process of its own: what wait4 tells of a child's memory includes its parent's at the
// time of the fork, so the parent has to be small.
func measure(ctx context.Context, commands ...command) (measured, error) {
	var m measured
	input, err := json.Marshal(commands)
	if err != nil {
		return m, err
	}
	self, err := os.Executable()
	if err != nil {
		return m, err
	}
	var stdout, stderr bytes.Buffer
	c := exec.CommandContext(ctx, self, jobMeasure)
	c.Stdin, c.Stdout, c.Stderr = bytes.NewReader(input), &stdout, &stderr
	if err := c.Run(); err != nil {
		return m, fmt.Errorf("%s%w", &stderr, err)
	}
	return m, json.Unmarshal(stdout.Bytes(), &m)
}

// measureJob is the process that measure starts: commands on stdin, measured on stdout.
func measureJob(ctx context.Context, stdin io.Reader, stdout io.Writer) error {
	var commands []command
	if err := json.NewDecoder(stdin).Decode(&commands); err != nil {
		return err
	}
	said, err := os.CreateTemp("", "bench-said-")
	if err != nil {
		return err
	}
	defer os.Remove(said.Name())
	defer said.Close()
	var m measured
	for _, c := range commands {
		x := exec.CommandContext(ctx, c.Args[0], c.Args[1:]...)
		x.Env, x.Dir = append(os.Environ(), c.Env...), c.Dir
		x.Stdout, x.Stderr = said, said
		start := time.Now()
		err := x.Run()
		m.Wall += time.Since(start)
		if err != nil {
			words, _ := os.ReadFile(said.Name())
			return fmt.Errorf("%s: %w\n%s", c, err, words)
		}
		usage := x.ProcessState.SysUsage().(*syscall.Rusage)
		m.Peak = max(m.Peak, usage.Maxrss<<10)
	}
	return json.NewEncoder(stdout).Encode(m)
}

// trial is one way to get a job done. ready brings about what has to be there, unmeasured, and returns what to measure.
type trial struct {
	name      string
	runs      int
	memory    bool // the memory of the command tells something
	uncounted bool // not sent through the proxy
	ready     func(ctx context.Context, registry string) ([]command, error)
}

// compare runs trials in turns, so that what disturbs the machine disturbs all of them alike, and once more through
// the counting proxy where there is one.
func compare(ctx context.Context, w *world, proxy *proxy, trials ...trial) ([]*result, error) {
	results := make([]*result, len(trials))
	rounds := 0
	for i, t := range trials {
		results[i] = &result{Name: t.name}
		rounds = max(rounds, t.runs)
	}
	for round := range rounds {
		for i, t := range trials {
			if round >= t.runs {
				continue
			}
			w.say("%s, run %d of %d", t.name, round+1, t.runs)
			m, err := t.once(ctx, w.opts.registry)
			if err != nil {
				return nil, err
			}
			results[i].add(m, t.memory)
		}
	}
	for i, t := range trials {
		if proxy == nil || t.uncounted {
			continue
		}
		w.say("%s, counted", t.name)
		if err := count(ctx, proxy, t, results[i]); err != nil {
			return nil, err
		}
	}
	return results, nil
}

func (t *trial) once(ctx context.Context, registry string) (measured, error) {
	commands, err := t.ready(ctx, registry)
	if err != nil {
		return measured{}, fmt.Errorf("%s: %w", t.name, err)
	}
	m, err := measure(ctx, commands...)
	if err != nil {
		return m, fmt.Errorf("%s: %w", t.name, err)
	}
	return m, nil
}

func count(ctx context.Context, proxy *proxy, t trial, r *result) error {
	commands, err := t.ready(ctx, proxy.address)
	if err != nil {
		return fmt.Errorf("%s: %w", t.name, err)
	}
	proxy.reset()
	if _, err := measure(ctx, commands...); err != nil {
		return fmt.Errorf("%s: %w", t.name, err)
	}
	traffic := proxy.read()
	r.Traffic = &traffic
	return nil
}

// result is what came of a trial.
type result struct {
	Name    string
	Seconds []float64
	Peak    int64    `json:",omitempty"` // bytes, the highest of all runs
	Traffic *traffic `json:",omitempty"`
}

func (r *result) add(m measured, memory bool) {
	r.Seconds = append(r.Seconds, m.Wall.Seconds())
	if memory {
		r.Peak = max(r.Peak, m.Peak)
	}
}

// median is that of the runs, in seconds.
func (r *result) median() float64 {
	s := slices.Sorted(slices.Values(r.Seconds))
	if len(s) == 0 {
		return 0
	}
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}

// paired compares the runs of two trials turn by turn and returns where the median of f lies with 95 % confidence, by
// order statistics; nil for too few turns.
func (r *result) paired(other *result, f func(mine, theirs float64) float64) *span {
	n := len(r.Seconds)
	if n < 6 || n != len(other.Seconds) {
		return nil
	}
	values := make([]float64, n)
	for i, s := range r.Seconds {
		values[i] = f(s, other.Seconds[i])
	}
	slices.Sort(values)
	low := max(0, int((float64(n)-1.96*math.Sqrt(float64(n)))/2)-1)
	return &span{values[low], values[n-1-low]}
}
