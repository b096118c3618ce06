package main

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/covify/covify/imagepatch"
	"github.com/covify/covify/plan"
	"github.com/covify/covify/runner"
	"github.com/covify/covify/wheel/bundle"
	"github.com/covify/covify/wheel/fetch"
	"github.com/spf13/cobra"
)

func errorf(format string, args ...any) error { return fmt.Errorf(format, args...) }

// accessFlags say how registries are reached.
type accessFlags struct{ tlsVerify bool }

func (f *accessFlags) add(c *cobra.Command) {
	c.Flags().BoolVar(&f.tlsVerify, "tls-verify", true, "check registries' certificates, and speak http to none but this machine's")
}

// resolve takes credentials as docker and podman have stored them, and the engine that docker would use.
func (f *accessFlags) resolve() (*imagepatch.Access, error) {
	access := &imagepatch.Access{Keychain: keychain(), Engine: &imagepatch.Engine{Host: engineHost()}}
	if !f.tlsVerify {
		access.PlainHTTP = true
		transport := http.DefaultTransport.(*http.Transport).Clone()
		transport.TLSClientConfig = insecureTLS()
		access.Transport = transport
	}
	return access, nil
}

// wheelFlags say where coverage comes from.
type wheelFlags struct {
	bundle  string
	offline bool
}

func (f *wheelFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.bundle, "bundle", os.Getenv("COVIFY_BUNDLE"), "folder of wheels made by covify bundle, instead of those covify carries")
	c.Flags().BoolVar(&f.offline, "offline", false, "ask no package index")
}

func (f *wheelFlags) source(logf func(string, ...any)) (*fetch.Source, error) {
	s := &fetch.Source{Bundle: bundle.FS(), StartUp: plan.Startup(), Offline: f.offline, Logf: logf}
	if f.bundle != "" {
		if _, err := os.Stat(filepath.Join(f.bundle, "index.json")); err != nil {
			return nil, usageError{errorf("--bundle %s: not a folder that covify bundle made: %w", f.bundle, err)}
		}
		s.Bundle = os.DirFS(f.bundle)
	}
	if cache := cacheDir(); cache != "" {
		s.CacheDir = filepath.Join(cache, "wheels")
	}
	home, _ := os.UserHomeDir()
	index, err := fetch.IndexFromPip(os.Getenv, home, os.ReadFile)
	if err != nil {
		return nil, err
	}
	s.Index = index
	return s, nil
}

// identity tells one covify with its wheels from another. It is "" where wheels come from a package index, which may offer
// a newer one any time.
func (f *wheelFlags) identity(coverage string) string {
	if f.bundle == "" && bundle.Empty() {
		return ""
	}
	executable, err := os.Executable()
	if err != nil {
		return ""
	}
	parts := []string{executable}
	if f.bundle != "" {
		parts = append(parts, filepath.Join(f.bundle, "index.json"))
	}
	identity := coverage
	for _, part := range parts {
		info, err := os.Stat(part)
		if err != nil {
			return ""
		}
		identity += fmt.Sprintf(" %s %d %d", part, info.Size(), info.ModTime().UnixNano())
	}
	return identity
}

// cacheDir is the user's cache folder for covify, "" if there is no place for one.
func cacheDir() string {
	if dir := os.Getenv("COVIFY_CACHE_DIR"); dir != "" {
		return dir
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "covify")
}

// thisHost is what decides on this machine which engine docker and podman talk to.
func thisHost() runner.Host {
	home, _ := os.UserHomeDir()
	return runner.Host{Env: os.Getenv, Home: home, UID: os.Getuid()}
}

// engineHost is the address of the local engine's API: that of docker's own client, else podman's.
func engineHost() string {
	host := thisHost()
	docker, err := runner.DockerEndpoint(host)
	podman := runner.PodmanEndpoint(host)
	if err == nil && (docker.Origin != "default" || isSocket(docker.Address) || !isSocket(podman.Address)) {
		return docker.Address
	}
	return podman.Address
}

func isSocket(address string) bool {
	info, err := os.Stat(strings.TrimPrefix(address, "unix://"))
	return err == nil && info.Mode()&os.ModeSocket != 0
}

func insecureTLS() *tls.Config { return &tls.Config{InsecureSkipVerify: true} }
