package health

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tunesafe/tunesafe/internal/repo"
	"github.com/tunesafe/tunesafe/internal/store"
)

// Options are what a check works with; all are needed but Progress and Now.
type Options struct {
	Store    store.Store
	Keys     *repo.Keys
	Index    *repo.Index
	DB       *DB
	Share    Share
	Parallel int // objects read at once, each up to 34 MiB of memory; default 1
	Progress func(Progress)
	Now      func() time.Time
}

// Progress counts what was read of what is to be read.
type Progress struct{ Objects, OfObjects, Bytes, OfBytes int64 }

// Report is what a check found.
type Report struct {
	Objects, Bytes  int64 // that commits place
	Read, ReadBytes int64 // objects read whole, and good
	Bad             []Bad // found now
	Never           int64 // objects that were never read, after this
	Oldest          time.Time
}

// Run lists the bucket, compares it with what the index places, and reads the
// share of it that was read the longest ago. An error means that it was cut short:
// what was read until then is recorded and reported all the same.
func (o Options) Run(ctx context.Context) (r Report, err error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	c := &check{o: o, rep: &r}
	run := Run{Kind: Check, Began: o.Now()}
	q, n, err := c.plan(ctx, run.Began)
	if err == nil {
		err = c.read(ctx, q[:n])
	}
	err = errors.Join(err, c.flush())
	if q != nil {
		run.Ended, run.Whole, run.Objects, run.Bytes, run.Bad = o.Now(), err == nil, r.Read, r.ReadBytes, int64(len(r.Bad))
		err = errors.Join(err, o.DB.Ran(run))
	}
	c.age(q)
	return r, err
}

type check struct {
	o   Options
	rep *Report

	mu      sync.Mutex
	found   []Found // not recorded yet
	flushed time.Time
	done    map[key]bool // read or found missing by this run
}

// plan gives the queue and how many of it are to be read.
func (c *check) plan(ctx context.Context, now time.Time) ([]waiting, int, error) {
	c.done = map[key]bool{}
	q, err := c.o.DB.queue(c.list(ctx), now)
	if err != nil {
		return nil, 0, err
	}
	if err := c.flush(); err != nil { // of what is missing
		return q, 0, err
	}
	runs, err := c.o.DB.wholeRuns()
	return q, c.o.Share.take(q, runs), err
}

// list goes through the objects that should be there, and notes those that are
// not, or are of another size.
func (c *check) list(ctx context.Context) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		for l, err := range repo.ListPlaced(ctx, c.o.Store, c.o.Index) {
			if err == nil {
				c.rep.Objects++
				c.rep.Bytes += l.Size
				if l.Err != nil {
					c.note(l.Name, 0, l.Err)
				}
			}
			if !yield(Object{l.Name, l.Size}, err) {
				return
			}
		}
	}
}

// ResultOf is what a reading found that ended with err.
func ResultOf(err error) Result {
	switch {
	case err == nil:
		return Good
	case errors.Is(err, repo.ErrMissing):
		return Missing
	}
	return Damaged
}

// note takes in what was found of an object.
func (c *check) note(object string, size int64, err error) {
	f := Found{Object: object, Reading: Reading{c.o.Now(), ResultOf(err)}, Err: err}
	if err == nil {
		c.rep.Read++
		c.rep.ReadBytes += size
	} else {
		c.rep.Bad = append(c.rep.Bad, Bad{object, repo.KindOf(err), f.problem(), f.Reading.Time})
	}
	c.found = append(c.found, f)
	if k, err := keyOf(object); err == nil {
		c.done[k] = true
	}
}

// What is found is recorded at the latest after so many objects or so much time.
const (
	flushObjects = 64
	flushPause   = 5 * time.Second
)

func (c *check) flush() error {
	err := c.o.DB.Add(c.found...)
	if err != nil {
		return fmt.Errorf("what was read is not recorded: %w", err)
	}
	c.found, c.flushed = c.found[:0], time.Now()
	return nil
}

func (c *check) read(ctx context.Context, q []waiting) error {
	p := Progress{}
	var todo []waiting
	for _, w := range q {
		if !c.done[w.key] {
			p.OfObjects++
			p.OfBytes += w.size
			todo = append(todo, w)
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(max(c.o.Parallel, 1))
	for _, w := range todo {
		g.Go(func() error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			placed, err := repo.VerifyObject(ctx, c.o.Store, c.o.Keys, c.o.Index, w.key.object())
			if err != nil && !repo.IsFinding(err) {
				return err
			}
			c.mu.Lock()
			defer c.mu.Unlock()
			p.Objects++
			p.Bytes += w.size
			if c.o.Progress != nil {
				c.o.Progress(p)
			}
			if !placed { // condemned meanwhile
				return nil
			}
			c.note(w.key.object(), w.size, err)
			if len(c.found) >= flushObjects || time.Since(c.flushed) > flushPause {
				return c.flush()
			}
			return nil
		})
	}
	return g.Wait()
}

// age tells how old what is known is after the run.
func (c *check) age(q []waiting) {
	for _, w := range q {
		switch {
		case c.done[w.key]:
		case !w.read:
			c.rep.Never++
		default:
			if at := time.UnixMilli(w.last); c.rep.Oldest.IsZero() || at.Before(c.rep.Oldest) {
				c.rep.Oldest = at
			}
		}
	}
}
