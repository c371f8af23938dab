package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tunesafe/tunesafe/internal/control"
	"github.com/tunesafe/tunesafe/internal/health"
	"github.com/tunesafe/tunesafe/internal/home"
	"github.com/tunesafe/tunesafe/internal/repo"
	tsync "github.com/tunesafe/tunesafe/sync"
)

// repairOptions are the flags of repair.
type repairOptions struct {
	opener
	key    *secret // nil: the home's own
	store  bool
	all    bool // read all of it
	giveUp bool
	from   []string
}

// mending gives a request in the words of the worker. key is what opens the repository,
// nil for the home's own.
func (o *owner) mending(r control.RepairRequest, key *secret, progress func(control.RepairProgress)) (tsync.RepairOptions, error) {
	m := tsync.RepairOptions{Read: r.Read, GiveUp: r.GiveUp}
	own, err := o.ownRecovery()
	switch {
	case key != nil && key.identity != nil: // a passphrase opens what may be damaged itself
		m.Recovery = key.identity
	case err != nil:
		return m, err
	default:
		m.Recovery = own
	}
	for _, dir := range r.From {
		f, err := sourceAt(string(dir), o.config)
		if err != nil {
			return m, err
		}
		m.From = append(m.From, f)
	}
	m.Progress = func(objects, ofObjects, bytes, ofBytes int64) {
		progress(control.RepairProgress{CheckProgress: control.CheckProgress{Objects: objects, TotalObjects: ofObjects, Bytes: bytes, TotalBytes: ofBytes}})
	}
	db, err := o.healthDB()
	if err != nil {
		return m, err
	}
	bad, err := db.Bad()
	for _, b := range bad {
		m.Suspects = append(m.Suspects, b.Object)
	}
	return m, err
}

// sourceAt tells a home of the same repository from any other folder.
func sourceAt(dir string, c home.Config) (tsync.From, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return tsync.From{}, err
	}
	if info, err := os.Stat(dir); err != nil {
		return tsync.From{}, err
	} else if !info.IsDir() {
		return tsync.From{}, fmt.Errorf("%s %w", dir, errNotFolder)
	}
	f := tsync.From{Dir: dir}
	h := home.Home(dir)
	if other, err := h.Config(); err == nil && other.Repository == c.Repository {
		f.Contents, f.Packs, f.Kept = h.ContentDir(), h.PacksDir(), repo.OpenKept(h.KeptDir())
	}
	return f, nil
}

// Repair implements [control.Owner].
func (o *owner) Repair(ctx context.Context, r control.RepairRequest, progress func(control.RepairProgress)) (control.RepairReport, error) {
	return o.repairStore(ctx, r, nil, progress)
}

// repairStore mends the store, and the home on the way where nothing else uses it.
func (o *owner) repairStore(ctx context.Context, r control.RepairRequest, key *secret, progress func(control.RepairProgress)) (control.RepairReport, error) {
	report := control.RepairReport{DryRun: r.DryRun, Beside: o.serves, Put: []control.RepairedObject{}}
	switch {
	case o.config.ReadOnly && !r.DryRun:
		return report, errReadOnlyHome
	case o.serves && r.GiveUp:
		return report, errGiveUpBeside
	}
	if err := o.learnToRepair(ctx, r.DryRun); err != nil {
		return report, err
	}
	o.repairing.Lock()
	defer o.repairing.Unlock()
	m, err := o.mending(r, key, progress)
	if err != nil {
		return report, err
	}
	verified, done, err := o.noteReadings(r.Read)
	if err != nil {
		return report, err
	}
	m.Verified = verified
	var did tsync.Repaired
	switch {
	case r.DryRun:
		did, err = o.worker.Foresee(ctx, m)
	case o.serves:
		did, err = o.worker.MendBeside(ctx, m)
	default:
		did, err = o.mendAlone(ctx, m, &report)
	}
	for _, put := range did.Mended {
		p := control.RepairedObject{Object: put.Object, How: put.How}
		report.Put = append(report.Put, p)
		progress(control.RepairProgress{Put: &p})
	}
	for _, f := range did.Left {
		report.Left = append(report.Left, control.Finding{Kind: string(f.Kind), Object: f.Object, Text: oneLine(f.Problem), FileCount: int64(len(f.Inodes))})
	}
	if err := errors.Join(err, done(err == nil)); err != nil {
		return report, err
	}
	if !r.DryRun {
		if err := o.readBadAgain(ctx, m.Suspects, did); err != nil {
			return report, err
		}
	}
	return report, o.lost(ctx, did, &report)
}

// learnToRepair makes sure that there is something to compare the store with.
func (o *owner) learnToRepair(ctx context.Context, dry bool) error {
	if o.serves || dry {
		return o.learn(ctx, false)
	}
	return nil // on the way, as what keeps it from that may be what is to be mended
}

