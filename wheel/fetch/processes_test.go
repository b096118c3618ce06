package fetch

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

const workerURL, workerCache = "COVIFY_TEST_INDEX", "COVIFY_TEST_CACHE"

// TestMain lets the test binary be one of the processes that share a cache.
func TestMain(m *testing.M) {
	if at := os.Getenv(workerURL); at != "" {
		os.Exit(work(at, os.Getenv(workerCache)))
	}
	os.Exit(m.Run())
}

func work(at, cache string) int {
	for range 20 {
		source := &Source{CacheDir: cache, Index: Index{URL: at}}
		if _, err := source.Payload(context.Background(), cp313, ""); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		// Take the files away again, so that every round is a race.
		found, _ := filepath.Glob(filepath.Join(cache, "wheels", "*", "*.whl"))
		for _, file := range found {
			_ = os.Remove(file)
		}
	}
	return 0
}

// TestSeveralProcessesShareACache runs processes that fill, read and empty one
// cache at the same time; none may see half a file.
func TestSeveralProcessesShareACache(t *testing.T) {
	w := newWorld(t)
	name, data := tinyWheel(t, "7.1")
	w.serve("/simple/coverage/", "text/html", fmt.Appendf(nil, `<a href="/%s#sha256=%s">`, name, sum(data)))
	w.serve("/"+name, "application/octet-stream", data)
	cache := t.TempDir()
	var group sync.WaitGroup
	for range 6 {
		group.Go(func() {
			worker := exec.Command(os.Args[0])
			worker.Env = append(os.Environ(), workerURL+"="+w.URL+"/simple", workerCache+"="+cache)
			if out, err := worker.CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	group.Wait()
	if left, _ := filepath.Glob(filepath.Join(cache, "*", "*", ".new-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
