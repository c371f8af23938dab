package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"github.com/tunesafe/tunesafe/internal/control"
	"github.com/tunesafe/tunesafe/internal/history"
	"github.com/tunesafe/tunesafe/sync/past"
)

var undoCommand = &command{
	name:    "undo",
	args:    "[PATH…]",
	summary: "take back what was changed on the drive",
	text: `Takes back the last change at or below each PATH: of a track, or of a folder with all that
was changed in it by one commit. With --since everything that was changed since a time is taken
back, at and below each PATH, or on the whole drive. --dry-run says what would be done.

It is itself a new version, so it can be undone, and nothing of the history goes. No audio
is sent or fetched for it. In the place of a folder that is backed up nothing can be undone, as its
next backup would bring back what the folder has; restore --at serves there.

` + timesHelp,
	bind: bindUndo,
}

func bindUndo(f *pflag.FlagSet) action {
	since := f.String("since", "", "take back all changes since a `TIME`")
	dry := f.Bool("dry-run", false, "say what would be done, and do nothing")
	asJSON := f.Bool("json", false, "print one JSON object")
	return func(ctx context.Context, e *env, args []string) error {
		r := control.UndoRequest{DryRun: *dry}
		if f.Changed("since") {
			t, err := parseBefore(*since, time.Now())
			if err != nil {
				return err
			}
			r.Since = &t
		} else if err := want(args, 1, -1, "PATH or --since"); err != nil {
			return err
		}
		for _, p := range args {
			r.Paths = append(r.Paths, []byte(p))
		}
		return undo(ctx, e, r, *asJSON)
	}
}

func undo(ctx context.Context, e *env, r control.UndoRequest, asJSON bool) error {
	p := newProgress(e.stderr)
	return withOwner(ctx, e, func(o control.Owner) error {
		report, err := o.Undo(ctx, r, p.past)
		p.clear()
		if err != nil {
			return err
		}
		if asJSON {
			return printJSON(e.stdout, report)
		}
		writeDiff(e.stdout, control.DiffReport{Changes: report.Changes})
		if !r.DryRun && report.Done > 0 {
			fmt.Fprintf(e.stdout, "undone: %s; it is a new version, and can be undone\n", count(int64(report.Done), "change"))
		}
		return nil
	})
}

// Undo implements [control.Remembering]. Without an owner this process uploads what came
// of it.
func (o *owner) Undo(ctx context.Context, r control.UndoRequest, progress func(control.PastProgress)) (control.UndoReport, error) {
	report := control.UndoReport{Changes: []control.DiffChange{}}
	db, err := o.recall(ctx, progress)
	if err != nil {
		return report, err
	}
	changes, err := o.undoing(ctx, db, r)
	for i := range changes {
		report.Changes = append(report.Changes, o.diffChange(ctx, &changes[i], r.Brief))
	}
	if err != nil || len(changes) == 0 {
		return report, err
	}
	if r.DryRun {
		return report, o.past.MayUndo(o.cache, changes)
	}
	err = o.worker.Apart(ctx, func() (err error) {
		report.Done, err = o.past.Undo(ctx, o.cache, changes)
		return err
	})
	if err != nil || o.serves {
		return report, err
	}
	_, err = o.Wait(ctx, control.WaitRequest{}, func(control.Status) {})
	return report, err
}

// undoing lists what is to be changed.
func (o *owner) undoing(ctx context.Context, db *history.DB, r control.UndoRequest) ([]past.Change, error) {
	var paths []string
	for _, p := range r.Paths {
		paths = append(paths, o.onDrive(string(p)))
	}
	if r.Since != nil {
		if _, err := viewAt(db, *r.Since); err != nil {
			return nil, err
		}
		return past.Undoing(ctx, db.At(history.After(*r.Since)), paths) // lost commits may lie behind the moment before
	}
	if len(paths) != 1 {
		return nil, misuse("the last change of one PATH is taken back at a time; --since takes several, or none for all")
	}
	then, err := past.LastChange(ctx, db, paths[0])
	if err != nil {
		return nil, err
	}
	return past.Undoing(ctx, then, paths)
}
