package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/fs"
	"github.com/tunesafe/tunesafe/internal/control"
	"github.com/tunesafe/tunesafe/internal/history"
	tsync "github.com/tunesafe/tunesafe/sync"
	"github.com/tunesafe/tunesafe/sync/past"
)

// recall gives the history with all that this home knows, after taking in what other
// devices wrote, where nothing serves the home.
func (o *owner) recall(ctx context.Context, progress func(control.PastProgress)) (*history.DB, error) {
	if err := o.learn(ctx, false); err != nil {
		return nil, err
	}
	return o.past.CatchUp(ctx, func(done, of int) {
		progress(control.PastProgress{Commits: done, TotalCommits: of})
	})
}

// viewAt is the drive as of a time.
func viewAt(db *history.DB, t time.Time) (*history.View, error) {
	v, err := db.AtTime(t)
	if errors.Is(err, history.ErrNotExist) {
		err = fmt.Errorf("%s: %w", t.Local().Format(time.DateTime), errNoSnapshot)
	}
	return v, err
}

func snapshotName(r history.Rev) string { return r.Time().Format(fs.SnapshotName) }

// Snapshots implements [control.Remembering].
func (o *owner) Snapshots(ctx context.Context, _ control.SnapshotsRequest, progress func(control.PastProgress)) (control.SnapshotsReport, error) {
	report := control.SnapshotsReport{Snapshots: []control.Snapshot{}}
	db, err := o.recall(ctx, progress)
	if err != nil {
		return report, err
	}
	all, err := db.Moments()
	for _, m := range all {
		report.Snapshots = append(report.Snapshots, control.Snapshot{Name: snapshotName(m.Rev), Time: m.Rev.Time(), Device: m.Rev.Device(),
			Added: m.Added, Changed: m.Changed, Removed: m.Removed, Names: m.Named + m.Unnamed})
	}
	return report, err
}

// History implements [control.Remembering].
func (o *owner) History(ctx context.Context, r control.HistoryRequest, progress func(control.PastProgress)) (control.HistoryReport, error) {
	report := control.HistoryReport{Versions: []control.HistoryVersion{}}
	db, err := o.recall(ctx, progress)
	if err != nil {
		return report, err
	}
	name := o.onDrive(string(r.Path))
	events, err := o.past.Story(ctx, db, name)
	if err == nil && len(events) == 0 && name != "/" {
		err = fmt.Errorf("%s: %w", name, errNeverThere)
	}
	for _, e := range events {
		v := control.HistoryVersion{Snapshot: snapshotName(e.Rev), Time: e.Rev.Time(), Device: e.Rev.Device(),
			Path: []byte(e.Path), Gone: e.Row == nil, Changes: e.Words}
		if e.Row != nil {
			v.Size = e.Row.Size
		}
		report.Versions = append(report.Versions, v)
	}
	return report, err
}

// Diff implements [control.Remembering].
func (o *owner) Diff(ctx context.Context, r control.DiffRequest, progress func(control.PastProgress)) (control.DiffReport, error) {
	report := control.DiffReport{Changes: []control.DiffChange{}}
	db, err := o.recall(ctx, progress)
	if err != nil {
		return report, err
	}
	a, err := viewAt(db, r.From)
	if err != nil {
		return report, err
	}
	b, err := viewAt(db, r.To)
	if err != nil {
		return report, err
	}
	var paths []string
	for _, p := range r.Paths {
		paths = append(paths, o.onDrive(string(p)))
	}
	changes, err := past.Diff(ctx, a, b, paths)
	for i := range changes {
		report.Changes = append(report.Changes, o.diffChange(ctx, &changes[i]))
	}
	return report, err
}

func (o *owner) diffChange(ctx context.Context, c *past.Change) control.DiffChange {
	d := control.DiffChange{Path: []byte(c.Path())}
	switch {
	case c.Before == nil:
		d.What, d.Dir = control.DiffAdded, c.After.Type == "dir"
	case c.After == nil:
		d.What, d.Dir = control.DiffRemoved, c.Before.Type == "dir"
	default:
		d.What, d.Dir = control.DiffChanged, c.After.Type == "dir"
		if c.Moved() {
			d.Was = []byte(c.Before.Path)
		}
		d.Changes = o.past.Words(ctx, &c.Before.Row, &c.After.Row)
	}
	return d
}

// sourceOf is the drive that a restore is from: as it is, or as it was.
func (o *owner) sourceOf(ctx context.Context, at *time.Time) (tsync.RestoreSource, error) {
	if at == nil {
		return tsync.Now(o.cache), nil
	}
	db, err := o.recall(ctx, func(control.PastProgress) {})
	if err != nil {
		return nil, err
	}
	v, err := viewAt(db, *at)
	return o.past.Tree(v), err
}

// findIn looks for a path to restore.
func findIn(from tsync.RestoreSource, name string, then bool) error {
	_, err := tsync.Resolve(from, name)
	if errors.Is(err, cache.ErrNotExist) || errors.Is(err, cache.ErrNotDir) {
		missing := errNotOnDrive
		if then {
			missing = errNotThen
		}
		err = fmt.Errorf("%s: %w", name, missing)
	}
	return err
}
