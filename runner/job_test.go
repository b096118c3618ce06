package runner

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/covify/covify/runner/rcfile"
)

// variantAPI serves an engine with a variant "v", a plain image "plain", and what a covifier makes of that.
func variantAPI(t *testing.T) Engine {
	const labels = `"io.covify.version": "1", "io.covify.coverage": "7.17.3", "io.covify.data": "/app/coverage_data"`
	address := api(t, map[string]string{
		"/_ping":                 "OK",
		"/images/v/json":         `{"Config": {"Labels": {` + labels + `}, "Entrypoint": ["python", "-m"], "Cmd": ["app"]}}`,
		"/images/plain/json":     `{"Config": {}}`,
		"/images/plain-cov/json": `{"Config": {"Labels": {` + labels + `, "io.covify.source": "{\"source\": [\"/app\"]}"}}}`,
		"/images/mapped/json":    `{"Config": {"Labels": {` + labels + `, "io.covify.paths": "{\"/srv/app\": \"src\", \"/srv/app/x\": \"lib/x\"}"}}}`,
		"/images/edited/json":    `{"Config": {"Labels": {` + labels + `, "io.covify.paths": "/srv/app"}}}`,
		"/images/known/json":     `{"Id": "sha256:07", "Config": {"Labels": {` + labels + `}}}`,
		"/images/known/json?platform=%7B%22architecture%22%3A%22amd64%22%2C%22os%22%3A%22linux%22%7D": `{"Id": "sha256:07", "Config": {"Labels": {` + labels + `}}}`,
		"/containers/on/json":  `{"State": {"Running": true}}`,
		"/containers/oom/json": `{"State": {"Running": false, "OOMKilled": true}}`,
	})
	return Engine{Name: "docker", Path: "docker", Endpoint: Endpoint{Address: address}, api: true}
}

func prepare(t *testing.T, args string, opts Options) (*Job, error) {
	t.Helper()
	inv, err := ParseArgs(words(args))
	if err != nil {
		t.Fatal(err)
	}
	if opts.Engine.Name == "" {
		opts.Engine = variantAPI(t)
	}
	if opts.Dir == "" {
		opts.Dir = t.TempDir()
	}
	return Prepare(context.Background(), inv, opts)
}

