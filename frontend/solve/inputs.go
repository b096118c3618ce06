package solve

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/plugins/content/local"
	"github.com/distribution/reference"
	bkclient "github.com/moby/buildkit/client"
	"github.com/moby/buildkit/client/ociindex"
	"github.com/moby/buildkit/frontend/dockerfile/dfgitutil"
	"github.com/moby/buildkit/frontend/dockerui"
	"github.com/moby/buildkit/session/upload/uploadprovider"
	"github.com/moby/buildkit/util/archiveutil"
	"github.com/opencontainers/go-digest"
	"github.com/tonistiigi/fsutil"
)

// UsageError says that a setting cannot be meant as it is.
type UsageError struct {
	Flag string // "--output type=zip", or CONTEXT
	Err  error
}

func (e *UsageError) Error() string { return e.Flag + ": " + e.Err.Error() }
func (e *UsageError) Unwrap() error { return e.Err }

// The names by which the Dockerfile frontend asks for its local mounts.
const (
	contextMount    = dockerui.DefaultLocalNameContext
	dockerfileMount = dockerui.DefaultLocalNameDockerfile
)

// magicSize is how much of stdin tells an archive from a Dockerfile.
const magicSize = 1024

// inputs adds to opt where the Dockerfile and what it copies come from, by the conventions of BuildKit's dockerui. The
// returned function removes temporary files.
func (r *Request) inputs(opt *bkclient.SolveOpt) (remove func(), err error) {
	in := &inputs{opt: opt, stdin: bufio.NewReaderSize(r.Stdin, magicSize)}
	remove = in.remove
	if err = in.context(r.Context, r.Dockerfile); err == nil {
		err = in.dockerfile(r.Context, r.Dockerfile)
	}
	for _, named := range r.Contexts {
		if err == nil {
			err = in.named(named)
		}
	}
	if err != nil {
		in.remove()
	}
	return remove, err
}

type inputs struct {
	opt          *bkclient.SolveOpt
	stdin        *bufio.Reader
	isDockerfile bool // stdin
	temporary    []string
}

func (in *inputs) remove() {
	for _, dir := range in.temporary {
		_ = os.RemoveAll(dir)
	}
}

func (in *inputs) context(path, dockerfile string) error {
	switch {
	case path == "":
		return &UsageError{"CONTEXT", errors.New("is missing; . is the current folder")}
	case path == "-" && dockerfile == "-":
		return &UsageError{"CONTEXT -", errors.New("stdin is the Dockerfile already")}
	case path == "-":
		return in.fromStdin(dockerfile)
	case isRemote(path):
		in.opt.FrontendAttrs["context"] = path
		return nil
	}
	in.opt.SharedKey = sharedKey(path)
	if dir := inRepository(path); dir != "" {
		in.opt.FrontendAttrs["vcs:localdir:"+contextMount] = dir // as buildx says it
	}
	return in.mount(contextMount, path)
}

// fromStdin takes stdin for an archive, which is the context, or for a Dockerfile without one.
func (in *inputs) fromStdin(dockerfile string) error {
	magic, err := in.stdin.Peek(magicSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("reading the build context from stdin: %w", err)
	}
	if archiveutil.IsArchive(magic) {
		upload := uploadprovider.New()
		in.opt.FrontendAttrs["context"] = upload.Add(io.NopCloser(in.stdin))
		in.opt.Session = append(in.opt.Session, upload)
		return nil
	}
	if dockerfile != "" {
		return &UsageError{"--file " + dockerfile, errors.New("stdin is a Dockerfile too; which one is meant?")}
	}
	in.isDockerfile = true
	empty, err := in.temp()
	if err != nil {
		return err
	}
	return in.mount(contextMount, empty)
}

// dockerfile says where the Dockerfile is: in a mount of its own, or within a context that is elsewhere.
func (in *inputs) dockerfile(contextPath, path string) error {
	remote := in.opt.FrontendAttrs["context"] != ""
	dir, name := contextPath, "Dockerfile"
	switch {
	case isURL(path):
		return &UsageError{"--file " + path, errors.New("a Dockerfile's address is not supported; -f - takes one from stdin")}
	case path == "-" || in.isDockerfile:
		content, err := io.ReadAll(in.stdin)
		if err != nil {
			return fmt.Errorf("reading the Dockerfile from stdin: %w", err)
		}
		if dir, err = in.temp(); err == nil {
			err = os.WriteFile(filepath.Join(dir, name), content, 0o644)
		}
		if err != nil {
			return err
		}
		in.opt.FrontendAttrs["dockerfilekey"] = dockerfileMount
	case remote && !filepath.IsAbs(path):
		if path != "" {
			name = path
		}
		in.opt.FrontendAttrs["filename"] = name
		return nil
	case path != "":
		dir, name = filepath.Dir(path), filepath.Base(path)
		if remote {
			in.opt.FrontendAttrs["dockerfilekey"] = dockerfileMount
		}
	}
	in.opt.FrontendAttrs["filename"] = nameIn(dir, name)
	return in.mount(dockerfileMount, dir)
}

