package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/covify/covify/covdata"
	"github.com/covify/covify/plan"
	"github.com/covify/covify/runner"
)

// lastRun is the variant that covify run used last in a checkout. Where the machine has no Python, reports are made in it.
type lastRun struct {
	Engine string `json:"engine"`
	Image  string `json:"image"`
}

func lastRunFile(root string) string { return filepath.Join(root, ".covify", "last-run.json") }

// remember keeps the variant beside the data directory, if that is a checkout's own.
func (l lastRun) remember(dataDir string) {
	folder := filepath.Dir(dataDir)
	if filepath.Base(folder) != ".covify" {
		return
	}
	l.write(filepath.Dir(folder))
}

func (l lastRun) write(root string) {
	if data, err := json.Marshal(l); err == nil {
		_ = os.WriteFile(lastRunFile(root), data, 0o644) // only a convenience for machines without Python
	}
}

// pythonInImage is the newest Python of a variant, which brings coverage with it. It sees the checkout and the data at their own
// paths. image is a variant; "" is the one that covify run used last.
func pythonInImage(ctx context.Context, stderr io.Writer, image, root string, inputs []string) (covdata.Python, error) {
	last := lastRun{Image: image}
	if image == "" {
		data, err := os.ReadFile(lastRunFile(root))
		if err != nil || json.Unmarshal(data, &last) != nil {
			return covdata.Python{}, errors.New("no variant is known that could be used instead; --image names one")
		}
	}
	engine, err := runner.FindEngine(ctx, last.Engine, thisHost())
	if err != nil {
		return covdata.Python{}, err
	}
	found, err := engine.Image(ctx, last.Image, "")
	if err != nil {
		return covdata.Python{}, errorf("looking at %s for a Python: %w", last.Image, err)
	}
	python, err := newestPython(last.Image, found.Labels[plan.LabelPython])
	if err != nil {
		return covdata.Python{}, err
	}
	fmt.Fprintf(stderr, "covify: using Python %s of %s\n", python.Version, last.Image)
	mounts := []string{root}
	for _, dir := range inputs {
		if dir, err := filepath.Abs(dir); err == nil && !strings.HasPrefix(dir, root+string(filepath.Separator)) {
			mounts = append(mounts, dir)
		}
	}
	user := strconv.Itoa(os.Getuid()) + ":" + strconv.Itoa(os.Getgid())
	in := covdata.InContainer([]string{engine.Path, "run", "--user", user, "--workdir", root}, last.Image, python.Path, mounts)
	in.Path = python.Payload
	return in, nil
}

func newestPython(image, label string) (plan.Python, error) {
	var all []plan.Python
	if err := json.Unmarshal([]byte(label), &all); err != nil || len(all) == 0 {
		return plan.Python{}, errorf("%s is no variant: covify %[1]s makes one", image)
	}
	best := slices.MaxFunc(all, func(a, b plan.Python) int { return slices.Compare(numbers(a.Version), numbers(b.Version)) })
	if slices.Compare(numbers(best.Version), covdata.MinimumVersion[:]) < 0 {
		return plan.Python{}, errorf("the Pythons of %s are older than %d.%d", image, covdata.MinimumVersion[0], covdata.MinimumVersion[1])
	}
	return best, nil
}

func numbers(version string) []int {
	var all []int
	for part := range strings.SplitSeq(version, ".") {
		n, _ := strconv.Atoi(part)
		all = append(all, n)
	}
	return all
}
