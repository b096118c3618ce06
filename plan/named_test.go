package plan_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/covify/covify/plan"
)

// TestFindNamed names each interpreter and venv of the trees: what is found is what a search of the whole tree finds.
func TestFindNamed(t *testing.T) {
	cases, err := filepath.Glob("testdata/*/tree")
	if err != nil || len(cases) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	venvs := 0
	for _, file := range cases {
		root := readTree(t, file)
		all, err := plan.FindInterpreters(root)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range all.Environments {
			executables, named := []string{e.Interpreter}, []string(nil)
			if e.Venv != "" {
				executables, named = nil, []string{e.Venv}
				venvs++
			}
			facts, err := plan.FindNamed(root, executables, named)
			if err != nil {
				t.Fatal(err)
			}
			i := slices.IndexFunc(all.Interpreters, func(i plan.Interpreter) bool { return i.Path == e.Interpreter })
			if !slices.Contains(facts.Environments, e) || !slices.Contains(facts.Interpreters, all.Interpreters[i]) {
				t.Errorf("%s: naming %v %v found\n%+v\nnot %+v", file, executables, named, facts, e)
			}
		}
		none, err := plan.FindNamed(root, []string{"/nowhere/python3", "/etc"}, []string{"/nowhere", "/usr"})
		if err != nil || len(none.Interpreters)+len(none.Environments) != 0 {
			t.Errorf("%s: found %+v, %v where nothing is", file, none, err)
		}
	}
	if venvs == 0 {
		t.Error("no venv among the trees")
	}
}

// TestHostHook keeps the host's hook to the variants' content under a name of its own.
func TestHostHook(t *testing.T) {
	files := plan.HostHook("/home/user/payload")
	if len(files) != 2 || files[0].Name != "covify.pth" || files[1].Name != "covify.start" || string(files[1].Data) != "_covify:start\n" ||
		!strings.HasPrefix(string(files[0].Data), "/home/user/payload\nimport ") {
		t.Errorf("%q", files)
	}
}
