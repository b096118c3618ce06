package testimages

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// recipe is something to build: a Dockerfile of the kinds that people write (dockerfiles/*/case*.json), or one line over a test image.
type recipe struct {
	testCase
	Target string // of several in the file
	Base   string // a base of the house's own, from base.Dockerfile

	dockerfile string // path
	context    string // path
}

// args are what docker build needs to build r here, but for a name.
func (r *recipe) args(shop *workshop) []string {
	args := slices.Concat(shop.flags, []string{"--provenance=false", "-f", r.dockerfile})
	if r.Target != "" {
		args = append(args, "--target", r.Target)
	}
	return args
}

// recipes reads every case in dockerfiles.
func recipes(t *testing.T) []*recipe {
	t.Helper()
	files, err := filepath.Glob("dockerfiles/*/case*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no Dockerfiles: %v", err)
	}
	var all []*recipe
	for _, file := range files {
		dir, variant := filepath.Dir(file), strings.TrimPrefix(strings.TrimSuffix(filepath.Base(file), ".json"), "case")
		r := &recipe{context: dir, dockerfile: filepath.Join(dir, "Dockerfile")}
		data, err := os.ReadFile(file)
		if err == nil {
			err = json.Unmarshal(data, r)
		}
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		r.name = filepath.Base(dir) + variant
		r.Image = "covify-dockerfile/" + r.name
		all = append(all, r)
	}
	return all
}

