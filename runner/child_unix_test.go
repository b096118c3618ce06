//go:build unix

package runner

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestExitCodes(t *testing.T) {
	for script, want := range map[string]int{"exit 0": 0, "exit 7": 7, "kill -KILL $$": 137, "kill -TERM $$": 143} {
		if code, err := RunChild(exec.Command("sh", "-c", script)); code != want || err != nil {
			t.Errorf("%s: got %d, %v", script, code, err)
		}
	}
	if _, err := RunChild(exec.Command("/nowhere/docker")); err == nil {
		t.Error("a command that is not there is no error")
	}
}

// TestMain lets the test binary be a covify run of its own: it runs the words after "child".
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "child" {
		command := exec.Command(os.Args[2], os.Args[3:]...)
		command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr
		code, err := RunChild(command)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 99
		}
		os.Exit(code)
	}
	if len(os.Args) > 2 && os.Args[1] == "attached" {
		os.Exit(childAttached(os.Args[2:]))
	}
	os.Exit(m.Run())
}

// childAttached is a covify run whose container takes BEFORE to save; INPUT says that it is interactive.
func childAttached(words []string) int {
	command := exec.Command(words[0], words[1:]...)
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr
	takes, _ := time.ParseDuration(os.Getenv("BEFORE"))
	code, err := runAttached(command, os.Getenv("TTY") != "", os.Getenv("INPUT") != "", func(sig os.Signal) {
		fmt.Println("saving before", sig)
		time.Sleep(takes)
		fmt.Println("saved")
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 99
	}
	return code
}

// trapping says ready and then which signal it got, and ends by it.
const trapping = `for s in INT TERM HUP QUIT; do trap "echo got $s; exit 5" $s; done; echo ready; i=0; while [ $i -lt 400 ]; do sleep 0.05; i=$((i+1)); done`

// TestAttached: a signal is passed on after what is done before it, a second one meanwhile at once.
func TestAttached(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT} {
		for _, times := range []int{1, 2} {
			t.Run(fmt.Sprint(sig, times), func(t *testing.T) {
				t.Parallel()
				name := map[syscall.Signal]string{2: "INT", 15: "TERM", 1: "HUP", 3: "QUIT"}[sig]
				command := exec.Command(os.Args[0], "attached", "sh", "-c", trapping)
				command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
				command.Env = append(os.Environ(), "BEFORE="+map[int]string{1: "300ms", 2: "1h"}[times])
				want := "saving before " + sig.String() + "\nsaved\ngot " + name + "\n"
				if times == 2 {
					want = "saving before " + sig.String() + "\ngot " + name + "\n"
				}
				if got := said(t, command, func(pid int) error {
					_ = syscall.Kill(pid, sig)
					for range times - 1 {
						time.Sleep(200 * time.Millisecond)
						_ = syscall.Kill(pid, sig)
					}
					return nil
				}); got != want || command.ProcessState.ExitCode() != 5 {
					t.Errorf("got %q, exit code %d; want %q", got, command.ProcessState.ExitCode(), want)
				}
			})
		}
	}
}

// TestAttachedKilled: the container's command does not stay behind when covify run is killed.
func TestAttachedKilled(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("Linux tells a child of its parent's end")
	}
	command := exec.Command(os.Args[0], "attached", "sh", "-c", trapping)
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if got := said(t, command, func(pid int) error { return syscall.Kill(pid, syscall.SIGKILL) }); got != "got TERM\n" {
		t.Errorf("got %q", got)
	}
}

// TestAttachedTerminal types on a real terminal: Ctrl-C comes after what is done before it, lines reach the command, Ctrl-Z stops both.
func TestAttachedTerminal(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("needs python3")
	}
	for name, c := range map[string]struct {
		env    []string
		script string
		want   string
	}{
		"Ctrl-C":            {nil, trapping, "saving before interrupt\nsaved\ngot INT\n"},
		"Ctrl-C with -i":    {[]string{"INPUT=1"}, trapping, "saving before interrupt\nsaved\ngot INT\n"},
		"a line with -i":    {[]string{"INPUT=1", "TYPE=words\n"}, "echo ready; read line; echo got $line; exit 5", "got words\n"},
		"the end with -i":   {[]string{"INPUT=1", "TYPE=ready\n|\x04"}, "echo ready; cat; exit 5", "ready\nready\nready\n"},
		"Ctrl-Z":            {[]string{"TYPE=\x1a|\x03"}, "echo ready; sleep 0.5; " + trapping, "stopped\nready\n^Csaving before interrupt\nsaved\ngot INT\n"},
		"Ctrl-C with a tty": {[]string{"TTY=1"}, trapping, "got INT\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			command := exec.Command(python, "testdata/terminal.py", os.Args[0], "attached", "sh", "-c", c.script)
			command.Env = append(os.Environ(), append(c.env, "BEFORE=200ms")...)
			out, err := command.CombinedOutput()
			if got := string(out); err != nil || !strings.Contains(got, c.want) || !strings.Contains(got, "exit code 5") {
				t.Errorf("%v: got %q, want %q", err, got, c.want)
			}
		})
	}
}

// counter says ready, counts the signal it gets for half a second after the first, and prints how often.
const counter = `n=0; trap 'n=$((n+1))' %s; echo ready; while [ $n = 0 ]; do sleep 0.05; done
	i=0; while [ $i -lt 10 ]; do sleep 0.05; i=$((i+1)); done; echo got $n; exit 5`

// TestSignals sends each signal to the process, and to its group as timeout(1) does: the command gets it once.
func TestSignals(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT} {
		for _, toGroup := range []bool{false, true} {
			t.Run(fmt.Sprint(sig, toGroup), func(t *testing.T) {
				t.Parallel()
				name := map[syscall.Signal]string{2: "INT", 15: "TERM", 1: "HUP", 3: "QUIT"}[sig]
				command := exec.Command(os.Args[0], "child", "sh", "-c", fmt.Sprintf(counter, name))
				command.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // no terminal
				checkSignal(t, command, func(pid int) error {
					if toGroup {
						pid = -pid
					}
					return syscall.Kill(pid, sig)
				})
			})
		}
	}
}

func checkSignal(t *testing.T, command *exec.Cmd, send func(pid int) error) {
	t.Helper()
	if got := said(t, command, send); !strings.Contains(got, "got 1") || command.ProcessState.ExitCode() != 5 {
		t.Errorf("got %q, exit code %d", got, command.ProcessState.ExitCode())
	}
}

// said runs a command to its end, sends to it when it says ready, and returns what it says after that.
func said(t *testing.T, command *exec.Cmd, send func(pid int) error) string {
	t.Helper()
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() && strings.TrimSpace(lines.Text()) != "ready" {
	}
	if err := send(command.Process.Pid); err != nil {
		t.Fatal(err)
	}
	var rest bytes.Buffer
	for lines.Scan() {
		fmt.Fprintln(&rest, lines.Text())
	}
	_ = command.Wait()
	return rest.String()
}

// TestTerminal types Ctrl-C into a real terminal, made by Python's pty module: the command sees a terminal, is in its
// foreground and gets one SIGINT.
func TestTerminal(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("needs python3")
	}
	child := "test -t 0 && test -t 1 && echo terminal; " + fmt.Sprintf(counter, "INT")
	out, err := exec.Command(python, "testdata/terminal.py", os.Args[0], "child", "sh", "-c", child).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if got := string(out); !strings.Contains(got, "terminal") || !strings.Contains(got, "got 1") || !strings.Contains(got, "exit code 5") {
		t.Errorf("got %q", got)
	}
}
