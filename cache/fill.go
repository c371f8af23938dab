package cache

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/tunesafe/tunesafe/internal/crashpoint"
	"github.com/tunesafe/tunesafe/internal/kv"
)

// fill is one stretch of a big part being fetched into the content file. Two
// readers of one range wait for the same fill.
type fill struct {
	part     int
	pos, end int64 // offsets in the part; bytes before pos are here
	waiters  int
	done     bool
	dead     bool // cancelled: nobody may join it
	err      error
	cancel   context.CancelFunc
	hurry    chan struct{} // closed when somebody waits who is in a hurry; nil if somebody was from the first
}

const (
	fillBuffer = 64 << 10
	fetchUnit  = 64 << 10 // a stored byte costs the unit of its blob that it lies in: they are sealed so
)

// readPartial reads p, which lies inside the file, fetching what is missing.
// f.mu is held, and let go while waiting.
func (f *file) readPartial(ctx context.Context, ra *readahead, p []byte, off int64) error {
	ra.file = f
	for len(p) > 0 {
		k, err := f.readSome(ctx, ra, p, off)
		if err != nil {
			return err
		}
		p, off = p[k:], off+int64(k)
	}
	return nil
}

// readSome reads a first stretch of p: bytes that are here, of a small part, or
// of a big part once they have come.
func (f *file) readSome(ctx context.Context, ra *readahead, p []byte, off int64) (int, error) {
	end := off + int64(len(p))
	if f.have.Whole {
		k, err := readFull(f.fd, p, off)
		clear(p[k:]) // cut shorter meanwhile
		return len(p), err
	}
	n, here := f.have.Here.at(off, end)
	if here {
		k, err := readFull(f.fd, p[:n], off)
		if k == 0 && err == nil {
			err = fmt.Errorf("content of inode %x: %w at %d", f.ino, io.ErrUnexpectedEOF, off)
		}
		ra.passed(off, off+int64(k))
		f.ahead(ra, off)
		return k, err
	}
	if off >= f.have.Limit {
		clear(p[:n])
		return int(n), nil
	}
	if err := f.needLayout(ctx); err != nil {
		return 0, err
	}
	if off >= f.layout.recipe.Size {
		return 0, ErrUnavailable // it was never cut, and its bytes lay outside
	}
	s := f.layout.at(off)
	n = min(n, s.n, f.have.Limit-off)
	n, zero := f.layout.zerosAt(s.part, s.partOff, n)
	if zero {
		clear(p[:n])
		return int(n), nil
	}
	if f.layout.recipe.Parts[s.part].big() && ra.far(off) {
		f.leaveSmall() // who goes elsewhere needs no more of a picture
	}
	f.foresee(ctx, ra, off, end)
	if part := f.layout.recipe.Parts[s.part]; !part.big() {
		b, err := f.awaitSmall(ctx, s.part, s.partOff)
		if err != nil {
			return 0, err
		}
		return copy(p[:n], b[s.partOff:]), nil
	}
	return 0, f.await(ctx, ra, s, off, n)
}

// needLayout loads the recipe, completed if it came shortened. f.mu is held,
// and let go meanwhile.
func (f *file) needLayout(ctx context.Context) error {
	if f.layout != nil {
		return nil
	}
	f.mu.Unlock()
	l, err := f.c.loadLayout(ctx, f.ino)
	f.mu.Lock()
	if err == nil && f.layout == nil {
		f.layout = l
	}
	return err
}

func (c *Cache) loadLayout(ctx context.Context, ino Ino) (*layout, error) {
	r, err := c.recipe(ino)
	if err != nil {
		return nil, err
	}
	before := len(r.Runs)
	if err := c.resolve(ctx, r); err != nil {
		return nil, err
	}
	if len(r.Runs) != before {
		var b kv.Batch
		b.Put(bRecipe, inoKey(ino), encode(r))
		if err := c.db.Apply(&b); err != nil {
			return nil, err
		}
	}
	return newLayout(*r)
}

