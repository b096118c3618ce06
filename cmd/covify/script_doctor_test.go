package main

import (
	"fmt"

	"github.com/covify/covify/imagepatch"
	"github.com/covify/covify/imagepatch/imagetest"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/rogpeppe/go-internal/testscript"
)

// site is the environment of a test image's Python.
const site = "usr/local/lib/python3.13/site-packages/"

// faults are what can be wrong with a variant: files of one more layer, and changes of its configuration.
var faults = map[string]struct {
	files  []imagetest.File
	config func(*v1.Config)
}{
	"env":        {config: func(c *v1.Config) { c.Env = append(c.Env, "COVERAGE_PROCESS_START=") }},
	"file":       {config: func(c *v1.Config) { c.Env = append(c.Env, "COVERAGE_FILE=/tmp/x") }},
	"hook":       {files: []imagetest.File{imagetest.Text(site+".wh.coverage.pth", "")}},
	"foreign":    {files: []imagetest.File{imagetest.Text(site+"coverage.pth", "import coverage; coverage.process_startup()\n")}},
	"payload":    {files: []imagetest.File{imagetest.Text("opt/.wh.covify", "")}},
	"settings":   {files: []imagetest.File{imagetest.Text("opt/covify/coveragerc", "[run]\nbranch = maybe\n")}},
	"unreadable": {files: []imagetest.File{{Name: "opt/covify/coveragerc", Mode: 0o600, Content: "[run]\n"}}, config: func(c *v1.Config) { c.User = "1000" }},
	"mode":       {files: []imagetest.File{{Name: "app/coverage_data/", Mode: 0o755}}},
	"data":       {files: []imagetest.File{imagetest.Text("app/.wh.coverage_data", "")}},
	"command":    {config: func(c *v1.Config) { c.Cmd = []string{"python3", "-uS", "app.py"} }},
	"venv": {files: []imagetest.File{imagetest.Text("srv/venv/pyvenv.cfg", "home = /usr/local/bin\n"), imagetest.Link("srv/venv/bin/python", "/usr/local/bin/python3"),
		imagetest.Dir("srv/venv/lib/python3.13/site-packages")}},
	"python34": {files: imagetest.Python("3.4", "x86_64")},
}

// scriptSpoil puts an image with a fault beside a variant in an OCI layout: spoil oci:DIR:TAG FAULT makes oci:DIR:FAULT.
func scriptSpoil(ts *testscript.TestScript, _ bool, args []string) {
	ref, err := imagepatch.ParseRef(args[0])
	ts.Check(err)
	fault, known := faults[args[1]]
	if !known {
		ts.Fatalf("no fault %q", args[1])
	}
	p, err := layout.FromPath(ts.MkAbs(ref.Path))
	ts.Check(err)
	img, err := tagged(p, ref.Name)
	ts.Check(err)
	if fault.files != nil {
		layer := imagetest.Gzip(fault.files...)
		img, err = mutate.AppendLayers(img, layer)
		ts.Check(err)
	}
	if fault.config != nil {
		file, err := img.ConfigFile()
		ts.Check(err)
		config := file.Config
		fault.config(&config)
		img, err = mutate.Config(img, config)
		ts.Check(err)
	}
	ts.Check(p.AppendImage(img, layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": args[1]})))
}

func tagged(p layout.Path, tag string) (v1.Image, error) {
	index, err := p.ImageIndex()
	if err != nil {
		return nil, err
	}
	m, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	for _, d := range m.Manifests {
		if d.Annotations["org.opencontainers.image.ref.name"] == tag {
			return index.Image(d.Digest)
		}
	}
	return nil, fmt.Errorf("no image is called %s", tag)
}
