package session

import "fmt"

// dataFileSize is what the smallest data file takes.
const dataFileSize = 53 << 10

// FullError says that there was no room for a session's data.
type FullError struct {
	Dir  string
	Free uint64 // bytes
}

func (e *FullError) Error() string {
	return fmt.Sprintf("the filesystem of %s is full (%d KB free): data are lost or cannot be combined", e.Dir, e.Free>>10)
}

// Hint says what the user can do about it.
func (e *FullError) Hint() string {
	return "make room and run it again: a process needs 53 KB at least, and the combined data need room too"
}

// Full returns a *FullError if there is no room for another data file.
func (s *Session) Full() error {
	if free, known := room(s.Dir); known && free < dataFileSize {
		return &FullError{s.Dir, free}
	}
	return nil
}
