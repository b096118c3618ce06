package testimages

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// scannerImage builds a scanner for BuildKit's SBOMs from testdata/scanner and pushes it to the registry.
func scannerImage(t *testing.T, registry string, e *engine) string {
	t.Helper()
	dir := t.TempDir()
	output(t, "", map[string]string{"CGO_ENABLED": "0"}, "go", "build", "-trimpath", "-o", filepath.Join(dir, "scanner"), "./testdata/scanner")
	dockerfile := "FROM scratch\nCOPY scanner /\nENTRYPOINT [\"/scanner\"]\n"
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(dockerfile), 0o644); err != nil {
		t.Fatal(err)
	}
	image := registry + "/scanner"
	e.run(t, "build", "-q", "-t", image, "--provenance=false", dir)
	e.run(t, "push", "-q", image)
	return image
}

// TestEngineAttestations: the SBOM is the variant's and lists coverage, also where stages are scanned; the provenance names the
// frontend.
func TestEngineAttestations(t *testing.T) {
	registry, e := registryAddress(t), findEngine(t, "docker29")
	frontend, scanner := frontendImage(t, registry, e), scannerImage(t, registry, e)
	base := registry + "/attest/base:1"
	for _, c := range cases(t) {
		if c.name == "slim" {
			skopeo(t, "docker-archive:"+c.archive(), "docker://"+base)
		}
	}
	for name, lines := range map[string]string{
		"result": "FROM " + base + "\n",
		"stages": "FROM " + base + " AS early\nARG BUILDKIT_SBOM_SCAN_STAGE=true\nFROM early\n",
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte("# syntax="+frontend+"\n"+lines), 0o644); err != nil {
				t.Fatal(err)
			}
			image := registry + "/attest/" + name + ":cov"
			e.run(t, "buildx", "build", "-q", "--sbom=generator="+scanner, "--provenance=mode=max", "--push", "-t", image, dir)
			found := statements(t, e, image)
			packages := strings.Join(found["https://spdx.dev/Document"], "\n")
			if !strings.Contains(packages, `"name":"coverage"`) || !strings.Contains(packages, `"name":"flask"`) {
				t.Errorf("the SBOM does not list coverage and flask: %.2000s", packages)
			}
			var provenance string
			for predicate, statements := range found {
				if strings.HasPrefix(predicate, "https://slsa.dev/provenance") {
					provenance = strings.Join(statements, "\n")
				}
			}
			if !strings.Contains(provenance, frontend) {
				t.Errorf("the provenance does not name %s: %.2000s", frontend, provenance)
			}
			if len(provenance) > 1<<20 {
				t.Errorf("the provenance has %d bytes: contents travel in the definition", len(provenance))
			}
		})
	}
}

// statements are the in-toto statements attached to an image of one platform, as JSON without spaces, by predicate.
func statements(t *testing.T, e *engine, image string) map[string][]string {
	t.Helper()
	var index struct {
		Manifests []struct {
			Digest      string
			Annotations map[string]string
		}
	}
	crane := func(to any, args ...string) string {
		out := output(t, "", e.env(), "crane", args...)
		if to != nil {
			if err := json.Unmarshal([]byte(out), to); err != nil {
				t.Fatal(err)
			}
		}
		return out
	}
	crane(&index, "manifest", image)
	name, _, _ := strings.Cut(image, ":cov")
	all := map[string][]string{}
	for _, m := range index.Manifests {
		if m.Annotations["vnd.docker.reference.type"] != "attestation-manifest" {
			continue
		}
		var manifest struct {
			Layers []struct {
				Digest      string
				Annotations map[string]string
			}
		}
		crane(&manifest, "manifest", name+"@"+m.Digest)
		for _, l := range manifest.Layers {
			var statement any
			crane(&statement, "blob", name+"@"+l.Digest)
			text, err := json.Marshal(statement)
			if err != nil {
				t.Fatal(err)
			}
			predicate := l.Annotations["in-toto.io/predicate-type"]
			all[predicate] = append(all[predicate], string(text))
		}
	}
	return all
}
