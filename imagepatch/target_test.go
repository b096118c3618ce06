package imagepatch_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/covify/covify/imagepatch"
)

// TestUnwritable writes where nothing can be, and beside what must stay.
func TestUnwritable(t *testing.T) {
	r := newRegistry(t)
	r.Put("app:1.0", app(false).Image())
	dir := t.TempDir()
	for _, keep := range []string{"file", "folder/file"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, keep)), 0o755); err != nil {
			t.Fatal(err)
		}
		save(t, filepath.Join(dir, keep), []byte("mine"))
	}
	pipe := filepath.Join(dir, "pipe") // stands for a device, which root could replace
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dst := range []string{"oci:" + dir + "/none/layout:1", "oci:" + dir + "/file/layout:1", "oci:" + dir + "/folder:1", "oci:" + dir + "/file:1",
		"oci-archive:" + dir + "/none/a.tar", "oci-archive:" + dir + "/folder", "docker-archive:" + dir + "/file/a.tar", "docker-archive:" + pipe} {
		_, err := imagepatch.Patch(t.Context(), parse(t, "docker://"+r.Host+"/app:1.0"), parse(t, dst), options(t))
		if err == nil || !strings.Contains(err.Error(), "writing "+dst) {
			t.Errorf("%s: %v", dst, err)
		}
	}
	if info, err := os.Stat(pipe); err != nil || info.Mode().IsRegular() {
		t.Errorf("the pipe: %v, %v", info, err)
	}
	var left []string
	for _, at := range []string{dir + "/*", dir + "/.*", dir + "/folder/*", dir + "/folder/.*"} {
		found, err := filepath.Glob(at)
		if err != nil {
			t.Fatal(err)
		}
		left = append(left, found...)
	}
	if len(left) != 4 {
		t.Errorf("left behind: %v", left)
	}
}

// TestWrittenThrough replaces an archive through a link to it, and keeps its mode.
func TestWrittenThrough(t *testing.T) {
	r := newRegistry(t)
	r.Put("app:1.0", app(false).Image())
	dir := t.TempDir()
	file, link := save(t, filepath.Join(dir, "file.tar"), []byte("old")), filepath.Join(dir, "link.tar")
	if err := errors.Join(os.Chmod(file, 0o640), os.Symlink("file.tar", link)); err != nil {
		t.Fatal(err)
	}
	patch(t, options(t), "docker://"+r.Host+"/app:1.0", "oci-archive:"+link)
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is %v, %v", info.Mode(), err)
	}
	if info, err := os.Lstat(file); err != nil || info.Mode() != 0o640 || info.Size() < 1000 {
		t.Errorf("the file is %v, %v", info, err)
	}
}
