package runner

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Host is what this machine's environment says, passed in so that nothing here reads it.
type Host struct {
	Env  func(name string) string // nil for an empty environment
	Home string
	UID  int
}

func (h Host) env(name string) string {
	if h.Env == nil {
		return ""
	}
	return h.Env(name)
}

// Endpoint is the address of an engine's API.
type Endpoint struct {
	Address string // unix:///PATH, tcp://HOST:PORT, ssh://..., npipe://...
	Origin  string // what named it: "DOCKER_HOST", "context NAME", "default"
	TLS     *TLSFiles
}

// TLSFiles are the certificates for an API behind TLS, in PEM. Files that are not there are not used.
type TLSFiles struct {
	CA, Cert, Key string
	SkipVerify    bool
}

// DockerEndpoint resolves the address docker's own client uses: DOCKER_HOST, else DOCKER_CONTEXT, else the
// current context of its configuration, else the default socket.
func DockerEndpoint(host Host) (Endpoint, error) {
	config := host.env("DOCKER_CONFIG")
	if config == "" {
		config = filepath.Join(host.Home, ".docker")
	}
	if address := host.env("DOCKER_HOST"); address != "" {
		return Endpoint{Address: address, Origin: "DOCKER_HOST", TLS: dockerTLS(host, config)}, nil
	}
	name := host.env("DOCKER_CONTEXT")
	if name == "" {
		name = currentContext(config)
	}
	if name == "" || name == "default" {
		return Endpoint{Address: "unix:///var/run/docker.sock", Origin: "default"}, nil
	}
	return contextEndpoint(config, name)
}

func dockerTLS(host Host, config string) *TLSFiles {
	verify := host.env("DOCKER_TLS_VERIFY") != ""
	if !verify && host.env("DOCKER_TLS") == "" {
		return nil
	}
	dir := host.env("DOCKER_CERT_PATH")
	if dir == "" {
		dir = config
	}
	return tlsFiles(dir, !verify)
}

func tlsFiles(dir string, skip bool) *TLSFiles {
	return &TLSFiles{
		CA: filepath.Join(dir, "ca.pem"), Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem"),
		SkipVerify: skip,
	}
}

// currentContext is read from docker's config.json; one that docker could not read either names none.
func currentContext(config string) string {
	var settings struct{ CurrentContext string }
	text, err := os.ReadFile(filepath.Join(config, "config.json"))
	if err != nil || json.Unmarshal(text, &settings) != nil {
		return ""
	}
	return settings.CurrentContext
}

func contextEndpoint(config, name string) (Endpoint, error) {
	id := fmt.Sprintf("%x", sha256.Sum256([]byte(name)))
	text, err := os.ReadFile(filepath.Join(config, "contexts", "meta", id, "meta.json"))
	if err != nil {
		return Endpoint{}, fmt.Errorf("reading docker context %q: %w", name, err)
	}
	var meta struct {
		Endpoints map[string]struct {
			Host          string
			SkipTLSVerify bool
		}
	}
	if err := json.Unmarshal(text, &meta); err != nil {
		return Endpoint{}, fmt.Errorf("reading docker context %q: %w", name, err)
	}
	docker := meta.Endpoints["docker"]
	if docker.Host == "" {
		return Endpoint{}, fmt.Errorf("docker context %q names no docker endpoint", name)
	}
	endpoint := Endpoint{Address: docker.Host, Origin: "context " + name}
	dir := filepath.Join(config, "contexts", "tls", id, "docker")
	if _, err := os.Stat(dir); err == nil || docker.SkipTLSVerify {
		endpoint.TLS = tlsFiles(dir, docker.SkipTLSVerify)
	}
	return endpoint, nil
}

// PodmanEndpoint resolves podman's API: CONTAINER_HOST, else this user's socket. Without CONTAINER_HOST
// podman needs no API: a socket may then not be there.
func PodmanEndpoint(host Host) Endpoint {
	if address := host.env("CONTAINER_HOST"); address != "" {
		return Endpoint{Address: address, Origin: "CONTAINER_HOST"}
	}
	if host.UID == 0 {
		return Endpoint{Address: "unix:///run/podman/podman.sock", Origin: "default"}
	}
	runtime := host.env("XDG_RUNTIME_DIR")
	if runtime == "" {
		runtime = fmt.Sprintf("/run/user/%d", host.UID)
	}
	return Endpoint{Address: "unix://" + filepath.Join(runtime, "podman", "podman.sock"), Origin: "default"}
}

// Remote reports whether the engine is on another machine, where this one's folders are not.
func (e Endpoint) Remote() bool {
	scheme, host, _ := strings.Cut(e.Address, "://")
	if scheme == "ssh" {
		return true
	}
	if scheme != "tcp" && scheme != "http" && scheme != "https" {
		return false
	}
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return host != "localhost" && host != "" && (ip == nil || !ip.IsLoopback())
}

// errNoDial is an address that only the engine's own client reaches.
var errNoDial = errors.New("not an address covify can dial")

// client returns an HTTP client for the endpoint and the URL its paths are under.
func (e Endpoint) client(patience time.Duration) (*http.Client, *url.URL, error) {
	scheme, address, _ := strings.Cut(e.Address, "://")
	dialer := &net.Dialer{Timeout: patience}
	transport := &http.Transport{DisableKeepAlives: true}
	base := &url.URL{Scheme: "http", Host: "engine"}
	switch scheme {
	case "unix":
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", address)
		}
	case "tcp", "http", "https":
		transport.DialContext = dialer.DialContext
		base.Host = strings.TrimSuffix(address, "/")
		if e.TLS != nil || scheme == "https" {
			base.Scheme = "https"
			var err error
			if transport.TLSClientConfig, err = e.TLS.config(); err != nil {
				return nil, nil, err
			}
		}
	default:
		return nil, nil, fmt.Errorf("%w: %s", errNoDial, e.Address)
	}
	return &http.Client{Transport: transport}, base, nil
}

func (f *TLSFiles) config() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if f == nil {
		return config, nil
	}
	config.InsecureSkipVerify = f.SkipVerify
	authority, err := os.ReadFile(f.CA)
	if err == nil {
		config.RootCAs = x509.NewCertPool()
		config.RootCAs.AppendCertsFromPEM(authority)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading the engine's certificates: %w", err)
	}
	pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	if err == nil {
		config.Certificates = []tls.Certificate{pair}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading the engine's certificates: %w", err)
	}
	return config, nil
}
