//go:build unix

package runner

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
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
	os.Exit(m.Run())
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
	if got := rest.String(); !strings.Contains(got, "got 1") || command.ProcessState.ExitCode() != 5 {
		t.Errorf("got %q, exit code %d", got, command.ProcessState.ExitCode())
	}
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
