package session

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/covify/covify/covdata"
	"github.com/covify/covify/runner/rcfile"
)

func open(t *testing.T, root string) *Session {
	t.Helper()
	config, err := rcfile.Find(rcfile.Place{Dir: root})
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(Options{Root: root, Command: []string{"x"}, Config: config, Own: filepath.Join(root, ".coverage"), Coverage: []string{"false"}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestOneSessionAtATime(t *testing.T) {
	root := t.TempDir()
	first := open(t, root)
	_, err := Open(Options{Root: root})
	if busy := new(BusyError); !errors.As(err, &busy) {
		t.Fatalf("got %v, want a *BusyError", err)
	}
	if member, err := Join(first.Dir); err != nil || member.Root != root {
		t.Fatalf("joining a running session: %+v, %v", member, err)
	}
	if left := CleanUp(root); left != nil {
		t.Fatalf("cleaned up a running session: %v", left)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Join(first.Dir); !errors.Is(err, ErrOver) {
		t.Fatalf("joining one that is over: %v", err)
	}
	second := open(t, root)
	if len(second.Left) != 0 {
		t.Errorf("a session that ended counts as killed: %v", second.Left)
	}
	if _, err := os.Stat(first.Dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the first session's folder is still there: %v", err)
	}
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestLeftoverOfAKilledSession(t *testing.T) {
	root := t.TempDir()
	killed := open(t, root)
	write(t, filepath.Join(killed.Dir, hostName, ".coverage.x"), "data")
	if err := killed.lock.release(); err != nil { // as the kernel does
		t.Fatal(err)
	}
	left := CleanUp(root)
	if len(left) != 1 || left[0].Data != 1 {
		t.Fatalf("left %+v", left)
	}
	if _, err := os.Stat(filepath.Join(killed.Dir, pythonName)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the hook is still there: %v", err)
	}
	if again := CleanUp(root); again != nil {
		t.Errorf("cleaned up twice: %v", again)
	}
}

func TestEnv(t *testing.T) {
	s := open(t, t.TempDir())
	got := s.Env([]string{"A=1", "PYTHONPATH=/p", "COVERAGE_PROCESS_START=/other", "COVERAGE_PROCESS_CONFIG=x", "COVIFY_CHILD=1", "COVIFY_SESSION=/old", "TOX_OVERRIDE=a.b=c"})
	want := []string{"COVIFY_SESSION=" + s.Dir, "COVERAGE_PROCESS_START=" + s.Dir + "/coveragerc", "A=1", "PYTHONPATH=" + s.Dir + "/python:/p", "TOX_OVERRIDE=a.b=c;" + toxOverride}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestOwnData(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{".coverage", ".coverage.old", ".coveragerc"} {
		write(t, filepath.Join(root, name), "[run]\n")
	}
	s := open(t, root)
	for _, name := range []string{".coverage", ".coverage.new", ".coverage.new-journal", ".coveragerc", ".coverage_other"} {
		write(t, filepath.Join(root, name), "changed since")
	}
	want := []string{filepath.Join(root, ".coverage"), filepath.Join(root, ".coverage.new")}
	if got := s.ownData(); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// given is a source as a later one would be.
type given []Record

func (g given) Records() ([]Record, error) { return g, nil }

func TestLedger(t *testing.T) {
	s := open(t, t.TempDir())
	defer s.Close()
	member, err := Join(s.Dir)
	if err != nil {
		t.Fatal(err)
	}
	var folders []covdata.Folder
	for _, image := range []string{"registry.example:5000/team/shop:1", "silent:1", "shell"} {
		entry, err := member.NewEntry(image)
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(entry.DataDir); err != nil || info.Mode().Perm() != 0o777 {
			t.Errorf("data directory: %v, %v", info, err)
		}
		entry.Ending = Exited
		switch image {
		case "silent:1":
			entry.Reason = "it was killed"
		case "shell":
			entry.Reason, entry.NotPython = "its command is a shell's", true
		default:
			folders = append(folders, covdata.Folder{Path: entry.DataDir, DataFiles: 1, Files: 2, Lines: 30})
		}
		if err := entry.Write(); err != nil {
			t.Fatal(err)
		}
	}
	s.Sources = append(s.Sources, given{{Image: "late", Service: "web", Ending: Detached}})
	folders = append(folders, covdata.Folder{Path: filepath.Join(s.Dir, hostName), DataFiles: 1, Files: 1, Lines: 1})
	ledger := s.Ledger(0, folders)
	want := `host: covered, 1 line, 1 file
web (late): pending: it was started with -d, and no data had come when the session ended
registry.example:5000/team/shop:1: covered, 30 lines, 2 files
silent:1: nothing covered: it was killed
shell: not Python: its command is a shell's`
	if got := strings.Join(ledger.Words(), "\n"); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	for name, silent := range map[string]bool{"host": false, "shop": false, "registry.example:5000/team/shop": false, "silent": true, "web": true,
		"shell": true, "nobody": true} {
		if got := ledger.Silent([]string{name}); (len(got) > 0) != silent {
			t.Errorf("--require %s: %q", name, got)
		}
	}
}

func TestEnds(t *testing.T) {
	for _, c := range []struct {
		line       Line
		word, page string
	}{
		{Line{Record: Record{Service: "web", Ending: Exited, ExitCode: 143}, Outcome: Covered}, "", "stopped"},
		{Line{Record: Record{Service: "cache", Ending: Exited, ExitCode: 137}, Outcome: NotPython}, "", "stopped"},
		{Line{Record: Record{Service: "web", Ending: Exited, ExitCode: 137}, Outcome: Failed}, " [exit code 137]", "exited with 137"},
		{Line{Record: Record{Service: "web", Ending: Exited, ExitCode: 1}, Outcome: Covered}, " [exit code 1]", "exited with 1"},
		{Line{Record: Record{Ending: Exited, ExitCode: 143}, Outcome: Covered}, " [exit code 143]", "exited with 143"},
		{Line{Record: Record{Ending: Exited}, Outcome: Covered}, "", "exited with 0"},
		{Line{Record: Record{Ending: Detached, Runs: true}, Outcome: Covered}, " [runs on]", "runs on"},
		{Line{Record: Record{Ending: Detached}, Outcome: Covered}, " [detached]", "detached"},
		{Line{Record: Record{Service: "web", Ending: Detached, Ended: time.Now()}, Outcome: Covered}, "", "removed"},
		{Line{Record: Record{Ending: NotStarted}, Outcome: NotPython}, "", "not started"},
	} {
		if got := c.line.ending(); got != c.word {
			t.Errorf("%+v: got %q, want %q", c.line, got, c.word)
		}
		if got := c.line.End(); got != c.page {
			t.Errorf("%+v: the page has %q, want %q", c.line, got, c.page)
		}
	}
}

func TestPage(t *testing.T) {
	digest := "sha256:0d86c186fa0b1aea05cb65faa4d1c2cd19efa885b2428d61051d56c59d4a5db9"
	ledger := Ledger{Command: []string{"pytest", "-k", "a<b"}, Host: HostLine{Outcome: Covered, Files: 10, Lines: 136}, Containers: []Line{
		{Record: Record{Image: "shop/catalog:latest", Service: "catalog", Digest: digest, Ending: Exited, ExitCode: 143}, Outcome: Covered, Files: 2, Lines: 27},
		{Record: Record{Image: "shop/prices:latest", Service: "prices", Ending: Exited, ExitCode: 143}, Outcome: NotPython, Why: "no Python found in the image"},
		{Record: Record{Image: "shop/batch:latest", Name: "batch", Digest: digest, Ending: Exited, ExitCode: 3}, Outcome: Failed, Why: "it left no data"},
	}}
	path := filepath.Join(t.TempDir(), "ledger.html")
	if err := ledger.WritePage(path); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`<code>pytest -k a&lt;b</code>`, `<code title="` + digest + `">0d86c186fa0b</code>`, `<td class="e">stopped</td>`, `<td class="e">exited with 3</td>`,
		`<td>no Python found in the image</td>`, `<a href="index.html">`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %s in:\n%s", want, text)
		}
	}
}

func TestTargetOf(t *testing.T) {
	for suffix, want := range map[string]string{
		".cpython-313-x86_64-linux-gnu.so":      "CPython 3.13 (cp313, glibc, x86_64)",
		".cpython-313t-aarch64-linux-gnu.so":    "CPython 3.13 (cp313t, glibc, aarch64)",
		".cpython-313-x86_64-linux-musl.so":     "CPython 3.13 (cp313, musl, x86_64)",
		".cpython-313-powerpc64le-linux-gnu.so": "CPython 3.13 (cp313, glibc, ppc64le)",
		".cpython-313-darwin.so":                "CPython 3.13",
		".pypy310-pp73-x86_64-linux-gnu.so":     "CPython 3.13",
		"":                                      "CPython 3.13",
	} {
		got, err := TargetOf("3.13", suffix)
		if err != nil || got.String() != want {
			t.Errorf("%q: got %s, %v, want %s", suffix, got, err, want)
		}
	}
	if _, err := TargetOf("three", ""); err == nil {
		t.Error("no error for a version that is none")
	}
}
