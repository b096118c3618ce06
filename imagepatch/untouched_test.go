package imagepatch_test

import (
	"reflect"
	"testing"

	"github.com/covify/covify/plan"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// TestUntouched compares base and variant as raw JSON: they differ in env, labels, history and layers only, and the media
// types are those of the base's family.
func TestUntouched(t *testing.T) {
	for family, docker := range map[string]bool{"docker": true, "oci": false} {
		t.Run(family, func(t *testing.T) {
			r := newRegistry(t)
			base := app(docker).Image()
			r.Put("app:1.0", base)
			patch(t, options(t), "docker://"+r.Host+"/app:1.0", "docker://"+r.Host+"/app:1.0-cov")
			variant := at(t, r, "app:1.0-cov")
			if err := validate.Image(variant); err != nil {
				t.Error(err)
			}
			before, after := config(t, base), config(t, variant)
			old, changed := before["config"].(map[string]any), after["config"].(map[string]any)
			env := changed["Env"].([]any)
			if want := append(old["Env"].([]any), "COVERAGE_PROCESS_START="+plan.ConfigPath, "COVERAGE_FILE="+plan.DataDir+"/.coverage"); !reflect.DeepEqual(env, want) {
				t.Errorf("env %v", env)
			}
			checkLabels(t, changed["Labels"].(map[string]any), r.Host+"/app:1.0", base)
			for _, doc := range []map[string]any{before, after} {
				if n := len(doc["history"].([]any)); n-1 != len(doc["rootfs"].(map[string]any)["diff_ids"].([]any)) {
					t.Errorf("%d entries of history for the layers", n)
				}
				delete(doc, "history")
				delete(doc, "rootfs")
				delete(doc["config"].(map[string]any), "Env")
				delete(doc["config"].(map[string]any), "Labels")
			}
			if !reflect.DeepEqual(before, after) {
				t.Errorf("configuration\nbefore %v\nafter  %v", before, after)
			}
			checkManifest(t, manifest(t, base), manifest(t, variant), docker)
		})
	}
}

func checkLabels(t *testing.T, labels map[string]any, name string, base v1.Image) {
	t.Helper()
	digest, err := base.Digest()
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{"team": "a <b> & c", plan.LabelVersion: "1.2.3", plan.LabelCoverage: "7.17.3",
		plan.LabelData: plan.DataDir, plan.LabelBaseName: name, plan.LabelBaseDigest: digest.String()} {
		if labels[key] != want {
			t.Errorf("label %s is %v, not %q", key, labels[key], want)
		}
	}
}

func checkManifest(t *testing.T, before, after map[string]any, docker bool) {
	t.Helper()
	old, layers := before["layers"].([]any), after["layers"].([]any)
	if len(layers) != len(old)+2 || !reflect.DeepEqual(layers[:len(old)], old) {
		t.Errorf("layers\nbefore %v\nafter  %v", old, layers)
	}
	family := types.OCILayer
	if docker {
		family = types.DockerLayer
	}
	for _, l := range layers {
		if got := l.(map[string]any)["mediaType"]; got != string(family) {
			t.Errorf("a layer has the media type %v", got)
		}
	}
	annotations := after["annotations"].(map[string]any)
	if _, ok := annotations[plan.LabelBaseDigest]; ok == docker || annotations["a"] != "b" {
		t.Errorf("annotations %v", annotations)
	}
	for _, doc := range []map[string]any{before, after} {
		delete(doc, "layers")
		delete(doc, "annotations")
		delete(doc["config"].(map[string]any), "digest")
		delete(doc["config"].(map[string]any), "size")
	}
	if !reflect.DeepEqual(before, after) {
		t.Errorf("manifest\nbefore %v\nafter  %v", before, after)
	}
}
