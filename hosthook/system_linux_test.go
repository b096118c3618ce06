package hosthook_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/covify/covify/hosthook"
	"golang.org/x/sys/unix"
)

// TestDebianSystemPython is about the real one of this machine, with an overlay over its site directory that only this test sees.
func TestDebianSystemPython(t *testing.T) {
	const python = "/usr/bin/python3"
	version, err := exec.Command(python, "-c", "import sys; print('python%d.%d' % sys.version_info[:2], end='')").Output()
	if _, debian := os.Stat("/usr/lib/python3/dist-packages"); err != nil || debian != nil {
		t.Skip("no Debian's Python on this machine")
	}
	r := newRig(t)
	site := filepath.Join("/usr/local/lib", string(version), "dist-packages")
	must(t, errors.Join(os.MkdirAll(r.dir+"/upper", 0o755), os.MkdirAll(r.dir+"/work", 0o755)))
	// The mounts are this thread's alone, and of the processes it starts; it ends with the goroutine.
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		t.Skipf("no mounts of one's own: %v", err)
	}
	must(t, unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	if err := unix.Mount("covify", site, "overlay", 0, "lowerdir="+site+",upperdir="+r.dir+"/upper,workdir="+r.dir+"/work"); err != nil {
		t.Skipf("no overlay over %s: %v", site, err)
	}
	t.Cleanup(func() { _ = unix.Unmount(site, 0) })
	r.cycle(hosthook.Target{Python: python}, python, site)
	if entries, err := os.ReadDir(r.dir + "/upper"); err != nil || len(entries) != 0 {
		for _, e := range entries {
			if info, _ := e.Info(); info.Mode()&os.ModeCharDevice == 0 { // an overlay's note that a file is gone
				t.Errorf("left over the system's directory: %v %v", e, err)
			}
		}
	}
}
