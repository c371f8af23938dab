package cache

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/internal/kv"
)

// Uncut lists, by number, the files behind one whose content changed since it was last cut
// and that have been quiet for settle: so many at most, as a million may wait. Not listed are
// those without a name, which programs may use still, but are none of the bucket's business,
// and the stale ones. next is when to ask again, zero if nothing else of what was looked at
// waits. Files still open for writing are named by neither.
func (c *Cache) Uncut(settle time.Duration, after Ino, most int) (ready []Ino, next time.Time, err error) {
	gone, err := c.keys(bOrphan)
	if err != nil {
		return nil, next, err
	}
	now := time.Now()
	err = c.pages(bUncut, inoKey(after), func(k, _ []byte) error {
		if len(ready) == most {
			return errEnough
		}
		ino := keyIno(k)
		if _, orphan := slices.BinarySearch(gone, ino); orphan || c.StaleReason(ino) != nil {
			return nil
		}
		if f := c.peek(ino); f != nil && f.isHeld() {
			return nil
		}
		c.fmu.Lock()
		at, hurry := c.closed[ino].Add(settle), c.settle
		c.fmu.Unlock()
		switch {
		case hurry || !at.After(now):
			ready = append(ready, ino)
		case next.IsZero() || at.Before(next):
			next = at
		}
		return nil
	})
	return ready, next, unlessEnough(err)
}

func (f *file) isHeld() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.handles > 0 && !f.fed // nobody writes what is in a place
}

// SettleNow ends, while on, the settle time of closed files.
func (c *Cache) SettleNow(on bool) {
	c.fmu.Lock()
	c.settle = on
	c.fmu.Unlock()
	c.poke()
}

// Snapshot is a content held still for cutting. Its bytes may still change if
// a program opens the file; SetRecipe then refuses.
type Snapshot struct {
	Ino  Ino
	Size int64
	Base *Recipe // what the content was when last cut; nil if never
	Over bool    // it took the place of a file that the bucket has, as taggers do
	Rank Rank    // of what it will owe: whoever cuts it says

	// Label is what the file says of itself; whoever cuts it may set it before
	// SetRecipe, which stores it. nil: what is stored stays.
	Label []byte

	c       *Cache
	f       *file
	h       *Handle
	gen     uint64
	st      unix.Stat_t
	written extents
	whole   bool
	same    bool // as Base, byte for byte
	layout  *layout
	taken   *os.File // a copy made while the file stays open for writing
	out     *outsideFile
	source  *source // of out
	stale   error   // why out is not what it was
}

// Snapshot begins a cut. ErrBusy if the file is open or mapped for writing,
// ErrNotExist if it has no name any more.
func (c *Cache) Snapshot(ino Ino) (*Snapshot, error) {
	n, err := c.inode(ino)
	if err != nil {
		return nil, err
	}
	if n.Nlink == 0 {
		return nil, ErrNotExist
	}
	// The generation is read before the writers are counted, and a writer is
	// counted before it bumps: whoever opens from here on is seen by SetRecipe.
	gen := n.Gen
	if s, ok, err := c.outsideOf(ino); err != nil || ok {
		if err != nil {
			return nil, err
		}
		return c.snapshotOutside(ino, gen, s)
	}
	if f := c.peek(ino); f != nil && f.isHeld() {
		return nil, ErrBusy
	}
	if c.leases && !leaseFree(c.contentPath(ino)) {
		return nil, ErrBusy
	}
	if err := c.refresh(ino); err != nil {
		return nil, err
	}
	f, err := c.acquire(ino)
	if err != nil {
		return nil, err
	}
	s := &Snapshot{Ino: ino, Over: n.Succeeds != 0, Rank: RankUnknown, c: c, f: f, gen: gen, h: &Handle{c: c, f: f}}
	if err := s.take(); err != nil {
		c.release(f)
		return nil, err
	}
	return s, nil
}

// take notes what the content is now.
func (s *Snapshot) take() error {
	s.f.mu.Lock()
	defer s.f.mu.Unlock()
	s.whole, s.written, s.Size = s.f.have.Whole, bytesWritten(s.f.have), s.f.size
	if s.f.fd != nil {
		if err := unix.Fstat(int(s.f.fd.Fd()), &s.st); err != nil {
			return err
		}
		if s.whole {
			s.Size = s.st.Size
		}
	}
	var err error
	if s.Base, err = s.c.base(s.Ino); err != nil {
		return err
	}
	s.same = !s.whole && s.Base != nil && len(s.written) == 0 && s.Size == s.Base.Size && s.f.have.Limit == s.Base.Size
	if !s.whole && !s.same {
		if err := s.f.needLayout(context.Background()); err != nil {
			return err
		}
		s.layout = s.f.layout
	}
	return nil
}

