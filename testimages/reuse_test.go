package testimages

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// TestEngineReusesPlainSteps: after a plain build of a Dockerfile, a covify build takes every step of it from the cache that a second
// plain build takes from there, through the frontend image and client-side.
func TestEngineReusesPlainSteps(t *testing.T) {
	registry := registryAddress(t)
	s := workshops(t, registry, "docker29")[0]
	frontend := frontendImage(t, registry, s.engine)
	for _, r := range recipes(t) {
		if r.name != "venv" && r.name != "project" && r.name != "targets" {
			continue
		}
		t.Run(r.name, func(t *testing.T) {
			args := slices.Concat([]string{"build", "--progress=rawjson"}, r.args(s), []string{"-t", "reuse", r.context})
			progress(t, s, "docker", args)
			plain := progress(t, s, "docker", args)
			if len(plain) < 3 {
				t.Fatalf("a second plain build has %d cached steps: %v", len(plain), plain)
			}
			for name, steps := range map[string][]string{
				"frontend": progress(t, s, "docker", append([]string{"build", "--build-arg", "BUILDKIT_SYNTAX=" + frontend}, args[1:]...)),
				"client":   progress(t, s, covifyBin, args),
			} {
				for _, step := range plain {
					if !slices.Contains(steps, step) {
						t.Errorf("%s: not from the cache: %s", name, step)
					}
				}
			}
		})
	}
}

// progress runs a build and returns the names of its cached steps.
func progress(t *testing.T, s *workshop, command string, args []string) []string {
	t.Helper()
	env := s.env()
	env["BUILDKIT_HOST"] = ""
	stdout, stderr, code := runCommand(t, "", env, command, args...)
	if code != 0 {
		t.Fatalf("%s %s: exit code %d\n%s%s", command, strings.Join(args, " "), code, stdout, stderr)
	}
	var cached []string
	for line := range strings.Lines(stdout + stderr) {
		var status struct {
			Vertexes []struct {
				Name   string
				Cached bool
			}
		}
		if json.Unmarshal([]byte(line), &status) != nil {
			continue // what covify says besides
		}
		for _, v := range status.Vertexes {
			if v.Cached {
				cached = append(cached, v.Name)
			}
		}
	}
	return cached
}

// TestEngineBadInput: what is wrong with a build is said as it is said without covify. A coverage version
// that fits nothing is refused, and so is a frontend image that cannot do what the build needs.
func TestEngineBadInput(t *testing.T) {
	registry, e := registryAddress(t), findEngine(t, "docker29")
	frontend := frontendImage(t, registry, e)
	base := registry + "/bad/base:1"
	skopeo(t, "docker-archive:"+caseNamed(t, "distroless").archive(), "docker://"+base)
	env := e.env()
	env["BUILDKIT_HOST"] = ""
	for _, test := range []struct {
		name, dockerfile string
		args             []string
		want             []string // on stderr, in the plain build too
	}{
		{"unknown instruction", "FROM " + base + "\nRUNN false\n", nil, []string{"Dockerfile:2", "RUNN false", "dockerfile parse error on line 2: unknown instruction: RUNN (did you mean RUN?)"}},
		{"unknown flag", "FROM " + base + "\n\nCOPY --froom=x a b\n", nil, []string{"Dockerfile:3", "unknown flag: --froom"}},
		{"no target", "FROM " + base + " AS app\n", []string{"--target", "nope"}, []string{"target stage \"nope\" could not be found"}},
		{"no file", "FROM " + base + "\nCOPY nothing /\n", nil, []string{"Dockerfile:2", "COPY nothing /", "\"/nothing\": not found"}},
		{"a step fails", "FROM " + base + "\nRUN [\"/usr/bin/python3.11\", \"-c\", \"exit(7)\"]\n", nil, []string{"Dockerfile:2", "did not complete successfully: exit code: 7"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := folder(t, test.dockerfile)
			docker := slices.Concat([]string{"build", "--progress=plain"}, test.args, []string{dir})
			for _, command := range [][]string{
				append([]string{"docker"}, docker...),
				slices.Concat([]string{"docker", "build", "--build-arg", "BUILDKIT_SYNTAX=" + frontend}, docker[1:]),
				append([]string{covifyBin}, docker...),
			} {
				_, said, code := runCommand(t, "", env, command[0], command[1:]...)
				if code == 0 {
					t.Errorf("%q builds", command)
				}
				for _, words := range test.want {
					if !strings.Contains(said, words) {
						t.Errorf("%q does not say %q:\n%s", command, words, said)
					}
				}
			}
		})
	}
	t.Run("frontend too old", func(t *testing.T) {
		// Capabilities are on a label of the image; one from before named contexts does not have theirs, and docker says so.
		old := registry + "/covify:old"
		e.run(t, "build", "-q", "--provenance=false", "--push", "-t", old, folder(t, "FROM "+frontend+"\nLABEL moby.buildkit.frontend.caps=moby.buildkit.frontend.inputs\n"))
		_, said, code := runCommand(t, "", env, "docker", "build", "--build-arg", "BUILDKIT_SYNTAX="+old, "--build-context", "other=docker-image://"+base, folder(t, "FROM other\n"))
		if code == 0 || !strings.Contains(said, "current frontend does not support --build-context") {
			t.Errorf("exit code %d\n%s", code, said)
		}
	})
	t.Run("no payload", func(t *testing.T) {
		dir := folder(t, "FROM "+base+"\n")
		for name, command := range map[string][]string{
			"frontend": {"docker", "build", "--progress=plain", "--build-arg", "BUILDKIT_SYNTAX=" + frontend},
			"client":   {covifyBin, "build", "--progress=plain"},
		} {
			command = append(command, "--build-arg", "COVIFY_COVERAGE=7.999", "-t", "bad:"+name)
			_, said, code := runCommand(t, "", env, command[0], append(command[1:], dir)...)
			if code == 0 || !strings.Contains(said, "covify: platform linux/amd64: no Python in the image can be covered") ||
				!strings.Contains(said, "no wheel of coverage 7.999 fits CPython 3.11") {
				t.Errorf("%s: exit code %d\n%s", name, code, said)
			}
		}
	})
}
