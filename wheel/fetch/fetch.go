// Package fetch brings coverage's wheels to package wheel: from a bundle, from
// the user's cache, or from a package index (PEP 503, PEP 691).
package fetch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"github.com/covify/covify/wheel"
)

// Source says where wheels come from. Its methods may be called by several
// goroutines, and several processes may share a CacheDir.
type Source struct {
	Bundle   fs.FS  // wheels at hand, laid out by WriteBundle; nil for none
	StartUp  []byte // source of the start-up module; its compiled form is added where the bundle's was made of these very bytes
	CacheDir string // folder of one's own in the user's cache; "" caches nothing
	Index    Index
	Offline  bool                 // use no network
	Logf     func(string, ...any) // words for the user, one line a call; nil for silence

	listing struct {
		sync.Mutex
		files []wheel.File
	}
	connection struct {
		sync.Once
		client *client
		err    error
	}
}

// Payload gives the checked files of the coverage wheel for t: of the newest
// release that fits, or of the version named. What the bundle has comes before
// all else, so that the same bundle gives the same payload with and without a
// network. Errors: *wheel.NoFitError, *IndexError, *wheel.ChecksumError,
// *wheel.InvalidError.
func (s *Source) Payload(ctx context.Context, t wheel.Target, version string) (*wheel.Payload, error) {
	payload, err := s.bundled(t, version)
	var noFit *wheel.NoFitError
	if err == nil || !errors.As(err, &noFit) {
		return payload, err
	}
	files, err := s.Files(ctx)
	switch {
	case err != nil && s.Offline && noFit.Newest != "":
		return nil, noFit // the bundle is all there is
	case err != nil:
		return nil, fmt.Errorf("looking for a coverage wheel for %s: %w", t, err)
	}
	file, err := wheel.Select(t, version, files)
	if err != nil {
		return nil, err
	}
	data, err := s.wheel(ctx, file)
	if err == nil {
		return wheel.Open(file, data, t, nil)
	}
	return s.cachedInstead(t, version, files, file, err)
}

// bundled is Payload from the bundle alone.
func (s *Source) bundled(t wheel.Target, version string) (*wheel.Payload, error) {
	if s.Bundle == nil {
		return nil, &wheel.NoFitError{Target: t, Version: version}
	}
	files, err := s.Bundled()
	if err != nil {
		return nil, err
	}
	file, err := wheel.Select(t, version, files)
	if err != nil {
		return nil, err
	}
	return s.OpenBundled(file, t)
}

// Bundled lists the wheels of the bundle.
func (s *Source) Bundled() ([]wheel.File, error) {
	listed, err := readBundle(s.Bundle)
	if err != nil {
		return nil, err
	}
	return listed.Files, nil
}

// OpenBundled gives the payload for t of a wheel of the bundle, with compiled files where the bundle has them. Errors:
// *wheel.ChecksumError, *wheel.InvalidError.
func (s *Source) OpenBundled(file wheel.File, t wheel.Target) (*wheel.Payload, error) {
	data, err := fs.ReadFile(s.Bundle, wheelPath(file))
	if err != nil {
		return nil, fmt.Errorf("reading the bundle: %w", err)
	}
	payload, err := wheel.Open(file, data, t, nil)
	if err != nil {
		return nil, err
	}
	if err := addCompiled(payload, s.Bundle, t, s.StartUp); err != nil {
		return nil, err
	}
	return payload, nil
}

// cachedInstead answers with the best wheel the cache holds when the one that
// was chosen cannot be had. Only the index's silence is bridged in this way,
// never a wrong checksum.
func (s *Source) cachedInstead(t wheel.Target, version string, files []wheel.File, chosen wheel.File, cause error) (*wheel.Payload, error) {
	var unreachable *IndexError
	if !errors.As(cause, &unreachable) {
		return nil, cause
	}
	var held []wheel.File
	for _, file := range files {
		if s.cache().has(file) {
			held = append(held, file)
		}
	}
	file, err := wheel.Select(t, version, held)
	if err != nil {
		return nil, cause
	}
	data, err := s.cache().wheel(file)
	if err != nil {
		return nil, cause
	}
	s.logf("%s cannot be had (%v): using the cached %s", chosen.Name, cause, file.Name)
	return wheel.Open(file, data, t, nil)
}

