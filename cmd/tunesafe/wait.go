package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"github.com/tunesafe/tunesafe/internal/control"
)

var waitCommand = &command{
	name:    "wait",
	summary: "return when everything is safe",
	text: `Returns when everything on the drive is safe in the store: with 0 then, with 3
when the time is over before. Files that are closed are uploaded at once, without
the usual time of rest; a file that a program has open for writing is waited for.`,
	bind: bindWait,
}

func bindWait(f *pflag.FlagSet) action {
	timeout := f.Duration("timeout", 0, "give up after a `TIME` such as 10m (default never)")
	return func(ctx context.Context, e *env, args []string) error {
		if err := want(args, 0, 0, ""); err != nil {
			return err
		}
		if *timeout < 0 {
			return misuse("--timeout is negative")
		}
		for begun := time.Now(); ; time.Sleep(endingPause) {
			left := *timeout
			if left > 0 {
				left = max(left-time.Since(begun), time.Millisecond)
			}
			err := waitSafe(ctx, e, left)
			// The drive was unmounted meanwhile: once its process is gone, this one uploads the rest.
			if ended := errors.Is(err, control.ErrEnded) || errors.Is(err, control.ErrNoOwner); !ended || ctx.Err() != nil {
				return err
			}
		}
	}
}

// endingPause is between two looks for whether a process that ends is gone.
const endingPause = 50 * time.Millisecond

func waitSafe(ctx context.Context, e *env, timeout time.Duration) error {
	p := newProgress(e.stderr)
	return withOwner(ctx, e, func(o control.Owner) error {
		s, err := o.Wait(ctx, control.WaitRequest{Timeout: timeout}, p.uploading)
		p.clear()
		if err != nil {
			return err
		}
		fmt.Fprintf(e.stdout, "everything is %s: %s (%s)\n", s.SafeWord, count(s.SafeFiles, "file"), size(s.SafeBytes))
		return nil
	})
}
