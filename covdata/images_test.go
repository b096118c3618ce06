package covdata_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/covify/covify/covdata"
)

// files are contents by path.
type files map[string]string

// imageCase says what a checkout and images hold and what of them was measured, and where each measured file must end.
type imageCase struct {
	name     string
	checkout files
	images   map[string]files // by name: one data file of each, that measured all but what is in unmeasured
	extra    map[string]string
	origin   string // more of the origin, as JSON: paths and mounts
	maps     []covdata.Map
	config   string
	want     string
	unmapped string
	said     []string
	silent   string // what must not be said
}

func code(words ...string) string {
	var out strings.Builder
	for _, word := range words {
		fmt.Fprintf(&out, "def %s():\n    return %[1]q\n\n\n", word)
	}
	return out.String()
}

var imageCases = []imageCase{{
	name: "two images with one layout: content alone tells",
	checkout: files{"a/main.py": code("a", "x"), "a/util.py": code("ua"), "b/main.py": code("b", "x"), "b/util.py": code("ub"),
		"c/main.py": code("c"), "c/util.py": code("uc")},
	images: map[string]files{"one": {"/app/main.py": code("b", "x"), "/app/util.py": code("ub")},
		"two": {"/app/main.py": code("a", "x"), "/app/util.py": code("ua")}},
	want:   "a/main.py a/util.py b/main.py b/util.py",
	silent: "image",
}, {
	name:     "likeness would be wrong: the directory that is called like the image's holds something else",
	checkout: files{"app/main.py": code("other"), "services/web/main.py": code("web")},
	images:   map[string]files{"web": {"/app/main.py": code("web")}},
	want:     "services/web/main.py",
}, {
	name: "what services have in common goes with the rest of each",
	checkout: files{"a/main.py": code("a"), "a/common.py": code("common"), "b/main.py": code("b"), "b/common.py": code("common"),
		"b/__init__.py": "", "a/__init__.py": ""},
	images: map[string]files{"b": {"/app/main.py": code("b"), "/app/common.py": code("common"), "/app/__init__.py": ""}},
	want:   "b/__init__.py b/common.py b/main.py",
}, {
	name:     "with nothing else to go by it is in neither",
	checkout: files{"a/common.py": code("common"), "b/common.py": code("common")},
	images:   map[string]files{"b": {"/app/common.py": code("common")}},
	unmapped: "/app/common.py?",
	said:     []string{"could be a/common.py, b/common.py"},
}, {
	name:     "an empty file is no evidence, and none against",
	checkout: files{"src/shop/__init__.py": "", "lib/tool/__init__.py": "", "src/shop/cart.py": code("cart")},
	images:   map[string]files{"shop": {"/srv/deep/shop/__init__.py": "", "/srv/deep/shop/cart.py": code("cart")}},
	want:     "src/shop/__init__.py src/shop/cart.py",
	silent:   "differ",
}, {
	name:     "moved and renamed",
	checkout: files{"src/core/engine.py": code("engine"), "bin/start": code("start", "now"), "conf/prod.py": code("p1", "p2", "p3")},
	images:   map[string]files{"shop": {"/srv/app/engine.py": code("engine"), "/usr/local/bin/start": code("start", "now"), "/srv/app/settings.py": code("p1", "p2", "p3")}},
	want:     "bin/start conf/prod.py src/core/engine.py",
}, {
	name:     "line endings do not count",
	checkout: files{"a/job.py": "x = 1\r\ny = 2\r\nz = 3\r\n", "b/job.py": "x = 1\ny = 3\nz = 3\n"},
	images:   map[string]files{"job": {"/app/job.py": "x = 1\ny = 2\nz = 3\n"}},
	want:     "a/job.py",
	silent:   "differ",
}, {
	name:     "an image of before a change",
	checkout: files{"a/main.py": code("a"), "a/util.py": "import os\n" + code("util", "more"), "b/util.py": code("strange")},
	images:   map[string]files{"web:2": {"/app/main.py": code("a"), "/app/util.py": code("util", "more")}},
	want:     "a/main.py a/util.py",
	said:     []string{"web:2: 1 file of the image differs from the checkout: a/util.py: rebuild it"},
}, {
	name: "so many changes that only the rest of its directory tells",
	checkout: files{"a/main.py": code("a"), "a/one.py": code("x1"), "a/two.py": code("x2"), "a/three.py": code("x3"), "a/four.py": code("x4"),
		"b/one.py": code("other")},
	images: map[string]files{"web": {"/app/main.py": code("a"), "/app/one.py": code("old1"), "/app/two.py": code("old2"), "/app/three.py": code("old3"), "/app/four.py": code("old4")}},
	want:   "a/four.py a/main.py a/one.py a/three.py a/two.py",
	said:   []string{"web: 4 files of the image differ from the checkout: a/four.py, a/one.py, a/three.py, ...: rebuild it"},
}, {
	name:     "a program of others that is only called alike",
	checkout: files{"src/main.py": code("ours", "is", "this"), "src/util.py": code("util")},
	images:   map[string]files{"reg:5000/team/other:1.0": {"/app/main.py": code("theirs", "is", "that")}, "ours": {"/app/util.py": code("util")}},
	want:     ".covify/sources/other/app/main.py src/util.py",
	said:     []string{"1 file from the image reg:5000/team/other:1.0, in .covify/sources/other"},
	silent:   "differ",
}, {
	name:     "generated in the image",
	checkout: files{"src/main.py": code("main")},
	images:   map[string]files{"shop:1.0": {"/app/main.py": code("main"), "/app/gen/a.py": code("gena"), "/app/gen/b.py": code("genb"), "/app/gen/__init__.py": ""}},
	want:     ".covify/sources/shop/app/gen/__init__.py .covify/sources/shop/app/gen/a.py .covify/sources/shop/app/gen/b.py src/main.py",
	said:     []string{"3 files from the image shop:1.0, in .covify/sources/shop"},
}, {
	name:     "made while the container ran: no image has it",
	checkout: files{"src/main.py": code("main"), "src/made.py": code("made")},
	images:   map[string]files{"shop": {"/app/main.py": code("main")}},
	extra:    map[string]string{"shop": "/app/made.py /tmp/other.py"},
	want:     "src/made.py src/main.py",
	unmapped: "/tmp/other.py",
}, {
	name:     "the user's [paths] win",
	checkout: files{"one/job.py": code("job"), "two/job.py": code("else")},
	images:   map[string]files{"job": {"/app/job.py": code("job")}},
	config:   "[paths]\nsource =\n    two\n    /app\n",
	want:     "two/job.py",
	silent:   "asked",
}, {
	name:     "and so does --map",
	checkout: files{"one/job.py": code("job"), "two/job.py": code("else")},
	images:   map[string]files{"job": {"/app/job.py": code("job")}},
	maps:     []covdata.Map{{From: "/app", To: "two"}},
	want:     "two/job.py",
}, {
	name:     "and what the image itself says",
	checkout: files{"one/job.py": code("job"), "two/job.py": code("else")},
	images:   map[string]files{"job": {"/app/job.py": code("job")}},
	origin:   `, "paths": {"/app": "two"}`,
	want:     "two/job.py",
}, {
	name:     "what is mounted is not the image's",
	checkout: files{"one/job.py": code("job"), "two/job.py": code("else"), "two/only.py": code("only")},
	images:   map[string]files{"job": {"/app/job.py": code("job"), "/app/only.py": code("old")}},
	origin:   `, "mounts": ["/app"]`,
	want:     "two/job.py two/only.py",
	silent:   "differ",
}, {
	name:     "an installed package that was built from the checkout, and a library",
	checkout: files{"src/shop/cart.py": code("cart"), "src/shop/cli.py": code("cli")},
	images: map[string]files{"shop": {"/usr/lib/python3.13/site-packages/shop/cart.py": code("cart"), "/usr/lib/python3.13/site-packages/shop/cli.py": code("cli"),
		"/usr/lib/python3.13/site-packages/rich/cli.py": code("rich")}},
	want: ".covify/sources/shop/usr/lib/python3.13/site-packages/rich/cli.py src/shop/cart.py src/shop/cli.py",
}, {
	name:     "what the interpreter of the image starts with is not the user's, unless the checkout has it",
	checkout: files{"src/main.py": code("main"), "docker/sitecustomize.py": code("ours", "is", "this")},
	images: map[string]files{"debian": {"/app/main.py": code("main"), "/etc/python3.11/sitecustomize.py": code("apport"),
		"/usr/lib/python3.11/usercustomize.py": code("system"), "/venv/lib/python3.11/site-packages/sitecustomize.py": code("theirs"),
		"/app/sitecustomize.py": code("made")},
		"ours": {"/usr/local/lib/python3.13/site-packages/sitecustomize.py": code("ours", "is", "this")}},
	want:     ".covify/sources/debian/app/sitecustomize.py docker/sitecustomize.py src/main.py",
	unmapped: "/etc/python3.11/sitecustomize.py /usr/lib/python3.11/usercustomize.py /venv/lib/python3.11/site-packages/sitecustomize.py",
	said:     []string{"1 file from the image debian"},
}}

