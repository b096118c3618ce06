// Command guide.d runs the commands of a Markdown file's console blocks, one after the other in one shell, and puts what they print in
// the place of what stands below them.
//
//	go run ./hack/guide.d FILE [FROM=TO...]     FROM=TO: what is written otherwise than it was printed
package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// end comes after the output of every command.
const end = "-- end of the command --"

func main() {
	if err := run(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "guide.d:", err)
		os.Exit(1)
	}
}

func run(file string, written []string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	shell, err := newShell(written)
	if err != nil {
		return err
	}
	var out strings.Builder
	console := false
	for line := range strings.Lines(string(text)) {
		command, isCommand := strings.CutPrefix(line, "$ ")
		switch {
		case strings.HasPrefix(line, "```"):
			console = strings.TrimSpace(line) == "```console"
			out.WriteString(line)
		case console && isCommand:
			out.WriteString(line)
			printed, err := shell.run(command)
			if err != nil {
				return fmt.Errorf("%s: %w", strings.TrimSpace(command), err)
			}
			out.WriteString(printed)
		case console && strings.TrimSpace(line) == "":
			out.WriteString(line) // between commands
		case !console:
			out.WriteString(line)
		}
	}
	return os.WriteFile(file, []byte(out.String()), 0o644)
}

// shell is a bash that keeps its folder and variables.
type shell struct {
	in      io.Writer
	out     *bufio.Reader
	written *strings.Replacer
}

func newShell(written []string) (*shell, error) {
	var pairs []string
	for _, pair := range written {
		from, to, _ := strings.Cut(pair, "=")
		pairs = append(pairs, from, to)
	}
	bash := exec.Command("bash")
	in, err := bash.StdinPipe()
	if err != nil {
		return nil, err
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	bash.Stdout, bash.Stderr = writer, writer
	if err := bash.Start(); err != nil {
		return nil, err
	}
	return &shell{in, bufio.NewReader(reader), strings.NewReplacer(pairs...)}, nil
}

// run returns what a command prints, stdout and stderr in their order. Blank lines at both ends are left out.
func (s *shell) run(command string) (string, error) {
	fmt.Fprintln(os.Stderr, "$", strings.TrimSpace(command))
	if _, err := fmt.Fprintf(s.in, "%s\ncode=$?; echo; echo '%s'; (exit $code)\n", strings.TrimSpace(command), end); err != nil {
		return "", err
	}
	var out strings.Builder
	for {
		line, err := s.out.ReadString('\n')
		if err != nil {
			return "", err
		}
		if strings.TrimSpace(line) == end {
			break
		}
		out.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	printed := strings.Trim(out.String(), "\n")
	if printed == "" {
		return "", nil
	}
	return s.written.Replace(printed) + "\n", nil
}