// base is what the content was when last cut; nil if it never was, or had no bytes.
func (c *Cache) base(ino Ino) (*Recipe, error) {
	r, err := c.recipe(ino)
	if err != nil || r.Size == 0 && len(r.Parts) == 0 {
		return nil, err
	}
	return r, nil
}

// Unchanged reports whether the content is that of Base and nothing was written
// since, so that it need not be looked at. Of a content that is all here that
// is not known.
func (s *Snapshot) Unchanged() bool { return s.same }

func bytesWritten(h have) extents { return append(extents(nil), h.Written...) }

// ReadAt reads the content, fetching what is not here.
func (s *Snapshot) ReadAt(p []byte, off int64) (int, error) {
	switch {
	case s.taken != nil:
		return s.taken.ReadAt(p, off)
	case s.source != nil:
		return s.readOutside(p, off)
	}
	n, err := s.h.ReadAt(context.Background(), p, off)
	if err == nil && n < len(p) {
		err = io.EOF
	}
	return n, err
}

// Kept reports how many bytes from off on, at most n, are as in Base and need not
// be read: they are at partOff of part. 0 if the first byte was written, or if
// the whole content is here and what was written is not known.
func (s *Snapshot) Kept(off, n int64) (part int, partOff, k int64) {
	if s.whole || s.layout == nil || off >= s.layout.recipe.Size {
		return 0, 0, 0
	}
	k, written := s.written.at(off, off+n)
	if written {
		return 0, 0, 0
	}
	sp := s.layout.at(off)
	return sp.part, sp.partOff, min(k, sp.n)
}

// Partial reports whether bytes of the content are missing here, and what was
// written into it since Base is known: see Written.
func (s *Snapshot) Partial() bool { return !s.whole && s.layout != nil && s.Base != nil }

// Written tells how many bytes from off on, at most n, are alike: written since
// Base, or not. It knows only of a content that is Partial.
func (s *Snapshot) Written(off, n int64) (k int64, written bool) { return s.written.at(off, off+n) }

// Zeros tells how many bytes from off on are zeros, as far as that is known without
// reading them.
func (s *Snapshot) Zeros(off int64) (n int64) {
	switch {
	case s.taken != nil:
		n, _ = holeAt(s.taken, off)
	case s.out != nil:
		n, _ = holeAt(s.out.File, off)
	case s.whole && s.f != nil:
		n, _ = s.h.Zeros(context.Background(), off)
	}
	return n
}

// Bring puts n bytes from off on into the content file. What the recipe to come
// owes can no longer be fetched once it has replaced the one that is.
func (s *Snapshot) Bring(off, n int64) error {
	if s.whole {
		return nil
	}
	for buf := make([]byte, min(n, bringBuffer)); n > 0; {
		p := buf[:min(n, bringBuffer)]
		if _, err := s.ReadAt(p, off); err != nil {
			return err
		}
		if err := s.f.keep(p, off); err != nil {
			return err
		}
		off, n = off+int64(len(p)), n-int64(len(p))
	}
	return nil
}

// bringBuffer is how much Bring moves at once, in bytes.
const bringBuffer = 256 << 10

// Close ends the cut.
func (s *Snapshot) Close() {
	switch {
	case s.taken != nil:
		s.taken.Close()
		return
	case s.source != nil:
		s.closeOutside()
		return
	}
	s.h.ra.stop()
	s.c.release(s.f)
}

// SetRecipe accepts a cut: r is what the content is made of. ErrChanged if the
// file was opened for writing or changed since the snapshot; the cut is then void.
//
// ErrStale if the file outside was changed while it was read.
//
// It may be called after Close: a cut is accepted once its small parts are
// uploaded, and many wait for one pack.
func (s *Snapshot) SetRecipe(r Recipe) error {
	f, err := s.c.acquire(s.Ino)
	if err != nil {
		return err
	}
	defer s.c.release(f)
	return s.c.update(s.Ino, func(x *change, n *inode) error {
		f.mu.Lock()
		defer f.mu.Unlock()
		if s.void(n, f) {
			return ErrChanged
		}
		if err := s.unchanged(); err != nil {
			return err
		}
		return s.accept(x, n, f, &r)
	})
}

// void reports whether the file was opened for writing or changed since the
// snapshot. A copy of a file in use stays what it was. f.mu is held.
func (s *Snapshot) void(n *inode, f *file) bool {
	return n.Gen != s.gen || n.Nlink == 0 || s.taken == nil && (f.writers > 0 || s.moved(f))
}