// mendAlone mends where this process alone has the home.
func (o *owner) mendAlone(ctx context.Context, m tsync.RepairOptions, report *control.RepairReport) (tsync.Repaired, error) {
	done, err := o.worker.MendLog(ctx, m)
	if err != nil {
		return done, err
	}
	tell := func(format string, args ...any) { report.Notes = append(report.Notes, fmt.Sprintf(format, args...)) }
	if err := o.repairHome(ctx, tell); err != nil {
		return done, err
	}
	if m.GiveUp {
		if err := o.rebuild(ctx, tell); err != nil {
			return done, err
		}
	}
	if done.GaveUp {
		if err := o.rescue(ctx, tell); err != nil {
			return done, err
		}
	}
	if err := o.sayAgain(ctx); err != nil {
		return done, err
	}
	objects, err := o.worker.Mend(ctx, m)
	objects.Mended = append(done.Mended, objects.Mended...)
	if err == nil {
		objects.Left = append(done.Left, objects.Left...)
	}
	return objects, err
}

// readBadAgain reads what was known to be damaged, and what was put right, so that what
// is known of their health is true again.
func (o *owner) readBadAgain(ctx context.Context, suspects []string, did tsync.Repaired) error {
	db, err := o.healthDB()
	if err != nil {
		return err
	}
	for _, put := range did.Mended {
		if _, placed, err := o.index.Object(put.Object); err == nil && placed {
			suspects = append(suspects, put.Object)
		}
	}
	slices.Sort(suspects)
	for _, name := range slices.Compact(suspects) {
		if !strings.HasPrefix(name, "audio/") && !strings.HasPrefix(name, "meta/") {
			continue
		}
		used, err := repo.VerifyObject(ctx, o.counted, o.keys, o.index, name)
		switch {
		case err != nil && !repo.IsFinding(err):
			return err
		case !used:
			err = db.Forget(name)
		default:
			err = db.Add(health.Found{Object: name, Reading: health.Reading{Time: time.Now(), Result: health.ResultOf(err)}, Err: err})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// repairFromHere has the owner of the home mend the store, and prints what it did.
func repairFromHere(ctx context.Context, e *env, o repairOptions, repair func(context.Context, control.RepairRequest, func(control.RepairProgress)) (control.RepairReport, error)) error {
	r := control.RepairRequest{Read: o.all, GiveUp: o.giveUp}
	for _, dir := range o.from {
		abs, err := filepath.Abs(dir)
		if err != nil {
			return err
		}
		r.From = append(r.From, []byte(abs))
	}
	p := newProgress(e.stderr)
	report, err := repair(ctx, r, func(now control.RepairProgress) {
		if now.Put == nil {
			p.draw("read " + strings.TrimPrefix(checkLine(now.CheckProgress), "checked "))
			return
		}
		p.clear()
		fmt.Fprintf(e.stdout, "put right: %s: %s\n", now.Put.Object, now.Put.How)
	})
	p.clear()
	for _, note := range report.Notes {
		fmt.Fprintln(e.stdout, note)
	}
	writeLost(e.stdout, e.home, report)
	for _, f := range report.Left {
		fmt.Fprintf(e.stdout, "problem: %s: %s\n", f.Object, f.Text)
	}
	if err != nil {
		return err
	}
	if !report.Whole() {
		return fmt.Errorf("%w: %s of which bytes are lost, %s", errUnrepaired,
			count(int64(len(report.Lost)), "file"), count(int64(len(report.Left)), "problem"))
	}
	fmt.Fprintf(e.stdout, "the store is in order: %s put right\n", count(int64(len(report.Put)), "object"))
	return nil
}

// rebuild takes in what the packs of checkpoints tell beyond the log.
func (d *drive) rebuild(ctx context.Context, tell func(string, ...any)) error {
	return d.settled(ctx, func(ctx context.Context) error {
		files, err := d.worker.Rebuild(ctx)
		if files > 0 {
			tell("rebuilt from the packs of a checkpoint whose commit is lost: %s", count(int64(files), "file"))
		}
		return err
	})
}

// rescue shows what the commits that were given up hide.
func (d *drive) rescue(ctx context.Context, tell func(string, ...any)) error {
	found, names, err := d.worker.Rescue(ctx)
	for _, name := range found {
		tell("found, though the commit that placed it is lost: /%s", oneLine(name))
	}
	for _, name := range names {
		tell("lost: /%s: the commit that told what it was", oneLine(name))
	}
	return err
}

// sayAgain has the log say again what lost commits said.
func (d *drive) sayAgain(ctx context.Context) error {
	return d.settled(ctx, func(ctx context.Context) error {
		_, err := d.worker.SayAgain(ctx)
		return err
	})
}

// settled does what can be done only when nothing waits: what does is uploaded before.
func (d *drive) settled(ctx context.Context, do func(context.Context) error) error {
	err := do(ctx)
	if !errors.Is(err, tsync.ErrWaiting) {
		return err
	}
	o := &owner{drive: d}
	stop := o.work(ctx)
	err = d.worker.Wait(ctx)
	stop()
	if err != nil {
		return timedOut(err)
	}
	return do(ctx)
}