// await waits until the first byte of the span, at an offset of the file, is here,
// beginning a fill if none is under way that will bring it.
func (f *file) await(ctx context.Context, ra *readahead, s span, off, n int64) error {
	fl := f.fillOf(ra, s, off, n)
	if !ra.quiet {
		f.c.looks.heard(f.ino)
		fl.hasten()
	}
	fl.waiters++
	defer func() { fl.waiters-- }()
	stop := f.wakeAtEnd(ctx)
	defer stop()
	for fl.pos <= s.partOff && !fl.done && ctx.Err() == nil {
		f.cond.Wait()
	}
	switch {
	case fl.pos > s.partOff:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case fl.dead:
		return nil // given up by its reader; the caller looks again
	}
	return fl.err
}

// fillOf finds the fill that will bring a span, at an offset of the file, or begins it.
func (f *file) fillOf(ra *readahead, s span, off, n int64) *fill {
	fl := f.fillFor(s)
	away := ra.far(off)
	if fl != nil && !(away && s.partOff-fl.pos > nearby) {
		return fl
	}
	if away { // a seek does not wait for all before it
		ra.abandon()
		ra.window = 0
	}
	ra.next = off
	if ra.some {
		n = 1
	}
	ahead := f.nextWindow(ra) - (s.partOff - f.layout.recipe.Parts[s.part].unit(s.partOff)) // that is sent anyway
	fl = f.begin(s.part, s.partOff, max(n, ahead), ra.quiet)
	ra.fills = append(slices.DeleteFunc(ra.fills, func(x *fill) bool { return x.done }), fl)
	return fl
}

func (f *file) fillFor(s span) *fill {
	for _, fl := range f.fills {
		if !fl.dead && fl.part == s.part && fl.pos <= s.partOff && s.partOff < fl.end {
			return fl
		}
	}
	return nil
}

