package testimages

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

const pipelines = "../docs/pipelines"

// githubWorkflow is what a workflow file of GitHub Actions may hold here.
type githubWorkflow struct {
	Name        string
	On          yaml.Node
	Permissions map[string]string
	Env         map[string]string
	Jobs        map[string]struct {
		RunsOn         string `yaml:"runs-on"`
		TimeoutMinutes int    `yaml:"timeout-minutes"`
		Steps          []struct {
			Name, Uses, If, Run string
			With                map[string]string
		}
	}
}

// gitlabFile is what a file of GitLab CI may hold here.
type gitlabFile struct {
	Variables map[string]string
	Tests     struct {
		Image     string
		Services  []string
		Variables map[string]string
		Cache     struct {
			Key   struct{ Files []string }
			Paths []string
		}
		BeforeScript []string `yaml:"before_script"`
		Script       []string
		Coverage     string
		Artifacts    struct {
			When    string
			Paths   []string
			Reports struct {
				CoverageReport struct {
					CoverageFormat string `yaml:"coverage_format"`
					Path           string
				} `yaml:"coverage_report"`
			}
		}
	}
}

type named struct{ Name, Value, Description string }

type tektonMount struct {
	Name      string
	MountPath string `yaml:"mountPath"`
}

// tektonTask is what a Task of Tekton may hold here.
type tektonTask struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string
	Metadata   struct{ Name string }
	Spec       struct {
		Description        string
		Params, Workspaces []named
		Volumes            []struct {
			Name     string
			EmptyDir struct{} `yaml:"emptyDir"`
		}
		Sidecars []struct {
			Name, Image     string
			Args            []string
			SecurityContext struct{ Privileged bool } `yaml:"securityContext"`
			Env             []named
			VolumeMounts    []tektonMount `yaml:"volumeMounts"`
		}
		StepTemplate struct {
			WorkingDir   string `yaml:"workingDir"`
			Env          []named
			VolumeMounts []tektonMount `yaml:"volumeMounts"`
		} `yaml:"stepTemplate"`
		Steps []struct{ Name, Image, Script string }
	}
}

// strictly reads a pipeline's file; a field that its kind does not have is an error.
func strictly[T any](t *testing.T, name string) T {
	t.Helper()
	file, err := os.Open(filepath.Join(pipelines, name))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var out T
	decoder := yaml.NewDecoder(file)
	decoder.KnownFields(true)
	if err := decoder.Decode(&out); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return out
}

// step is one script of a pipeline, with the shell that its system gives it to.
type step struct {
	name  string
	shell []string
	text  string
}

// trial is a pipeline as far as it runs on this machine.
type trial struct {
	name  string
	steps func(t *testing.T) []step
	env   func(t *testing.T, s *shop, home string) map[string]string
}

var trials = []trial{{"github", githubSteps, githubEnv}, {"gitlab", gitlabSteps, gitlabEnv}, {"tekton", tektonSteps, tektonEnv}}

func githubSteps(t *testing.T) []step {
	var steps []step
	for _, s := range strictly[githubWorkflow](t, "github-actions.yml").Jobs["tests"].Steps {
		if s.Run != "" {
			// What a step puts into GITHUB_PATH is on PATH in the next ones.
			steps = append(steps, step{s.Name, []string{"bash", "-e"}, `PATH="$(cat "$GITHUB_PATH"):$PATH"` + "\n" + s.Run})
		}
	}
	return steps
}

