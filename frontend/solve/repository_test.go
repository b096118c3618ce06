package solve

import (
	"os"
	"path/filepath"
	"testing"
)

func TestInRepository(t *testing.T) {
	top := t.TempDir()
	for _, dir := range []string{"repo/.git", "repo/services/a", "none"} {
		if err := os.MkdirAll(filepath.Join(top, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{"link": "repo/services", "repo/out": top + "/none"} {
		if err := os.Symlink(to, filepath.Join(top, link)); err != nil {
			t.Fatal(err)
		}
	}
	for dir, want := range map[string]string{
		"repo": ".", "repo/services/a": "services/a", "link/a": "services/a", "repo/out": "", "none": "", "missing": "",
	} {
		if got := inRepository(filepath.Join(top, dir)); got != want {
			t.Errorf("%s: %q, want %q", dir, got, want)
		}
	}
}
