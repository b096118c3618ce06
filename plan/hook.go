package plan

import (
	_ "embed"
	"fmt"
	"path"
	"strings"
)

// Where things are in a variant.
const (
	PayloadRoot = "/opt/covify"               // payloads, one directory each
	ConfigPath  = PayloadRoot + "/coveragerc" // settings of a variant that is run without any others
	DataDir     = "/app/coverage_data"        // default data directory, mode 0777
	startModule = "_covify"                   // a name no application owns
	hookStem    = "coverage"                  // of the .pth and .start files
)

//go:embed startup/_covify.py
var startup []byte

// Startup returns the source of the start-up module that every payload holds as _covify.py.
func Startup() []byte { return startup }

// pthFile makes payloadDir importable and starts coverage in a process that asks for it. A process that does not ask
// pays for one path entry and two look-ups. The line must not raise: site prints a traceback for every process then,
// and a site directory may well be copied to an image without the payload. In a venv site runs the line twice, and
// coverage's own .pth file may have been first: the start-up module must not run, else it would be measured.
func pthFile(payloadDir string) []byte {
	return fmt.Appendf(nil, `%[1]s
import os, sys; exec('if (os.environ.get("COVERAGE_PROCESS_START") or os.environ.get("COVERAGE_PROCESS_CONFIG")) and "%[2]s" not in sys.modules and not hasattr(getattr(sys.modules.get("coverage"), "process_startup", None), "coverage"):\n try:\n  import %[2]s\n except ImportError as e:\n  sys.modules["%[2]s"] = None\n  sys.stderr and sys.stderr.write("covify: no coverage: %%s in %[1]s\\n" %% e)\n else:\n  %[2]s.start()')
`, payloadDir, startModule)
}

// startFile is the entry point that Python 3.15 and later runs instead of the import line of the .pth file of the
// same stem (PEP 829).
func startFile() []byte { return []byte(startModule + ":start\n") }

// HostStem is the name of the hook's files, without their suffixes, in an environment of a running machine. It is not the
// variants' name, since people put a coverage.pth of their own there by hand.
const HostStem = "covify"

// HookFile is a file of the hook, to be put into an environment.
type HookFile struct {
	Name string
	Data []byte
}

// HostHook returns the hook for a payload at an absolute path of a running machine. The first file alone works in every
// Python that does not want the second.
func HostHook(payloadDir string) []HookFile {
	return []HookFile{{HostStem + ".pth", pthFile(payloadDir)}, {HostStem + ".start", startFile()}}
}

// defaultConfig is what a variant measures with when it is run without settings from outside. older is the oldest
// coverage version in the image: settings it does not know are left out. What keeps data from being lost comes
// first; concurrency stays unset, because naming only multiprocessing stops coverage from measuring threads.
func defaultConfig(older string, source Source) []byte {
	var b strings.Builder
	b.WriteString("[run]\nbranch = true\nparallel = true\n")
	if atLeast(older, 6, 3) {
		b.WriteString("sigterm = true\n")
	}
	if atLeast(older, 7, 10) {
		b.WriteString("patch = _exit, execv\n")
	}
	writeList(&b, "source", source.Dirs)
	writeList(&b, "source_pkgs", source.Packages)
	return []byte(b.String())
}

func writeList(b *strings.Builder, key string, values []string) {
	if len(values) == 0 {
		return
	}
	fmt.Fprintf(b, "%s =\n", key)
	for _, v := range values {
		fmt.Fprintf(b, "    %s\n", v)
	}
}

// atLeast compares the first two numbers of a version; one that does not parse counts as new.
func atLeast(version string, major, minor int) bool {
	var x, y int
	if n, _ := fmt.Sscanf(version, "%d.%d", &x, &y); n < 2 {
		return true
	}
	return x > major || x == major && y >= minor
}

// inPayload returns the path of a payload's file in the image.
func inPayload(payload, name string) string { return path.Join(PayloadRoot, payload, name) }
