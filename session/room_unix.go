//go:build unix

package session

import "golang.org/x/sys/unix"

// room is how many bytes are free at a folder for this user.
func room(dir string) (free uint64, known bool) {
	var f unix.Statfs_t
	if err := unix.Statfs(dir, &f); err != nil {
		return 0, false
	}
	return f.Bavail * uint64(f.Bsize), true
}
