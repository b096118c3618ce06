package session

import (
	"os"
	"path/filepath"
	"strings"
)

// Look tells without changing anything which sessions of a checkout are not over: the one that runs, nil if none does, and those whose
// covify was killed.
func Look(root string) (running *About, killed []Leftover) {
	killed = leftovers(Base(root))
	if len(killed) > 0 && held(lockFile(root)) {
		last := len(killed) - 1 // begun after the others were cleaned up
		running, killed = &killed[last].About, killed[:last]
	}
	return running, killed
}

// Stray is a process that was started in a session which is over.
type Stray struct {
	PID     int
	Command string
	Dir     string // of the session
}

// Strays are the processes of this user that a checkout's sessions left running. Their measuring ended with the session.
func Strays(root string) []Stray {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	var all []Stray
	for _, proc := range dirs {
		environ, err := os.ReadFile(filepath.Join(proc, "environ"))
		if err != nil {
			continue // another user's, or gone
		}
		dir := sessionOf(string(environ))
		if dir == "" || filepath.Dir(dir) != Base(root) {
			continue
		}
		if _, err := Join(dir); err == nil {
			continue
		}
		all = append(all, newStray(proc, dir))
	}
	return all
}

func sessionOf(environ string) string {
	for entry := range strings.SplitSeq(environ, "\x00") {
		if dir, is := strings.CutPrefix(entry, Variable+"="); is {
			return dir
		}
	}
	return ""
}

func newStray(proc, dir string) Stray {
	line, _ := os.ReadFile(filepath.Join(proc, "cmdline"))
	s := Stray{Command: strings.TrimSpace(strings.ReplaceAll(string(line), "\x00", " ")), Dir: dir}
	for _, digit := range filepath.Base(proc) {
		s.PID = 10*s.PID + int(digit-'0')
	}
	return s
}
