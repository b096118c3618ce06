package frontend

import "testing"

func TestInnerSyntax(t *testing.T) {
	const ours = "registry.example/covify:2"
	for _, c := range []struct{ cmdline, source, file, syntax, rest string }{
		{"", "", "FROM x\n", "", ""},
		{"", "", "# syntax=docker/dockerfile:1\nFROM x\n", "docker/dockerfile:1", "docker/dockerfile:1"},
		{"", "", "# syntax=covify/covify:1\nFROM x\n", "", ""},
		{"", "", "# syntax=covify/covify docker/dockerfile:1-labs\nFROM x\n", "docker/dockerfile:1-labs", "docker/dockerfile:1-labs"},
		{"", ours, "# syntax=docker/dockerfile:1 a b\nFROM x\n", "docker/dockerfile:1", "docker/dockerfile:1 a b"},
		{ours, ours, "# syntax=" + ours + "\nFROM x\n", "", ""},
		{ours, ours, "# syntax=registry.example/covify:1\nFROM x\n", "", ""},
		{ours, ours, "# syntax=registry.example/covify@sha256:0123456789012345678901234567890123456789012345678901234567890123\nFROM x\n", "", ""},
		{ours, ours, "# syntax=other.example/covify:1\nFROM x\n", "other.example/covify:1", "other.example/covify:1"},
		{ours + " docker/dockerfile:1-labs more", ours, "# syntax=" + ours + "\nFROM x\n", "docker/dockerfile:1-labs", "docker/dockerfile:1-labs more"},
		{ours, ours, "# syntax=" + ours + " docker/dockerfile:1-labs\nFROM x\n", "docker/dockerfile:1-labs", "docker/dockerfile:1-labs"},
		{ours, ours, "#!/usr/bin/env x\n# syntax=docker/dockerfile:1\nFROM x\n", "docker/dockerfile:1", "docker/dockerfile:1"},
		{ours, ours, "// syntax=example/other\n{}", "example/other", "example/other"},
		{ours, ours, "", "", ""},
		{"covify-local", "covify-local", "# syntax=covify-local\nFROM x\n", "", ""},
	} {
		b := &build{opts: map[string]string{}, file: []byte(c.file)}
		if c.cmdline != "" {
			b.opts["cmdline"] = c.cmdline
		}
		if c.source != "" {
			b.opts["source"] = c.source
		}
		if syntax, rest, _ := b.innerSyntax("covify/covify"); syntax != c.syntax || rest != c.rest {
			t.Errorf("%q after %q: %q, %q; want %q, %q", c.file, c.cmdline, syntax, rest, c.syntax, c.rest)
		}
	}
}

func TestInnerOpts(t *testing.T) {
	b := &build{opts: map[string]string{
		"source": "covify", "cmdline": "covify", "build-arg:BUILDKIT_SYNTAX": "covify", "attest:sbom": "", "attest:provenance": "mode=max",
		"build-arg:COVIFY_STRICT": "1", "build-arg:COVIFY_HOME": "the Dockerfile's own", "target": "x", "platform": "linux/arm64",
	}}
	want := map[string]string{"attest:provenance": "mode=max", "build-arg:COVIFY_HOME": "the Dockerfile's own", "target": "x", "platform": "linux/arm64"}
	got := b.innerOpts()
	if len(got) != len(want) {
		t.Errorf("%v", got)
	}
	for key, value := range want {
		if got[key] != value {
			t.Errorf("%s is %q", key, got[key])
		}
	}
	b.file = []byte("FROM x\nARG BUILDKIT_SBOM_SCAN_STAGE=true\n")
	if _, kept := b.innerOpts()["attest:sbom"]; !kept {
		t.Error("what scans its stages keeps its SBOM")
	}
	if !parseSettings(b.opts).strict {
		t.Error("COVIFY_STRICT=1 is not strict")
	}
}
