package session

import (
	"fmt"
	"path/filepath"
	"regexp"

	"github.com/covify/covify/wheel"
)

// suffix is what names of CPython's extension modules end with: ".cpython-313t-x86_64-linux-gnu.so".
var suffix = regexp.MustCompile(`^\.cpython-(\d+[a-z]*)-(\w+?)-linux-(gnu|musl)\.so$`)

// unames are architectures that Python names otherwise than uname.
var unames = map[string]string{"powerpc64le": "ppc64le", "i386": "i686", "arm": "armv7l"}

// TargetOf tells what coverage an interpreter of this machine needs by its version ("3.13") and the suffix of its extension
// modules. Where that does not tell the ABI, the target is one for coverage without compiled code.
func TargetOf(version, extension string) (wheel.Target, error) {
	t := wheel.Target{Implementation: "cp"}
	if n, err := fmt.Sscanf(version, "%d.%d", &t.Major, &t.Minor); n != 2 || err != nil {
		return t, fmt.Errorf("%q is no version of Python", version)
	}
	found := suffix.FindStringSubmatch(extension)
	if found == nil {
		return t, nil
	}
	t.ABI, t.Arch, t.Libc = "cp"+found[1], found[2], map[string]string{"gnu": "glibc", "musl": "musl"}[found[3]]
	if name, ok := unames[t.Arch]; ok {
		t.Arch = name
	}
	if t.Minor < 11 && onlyMusl() { // before 3.11 the suffix says gnu on every Linux
		t.Libc = "musl"
	}
	return t, nil
}

func onlyMusl() bool {
	musl, _ := filepath.Glob("/lib/ld-musl-*")
	glibc, _ := filepath.Glob("/lib*/ld-linux*")
	return len(musl) > 0 && len(glibc) == 0
}
