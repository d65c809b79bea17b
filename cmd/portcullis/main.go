// Command portcullis reads a gateway's access log beside that gateway, flags
// clients that misbehave, has the gateway block or slow them, and watches the
// log to see that it does. This package wires the rooms together and is what a
// person types; everything else is in the rooms.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/portcullis/portcullis/internal/config"
)

// The exit statuses, part of the contract in docs/cli.md.
const (
	exitRan    = 0
	exitFailed = 1
	exitUsage  = 2
	exitFound  = 3 // audit: it ran, and found what it was told to fail on
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// run is main without the process: it parses, runs one command and returns the
// exit status.
func run(ctx context.Context, args []string, in io.Reader, out, errs io.Writer) int {
	app := &App{In: in, Out: out, Err: errs, Environ: os.Environ()}
	parsed, helped, err := parse(ctx, app, args)
	if helped {
		return exitRan
	}
	if err == nil {
		err = parsed.Run(app)
	}
	return report(errs, err)
}

// report prints an error, with what an operator can do about it, and returns the
// exit status.
func report(errs io.Writer, err error) int {
	var bad usageError
	var found foundError
	var problems config.Problems
	switch {
	case err == nil:
		return exitRan
	case errors.As(err, &problems):
		fmt.Fprintf(errs, "portcullis: the settings are wrong in %s:\n%v\n", plural(len(problems), "place"), problems)
	case errors.As(err, &bad):
		fmt.Fprintf(errs, "portcullis: %v\n", err)
		if bad.command != "" {
			fmt.Fprintf(errs, "see \"%s --help\"\n", bad.command)
		}
		return exitUsage
	case errors.As(err, &found):
		fmt.Fprintf(errs, "portcullis: %v\n", err)
		return exitFound
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(errs, "portcullis: interrupted")
	default:
		fmt.Fprintf(errs, "portcullis: %v\n", err)
	}
	return exitFailed
}

// usageError says that the command line is wrong: exit status 2.
type usageError struct {
	err     error
	command string // whose help to read
}

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

// usagef makes a usageError.
func usagef(format string, args ...any) error {
	return usageError{err: fmt.Errorf(format, args...)}
}

// plural writes a number with its noun.
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
