package solve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/distribution/reference"
	bkclient "github.com/moby/buildkit/client"
	"github.com/moby/buildkit/session/auth/authprovider"
	"github.com/moby/moby/api/pkg/authconfig"
	"github.com/moby/moby/api/types/registry"
	"github.com/moby/moby/client"
)

// LoadError says that an engine could not be given the result.
type LoadError struct {
	Host string
	Err  error
}

func (e *LoadError) Error() string {
	return fmt.Sprintf("loading the image into the engine at %s: %v", e.Host, e.Err)
}
func (e *LoadError) Unwrap() error { return e.Err }

// load carries an archive from BuildKit to another program's engine while it is made.
type load struct {
	host   string
	engine *client.Client
	once   sync.Once
	reader *io.PipeReader
	writer *io.PipeWriter
	done   chan error
}

// newLoad directs e to the engine with that API. The engine decides on the format: a containerd store takes OCI's.
func newLoad(ctx context.Context, host string, e *bkclient.ExportEntry) (*load, error) {
	if host == "" {
		return nil, &LoadError{"(none)", errors.New("no engine known; --push or --output type=oci,dest=FILE need none")}
	}
	api, err := engine(host)
	if err != nil {
		return nil, &LoadError{host, err}
	}
	if _, err := api.Ping(ctx, client.PingOptions{NegotiateAPIVersion: true}); err != nil {
		api.Close()
		return nil, &LoadError{host, err}
	}
	if info, err := api.Info(ctx, client.InfoOptions{}); err == nil && takesOCI(info.Info.DriverStatus) {
		e.Type, e.Attrs["prefer-image-digest"] = bkclient.ExporterOCI, "true"
	}
	l := &load{host: host, engine: api, done: make(chan error, 1)}
	l.reader, l.writer = io.Pipe()
	e.Output = func(map[string]string) (io.WriteCloser, error) {
		l.once.Do(func() { go l.run(ctx) })
		return l.writer, nil
	}
	return l, nil
}

func takesOCI(status [][2]string) bool {
	for _, kv := range status {
		if strings.Contains(kv[1], "containerd") {
			return true
		}
	}
	return false
}

func (l *load) run(ctx context.Context) {
	answer, err := l.engine.ImageLoad(ctx, l.reader, client.ImageLoadWithQuiet(true))
	if err == nil {
		err = messages(answer)
		answer.Close()
	}
	l.reader.CloseWithError(err)
	l.done <- err
}

// wait returns when the engine has all of it.
func (l *load) wait() error {
	if err := <-l.done; err != nil {
		return &LoadError{l.host, err}
	}
	return nil
}

// stop ends what is under way.
func (l *load) stop() {
	l.reader.CloseWithError(errors.New("the build has failed"))
	l.engine.Close()
}

// messages reads an engine's progress to its end; an error arrives as one message.
func messages(r io.Reader) error {
	for d := json.NewDecoder(r); ; {
		var m struct {
			Error string `json:"error"`
		}
		if err := d.Decode(&m); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if m.Error != "" {
			return errors.New(m.Error)
		}
	}
}

// push has the engine push an image of its store.
func push(ctx context.Context, host, name string, credentials authprovider.AuthConfigProvider) error {
	api, err := engine(host)
	if err != nil {
		return err
	}
	defer api.Close()
	named, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return &UsageError{"--tag " + name, err}
	}
	var options client.ImagePushOptions
	if credentials != nil {
		domain := reference.Domain(named)
		if domain == "docker.io" {
			domain = authprovider.DockerHubRegistryHost
		}
		found, err := credentials(ctx, domain, nil, nil)
		if err != nil {
			return err
		}
		options.RegistryAuth, err = authconfig.Encode(registry.AuthConfig{Username: found.Username, Password: found.Password, Auth: found.Auth,
			IdentityToken: found.IdentityToken, RegistryToken: found.RegistryToken})
		if err != nil {
			return err
		}
	}
	answer, err := api.ImagePush(ctx, name, options)
	if err != nil {
		return fmt.Errorf("pushing %s: %w", name, err)
	}
	defer answer.Close()
	if err := messages(answer); err != nil {
		return fmt.Errorf("pushing %s: %w", name, err)
	}
	return nil
}
