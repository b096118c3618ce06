package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
)

// TestBundle collects from an index that serves two releases.
func TestBundle(t *testing.T) {
	body := []byte("a wheel")
	index := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/coverage/") {
			_, _ = w.Write(body)
			return
		}
		w.Header().Set("Content-Type", "text/html")
		for _, version := range []string{"7.10.7", "7.17.3"} {
			requires := map[string]string{"7.10.7": "3.9", "7.17.3": "3.11"}[version]
			fmt.Fprintf(w, `<a href="/coverage-%s-py3-none-any.whl#sha256=%x" data-requires-python="&gt;=%s">`, version, sha256.Sum256(body), requires)
		}
	}))
	defer index.Close()
	t.Setenv("PIP_INDEX_URL", index.URL+"/simple")
	t.Setenv("PIP_CONFIG_FILE", "/dev/null")
	t.Setenv("COVIFY_CACHE_DIR", t.TempDir())
	t.Setenv("COVIFY_BUNDLE", "")
	cases := []struct {
		args   []string
		code   int
		stdout string
	}{
		{[]string{"--python", "3.9,3.13"}, exitDone, "coverage-7.10.7-py3-none-any.whl\ncoverage-7.17.3-py3-none-any.whl\n"},
		{[]string{"--python", "3.13t", "--platform", "musllinux_x86_64"}, exitDone, "coverage-7.17.3-py3-none-any.whl\n"},
		{[]string{"--python", "3.8"}, exitNothing, ""},
		{[]string{"--python", "3.9", "--version", "7.17.3"}, exitNothing, ""},
		{[]string{"--python", "three"}, exitUsage, ""},
		{[]string{"--platform", "windows/amd64"}, exitUsage, ""},
		{[]string{"--version", "seven"}, exitUsage, ""},
		{[]string{"--output="}, exitUsage, ""},
	}
	for _, c := range cases {
		command := newBundleCmd()
		var stdout, stderr bytes.Buffer
		command.SilenceErrors, command.SilenceUsage = true, true
		command.SetOut(&stdout)
		command.SetErr(&stderr)
		command.SetArgs(append([]string{"-o", filepath.Join(t.TempDir(), "wheels")}, c.args...))
		err := command.ExecuteContext(t.Context())
		code := exitDone
		if err != nil {
			code = exitCode(err)
		}
		if code != c.code || stdout.String() != c.stdout {
			t.Errorf("%v: code %d, %v\n%s%s", c.args, code, err, &stdout, &stderr)
		}
	}
}
