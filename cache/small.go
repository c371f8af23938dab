package cache

import (
	"context"
	"io"
)

// smallPart is a part held in memory while the file is open, or on its way there. Of a
// picture some hundred kilobytes long the beginning is worth having before the end is here.
type smallPart struct {
	buf    []byte // of the part's length
	n      int    // bytes that came
	err    error  // no more come
	quiet  bool   // nobody waited for it when it was asked for
	waits  int    // who waits
	cancel context.CancelFunc
}

// awaitSmall returns what is here of a small part: what lies at an offset of it, at
// least. f.mu is held, and let go while waiting.
func (f *file) awaitSmall(ctx context.Context, i int, at int64) ([]byte, error) {
	sp := f.askSmall(ctx, i)
	if int64(sp.n) > at {
		return sp.buf[:sp.n], nil
	}
	stop := f.wakeAtEnd(ctx)
	defer stop()
	for sp.waits++; int64(sp.n) <= at && sp.err == nil && ctx.Err() == nil; {
		f.cond.Wait()
	}
	sp.waits--
	switch {
	case int64(sp.n) > at:
		return sp.buf[:sp.n], nil
	case sp.err != nil:
		return nil, sp.err
	}
	return nil, ctx.Err()
}

// wakeAtEnd has who waits for f.cond look again when ctx ends.
func (f *file) wakeAtEnd(ctx context.Context) (stop func() bool) {
	return context.AfterFunc(ctx, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.cond.Broadcast()
	})
}

// askSmall has a small part fetched into memory, unless that was begun. It ends with the
// last handle, not with who asked. f.mu is held.
func (f *file) askSmall(ctx context.Context, i int) *smallPart {
	quiet := Unhurried(ctx) != nil
	if sp := f.small[i]; sp != nil && (quiet || !sp.quiet || sp.n == len(sp.buf)) {
		return sp
	}
	p := f.layout.recipe.Parts[i]
	sp := &smallPart{buf: make([]byte, p.Size), quiet: quiet}
	if f.small == nil {
		f.small = map[int]*smallPart{}
	}
	f.small[i] = sp
	ctx, sp.cancel = context.WithCancel(context.WithoutCancel(ctx))
	if !quiet {
		f.c.looks.begin(f.ino)
	}
	f.c.fmu.Lock()
	f.refs++
	f.c.fmu.Unlock()
	go func() {
		defer f.c.release(f)
		defer sp.cancel()
		if !quiet {
			defer f.c.looks.end()
		}
		if err := f.receive(ctx, sp, p); err != nil {
			f.mu.Lock()
			defer f.mu.Unlock()
			if sp.err = err; f.small[i] == sp {
				delete(f.small, i) // who reads it again asks again
			}
			f.cond.Broadcast()
		}
	}()
	return sp
}

// receive reads a small part as it comes.
func (f *file) receive(ctx context.Context, sp *smallPart, p Part) error {
	if f.c.opt.Fetcher == nil {
		return ErrUnavailable
	}
	r, err := f.c.opt.Fetcher.Open(ctx, p, 0, p.Size)
	if err != nil {
		return err
	}
	defer r.Close()
	for got := 0; got < len(sp.buf); {
		n, err := r.Read(sp.buf[got:])
		if got += n; n > 0 {
			f.mu.Lock()
			sp.n = got
			f.cond.Broadcast()
			f.mu.Unlock()
		}
		if err != nil && got < len(sp.buf) {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
	}
	return nil
}

// leaveSmall ends what is on its way of small parts and nobody waits for. f.mu is held.
func (f *file) leaveSmall() {
	for i, sp := range f.small {
		if sp.n < len(sp.buf) && sp.waits == 0 {
			sp.cancel()
			delete(f.small, i) // who comes next asks anew
		}
	}
}

// foresee has what is missing of a range asked for, part beside part: one after the
// other each would wait for the one before, and then for the store. Who waits for less than
// it asks for has no sound asked for yet that lies behind tags. f.mu is held.
func (f *file) foresee(ctx context.Context, ra *readahead, off, end int64) {
	first := off
	for end = min(end, f.have.Limit, f.layout.recipe.Size); off < end; {
		n, here := f.have.Here.at(off, end)
		s := f.layout.at(off)
		n, zero := f.layout.zerosAt(s.part, s.partOff, min(n, s.n))
		switch {
		case here || zero:
		case f.layout.recipe.Parts[s.part].big():
			if off == first || !ra.some {
				f.fillOf(ra, s, off, n)
			}
			return // it reads ahead by itself
		default:
			f.askSmall(ctx, s.part)
		}
		off += n
	}
}