// accept stores the recipe of a cut that nobody voided.
func (s *Snapshot) accept(x *change, n *inode, f *file, r *Recipe) error {
	x.c.fromContent(s.Ino, n)
	n.Cut, n.Size, n.TakenOpen = n.Gen, r.Size, s.taken != nil
	n.Sound = new(r.sound())
	if n.TakenOpen {
		n.Mtime = stampTS(s.st.Mtim)
		n.Ver++
	}
	row := encode(r)
	old, _, err := x.c.db.Get(bRecipe, inoKey(s.Ino))
	if err != nil {
		return err
	}
	if !bytes.Equal(row, old) {
		x.b.Put(bRecipe, inoKey(s.Ino), row)
		n.Ver++
	}
	if n.Ver != n.CVer {
		x.b.Put(bPRow, inoKey(s.Ino), nil)
	}
	if !n.TakenOpen { // what is written from now on is cut when the file is closed
		x.b.Delete(bUncut, inoKey(s.Ino))
	}
	x.owe(s.Ino, r, s.Rank)
	if s.Label != nil {
		x.b.Put(bLabel, inoKey(s.Ino), s.Label)
	}
	f.have.Written = nil
	if !f.have.Whole {
		f.have.Limit = r.Size
	}
	if f.fd != nil {
		if err := x.putHave(f); err != nil {
			return err
		}
	}
	f.layout, f.small = nil, nil
	if s.source == nil {
		x.c.touchLRU(s.Ino, f.have.held(n.Size))
	}
	return nil
}

// Label returns what a file says of itself, as the last cut stored it; nil if
// nothing was stored.
func (c *Cache) Label(ino Ino) ([]byte, error) {
	v, ok, err := c.db.Get(bLabel, inoKey(ino))
	if !ok {
		v = nil
	}
	return v, err
}

// SetLabel stores what a file says of itself, read from what r names. ErrChanged if it
// is made of something else by now.
func (c *Cache) SetLabel(ino Ino, r *Recipe, says []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, err := c.recipe(ino)
	if err != nil {
		return err
	}
	if !bytes.Equal(encode(now), encode(r)) {
		return ErrChanged
	}
	var b kv.Batch
	b.Put(bLabel, inoKey(ino), says)
	return c.db.Apply(&b)
}

// moved reports whether the content file changed under the snapshot.
func (s *Snapshot) moved(f *file) bool {
	if f.fd == nil || !s.whole || s.source != nil {
		return false
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.fd.Fd()), &st); err != nil {
		return true
	}
	return st.Size != s.st.Size || st.Mtim != s.st.Mtim
}

// RecipeOf returns the recipe of a file as last cut, and whether the content is
// still that.
func (c *Cache) RecipeOf(ino Ino) (*Recipe, bool, error) {
	n, err := c.inode(ino)
	if err != nil {
		return nil, false, err
	}
	r, err := c.recipe(ino)
	return r, n.Gen == n.Cut, err
}

// Recut marks a file as not cut: what its recipe names is not in the bucket.
func (c *Cache) Recut(ino Ino) error {
	if _, fed, err := c.outsideOf(ino); err != nil || fed {
		return errors.Join(err, c.recutOutside(ino))
	}
	return c.update(ino, func(x *change, n *inode) error { x.dirty(ino, n); return nil })
}

// Idle reports whether nothing at all waits for the bucket but what is stale.
func (c *Cache) Idle() (bool, error) {
	for _, b := range []kv.Bucket{bUncut, bOwed} {
		if any, err := c.anyNamed(b); err != nil || any {
			return false, err
		}
	}
	held, err := c.uncutStale()
	if err != nil {
		return false, err
	}
	if any, err := c.anyRow(bPRow, func(k, _ []byte) bool { return !held[keyIno(k)] }); err != nil || any {
		return false, err
	}
	any, err := c.anyNameBut(held)
	return err == nil && !any, err
}

// anyNamed reports whether an inode with a name has the mark, and is not stale.
func (c *Cache) anyNamed(mark kv.Bucket) (bool, error) {
	gone, err := c.keys(bOrphan)
	if err != nil {
		return false, err
	}
	stale := c.Stale()
	return c.anyRow(mark, func(k, _ []byte) bool {
		_, orphan := slices.BinarySearch(gone, keyIno(k))
		_, held := slices.BinarySearch(stale, keyIno(k))
		return !orphan && !held
	})
}

// anyNameBut reports whether a name waits that is not one of these inodes'.
func (c *Cache) anyNameBut(held map[Ino]bool) (bool, error) {
	var waits [][]byte
	any, err := c.anyRow(bPName, func(k, _ []byte) bool {
		waits = append(waits, slices.Clone(k))
		return len(held) == 0
	})
	for _, k := range waits {
		if err != nil || any {
			break
		}
		var e name
		e, _, err = c.name(keyIno(k), string(k[8:]))
		any = !held[e.ino]
	}
	return any, err
}

// anyRow reports whether a row of the bucket is such a one.
func (c *Cache) anyRow(b kv.Bucket, is func(k, v []byte) bool) (found bool, err error) {
	err = c.db.Scan(b, nil, nil, func(k, v []byte) bool {
		found = is(k, v)
		return !found
	})
	return found, err
}
