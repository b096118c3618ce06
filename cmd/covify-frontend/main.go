// Command covify-frontend is the BuildKit frontend image's only program: "# syntax=covify". The image's own root filesystem holds
// the payloads (hack/payloads), which a build copies from there.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/covify/covify/frontend"
	"github.com/covify/covify/plan"
	"github.com/covify/covify/wheel"
	"github.com/covify/covify/wheel/blobs"
	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/frontend/gateway/client"
	"github.com/moby/buildkit/frontend/gateway/grpcclient"
	"github.com/moby/buildkit/util/appcontext"
	_ "github.com/moby/buildkit/util/grpcutil/encoding/proto" // the daemon's encoding
)

var version = "(devel)" // set when linking

func main() {
	if err := grpcclient.RunFromEnvironment(appcontext.Context(), build); err != nil {
		fmt.Fprintln(os.Stderr, "covify-frontend:", err)
		os.Exit(1)
	}
}

func build(ctx context.Context, c client.Client) (*client.Result, error) {
	store := &blobs.Store{FS: os.DirFS("/")}
	f := frontend.Frontend{
		Version: version,
		Payloads: func(_ context.Context, t wheel.Target, coverage string) (*wheel.Payload, error) {
			return store.Payload(t, coverage)
		},
		Blobs: func(context.Context, client.Client, *plan.Plan) (*llb.State, error) { return ownImage(c) },
	}
	return f.Build(ctx, c)
}

// ownImage is the image that this program runs from, as the daemon knows it; nil where the daemon does not tell, as older ones.
func ownImage(c client.Client) (*llb.State, error) {
	known, ok := c.(interface{ CurrentFrontend() (*llb.State, error) })
	if !ok {
		return nil, nil
	}
	return known.CurrentFrontend()
}