func githubEnv(t *testing.T, s *shop, home string) map[string]string {
	t.Helper()
	env := s.engine.env()
	for _, name := range []string{"GITHUB_PATH", "GITHUB_STEP_SUMMARY"} {
		env[name] = filepath.Join(home, name)
		if err := os.WriteFile(env[name], nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	python := filepath.Join(home, "python") // in place of actions/setup-python
	output(t, "", nil, "python3", "-m", "venv", python)
	env["PATH"] = filepath.Join(python, "bin") + ":" + os.Getenv("PATH")
	return env
}

func gitlabSteps(t *testing.T) []step {
	return []step{{"script", []string{"sh", "-e"}, strings.Join(strictly[gitlabFile](t, "gitlab-ci.yml").Tests.Script, "\n")}}
}

// gitlabEnv has the engine at an address that is not this machine's own, as docker:dind is for a job.
func gitlabEnv(t *testing.T, s *shop, home string) map[string]string {
	t.Helper()
	variables := strictly[gitlabFile](t, "gitlab-ci.yml").Tests.Variables
	return map[string]string{"DOCKER_HOST": overTCP(t, s.address), "DOCKER_TLS_CERTDIR": variables["DOCKER_TLS_CERTDIR"], "PATH": os.Getenv("PATH")}
}

func tektonSteps(t *testing.T) []step {
	var steps []step
	for _, s := range strictly[tektonTask](t, "tekton-task.yaml").Spec.Steps {
		interpreter, _, _ := strings.Cut(strings.TrimPrefix(s.Script, "#!"), "\n")
		steps = append(steps, step{s.Name, []string{interpreter}, s.Script})
	}
	return steps
}

// tektonEnv checks that the steps' environment is the one of the file, whose places are elsewhere here.
func tektonEnv(t *testing.T, s *shop, home string) map[string]string {
	t.Helper()
	here := map[string]string{"DOCKER_HOST": s.address, "TOOLS": home, "PIP_CACHE_DIR": "", "COVIFY": "", "CACHE": ""}
	for _, variable := range strictly[tektonTask](t, "tekton-task.yaml").Spec.StepTemplate.Env {
		if _, ok := here[variable.Name]; !ok {
			t.Fatalf("the trial knows nothing of %s", variable.Name)
		}
	}
	here["PATH"] = os.Getenv("PATH")
	return here
}

// TestEnginePipelines: the scripts of each ready pipeline run as they are, in a new checkout of the example, against an engine and a
// registry; the report has the host and every service. Then once more on what is a new machine but for the caches that the pipeline keeps.
func TestEnginePipelines(t *testing.T) {
	e, registry := findEngine(t, "docker29"), registryAddress(t)
	output(t, pipelines, nil, filepath.Join(strings.TrimSpace(output(t, "", nil, "../hack/tools", "actionlint")), "actionlint"), "github-actions.yml")
	covify := registry + "/covify-cli:1"
	publishCLI(t, e, covify)
	for _, trial := range trials {
		t.Run(trial.name, func(t *testing.T) {
			cache := map[string]string{"COVIFY": covify, "CACHE": registry + "/" + trial.name + "/cache", "PIP_CACHE_DIR": t.TempDir()}
			for _, run := range []string{"first", "second"} {
				begun := time.Now()
				log := trial.run(t, e, cache)
				t.Logf("%s run: %.1f s", run, time.Since(begun).Seconds())
				if run == "second" && !strings.Contains(log, "RUN pip install --no-cache-dir --root-user-action=ignore -r requirements.txt\n") {
					t.Errorf("no step of the build is named in the log")
				}
				if cached := reused(log); cached != (run == "second") {
					t.Errorf("%s run: the build took its layers from the cache: %v\n%s", run, cached, log)
				}
			}
		})
	}
}

// reused reports whether the build's log says that the packages came from the cache.
func reused(log string) bool {
	_, after, _ := strings.Cut(log, "] RUN pip install")
	_, after, _ = strings.Cut(after, "\n")
	first, _, _ := strings.Cut(after, "\n")
	return strings.HasSuffix(first, "CACHED")
}

// run runs all steps on a machine without images and build cache, and returns what they said.
func (r trial) run(t *testing.T, e *engine, more map[string]string) string {
	t.Helper()
	s := newShop(t, e)
	output(t, "", e.env(), "./supply", s.dockerfiles(t)...)
	forget(t, e)
	home := t.TempDir()
	env := r.env(t, s, home)
	for name, value := range more {
		env[name] = value
	}
	env["HOME"] = home
	env["XDG_CACHE_HOME"] = ""
	env["COVIFY_SESSION"] = ""
	env["COMPOSE_PROJECT_NAME"] = strings.ToLower(filepath.Base(home)) + r.name
	if env["DOCKER_CONFIG"] = os.Getenv("DOCKER_CONFIG"); env["DOCKER_CONFIG"] == "" {
		env["DOCKER_CONFIG"] = filepath.Join(os.Getenv("HOME"), ".docker") // the client's plugins
	}
	var log strings.Builder
	for _, step := range r.steps(t) {
		begun := time.Now()
		script := filepath.Join(t.TempDir(), "script")
		if err := os.WriteFile(script, []byte(step.text), 0o755); err != nil {
			t.Fatal(err)
		}
		stdout, stderr, code := runCommand(t, s.dir, env, step.shell[0], append(slices.Clone(step.shell[1:]), script)...)
		if code != 0 {
			t.Fatalf("%s: exit code %d\n%s%s", step.name, code, stdout, stderr)
		}
		t.Logf("%-28s %5.1f s", step.name, time.Since(begun).Seconds())
		log.WriteString(stdout + stderr)
	}
	inReport(t, s.dir)
	return log.String()
}

// forget makes the engine as new: without images of the example and without a build cache. Base images stay.
func forget(t *testing.T, e *engine) {
	t.Helper()
	for image := range strings.Lines(e.run(t, "image", "ls", "--format={{.Repository}}:{{.Tag}}")) {
		if image = strings.TrimSpace(image); strings.Contains(image, "shop/") || strings.Contains(image, "covify-cli") {
			e.run(t, "image", "rm", "--force", image)
		}
	}
	e.run(t, "builder", "prune", "--all", "--force")
}

// publishCLI puts an image with the program under test where pipelines look for covify's own image.
func publishCLI(t *testing.T, e *engine, name string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte("FROM scratch\nCOPY covify /\nENTRYPOINT [\"/covify\"]\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(covifyBin)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "covify"), program, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	e.run(t, "buildx", "build", "--quiet", "--provenance=false", "--push", "--tag", name, dir)
}

// overTCP gives an engine's socket an address on the network.
func overTCP(t *testing.T, address string) string {
	t.Helper()
	var host string
	addresses, err := net.InterfaceAddrs()
	for _, a := range addresses {
		if ip, ok := a.(*net.IPNet); ok && ip.IP.To4() != nil && !ip.IP.IsLoopback() && host == "" {
			host = ip.IP.String()
		}
	}
	if err != nil || host == "" {
		t.Fatalf("no address of this machine: %v", err)
	}
	listener, err := net.Listen("tcp", host+":0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go forward(client.(*net.TCPConn), strings.TrimPrefix(address, "unix://"))
		}
	}()
	return "tcp://" + listener.Addr().String()
}

// forward joins a connection with a socket; the end of one direction is not the end of the other.
func forward(client *net.TCPConn, socket string) {
	defer client.Close()
	server, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		_, _ = io.Copy(server, client)
		_ = server.CloseWrite()
	}()
	_, _ = io.Copy(client, server)
}

// TestEngineRegistryPipeline: the stages of the registry pipeline one after the other: images are covered in the registry, tests run them
// without covify, and the report has the lines and arcs that coverage run has of each part alone.
func TestEngineRegistryPipeline(t *testing.T) {
	s, registry := newShop(t, findEngine(t, "docker29")), registryAddress(t)
	output(t, "", s.env(), "./supply", s.dockerfiles(t)...)
	script, err := filepath.Abs(filepath.Join(pipelines, "registry-pipeline.sh"))
	if err != nil {
		t.Fatal(err)
	}
	without, err := os.MkdirTemp(t.TempDir(), "bin") // the test stage knows no covify
	if err != nil {
		t.Fatal(err)
	}
	for _, stage := range []string{"build", "cover", "test", "report"} {
		begun := time.Now()
		env := s.env()
		env["REGISTRY"] = registry + "/pipeline"
		if stage == "test" {
			env["PATH"] = strings.Join([]string{without, filepath.Join(s.venv, "bin"), os.Getenv("PATH")}, ":")
		}
		out := output(t, s.dir, env, "sh", script, stage)
		t.Logf("%-8s %5.1f s\n%s", stage, time.Since(begun).Seconds(), out)
	}
	s.build(t)
	want := s.oracle(t, "-m", "pytest", "-q", "tests/test_orders.py", "tests/test_money.py")
	for path, ran := range s.oracle(t, "-m", "pytest", "-q", "tests/test_nightly.py") {
		if strings.HasPrefix(path, "nightly/") {
			want[path] = ran
		}
	}
	compare(t, want, combined(t, filepath.Join(s.dir, ".covify", "coverage")))
	inReport(t, s.dir)
}

// inReport checks that the project's coverage.xml has files of the host and of every service.
func inReport(t *testing.T, project string) {
	t.Helper()
	report, err := os.ReadFile(filepath.Join(project, "coverage.xml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"catalog/main.py", "catalog/settings.py", "orders/main.py", "orders/settings.py", "nightly/report.py", "shop/client.py"} {
		if !strings.Contains(string(report), fmt.Sprintf("filename=%q", file)) {
			t.Errorf("%s is not in coverage.xml", file)
		}
	}
}

// TestPipelineFiles: the ready files have only fields that their systems know, and images and services where they start Docker.
func TestPipelineFiles(t *testing.T) {
	github := strictly[githubWorkflow](t, "github-actions.yml")
	if len(github.Jobs["tests"].Steps) == 0 || github.Env["COVIFY"] == "" || github.Env["CACHE"] == "" {
		t.Errorf("github-actions.yml: %+v", github)
	}
	gitlab := strictly[gitlabFile](t, "gitlab-ci.yml")
	if !slices.Contains(gitlab.Tests.Services, "docker:29-dind") || gitlab.Variables["COVIFY"] == "" || gitlab.Variables["CACHE"] == "" {
		t.Errorf("gitlab-ci.yml: %+v", gitlab)
	}
	tekton := strictly[tektonTask](t, "tekton-task.yaml")
	if tekton.APIVersion != "tekton.dev/v1" || tekton.Kind != "Task" || !tekton.Spec.Sidecars[0].SecurityContext.Privileged {
		t.Errorf("tekton-task.yaml: %+v", tekton)
	}
}
