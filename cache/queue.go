package cache

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/internal/kv"
)

// Uncut lists the files whose content changed since it was last cut and that
// have been quiet for settle; next is when to ask again, zero if nothing else
// waits. Files still open for writing are named by neither.
func (c *Cache) Uncut(settle time.Duration) (ready []Ino, next time.Time, err error) {
	inos, err := c.named(bUncut)
	if err != nil {
		return nil, next, err
	}
	now := time.Now()
	for _, ino := range inos {
		if f := c.peek(ino); f != nil && f.isHeld() {
			continue
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
	}
	return ready, next, nil
}

// named lists the inodes with a mark but for those without a name: programs may
// use them still, but they are none of the bucket's business.
func (c *Cache) named(mark kv.Bucket) ([]Ino, error) {
	inos, err := c.keys(mark)
	if err != nil || len(inos) == 0 {
		return nil, err
	}
	gone, err := c.keys(bOrphan)
	return slices.DeleteFunc(inos, func(ino Ino) bool {
		_, found := slices.BinarySearch(gone, ino)
		return found
	}), err
}

func (f *file) isHeld() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.handles > 0
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
	s := &Snapshot{Ino: ino, c: c, f: f, gen: gen, h: &Handle{c: c, f: f}}
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
	base, err := s.c.recipe(s.Ino)
	if err != nil {
		return err
	}
	if base.Size > 0 || len(base.Parts) > 0 {
		s.Base = base
	}
	s.same = !s.whole && s.Base != nil && len(s.written) == 0 && s.Size == base.Size && s.f.have.Limit == base.Size
	if !s.whole && !s.same {
		if err := s.f.needLayout(context.Background()); err != nil {
			return err
		}
		s.layout = s.f.layout
	}
	return nil
}

// Unchanged reports whether the content is that of Base and nothing was written
// since, so that it need not be looked at. Of a content that is all here that
// is not known.
func (s *Snapshot) Unchanged() bool { return s.same }

func bytesWritten(h have) extents { return append(extents(nil), h.Written...) }

// ReadAt reads the content, fetching what is not here.
func (s *Snapshot) ReadAt(p []byte, off int64) (int, error) {
	if s.taken != nil {
		return s.taken.ReadAt(p, off)
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
	if s.taken != nil {
		s.taken.Close()
		return
	}
	s.h.ra.stop()
	s.c.release(s.f)
}

// SetRecipe accepts a cut: r is what the content is made of. ErrChanged if the
// file was opened for writing or changed since the snapshot; the cut is then void.
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
		if n.Gen != s.gen || n.Nlink == 0 || s.taken == nil && (f.writers > 0 || s.moved(f)) {
			return ErrChanged
		}
		return s.accept(x, n, f, &r)
	})
}

// accept stores the recipe of a cut that nobody voided.
func (s *Snapshot) accept(x *change, n *inode, f *file, r *Recipe) error {
	x.c.fromContent(s.Ino, n)
	n.Cut, n.Size, n.TakenOpen = n.Gen, r.Size, s.taken != nil
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
	x.owe(s.Ino, r)
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
	x.c.touchLRU(s.Ino, f.have.held(n.Size))
	return nil
}

// moved reports whether the content file changed under the snapshot.
func (s *Snapshot) moved(f *file) bool {
	if f.fd == nil || !s.whole {
		return false
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.fd.Fd()), &st); err != nil {
		return true
	}
	return st.Size != s.st.Size || st.Mtim != s.st.Mtim
}

func (x *change) owe(ino Ino, r *Recipe) {
	if r.Owes() {
		x.b.Put(bOwed, inoKey(ino), nil)
	} else {
		x.b.Delete(bOwed, inoKey(ino))
	}
}

// Owed lists the files of which a part is not in the bucket yet.
func (c *Cache) Owed() ([]Ino, error) { return c.named(bOwed) }

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

