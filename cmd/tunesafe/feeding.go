package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/control"
	"github.com/tunesafe/tunesafe/internal/health"
	"github.com/tunesafe/tunesafe/sync/feed"
	"github.com/tunesafe/tunesafe/sync/library"
)

// This file is where an owner backs up folders.

// Backup implements [control.Owner]. One backup runs at a time.
func (o *owner) Backup(ctx context.Context, r control.BackupRequest, progress func(control.BackupProgress)) (report control.BackupReport, err error) {
	o.feeding.Lock()
	defer o.feeding.Unlock()
	report.SafeWord = o.safeWord()
	if o.config.ReadOnly {
		return report, errReadOnlyHome
	}
	if err := o.learn(ctx, false); err != nil {
		return report, err
	}
	places, err := o.attach(r)
	if err != nil {
		return report, err
	}
	before := o.worker.Uploaded()
	for _, p := range places {
		place := o.feed(ctx, p, r.DryRun, progress)
		if r.ReadAgain > 0 && !r.DryRun && place.Fault == nil {
			place = o.readAgain(ctx, p, r.ReadAgain, place, progress)
		}
		report.Places = append(report.Places, place)
		if err := ctx.Err(); err != nil {
			return report, err
		}
	}
	report.Waiting = true
	if !r.DryRun && !r.NoWait {
		err = o.untilFed(ctx, &report, progress)
	}
	report.Uploaded = o.worker.Uploaded() - before
	if err == nil && !r.DryRun && !r.NoWait && !o.serves { // else the agent does
		err = o.keepLocked(ctx)
	}
	return report, err
}

// attach finds the places that a request is about, and makes those that are new.
func (o *owner) attach(r control.BackupRequest) ([]cache.Place, error) {
	if len(r.Dirs) == 0 {
		all, err := o.cache.Places()
		if err == nil && len(all) == 0 {
			err = errNoPlaces
		}
		return all, err
	}
	var places []cache.Place
	for _, dir := range r.Dirs {
		if err := o.mayFeed(string(dir)); err != nil {
			return nil, err
		}
	}
	for _, dir := range r.Dirs {
		attach := feed.Attach
		if r.DryRun {
			attach = feed.Plan
		}
		p, err := attach(o.cache, feed.Settings{
			Name: string(r.As), Root: string(dir), Exclude: r.Exclude, CrossDevice: r.CrossDevice, TakeOver: r.TakeOver,
		})
		if err != nil {
			return nil, err
		}
		places = append(places, p)
	}
	return places, nil
}

// mayFeed refuses folders that are the program's own.
func (o *owner) mayFeed(dir string) error {
	switch {
	case o.onMount(dir):
		return fmt.Errorf("%s %w", dir, errOwnDrive)
	case within(dir, string(o.home)):
		return fmt.Errorf("%s %w", dir, errInHome)
	case o.config.Store.Local() && within(dir, o.config.Store.Dir):
		return fmt.Errorf("%s %w", dir, errOwnStore)
	}
	return nil
}

