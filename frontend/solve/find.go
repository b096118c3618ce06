// Package solve runs a frontend in this process against a BuildKit: it finds one on the machine, says what docker build says of
// contexts, outputs and settings, and hands the result to an engine, a registry or a file.
package solve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/docker/cli/cli/connhelper/commandconn"
	bkclient "github.com/moby/buildkit/client"
	_ "github.com/moby/buildkit/client/connhelper/dockercontainer" // docker-container://, and so on, as addresses
	_ "github.com/moby/buildkit/client/connhelper/kubepod"
	_ "github.com/moby/buildkit/client/connhelper/nerdctlcontainer"
	_ "github.com/moby/buildkit/client/connhelper/podmancontainer"
	_ "github.com/moby/buildkit/client/connhelper/ssh"
	_ "github.com/moby/buildkit/util/grpcutil/encoding/proto" // the daemon's encoding
	"github.com/moby/moby/client"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Places are where a BuildKit may be.
type Places struct {
	Address string   // BuildKit's own; where it is set, nothing else is tried
	Buildx  []string // command that connects its stdin and stdout to the chosen builder; nil for none
	Chosen  bool     // by the user: Buildx is the only one
	Docker  string   // address of a Docker's API, whose BuildKit serves builds; "" for none
	Socket  string   // address of a buildkitd that nobody named
}

// BuildKit is one that answers.
type BuildKit struct {
	*bkclient.Client
	Where string // in words
	Store Store  // where results stay if nothing else is said
	host  string // the engine's API, for what has to be loaded into it
}

// Store is where a BuildKit keeps images.
type Store int

const (
	NoStore         Store = iota // a bare buildkitd: results go where an output says
	ContainerdStore              // it is Docker's, with containerd's image store
	ClassicStore                 // it is Docker's, with its own image store
)

// NotFoundError says that no BuildKit answers, and why none of the places had one.
type NotFoundError struct{ Tried []Attempt }

// Attempt is a place without a BuildKit.
type Attempt struct {
	Place string
	Err   error
}

func (e *NotFoundError) Error() string {
	if len(e.Tried) == 0 {
		return "no BuildKit found: there is no place to look for one"
	}
	var words strings.Builder
	words.WriteString("no BuildKit answers")
	for _, a := range e.Tried {
		fmt.Fprintf(&words, "\n  %s: %v", a.Place, a.Err)
	}
	return words.String()
}

// Hint says what to do next.
func (e *NotFoundError) Hint() string {
	return "start Docker or buildkitd, or name one with --addr or BUILDKIT_HOST; covify IMAGE needs none"
}

// findTimeout bounds how long places may take to answer, all together.
const findTimeout = 4 * time.Second

// Find returns the first BuildKit of the places that answers: the address, the builder that buildx has chosen, Docker's own, the
// default socket. The error is a *NotFoundError, within seconds.
func Find(ctx context.Context, p Places) (*BuildKit, error) {
	limit, cancel := context.WithTimeout(ctx, findTimeout)
	defer cancel()
	if p.Address != "" {
		found := one(limit, p.Address, func(ctx context.Context) (*BuildKit, error) { return atAddress(ctx, p.Address) })
		if found.b == nil {
			return nil, errors.Join(ctx.Err(), &NotFoundError{[]Attempt{{p.Address, found.err}}})
		}
		found.b.host = p.Docker
		return found.b, nil
	}
	var found [3]answer
	var g errgroup.Group
	if len(p.Buildx) > 0 {
		g.Go(func() error {
			found[0] = one(limit, strings.Join(p.Buildx, " "), func(ctx context.Context) (*BuildKit, error) { return byCommand(ctx, p.Buildx) })
			return nil
		})
	}
	if p.Docker != "" {
		g.Go(func() error {
			found[1] = one(limit, p.Docker, func(ctx context.Context) (*BuildKit, error) { return ofDocker(ctx, p.Docker) })
			return nil
		})
	}
	if p.Socket != "" {
		g.Go(func() error {
			found[2] = one(limit, p.Socket, func(ctx context.Context) (*BuildKit, error) { return atAddress(ctx, p.Socket) })
			return nil
		})
	}
	_ = g.Wait()
	b, err := first(found[:], p.Chosen)
	if err != nil {
		return nil, errors.Join(ctx.Err(), err)
	}
	b.host = p.Docker
	return b, nil
}

// Docker returns the BuildKit of the Docker with that API. The error is a *NotFoundError where it has none.
func Docker(ctx context.Context, host string) (*BuildKit, error) {
	limit, cancel := context.WithTimeout(ctx, findTimeout)
	defer cancel()
	found := one(limit, host, func(ctx context.Context) (*BuildKit, error) { return ofDocker(ctx, host) })
	if found.b == nil {
		return nil, errors.Join(ctx.Err(), &NotFoundError{[]Attempt{{host, found.err}}})
	}
	found.b.host = host
	return found.b, nil
}

