package runner

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
)

// emptySize bounds the files that are looked into: one that measured nothing is about 53 KB.
const emptySize = 128 << 10

// measuredNothing reports whether a data file holds no source file at all, which coverage writes when nothing
// it was told to measure ran. A file that is not what coverage writes counts as data: reports judge it.
func measuredNothing(dir, name string) bool {
	path := filepath.Join(dir, name)
	if info, err := os.Stat(path); err != nil || info.Size() > emptySize {
		return false
	}
	text, err := os.ReadFile(path)
	if err != nil || len(text) < 512 || !bytes.HasPrefix(text, []byte("SQLite format 3\x00")) {
		return false
	}
	db := sqlite{text: text, size: int(binary.BigEndian.Uint16(text[16:]))}
	root := db.tableRoot("file")
	kind, cells := db.page(root)
	return root > 1 && kind == leafTable && len(cells) == 0
}

// sqlite reads what it takes to find a table in a database file (sqlite.org/fileformat2.html).
type sqlite struct {
	text []byte
	size int // of a page
}

// leafTable is the type of a b-tree page that holds a table's rows.
const leafTable = 0x0d

// page returns a page's type and the offsets of its cells in the file; type 0 for no such page.
func (db sqlite) page(number int) (kind byte, cells []int) {
	start := (number - 1) * db.size
	if number < 1 || db.size < 512 || start+db.size > len(db.text) {
		return 0, nil
	}
	header := start
	if number == 1 {
		header += 100 // the file's own header
	}
	count := int(binary.BigEndian.Uint16(db.text[header+3:]))
	for i := range count {
		at := header + 8 + 2*i
		if at+2 > start+db.size {
			return 0, nil
		}
		cells = append(cells, start+int(binary.BigEndian.Uint16(db.text[at:])))
	}
	return db.text[header], cells
}

// tableRoot returns the root page of a table, or 0. The schema is looked for on page 1 alone, where
// coverage's fits.
func (db sqlite) tableRoot(table string) int {
	kind, cells := db.page(1)
	if kind != leafTable {
		return 0
	}
	for _, cell := range cells {
		if columns := db.row(cell); len(columns) > 3 && string(columns[0]) == "table" && string(columns[1]) == table {
			root := 0
			for _, b := range columns[3] {
				root = root<<8 | int(b)
			}
			return root
		}
	}
	return 0
}

// row returns the first columns of a leaf cell's record, as many as are whole on its page.
func (db sqlite) row(cell int) [][]byte {
	if cell >= len(db.text) {
		return nil
	}
	rest := db.text[cell:]
	_, rest = varint(rest) // payload size
	_, rest = varint(rest) // row id
	size, types := varint(rest)
	if size > uint64(len(rest)) {
		return nil
	}
	body := rest[size:]
	types = types[:max(0, int(size)-(len(rest)-len(types)))]
	var columns [][]byte
	for len(types) > 0 {
		var serial uint64
		serial, types = varint(types)
		length := columnLength(serial)
		if length > uint64(len(body)) {
			break
		}
		columns, body = append(columns, body[:length]), body[length:]
	}
	return columns
}

// columnLength is the length of a value of a serial type.
func columnLength(serial uint64) uint64 {
	switch {
	case serial >= 12:
		return (serial - 12) / 2
	case serial >= 8:
		return 0
	case serial == 7:
		return 8
	}
	return [...]uint64{0, 1, 2, 3, 4, 6, 8}[serial]
}

// varint reads SQLite's variable-length integer: seven bits a byte, the highest first.
func varint(text []byte) (value uint64, rest []byte) {
	for i := 0; i < len(text) && i < 8; i++ {
		value = value<<7 | uint64(text[i]&0x7f)
		if text[i] < 0x80 {
			return value, text[i+1:]
		}
	}
	return value, nil
}
