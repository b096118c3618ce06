package llbgen

import (
	"encoding/json"
	"fmt"

	"github.com/covify/covify/plan"
)

// Config returns an image configuration with the Plan's env and labels; every other field stays as it is.
func Config(raw []byte, p *plan.Plan) ([]byte, error) {
	image, container := map[string]json.RawMessage{}, map[string]json.RawMessage{}
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &image); err != nil {
			return nil, fmt.Errorf("reading the image configuration: %w", err)
		}
	}
	if config, ok := image["config"]; ok {
		if err := json.Unmarshal(config, &container); err != nil {
			return nil, fmt.Errorf("reading the image configuration: %w", err)
		}
	}
	env, err := json.Marshal(p.Env)
	if err != nil {
		return nil, err
	}
	labels, err := json.Marshal(p.Labels)
	if err != nil {
		return nil, err
	}
	container["Labels"] = labels
	if len(p.Env) > 0 {
		container["Env"] = env
	}
	if image["config"], err = json.Marshal(container); err != nil {
		return nil, err
	}
	return json.Marshal(image)
}
