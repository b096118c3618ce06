package testimages

import (
	"encoding/json"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// TestEngineInspect: what docker inspect says of base and variant differs in env, labels and layers only, on every engine.
func TestEngineInspect(t *testing.T) {
	// Names, digests and sizes follow from the layers; the store's own bookkeeping does too.
	follows := []string{"Id", "RepoTags", "RepoDigests", "RootFS", "Size", "VirtualSize", "GraphDriver", "Metadata", "Descriptor", "Created",
		"Config.Env", "Config.Labels", "Parent", "Identity", "ManifestType", "Digest", "Labels", "History", "NamesHistory", "Annotations", "Comment", "DockerVersion"}
	for _, c := range cases(t) {
		if len(c.Python) == 0 || len(c.Platforms) > 1 {
			continue
		}
		for _, name := range []string{"docker29", "docker20", "podman"} {
			t.Run(c.name+"/"+name, func(t *testing.T) {
				e := findEngine(t, name)
				variant := throughDaemon(t, c, e)
				base := inspect(t, e, c.Image+":1")
				got := inspect(t, e, variant)
				for _, key := range follows {
					remove(base, key)
					remove(got, key)
				}
				if !reflect.DeepEqual(base, got) {
					t.Errorf("inspect of the base:\n%v\nof the variant:\n%v", base, got)
				}
			})
		}
	}
}

func inspect(t *testing.T, e *engine, image string) map[string]any {
	t.Helper()
	var all []map[string]any
	if err := json.Unmarshal([]byte(e.run(t, "image", "inspect", image)), &all); err != nil {
		t.Fatal(err)
	}
	return all[0]
}

// remove deletes a field, by its dotted path.
func remove(m map[string]any, field string) {
	outer, inner, nested := strings.Cut(field, ".")
	if !nested {
		delete(m, field)
	} else if child, ok := m[outer].(map[string]any); ok {
		remove(child, inner)
	}
}

// TestEngineConfig: in a registry, the variant's configuration differs from the base's in env, labels, created, history and
// layers only; crane validates it; a second run and a variant's variant have the same digest.
func TestEngineConfig(t *testing.T) {
	registry := registryAddress(t)
	for _, c := range cases(t) {
		if len(c.Python) == 0 || len(c.Platforms) > 1 {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			repo := registry + "/config/" + c.name
			skopeo(t, "docker-archive:"+c.archive(), "docker://"+repo+":1")
			cache := map[string]string{"COVIFY_CACHE_DIR": t.TempDir()}
			first := output(t, "", cache, covifyBin, "docker://"+repo+":1")
			again := output(t, "", map[string]string{"COVIFY_CACHE_DIR": t.TempDir()}, covifyBin, "docker://"+repo+":1")
			if first != again {
				t.Errorf("a second run gives %s, the first gave %s", again, first)
			}
			twice := output(t, "", cache, covifyBin, "docker://"+repo+":1-cov", "-t", "docker://"+repo+":1-cov-cov")
			if digestOf(first) != digestOf(twice) {
				t.Errorf("the variant's variant is %s, the variant %s", twice, first)
			}
			output(t, "", nil, "crane", "validate", "--remote", repo+":1-cov")
			base, variant := rawConfig(t, repo+":1"), rawConfig(t, repo+":1-cov")
			for _, key := range []string{"config.Env", "config.Labels", "created", "history", "rootfs"} {
				remove(base, key)
				remove(variant, key)
			}
			if !reflect.DeepEqual(base, variant) {
				t.Errorf("configuration of the base:\n%v\nof the variant:\n%v", base, variant)
			}
		})
	}
}

func digestOf(ref string) string { return strings.TrimSpace(ref[strings.Index(ref, "@"):]) }

func rawConfig(t *testing.T, image string) map[string]any {
	t.Helper()
	var config map[string]any
	out := output(t, "", nil, "skopeo", "inspect", "--config", "--raw", "--tls-verify=false", "docker://"+image)
	if err := json.Unmarshal([]byte(out), &config); err != nil {
		t.Fatal(err)
	}
	return config
}

// TestEngineTwoPlatforms: a whole index goes through, and every platform of it really runs, arm64 under qemu, and measures what
// coverage run measures there.
func TestEngineTwoPlatforms(t *testing.T) {
	registry, e := registryAddress(t), findEngine(t, "docker29")
	for _, c := range cases(t) {
		if len(c.Platforms) < 2 {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			output(t, "", nil, "../hack/tools", "qemu")
			repo := registry + "/" + c.Image
			skopeo(t, "oci-archive:"+c.archive(), "docker://"+repo+":1")
			throughRegistry := strings.TrimSpace(output(t, "", e.env(), covifyBin, "docker://"+repo+":1"))
			layout := "oci-archive:" + filepath.Join(t.TempDir(), "variant.tar")
			output(t, "", e.env(), covifyBin, "oci-archive:"+c.archive(), "-t", layout+":cov")
			skopeo(t, layout+":cov", "docker://"+repo+":layout-cov")
			for _, platform := range c.Platforms {
				t.Run(strings.ReplaceAll(platform, "/", "-"), func(t *testing.T) {
					var want measured
					for _, variant := range []string{throughRegistry, repo + ":layout-cov"} {
						on := *c
						on.Run.Flags = append([]string{"--platform", platform, "--pull", "always"}, c.Run.Flags...)
						data := runVariant(t, &on, e, variant)
						if want == nil {
							want = platformOracle(t, &on, e, repo+":1", platform, filepath.Join(data, ".coveragerc"))
						}
						compare(t, want, dump(t, data))
					}
				})
			}
		})
	}
}
