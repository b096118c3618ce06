package covdata_test

import (
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/covify/covify/covdata"
)

// mapCase says what a checkout and what data there is, and where each measured file must end.
type mapCase struct {
	name     string
	checkout string            // files, separated by blanks
	config   string            // .coveragerc
	ignored  string            // .gitignore; set, the checkout is a git repository
	data     map[string]string // data file: measured paths, separated by blanks
	images   map[string]string // beside the data: where files of images come from
	maps     []covdata.Map
	want     string // measured files of the combined data that have source, sorted
	unmapped string // and those that have none, sorted, with "?" if several are equally near
}

var mapCases = []mapCase{{
	name:     "a whole tree moves, also what is alone in its name",
	checkout: "src/shop/__init__.py src/shop/cart.py src/shop/db/__init__.py src/shop/db/user.py tests/test_cart.py",
	data:     map[string]string{".coverage.c": "/app/shop/__init__.py /app/shop/cart.py /app/shop/db/__init__.py /app/shop/db/user.py"},
	want:     "src/shop/__init__.py src/shop/cart.py src/shop/db/__init__.py src/shop/db/user.py",
}, {
	name:     "a unique file name suffices",
	checkout: "jobs/batch.py lib/other.py",
	data:     map[string]string{".coverage.c": "/usr/src/app/batch.py"},
	want:     "jobs/batch.py",
}, {
	name:     "a package's common file alone does not",
	checkout: "pkg/__init__.py",
	data:     map[string]string{".coverage.c": "/srv/app/__init__.py"},
	unmapped: "/srv/app/__init__.py",
}, {
	name:     "the name is there twice",
	checkout: "one/job.py two/job.py",
	data:     map[string]string{".coverage.c": "/app/job.py"},
	unmapped: "/app/job.py?",
}, {
	name:     "the others of its tree decide",
	checkout: "one/job.py two/job.py two/only.py",
	data:     map[string]string{".coverage.c": "/app/job.py /app/only.py"},
	want:     "two/job.py two/only.py",
}, {
	name:     "a directory that happens to have the container's name has fewer votes",
	checkout: "services/app/main.py services/api/main.py services/api/util.py services/api/db.py",
	data:     map[string]string{".coverage.c": "/app/main.py /app/util.py /app/db.py"},
	want:     "services/api/db.py services/api/main.py services/api/util.py",
}, {
	name:     "two containers with their own /app",
	checkout: "a/main.py a/apples.py b/main.py b/bananas.py",
	data: map[string]string{
		".coverage.aaa.pid1.Xabcdefx": "/app/main.py",
		".coverage.aaa.pid7.Xabcdefx": "/app/main.py /app/apples.py",
		".coverage.bbb.pid1.Xabcdefx": "/app/main.py /app/bananas.py",
	},
	want: "a/apples.py a/main.py b/bananas.py b/main.py",
}, {
	name:     "installed: the whole path below site-packages has to match",
	checkout: "src/shop/cart.py tools/cli.py",
	data:     map[string]string{".coverage.c": "/usr/lib/python3.13/site-packages/shop/cart.py /usr/lib/python3.13/site-packages/rich/cli.py"},
	want:     "src/shop/cart.py",
	unmapped: "/usr/lib/python3.13/site-packages/rich/cli.py",
}, {
	name:     "--map where likeness cannot tell",
	checkout: "one/job.py two/job.py",
	data:     map[string]string{".coverage.c": "/app/job.py"},
	maps:     []covdata.Map{{From: "/app", To: "two"}},
	want:     "two/job.py",
}, {
	name:     "--map decides even where its file is missing",
	checkout: "one/job.py two/new.py",
	data:     map[string]string{".coverage.c": "/app/job.py"},
	maps:     []covdata.Map{{From: "/app/", To: "two/"}},
	unmapped: "/app/job.py",
}, {
	name:     "the user's [paths] come before --map",
	checkout: "one/job.py two/job.py",
	config:   "[paths]\nsource =\n    one\n    /app\n",
	data:     map[string]string{".coverage.c": "/app/job.py"},
	maps:     []covdata.Map{{From: "/app", To: "two"}},
	want:     "one/job.py",
}, {
	name:     "relative data of a container follows its tree",
	checkout: "src/shop/cart.py",
	data:     map[string]string{".coverage.c": "shop/cart.py"},
	want:     "src/shop/cart.py",
}, {
	name:     "git's ignored copies are no candidates, an ignored file of the tree is",
	checkout: "src/shop/cart.py src/shop/_version.py build2/shop/cart.py",
	ignored:  "build2\n_version.py\n",
	data:     map[string]string{".coverage.c": "/app/shop/cart.py /app/shop/_version.py"},
	want:     "src/shop/_version.py src/shop/cart.py",
}, {
	name:     "without git: environments and build directories are no candidates",
	checkout: "src/shop/cart.py env/pyvenv.cfg env/shop/cart.py build/lib/shop/cart.py node_modules/shop/cart.py",
	data:     map[string]string{".coverage.c": "/app/shop/cart.py"},
	want:     "src/shop/cart.py",
}, {
	name:     "the image says where likeness cannot tell",
	checkout: "a/app/main.py b/app/main.py",
	data:     map[string]string{".coverage.image-00000001.c.pid1.Xabcdefx": "/srv/main.py"},
	images:   map[string]string{".coverage-image-00000001": `{"paths": {"/srv": "b/app"}}`},
	want:     "b/app/main.py",
}, {
	name:     "two images with their own /srv, and a container of neither",
	checkout: "a/app/main.py b/app/main.py c/main.py",
	data: map[string]string{
		".coverage.image-00000001.c.pid1.Xabcdefx":  "/srv/main.py",
		".coverage.image-00000002.c.pid1.Xabcdefx":  "/srv/main.py",
		".coverage.c.pid1.Xabcdefx":                 "/srv/main.py",
		".coverage.image-00000003.xy.pid1.Xabcdefx": "/srv/main.py",
	},
	images:   map[string]string{".coverage-image-00000001": `{"paths": {"/srv": "a/app"}}`, ".coverage-image-00000002": `{"paths": {"/srv": "b/app"}}`, ".coverage-image-00000003": "damaged"},
	want:     "a/app/main.py b/app/main.py",
	unmapped: "/srv/main.py?",
}, {
	name:     "a renamed file of the image",
	checkout: "bin/start.py src/start.py src/run.py",
	data:     map[string]string{".coverage.image-00000001.c.pid1.Xabcdefx": "/srv/run.py /srv/start.py"},
	images:   map[string]string{".coverage-image-00000001": `{"paths": {"/srv": "src", "/srv/run.py": "bin/start.py"}}`},
	want:     "bin/start.py src/start.py",
}, {
	name:     "a file that the image's map does not have in the checkout is guessed",
	checkout: "a/main.py b/main.py lib/made.py",
	data:     map[string]string{".coverage.image-00000001.c.pid1.Xabcdefx": "/srv/main.py /srv/made.py"},
	images:   map[string]string{".coverage-image-00000001": `{"paths": {"/srv": "a"}}`},
	want:     "a/main.py lib/made.py",
}, {
	name:     "and so is one of which it says that it comes from elsewhere",
	checkout: "a/main.py a/web/main.py b/main.py",
	data:     map[string]string{".coverage.image-00000001.c.pid1.Xabcdefx": "/srv/web/main.py /srv/main.py"},
	images:   map[string]string{".coverage-image-00000001": `{"paths": {"/srv": "b", "/srv/web": ""}}`},
	want:     "a/web/main.py b/main.py",
}, {
	name:     "--map comes before the image's",
	checkout: "one/job.py two/job.py",
	data:     map[string]string{".coverage.image-00000001.c.pid1.Xabcdefx": "/app/job.py"},
	images:   map[string]string{".coverage-image-00000001": `{"paths": {"/app": "one"}}`},
	maps:     []covdata.Map{{From: "/app", To: "two"}},
	want:     "two/job.py",
}, {
	name:     "and so do the user's [paths]",
	checkout: "one/job.py two/job.py",
	config:   "[paths]\nsource =\n    two\n    /app\n",
	data:     map[string]string{".coverage.image-00000001.c.pid1.Xabcdefx": "/app/job.py"},
	images:   map[string]string{".coverage-image-00000001": `{"paths": {"/app": "one"}}`},
	want:     "two/job.py",
}, {
	name:     "a build context somewhere in the checkout: where most of its files are",
	checkout: "main.py services/a/main.py services/a/shop/cart.py services/b/main.py services/b/shop/user.py",
	data:     map[string]string{".coverage.image-00000001.c.pid1.Xabcdefx": "/srv/main.py /srv/shop/user.py"},
	images:   map[string]string{".coverage-image-00000001": `{"paths": {"/srv": "."}}`},
	want:     "services/b/main.py services/b/shop/user.py",
}, {
	name:     "one that can be in two places is in none",
	checkout: "services/a/main.py services/b/main.py",
	data:     map[string]string{".coverage.image-00000001.c.pid1.Xabcdefx": "/srv/main.py"},
	images:   map[string]string{".coverage-image-00000001": `{"paths": {"/srv": "."}}`},
	unmapped: "/srv/main.py?",
}, {
	name:     "the root goes before other places",
	checkout: "main.py services/a/main.py",
	data:     map[string]string{".coverage.image-00000001.c.pid1.Xabcdefx": "/srv/main.py"},
	images:   map[string]string{".coverage-image-00000001": `{"paths": {"/srv": "."}}`},
	want:     "main.py",
}, {
	name:     "a library is not the checkout's environment in the same place",
	checkout: "app/main.py .venv/pyvenv.cfg .venv/lib/python3.13/site-packages/rich/cli.py",
	data:     map[string]string{".coverage.image-00000001.c.pid1.Xabcdefx": "/srv/app/main.py /srv/.venv/lib/python3.13/site-packages/rich/cli.py"},
	images:   map[string]string{".coverage-image-00000001": `{"paths": {"/srv": "."}}`},
	want:     "app/main.py",
	unmapped: "/srv/.venv/lib/python3.13/site-packages/rich/cli.py",
}}

