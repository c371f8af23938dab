package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"github.com/tunesafe/tunesafe/internal/control"
)

var unmountCommand = &command{
	name:    "unmount",
	args:    "DIR",
	summary: "take the drive away from a folder",
	text: `Unmounts the drive and says what is still waiting to be uploaded. That is kept,
and goes up at the next mount. With --wait everything is uploaded first.`,
	bind: bindUnmount,
}

// endPatience is how long unmount waits for the process to end.
const endPatience = 30 * time.Second

func bindUnmount(f *pflag.FlagSet) action {
	wait := f.Bool("wait", false, "until everything is safe, first")
	return func(ctx context.Context, e *env, args []string) error {
		if err := want(args, 1, 1, "DIR"); err != nil {
			return err
		}
		path, err := resolve(args[0])
		if err != nil {
			return err
		}
		return unmount(ctx, e, path, *wait)
	}
}

func unmount(ctx context.Context, e *env, path string, wait bool) error {
	if stale(path) { // its process was killed: nobody is left to ask
		if err := clearStale(path); err != nil {
			return err
		}
		fmt.Fprintf(e.stdout, "took away what a killed process left at %s\n", path)
		return nil
	}
	if err := e.home.Check(); err != nil {
		return err
	}
	client, err := control.Dial(ctx, e.home.RunDir())
	if errors.Is(err, control.ErrNoOwner) {
		return fmt.Errorf("%s: %w", path, errNotMounted)
	}
	if err != nil {
		return err
	}
	p := newProgress(e.stderr)
	s, err := client.Unmount(ctx, control.UnmountRequest{Dir: []byte(path), Wait: wait}, p.uploading)
	p.clear()
	if err != nil {
		return err
	}
	fmt.Fprintln(e.stdout, farewellText(s))
	if s.Agent == nil || !s.Agent.Runs { // an agent stays
		waitGone(ctx, e.home, endPatience)
	}
	return nil
}
