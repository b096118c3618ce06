package bundle

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/covify/covify/wheel"
	"github.com/covify/covify/wheel/fetch"
)

// TestBundleServesEveryPython opens, from what is embedded, the payload of each
// Python that covify supports; offline, with compiled files where there are
// interpreters to compile them.
func TestBundleServesEveryPython(t *testing.T) {
	if Empty() {
		t.Skip("no wheels embedded: make wheels")
	}
	startUp, err := os.ReadFile("../../plan/startup/_covify.py")
	if err != nil {
		t.Fatal(err)
	}
	source := &fetch.Source{Bundle: FS(), Offline: true, StartUp: startUp}
	for _, abi := range []string{"cp27mu", "cp36m", "cp37m", "cp38", "cp39", "cp310", "cp311", "cp312", "cp313", "cp314"} {
		major, minor := int(abi[2]-'0'), 0
		for _, digit := range strings.TrimRight(abi[3:], "mu") {
			minor = minor*10 + int(digit-'0')
		}
		for _, libc := range []string{"glibc", "musl"} {
			for _, arch := range []string{"x86_64", "aarch64"} {
				target := wheel.Target{Implementation: "cp", Major: major, Minor: minor, ABI: abi, Libc: libc, Arch: arch}
				payload, err := source.Payload(t.Context(), target, "")
				if err != nil {
					t.Errorf("%s: %v", target, err)
					continue
				}
				if payload.Pure && major == 3 {
					t.Errorf("%s: %s has no C tracer", target, payload.Name)
				}
				if has := hasCompiledStartUp(payload); has != (major == 3 && minor >= 10) {
					t.Errorf("%s: compiled start-up module: %v (hack/bundle makes it anew)", target, has)
				}
			}
		}
	}
}

func hasCompiledStartUp(p *wheel.Payload) bool {
	return slices.ContainsFunc(p.Files, func(f wheel.PayloadFile) bool {
		return strings.HasPrefix(f.Path, "__pycache__/_covify.cpython-")
	})
}
