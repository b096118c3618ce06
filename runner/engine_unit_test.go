package runner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func env(pairs map[string]string) func(string) string {
	return func(name string) string { return pairs[name] }
}

// contextDir is docker's configuration with a current context "other".
func contextDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	files := map[string]string{
		"config.json": `{"auths": {}, "currentContext": "other"}`,
		// The folders are the SHA-256 of the names, as docker's own client makes them.
		"contexts/meta/d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa/meta.json": `{"Name": "other",
			"Metadata": {}, "Endpoints": {"docker": {"Host": "unix:///other.sock", "SkipTLSVerify": false}}}`,
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestDockerEndpoint(t *testing.T) {
	dir := contextDir(t)
	for name, test := range map[string]struct {
		env  map[string]string
		want Endpoint
	}{
		"nothing": {nil, Endpoint{Address: "unix:///var/run/docker.sock", Origin: "default"}},
		"host":    {map[string]string{"DOCKER_HOST": "tcp://h:1", "DOCKER_CONTEXT": "x"}, Endpoint{Address: "tcp://h:1", Origin: "DOCKER_HOST"}},
		"current": {map[string]string{"DOCKER_CONFIG": dir}, Endpoint{Address: "unix:///other.sock", Origin: "context other"}},
		"default": {map[string]string{"DOCKER_CONFIG": dir, "DOCKER_CONTEXT": "default"},
			Endpoint{Address: "unix:///var/run/docker.sock", Origin: "default"}},
		"tls": {map[string]string{"DOCKER_HOST": "tcp://h:1", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "/c"},
			Endpoint{"tcp://h:1", "DOCKER_HOST", &TLSFiles{"/c/ca.pem", "/c/cert.pem", "/c/key.pem", false}}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := DockerEndpoint(Host{Env: env(test.env), Home: t.TempDir()})
			if err != nil {
				t.Fatal(err)
			}
			if asJSON(t, got) != asJSON(t, test.want) {
				t.Errorf("got %s, want %s", asJSON(t, got), asJSON(t, test.want))
			}
		})
	}
	if _, err := DockerEndpoint(Host{Env: env(map[string]string{"DOCKER_CONFIG": dir, "DOCKER_CONTEXT": "gone"})}); err == nil {
		t.Error("a context that is not there is no error")
	}
}

func asJSON(t *testing.T, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestPodmanEndpoint(t *testing.T) {
	for _, test := range []struct {
		host Host
		want string
	}{
		{Host{UID: 0}, "unix:///run/podman/podman.sock"},
		{Host{UID: 1000}, "unix:///run/user/1000/podman/podman.sock"},
		{Host{UID: 1000, Env: env(map[string]string{"XDG_RUNTIME_DIR": "/x"})}, "unix:///x/podman/podman.sock"},
		{Host{UID: 0, Env: env(map[string]string{"CONTAINER_HOST": "tcp://localhost:1"})}, "tcp://localhost:1"},
	} {
		if got := PodmanEndpoint(test.host); got.Address != test.want {
			t.Errorf("got %q, want %q", got.Address, test.want)
		}
	}
}

func TestRemote(t *testing.T) {
	for address, want := range map[string]bool{
		"unix:///x.sock": false, "tcp://localhost:2375": false, "tcp://127.0.0.1:2375": false, "tcp://[::1]:2375": false,
		"npipe:////./pipe/docker_engine": false, "ssh://me@host": true, "tcp://host:2376": true, "tcp://192.0.2.1:2376": true,
	} {
		if got := (Endpoint{Address: address}).Remote(); got != want {
			t.Errorf("%s: got %v", address, got)
		}
	}
}

// commands puts empty commands of these names on PATH and nothing else.
func commands(t *testing.T, names ...string) {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir)
}

// api serves an engine's API on a socket, answering only what handlers are there for.
func api(t *testing.T, handlers map[string]string) string {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, ok := handlers[r.URL.RequestURI()]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
		}
		fmt.Fprint(w, body)
	})}
	go func() { _ = server.Serve(listener) }() // ends with Close
	t.Cleanup(func() { server.Close() })
	return "unix://" + socket
}

func TestFindEngine(t *testing.T) {
	ctx := context.Background()
	alive := api(t, map[string]string{"/_ping": "OK"})
	docker := func(address string) Host { return Host{Env: env(map[string]string{"DOCKER_HOST": address}), UID: 1} }

	commands(t, "docker", "podman")
	engine, err := FindEngine(ctx, "", docker(alive))
	if err != nil || engine.Name != "docker" || engine.Endpoint.Address != alive {
		t.Errorf("got %+v, %v", engine, err)
	}
	if engine, err = FindEngine(ctx, "podman", docker(alive)); err != nil || engine.Name != "podman" {
		t.Errorf("got %+v, %v", engine, err)
	}
	if engine, err := FindEngine(ctx, "", docker("ssh://somewhere")); err != nil || engine.Name != "docker" || engine.api {
		t.Errorf("got %+v, %v", engine, err)
	}
	var gone *EngineError
	if _, err = FindEngine(ctx, "", docker("unix:///nowhere.sock")); !errors.As(err, &gone) || len(gone.Tried) != 1 {
		t.Errorf("got %v: an address of the user's is not passed over", err)
	}
	if _, err = FindEngine(ctx, "nerdctl", docker(alive)); !errors.As(err, &gone) {
		t.Errorf("got %v", err)
	}
	t.Log(err, "/", gone.Hint())
	commands(t, "podman")
	if engine, err = FindEngine(ctx, "", Host{UID: 1}); err != nil || engine.Name != "podman" {
		t.Errorf("got %+v, %v", engine, err)
	}
	commands(t)
	if _, err = FindEngine(ctx, "", Host{UID: 1}); !errors.As(err, &gone) || len(gone.Tried) != 3 {
		t.Errorf("got %v", err)
	}
}

// TestFindEngineAtOnce asks an engine that accepts and never answers.
func TestFindEngineAtOnce(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	commands(t, "docker")
	start := time.Now()
	_, err = FindEngine(context.Background(), "docker", Host{Env: env(map[string]string{"DOCKER_HOST": "unix://" + socket})})
	if gone := new(EngineError); !errors.As(err, &gone) || time.Since(start) > 1500*time.Millisecond {
		t.Errorf("got %v after %v", err, time.Since(start))
	}
	t.Log(err)
}

func TestImage(t *testing.T) {
	address := api(t, map[string]string{
		"/images/reg.example/a/b:1/json": `{"Config": {"Labels": {"io.covify.version": "1"}, "Cmd": ["x"]}}`,
		"/images/p/json?platform=%7B%22architecture%22%3A%22arm64%22%2C%22os%22%3A%22linux%22%2C%22variant%22%3A%22v8%22%7D": `{"Config": {}}`,
	})
	engine := Engine{Name: "docker", Endpoint: Endpoint{Address: address}, api: true}
	image, err := engine.Image(context.Background(), "reg.example/a/b:1", "")
	if err != nil || !image.Variant() || image.Cmd[0] != "x" {
		t.Errorf("got %+v, %v", image, err)
	}
	if image, err = engine.Image(context.Background(), "p", "linux/arm64/v8"); err != nil || image.Variant() {
		t.Errorf("got %+v, %v", image, err)
	}
	if _, err = engine.Image(context.Background(), "gone", ""); !errors.Is(err, ErrNotThere) {
		t.Errorf("got %v, want ErrNotThere", err)
	}
}
