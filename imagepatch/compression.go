package imagepatch

import (
	"bufio"
	"bytes"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// algorithm is how a layer or archive is compressed.
type algorithm int

const (
	plain algorithm = iota
	gzipped
	zstandard
)

// compression tells the algorithm by the first four bytes (RFC 1952, RFC 8878): media types and file names are not always right.
func compression(magic []byte) algorithm {
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		return gzipped
	case bytes.HasPrefix(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		return zstandard
	}
	return plain
}

// decompress returns the plain content of r, which it does not close.
func decompress(r io.Reader) (io.ReadCloser, error) {
	b := bufio.NewReaderSize(r, 64<<10)
	magic, err := b.Peek(4)
	if err != nil && err != io.EOF {
		return nil, err
	}
	switch compression(magic) {
	case gzipped:
		return gzip.NewReader(b)
	case zstandard:
		// One goroutine and a bounded window: several layers are read at a time.
		d, err := zstd.NewReader(b, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(128<<20))
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	}
	return io.NopCloser(b), nil
}
