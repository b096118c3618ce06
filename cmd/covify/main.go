// Command covify turns container images into variants that measure their own Python coverage, runs them, and reports.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the whole program but for the process around it; it returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRootCmd()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	code := exitCode(err)
	if interrupted := ctx.Err() != nil && errors.Is(err, context.Canceled); interrupted {
		fmt.Fprintln(stderr, "covify: interrupted")
		return exitInterrupted
	}
	if message := err.Error(); message != "" {
		fmt.Fprintf(stderr, "covify: %s\n", message)
	}
	var hinted interface{ Hint() string }
	if errors.As(err, &hinted) && hinted.Hint() != "" {
		fmt.Fprintf(stderr, "covify: hint: %s\n", hinted.Hint())
	}
	return code
}
