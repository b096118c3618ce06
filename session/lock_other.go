//go:build !unix

package session

import (
	"errors"
	"os"
)

// lock is a file that no other process can open for writing while it is there.
type lock struct {
	file *os.File
	path string
}

var errHeld = errors.New("held by another process")

func acquire(path string) (*lock, error) {
	_ = os.Remove(path) // fails while it is open
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, os.ErrExist) {
		return nil, errHeld
	}
	if err != nil {
		return nil, err
	}
	return &lock{file, path}, nil
}

func (l *lock) release() error { return errors.Join(l.file.Close(), os.Remove(l.path)) }

func holder(string) string { return "" }

func held(path string) bool {
	_, err := os.Stat(path)
	return err == nil && os.Remove(path) != nil
}
