package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// machine is what the figures depend on.
type machine struct {
	Processor string
	Cores     int
	Memory    int64
	Kernel    string
	Versions  map[string]string
}

func (m *machine) String() string {
	v := m.Versions
	return fmt.Sprintf("%d cores (%s), %s of memory, Linux %s\n%s; docker engines %s and %s, client %s; crane %s; %s",
		m.Cores, m.Processor, bytesText(m.Memory), m.Kernel, v["covify"], v["docker29"], v["docker20"], v["client"], v["crane"], v["go"])
}

func describeMachine(ctx context.Context, w *world) (*machine, error) {
	m := &machine{Cores: runtime.NumCPU(), Processor: processor(), Versions: map[string]string{"go": runtime.Version()}}
	var info unix.Sysinfo_t
	var names unix.Utsname
	if err := unix.Sysinfo(&info); err != nil {
		return nil, err
	}
	if err := unix.Uname(&names); err != nil {
		return nil, err
	}
	m.Memory, m.Kernel = int64(info.Totalram)*int64(info.Unit), unix.ByteSliceToString(names.Release[:])
	version := func(name string, c command) {
		out, err := c.run(ctx)
		if err != nil {
			out = "none"
		}
		m.Versions[name] = out
	}
	version("covify", command{Args: []string{w.opts.covify, "--version"}})
	version("docker29", docker(w.opts.docker29, "version", "-f", "{{.Server.Version}}"))
	version("docker20", docker(w.opts.docker20, "version", "-f", "{{.Server.Version}}"))
	version("client", docker(w.opts.docker29, "version", "-f", "{{.Client.Version}}"))
	m.Versions["crane"] = moduleVersion(ctx, "crane")
	return m, nil
}

// processor is the model name as the kernel has it.
func processor() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return "unknown"
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if key, value, _ := strings.Cut(lines.Text(), ":"); strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

// moduleVersion is the version of the module that a Go program was built from.
func moduleVersion(ctx context.Context, program string) string {
	path, err := exec.LookPath(program)
	if err != nil {
		return "none"
	}
	out, _ := command{Args: []string{"go", "version", "-m", path}}.run(ctx)
	for line := range strings.Lines(out) {
		if fields := strings.Fields(line); len(fields) > 2 && fields[0] == "mod" {
			return fields[2]
		}
	}
	return "unknown"
}