func TestMap(t *testing.T) {
	t.Parallel()
	for _, test := range mapCases {
		t.Run(test.name, func(t *testing.T) {
			root := t.TempDir()
			files := map[string]string{}
			for _, file := range strings.Fields(test.checkout) {
				files[file] = program
			}
			if test.config != "" {
				files[".coveragerc"] = test.config
			}
			if test.ignored != "" {
				files[".gitignore"] = test.ignored
				if out, err := exec.Command("git", "init", "-q", root).CombinedOutput(); err != nil {
					t.Fatalf("git init: %v\n%s", err, out)
				}
			}
			writeFiles(t, root, files)
			test.check(t, root)
		})
	}
}

func (c mapCase) check(t *testing.T, root string) {
	data := t.TempDir()
	all := map[string]measured{}
	for name, paths := range c.data {
		all[name] = measured{}
		for _, path := range strings.Fields(paths) {
			all[name][path] = []int{1, 4}
		}
	}
	writeData(t, data, all)
	writeFiles(t, data, c.images)
	summary := combine(t, covdata.CombineOptions{Root: root, Inputs: []string{data}, Maps: c.maps})
	var unmapped []string
	for _, file := range summary.Unmapped {
		if file.Ambiguous {
			file.Path += "?"
		}
		unmapped = append(unmapped, file.Path)
	}
	if got := strings.Join(unmapped, " "); got != c.unmapped {
		t.Errorf("unmapped %q, want %q", got, c.unmapped)
	}
	var got []string
	for _, file := range slices.Sorted(maps.Keys(readData(t, filepath.Join(root, covdata.DefaultOutput)))) {
		if !filepath.IsAbs(file) {
			got = append(got, file)
		}
	}
	if strings.Join(got, " ") != c.want {
		t.Errorf("mapped %v, want %q", got, c.want)
	}
}

