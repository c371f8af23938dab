// Command tunesafe is a drive that is an encrypted backup of a music library in
// any S3 bucket.
//
// # Reading the source
//
// [commands] is the table of commands, one file each. A command that needs the
// drive asks for a [control.Owner] with withOwner: the process that serves the
// home now, or, if there is none, this process under the home's lock (owner.go,
// drive.go). mount.go starts the former in the background (background.go). What
// a mistake is called and what to do about it is the table in message.go. What
// is taken from the worker and the filesystem goes through adapt.go.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// Exit codes.
const (
	exitOK      = 0
	exitFailed  = 1
	exitUsage   = 2
	exitTimeout = 3 // of wait
	exitPartly  = 4 // of backup: something could not be read; of prune: not be deleted
	exitHeld    = 5 // of backup: something is held
	exitNeeds   = 6 // of status --check
	exitFound   = 7 // of check and log verify: the repository has problems
)

// run is the whole program.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	err := dispatch(ctx, args, stdin, stdout, stderr)
	return report(stderr, err)
}