// begin starts to fetch n bytes of a part, up to the next byte that is here; and what
// comes with them for nothing, as stored bytes come by units. f.mu is held.
func (f *file) begin(part int, from, n int64, quiet bool) *fill {
	p := f.layout.recipe.Parts[part]
	limit := p.unitEnd(min(from+n, p.Size))
	if k, zero := f.layout.zerosAt(part, from, limit-from); !zero {
		limit = from + k
	}
	end := from
	for end < limit {
		off, k := f.layout.fileOff(part, end)
		k = min(k, limit-end)
		d, here := f.have.Here.at(off, off+k)
		if here {
			break
		}
		end += d
		if d < k {
			break
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	fl := &fill{part: part, pos: p.unit(from), end: max(end, from+1), cancel: cancel}
	if quiet {
		fl.hurry = make(chan struct{})
		ctx = context.WithValue(ctx, hurryKey{}, fl.hurry)
	}
	f.fills = append(f.fills, fl)
	f.c.fmu.Lock()
	f.refs++
	f.c.fmu.Unlock()
	go f.run(ctx, fl, f.layout)
	return fl
}

// run carries out a fill.
func (f *file) run(ctx context.Context, fl *fill, l *layout) {
	err := f.pump(ctx, fl, l)
	fl.cancel()
	f.mu.Lock()
	fl.done, fl.err = true, err
	f.fills = slices.DeleteFunc(f.fills, func(x *fill) bool { return x == fl })
	f.cond.Broadcast()
	complete := err == nil && !f.have.Whole && len(f.fills) == 0 && f.bigHere(l)
	f.mu.Unlock()
	if complete {
		if err := f.makeWhole(l); err != nil {
			f.c.log.Warn("completing a file from its small parts", "ino", f.ino, "err", err)
		}
	}
	f.c.release(f)
}

func (f *file) pump(ctx context.Context, fl *fill, l *layout) error {
	if f.c.opt.Fetcher == nil {
		return ErrUnavailable
	}
	r, err := f.c.opt.Fetcher.Open(ctx, l.recipe.Parts[fl.part], fl.pos, fl.end-fl.pos)
	if err != nil {
		return err
	}
	defer r.Close()
	buf := make([]byte, fillBuffer)
	for fl.pos < fl.end {
		n, err := r.Read(buf[:min(int64(len(buf)), fl.end-fl.pos)])
		if n > 0 {
			if err := f.land(fl, l, buf[:n]); err != nil {
				return err
			}
		}
		if err != nil && fl.pos < fl.end {
			if err == io.EOF {
				err = fmt.Errorf("%w: part ends early", ErrUnavailable)
			}
			return err
		}
	}
	return nil
}

// land writes fetched bytes to their places, but for those written meanwhile.
func (f *file) land(fl *fill, l *layout, p []byte) error {
	if err := f.c.claimEvicting(int64(len(p))); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if fl.dead && f.layout != l {
		return ErrUnavailable // the file is another now
	}
	if err := f.ensureContent(); err != nil {
		return err
	}
	for len(p) > 0 {
		off, n := l.fileOff(fl.part, fl.pos)
		n = min(n, int64(len(p)))
		if err := f.put(p[:n], off); err != nil {
			return err
		}
		fl.pos += n
		p = p[n:]
	}
	f.cond.Broadcast()
	return nil
}

// keep writes bytes of the recipe, from wherever they came, to their place.
func (f *file) keep(p []byte, off int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.have.Whole {
		return nil
	}
	if err := f.ensureContent(); err != nil {
		return err
	}
	return f.put(p, off)
}

// put writes bytes of the recipe at off where none are here yet and the file
// was not cut shorter. f.mu is held.
func (f *file) put(p []byte, off int64) error {
	end := min(off+int64(len(p)), f.have.Limit)
	for at := off; at < end && !f.have.Whole; {
		n, here := f.have.Here.at(at, end)
		if !here {
			if _, err := f.fd.WriteAt(p[at-off:at-off+n], at); err != nil {
				return err
			}
			crashpoint.At("fill.landed")
			f.have.Here = f.have.Here.add(at, at+n)
			f.saved = false
		}
		at += n
	}
	return nil
}

// bigHere reports whether every big part is here. f.mu is held.
func (f *file) bigHere(l *layout) bool {
	for i, r := range l.recipe.Runs {
		if l.recipe.Parts[r.Part].big() && !f.zerosHere(l, r.Part, l.inPart[i], l.starts[i], min(l.starts[i]+r.Length, f.have.Limit)) {
			return false
		}
	}
	return true
}

// makeWhole fills in the small parts of a file whose big ones are here.
func (f *file) makeWhole(l *layout) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	parts := map[int][]byte{}
	for i, p := range l.recipe.Parts {
		if !p.big() {
			b, err := f.c.readPart(ctx, p)
			if err != nil {
				return err
			}
			parts[i] = b
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.layout != l || f.have.Whole {
		return nil
	}
	for i, r := range l.recipe.Runs {
		if b := parts[r.Part]; b != nil {
			if err := f.put(b[l.inPart[i]:l.inPart[i]+r.Length], l.starts[i]); err != nil {
				return err
			}
		}
	}
	if err := f.putZeros(l); err != nil {
		return err
	}
	if !f.have.Here.covers(0, f.size) {
		return nil
	}
	if err := f.fd.Truncate(f.size); err != nil {
		return err
	}
	return f.becomeWhole()
}

// becomeWhole turns the range map into the mark that all is here. f.mu is held.
func (f *file) becomeWhole() error {
	n, err := f.takeTime()
	if err != nil {
		return err
	}
	crashpoint.At("fill.whole")
	f.have = have{Whole: true}
	f.small = nil
	f.saved = false
	f.c.touchLRU(f.ino, f.size)
	if n.dirty() || f.writers > 0 {
		return f.storeWhole()
	}
	f.c.fmu.Lock()
	f.keepHave()
	f.c.fmu.Unlock()
	return nil
}

// takeTime gives a content the time of its row: from here on a dirty one is asked
// for it, and a clean one is known by it. Cache.fmu keeps both as they are meanwhile:
// see applyTime.
func (f *file) takeTime() (*inode, error) {
	f.c.fmu.Lock()
	defer f.c.fmu.Unlock()
	n, err := f.c.inode(f.ino)
	if err != nil {
		return nil, err
	}
	return n, f.c.setContentMtime(f.ino, n.Mtime.time())
}

// storeWhole stores at once that a file open for writing is whole: its writes
// leave no record from here on. f.mu is held.
func (f *file) storeWhole() error {
	if err := f.sync(); err != nil {
		return err
	}
	f.c.fmu.Lock()
	delete(f.c.later, f.ino)
	f.c.fmu.Unlock()
	var b kv.Batch
	b.Put(bHave, inoKey(f.ino), encode(&f.have))
	err := f.c.db.Apply(&b)
	f.saved = err == nil
	return err
}
