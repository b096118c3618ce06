package runner

import (
	"encoding/csv"
	"path"
	"path/filepath"
	"strings"
)

// Mount is what one -v, --mount or --tmpfs puts into the container.
type Mount struct {
	Kind     string // bind, volume or tmpfs
	Source   string // a path for bind; a name, or nothing, for volume
	Target   string // in the container
	ReadOnly bool
}

// parseVolume reads the value of -v: [SOURCE:]TARGET[:OPTIONS]. A source that is a path is a bind.
func parseVolume(value string) Mount {
	parts := strings.Split(value, ":")
	if len(parts) == 1 {
		return Mount{Kind: "volume", Target: value}
	}
	m := Mount{Kind: "volume", Source: parts[0], Target: parts[1]}
	if filepath.IsAbs(m.Source) || strings.HasPrefix(m.Source, ".") || strings.HasPrefix(m.Source, "~") {
		m.Kind = "bind"
	}
	if len(parts) > 2 {
		for option := range strings.SplitSeq(parts[2], ",") {
			m.ReadOnly = m.ReadOnly || option == "ro"
		}
	}
	return m
}

// parseMount reads the value of --mount, comma separated as CSV. What it cannot read stays empty: the
// engine will say what is wrong with it.
func parseMount(value string) Mount {
	m := Mount{Kind: "volume"}
	fields, _ := csv.NewReader(strings.NewReader(value)).Read()
	for _, field := range fields {
		key, value, given := strings.Cut(field, "=")
		switch strings.ToLower(key) {
		case "type":
			m.Kind = value
		case "source", "src":
			m.Source = value
		case "target", "destination", "dst":
			m.Target = value
		case "readonly", "ro":
			m.ReadOnly = !given || value == "true" || value == "1"
		}
	}
	return m
}

// mountOn returns the user's mount on a folder of the container, if there is one.
func (inv Invocation) mountOn(dir string) *Mount {
	for i := range inv.Mounts {
		if path.Clean(inv.Mounts[i].Target) == path.Clean(dir) {
			return &inv.Mounts[i]
		}
	}
	return nil
}

// bindFlags mounts a host folder. -v cannot name a path with a colon, --mount can.
func bindFlags(source, target string, relabel bool) []string {
	if !strings.Contains(source, ":") {
		value := source + ":" + target
		if relabel {
			value += ":z"
		}
		return []string{"-v", value}
	}
	var out strings.Builder
	w := csv.NewWriter(&out)
	_ = w.Write([]string{"type=bind", "source=" + source, "target=" + target}) // a Builder takes all
	w.Flush()
	return []string{"--mount", strings.TrimSuffix(out.String(), "\n")}
}