func TestImages(t *testing.T) {
	t.Parallel()
	for _, test := range imageCases {
		t.Run(test.name, func(t *testing.T) {
			root := t.TempDir()
			writeFiles(t, root, test.checkout)
			if test.config != "" {
				writeFiles(t, root, files{".coveragerc": test.config})
			}
			opts := covdata.CombineOptions{Root: root, Inputs: []string{test.data(t)}, Maps: test.maps, Contents: (&shelf{images: test.images}).contents}
			test.check(t, root, combine(t, opts))
		})
	}
}

// data is a folder with the data of the case's images.
func (c imageCase) data(t *testing.T) string {
	data, all := t.TempDir(), map[string]measured{}
	for n, name := range slices.Sorted(maps.Keys(c.images)) {
		held := measured{}
		for path, text := range c.images[name] {
			if held[path] = []int{1, 2}; text == "" {
				held[path] = []int{}
			}
		}
		for _, path := range strings.Fields(c.extra[name]) {
			held[path] = []int{1}
		}
		all[fmt.Sprintf(".coverage.image-0000000%d.same.pid1.Xabcdefx", n)] = held
		writeFiles(t, data, files{fmt.Sprintf(".coverage-image-0000000%d", n): originOf(name, c.origin)})
	}
	writeData(t, data, all)
	return data
}

