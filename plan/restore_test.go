package plan_test

import (
	"maps"
	"reflect"
	"testing"

	"github.com/covify/covify/plan"
)

// TestRestore makes a plan over a configuration and takes it back.
func TestRestore(t *testing.T) {
	root := readTree(t, "testdata/official/tree")
	facts, err := plan.FindInterpreters(root)
	if err != nil {
		t.Fatal(err)
	}
	bases := map[string]plan.Image{
		"nothing":    {},
		"name":       {Name: "registry.example/app:1.0", Digest: "sha256:01"},
		"env":        {Env: []string{"PATH=/bin", "EMPTY=", "A=b=c"}, WorkingDir: "/app"},
		"coverage":   {Env: []string{"COVERAGE_FILE=/mine", "PATH=/bin", "COVERAGE_PROCESS_START="}},
		"labels":     {Labels: map[string]string{"team": "x", plan.LabelBaseName: "python:3.13", plan.LabelBaseDigest: "sha256:02"}, Digest: "sha256:03"},
		"everything": {Env: []string{"COVERAGE_FILE=/mine"}, Labels: map[string]string{plan.LabelBaseName: "python:3.13"}, Name: "app", Digest: "sha256:04", WorkingDir: "/"},
	}
	for name, base := range bases {
		for _, opts := range []plan.Options{{Version: "1"}, {Version: "2", NoEnv: true}, {Version: "3", DataDir: "/data", Paths: map[string]string{"/app": "src"}}} {
			p, err := plan.Make(root, facts, base, payloads(facts), opts)
			if err != nil {
				t.Fatal(err)
			}
			labels := maps.Clone(p.Labels)
			got, ok := plan.Restore(plan.Image{Env: p.Env, Labels: labels, WorkingDir: base.WorkingDir, Name: "variant", Digest: "sha256:07"})
			want := base
			if want.Name == "" {
				want.Name = "variant"
			}
			if want.Digest == "" {
				want.Digest = "sha256:07"
			}
			if want.Labels == nil {
				want.Labels = map[string]string{}
			}
			if !ok || !reflect.DeepEqual(got, want) {
				t.Errorf("%s, %+v:\ngot  %+v\nwant %+v", name, opts, got, want)
			}
		}
		if got, ok := plan.Restore(base); ok || !reflect.DeepEqual(got, base) {
			t.Errorf("%s is no variant: %+v", name, got)
		}
	}
}

// TestPathsLabel: the label holds the paths as a JSON object, and is absent when there are none.
func TestPathsLabel(t *testing.T) {
	root := readTree(t, "testdata/official/tree")
	facts, err := plan.FindInterpreters(root)
	if err != nil {
		t.Fatal(err)
	}
	for want, paths := range map[string]map[string]string{
		"": {},
		`{"/srv/app":"src","/srv/app/main.py":"bin/main.py"}`: {"/srv/app/main.py": "bin/main.py", "/srv/app": "src"},
	} {
		p, err := plan.Make(root, facts, plan.Image{}, payloads(facts), plan.Options{Version: "1", Paths: paths})
		if err != nil {
			t.Fatal(err)
		}
		if label, ok := p.Labels[plan.LabelPaths]; label != want || ok != (want != "") {
			t.Errorf("label %q of %v, want %q", label, paths, want)
		}
	}
}
