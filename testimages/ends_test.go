package testimages

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

var endsPage = flag.String("ends", "", "write the table of TestEngineEnds to this file")

// endsRow is a way for a container's processes to live and to end.
type endsRow struct {
	name, ended string
	everywhere  bool // on all engines, else on Docker 29 alone
	flags       []string
	cmd         []string
	shell       bool   // the words of cmd are a shell's line, as CMD in shell form
	processes   int    // that ran marked lines, at least
	lost        bool   // nothing saves before the end: so that it is seen that the test sees what is lost
	visit       bool   // it serves on port 8000
	until       string // printed once it is time to end it; "" for what ends by itself
	end         func(t *testing.T, r *endsRun)
}

// endsRun is a row while it runs.
type endsRun struct {
	*endsRow
	engine    *engine
	container string
	command   *exec.Cmd
	dir       string

	mu   sync.Mutex
	said []string
}

const endsImage = "covify-test/ends:1"

func endsRows() []*endsRow {
	loop := []string{"python", "loop.py"}
	web := func(words string) []string { return strings.Fields(words) }
	sigterm := func(t *testing.T, r *endsRun) { r.signal(t, syscall.SIGTERM) }
	rows := []*endsRow{
		{name: "program", ended: "by itself", cmd: append(loop, "normal"), processes: 1},
		{name: "program", ended: "by an exception", cmd: append(loop, "exception"), processes: 1},
		{name: "python as PID 1", ended: "SIGINT to covify run", cmd: loop, processes: 1, until: "late", end: func(t *testing.T, r *endsRun) { r.signal(t, syscall.SIGINT) }},
		{name: "python as PID 1", ended: "SIGTERM to covify run", cmd: loop, processes: 1, until: "late"},
		{name: "python as PID 1", ended: "covify dump, then SIGKILL", cmd: loop, processes: 1, until: "late", end: dumpAndKill},
		{name: "CMD in shell form, dash as PID 1", ended: "SIGTERM to covify run", cmd: []string{"python loop.py"}, shell: true, processes: 1, until: "late"},
		{name: "CMD in shell form, dash as PID 1", ended: "covify dump, then SIGKILL", cmd: []string{"python loop.py; true"}, shell: true, processes: 1, until: "late", end: dumpAndKill},
		{name: "python as PID 1", ended: "SIGKILL, nothing before (for comparison)", cmd: loop, processes: 1, until: "late", end: kill, lost: true},
		{name: "CMD in shell form, dash as PID 1", ended: "docker stop, nothing before (for comparison)", cmd: []string{"python loop.py; true"}, shell: true,
			processes: 1, until: "late", end: stop, lost: true},
		{name: "gunicorn, sync", ended: "SIGTERM to covify run", cmd: web("gunicorn -w 2 -b 127.0.0.1:8000 web:wsgi"), processes: 2, visit: true, until: "late"},
		{name: "gunicorn, sync", ended: "covify dump, then SIGKILL", cmd: web("gunicorn -w 2 -b 127.0.0.1:8000 web:wsgi"), processes: 2, visit: true, until: "late", end: dumpAndKill},
		{name: "gunicorn, gthread", ended: "SIGTERM to covify run", cmd: web("gunicorn -w 2 -k gthread --threads 4 -b 127.0.0.1:8000 web:wsgi"), processes: 2, visit: true, until: "late"},
		{name: "uvicorn, 1 worker", ended: "SIGTERM to covify run", cmd: web("uvicorn --port 8000 web:asgi"), processes: 1, visit: true, until: "late"},
		{name: "uvicorn, 4 workers", ended: "SIGTERM to covify run", cmd: web("uvicorn --port 8000 --workers 4 web:asgi"), processes: 4, visit: true, until: "late"},
		{name: "uvicorn, 4 workers", ended: "covify dump, then SIGKILL", cmd: web("uvicorn --port 8000 --workers 4 web:asgi"), processes: 4, visit: true, until: "late", end: dumpAndKill},
		{name: "celery, prefork", ended: "SIGTERM to covify run", cmd: web("celery -A tasks worker -c 2 --pool prefork"), processes: 3, until: "done 7"},
		{name: "celery, prefork", ended: "covify dump, then SIGKILL", cmd: web("celery -A tasks worker -c 2 --pool prefork"), processes: 3, until: "done 7", end: dumpAndKill},
		{name: "multiprocessing Pool", ended: "SIGTERM to covify run", cmd: []string{"python", "pool.py"}, processes: 3, until: "ready"},
		{name: "multiprocessing Pool", ended: "covify dump, then SIGKILL", cmd: []string{"python", "pool.py"}, processes: 3, until: "ready", end: dumpAndKill},
		{name: "read-only root", ended: "SIGTERM to covify run", flags: []string{"--read-only", "--tmpfs=/tmp"}, cmd: loop, processes: 1, until: "late"},
		{name: "another user", ended: "SIGTERM to covify run", flags: []string{"--user=1234:1234"}, cmd: loop, processes: 1, until: "late"},
		{name: "no capabilities", ended: "SIGTERM to covify run", flags: []string{"--cap-drop=ALL", "--user=1234"}, cmd: loop, processes: 1, until: "late"},
		{name: "program that takes another user", ended: "covify dump, then SIGKILL", cmd: web("gunicorn -w 2 -u 1234 -b 127.0.0.1:8000 web:wsgi"), processes: 2, visit: true, until: "late", end: dumpAndKill},
		{name: "busy threads, saved 20 times", ended: "by itself", cmd: append(loop, "busy"), processes: 1, until: "ready", end: dumpOften},
		{name: "python as PID 1, started with -d", ended: "runs on at the session's end", flags: []string{"-d"}, cmd: loop, processes: 1, until: "late"},
		{name: "the same, its data in a volume", ended: "runs on at the session's end", flags: []string{"-d", "-v", "ends-session:/app/coverage_data"}, cmd: loop, processes: 1, until: "late"},
	}
	for _, row := range rows {
		if row.until != "" && row.end == nil {
			row.end = sigterm
		}
		row.everywhere = slices.Contains([]string{"python as PID 1", "CMD in shell form, dash as PID 1", "uvicorn, 4 workers", "celery, prefork"}, row.name)
	}
	return rows
}