func TestPrepare(t *testing.T) {
	const file, start = " -e COVERAGE_FILE=/app/coverage_data/.coverage", " -e COVERAGE_PROCESS_START=/app/coverage_data/.coveragerc"
	const mount = " -v DIR/.covify/data:/app/coverage_data"
	dir := t.TempDir()
	colon := filepath.Join(dir, "a:b")
	for _, test := range []struct {
		args, want, words string
		selinux           bool
	}{
		{args: "v", want: "docker run" + mount + file + start + " v"},
		{args: "--rm -it v python x.py", want: "docker run --rm -it" + mount + file + start + " v python x.py"},
		{args: "v", want: "docker run" + mount + ":z" + file + start + " v", selinux: true},
		{args: "--data-dir d v", want: "docker run -v DIR/d:/app/coverage_data" + file + start + " v"},
		{args: "--data-dir " + colon + " v", want: "docker run --mount type=bind,source=" + colon + ",target=/app/coverage_data" + file + start + " v"},
		{args: "-v ./e:/app/coverage_data v", want: "docker run -v ./e:/app/coverage_data" + file + start + " v"},
		{args: "-v vol:/app/coverage_data v", want: "docker run -v vol:/app/coverage_data" + file + " v", words: "data stay in the volume"},
		{args: "-e COVERAGE_PROCESS_START= v", want: "docker run -e COVERAGE_PROCESS_START=" + mount + file + " v", words: "your COVERAGE_PROCESS_START= is used"},
		{args: "-e COVERAGE_FILE=/x v", want: "docker run -e COVERAGE_FILE=/x" + mount + start + " v", words: "your COVERAGE_FILE=/x is used"},
		{args: "-e COVERAGE_FILE v", want: "docker run -e COVERAGE_FILE" + mount + file + start + " v"},
		{args: "--pull always --rm plain", want: "docker run --rm" + mount + file + start + " plain-cov"},
		{args: "--pull always v", want: "docker run --pull always" + mount + file + start + " v"},
	} {
		t.Run(test.args, func(t *testing.T) {
			covify := func(_ context.Context, image, _ string) (string, error) { return image + "-cov", nil }
			job, err := prepare(t, test.args, Options{Dir: dir, SELinux: test.selinux, Covify: covify})
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.ReplaceAll(strings.Join(job.Command, " "), dir+"/", "DIR/"); got != strings.ReplaceAll(test.want, dir+"/", "DIR/") {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
			if got := strings.Join(job.Words, "\n"); !strings.Contains(got, test.words) || (test.words == "" && got != "") {
				t.Errorf("says %q, want %q", got, test.words)
			}
			os.RemoveAll(filepath.Join(dir, DefaultDataDir)) // the next image has other settings
		})
	}
}

// TestPrepareOrigin: what is known of the image goes into the data directory, where the data files' name leads to it: its map, its
// digest, and what is mounted over it.
func TestPrepareOrigin(t *testing.T) {
	dir := t.TempDir()
	mapped := func(rest string) string { return `{"engine":"docker","image":"mapped",` + rest + `}` }
	known := func(rest string) string { return `{"engine":"docker","image":"known","id":"sha256:07"` + rest + `}` }
	for args, want := range map[string]string{
		"mapped":                    mapped(`"paths":{"/srv/app":"src","/srv/app/x":"lib/x"}`),
		"-v ./dev:/srv/app/ mapped": mapped(`"paths":{"/srv/app":"DIR/dev"},"mounts":["/srv/app"]`),
		"-v data:/srv/app/x --tmpfs /srv/app mapped": mapped(`"paths":{"/srv/app":""},"mounts":["/srv/app","/srv/app/x"]`),
		"--mount type=bind,src=/y,dst=/z mapped":     mapped(`"paths":{"/srv/app":"src","/srv/app/x":"lib/x","/z":"/y"},"mounts":["/z"]`),
		"edited":                                     "",
		"v":                                          "",
		"-e COVERAGE_FILE=/x mapped":                 "",
		"-v vol:/app/coverage_data mapped":           "",
		"known":                                      known(""),
		"--rm --name n known":                        known(""),
		"--name n --platform linux/amd64 known":      known(`,"platform":"linux/amd64","container":"n"`),
		"-v ./dev:/app -v vol:/var/x known":          known(`,"paths":{"/app":"DIR/dev","/var/x":""},"mounts":["/app","/var/x"]`),
		"-v vol:/var/x known":                        known(`,"mounts":["/var/x"]`),
		"-v ./d:/app/coverage_data known":            known(""),
	} {
		job, err := prepare(t, args, Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		key, named := strings.CutPrefix(job.Env["COVERAGE_FILE"], "/app/coverage_data/.coverage.image-")
		if named != (want != "") {
			t.Errorf("%s: data files are called %q", args, job.Env["COVERAGE_FILE"])
		}
		text, err := os.ReadFile(filepath.Join(job.DataDir, ".coverage-image-"+key))
		if got := strings.ReplaceAll(strings.TrimSpace(string(text)), dir, "DIR"); got != want || (err == nil) != named {
			t.Errorf("%s: got %s, %v; want %s", args, got, err, want)
		}
		if said := strings.Join(job.Words, "\n"); strings.Contains(said, "io.covify.paths cannot be read") != (args == "edited") {
			t.Errorf("%s: says %q", args, said)
		}
	}
	entries, err := os.ReadDir(filepath.Join(dir, DefaultDataDir))
	if err != nil || firstStranger(filepath.Join(dir, DefaultDataDir)) != "" {
		t.Errorf("the data directory holds what it should not: %v, %v", entries, err)
	}
	if data, err := look(filepath.Join(dir, DefaultDataDir)); err != nil || len(data) > 0 {
		t.Errorf("%v, %v: a map is no data", data, err)
	}
}

func TestPrepareConfig(t *testing.T) {
	job, err := prepare(t, "plain", Options{Covify: func(context.Context, string, string) (string, error) { return "plain-cov", nil }})
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(job.DataDir, ".coveragerc"))
	if err != nil || !strings.Contains(string(text), "branch = true") || !strings.Contains(string(text), "source =\n    /app\n") {
		t.Errorf("got %s, %v", text, err)
	}
}

func TestPrepareErrors(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "bad.cfg"), []byte("[run]\nbranch = maybe\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]any{
		"plain":                                   &ErrNotVariant,
		"--rcfile bad.cfg v":                      new(*rcfile.Error),
		"--rcfile gone.cfg v":                     new(*rcfile.Error),
		"--data-dir /proc/x v":                    new(*DataDirError),
		"-v /x:/app/coverage_data:ro v":           new(*UsageError),
		"--data-dir d -v /x:/app/coverage_data v": new(*UsageError),
	} {
		_, err := prepare(t, args, Options{Dir: dir})
		if args == "plain" {
			if !errors.Is(err, ErrNotVariant) {
				t.Errorf("%s: got %v", args, err)
			}
			continue
		}
		if err == nil || !errors.As(err, want) {
			t.Errorf("%s: got %v, want %T", args, err, want)
		}
		t.Log(err)
	}
}

