package blobs_test

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"
	"testing/fstest"

	"github.com/covify/covify/plan"
	"github.com/covify/covify/wheel"
	"github.com/covify/covify/wheel/blobs"
	"github.com/covify/covify/wheel/bundle"
	"github.com/covify/covify/wheel/fetch"
)

// written is the bundle that covify carries as Write leaves it, and the same bundle as it is.
func written(t testing.TB) (fstest.MapFS, *fetch.Source) {
	t.Helper()
	if bundle.Empty() {
		t.Skip("built without wheels: run make wheels")
	}
	source := &fetch.Source{Bundle: bundle.FS(), StartUp: plan.Startup(), Offline: true}
	folder := fstest.MapFS{}
	err := blobs.Write(source, [][]byte{plan.Startup()}, func(name string, data []byte) error {
		if folder[name] != nil {
			return fmt.Errorf("%s is written twice", name)
		}
		folder[name] = &fstest.MapFile{Data: slices.Clone(data)}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return folder, source
}

// targets are all Pythons and platforms that a wheel in the bundle is for, and some that none is for.
func targets(t *testing.T, files []wheel.File) (all []wheel.Target) {
	t.Helper()
	abis := map[string][]string{} // by python tag
	for _, file := range files {
		name, err := wheel.Parse(file.Name)
		if err != nil {
			t.Fatal(err)
		}
		for _, python := range name.Pythons {
			abis[python] = append(abis[python], name.ABIs...)
		}
	}
	for _, implementation := range []string{"cp", "pp"} {
		for _, v := range [][2]int{{2, 7}, {3, 4}, {3, 5}, {3, 6}, {3, 7}, {3, 8}, {3, 9}, {3, 10}, {3, 11}, {3, 12}, {3, 13}, {3, 14}, {3, 15}} {
			python := fmt.Sprintf("%s%d%d", implementation, v[0], v[1])
			known := slices.Sorted(slices.Values(append(abis[python], python+"d", "")))
			for _, abi := range slices.Compact(known) {
				for _, libc := range []string{"glibc", "musl"} {
					for _, arch := range []string{"x86_64", "aarch64", "i686", "ppc64le", "riscv64", "armv7l", "s390x"} {
						all = append(all, wheel.Target{Implementation: implementation, Major: v[0], Minor: v[1], ABI: abi, Libc: libc, Arch: arch})
					}
				}
			}
		}
	}
	return all
}

// TestSameAsBundle: for every target the folder gives the very payload, or the very error, that the bundle gives.
func TestSameAsBundle(t *testing.T) {
	folder, source := written(t)
	store := &blobs.Store{FS: folder}
	files, err := source.Bundled()
	if err != nil {
		t.Fatal(err)
	}
	opened := map[string]bool{} // a payload is compared once: opening wheels takes the time
	used := map[string]bool{}
	for _, target := range targets(t, files) {
		file, _ := wheel.Select(target, "", files)
		once := fmt.Sprint(file.Name, target.Implementation, target.Major, target.Minor, target.ABI)
		if opened[once] {
			continue
		}
		opened[once] = true
		used[file.Name] = true
		same(t, store, source, target, "")
	}
	for _, file := range files {
		if !used[file.Name] && !file.Yanked {
			t.Errorf("no target takes %s", file.Name)
		}
	}
	cp313 := wheel.Target{Implementation: "cp", Major: 3, Minor: 13, ABI: "cp313", Libc: "glibc", Arch: "x86_64"}
	for _, version := range []string{files[len(files)-1].Version, "7.17.3", "7.10.7", "5.5", "99", "no version"} {
		same(t, store, source, cp313, version)
	}
	if folder[blobs.Path(blobs.Sum(plan.Startup()))] == nil {
		t.Error("the start-up module is missing")
	}
}

func same(t *testing.T, store *blobs.Store, source *fetch.Source, target wheel.Target, version string) {
	t.Helper()
	want, wantErr := source.Payload(t.Context(), target, version)
	got, err := store.Payload(target, version)
	if !reflect.DeepEqual(got, want) || !reflect.DeepEqual(err, wantErr) {
		t.Errorf("%s %q: %s, %v; the bundle gives %s, %v", target, version, describe(got), err, describe(want), wantErr)
	}
}

func describe(p *wheel.Payload) string {
	if p == nil {
		return "nothing"
	}
	return fmt.Sprintf("%s with %d files and %d of the standard library", p.Name, len(p.Files), len(p.Stdlib))
}

func TestContentsAreChecked(t *testing.T) {
	folder, _ := written(t)
	target := wheel.Target{Implementation: "cp", Major: 3, Minor: 13, ABI: "cp313", Libc: "glibc", Arch: "x86_64"}
	payload, err := (&blobs.Store{FS: folder}).Payload(target, "")
	if err != nil {
		t.Fatal(err)
	}
	folder[blobs.Path(blobs.Sum(payload.Files[0].Data))].Data = []byte("x")
	var wrong *wheel.ChecksumError
	if _, err := (&blobs.Store{FS: folder}).Payload(target, ""); !errors.As(err, &wrong) || wrong.Member != payload.Files[0].Path {
		t.Errorf("a content that was tampered with: %v", err)
	}
	if _, err := (&blobs.Store{FS: fstest.MapFS{}}).Payload(target, ""); err == nil {
		t.Error("no folder, and no error")
	}
}

// TestWriteAgain: the same bundle gives the same folder.
func TestWriteAgain(t *testing.T) {
	a, _ := written(t)
	b, _ := written(t)
	if !maps.EqualFunc(a, b, func(x, y *fstest.MapFile) bool { return string(x.Data) == string(y.Data) }) {
		t.Error("two folders differ")
	}
}

func BenchmarkPayload(b *testing.B) {
	folder, _ := written(b)
	for b.Loop() {
		if _, err := (&blobs.Store{FS: folder}).Payload(wheel.Target{Implementation: "cp", Major: 3, Minor: 13, ABI: "cp313", Libc: "glibc", Arch: "x86_64"}, ""); err != nil {
			b.Fatal(err)
		}
	}
}