func originOf(name, more string) string {
	return fmt.Sprintf(`{"engine": "docker", "image": %q, "id": "sha256:%x"%s}`, name, name, more)
}

func (c imageCase) check(t *testing.T, root string, summary *covdata.Summary) {
	var unmapped, got []string
	for _, file := range summary.Unmapped {
		if file.Ambiguous {
			file.Path += "?"
		}
		unmapped = append(unmapped, file.Path)
	}
	if got := strings.Join(unmapped, " "); got != c.unmapped {
		t.Errorf("unmapped %q, want %q", got, c.unmapped)
	}
	for _, file := range slices.Sorted(maps.Keys(readData(t, filepath.Join(root, covdata.DefaultOutput)))) {
		if _, err := os.Stat(filepath.Join(root, file)); err == nil {
			got = append(got, file)
		}
	}
	if strings.Join(got, " ") != c.want {
		t.Errorf("mapped %v, want %q", got, c.want)
	}
	words := strings.Join(summary.Words(root), "\n")
	for _, want := range c.said {
		if !strings.Contains(words, want) {
			t.Errorf("no %q in\n%s", want, words)
		}
	}
	if c.silent != "" && strings.Contains(words, c.silent) {
		t.Errorf("%q in\n%s", c.silent, words)
	}
}