// overTestImages returns, for every test image with Python, a Dockerfile that only names it as its base.
func overTestImages(t *testing.T, registry string) []*recipe {
	t.Helper()
	var all []*recipe
	for _, c := range cases(t) {
		if len(c.Python) == 0 || len(c.Platforms) > 1 {
			continue
		}
		base, dir := registry+"/agreement/"+c.name+":1", t.TempDir()
		skopeo(t, "docker-archive:"+c.archive(), "docker://"+base)
		r := &recipe{testCase: *c, context: dir, dockerfile: filepath.Join(dir, "Dockerfile")}
		r.name = "image-" + c.name
		if err := os.WriteFile(r.dockerfile, []byte("FROM "+base+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	return all
}

// workshop is an engine with what it takes to build the Dockerfiles on this machine.
type workshop struct {
	*engine
	flags []string // of docker build: secrets, network, bases
}

// workshops prepares engines: bases that testimages/bases makes are in the registry. Docker 20.10 builds without covify know no named
// contexts, so there they are pulled and have their public names.
func workshops(t *testing.T, registry string, names ...string) []*workshop {
	t.Helper()
	var shops []*workshop
	for _, name := range names {
		shops = append(shops, &workshop{engine: findEngine(t, name)})
	}
	dockerfiles, err := filepath.Glob("dockerfiles/*/*Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	docker29 := findEngine(t, "docker29")
	for flag := range strings.Lines(output(t, "", docker29.env(), "./build", append([]string{"--flags", t.TempDir()}, dockerfiles...)...)) {
		flag = strings.TrimSpace(flag)
		named, isBase := strings.CutPrefix(flag, "--build-context=")
		name, layout, _ := strings.Cut(named, "=oci-layout://")
		if isBase {
			skopeo(t, "oci:"+layout, "docker://"+registry+"/"+name)
		}
		for _, s := range shops {
			switch {
			case !isBase:
				s.flags = append(s.flags, flag)
			case s.name == "docker20":
				s.adopt(t, registry+"/"+name, name)
			default:
				s.flags = append(s.flags, "--build-context="+name+"=docker-image://"+registry+"/"+name)
			}
		}
	}
	return shops
}

// adopt pulls an image and gives it a name.
func (s *workshop) adopt(t *testing.T, image, name string) {
	t.Helper()
	s.run(t, "pull", "-q", image)
	s.run(t, "tag", image, name)
}

// prepare builds the house's own base of a recipe that has one, where its builds find it.
func (s *workshop) prepare(t *testing.T, r *recipe, registry string) {
	t.Helper()
	if r.Base == "" {
		return
	}
	args := slices.Concat([]string{"build", "-q"}, s.flags, []string{"-f", filepath.Join(r.context, "base.Dockerfile")})
	if s.name == "docker20" {
		s.run(t, slices.Concat(args, []string{"-t", r.Base, r.context})...)
		return
	}
	s.run(t, slices.Concat(args, []string{"-t", registry + "/" + r.Base, "--push", r.context})...)
	s.flags = append(s.flags, "--build-context="+r.Base+"=docker-image://"+registry+"/"+r.Base)
}

// builder is a way from a Dockerfile to a variant in an engine's store.
type builder struct {
	name  string
	build func(t *testing.T, s *workshop, r *recipe, frontend, plain, tag string)
}

// builders are the entries that are compared with the reference; a new one is a row here.
var builders = []builder{
	{"frontend", throughFrontend},
	{"client", throughClient},
	{"daemon", func(t *testing.T, s *workshop, _ *recipe, _, plain, tag string) {
		output(t, "", s.env(), covifyBin, "docker-daemon:"+plain, "-t", "docker-daemon:"+tag)
	}},
}

// throughFrontend is docker build with the frontend image.
func throughFrontend(t *testing.T, s *workshop, r *recipe, frontend, _, tag string) {
	t.Helper()
	s.run(t, slices.Concat([]string{"build", "-q", "--build-arg", "BUILDKIT_SYNTAX=" + frontend}, r.args(s), []string{"-t", tag, r.context})...)
}

// throughClient is covify build, in the engine's BuildKit.
func throughClient(t *testing.T, s *workshop, r *recipe, _, _, tag string) {
	t.Helper()
	env := s.env()
	env["BUILDKIT_HOST"] = ""
	output(t, "", env, covifyBin, slices.Concat([]string{"build", "-q"}, r.args(s), []string{"-t", tag, r.context})...)
}

// reference is entry (1): the plain image from a registry, covered without BuildKit.
func (s *workshop) reference(t *testing.T, r *recipe, registry, plain string) string {
	t.Helper()
	r.pushed = registry + "/" + plain + "-" + s.name
	s.run(t, "tag", plain, r.pushed)
	s.run(t, "push", "-q", r.pushed)
	variant := strings.TrimSpace(output(t, "", s.env(), covifyBin, "docker://"+r.pushed))
	s.run(t, "pull", "-q", variant)
	return variant
}

// TestEngineAgreement builds every Dockerfile plainly and covers the image (entry 1), and builds it through every other entry, in
// Docker's containerd store, where layers are merged, and in the classic store, where they are copied: the same files with the
// same modes, owners and content, the same configuration but for labels that name the base. What comes out measures what
// coverage's own .pth file measures in the plain image.
func TestEngineAgreement(t *testing.T) {
	registry := registryAddress(t)
	shops := workshops(t, registry, "docker29", "docker20")
	frontend := frontendImage(t, registry, findEngine(t, "docker29"))
	for _, r := range slices.Concat(recipes(t), overTestImages(t, registry)) {
		t.Run(r.name, func(t *testing.T) {
			for _, s := range shops {
				agree(t, s, r, registry, frontend)
			}
		})
	}
}

// agree builds a recipe in one engine through every entry, compares all images, and runs the first one.
func agree(t *testing.T, s *workshop, r *recipe, registry, frontend string) {
	t.Helper()
	s.prepare(t, r, registry)
	plain := "agreement-" + r.name + ":plain"
	s.run(t, slices.Concat([]string{"build", "-q"}, r.args(s), []string{"-t", plain, r.context})...)
	reference := s.reference(t, r, registry, plain)
	files := &sameFiles{engine: s.engine, want: contents(t, s.engine, reference)}
	for i, b := range builders {
		t.Run(b.name+"-"+s.name, func(t *testing.T) {
			built := "agreement-" + r.name + ":" + b.name
			b.build(t, s, r, frontend, plain, built)
			files.check(t, built)
			sameConfig(t, s.engine, reference, built)
			if i > 0 || s.name != "docker29" {
				return
			}
			data := runVariant(t, &r.testCase, s.engine, built)
			compare(t, platformOracle(t, &r.testCase, s.engine, plain, "", filepath.Join(data, ".coveragerc")), dump(t, data))
		})
	}
}

// sameFiles compares whole filesystems with one of them. Images of the same layers have the same: each is read once.
type sameFiles struct {
	engine *engine
	want   map[string]string
	known  [][]any // layers that hold it
}

func (s *sameFiles) check(t *testing.T, image string) {
	t.Helper()
	made := layers(t, s.engine, image)
	if slices.ContainsFunc(s.known, func(known []any) bool { return slices.Equal(known, made) }) {
		return
	}
	if got := contents(t, s.engine, image); !reflect.DeepEqual(s.want, got) {
		t.Errorf("the images differ:\n%s", strings.Join(differ(s.want, got), "\n"))
		return
	}
	s.known = append(s.known, made)
}

// layers are the digests of an image's uncompressed layers.
func layers(t *testing.T, e *engine, image string) []any {
	t.Helper()
	return inspect(t, e, image)["RootFS"].(map[string]any)["Layers"].([]any)
}
