package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/pflag"

	"github.com/tunesafe/tunesafe/internal/control"
)

var restoreCommand = &command{
	name:    "restore",
	args:    "PATH… DEST",
	summary: "copy files and folders out of the backup, without mounting",
	text: `Copies what is at each PATH on the drive into the folder DEST, with times, modes
and extended attributes. PATH begins at the top of the drive; / is all of it.
Every byte is verified. DEST is made if it is missing, and nothing is written
outside it. A file of the same name in it is replaced, once its successor is whole.

With --at everything is as it was at that time, whatever became of it since.

` + timesHelp,
	bind: bindRestore,
}

func bindRestore(f *pflag.FlagSet) action {
	at := f.String("at", "", "as it was at a `TIME`")
	return func(ctx context.Context, e *env, args []string) error {
		if err := want(args, 2, -1, "PATH or DEST"); err != nil {
			return err
		}
		dest, err := resolve(args[len(args)-1])
		if err != nil {
			return err
		}
		if info, err := os.Stat(dest); err == nil && !info.IsDir() {
			return fmt.Errorf("%s %w", dest, errNotFolder)
		} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		r := control.RestoreRequest{Dest: []byte(dest)}
		if f.Changed("at") {
			t, err := parseTime(*at, time.Now(), false)
			if err != nil {
				return err
			}
			r.At = &t
		}
		for _, p := range args[:len(args)-1] {
			r.Paths = append(r.Paths, []byte(p))
		}
		return restore(ctx, e, r)
	}
}

func restore(ctx context.Context, e *env, r control.RestoreRequest) error {
	p := newProgress(e.stderr)
	return withOwner(ctx, e, func(o control.Owner) error {
		last, err := o.Restore(ctx, r, func(now control.RestoreProgress) { p.draw(restoreLine(now)) })
		p.clear()
		writeGaps(e.stderr, last.Gaps)
		if err != nil {
			return err
		}
		fmt.Fprintf(e.stdout, "restored %s (%s) to %s\n", count(last.Files, "file"), size(last.Bytes), r.Dest)
		return nil
	})
}

func restoreLine(p control.RestoreProgress) string {
	if p.TotalFiles == 0 {
		return fmt.Sprintf("restored %s (%s)", count(p.Files, "file"), size(p.Bytes))
	}
	return fmt.Sprintf("restored %d of %s (%s of %s)", p.Files, count(p.TotalFiles, "file"), size(p.Bytes), size(p.TotalBytes))
}
