package llbgen

import (
	"encoding/json"
	"fmt"

	"github.com/covify/covify/plan"
)

// Config returns an image configuration with the Plan's env and labels, and its layers in the history if there is one; every other
// field stays as it is. The exporter sets the times of the history.
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
	if err := addHistory(image, p); err != nil {
		return nil, fmt.Errorf("reading the image's history: %w", err)
	}
	return json.Marshal(image)
}

func addHistory(image map[string]json.RawMessage, p *plan.Plan) error {
	var history []json.RawMessage
	if raw, ok := image["history"]; ok {
		if err := json.Unmarshal(raw, &history); err != nil {
			return err
		}
	}
	if len(history) == 0 {
		return nil
	}
	for _, l := range p.Layers {
		entry, err := json.Marshal(l.History())
		if err != nil {
			return err
		}
		history = append(history, entry)
	}
	var err error
	image["history"], err = json.Marshal(history)
	return err
}
