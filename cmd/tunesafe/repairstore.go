package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"os"
	"path/filepath"

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

// mending gives the options in the words of the worker.
func (d *drive) mending(o repairOptions, progress *progress) (tsync.RepairOptions, error) {
	m := tsync.RepairOptions{Read: o.all, GiveUp: o.giveUp}
	own, err := d.home.RecoveryKey()
	switch {
	case o.key != nil && o.key.identity != nil: // a passphrase opens what may be damaged itself
		m.Recovery = o.key.identity
	case err == nil:
		m.Recovery = own
	case !errors.Is(err, iofs.ErrNotExist):
		return m, err
	}
	for _, dir := range o.from {
		f, err := sourceAt(dir, d.config)
		if err != nil {
			return m, err
		}
		m.From = append(m.From, f)
	}
	m.Progress = func(objects, ofObjects, bytes, ofBytes int64) {
		progress.draw(fmt.Sprintf("read %d of %s (%s of %s)", objects, count(ofObjects, "object"), size(bytes), size(ofBytes)))
	}
	return m, nil
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

// repairStore mends the store, and the home on the way.
func (d *drive) repairStore(ctx context.Context, e *env, o repairOptions) error {
	p := newProgress(e.stderr)
	defer p.clear()
	m, err := d.mending(o, p)
	if err != nil {
		return err
	}
	done, err := d.worker.MendLog(ctx, m)
	writeMended(e.stdout, done.Mended)
	if err != nil {
		return err
	}
	if err := d.repair(ctx, e); err != nil {
		writeLeft(e.stdout, done)
		return err
	}
	if o.giveUp {
		if err := d.rebuild(ctx, e.stdout); err != nil {
			return err
		}
	}
	if done.GaveUp {
		if err := d.rescue(ctx, e.stdout); err != nil {
			return err
		}
	}
	if err := d.sayAgain(ctx); err != nil {
		return err
	}
	objects, err := d.worker.Mend(ctx, m)
	p.clear()
	writeMended(e.stdout, objects.Mended)
	if err != nil {
		return err
	}
	objects.Left = append(done.Left, objects.Left...)
	mended := len(done.Mended) + len(objects.Mended)
	if err := d.writeLost(ctx, e, objects); err != nil {
		return err
	}
	writeLeft(e.stdout, objects)
	if len(objects.Lost)+len(objects.Left) > 0 {
		return fmt.Errorf("%w: %s of which bytes are lost, %s", errUnrepaired,
			count(int64(len(objects.Lost)), "file"), count(int64(len(objects.Left)), "problem"))
	}
	fmt.Fprintf(e.stdout, "the store is in order: %s put right\n", count(int64(mended), "object"))
	return nil
}

// rebuild takes in what the packs of checkpoints tell beyond the log.
func (d *drive) rebuild(ctx context.Context, w io.Writer) error {
	return d.settled(ctx, func(ctx context.Context) error {
		files, err := d.worker.Rebuild(ctx)
		if files > 0 {
			fmt.Fprintf(w, "rebuilt from the packs of a checkpoint whose commit is lost: %s\n", count(int64(files), "file"))
		}
		return err
	})
}

// rescue shows what the commits that were given up hide.
func (d *drive) rescue(ctx context.Context, w io.Writer) error {
	found, names, err := d.worker.Rescue(ctx)
	for _, name := range found {
		fmt.Fprintf(w, "found, though the commit that placed it is lost: /%s\n", oneLine(name))
	}
	for _, name := range names {
		fmt.Fprintf(w, "lost: /%s: the commit that told what it was\n", oneLine(name))
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

func writeMended(w io.Writer, all []tsync.Mended) {
	for _, m := range all {
		fmt.Fprintf(w, "put right: %s: %s\n", m.Object, m.How)
	}
}

// writeLeft names what is not put right.
func writeLeft(w io.Writer, done tsync.Repaired) {
	for _, f := range done.Left {
		fmt.Fprintf(w, "problem: %s: %s\n", f.Object, oneLine(f.Problem))
	}
}