// answer is what came of asking one place.
type answer struct {
	place   string
	b       *BuildKit
	workers string
	err     error
}

// one asks one place who works there.
func one(ctx context.Context, place string, connect func(context.Context) (*BuildKit, error)) answer {
	b, err := connect(ctx)
	if err != nil {
		return answer{place: place, err: err}
	}
	workers, err := b.ListWorkers(ctx)
	if err != nil {
		b.Close()
		return answer{place: place, err: shorter(err)}
	}
	var ids []string
	for _, w := range workers {
		ids = append(ids, w.ID)
	}
	if b.Store != NoStore {
		b.Store = storeOf(workers)
	}
	return answer{place: place, b: b, workers: strings.Join(ids, " ")}
}

// storeOf tells the stores of Docker apart, as buildx does: the containerd store's worker names its snapshotter.
func storeOf(workers []*bkclient.WorkerInfo) Store {
	for _, w := range workers {
		if w.Labels["org.mobyproject.buildkit.worker.snapshotter"] != "" {
			return ContainerdStore
		}
	}
	return ClassicStore
}

// first takes the first answer and closes the others. A builder of buildx that is Docker's own is reached without buildx.
func first(found []answer, chosen bool) (*BuildKit, error) {
	if chosen && found[0].b == nil {
		for _, a := range found[1:] {
			if a.b != nil {
				a.b.Close()
			}
		}
		return nil, &NotFoundError{[]Attempt{{found[0].place, found[0].err}}}
	}
	if buildx, docker := found[0], found[1]; buildx.b != nil && docker.b != nil && buildx.workers == docker.workers {
		found[0].b = nil
		buildx.b.Close()
	}
	var taken *BuildKit
	failed := &NotFoundError{}
	for _, a := range found {
		switch {
		case a.err != nil:
			failed.Tried = append(failed.Tried, Attempt{a.place, a.err})
		case a.b != nil && taken == nil:
			taken = a.b
		case a.b != nil:
			a.b.Close()
		}
	}
	if taken == nil {
		return nil, failed
	}
	return taken, nil
}

func atAddress(ctx context.Context, address string) (*BuildKit, error) {
	c, err := bkclient.New(ctx, address)
	return &BuildKit{Client: c, Where: "BuildKit at " + address}, err
}

// byCommand speaks over the stdin and stdout of a command.
func byCommand(ctx context.Context, command []string) (*BuildKit, error) {
	dial := func(context.Context, string) (net.Conn, error) {
		return commandconn.New(context.WithoutCancel(ctx), command[0], command[1:]...)
	}
	c, err := bkclient.New(ctx, "", bkclient.WithContextDialer(dial))
	return &BuildKit{Client: c, Where: "the builder that docker buildx has chosen"}, err
}

// ofDocker speaks over connections that Docker's API gives away (POST /grpc and /session of the Engine API).
func ofDocker(ctx context.Context, host string) (*BuildKit, error) {
	api, err := engine(host)
	if err != nil {
		return nil, err
	}
	if _, err := api.Ping(ctx, client.PingOptions{NegotiateAPIVersion: true}); err != nil {
		return nil, err
	}
	grpc := func(context.Context, string) (net.Conn, error) {
		return api.DialHijack(context.WithoutCancel(ctx), "/grpc", "h2c", nil)
	}
	session := func(ctx context.Context, proto string, meta map[string][]string) (net.Conn, error) {
		return api.DialHijack(ctx, "/session", proto, meta)
	}
	c, err := bkclient.New(ctx, "", bkclient.WithContextDialer(grpc), bkclient.WithSessionDialer(session))
	return &BuildKit{Client: c, Where: "Docker at " + host, Store: ClassicStore}, err
}

func engine(host string) (*client.Client, error) { return client.New(client.WithHost(host)) }

// shorter keeps of an error of gRPC what a user can do something about.
func shorter(err error) error {
	text := err.Error()
	for _, intro := range []string{"connection error: desc = ", "error while dialing: ", "stderr="} {
		if _, rest, found := strings.Cut(text, intro); found {
			text = rest
		}
	}
	lines := slices.DeleteFunc(strings.Split(strings.Trim(text, `"`), `\n`), func(line string) bool { return strings.TrimSpace(line) == "" })
	words := strings.ReplaceAll(strings.Join(lines[:min(len(lines), 1)], " "), `\"`, `"`)
	if status.Code(err) == codes.DeadlineExceeded || errors.Is(err, context.DeadlineExceeded) {
		words = fmt.Sprintf("no answer within %v; 'docker buildx inspect --bootstrap' starts a builder that is down", findTimeout)
	}
	return &unreachable{cmp.Or(words, err.Error()), err}
}

type unreachable struct {
	words string
	err   error
}

func (e *unreachable) Error() string { return e.words }
func (e *unreachable) Unwrap() error { return e.err }