func (r *endsRun) signal(t *testing.T, sig syscall.Signal) {
	t.Helper()
	if err := r.command.Process.Signal(sig); err != nil {
		t.Error(err)
	}
}

func kill(t *testing.T, r *endsRun) {
	t.Helper()
	r.engine.run(t, "kill", r.container)
}

func stop(t *testing.T, r *endsRun) {
	t.Helper()
	r.engine.run(t, "stop", r.container)
}

// dumpAndKill has covify dump save and then kills the container, as who forces its removal does.
func dumpAndKill(t *testing.T, r *endsRun) {
	t.Helper()
	output(t, r.dir, r.engine.env(), covifyBin, "dump", "--engine", r.engine.command, r.container)
	r.engine.run(t, "kill", r.container)
}

func dumpOften(t *testing.T, r *endsRun) {
	t.Helper()
	for range 20 {
		output(t, r.dir, r.engine.env(), covifyBin, "dump", "--engine", r.engine.command, r.container)
	}
	if r.has("late") {
		t.Error("it ended before it was saved often")
	}
}

// TestEngineEnds: of every process of a container that covify run started, every marked line is kept that ran before the end, however it
// ends. What ran is said by the programs themselves.
func TestEngineEnds(t *testing.T) {
	docker29 := findEngine(t, "docker29")
	buildEnds(t, docker29)
	archive := filepath.Join(t.TempDir(), "ends.tar")
	docker29.run(t, "save", "-o", archive, endsImage)
	var table strings.Builder
	table.WriteString("| engine | container | ended | processes | lines that ran | lines kept |\n|---|---|---|---|---|---|\n")
	for _, name := range dumpEngines {
		t.Run(name, func(t *testing.T) {
			e := findEngine(t, name)
			if name != "docker29" {
				e.load(t, archive, endsImage)
			}
			for i, row := range endsRows() {
				if name == "docker29" || row.everywhere {
					t.Run(row.name+", "+row.ended, func(t *testing.T) {
						r := &endsRun{endsRow: row, engine: e, container: fmt.Sprintf("ends-%d", i), dir: t.TempDir()}
						fmt.Fprintf(&table, "| %s %s", endsEngines[name], r.judge(t))
					})
				}
			}
		})
	}
	t.Logf("\n%s", table.String())
	if *endsPage != "" {
		page, err := os.ReadFile("testdata/ends/page.md")
		if err == nil {
			err = os.WriteFile(*endsPage, []byte(strings.Replace(string(page), "TABLE\n", table.String(), 1)), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// endsEngines are the engines' names for the table.
var endsEngines = map[string]string{"docker29": "Docker 29", "docker20": "Docker 20.10", "podman": "podman 4.3"}

// judge runs the row and returns its line of the table.
func (r *endsRun) judge(t *testing.T) string {
	t.Helper()
	ran := r.run(t)
	kept := r.kept(t)
	want, have := 0, 0
	for process, lines := range ran {
		for _, line := range lines {
			want++
			if slices.Contains(kept[process], line) {
				have++
			} else if !r.lost {
				t.Errorf("process %s: line %d is lost", process, line)
			}
		}
	}
	if r.lost && have == want {
		t.Error("nothing is lost, though nothing saved")
	}
	processes := map[string]bool{}
	for process := range ran {
		pid, _, _ := strings.Cut(process, " ")
		processes[pid] = true
	}
	if len(processes) < r.processes || want == 0 {
		t.Errorf("%d processes, not %d, ran %d lines\n%s", len(processes), r.processes, want, strings.Join(r.said, "\n"))
	}
	return fmt.Sprintf("| %s | %s | %d | %d | %d |\n", r.name, r.ended, len(processes), want, have)
}

func buildEnds(t *testing.T, e *engine) {
	t.Helper()
	args := slices.Concat([]string{"build", "--quiet", "--provenance=false", "--tag", endsImage}, buildFlags(t, e), []string{"testdata/ends"})
	output(t, "", e.env(), "docker", args...)
	output(t, t.TempDir(), e.env(), covifyBin, "docker-daemon:"+endsImage, "-t", "docker-daemon:"+endsImage)
}

// buildFlags are those with which the image is built on this machine.
func buildFlags(t *testing.T, e *engine) []string {
	t.Helper()
	return strings.Fields(output(t, "", e.env(), "./build", "--flags", t.TempDir(), "testdata/ends/Dockerfile"))
}

var endsRan = regexp.MustCompile(`^RAN (\d+) (\S+) (\d+)`)

// run runs the row and returns the lines that its processes say they ran, by process and file.
func (r *endsRun) run(t *testing.T) map[string][]int {
	t.Helper()
	args := []string{"run", "--engine", r.engine.command, "--name", r.container, "--network=none", "--stop-timeout=3"}
	if !slices.Contains(r.flags, "-d") { // else it is the session's
		args = append(args, "--data-dir=data")
	}
	args = append(args, r.flags...)
	if r.shell {
		args = append(args, "--entrypoint=/bin/sh", endsImage, "-c")
	} else {
		args = append(args, endsImage)
	}
	args = append(args, r.cmd...)
	t.Cleanup(func() { r.engine.run(t, "rm", "-f", r.container) })
	if slices.Contains(r.flags, "-d") {
		r.session(t, args)
	} else {
		r.attached(t, args)
	}
	ran := map[string][]int{}
	for _, line := range r.said {
		if match := endsRan.FindStringSubmatch(line); match != nil {
			number, _ := strconv.Atoi(match[3])
			ran[match[1]+" "+match[2]] = append(ran[match[1]+" "+match[2]], number)
		}
	}
	for process, lines := range ran {
		slices.Sort(lines)
		ran[process] = slices.Compact(lines)
	}
	return ran
}

// attached runs the container in the foreground of covify run and ends it.
func (r *endsRun) attached(t *testing.T, args []string) {
	t.Helper()
	r.command = exec.Command(covifyBin, args...)
	r.command.Dir, r.command.Env = r.dir, variables(r.engine.env())
	reader, writer := io.Pipe()
	r.command.Stdout, r.command.Stderr = writer, writer
	if err := r.command.Start(); err != nil {
		t.Fatal(err)
	}
	read := make(chan bool)
	go func() {
		defer close(read)
		for lines := bufio.NewScanner(reader); lines.Scan(); {
			r.mu.Lock()
			r.said = append(r.said, lines.Text())
			r.mu.Unlock()
		}
	}()
	if r.until != "" {
		if r.visit {
			r.await(t, "RAN")
			r.engine.run(t, "exec", r.container, "python", "-S", "web.py")
		}
		r.await(t, r.until)
		r.end(t, r)
	}
	_ = r.command.Wait() // with any code
	writer.Close()
	<-read
	if t.Failed() {
		t.Logf("%s", strings.Join(r.said, "\n"))
	}
}

// session starts the container with -d in a session that ends while it runs.
func (r *endsRun) session(t *testing.T, args []string) {
	t.Helper()
	script := fmt.Sprintf(`"$@" && for i in $(seq 100); do %s logs %s | grep -q %s && exit; sleep 0.1; done; exit 1`, r.engine.command, r.container, r.until)
	words := append([]string{"test", "--", "sh", "-c", script, "sh", covifyBin}, args...)
	out, errs, _ := runCommand(t, r.dir, r.engine.env(), covifyBin, words...) // none of the sources is here: nothing is reported
	if !strings.Contains(errs, "[runs on]") {
		t.Errorf("the ledger does not say that it runs on: %s%s", out, errs)
	}
	r.said = strings.Split(r.engine.run(t, "logs", r.container), "\n")
}

func (r *endsRun) has(words string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(r.said, func(line string) bool { return strings.Contains(line, words) })
}

func (r *endsRun) await(t *testing.T, words string) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if r.has(words) {
			return
		}
	}
	t.Errorf("it does not say %q", words)
}

// data is where the container's data come to.
func (r *endsRun) data(t *testing.T) string {
	t.Helper()
	if !slices.Contains(r.flags, "-d") {
		return filepath.Join(r.dir, "data")
	}
	found, err := filepath.Glob(filepath.Join(r.dir, ".covify/session/*/containers/*.json"))
	if err != nil || len(found) != 1 {
		t.Fatalf("records of the session: %q, %v", found, err)
	}
	return strings.TrimSuffix(found[0], ".json")
}

// kept are the lines in the data files, by process and file.
func (r *endsRun) kept(t *testing.T) map[string][]int {
	t.Helper()
	found, err := filepath.Glob("../wheel/bundle/data/wheels/coverage-7.*-py3-none-any.whl")
	if err != nil || len(found) == 0 {
		t.Fatalf("no pure wheel in the bundle: %v", err)
	}
	dir := filepath.Join(t.TempDir(), "pure")
	unzip(t, found[len(found)-1], dir)
	kept := map[string][]int{}
	if err := json.Unmarshal([]byte(output(t, "", nil, "python3", "testdata/ends/lines.py", dir, r.data(t))), &kept); err != nil {
		t.Fatal(err)
	}
	return kept
}
