package imagepatch

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// decompressLayer returns the plain content of rc and closes it with it.
func decompressLayer(rc io.ReadCloser) (io.ReadCloser, error) {
	plain, err := decompress(rc)
	if err != nil {
		rc.Close()
		return nil, err
	}
	return &stacked{plain, rc}, nil
}

// stacked closes what it reads from, too.
type stacked struct {
	io.ReadCloser
	below io.Closer
}

func (s *stacked) Close() error {
	err := s.ReadCloser.Close()
	if belowErr := s.below.Close(); err == nil {
		err = belowErr
	}
	return err
}

// verified returns rc with a check of its digest at its end.
func verified(rc io.ReadCloser, digest v1.Hash) io.ReadCloser {
	return &verifier{rc, sha256.New(), digest}
}

type verifier struct {
	io.ReadCloser
	sum  hash.Hash
	want v1.Hash
}

func (v *verifier) Read(p []byte) (int, error) {
	n, err := v.ReadCloser.Read(p)
	v.sum.Write(p[:n])
	if err == io.EOF {
		if got := hex.EncodeToString(v.sum.Sum(nil)); got != v.want.Hex {
			return n, &CorruptError{"layer " + v.want.String(), fmt.Errorf("its content has the digest sha256:%s", got)}
		}
	}
	return n, err
}