// nameIn is the Dockerfile's name in a folder: docker build also takes "dockerfile" for the default one.
func nameIn(dir, name string) string {
	if name != "Dockerfile" {
		return name
	}
	if _, err := os.Lstat(filepath.Join(dir, name)); !errors.Is(err, fs.ErrNotExist) {
		return name
	}
	if lower := strings.ToLower(name); exists(filepath.Join(dir, lower)) {
		return lower
	}
	return name
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// named adds a context of --build-context NAME=PLACE.
func (in *inputs) named(arg string) error {
	flag := "--build-context " + arg
	name, place, ok := strings.Cut(arg, "=")
	if !ok || place == "" {
		return &UsageError{flag, errors.New("NAME=PLACE is wanted")}
	}
	if ref, err := reference.ParseNormalizedNamed(name); err == nil {
		name = strings.TrimSuffix(reference.FamiliarString(ref), ":latest")
	} else {
		return &UsageError{flag, err}
	}
	in.opt.FrontendAttrs["frontend.caps"] = "moby.buildkit.frontend.contexts+forward"
	switch {
	case isRemote(place), strings.HasPrefix(place, "docker-image://"), strings.HasPrefix(place, "target:"):
		in.opt.FrontendAttrs["context:"+name] = place
		return nil
	case strings.HasPrefix(place, "oci-layout://"):
		return in.layout(flag, name, strings.TrimPrefix(place, "oci-layout://"))
	}
	mount := name
	if mount == contextMount || mount == dockerfileMount {
		mount = "_" + mount
	}
	if err := in.mount(mount, place); err != nil {
		return &UsageError{flag, err}
	}
	in.opt.FrontendAttrs["context:"+name] = "local:" + mount
	in.opt.FrontendAttrs["sharedkey:localdir:"+name] = sharedKey(place)
	return nil
}

// layout offers an OCI layout; BuildKit wants the digest of what is used of it.
func (in *inputs) layout(flag, name, place string) error {
	path, wanted, _ := strings.Cut(place, "@")
	tag := ""
	if i := strings.LastIndexByte(path, ':'); i > strings.LastIndexByte(path, '/') {
		path, tag = path[:i], path[i+1:]
	}
	if wanted == "" {
		index := ociindex.NewStoreIndex(path)
		found, err := index.Get(tag)
		if err == nil && found == nil && (tag == "" || tag == "latest") {
			found, err = index.GetSingle()
		}
		if err == nil && found == nil {
			err = errors.New("no such image in the layout")
		}
		if err != nil {
			return &UsageError{flag, err}
		}
		wanted = found.Digest.String()
	}
	if _, err := digest.Parse(wanted); err != nil {
		return &UsageError{flag, err}
	}
	store, err := local.NewStore(path)
	if err != nil {
		return &UsageError{flag, err}
	}
	if in.opt.OCIStores == nil {
		in.opt.OCIStores = map[string]content.Store{}
	}
	id := "covify-" + hash(name)[:12]
	in.opt.OCIStores[id] = store
	in.opt.FrontendAttrs["context:"+name] = "oci-layout://" + id + "@" + wanted
	return nil
}

func (in *inputs) mount(name, dir string) error {
	info, err := os.Stat(dir)
	if err == nil && !info.IsDir() {
		err = errors.New("not a folder")
	}
	if err != nil {
		return &UsageError{"build context " + dir, err}
	}
	in.opt.LocalMounts[name], err = fsutil.NewFS(dir)
	return err
}

func (in *inputs) temp() (string, error) {
	dir, err := os.MkdirTemp("", "covify-build-")
	if err == nil {
		in.temporary = append(in.temporary, dir)
	}
	return dir, err
}

func isURL(place string) bool {
	return strings.HasPrefix(place, "http://") || strings.HasPrefix(place, "https://")
}

func isRemote(place string) bool {
	if isURL(place) {
		return true
	}
	_, is, _ := dfgitutil.ParseGitRef(place)
	return is
}

// sharedKey tells a folder from all others, so that BuildKit asks the next build for what has changed in it only.
func sharedKey(dir string) string {
	host, _ := os.Hostname()
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	return filepath.Base(dir) + ":covify-" + hash(host + "\x00" + dir)[:24]
}

func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}
