package sync

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/crashpoint"
	"github.com/tunesafe/tunesafe/internal/repo"
)

// Pulled says what a Pull took in.
type Pulled struct {
	Copied       bool     // this home proved to be a copy, and is a new device now
	Beside       []string // names given to files that changed both here and there
	Commits      int
	Inodes       int       // rows of inodes
	Newest       time.Time // of the newest commit taken in
	OtherDevices []string  // names of other devices that committed within the last day
}

// absorbAtOnce is how many rows are taken in with one transaction.
const absorbAtOnce = 4000

// placesAtOnce is how many blobs of objects are.
const placesAtOnce = 60_000

// Pull takes in the commits of the bucket that this home does not know: at a
// cold start all of them, behind the newest checkpoint, later those of other
// devices. It must run before the drive is mounted and before Run.
func (w *Worker) Pull(ctx context.Context) (Pulled, error) {
	p := puller{w: w}
	err := p.pull(ctx)
	return p.Pulled, err
}

type puller struct {
	Pulled
	w     *Worker
	st    *early
	certs map[string]repo.Certificate
	rows  []cache.Row
	names []cache.NameRow
	other map[string]bool
	lost  []string // commits that need not be in the bucket
}

func (p *puller) pull(ctx context.Context) error {
	w := p.w
	// A commit of ours on its way is no news: its rows are those of this home.
	// One that a copy of this home forestalled is given up by settle.
	if err := w.resend(ctx); err != nil && !errors.Is(err, ErrCloned) {
		return err
	}
	heads, err := w.o.Index.Heads()
	if err != nil {
		return err
	}
	// A first taking-in that was interrupted begins again: rows of a checkpoint
	// may be missing that no later commit repeats.
	begun, err := w.cache.Meta("pulling")
	if err != nil {
		return err
	}
	p.st = newEarly(ctx, w.o.Store, w.o.Kept)
	defer p.st.end()
	p.st.foresee(heads, len(heads) == 0 || len(begun) > 0)
	if err := p.meetDevices(ctx); err != nil {
		return err
	}
	if err := p.settle(ctx); err != nil {
		return err
	}
	if heads, err = w.o.Index.Heads(); err == nil {
		p.lost, err = w.lostCommits()
	}
	if err != nil {
		return err
	}
	if len(heads) == 0 || len(begun) > 0 {
		if err := w.cache.SetMeta("pulling", []byte("1")); err != nil {
			return err
		}
		if heads, err = p.checkpoint(ctx); err != nil {
			return err
		}
		crashpoint.At("pull.checkpoint")
	}
	if err := p.log(ctx, heads); err != nil {
		return err
	}
	for _, key := range []string{"pulling", settlingKey} {
		if err := w.cache.SetMeta(key, nil); err != nil {
			return err
		}
	}
	crashpoint.At("pull.done")
	if err := w.o.Kept.KeepSmall(ctx, p.st, w.o.Keys); err != nil {
		w.log.Warn("the keys in the bucket are not kept here", "err", err)
	}
	p.OtherDevices = slices.Sorted(maps.Keys(p.other))
	return w.cache.SyncRows()
}

// UpToDate tells whether this home knows all commits of the bucket.
func (w *Worker) UpToDate(ctx context.Context) (bool, error) {
	heads, err := w.o.Index.Heads()
	if err != nil {
		return false, err
	}
	lost, err := w.lostCommits()
	if err != nil {
		return false, err
	}
	return repo.AtHead(ctx, w.o.Store, w.o.Keys, heads, lost...)
}