// shelf has the contents of images, by name or ID and, of containers, by their names.
type shelf struct {
	images map[string]files
	asked  []string
	err    error
}

func (s *shelf) contents(_ context.Context, image covdata.Image, paths []string, take func(string, io.Reader) error) error {
	name := image.Name
	if image.Container != "" {
		name = image.Container
	}
	s.asked = append(s.asked, name+" "+strings.Join(paths, " "))
	if s.err != nil {
		return s.err
	}
	for _, path := range paths {
		if text, ok := s.images[name][path]; ok {
			if err := take(path, strings.NewReader(text)); err != nil {
				return err
			}
		}
	}
	return nil
}

// TestImagesAskedOnce: what an image holds is asked for once, and only for what nothing else tells; what only a container has is asked of that.
func TestImagesAskedOnce(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	writeFiles(t, root, files{"a/main.py": code("a"), "b/main.py": code("b")})
	engine := &shelf{images: map[string]files{"web": {"/app/main.py": code("b")}, "web-1": {"/app/main.py": code("x"), "/app/made.py": code("made")}}}
	writeData(t, root, map[string]measured{
		"data/.coverage.image-00000001.c1.pid1.Xabcdefx": {"/app/main.py": {1}, "/mnt/x.py": {1}},
		"data/.coverage.image-00000002.c2.pid1.Xabcdefx": {"/app/main.py": {1}, "/app/made.py": {2}},
	})
	writeFiles(t, root, files{
		"data/.coverage-image-00000001": originOf("web", `, "mounts": ["/mnt"]`),
		"data/.coverage-image-00000002": originOf("web", `, "mounts": ["/mnt"], "container": "web-1"`),
	})
	opts := covdata.CombineOptions{Root: root, Inputs: []string{filepath.Join(root, "data")}, Contents: engine.contents}
	for range 2 {
		combine(t, opts)
		got := readData(t, filepath.Join(root, covdata.DefaultOutput))
		if len(got["b/main.py"].Lines) != 1 || len(got[".covify/sources/web/app/made.py"].Lines) != 1 {
			t.Errorf("combined %v", got)
		}
	}
	want := []string{"web /app/made.py /app/main.py", "web-1 /app/made.py", "web-1 /app/made.py"}
	if want[0] = "web /app/made.py /app/main.py"; !slices.Equal(sortedWords(engine.asked), sortedWords(want)) {
		t.Errorf("asked %q", engine.asked)
	}
}

func sortedWords(lines []string) []string {
	var all []string
	for _, line := range lines {
		words := strings.Fields(line)
		slices.Sort(words[1:])
		all = append(all, strings.Join(words, " "))
	}
	return all
}

// TestImagesGone: without an engine likeness decides, and it is said only if that leaves something open. Nothing half known is kept.
func TestImagesGone(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	writeFiles(t, root, files{"a/main.py": code("a"), "b/main.py": code("b"), "lib/one.py": code("one")})
	writeData(t, root, map[string]measured{
		"clear/.coverage.image-00000001.c1.pid1.Xabcdefx":   {"/app/one.py": {1}},
		"unclear/.coverage.image-00000001.c1.pid1.Xabcdefx": {"/app/main.py": {1}},
	})
	engine := &shelf{err: errors.New("no engine answers")}
	for folder, said := range map[string]bool{"clear": false, "unclear": true} {
		writeFiles(t, root, files{folder + "/.coverage-image-00000001": originOf("web", "")})
		opts := covdata.CombineOptions{Root: root, Inputs: []string{filepath.Join(root, folder)}, Contents: engine.contents}
		words := strings.Join(combine(t, opts).Words(root), "\n")
		if strings.Contains(words, "image web could not be asked what its files hold: no engine answers") != said {
			t.Errorf("%s: %s", folder, words)
		}
	}
	engine.err, engine.images = nil, map[string]files{"web": {"/app/main.py": code("b"), "/app/one.py": code("one")}}
	for folder, want := range map[string]string{"clear": "lib/one.py", "unclear": "b/main.py"} {
		combine(t, covdata.CombineOptions{Root: root, Inputs: []string{filepath.Join(root, folder)}, Contents: engine.contents})
		if got := readData(t, filepath.Join(root, covdata.DefaultOutput)); len(got[want].Lines) == 0 {
			t.Errorf("%s: %v", folder, got)
		}
	}
}