// Paid marks the parts of a file as uploaded and puts its row among those
// waiting for a commit. ErrChanged if the file is not what was uploaded any more.
func (s *Snapshot) Paid() error {
	return s.c.update(s.Ino, func(x *change, n *inode) error {
		if n.Gen != s.gen || n.Cut != n.Gen {
			return ErrChanged
		}
		r, err := s.c.recipe(s.Ino)
		if err != nil {
			return err
		}
		for i := range r.Parts {
			r.Parts[i].Owed = false
		}
		x.b.Put(bRecipe, inoKey(s.Ino), encode(r))
		x.owe(s.Ino, r)
		x.wait(s.Ino, n)
		return nil
	})
}

// Recut marks a file as not cut: what its recipe names is not in the bucket.
func (c *Cache) Recut(ino Ino) error {
	return c.update(ino, func(x *change, n *inode) error { x.dirty(ino, n); return nil })
}

// Waiting counts what is not safe yet.
type Waiting struct {
	Files int   // regular files
	Bytes int64 // of them, still to go to the bucket
	Rows  int   // rows waiting for a commit
	Open  int   // of Files, open for writing now
	Total int   // regular files of the drive
	Size  int64 // bytes of all regular files
}

// Idle reports whether nothing at all waits for the bucket.
func (c *Cache) Idle() (bool, error) {
	for _, b := range []kv.Bucket{bUncut, bOwed} {
		if inos, err := c.named(b); err != nil || len(inos) > 0 {
			return false, err
		}
	}
	for _, b := range []kv.Bucket{bPRow, bPName} {
		empty := true
		if err := c.db.Scan(b, nil, nil, func(_, _ []byte) bool { empty = false; return false }); err != nil || !empty {
			return false, err
		}
	}
	return true, nil
}

// Waiting scans the marks.
func (c *Cache) Waiting() (w Waiting, err error) {
	waits := map[Ino]bool{}
	for _, b := range []kv.Bucket{bUncut, bOwed, bPRow} {
		inos, err := c.keys(b)
		if err != nil {
			return w, err
		}
		for _, ino := range inos {
			waits[ino] = true
		}
		if b == bPRow {
			w.Rows = len(inos)
		}
	}
	for ino := range waits {
		n, err := c.inode(ino)
		if errors.Is(err, ErrNotExist) || err == nil && (!n.isFile() || n.Nlink == 0) {
			continue
		}
		if err != nil {
			return w, err
		}
		w.Files++
		w.Bytes += c.waitingBytes(ino, n)
		if f := c.peek(ino); f != nil && f.isHeld() {
			w.Open++
		}
	}
	w.Total, w.Size, err = c.totals.of(c)
	return w, err
}

// totals remembers the count of all files: who watches the status asks twice a
// second, and the count reads every inode.
type totals struct {
	mu      sync.Mutex
	files   int
	size    int64
	version uint64    // of the namespace when they were counted
	next    time.Time // not counted again before
}

func (t *totals) of(c *Cache) (files int, size int64, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	v, began := c.Version(), time.Now()
	if v == t.version && t.files > 0 || began.Before(t.next) {
		return t.files, t.size, nil
	}
	t.files, t.size, t.version = 0, 0, v
	err = c.db.Scan(bInode, nil, nil, func(_, p []byte) bool {
		if n, err := briefOf(p); err == nil && n.Mode&unix.S_IFMT == unix.S_IFREG && n.Nlink > 0 {
			t.files++
			t.size += n.Size
		}
		return true
	})
	t.next = time.Now().Add(10 * time.Since(began)) // at most a tenth of the time
	return t.files, t.size, err
}

func (c *Cache) waitingBytes(ino Ino, n *inode) int64 {
	if n.dirty() {
		a, _ := c.Attr(ino)
		return a.Size
	}
	r, err := c.recipe(ino)
	if err != nil {
		return n.Size
	}
	var sum int64
	for _, p := range r.Parts {
		if p.Owed {
			sum += p.Size
		}
	}
	return sum
}