// avoided lists what no backup looks at. This process must not touch its own
// mount: it would wait for itself.
func (o *owner) avoided() []string {
	list := []string{string(o.home)}
	if real, err := filepath.EvalSymlinks(string(o.home)); err == nil {
		list = append(list, real)
	}
	if o.config.Store.Local() {
		list = append(list, o.config.Store.Dir)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.mounted != nil {
		list = append(list, o.mounted.Dir())
	}
	return append(list, drivesMounted()...)
}

// feed brings one place up to date.
func (o *owner) feed(ctx context.Context, p cache.Place, dryRun bool, progress func(control.BackupProgress)) control.PlaceReport {
	r, err := feed.Run(ctx, feed.Options{
		Cache: o.cache, Keys: o.keys, Place: p.Name, Plan: &p, Avoid: o.avoided(), Limits: o.limits(), DryRun: dryRun, Log: o.log,
		Progress: func(f feed.Progress) { progress(feedProgress(p, f)) },
	})
	report := placeReport(p, r)
	if err == nil && !dryRun {
		report.Libraries, err = o.readLibraries(ctx, p, r)
	}
	if err != nil {
		report.Fault = explain(err)
	}
	return report
}

// readAgain reads a part of a folder again, behind a backup of it. What differs from
// the backup is held by another look.
func (o *owner) readAgain(ctx context.Context, p cache.Place, part int, report control.PlaceReport, progress func(control.BackupProgress)) control.PlaceReport {
	db, err := o.healthDB()
	if err != nil {
		report.Fault = explain(err)
		return report
	}
	progress(control.BackupProgress{Place: []byte(p.Name), Phase: "reading again"})
	run := health.Run{Kind: health.Folders, Began: time.Now()}
	r, err := feed.ReadAgain(ctx, feed.Options{Cache: o.cache, Keys: o.keys, Place: p.Name, Avoid: o.avoided(), Log: o.log}, db, part)
	run.Ended, run.Whole, run.Files, run.Bytes, run.Bad = time.Now(), err == nil, r.Files, r.Bytes, r.Suspects
	if err = errors.Join(err, db.Ran(run)); err != nil {
		report.Fault = explain(err)
	}
	report.ReadAgain = &control.ReadAgain{Files: r.Files, Bytes: r.Bytes, Suspects: r.Suspects}
	if r.Suspects > 0 {
		return o.feed(ctx, p, false, progress).After(report)
	}
	return report
}

// readLibraries looks at the libraries of iTunes that lie in a place, and brings
// their playlists up to date.
func (o *owner) readLibraries(ctx context.Context, p cache.Place, r feed.Report) (list []control.PictureLibrary, err error) {
	known, err := library.Update(ctx, o.cache, p, r.New+r.Changed+r.Moved+r.Gone > 0)
	for _, l := range known {
		list = append(list, libraryPicture(l))
	}
	return list, err
}

// limits are those of the home's configuration, or the usual ones.
func (o *owner) limits() feed.Limits {
	l := feed.DefaultLimits
	b := o.config.Brake
	for _, set := range []struct {
		to *int
		n  int
	}{{&l.GoneFiles, b.GoneFiles}, {&l.Emptied, b.Emptied}, {&l.Rotten, b.Rotten}, {&l.Unreadable, b.Unreadable}} {
		if set.n > 0 {
			*set.to = set.n
		}
	}
	if b.GoneShare > 0 {
		l.GoneShare = b.GoneShare
	}
	return l
}

// untilFed returns when everything is safe. Files that proved to be other than
// they were when they were taken in are looked at again.
func (o *owner) untilFed(ctx context.Context, report *control.BackupReport, progress func(control.BackupProgress)) error {
	for range staleTries {
		if err := o.untilSafe(ctx, progress); err != nil {
			return err
		}
		if len(o.cache.Stale()) == 0 {
			break
		}
		for i, was := range report.Places {
			if was.Fault != nil {
				continue
			}
			p, err := feed.Find(o.cache, string(was.Name))
			if err != nil {
				return err
			}
			report.Places[i] = o.feed(ctx, p, false, progress).After(was)
		}
	}
	report.Waiting = false
	return o.noteStale(report)
}

// staleTries is how often files are looked at again that change while they are read.
const staleTries = 3

// untilSafe returns when nothing waits. Without an owner this process uploads, and
// asks the store nothing if there is nothing to upload.
func (o *owner) untilSafe(ctx context.Context, progress func(control.BackupProgress)) error {
	if idle, err := o.cache.Idle(); err != nil || idle {
		return err
	}
	if o.agent != nil { // who asks for a backup wants it now, whatever the hour
		if err := o.agent.Hurry(); err != nil {
			return err
		}
	}
	_, err := o.Wait(ctx, control.WaitRequest{}, func(s control.Status) { progress(control.BackupProgress{Upload: &s}) })
	return err
}

// noteStale names the files that changed each time they were read.
func (o *owner) noteStale(report *control.BackupReport) error {
	stale := o.cache.Stale()
	if len(stale) == 0 || len(report.Places) == 0 {
		return nil
	}
	paths, err := o.cache.Paths(stale)
	for _, ino := range stale {
		for i := range report.Places {
			p := &report.Places[i]
			if rel, ok := below(paths[ino], string(p.Name)); ok {
				p.Busy = append(p.Busy, []byte(rel))
			}
		}
	}
	return err
}

// Detach implements [control.Owner].
func (o *owner) Detach(ctx context.Context, r control.DetachRequest) error {
	o.feeding.Lock()
	defer o.feeding.Unlock()
	if o.config.ReadOnly {
		return errReadOnlyHome
	}
	if err := o.learn(ctx, false); err != nil {
		return err
	}
	p, err := feed.Find(o.cache, string(r.Name))
	if err != nil {
		return err
	}
	return o.cache.Detach(p.Dir)
}

// Decide implements [control.Owner].
func (o *owner) Decide(ctx context.Context, r control.DecideRequest) (report control.DecideReport, err error) {
	o.feeding.Lock()
	defer o.feeding.Unlock()
	if err := o.learn(ctx, false); err != nil {
		return report, err
	}
	places, err := o.cache.Places()
	if len(r.Name) > 0 {
		var p cache.Place
		p, err = feed.Find(o.cache, string(r.Name))
		places = []cache.Place{p}
	}
	if err != nil {
		return report, err
	}
	d := feed.Rejected
	if r.Approve {
		d = feed.Approved
	}
	for _, p := range places {
		held, err := feed.Decide(o.cache, p, d)
		if err != nil {
			return report, err
		}
		report.Held = append(report.Held, heldWords(p, held)...)
	}
	if len(report.Held) == 0 {
		return report, errNothingHeld
	}
	if o.plan.Load() != nil && r.Approve {
		o.agent.Rescan(nil)
	}
	return report, nil
}

// places tells of each place for the status.
func (d *drive) places() (list []control.PlaceStatus) {
	all, err := d.cache.Places()
	for _, p := range all {
		held, last, e := feed.State(d.cache, p)
		err = errors.Join(err, e)
		s := control.PlaceStatus{Name: []byte(p.Name), Root: []byte(p.Root), Held: heldWords(p, held)}
		if !last.IsZero() {
			s.LastRun = &last
		}
		list = append(list, s)
	}
	if err != nil {
		d.log.Error("places", "err", err)
	}
	return list
}