// TestImageReports: what only an image has is in every report, under a path that stays the same for another build of the image, with its
// own lines; the folders count it.
func TestImageReports(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	writeFiles(t, root, files{"src/main.py": code("main")})
	writeData(t, root, map[string]measured{"data/.coverage.image-00000001.c1.pid1.Xabcdefx": {"/app/main.py": {1, 2}, "/app/gen.py": {1, 5, 6}}})
	writeFiles(t, root, files{"data/.coverage-image-00000001": originOf("shop:1.0", "")})
	engine := &shelf{images: map[string]files{"shop:1.0": {"/app/main.py": code("main"), "/app/gen.py": code("one", "two")}}}
	opts := covdata.ReportOptions{Stdout: io.Discard, Data: covdata.CombineOptions{Root: root, Inputs: []string{filepath.Join(root, "data")},
		Session: true, Contents: engine.contents, Stderr: t.Output()}}
	const file = ".covify/sources/shop/app/gen.py"
	for format, want := range map[covdata.Format]string{
		covdata.Text: file + "       4      1    75%", covdata.XML: `filename="` + file + `"`, covdata.JSON: `"` + file + `"`, covdata.LCOV: "SF:" + file,
	} {
		var out strings.Builder
		if opts.Stdout, opts.Output = &out, "-"; format == covdata.Text || format == covdata.JSON {
			opts.Output = ""
		}
		made, err := covdata.Report(bg, python(t), format, opts)
		if err != nil {
			t.Fatalf("%s: %v", format, err)
		}
		text := out.String()
		if format == covdata.JSON || format == covdata.LCOV && text == "" {
			held, err := os.ReadFile(made.Output)
			if err != nil {
				t.Fatal(err)
			}
			text = string(held)
		}
		if !strings.Contains(text, want) {
			t.Errorf("%s: no %q in\n%s", format, want, text)
		}
		folder := made.Summary.Folders[0]
		if folder.Files != 2 || folder.FromImage != 1 || folder.Lines != 5 {
			t.Errorf("folder %+v", folder)
		}
	}
	opts.Output = filepath.Join(root, "pages")
	if _, err := covdata.Report(bg, python(t), covdata.HTML, opts); err != nil {
		t.Fatal(err)
	}
	index, err := os.ReadFile(filepath.Join(root, "pages", "index.html"))
	plain := strings.NewReplacer("&#8201;", "", `<span class="sep">`, "", "</span>", "").Replace(string(index))
	if err != nil || !strings.Contains(plain, file) {
		t.Errorf("%v: no %s in\n%s", err, file, index)
	}

	// The copies are made anew where they are gone.
	if err := os.RemoveAll(filepath.Join(root, covdata.DefaultSources)); err != nil {
		t.Fatal(err)
	}
	opts.Output = filepath.Join(root, "second.json")
	if _, err := covdata.Report(bg, python(t), covdata.JSON, opts); err != nil {
		t.Fatal(err)
	}
	var report struct{ Files map[string]struct{} }
	if text, err := os.ReadFile(opts.Output); err != nil || json.Unmarshal(text, &report) != nil || len(report.Files) != 2 {
		t.Errorf("report %s, %v", text, err)
	}
}
