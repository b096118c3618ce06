package testimages

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/covify/covify/plan"
	"github.com/covify/covify/wheel"
	"github.com/covify/covify/wheel/blobs"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

// frontendImages are references by registry, each made by its first call.
var frontendImages sync.Map

// frontendImage builds the frontend image from docker-bake.hcl, once for all tests, and gives its reference in the registry. An
// engine that cannot bake has docker29's do it.
func frontendImage(t *testing.T, registry string, e *engine) string {
	t.Helper()
	if e.name != "docker29" {
		e = findEngine(t, "docker29")
	}
	made, _ := frontendImages.LoadOrStore(registry, sync.OnceValues(func() (string, error) {
		image := registry + "/covify"
		return image, pushFrontend(e, image)
	}))
	image, err := made.(func() (string, error))()
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// pushFrontend compiles here, has docker buildx bake make the image for every platform of docker-bake.hcl, and pushes it.
func pushFrontend(e *engine, image string, flags ...string) error {
	dir, err := os.MkdirTemp("", "covify-programs-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	bake := append([]string{
		"buildx", "bake", "-f", "docker-bake.hcl", "--progress=plain", "--allow", "fs.read=" + dir,
		"--set", "frontend.contexts.programs=" + dir,
		"--set", "frontend.tags=" + image,
		"--set", "frontend.output=type=image,push=true",
		"frontend",
	}, flags...)
	for _, command := range [][]string{
		{"hack/programs", filepath.Join(dir, "out"), "linux/amd64,linux/arm64", "covify-frontend"},
		append([]string{"docker"}, bake...),
	} {
		c := exec.Command(command[0], command[1:]...)
		c.Dir, c.Env = "..", variables(e.env())
		if out, err := c.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", strings.Join(command, " "), err, out)
		}
	}
	return nil
}

// TestEngineFrontendImage looks into the frontend image: both platforms, what tells BuildKit and people what it is, its size, a
// static program, the payloads as plain files, and the same digest from a build that uses no cache.
func TestEngineFrontendImage(t *testing.T) {
	registry, e := registryAddress(t), findEngine(t, "docker29")
	image := frontendImage(t, registry, e)
	layout := filepath.Join(t.TempDir(), "frontend")
	skopeo(t, "docker://"+image, "oci:"+layout)

	sizes := output(t, "..", nil, "go", "run", "./hack/imagesize", "40", layout) // an error over 40 MB
	t.Log(strings.TrimSpace(sizes))
	for _, platform := range []string{"linux/amd64", "linux/arm64"} {
		if !strings.Contains(sizes, platform) {
			t.Errorf("%s is missing: %s", platform, sizes)
		}
	}
	top := blobOf[ocispecs.Index](t, filepath.Join(layout, "index.json"))
	index := blobOf[ocispecs.Index](t, ociBlob(layout, top.Manifests[0]))
	if len(index.Manifests) != 2 {
		t.Errorf("%d manifests", len(index.Manifests))
	}
	for _, d := range index.Manifests {
		t.Run(d.Platform.Architecture, func(t *testing.T) {
			manifest := blobOf[ocispecs.Manifest](t, ociBlob(layout, d))
			lookIntoConfig(t, blobOf[ocispecs.Image](t, ociBlob(layout, manifest.Config)))
			files := fstest.MapFS{}
			for _, l := range manifest.Layers {
				unpackLayer(t, ociBlob(layout, l), files)
			}
			lookIntoFiles(t, files, d.Platform.Architecture)
		})
	}

	again := registry + "/covify-again"
	if err := pushFrontend(e, again, "--no-cache"); err != nil {
		t.Fatal(err)
	}
	if first, second := pushedDigest(t, image), pushedDigest(t, again); first != second {
		t.Errorf("built again it is %s, not %s", second, first)
	}
}

func lookIntoConfig(t *testing.T, config ocispecs.Image) {
	t.Helper()
	if got := config.Config.Entrypoint; len(got) != 1 || got[0] != "/covify-frontend" {
		t.Errorf("entrypoint %q", got)
	}
	labels := config.Config.Labels
	if labels["moby.buildkit.frontend.network.none"] != "true" {
		t.Error("the frontend is given a network")
	}
	for _, capability := range []string{"inputs", "subrequests", "contexts"} {
		if !strings.Contains(labels["moby.buildkit.frontend.caps"], "moby.buildkit.frontend."+capability) {
			t.Errorf("capability %s is not among %q", capability, labels["moby.buildkit.frontend.caps"])
		}
	}
	for _, key := range []string{"title", "description", "source", "licenses", "version"} {
		if labels["org.opencontainers.image."+key] == "" {
			t.Errorf("no label org.opencontainers.image.%s", key)
		}
	}
}

