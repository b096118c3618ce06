package imagepatch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/renameio/v2"
	"golang.org/x/sync/errgroup"
)

// CorruptError says that a layer, manifest or configuration is not what its digest says.
type CorruptError struct {
	Blob string // "layer" or what else it is, and its digest
	Err  error
}

func (e *CorruptError) Error() string { return fmt.Sprintf("%s is corrupt: %v", e.Blob, e.Err) }
func (e *CorruptError) Unwrap() error { return e.Err }

// A stored layer can be read as it lies in its archive, whatever its compression there.
type stored interface {
	Stored() (content io.ReadCloser, size int64, err error)
}

// A layerReader reads what matters of layers, several at a time. What it learned of a layer is kept by diffID, so a known
// layer is not read again.
type layerReader struct {
	cache   string // directory; "" for none
	workers int
	logf    func(string, ...any)
}

// read returns the entries of layers whose uncompressed contents have the given diffIDs.
func (r *layerReader) read(ctx context.Context, layers []v1.Layer, diffIDs []v1.Hash) ([][]entry, error) {
	read := make([][]entry, len(layers))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(r.workers)
	for i, l := range layers {
		g.Go(func() (err error) {
			read[i], err = r.entries(ctx, l, diffIDs[i])
			return err
		})
	}
	return read, g.Wait()
}

func (r *layerReader) entries(ctx context.Context, l v1.Layer, diffID v1.Hash) ([]entry, error) {
	if entries, ok := r.cached(diffID); ok {
		return entries, nil
	}
	r.logf("reading layer %s", diffID)
	entries, err := readLayer(ctx, l, diffID)
	if err != nil {
		return nil, err
	}
	r.keep(diffID, entries)
	return entries, nil
}

// readLayer streams a layer and checks that its content has the diffID: the cache would otherwise pass one image's
// lie on to the others.
func readLayer(ctx context.Context, l v1.Layer, diffID v1.Hash) ([]entry, error) {
	opened, err := openLayer(l)
	if err != nil {
		return nil, openError(ctx, diffID, err)
	}
	defer opened.Close()
	content := &transfer{Reader: opened}
	plain, err := decompress(content)
	if err != nil {
		return nil, content.layerError(ctx, diffID, err)
	}
	defer plain.Close()
	digest := sha256.New()
	tee := io.TeeReader(ctxReader{ctx, plain}, digest)
	entries, err := readEntries(tee)
	if err == nil {
		_, err = io.Copy(io.Discard, tee) // padding after the archive's end
	}
	if err == nil {
		_, err = io.Copy(io.Discard, content) // to where the registry's digest is checked
	}
	if err != nil {
		return nil, content.layerError(ctx, diffID, err)
	}
	if sum := hex.EncodeToString(digest.Sum(nil)); sum != diffID.Hex {
		return nil, &CorruptError{"layer " + diffID.String(), fmt.Errorf("its content has the digest sha256:%s", sum)}
	}
	return entries, nil
}

// transfer remembers the error with which the bytes of a layer ended.
type transfer struct {
	io.Reader
	err error
}

func (t *transfer) Read(p []byte) (int, error) {
	n, err := t.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		t.err = err
	}
	return n, err
}

// layerError tells an interruption from damage: what breaks off on its way may be whole where it comes from.
func (t *transfer) layerError(ctx context.Context, diffID v1.Hash, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("reading layer %s: %w", diffID, ctx.Err())
	}
	var transient *TransientError
	if t.err != nil && errors.As(transferError("layer "+diffID.String(), t.err), &transient) {
		return fmt.Errorf("reading layer %s: %w", diffID, transient)
	}
	return &CorruptError{"layer " + diffID.String(), err}
}

func openError(ctx context.Context, diffID v1.Hash, err error) error {
	if ctx.Err() != nil {
		err = ctx.Err()
	} else {
		err = transferError("layer "+diffID.String(), err)
	}
	return fmt.Errorf("reading layer %s: %w", diffID, err)
}

func openLayer(l v1.Layer) (io.ReadCloser, error) {
	if s, ok := l.(stored); ok {
		content, _, err := s.Stored()
		return content, err
	}
	return l.Compressed()
}

// ctxReader ends with the context.
type ctxReader struct {
	ctx context.Context
	io.Reader
}

func (r ctxReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}

// factsVersion changes with what an entry keeps, and with plan.Wants.
const factsVersion = "3"

func (r *layerReader) factsFile(diffID v1.Hash) string {
	return filepath.Join(r.cache, "layers", factsVersion, diffID.Algorithm+"-"+diffID.Hex+".json")
}

func (r *layerReader) cached(diffID v1.Hash) ([]entry, bool) {
	if r.cache == "" {
		return nil, false
	}
	data, err := os.ReadFile(r.factsFile(diffID))
	if err != nil {
		return nil, false
	}
	var entries []entry
	err = json.Unmarshal(data, &entries)
	return entries, err == nil && entries != nil
}

// keep stores what was learned; a cache that cannot be written costs time, nothing else.
func (r *layerReader) keep(diffID v1.Hash, entries []entry) {
	if r.cache == "" {
		return
	}
	data, err := json.Marshal(entries)
	if err == nil {
		err = writeCache(r.factsFile(diffID), data)
	}
	if err != nil {
		r.logf("not caching layer %s: %v", diffID, err)
	}
}

// writeCache puts a file in place whole or not at all.
func writeCache(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return renameio.WriteFile(path, data, 0o644)
}