// meetDevices reads who may commit, and takes the key epochs begun since.
func (p *puller) meetDevices(ctx context.Context) error {
	w := p.w
	certs, bad, err := repo.Devices(ctx, p.st, w.o.Keys)
	if err != nil {
		return err
	}
	p.certs = certs
	for _, e := range bad {
		w.report(e)
	}
	ids := slices.Sorted(maps.Keys(certs))
	refused := make([][]string, len(ids))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(earlyAtOnce)
	for i, id := range ids {
		g.Go(func() (err error) {
			refused[i], err = repo.Refused(gctx, p.st, certs[id])
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for i, names := range refused {
		if len(names) > 0 {
			w.report(fmt.Errorf("%s: %d commits of device %s (%s) are not taken in: %w", names[0], len(names), ids[i], certs[ids[i]].Name, repo.ErrRetired))
		}
	}
	return nil
}

// checkpoint takes in the newest checkpoint and returns the heads that it stands for.
func (p *puller) checkpoint(ctx context.Context) (map[string]repo.Head, error) {
	w := p.w
	c, err := repo.LatestCheckpoint(ctx, p.st, w.o.Keys, p.certs)
	if err != nil || c == nil {
		return map[string]repo.Head{}, err
	}
	if err := w.o.Index.Apply(&repo.Commit{Puts: c.Puts}); err != nil {
		return nil, err
	}
	var puts []repo.ObjectRow
	var condemned []repo.CondemnRow
	places := 0
	err = repo.ReadCheckpoint(ctx, w.o.Reader, c, func(row repo.Row) error {
		switch r := row.(type) {
		case repo.ObjectRow:
			puts = append(puts, r)
			places += len(r.Raw) + 1
			for _, f := range r.Frames {
				places += len(f.Blobs)
			}
		case repo.CondemnRow:
			condemned = append(condemned, r)
		case repo.InodeRow:
			p.rows = append(p.rows, FromRepo(r))
		case repo.NameRow:
			p.names = append(p.names, cache.NameRow{Parent: r.In, Name: r.Name, Ino: r.Inode})
		}
		if places >= placesAtOnce {
			if err := w.o.Index.Apply(&repo.Commit{Puts: puts}); err != nil {
				return err
			}
			puts, places = nil, 0
		}
		return p.flushIfMany("")
	})
	if err != nil {
		return nil, err
	}
	if err := w.o.Index.Apply(&repo.Commit{Puts: puts, Condemned: condemned}); err != nil {
		return nil, err
	}
	p.Newest = c.Time
	p.lost = append(p.lost, c.Lost...)
	return c.Heads, p.flush("")
}

// log takes in the commits behind heads.
func (p *puller) log(ctx context.Context, heads map[string]repo.Head) error {
	dayAgo := p.w.o.Now().Add(-24 * time.Hour)
	p.other = map[string]bool{}
	for device, c := range p.certs {
		if c.Retired == nil {
			p.st.logs([]string{device}, heads)
		}
	}
	return repo.ReadLog(ctx, p.st, p.w.o.Keys, p.certs, heads, func(c *repo.Commit) error {
		p.Commits++
		if c.Time.After(p.Newest) {
			p.Newest = c.Time
		}
		if c.Device != p.w.o.Device.ID && c.Time.After(dayAgo) {
			p.other[p.certs[c.Device].Name] = true
		}
		if err := p.w.hear(c); err != nil {
			return err
		}
		for _, r := range c.Inodes {
			p.rows = append(p.rows, FromRepo(r))
		}
		for _, r := range c.Names {
			p.names = append(p.names, cache.NameRow{Parent: r.In, Name: r.Name, Ino: r.Inode})
		}
		if err := p.flush(fmt.Sprintf("%s:%d", c.Device, c.Seq)); err != nil {
			return fmt.Errorf("%s: %w", c.Name, err)
		}
		crashpoint.At("pull.absorbed")
		if err := p.w.cache.SyncRows(); err != nil { // what the index knows is not read again
			return err
		}
		if err := errors.Join(p.w.o.Index.Apply(c), p.w.seen(c.Time), p.w.noteHead(c)); err != nil {
			return err
		}
		p.w.letGo(c)
		p.w.keepCommit(c.Name, c.Body)
		p.w.o.Committed(c)
		return nil
	}, p.lost...)
}

func (p *puller) flushIfMany(base string) error {
	if len(p.rows)+len(p.names) < absorbAtOnce {
		return nil
	}
	return p.flush(base)
}

// flush hands the gathered rows to the cache.
func (p *puller) flush(base string) error {
	p.Inodes += len(p.rows)
	err := p.w.cache.Absorb(p.rows, p.names, base)
	p.rows, p.names = nil, nil
	return err
}