func lookIntoFiles(t *testing.T, files fstest.MapFS, arch string) {
	t.Helper()
	for name, f := range files {
		if !f.ModTime.Equal(plan.Epoch) {
			t.Errorf("%s is of %s", name, f.ModTime)
		}
		if f.Mode.IsDir() {
			continue
		}
		sum, isBlob := strings.CutPrefix(name, "blobs/sha256/")
		switch {
		case bytes.Contains(f.Data, []byte("PK\x03\x04")) && bytes.Contains(f.Data, []byte("coverage/control.py")):
			t.Errorf("%s holds a wheel", name)
		case isBlob && fmt.Sprintf("%x", sha256.Sum256(f.Data)) != sum:
			t.Errorf("%s has another content", name)
		case !isBlob && name != "payloads.json" && name != "covify-frontend":
			t.Errorf("what is %s for?", name)
		}
	}
	program, err := elf.NewFile(bytes.NewReader(files["covify-frontend"].Data))
	if err != nil {
		t.Fatal(err)
	}
	if machine := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}[arch]; program.Machine != machine {
		t.Errorf("a program for %s", program.Machine)
	}
	if libraries, err := program.ImportedLibraries(); err != nil || len(libraries) > 0 || files["covify-frontend"].Mode.Perm() != 0o755 {
		t.Errorf("the program has mode %s and needs %q, %v", files["covify-frontend"].Mode, libraries, err)
	}
	store := &blobs.Store{FS: files}
	for _, of := range []string{"x86_64", "aarch64"} {
		for _, libc := range []string{"glibc", "musl"} {
			target := wheel.Target{Implementation: "cp", Major: 3, Minor: 13, ABI: "cp313", Libc: libc, Arch: of}
			if payload, err := store.Payload(target, ""); err != nil || payload.Pure {
				t.Errorf("%s: %+v, %v", target, payload, err)
			}
		}
	}
}

// TestEngineFrontendImageDefinition: what BuildKit is given to do is small, as contents come from the frontend image. The build's
// provenance has it as JSON, which is longer than what is sent.
func TestEngineFrontendImageDefinition(t *testing.T) {
	registry, e := registryAddress(t), findEngine(t, "docker29")
	image := frontendImage(t, registry, e)
	base := registry + "/frontend/definition:1"
	for _, c := range cases(t) {
		if c.name == "distroless" {
			skopeo(t, "docker-archive:"+c.archive(), "docker://"+base)
		}
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte("# syntax="+image+"\nFROM "+base+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	env := e.env()
	env["BUILDX_METADATA_PROVENANCE"] = "max"
	metadata := filepath.Join(t.TempDir(), "metadata.json")
	output(t, "", env, "docker", "buildx", "build", "--provenance=mode=max", "--metadata-file", metadata, "-t", "definition", dir)
	data, err := os.ReadFile(metadata)
	if err != nil {
		t.Fatal(err)
	}
	var told struct {
		Provenance struct {
			Config struct {
				Steps []json.RawMessage `json:"llbDefinition"`
			} `json:"buildConfig"`
		} `json:"buildx.build.provenance"`
	}
	if err := json.Unmarshal(data, &told); err != nil {
		t.Fatal(err)
	}
	steps := told.Provenance.Config.Steps
	var all bytes.Buffer
	for _, step := range steps {
		all.Write(step)
	}
	t.Logf("%d steps in %d bytes of JSON", len(steps), all.Len())
	if len(steps) < 5 || all.Len() > 300_000 {
		t.Errorf("%d steps in %d bytes of JSON", len(steps), all.Len())
	}
	if !bytes.Contains(all.Bytes(), []byte("/blobs/sha256/")) {
		t.Error("no step copies from the frontend image")
	}
}

func pushedDigest(t *testing.T, image string) string {
	t.Helper()
	raw := output(t, "", nil, "skopeo", "inspect", "--raw", "--tls-verify=false", "docker://"+image)
	return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(raw)))
}

func ociBlob(layout string, d ocispecs.Descriptor) string {
	return filepath.Join(layout, "blobs", d.Digest.Algorithm().String(), d.Digest.Encoded())
}

func blobOf[T any](t *testing.T, file string) (value T) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(data, &value)
	}
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// unpackLayer adds the files of a gzip-compressed layer.
func unpackLayer(t *testing.T, file string, files fstest.MapFS) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for tr := tar.NewReader(z); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		files[strings.Trim(h.Name, "/")] = &fstest.MapFile{Data: data, Mode: h.FileInfo().Mode(), ModTime: h.ModTime.Truncate(time.Second)}
	}
}
