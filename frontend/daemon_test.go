package frontend

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/plugins/content/local"
	"github.com/covify/covify/llbgen"
	"github.com/covify/covify/plan"
	"github.com/covify/covify/wheel"
	"github.com/covify/covify/wheel/bundle"
	"github.com/covify/covify/wheel/fetch"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/frontend/dockerfile/builder"
	gateway "github.com/moby/buildkit/frontend/gateway/client"
	"github.com/moby/buildkit/solver/pb"
	"github.com/moby/buildkit/util/apicaps"
	"github.com/moby/buildkit/util/staticfs"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/tonistiigi/fsutil"
	fstypes "github.com/tonistiigi/fsutil/types"
	"golang.org/x/sync/errgroup"
)

// daemon is a running buildkitd.
type daemon struct{ *client.Client }

func findDaemon(t *testing.T) *daemon {
	t.Helper()
	address := os.Getenv("BUILDKIT_HOST")
	if address == "" {
		t.Skip("BUILDKIT_HOST is not set: run under hack/engine buildkitd")
	}
	c, err := client.New(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &daemon{c}
}

// layoutOf turns the archive of a test image into an OCI layout, as a named context has it.
func layoutOf(t *testing.T, image string) string {
	t.Helper()
	cache := os.Getenv("COVIFY_DEV_CACHE")
	if cache == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			t.Fatal(err)
		}
		cache = filepath.Join(user, "covify-dev")
	}
	archive := filepath.Join(cache, "images", image+".tar")
	if _, err := os.Stat(archive); err != nil {
		t.Fatalf("%v (testimages/build makes it)", err)
	}
	transport := "docker-archive"
	if image == "twoplatform" {
		transport = "oci-archive"
	}
	dir := filepath.Join(t.TempDir(), "layout")
	if out, err := exec.Command("skopeo", "copy", "-q", "--all", transport+":"+archive, "oci:"+dir+":x").CombinedOutput(); err != nil {
		t.Fatalf("skopeo: %v\n%s", err, out)
	}
	data, err := os.ReadFile(filepath.Join(dir, "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	var index ocispecs.Index
	if err := json.Unmarshal(data, &index); err != nil {
		t.Fatal(err)
	}
	return dir + "@" + index.Manifests[0].Digest.String()
}

// request is a build of a Dockerfile.
type request struct {
	dockerfile string
	opts       map[string]string // frontend options
	layouts    map[string]string // named contexts: folder@digest of an OCI layout
	locals     map[string]fsutil.FS
	cacheTo    string // folder that the cache is exported to
	cacheFrom  string // and imported from
}

// built is an OCI archive and its first image.
type built struct {
	archive  string
	manifest ocispecs.Manifest
	config   ocispecs.Image
	digest   string
	all      map[string]ocispecs.Image // by platform
	said     string                    // progress, with warnings
	cached   []string                  // names of the steps that were in the cache
}

func (d *daemon) build(t *testing.T, r request, f gateway.BuildFunc) (*built, error) {
	t.Helper()
	context, err := fsutil.NewFS(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	dockerfile := staticfs.NewFS()
	dockerfile.Add("Dockerfile", &fstypes.Stat{Mode: 0o644}, []byte(r.dockerfile))
	opt := client.SolveOpt{
		FrontendAttrs: map[string]string{"build-arg:SOURCE_DATE_EPOCH": "1700000000"},
		LocalMounts:   map[string]fsutil.FS{"context": context, "dockerfile": dockerfile},
		OCIStores:     map[string]content.Store{},
	}
	for key, value := range r.opts {
		opt.FrontendAttrs[key] = value
	}
	for name, offered := range r.locals {
		opt.LocalMounts[name] = offered
	}
	for name, at := range r.layouts {
		dir, digest, _ := strings.Cut(at, "@")
		store, err := local.NewStore(dir)
		if err != nil {
			t.Fatal(err)
		}
		id := fmt.Sprint("store", len(opt.OCIStores))
		opt.OCIStores[id] = store
		opt.FrontendAttrs["context:"+name] = "oci-layout://" + id + "@" + digest
	}
	if r.cacheTo != "" {
		opt.CacheExports = []client.CacheOptionsEntry{{Type: "local", Attrs: map[string]string{"dest": r.cacheTo, "mode": "max"}}}
	}
	if r.cacheFrom != "" {
		opt.CacheImports = []client.CacheOptionsEntry{{Type: "local", Attrs: map[string]string{"src": r.cacheFrom}}}
	}
	archive := filepath.Join(t.TempDir(), "built.tar")
	opt.Exports = []client.ExportEntry{{Type: client.ExporterOCI, Output: func(map[string]string) (io.WriteCloser, error) { return os.Create(archive) }}}

	b := &built{}
	status := make(chan *client.SolveStatus)
	group, ctx := errgroup.WithContext(t.Context())
	group.Go(func() error {
		_, err := d.Build(ctx, opt, "covify", f, status)
		return err
	})
	group.Go(func() error {
		for s := range status {
			for _, v := range s.Vertexes {
				b.said += fmt.Sprintf("%s cached=%v %s\n", v.Name, v.Cached, v.Error)
				if v.Cached && !slices.Contains(b.cached, v.Name) {
					b.cached = append(b.cached, v.Name)
				}
			}
			for _, w := range s.Warnings {
				b.said += "warning: " + string(w.Short) + "\n"
			}
		}
		return nil
	})
	if err := group.Wait(); err != nil {
		return b, err
	}
	b.read(t, archive)
	return b, nil
}

func (b *built) read(t *testing.T, archive string) {
	t.Helper()
	file, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	blobs := map[string][]byte{}
	for tr := tar.NewReader(file); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Size > 1<<20 {
			continue
		}
		if blobs[h.Name], err = io.ReadAll(tr); err != nil {
			t.Fatal(err)
		}
	}
	b.archive, b.all = archive, map[string]ocispecs.Image{}
	var index ocispecs.Index
	unmarshal(t, blobs["index.json"], &index)
	b.digest = index.Manifests[0].Digest.String()
	manifests := index.Manifests
	if index.Manifests[0].MediaType == ocispecs.MediaTypeImageIndex {
		var inner ocispecs.Index
		unmarshal(t, blobs["blobs/sha256/"+index.Manifests[0].Digest.Hex()], &inner)
		manifests = inner.Manifests
	}
	for i := len(manifests) - 1; i >= 0; i-- {
		b.manifest, b.config = ocispecs.Manifest{}, ocispecs.Image{}
		unmarshal(t, blobs["blobs/sha256/"+manifests[i].Digest.Hex()], &b.manifest)
		unmarshal(t, blobs["blobs/sha256/"+b.manifest.Config.Digest.Hex()], &b.config)
		b.all[b.config.OS+"/"+b.config.Architecture] = b.config
	}
}

// layout unpacks the archive and gives it as a named context has it.
func (b *built) layout(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.Command("tar", "-xf", b.archive, "-C", dir).CombinedOutput(); err != nil {
		t.Fatalf("tar: %v\n%s", err, out)
	}
	return dir + "@" + b.digest
}

func unmarshal(t *testing.T, data []byte, to any) {
	t.Helper()
	if err := json.Unmarshal(data, to); err != nil {
		t.Fatalf("%v\n%s", err, data)
	}
}

// bundled is a frontend with the wheels of the checkout.
func bundled() Frontend {
	wheels := &fetch.Source{Bundle: bundle.FS(), StartUp: plan.Startup(), Offline: true}
	return Frontend{Name: "covify/covify", Version: "1.0", Payloads: func(ctx context.Context, t wheel.Target, coverage string) (*wheel.Payload, error) {
		return wheels.Payload(ctx, t, coverage)
	}}
}

// withoutMerge hides MergeOp, as a daemon without it does.
type withoutMerge struct{ gateway.Client }

func (c withoutMerge) BuildOpts() gateway.BuildOpts {
	o := c.Client.BuildOpts()
	caps := pb.Caps.All()
	kept := caps[:0]
	for _, one := range caps {
		if apicaps.CapID(one.ID) != pb.CapMergeOp {
			kept = append(kept, one)
		}
	}
	o.LLBCaps = pb.Caps.CapSet(kept)
	return o
}

// TestEngineMergeOrCopy: with MergeOp and without, with contents from a filesystem and in the definition, twice each, an image has
// the same layers and the same manifest, to the digest.
func TestEngineMergeOrCopy(t *testing.T) {
	d := findDaemon(t)
	for _, image := range []string{"slim", "debian", "twopythons"} {
		t.Run(image, func(t *testing.T) {
			r := request{dockerfile: "FROM base\nCOPY file /\n", layouts: map[string]string{"base": layoutOf(t, image)}}
			offered := staticfs.NewFS()
			offered.Add("file", &fstypes.Stat{Mode: 0o644}, []byte("x"))
			r.locals = map[string]fsutil.FS{"context": offered}
			var want *built
			for _, merge := range []bool{true, false, true} {
				for _, blobs := range []bool{false, true} {
					f := bundled()
					if blobs {
						f.Blobs = blobsIn(t, &r)
					}
					got, err := d.build(t, r, func(ctx context.Context, c gateway.Client) (*gateway.Result, error) {
						if !merge {
							c = withoutMerge{c}
						}
						return f.Build(ctx, c)
					})
					if err != nil {
						t.Fatal(err)
					}
					if want == nil {
						want = got
						if _, ok := got.config.Config.Labels[plan.LabelVersion]; !ok {
							t.Fatalf("no variant: labels %v", got.config.Config.Labels)
						}
					}
					if got.digest != want.digest {
						t.Errorf("merge %v, blobs %v: manifest %s, want %s\nlayers equal: %v\n%+v\nwant\n%+v", merge, blobs, got.digest, want.digest, slices.Equal(got.config.RootFS.DiffIDs, want.config.RootFS.DiffIDs), got.config.History, want.config.History)
					}
				}
			}
		})
	}
}

// blobsIn offers a Plan's contents to the daemon as a local source.
func blobsIn(t *testing.T, r *request) func(context.Context, gateway.Client, *plan.Plan) (*llb.State, error) {
	t.Helper()
	offered := staticfs.NewFS()
	for _, dir := range []string{"blobs", "blobs/sha256"} {
		offered.Add(dir, &fstypes.Stat{Mode: uint32(fs.ModeDir | 0o755)}, nil)
	}
	r.locals["blobs"] = offered
	return func(_ context.Context, _ gateway.Client, p *plan.Plan) (*llb.State, error) {
		for _, l := range p.Layers[:len(p.Layers)-1] {
			for _, f := range l.Files {
				if !f.Mode.IsDir() {
					offered.Add(strings.TrimPrefix(llbgen.BlobPath(f.Data), "/"), &fstypes.Stat{Mode: 0o644, ModTime: time.Unix(0, 0).UnixNano()}, bytes.Clone(f.Data))
				}
			}
		}
		state := llb.Local("blobs")
		return &state, nil
	}
}

// plainBuild is the Dockerfile frontend without covify.
var plainBuild = builder.Build
