package solve

import (
	"errors"
	"net"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// TestFindNothing: where no BuildKit answers, or one never does, Find ends within seconds and names every place.
func TestFindNothing(t *testing.T) {
	silent := filepath.Join(t.TempDir(), "silent.sock")
	listener, err := net.Listen("unix", silent)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	missing := "unix://" + filepath.Join(t.TempDir(), "missing.sock")
	for name, c := range map[string]struct {
		places Places
		tried  []string
	}{
		"nowhere":  {Places{}, nil},
		"silent":   {Places{Address: "unix://" + silent}, []string{"unix://" + silent}},
		"missing":  {Places{Docker: missing, Socket: missing}, []string{missing, missing}},
		"all":      {Places{Buildx: []string{"false"}, Docker: "unix://" + silent, Socket: missing}, []string{"false", "unix://" + silent, missing}},
		"chosen":   {Places{Buildx: []string{"false"}, Chosen: true, Socket: missing}, []string{"false"}},
		"no words": {Places{Buildx: []string{"/no/such/docker", "buildx"}}, []string{"/no/such/docker buildx"}},
	} {
		t.Run(name, func(t *testing.T) {
			started := time.Now()
			b, err := Find(t.Context(), c.places)
			if took := time.Since(started); took > 5*time.Second {
				t.Errorf("took %v", took)
			}
			var none *NotFoundError
			if b != nil || !errors.As(err, &none) {
				t.Fatalf("got %v, %v", b, err)
			}
			var tried []string
			for _, a := range none.Tried {
				tried = append(tried, a.Place)
				if !strings.Contains(err.Error(), a.Place+": "+a.Err.Error()) {
					t.Errorf("the error does not say why %s is none: %v", a.Place, err)
				}
			}
			if !reflect.DeepEqual(tried, c.tried) {
				t.Errorf("tried %q, not %q", tried, c.tried)
			}
			if none.Hint() == "" {
				t.Error("no hint")
			}
		})
	}
}

func TestParseOutput(t *testing.T) {
	for arg, want := range map[string]Output{
		"out":                          {Type: "local", Dest: "out"},
		"-":                            {Type: "tar", Dest: "-"},
		"type=oci,dest=a.tar":          {Type: "oci", Dest: "a.tar"},
		`type=image,"name=a,b",push=1`: {Type: "image", Attrs: map[string]string{"name": "a,b", "push": "1"}},
		"type=cacheonly":               {Type: "cacheonly"},
	} {
		if want.Attrs == nil {
			want.Attrs = map[string]string{}
		}
		if got, err := ParseOutput(arg); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, %v", arg, got, err)
		}
	}
	for _, arg := range []string{"dest=a,push=1", "type=oci,dest"} {
		if _, err := ParseOutput(arg); !errors.As(err, new(*UsageError)) {
			t.Errorf("%s: got %v", arg, err)
		}
	}
}

func TestSyntax(t *testing.T) {
	for arg, want := range map[string]string{
		"":                                      "",
		"docker/dockerfile:1-labs":              "covify/covify docker/dockerfile:1-labs",
		"covify/covify:2":                       "covify/covify",
		"covify/covify docker/dockerfile:1":     "covify/covify docker/dockerfile:1",
		"registry.example/covify/covify x":      "covify/covify registry.example/covify/covify x",
		" docker.io/covify/covify:latest  a b ": "covify/covify a b",
	} {
		attrs := map[string]string{"build-arg:BUILDKIT_SYNTAX": arg}
		syntax(attrs, "covify/covify")
		if attrs["cmdline"] != want {
			t.Errorf("%q: cmdline %q, not %q", arg, attrs["cmdline"], want)
		}
		if _, kept := attrs["build-arg:BUILDKIT_SYNTAX"]; kept && arg != "" {
			t.Errorf("%q: the build arg is still there", arg)
		}
	}
}