func TestNoData(t *testing.T) {
	project := t.TempDir()
	if err := os.WriteFile(filepath.Join(project, ".coveragerc"), []byte("[run]\nsource = src\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(project, "empty")
	for _, test := range []struct {
		args   string
		result Result
		want   string // of the reason; "-" for none
	}{
		{"v", Result{DataFiles: []string{".coverage.x"}}, "-"},
		{"v", Result{DataFiles: []string{empty}}, "source = src of .coveragerc"},
		{"v", Result{Notes: []string{"no coverage of process 7: why"}}, "no coverage of process 7: why"},
		{"v", Result{ExitCode: 137}, "exit code 137"},
		{"v", Result{ExitCode: 125}, "not started"},
		{"v", Result{ExitCode: 127}, "could not be started"},
		{"v", Result{ExitCode: 139}, "signal 11"},
		{"--name on v", Result{}, "-"},
		{"--name oom v", Result{ExitCode: 137}, "out of memory"},
		{"-e COVERAGE_PROCESS_START= v", Result{}, "your empty COVERAGE_PROCESS_START"},
		{"-e COVERAGE_FILE=/tmp/c v", Result{}, `sends data to "/tmp/c"`},
		{"-e COVERAGE_FILE=/app/coverage_data/c v", Result{}, "no Python process"},
		{"--entrypoint sh v -c true", Result{}, "started no measured Python: sh -c true"},
		{"v", Result{}, "no Python process"},
	} {
		job, err := prepare(t, test.args, Options{Dir: project})
		if err != nil {
			t.Fatal(err)
		}
		if len(test.result.DataFiles) > 0 && test.result.DataFiles[0] == empty {
			test.result.DataFiles[0] = emptyData(t, job.DataDir)
		}
		got := job.noData(context.Background(), test.result)
		if (got == nil) != (test.want == "-") || (got != nil && !strings.Contains(got.Error(), test.want)) {
			t.Errorf("%s %+v: got %v, want %s", test.args, test.result, got, test.want)
		}
	}
}

// emptyData makes the two pages of a database that an empty "file" table takes.
func emptyData(t *testing.T, dir string) string {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("needs python3")
	}
	const name = ".coverage.empty"
	script := `import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute("create table if not exists file (id integer primary key, path text)")`
	if out, err := exec.Command(python, "-c", script, filepath.Join(dir, name)).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return name
}

func TestShell(t *testing.T) {
	command := []string{"docker", "run", "-e", "A=x y", "-e", "B=$HOME'`\"\\", "", "é", "--x=a,b:c", "*", "line\nbreak"}
	job := &Job{Command: command}
	out, err := exec.Command("sh", "-c", `printf '%s\0' `+job.Shell()).Output()
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00"); !reflect.DeepEqual(got, command) {
		t.Errorf("a shell reads %q", got)
	}
	var printed struct {
		Command []string
		Env     map[string]string
		DataDir string `json:"data_dir"`
	}
	text, err := json.Marshal(&Job{Command: command, Env: map[string]string{"A": "b"}, DataDir: "/d"})
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &printed); err != nil || !reflect.DeepEqual(printed.Command, command) || printed.Env["A"] != "b" || printed.DataDir != "/d" {
		t.Errorf("got %s, %v", text, err)
	}
}

func TestCoverageEnv(t *testing.T) {
	file := filepath.Join(t.TempDir(), "env")
	if err := os.WriteFile(file, []byte("# c\nFOO=1\nCOVERAGE_FILE=/from/file\nCOVERAGE_CORE\nCOVERAGE_X=1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	inv := Invocation{EnvFiles: []string{file, "/nowhere"}, Env: []string{"COVERAGE_FILE=/from/flag", "COVERAGE_UNSET"}}
	got := inv.coverageEnv(func(name string) (string, bool) { return "here", name == "COVERAGE_CORE" })
	want := map[string]string{"COVERAGE_FILE": "/from/flag", "COVERAGE_CORE": "here", "COVERAGE_X": "1"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