// Files lists the wheels the index offers; where it does not answer, those of
// its last answer, and says so. The list is asked for once. The error is an
// *IndexError.
func (s *Source) Files(ctx context.Context) ([]wheel.File, error) {
	s.listing.Lock()
	defer s.listing.Unlock()
	if s.listing.files != nil {
		return s.listing.files, nil
	}
	roots, err := s.Index.roots(ctx)
	if err != nil {
		return nil, err
	}
	client, err := s.client()
	if err != nil {
		return nil, err
	}
	var all []wheel.File
	var failures []error
	for _, root := range roots {
		files, err := s.project(ctx, client, root)
		if err == nil && len(files) == 0 {
			err = &IndexError{URL: root.String(), Err: errors.New("it lists no wheel of coverage")}
		}
		if err != nil {
			failures = append(failures, err)
		}
		all = append(all, files...)
	}
	if len(all) == 0 {
		return nil, failures[0]
	}
	for _, err := range failures {
		s.logf("%v: going on with the other indexes", err)
	}
	s.listing.files = firstOfEachName(all)
	return s.listing.files, nil
}

// project lists the wheels at one index: live, or as last seen.
func (s *Source) project(ctx context.Context, c *client, root address) ([]wheel.File, error) {
	known := s.cache().page(root.String())
	if s.Offline {
		if known == nil {
			return nil, &IndexError{URL: root.String(), Err: errors.New("not asked, being offline, and nothing of it is cached")}
		}
		return known.Files, nil
	}
	page, err := c.project(ctx, root, known)
	if err != nil {
		if known == nil || ctx.Err() != nil {
			return nil, err
		}
		s.logf("%v: going by its last answer", err)
		return known.Files, nil
	}
	if page != known {
		if err := s.cache().putPage(root.String(), page); err != nil {
			s.logf("not cached: %v", err)
		}
	}
	return page.Files, nil
}

// wheel gives the verified bytes of file, from the bundle, the cache or the index.
func (s *Source) wheel(ctx context.Context, file wheel.File) ([]byte, error) {
	if s.Bundle != nil {
		if data, err := fs.ReadFile(s.Bundle, wheelPath(file)); err == nil && file.Verify(data) == nil {
			return data, nil
		}
	}
	data, err := s.cache().wheel(file)
	if err == nil {
		return data, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		s.logf("cache: %v: fetching it again", err)
	}
	if s.Offline || file.URL == "" {
		return nil, &IndexError{Err: fmt.Errorf("%s is not cached, and not fetched, being offline", file.Name)}
	}
	client, err := s.client()
	if err != nil {
		return nil, err
	}
	s.logf("fetching %s", file.Name)
	if data, err = client.file(ctx, file.URL); err != nil {
		return nil, err
	}
	if err := file.Verify(data); err != nil {
		return nil, err
	}
	if err := s.cache().putWheel(file, data); err != nil {
		s.logf("not cached: %v", err)
	}
	return data, nil
}

// client is one for all requests, so that connections are used again.
func (s *Source) client() (*client, error) {
	c := &s.connection
	c.Do(func() { c.client, c.err = s.Index.client() })
	return c.client, c.err
}

func (s *Source) cache() cache { return cache{s.CacheDir} }

func (s *Source) logf(format string, args ...any) {
	if s.Logf != nil {
		s.Logf(format, args...)
	}
}

// firstOfEachName keeps what the earlier index says of a name that several offer.
func firstOfEachName(files []wheel.File) []wheel.File {
	seen := map[string]bool{}
	kept := files[:0:0]
	for _, file := range files {
		if !seen[file.Name] {
			seen[file.Name] = true
			kept = append(kept, file)
		}
	}
	return kept
}
