package wheel

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
)

// record is a wheel's RECORD (PEP 376, 427): what each of its files must be.
type record struct {
	path    string
	entries map[string]recordEntry
}

type recordEntry struct {
	sum  []byte
	size int // -1 where none is given
}

// findRecord reads the one *.dist-info/RECORD among files.
func findRecord(files []PayloadFile) (*record, error) {
	var found *record
	for _, file := range files {
		dir, base := path.Split(file.Path)
		if base != "RECORD" || !strings.HasSuffix(dir, ".dist-info/") || strings.Count(dir, "/") != 1 {
			continue
		}
		if found != nil {
			return nil, errors.New("two RECORD files")
		}
		entries, err := parseRecord(file.Data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file.Path, err)
		}
		found = &record{file.Path, entries}
	}
	if found == nil {
		return nil, errors.New("no RECORD file")
	}
	return found, nil
}

func parseRecord(data []byte) (map[string]recordEntry, error) {
	rows := csv.NewReader(bytes.NewReader(data))
	rows.FieldsPerRecord = 3
	lines, err := rows.ReadAll()
	if err != nil {
		return nil, err
	}
	entries := map[string]recordEntry{}
	for _, line := range lines {
		entry, err := parseEntry(line[1], line[2])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", line[0], err)
		}
		entries[line[0]] = entry
	}
	return entries, nil
}

func parseEntry(sum, size string) (recordEntry, error) {
	entry := recordEntry{size: -1}
	if sum != "" {
		encoded, ok := strings.CutPrefix(sum, "sha256=")
		if !ok {
			return entry, fmt.Errorf("hash %q is not sha256", sum)
		}
		raw, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(encoded, "="))
		if err != nil {
			return entry, fmt.Errorf("hash %q: %w", sum, err)
		}
		entry.sum = raw
	}
	if size != "" {
		n, err := strconv.Atoi(size)
		if err != nil {
			return entry, fmt.Errorf("size %q: %w", size, err)
		}
		entry.size = n
	}
	return entry, nil
}

// check holds files against the record, in both directions: each file is
// listed with its sum, and each listed file is there. Only RECORD itself and
// its signatures need no sum (PEP 427).
func (r *record) check(wheelName string, files []PayloadFile) error {
	missing := maps.Clone(r.entries)
	for _, file := range files {
		delete(missing, file.Path)
		if file.Path == r.path || file.Path == r.path+".jws" || file.Path == r.path+".p7s" {
			continue
		}
		entry, ok := r.entries[file.Path]
		if !ok || entry.sum == nil {
			return &InvalidError{wheelName, fmt.Errorf("%s is not in RECORD", file.Path)}
		}
		if entry.size >= 0 && entry.size != len(file.Data) {
			return &InvalidError{wheelName, fmt.Errorf("%s has %d bytes, RECORD says %d", file.Path, len(file.Data), entry.size)}
		}
		if sum := sha256.Sum256(file.Data); !bytes.Equal(sum[:], entry.sum) {
			return &ChecksumError{wheelName, file.Path, hex.EncodeToString(entry.sum), hex.EncodeToString(sum[:])}
		}
	}
	if len(missing) > 0 {
		return &InvalidError{wheelName, fmt.Errorf("%s is in RECORD but not in the wheel", slices.Sorted(maps.Keys(missing))[0])}
	}
	return nil
}
