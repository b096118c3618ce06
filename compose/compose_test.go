package compose

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/covify/covify/runner"
)

var update = flag.Bool("update", false, "write golden files")

func TestParse(t *testing.T) {
	for _, test := range []struct {
		args     string
		globals  string
		files    string
		command  string
		services string
		after    string
		words    string // the command's, without --build and --pull
	}{
		{args: "up", command: "up", words: "up"},
		{args: "-f a.yaml --file=b.yaml -fc.yaml -p shop --profile x up -d web", globals: "-p shop --profile x", files: "a.yaml b.yaml c.yaml",
			command: "up", services: "web", words: "up -d web"},
		{args: "--env-file e --project-directory d --parallel 2 --ansi never --progress plain --compatibility ps -a",
			globals: "--env-file e --project-directory d --parallel 2 --ansi never --progress plain --compatibility", command: "ps", words: "ps -a"},
		{args: "up --build web -t 3 --pull always --scale web=2 --exit-code-from tests tests", command: "up", services: "web tests",
			words: "up web -t 3 --scale web=2 --exit-code-from tests tests"},
		{args: "up -dt5 --pull=always web", command: "up", services: "web", words: "up -dt5 web"},
		{args: "up -- web", command: "up", services: "web", words: "up -- web"},
		{args: "run --rm --build -e A=1 -v ./x:/y -uroot web python -m x --build", command: "run", services: "web", after: "python -m x --build",
			words: "run --rm -e A=1 -v ./x:/y -uroot web python -m x --build"},
		{args: "run -T web", command: "run", services: "web", words: "run -T web"},
		{args: "scale web=3 worker=0", command: "scale", services: "web worker", words: "scale web=3 worker=0"},
		{args: "down -v --rmi local -t 1 web", command: "down", services: "web", words: "down -v --rmi local -t 1 web"},
		{args: "rm -fsv web", command: "rm", services: "web", words: "rm -fsv web"},
		{args: "kill -s INT web", command: "kill", services: "web", words: "kill -s INT web"},
		{args: "exec web sh -c up", command: "exec", words: "exec web sh -c up"},
		{args: "--data-dir d --engine=podman --save-timeout 3s --print up", command: "up", words: "up"},
		{args: "up -f", command: "up", words: "up -f"},
	} {
		line, err := Parse(strings.Fields(test.args))
		if err != nil {
			t.Errorf("%s: %v", test.args, err)
			continue
		}
		for what, pair := range map[string][2][]string{
			"globals": {line.Globals(), strings.Fields(test.globals)}, "files": {line.Files, strings.Fields(test.files)},
			"services": {line.Command.Services, strings.Fields(test.services)}, "after": {line.Command.After, strings.Fields(test.after)},
			"words": {line.Command.Words("build", "pull"), strings.Fields(test.words)}, "all words": {line.Command.Words(), after(test.args, test.command)},
		} {
			if !slices.Equal(pair[0], pair[1]) {
				t.Errorf("%s: %s %q, want %q", test.args, what, pair[0], pair[1])
			}
		}
		if line.Command.Name != test.command {
			t.Errorf("%s: command %q", test.args, line.Command.Name)
		}
	}
}

// after is the end of a command line that begins with a word.
func after(args, word string) []string {
	words := strings.Fields(args)
	return words[slices.Index(words, word):]
}

func TestParseFlags(t *testing.T) {
	line, err := Parse(strings.Fields("--print=json --rcfile r --dry-run up --no-deps=false --scale a=1 --scale b=2 -d"))
	if err != nil || line.Print != "json" || line.RCFile != "r" || !line.DryRun() {
		t.Errorf("%+v, %v", line, err)
	}
	c := line.Command
	if c.Has("no-deps") || !c.Has("detach") || c.Value("scale") != "b=2" || !slices.Equal(c.Values("scale"), []string{"a=1", "b=2"}) || c.Value("pull") != "" {
		t.Errorf("%+v", c)
	}
	if !c.Starts() || c.Changes() {
		t.Error("up starts containers")
	}
	for _, args := range []string{"--print=yaml up", "--engine lxc up", "--rcfile", "--data-dir= up", "--save-timeout=x up", "--save-timeout 0s up"} {
		if _, err := Parse(strings.Fields(args)); !errors.As(err, new(*UsageError)) {
			t.Errorf("%s: %v, want a *UsageError", args, err)
		}
	}
	if line, err := Parse([]string{"up", "-h"}); err != nil || !line.Command.Has("help") {
		t.Errorf("%+v, %v", line, err)
	}
	if line, err := Parse([]string{"-h"}); err != nil || !line.Help {
		t.Errorf("%+v, %v", line, err)
	}
	if line, err := Parse([]string{"--help"}); err != nil || !line.Help || line.Command.Words() != nil {
		t.Errorf("%+v, %v", line, err)
	}
}

// shopProject is the project of testdata.
func shopProject(t *testing.T) Project {
	t.Helper()
	text, err := os.ReadFile("testdata/config.json")
	if err != nil {
		t.Fatal(err)
	}
	project, err := ReadProject(text)
	if err != nil {
		t.Fatal(err)
	}
	return project
}

