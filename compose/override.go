package compose

import (
	"bytes"
	"encoding/json"
)

// Measured is what makes a service's containers measured.
type Measured struct {
	Variant string            // the image to run
	Source  string            // this machine's folder for their data; "" when the service has a mount of its own there
	Target  string            // where it is in the containers
	Relabel bool              // SELinux keeps containers from the folder unless it has their label
	Env     map[string]string // what is set in the containers
}

type overrideService struct {
	Image       string            `json:"image"`
	PullPolicy  string            `json:"pull_policy"`
	Environment map[string]string `json:"environment,omitempty"`
	Volumes     []overrideVolume  `json:"volumes,omitempty"`
}

type overrideVolume struct {
	Type   string       `json:"type"`
	Source string       `json:"source"`
	Target string       `json:"target"`
	Bind   overrideBind `json:"bind"`
}

type overrideBind struct {
	CreateHostPath bool   `json:"create_host_path"`
	SELinux        string `json:"selinux,omitempty"`
}

// Override is the compose file, as JSON, that with a project's own files before it has its services measured. Compose pulls and
// builds nothing for them: the variants are there. The same services give the same bytes.
func Override(services map[string]Measured) ([]byte, error) {
	out := map[string]overrideService{}
	for name, m := range services {
		service := overrideService{Image: escape(m.Variant), PullPolicy: "never", Environment: map[string]string{}}
		for key, value := range m.Env {
			service.Environment[key] = escape(value)
		}
		if m.Source != "" {
			volume := overrideVolume{Type: "bind", Source: escape(m.Source), Target: escape(m.Target), Bind: overrideBind{CreateHostPath: true}}
			if m.Relabel {
				volume.Bind.SELinux = "z"
			}
			service.Volumes = []overrideVolume{volume}
		}
		out[name] = service
	}
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(map[string]any{"services": out})
	return text.Bytes(), err
}
