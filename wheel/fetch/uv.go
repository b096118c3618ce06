package fetch

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"strings"

	"github.com/BurntSushi/toml"
)

// uvFile is the part of uv.toml that names indexes.
type uvFile struct {
	Index []struct {
		Name     string `toml:"name"`
		URL      string `toml:"url"`
		Default  bool   `toml:"default"`
		Explicit bool   `toml:"explicit"`
	} `toml:"index"`
	IndexURL      string   `toml:"index-url"`
	ExtraIndexURL []string `toml:"extra-index-url"`
	InsecureHost  []string `toml:"allow-insecure-host"`
	Pip           struct {
		IndexURL      string   `toml:"index-url"`
		ExtraIndexURL []string `toml:"extra-index-url"`
	} `toml:"pip"`
}

// addUV fills index in from uv's variables, then from the user's uv.toml, then
// from the system's.
func (m machine) addUV(index *Index) error {
	m.addUVVariables(index)
	files := []string{path.Join(m.configHome(), "uv/uv.toml"), "/etc/uv/uv.toml"}
	if own := m.env("UV_CONFIG_FILE"); own != "" {
		files = []string{own}
	}
	for _, name := range files {
		data, err := m.optional(name)
		if err != nil {
			return fmt.Errorf("reading uv's configuration: %w", err)
		}
		var settings uvFile
		if err := toml.Unmarshal(data, &settings); err != nil {
			return fmt.Errorf("uv's configuration %s: %w", name, errors.New("cannot be parsed"))
		}
		m.addUVFile(index, settings)
	}
	return nil
}

func (m machine) addUVVariables(index *Index) {
	index.URL = m.named(firstOf(m.env("UV_DEFAULT_INDEX"), m.env("UV_INDEX_URL")))
	for _, extra := range strings.Fields(m.env("UV_INDEX") + " " + m.env("UV_EXTRA_INDEX_URL")) {
		index.Extra = append(index.Extra, m.named(extra))
	}
	index.TrustedHosts = append(index.TrustedHosts, strings.Fields(m.env("UV_INSECURE_HOST"))...)
}

func (m machine) addUVFile(index *Index, settings uvFile) {
	for _, entry := range settings.Index {
		at := m.withUVUser(entry.Name, entry.URL)
		switch {
		case entry.Explicit:
		case !entry.Default:
			index.Extra = append(index.Extra, at)
		case index.URL == "":
			index.URL = at
		}
	}
	if index.URL == "" {
		index.URL = firstOf(settings.IndexURL, settings.Pip.IndexURL)
	}
	index.Extra = append(index.Extra, settings.ExtraIndexURL...)
	index.Extra = append(index.Extra, settings.Pip.ExtraIndexURL...)
	index.TrustedHosts = append(index.TrustedHosts, settings.InsecureHost...)
}

// named reads uv's NAME=URL form, in which the name may be left out.
func (m machine) named(value string) string {
	name, at, ok := strings.Cut(value, "=")
	if !ok || strings.ContainsAny(name, ":/") {
		return value
	}
	return m.withUVUser(name, at)
}

// withUVUser adds the credentials uv takes from UV_INDEX_<NAME>_USERNAME and _PASSWORD.
func (m machine) withUVUser(name, at string) string {
	variable := "UV_INDEX_" + strings.Map(func(r rune) rune {
		if (r >= 'A' && r <= 'Z') || (r >= '0' && r <= '9') {
			return r
		}
		return '_'
	}, strings.ToUpper(name))
	user, password := m.env(variable+"_USERNAME"), m.env(variable+"_PASSWORD")
	u, err := url.Parse(at)
	if name == "" || err != nil || user+password == "" {
		return at
	}
	u.User = url.UserPassword(user, password)
	return u.String()
}