// TestOverride: what compose says of a project gives the override in testdata.
func TestOverride(t *testing.T) {
	project := shopProject(t)
	measured := map[string]Measured{}
	for name, service := range project.Services {
		image := project.ImageName(name, false)
		inv := service.Invocation(image)
		m := Measured{Variant: image + "-cov", Source: "/checkout/.covify/data/" + name, Target: "/app/coverage_data",
			Relabel: name == "web", Env: map[string]string{"COVERAGE_FILE": "/app/coverage_data/.coverage"}}
		for _, mount := range inv.Mounts {
			if mount.Target == m.Target {
				m.Source = ""
			}
		}
		measured[name] = m
	}
	got, err := Override(measured)
	if err != nil {
		t.Fatal(err)
	}
	again, _ := Override(measured)
	if string(again) != string(got) {
		t.Error("the same services give other bytes")
	}
	golden := "testdata/override.json"
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile(golden); err != nil || string(want) != string(got) {
		t.Errorf("got %s, %v", got, err)
	}
}

func TestInvocation(t *testing.T) {
	project := shopProject(t)
	web := project.Services["web"]
	if name := project.ImageName("web", false); name != "shop-web" || !web.Built() {
		t.Errorf("image %q", name)
	}
	if name := project.ImageName("web", true); name != "shop_web" {
		t.Errorf("image %q", name)
	}
	for service, want := range map[string]string{"web": "shop-web-1", "cache": "the-cache"} {
		if name := project.ContainerName(service, false); name != want {
			t.Errorf("container %q", name)
		}
	}
	inv := web.Invocation("shop-web")
	slices.Sort(inv.Env)
	python := "python"
	want := runner.Invocation{Image: "shop-web", Platform: "linux/amd64", Entrypoint: &python, Command: []string{"-m", "app"},
		Env: []string{"COVERAGE_CORE=c$trace"}, Mounts: []runner.Mount{
			{Kind: "bind", Source: "/checkout/web$x", Target: "/app"}, {Kind: "volume", Source: "data", Target: "/data", ReadOnly: true},
			{Kind: "tmpfs", Target: "/run/app"}}}
	if !reflect.DeepEqual(inv, want) {
		t.Errorf("got  %+v\nwant %+v", inv, want)
	}
	line, err := Parse(strings.Fields("run --name n -e COVERAGE_FILE=/x -e A=1 -v ./d:/app/coverage_data --entrypoint sh web -c ls"))
	if err != nil {
		t.Fatal(err)
	}
	inv = WithRunFlags(project.Services["cache"].Invocation("redis:7"), line.Command)
	if *inv.Entrypoint != "sh" || !slices.Equal(inv.Command, []string{"-c", "ls"}) || inv.Name != "n" ||
		!slices.Equal(inv.Env, []string{"COVERAGE_FILE=/x"}) || inv.Mounts[len(inv.Mounts)-1].Source != "./d" {
		t.Errorf("%+v", inv)
	}
}

func TestReadProjectBroken(t *testing.T) {
	if _, err := ReadProject([]byte("name: shop")); err == nil {
		t.Error("YAML was read as JSON")
	}
}

func TestFiles(t *testing.T) {
	root := t.TempDir()
	write := func(names ...string) {
		for _, name := range names {
			if err := os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(root, name), nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	write("docker-compose.yml", "sub/deep/x", "two/compose.yml", "two/docker-compose.yaml", "two/compose.override.yaml", "two/docker-compose.override.yml")
	for _, test := range []struct {
		here, dir string
		env       map[string]string
		want      string
	}{
		{here: "", want: "docker-compose.yml"},
		{here: "sub/deep", want: "docker-compose.yml"},
		{here: "two", want: "two/compose.yml two/compose.override.yaml"},
		{here: "", dir: "two", want: "two/compose.yml two/compose.override.yaml"},
		{here: "two", env: map[string]string{"COMPOSE_FILE": "a.yaml:b.yaml"}, want: "a.yaml b.yaml"},
		{here: "two", env: map[string]string{"COMPOSE_FILE": "a.yaml,b.yaml", "COMPOSE_PATH_SEPARATOR": ","}, want: "a.yaml b.yaml"},
	} {
		got := Files(filepath.Join(root, test.here), test.dir, func(name string) string { return test.env[name] })
		if words := strings.ReplaceAll(strings.Join(got, " "), root+"/", ""); words != test.want {
			t.Errorf("%+v: got %q", test, words)
		}
	}
}

func TestAttached(t *testing.T) {
	for args, want := range map[string]bool{
		"up": true, "up web": true, "up -d": false, "up -dt5": false, "up -t5 web": true, "up --detach": false, "up --wait": false,
		"up --no-start": false, "run web -d": true, "run -dT web": false, "run -Tedd=1 web": true, "run --rm web": true, "create": false,
		"down": false,
	} {
		if line, err := Parse(strings.Fields(args)); err != nil || line.Command.Attached() != want {
			t.Errorf("%s: attached %v, %v", args, !want, err)
		}
	}
}
