// Command covify-frontend is the BuildKit frontend image's only program: "# syntax=covify".
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/covify/covify/frontend"
	"github.com/covify/covify/plan"
	"github.com/covify/covify/wheel"
	"github.com/covify/covify/wheel/bundle"
	"github.com/covify/covify/wheel/fetch"
	"github.com/moby/buildkit/frontend/gateway/grpcclient"
	"github.com/moby/buildkit/util/appcontext"
	_ "github.com/moby/buildkit/util/grpcutil/encoding/proto" // the daemon's encoding
)

var version = "(devel)" // set when linking

func main() {
	wheels := &fetch.Source{Bundle: bundle.FS(), StartUp: plan.Startup(), Offline: true}
	f := frontend.Frontend{Version: version, Payloads: func(ctx context.Context, t wheel.Target, coverage string) (*wheel.Payload, error) {
		return wheels.Payload(ctx, t, coverage)
	}}
	if err := grpcclient.RunFromEnvironment(appcontext.Context(), f.Build); err != nil {
		fmt.Fprintln(os.Stderr, "covify-frontend:", err)
		os.Exit(1)
	}
}
