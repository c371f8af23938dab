package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/control"
	"github.com/tunesafe/tunesafe/internal/history"
	"github.com/tunesafe/tunesafe/internal/repo"
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

func snapshotName(r history.Rev) string { return control.SnapshotName(r.Time()) }

// Snapshots implements [control.Remembering].
func (o *owner) Snapshots(ctx context.Context, _ control.SnapshotsRequest, progress func(control.PastProgress)) (control.SnapshotsReport, error) {
	report := control.SnapshotsReport{Snapshots: []control.Snapshot{}}
	db, err := o.recall(ctx, progress)
	if err != nil {
		return report, err
	}
	all, err := db.Moments()
	for _, m := range all {
		report.Snapshots = append(report.Snapshots, control.Snapshot{Name: snapshotName(m.Rev), Time: m.Rev.Time(), Device: m.Rev.Device(), DeviceName: o.deviceName(ctx, m.Rev.Device()),
			Added: m.Added, Changed: m.Changed, Removed: m.Removed, Names: m.Named + m.Unnamed})
	}
	if err == nil {
		report.Gaps, err = o.gaps(ctx, db)
	}
	return report, err
}

// gaps tells which commits are lost: with times, those only by which the moments of
// these may lack something.
func (o *owner) gaps(ctx context.Context, db *history.DB, times ...time.Time) (out []control.PastGap, err error) {
	all, err := db.Gaps()
	if err != nil || len(all) == 0 {
		return nil, err
	}
	for _, g := range all {
		if len(times) > 0 && !slices.ContainsFunc(times, g.Holds) {
			continue
		}
		p := control.PastGap{Device: g.Device, Name: o.deviceName(ctx, g.Device), First: g.First, Last: g.Last}
		if !g.After.IsZero() {
			p.After = &g.After
		}
		if !g.Until.IsZero() {
			p.Until = &g.Until
		}
		out = append(out, p)
	}
	return out, nil
}

// names are what the devices are called by their owner.
type names struct {
	mu    sync.Mutex
	known map[string]string
	asked time.Time // the store, last
}

// namesPause is between looks for names that are not known.
const namesPause = time.Minute

// deviceName gives the name of a device; empty if that is not known. The store is asked
// for those of others once, and again for one that came since.
func (d *drive) deviceName(ctx context.Context, id string) string {
	if id == d.device.ID {
		return d.device.Name
	}
	d.names.mu.Lock()
	defer d.names.mu.Unlock()
	if name, ok := d.names.known[id]; ok || time.Since(d.names.asked) < namesPause {
		return name
	}
	d.names.asked = time.Now()
	certs, _, err := repo.Devices(ctx, d.counted, d.keys)
	if err != nil {
		return "" // it goes without
	}
	d.names.known = map[string]string{}
	for id, c := range certs {
		d.names.known[id] = c.Name
	}
	return d.names.known[id]
}

// writeGaps says that the past lacks something.
func writeGaps(w io.Writer, gaps []control.PastGap) {
	for _, g := range gaps {
		which := fmt.Sprintf("commit %d", g.First)
		if g.Last > g.First {
			which = fmt.Sprintf("commits %d to %d", g.First, g.Last)
		}
		when := "from the beginning"
		if g.After != nil {
			when = "from " + g.After.Local().Format(time.DateTime)
		}
		if g.Until != nil {
			when += " to " + g.Until.Local().Format(time.DateTime)
		} else {
			when += " on"
		}
		fmt.Fprintf(w, "note: %s of device %s: lost; %s the past may lack what they said\n", which, cmp.Or(g.Name, g.Device), when)
	}
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
		v := control.HistoryVersion{Snapshot: snapshotName(e.Rev), Time: e.Rev.Time(), Device: e.Rev.Device(), DeviceName: o.deviceName(ctx, e.Rev.Device()),
			Path: []byte(e.Path), Gone: e.Row == nil, Changes: e.Words}
		if e.Row != nil {
			v.Size = e.Row.Size
		}
		report.Versions = append(report.Versions, v)
	}
	if err == nil {
		report.Gaps, err = o.gaps(ctx, db)
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
	a := db.At(history.Rev{})
	if !r.From.IsZero() {
		if a, err = viewAt(db, r.From); err != nil {
			return report, err
		}
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
		report.Changes = append(report.Changes, o.diffChange(ctx, &changes[i], r.Brief))
	}
	if err == nil {
		report.Gaps, err = o.gaps(ctx, db, r.From, r.To)
	}
	return report, err
}

func (o *owner) diffChange(ctx context.Context, c *past.Change, brief bool) control.DiffChange {
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
		if !brief {
			d.Changes = o.past.Words(ctx, &c.Before.Row, &c.After.Row)
			if c.Before.In != c.After.In && !c.Moved() {
				d.Changes = append(d.Changes, "in another folder of that name")
			}
		}
	}
	return d
}

// sourceOf is the drive that a restore is from: as it is, or as it was, as far as lost
// commits do not hide it.
func (o *owner) sourceOf(ctx context.Context, at *time.Time) (tsync.RestoreSource, []control.PastGap, error) {
	if at == nil {
		return tsync.Now(o.cache), nil, nil
	}
	db, err := o.recall(ctx, func(control.PastProgress) {})
	if err != nil {
		return nil, nil, err
	}
	gaps, err := o.gaps(ctx, db, *at)
	if err != nil {
		return nil, nil, err
	}
	v, err := viewAt(db, *at)
	return o.past.Tree(v), gaps, err
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
