package cache

import (
	"context"
	"errors"
	"time"
)

// What somebody waits for goes before what is fetched in case somebody will: the
// next track, what is pinned, a restore. The cache says which is which, and who
// fetches takes turns.

type hurryKey struct{}

// Unhurried is for a [Fetcher]: nil if somebody waits for what is fetched with ctx,
// else a channel that is closed as soon as somebody does.
func Unhurried(ctx context.Context) <-chan struct{} {
	c, _ := ctx.Value(hurryKey{}).(chan struct{})
	return c
}

// Quietly makes a context for fetching what nobody waits for.
func Quietly(ctx context.Context) context.Context {
	return context.WithValue(ctx, hurryKey{}, make(chan struct{}))
}

// hasten tells who fetches that somebody waits now. f.mu is held.
func (fl *fill) hasten() {
	if fl.hurry != nil {
		close(fl.hurry)
		fl.hurry = nil
	}
}

// Reader is a handle that somebody reads a file by.
type Reader struct {
	Ino   Ino
	Size  int64
	Since time.Time // it was opened
	Read  int64     // bytes that went through it; none are seen of a file passed to the kernel
	Whole bool      // all of the file is here
}

// Readers lists who reads files, but for those that read quietly.
func (c *Cache) Readers() (all []Reader) {
	c.fmu.Lock()
	files := make([]*file, 0, len(c.files))
	for _, f := range c.files {
		files = append(files, f)
	}
	c.fmu.Unlock()
	for _, f := range files {
		f.mu.Lock()
		for _, h := range f.readers {
			all = append(all, Reader{Ino: f.ino, Size: f.size, Since: h.since, Read: h.read.Load(), Whole: f.have.Whole})
		}
		f.mu.Unlock()
	}
	return all
}

// everything is more than any part has.
const everything = 1 << 62

// quietStretch is how many bytes are asked for at once for nobody. A file is as good
// as whole to who reads it meanwhile, so it needs no small steps; but what is under
// way when somebody else needs the line is paused, and should not be much.
const quietStretch = 4 << 20

// Fetch brings the first bytes of the sound of a file here, quietly: most of them at
// most, or all if most is below 0. What is here is not fetched again. Of the beginning
// of a track all is asked for that players read before it, pictures too. It does nothing
// to a file that differs from what the bucket has, or lies outside.
func (c *Cache) Fetch(ctx context.Context, ino Ino, most int64) error {
	if most < 0 {
		most = everything
	}
	if _, ok := c.asRecipe(ino); !ok {
		return nil
	}
	f, err := c.acquire(ino)
	if err != nil {
		return err
	}
	defer c.release(f)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fed || f.have.Whole {
		return nil
	}
	if err := f.needLayout(ctx); err != nil {
		return err
	}
	l := f.layout
	if most < everything {
		if err := f.bringSmall(ctx, l); err != nil {
			return err
		}
	}
	for i, p := range l.recipe.Parts {
		for at, limit := int64(0), min(most, p.Size); p.big() && at < limit; {
			if f.layout != l || f.have.Whole {
				return nil
			}
			off, n := l.fileOff(i, at)
			n, here := f.have.Here.at(off, off+min(n, limit-at))
			if k, zero := l.zerosAt(i, at, n); zero {
				n, here = k, true
			}
			if here || off >= f.have.Limit {
				at += n
				continue
			}
			if err := f.bring(ctx, span{part: i, partOff: at}, min(limit-at, quietStretch)); err != nil {
				return err
			}
		}
	}
	return nil
}

// bringSmall has the packs of the small parts come. f.mu is held, and let go meanwhile.
func (f *file) bringSmall(ctx context.Context, l *layout) error {
	f.mu.Unlock()
	defer f.mu.Lock()
	for _, p := range l.recipe.Parts {
		if p.big() {
			continue
		}
		if _, err := f.c.readPart(Quietly(ctx), p); err != nil {
			return err
		}
	}
	return nil
}

// bring waits until the first byte of a span is here, and has the n from there on
// fetched. f.mu is held, and let go while waiting. What was begun here ends with ctx.
func (f *file) bring(ctx context.Context, s span, n int64) error {
	ra := readahead{file: f, quiet: true}
	fl := f.fillFor(s)
	if fl == nil {
		fl = f.begin(s.part, s.partOff, n, true)
		ra.fills = []*fill{fl}
	}
	fl.waiters++
	stop := f.wakeAtEnd(ctx)
	for !fl.done && ctx.Err() == nil {
		f.cond.Wait()
	}
	stop()
	fl.waiters--
	if err := ctx.Err(); err != nil {
		ra.abandon()
		return err
	}
	if fl.dead || errors.Is(fl.err, context.Canceled) {
		return nil // given up by its reader; the caller looks again
	}
	return fl.err
}
