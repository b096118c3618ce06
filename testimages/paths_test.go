package testimages

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// pathsDockerfile takes a program through a build stage into a directory of another name.
const pathsDockerfile = `FROM BASE AS build
WORKDIR /build
COPY FOLDER/ lib/
FROM BASE
USER 0
ARG HOME_DIR=/srv
WORKDIR $HOME_DIR
COPY --from=build /build/lib/app renamed/
COPY <<made.py renamed/
def answer(): return 42
made.py
ENTRYPOINT ["python", "/srv/renamed/main.py"]
`

const pathsProgram = `import sys
sys.path.insert(0, "/srv/renamed")
import made
if made.answer() == 42:
    print("NAME says so")
else:
    print("never")
`

// TestEnginePathMap: a variant built from a Dockerfile knows where its files come from. Two programs of the same name in one data
// directory, moved and renamed by their Dockerfiles, are reported as the files of the checkout that they are, without a word of the user;
// so it is where the builder does not know the repository, and for the command line that covify run prints.
func TestEnginePathMap(t *testing.T) {
	registry, e := registryAddress(t), findEngine(t, "docker29")
	frontend := frontendImage(t, registry, e)
	base := pathsBase(t, registry)
	byDocker := []string{"docker", "build", "--progress=plain", "--build-arg", "BUILDKIT_SYNTAX=" + frontend}
	for name, c := range map[string]struct {
		builder        []string
		gitInfo, label string
	}{
		"repository known":   {byDocker, "true", `{"/srv/renamed":"services/NAME/FOLDER/app","/srv/renamed/made.py":""}`},
		"covify build":       {[]string{covifyBin, "build"}, "", `{"/srv/renamed":"services/NAME/FOLDER/app","/srv/renamed/made.py":""}`},
		"repository unknown": {byDocker, "false", `{"/srv/renamed":"FOLDER/app","/srv/renamed/made.py":""}`},
	} {
		t.Run(name, func(t *testing.T) {
			repo := pathsRepo(t, base)
			env := e.env()
			env["BUILDX_GIT_INFO"], env["GIT_CONFIG_COUNT"], env["GIT_CONFIG_KEY_0"], env["GIT_CONFIG_VALUE_0"] = c.gitInfo, "1", "safe.directory", "*"
			for service, folder := range pathsServices {
				image := "paths:" + service
				output(t, repo, env, c.builder[0], append(c.builder[1:len(c.builder):len(c.builder)], "-t", image, "services/"+service)...)
				labels := inspect(t, e, image)["Config"].(map[string]any)["Labels"].(map[string]any)
				if want := strings.NewReplacer("NAME", service, "FOLDER", folder).Replace(c.label); labels["io.covify.paths"] != want {
					t.Fatalf("label %v, want %s", labels["io.covify.paths"], want)
				}
			}
			output(t, repo, e.env(), covifyBin, "run", "--engine", e.command, "--rm", "--network=none", "--hostname=same", "paths:one")
			printed := output(t, repo, e.env(), covifyBin, "run", "--engine", e.command, "--print", "--rm", "--network=none", "--hostname=same", "paths:two")
			output(t, repo, e.env(), "sh", "-c", printed)

			report, said, code := runCommand(t, repo, nil, covifyBin, "report", "-m")
			if code != 0 {
				t.Fatalf("covify report: exit code %d\n%s%s", code, report, said)
			}
			for _, want := range []string{
				"services/one/src/app/main.py 6 1 2 1 75% 7",
				"services/two/lib/app/main.py 6 1 2 1 75% 7",
				"/srv/renamed is services/one/src/app (1 file)",
				"/srv/renamed is services/two/lib/app (1 file)",
				"srv/renamed/made.py 1 0 0 0 100%",
				"1 file from the image paths:one, in .covify/sources/",
				"1 file from the image paths:two, in .covify/sources/",
			} {
				if !strings.Contains(strings.Join(strings.Fields(report+said), " "), want) {
					t.Errorf("no %q in\n%s%s", want, report, said)
				}
			}
		})
	}
}

// pathsBase pushes the image that the Dockerfile builds on.
func pathsBase(t *testing.T, registry string) string {
	t.Helper()
	base := registry + "/paths/slim:1"
	for _, c := range cases(t) {
		if c.name == "slim" {
			skopeo(t, "docker-archive:"+c.archive(), "docker://"+base)
		}
	}
	return base
}

// pathsServices are the two services and the folders of their programs.
var pathsServices = map[string]string{"one": "src", "two": "lib"}

// pathsRepo is a repository with two services whose programs have the same name.
func pathsRepo(t *testing.T, base string) string {
	t.Helper()
	repo := t.TempDir()
	for service, folder := range pathsServices {
		dir := filepath.Join(repo, "services", service)
		if err := os.MkdirAll(filepath.Join(dir, folder, "app"), 0o755); err != nil {
			t.Fatal(err)
		}
		for name, text := range map[string]string{
			"Dockerfile":            strings.NewReplacer("BASE", base, "FOLDER", folder).Replace(pathsDockerfile),
			folder + "/app/main.py": strings.ReplaceAll(pathsProgram, "NAME", service),
		} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, args := range [][]string{{"init", "-q"}, {"add", "-A"}, {"-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-q", "-m", "x"}} {
		output(t, repo, nil, "git", args...)
	}
	return repo
}