// TestMapNames: the summary names the directories that moved and the nearest file of one that did not.
func TestMapNames(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	writeFiles(t, root, map[string]string{"src/shop/cart.py": program, "src/shop/user.py": program, "a/job.py": program, "b/job.py": program})
	writeData(t, root, map[string]measured{"data/.coverage.c": {
		"/srv/app/shop/cart.py": {1}, "/srv/app/shop/user.py": {1}, "/opt/job.py": {1},
	}})
	opts := covdata.CombineOptions{Root: root, Inputs: []string{filepath.Join(root, "data")}, Maps: []covdata.Map{{From: "/none", To: "src"}}}
	words := strings.Join(combine(t, opts).Words(root), "\n")
	for _, want := range []string{
		"combined 1 data file into .covify/coverage: 2 source files",
		"/srv/app is src (2 files)",
		"not in the checkout: /opt/job.py (could be a/job.py, b/job.py)",
		"--map /none=src: no measured file is below /none",
	} {
		if !strings.Contains(words, want) {
			t.Errorf("no %q in:\n%s", want, words)
		}
	}
}

// TestMapImage: a map of the image may name the repository above the checkout, and folders of this machine, and a change of it is
// seen; the summary names what it decided.
func TestMapImage(t *testing.T) {
	t.Parallel()
	root := filepath.Join(t.TempDir(), "repo", "services", "a")
	writeFiles(t, root, map[string]string{"one/job.py": program, "two/job.py": program, "dev/job.py": program})
	writeData(t, root, map[string]measured{"data/.coverage.image-0000000f.c.pid1.Xabcdefx": {"/srv/app/job.py": {1}, "/mnt/job.py": {1}, "/mnt/else/job.py": {1}}})
	image := `{"paths": {"/srv/app": "services/a/two", "/mnt": "` + root + `/dev", "/mnt/else": "` + filepath.Dir(root) + `/b"}}`
	writeFiles(t, root, map[string]string{"data/.coverage-image-0000000f": image})
	opts := covdata.CombineOptions{Root: root, Inputs: []string{filepath.Join(root, "data")}}
	words := strings.Join(combine(t, opts).Words(root), "\n")
	for _, want := range []string{"  /srv/app is two (1 file)", "  /mnt is dev (1 file)", "not in the checkout: /mnt/else/job.py (could be"} {
		if !strings.Contains(words, want) {
			t.Errorf("no %q in:\n%s", want, words)
		}
	}
	writeFiles(t, root, map[string]string{"data/.coverage-image-0000000f": `{"paths": {"/srv/app": "services/a/one"}}`})
	made, err := covdata.Report(bg, python(t), covdata.Text, covdata.ReportOptions{Data: opts})
	if err != nil {
		t.Fatal(err)
	}
	if !made.Summary.Fresh {
		t.Error("the data were not combined again for another map")
	}
}

// TestMapHostFile: a file that this machine has at the measured path stays, unless the checkout has its copy.
func TestMapHostFile(t *testing.T) {
	t.Parallel()
	root, elsewhere := t.TempDir(), t.TempDir()
	writeFiles(t, root, map[string]string{"src/copy.py": program, "src/other.py": program})
	writeFiles(t, elsewhere, map[string]string{"copy.py": program, "other.py": "x = 1\n"})
	writeData(t, root, map[string]measured{"data/.coverage.c": {elsewhere + "/copy.py": {1}, elsewhere + "/other.py": {1}}})
	combine(t, covdata.CombineOptions{Root: root, Inputs: []string{filepath.Join(root, "data")}})
	got := slices.Sorted(maps.Keys(readData(t, filepath.Join(root, covdata.DefaultOutput))))
	if !slices.Equal(got, []string{elsewhere + "/other.py", "src/copy.py"}) {
		t.Errorf("measured %v", got)
	}
}
