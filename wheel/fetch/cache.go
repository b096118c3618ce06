package fetch

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/covify/covify/wheel"
)

// cache keeps wheels and index pages below dir. A file appears by rename, so
// it is there whole or not at all, whoever else writes at the same time; what
// is read is verified, so nothing has to be locked or flushed.
type cache struct{ dir string }

var errNoCache = fmt.Errorf("no cache folder: %w", fs.ErrNotExist)

// wheel gives the cached bytes of file. Bytes that fail its checksum are removed.
func (c cache) wheel(file wheel.File) ([]byte, error) {
	if c.dir == "" || file.SHA256 == "" {
		return nil, errNoCache
	}
	data, err := os.ReadFile(c.wheelPath(file))
	if err != nil {
		return nil, err
	}
	if err := file.Verify(data); err != nil {
		return nil, errors.Join(err, os.Remove(c.wheelPath(file)))
	}
	return data, nil
}

func (c cache) has(file wheel.File) bool {
	if c.dir == "" || file.SHA256 == "" {
		return false
	}
	_, err := os.Stat(c.wheelPath(file))
	return err == nil
}

func (c cache) putWheel(file wheel.File, data []byte) error {
	if c.dir == "" {
		return nil
	}
	return writeWhole(c.wheelPath(file), data)
}

// The sum is part of the path: two indexes may hold different files of one name.
func (c cache) wheelPath(file wheel.File) string {
	return filepath.Join(c.dir, "wheels", filepath.Base(file.SHA256), filepath.Base(file.Name))
}

// page is what an index said of the project.
type page struct {
	ETag  string       `json:"etag,omitempty"`
	Files []wheel.File `json:"files"`
}

// page gives the last answer of the index at address, nil if none is known.
func (c cache) page(address string) *page {
	if c.dir == "" {
		return nil
	}
	data, err := os.ReadFile(c.pagePath(address))
	if err != nil {
		return nil
	}
	var known page
	if json.Unmarshal(data, &known) != nil || len(known.Files) == 0 {
		return nil
	}
	return &known
}

func (c cache) putPage(address string, p *page) error {
	if c.dir == "" || len(p.Files) == 0 {
		return nil
	}
	data, err := json.Marshal(p)
	if err != nil {
		return err
	}
	return writeWhole(c.pagePath(address), data)
}

func (c cache) pagePath(address string) string {
	sum := sha256.Sum256([]byte(address))
	return filepath.Join(c.dir, "index", hex.EncodeToString(sum[:])+".json")
}

// writeWhole puts data at path by way of a temporary file beside it.
func writeWhole(path string, data []byte) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(temp.Name())
		}
	}()
	_, err = temp.Write(data)
	if err = errors.Join(err, temp.Chmod(0o644), temp.Close()); err != nil {
		return err
	}
	return os.Rename(temp.Name(), path)
}
