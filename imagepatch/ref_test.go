package imagepatch_test

import (
	"errors"
	"testing"

	"github.com/covify/covify/imagepatch"
)

func TestRef(t *testing.T) {
	cases := []struct {
		in        string
		transport imagepatch.Transport
		path      string
		name      string
		variant   string
	}{
		{"app", "", "", "app", "app:latest-cov"},
		{"app:1.0", "", "", "app:1.0", "app:1.0-cov"},
		{"app:1.0-cov", "", "", "app:1.0-cov", "app:1.0-cov"},
		{"localhost:5000/app", "", "", "localhost:5000/app", "localhost:5000/app:latest-cov"},
		{"docker://app", imagepatch.Registry, "", "app", "docker://app:latest-cov"},
		{"docker://registry.example:443/team/app:1.0", imagepatch.Registry, "", "registry.example:443/team/app:1.0", "docker://registry.example:443/team/app:1.0-cov"},
		{"docker://latest:latest", imagepatch.Registry, "", "latest:latest", "docker://latest:latest-cov"},
		{"docker://app@" + digest, imagepatch.Registry, "", "app@" + digest, "docker://app:sha256-0123456789ab-cov"},
		{"docker://app:1.0@" + digest, imagepatch.Registry, "", "app:1.0@" + digest, "docker://app:1.0-cov"},
		{"docker-daemon:app:1.0", imagepatch.DockerDaemon, "", "app:1.0", "docker-daemon:app:1.0-cov"},
		{"docker-daemon:app@" + digest, imagepatch.DockerDaemon, "", "app@" + digest, "docker-daemon:app:sha256-0123456789ab-cov"},
		{"oci:dir", imagepatch.OCILayout, "dir", "", "oci:dir:latest-cov"},
		{"oci:some/dir:1.0", imagepatch.OCILayout, "some/dir", "1.0", "oci:some/dir:1.0-cov"},
		{"oci-archive:a.tar", imagepatch.OCIArchive, "a.tar", "", "oci-archive:a-cov.tar"},
		{"oci-archive:dir.d/a:1.0", imagepatch.OCIArchive, "dir.d/a", "1.0", "oci-archive:dir.d/a-cov:1.0-cov"},
		{"docker-archive:a.tar", imagepatch.DockerArchive, "a.tar", "", "docker-archive:a-cov.tar"},
		{"docker-archive:a-cov.tar", imagepatch.DockerArchive, "a-cov.tar", "", "docker-archive:a-cov.tar"},
		{"docker-archive:a.tar.gz", imagepatch.DockerArchive, "a.tar.gz", "", "docker-archive:a-cov.tar"},
		{"docker-archive:a.tar:app:1.0", imagepatch.DockerArchive, "a.tar", "app:1.0", "docker-archive:a-cov.tar:app:1.0-cov"},
		{"docker-archive:a.tar:app", imagepatch.DockerArchive, "a.tar", "app", "docker-archive:a-cov.tar:app:latest-cov"},
		{"docker-archive:a.tar:registry.example/app", imagepatch.DockerArchive, "a.tar", "registry.example/app", "docker-archive:a-cov.tar:registry.example/app:latest-cov"},
	}
	for _, c := range cases {
		ref, err := imagepatch.ParseRef(c.in)
		if want := (imagepatch.Ref{Transport: c.transport, Path: c.path, Name: c.name}); err != nil || ref != want {
			t.Errorf("%s: %+v, %v", c.in, ref, err)
			continue
		}
		if ref.String() != c.in {
			t.Errorf("%s is written as %s", c.in, ref)
		}
		variant, err := ref.Variant()
		if err != nil || variant.String() != c.variant {
			t.Errorf("variant of %s: %s, %v; want %s", c.in, variant, err, c.variant)
		}
		if again, err := imagepatch.ParseRef(variant.String()); err != nil || again != variant {
			t.Errorf("%s is read as %+v, %v", variant, again, err)
		}
	}
}

const digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func TestBadRef(t *testing.T) {
	for _, in := range []string{"", "UPPER", "docker://", "docker://a b", "docker-daemon:", "oci:", "oci::tag", "docker-archive:", "oci-archive:",
		"app:", "app@sha256:12", "dir:x", "containers-storage:x", "http://registry.example/app", "ostree:x"} {
		ref, err := imagepatch.ParseRef(in)
		var wrong *imagepatch.RefError
		if !errors.As(err, &wrong) || wrong.Reason == "" {
			t.Errorf("%q: %+v, %v", in, ref, err)
		}
	}
}
