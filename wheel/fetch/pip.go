package fetch

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"gopkg.in/ini.v1"
)

// machine is what settings are read from: the caller's environment and files.
type machine struct {
	env  func(string) string
	home string
	read func(string) ([]byte, error)
}

// IndexFromPip gives the index that pip would use, else the one uv would, from
// their environment variables and configuration files, and the user's .netrc.
// Where neither names one the result stands for pip's own default. home is the
// user's home folder; readFile fails with fs.ErrNotExist where nothing is.
func IndexFromPip(env func(string) string, home string, readFile func(string) ([]byte, error)) (Index, error) {
	m := machine{env, home, readFile}
	options, err := m.pipOptions()
	if err != nil {
		return Index{}, err
	}
	index := Index{
		URL:          options["index-url"],
		Extra:        strings.Fields(options["extra-index-url"]),
		TrustedHosts: strings.Fields(options["trusted-host"]),
		Proxy:        options["proxy"],
	}
	if index.URL == "" {
		if err := m.addUV(&index); err != nil {
			return Index{}, err
		}
	}
	certs := firstOf(options["cert"], env("REQUESTS_CA_BUNDLE"), env("CURL_CA_BUNDLE"))
	if index.CACerts, err = m.file(certs); err != nil {
		return Index{}, fmt.Errorf("reading pip's CA bundle: %w", err)
	}
	if index.ClientCert, err = m.file(options["client-cert"]); err != nil {
		return Index{}, fmt.Errorf("reading pip's client certificate: %w", err)
	}
	index.Netrc, err = m.netrc()
	return index, err
}

// pipOptions merges pip's settings as pip does: global, user, environment's
// own, then PIP_CONFIG_FILE; [install] over [global]; variables over files.
func (m machine) pipOptions() (map[string]string, error) {
	sections := map[string]map[string]string{"global": {}, "install": {}}
	for _, file := range m.pipFiles() {
		data, err := m.optional(file)
		if err != nil {
			return nil, fmt.Errorf("reading pip's configuration: %w", err)
		}
		if err := addSections(sections, data); err != nil {
			return nil, fmt.Errorf("pip's configuration %s: %w", file, err)
		}
	}
	options := sections["global"]
	for key, value := range sections["install"] {
		options[key] = value
	}
	for _, key := range []string{"index-url", "extra-index-url", "trusted-host", "proxy", "cert", "client-cert"} {
		variable := "PIP_" + strings.ToUpper(strings.ReplaceAll(key, "-", "_"))
		if value := m.env(variable); value != "" {
			options[key] = value
		}
	}
	return options, nil
}

func addSections(sections map[string]map[string]string, data []byte) error {
	file, err := ini.LoadSources(ini.LoadOptions{
		AllowPythonMultilineValues: true,
		IgnoreInlineComment:        true,
		PreserveSurroundedQuote:    true,
		SkipUnrecognizableLines:    true,
	}, data)
	if err != nil {
		return errors.New("cannot be parsed") // ini's error shows the line, which may hold a password
	}
	for name, options := range sections {
		for _, key := range file.Section(name).Keys() {
			options[strings.ReplaceAll(key.Name(), "_", "-")] = strings.TrimSpace(key.Value())
		}
	}
	return nil
}

// pipFiles are the places pip looks in on Unix, later ones overriding.
func (m machine) pipFiles() []string {
	own := m.env("PIP_CONFIG_FILE")
	if own == "/dev/null" {
		return nil
	}
	var files []string
	for _, dir := range strings.Split(firstOf(m.env("XDG_CONFIG_DIRS"), "/etc/xdg"), ":") {
		files = append(files, path.Join(dir, "pip/pip.conf"))
	}
	files = append(files, "/Library/Application Support/pip/pip.conf", "/etc/pip.conf")
	if own == "" {
		files = append(files,
			path.Join(m.home, ".pip/pip.conf"),
			path.Join(m.configHome(), "pip/pip.conf"),
			path.Join(m.home, "Library/Application Support/pip/pip.conf"))
	}
	if venv := m.env("VIRTUAL_ENV"); venv != "" {
		files = append(files, path.Join(venv, "pip.conf"))
	}
	return append(files, own)
}

func (m machine) configHome() string {
	return firstOf(m.env("XDG_CONFIG_HOME"), path.Join(m.home, ".config"))
}

func (m machine) netrc() (string, error) {
	data, err := m.optional(firstOf(m.env("NETRC"), path.Join(m.home, ".netrc")))
	if err != nil {
		return "", fmt.Errorf("reading .netrc: %w", err)
	}
	return string(data), nil
}

// file reads what a setting names, which must then be there; "" names nothing.
func (m machine) file(name string) ([]byte, error) {
	if name == "" {
		return nil, nil
	}
	if rest, ok := strings.CutPrefix(name, "~/"); ok {
		name = path.Join(m.home, rest)
	}
	return m.read(name)
}

// optional reads a file that may not be there.
func (m machine) optional(name string) ([]byte, error) {
	data, err := m.file(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return data, err
}

func firstOf(values ...string) string {
	for _, value := range values {
		if value != "" {
			return value
		}
	}
	return ""
}
