package runner

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestParseArgs(t *testing.T) {
	ls := "ls -l"
	for _, test := range []struct {
		args    string
		flags   string // the engine's, "=" if all but the image and what follows
		image   string
		command string
		want    Invocation // its other fields
	}{
		{args: "app", image: "app"},
		{args: "app --rm -d", image: "app", command: "--rm -d"},
		{args: "--rm app python -m x", flags: "--rm", image: "app", command: "python -m x", want: Invocation{Remove: true}},
		{args: "-it app sh", flags: "-it", image: "app", command: "sh", want: Invocation{Interactive: true, TTY: true}},
		{args: "-itd app", flags: "-itd", image: "app", want: Invocation{Interactive: true, TTY: true, Detach: true}},
		{args: "-ite COVERAGE_X=1 app", flags: "-ite COVERAGE_X=1", image: "app",
			want: Invocation{Interactive: true, TTY: true, Env: []string{"COVERAGE_X=1"}}},
		{args: "-iteCOVERAGE_X=1 app", flags: "-iteCOVERAGE_X=1", image: "app",
			want: Invocation{Interactive: true, TTY: true, Env: []string{"COVERAGE_X=1"}}},
		{args: "-e=COVERAGE_FILE= app", flags: "-e=COVERAGE_FILE=", image: "app", want: Invocation{Env: []string{"COVERAGE_FILE="}}},
		{args: "-e COVERAGE_FILE app", flags: "-e COVERAGE_FILE", image: "app", want: Invocation{Env: []string{"COVERAGE_FILE"}}},
		{args: "--env=COVERAGE_FILE=x --env FOO=1 app", flags: "--env=COVERAGE_FILE=x --env FOO=1", image: "app",
			want: Invocation{Env: []string{"COVERAGE_FILE=x"}}},
		{args: "-p8080:80 -P -q app", flags: "-p8080:80 -P -q", image: "app"},
		{args: "-i=false -t=true app", flags: "-i=false -t=true", image: "app", want: Invocation{TTY: true}},
		{args: "-ti=false app", flags: "-ti=false", image: "app", want: Invocation{TTY: true}},
		{args: "--detach=false app", flags: "--detach=false", image: "app"},
		{args: "--rm=1 --read-only app", flags: "--rm=1 --read-only", image: "app", want: Invocation{Remove: true, ReadOnly: true}},
		{args: "-h host --name n --cidfile c app", flags: "-h host --name n --cidfile c", image: "app",
			want: Invocation{Name: "n", CIDFile: "c"}},
		{args: "-u 1000:1000 --platform linux/arm64 --pull=always app", flags: "-u 1000:1000 --platform linux/arm64 --pull=always",
			image: "app", want: Invocation{User: "1000:1000", Platform: "linux/arm64", Pull: "always"}},
		{args: "--entrypoint ls|-l app x", flags: "--entrypoint ls|-l", image: "app", command: "x",
			want: Invocation{Entrypoint: &ls}},
		{args: "--gpus all --init --privileged --ulimit nofile=1 app", flags: "--gpus all --init --privileged --ulimit nofile=1", image: "app"},
		{args: "--tls-verify=false --env-host --rmi --systemd always app", flags: "--tls-verify=false --env-host --rmi --systemd always",
			image: "app"},
		{args: "--sig-proxy --use-api-socket --no-healthcheck app", flags: "--sig-proxy --use-api-socket --no-healthcheck", image: "app"},
		{args: "--some-new-flag value app", flags: "--some-new-flag value", image: "app"},
		{args: "--rm -- app -x", flags: "--rm", image: "app", command: "-x", want: Invocation{Remove: true}},
		{args: "-v /src:/app/coverage_data:ro,z app", flags: "-v /src:/app/coverage_data:ro,z", image: "app",
			want: Invocation{Mounts: []Mount{{"bind", "/src", "/app/coverage_data", true}}}},
		{args: "-v data:/app/coverage_data/ -v /anon -v ./x:/y app", flags: "-v data:/app/coverage_data/ -v /anon -v ./x:/y", image: "app",
			want: Invocation{Mounts: []Mount{{Kind: "volume", Source: "data", Target: "/app/coverage_data/"},
				{Kind: "volume", Target: "/anon"}, {Kind: "bind", Source: "./x", Target: "/y"}}}},
		{args: "--mount type=bind,src=/s,dst=/d,readonly --tmpfs /t:size=1m app", flags: "--mount type=bind,src=/s,dst=/d,readonly --tmpfs /t:size=1m",
			image: "app", want: Invocation{Mounts: []Mount{{"bind", "/s", "/d", true}, {Kind: "tmpfs", Target: "/t"}}}},
		{args: "--env-file f --env-file=g app", flags: "--env-file f --env-file=g", image: "app", want: Invocation{EnvFiles: []string{"f", "g"}}},
		{args: "--data-dir d --rm --print --engine=podman --rcfile c app --print", flags: "--rm", image: "app", command: "--print",
			want: Invocation{DataDir: "d", Remove: true, Print: "shell", Engine: "podman", RCFile: "c"}},
		{args: "--print=json app", image: "app", want: Invocation{Print: "json"}},
		{args: "--save-timeout=500ms --stop-timeout 3 app", flags: "--stop-timeout 3", image: "app",
			want: Invocation{SaveTimeout: 500 * time.Millisecond, StopTimeout: "3"}},
		{args: "--help", flags: "--help", want: Invocation{Help: true}},
	} {
		t.Run(test.args, func(t *testing.T) {
			got, err := ParseArgs(words(test.args))
			if err != nil {
				t.Fatal(err)
			}
			if flags := got.EngineFlags(); !reflect.DeepEqual(flags, words(test.flags)) {
				t.Errorf("flags %q, want %q", flags, words(test.flags))
			}
			test.want.Image = test.image
			if test.command != "" {
				test.want.Command = words(test.command)
			} else if len(got.Command) == 0 {
				got.Command = nil
			}
			got.flags = nil
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

// words splits a table's line; | stands for a space inside a word.
func words(line string) []string {
	var out []string
	for _, word := range strings.Fields(line) {
		out = append(out, strings.ReplaceAll(word, "|", " "))
	}
	return out
}

func TestParseArgsUsage(t *testing.T) {
	for _, args := range []string{
		"", "--rm", "--", "-e", "--name", "--engine lxc app", "--engine", "--print=yaml app", "--data-dir= app",
		"-Z app", "-itZ app", "--rm=maybe app", "--rootfs dir",
		"--save-timeout soon app", "--save-timeout=0s app",
	} {
		_, err := ParseArgs(words(args))
		if wrong := new(UsageError); !errors.As(err, &wrong) {
			t.Errorf("%q: got %v, want a *UsageError", args, err)
		}
	}
}

func TestEngineFlagsWithout(t *testing.T) {
	inv, err := ParseArgs(words("--pull always --rm --pull=never app"))
	if err != nil {
		t.Fatal(err)
	}
	if got := inv.EngineFlags("pull"); !reflect.DeepEqual(got, []string{"--rm"}) {
		t.Errorf("got %q", got)
	}
}
