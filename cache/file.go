package cache

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/internal/crashpoint"
	"github.com/tunesafe/tunesafe/internal/kv"
)

// file is a content in use: open handles, fetches under way, or a cut.
type file struct {
	c    *Cache
	ino  Ino
	refs int // guarded by Cache.fmu

	mu      sync.Mutex
	cond    sync.Cond // a fill moved on
	named   bool      // the content file's name is on disk, as far as it was made here
	fd      *os.File  // content file, read and write; nil while no byte is here
	have    have
	saved   bool // have is stored, or handed to the next Sync
	size    int64
	layout  *layout // of the recipe; loaded at the first miss
	small   map[int]*smallPart
	fills   []*fill
	handles int
	writers int
	readers []*Handle // that only read, and not quietly
	pass    bool      // the kernel reads and writes fd itself, until the last release
	fed     bool      // in a place: never passed to the kernel
	outside *outsideFile

	since time.Time // of the first opening for writing, or of the last copy taken
	taken stamp     // mtime of the content when it was last taken while open
}

// acquire returns the file of an inode with one more reference.
func (c *Cache) acquire(ino Ino) (*file, error) {
	c.fmu.Lock()
	defer c.fmu.Unlock()
	if f := c.files[ino]; f != nil {
		f.refs++
		return f, nil
	}
	f := &file{c: c, ino: ino, refs: 1, saved: true, named: true}
	f.cond.L = &f.mu
	if err := f.load(); err != nil {
		return nil, err
	}
	c.files[ino] = f
	return f, nil
}

func (f *file) load() error {
	n, err := f.c.inode(f.ino)
	if err != nil {
		return err
	}
	if !n.isFile() {
		return ErrInvalid
	}
	f.size = n.Size
	if _, f.fed, err = f.c.outsideOf(f.ino); err != nil {
		return err
	}
	ok, err := f.c.haveOf(f.ino, &f.have)
	if err != nil {
		return err
	}
	if !ok {
		f.have = have{Limit: n.Size}
		return nil
	}
	f.fd, err = openContent(f.c.contentPath(f.ino), unix.O_RDWR)
	if errors.Is(err, unix.EROFS) { // reading goes on
		f.fd, err = openContent(f.c.contentPath(f.ino), unix.O_RDONLY)
	}
	switch {
	case errors.Is(err, os.ErrNotExist) && !f.have.Whole && len(f.have.Here) == 0:
		return nil // as a copy that was only referred to
	case errors.Is(err, os.ErrNotExist) && !n.dirty() && !n.TakenOpen:
		return f.disbelieve(n) // the content folder was emptied
	case err != nil:
		return err
	case !f.have.Whole:
		return f.trim(n)
	case n.dirty() || n.TakenOpen:
		return nil // it is the truth
	}
	same, err := f.asCut(n)
	if err != nil || same {
		return err
	}
	// The power went while the file was opened for writing, and left bytes on the
	// disk and not the mark that they are new.
	f.fd.Close()
	f.fd = nil
	return f.disbelieve(n)
}

// disbelieve forgets what is recorded of a clean content: the bucket has the file
// as it was. The record goes before a new content file could be taken for the old
// one. Cache.fmu is held.
func (f *file) disbelieve(n *inode) error {
	f.c.log.Warn("a content is not what it was when it was uploaded; it will be fetched", "ino", f.ino)
	f.have = have{Limit: n.Size}
	delete(f.c.later, f.ino)
	var b kv.Batch
	b.Delete(bHave, inoKey(f.ino))
	return f.c.db.Apply(&b)
}

// trim takes from a partial content what lies behind its recorded end: a change
// that a crash cut short left it. It never counted, and must not come to light
// when the file grows.
func (f *file) trim(n *inode) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.fd.Fd()), &st); err != nil {
		return &os.PathError{Op: "fstat", Path: f.fd.Name(), Err: err}
	}
	if st.Size <= n.Size {
		return nil
	}
	return f.fd.Truncate(n.Size)
}

// asCut reports whether the content of a clean file still has the size and time
// that the file has, as far as the bucket could give it again.
func (f *file) asCut(n *inode) (bool, error) {
	owed, err := f.c.marked(bOwed, f.ino)
	if err != nil || owed || !f.have.Whole || !n.committed() {
		return true, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.fd.Fd()), &st); err != nil {
		return false, &os.PathError{Op: "fstat", Path: f.fd.Name(), Err: err}
	}
	want, is := n.Mtime.time(), stampTS(st.Mtim).time()
	return st.Size == n.Size && (sameTime(want, is) || is.Equal(f.c.keptAs(want))), nil
}

// keptAs is what the disk of the contents makes of a time: ext4 ends in 2446, and
// others sooner. It is t where that cannot be told.
func (c *Cache) keptAs(t time.Time) time.Time {
	fd, err := os.OpenFile(c.probePath(), os.O_CREATE|os.O_RDONLY, 0o600)
	if err != nil {
		return t
	}
	defer fd.Close()
	var st unix.Stat_t
	if setMtime(c.probePath(), t) != nil || unix.Fstat(int(fd.Fd()), &st) != nil {
		return t
	}
	return stampTS(st.Mtim).time()
}

// sameTime compares a time with what a filesystem made of it, which may keep no
// more than two seconds (FAT), a second, or 10 ms (exFAT).
func sameTime(t, kept time.Time) bool {
	coarse := kept.Nanosecond()%int(10*time.Millisecond) == 0
	return t.Equal(kept) || coarse && t.Sub(kept).Abs() < 2*time.Second
}

// release gives a reference back; what the last one leaves is stored first.
func (c *Cache) release(f *file) {
	f.mu.Lock()
	c.fmu.Lock()
	if !f.saved {
		f.keepHave()
	}
	f.mu.Unlock()
	f.refs--
	last := f.refs == 0
	if last {
		delete(c.files, f.ino)
	}
	c.fmu.Unlock()
	if !last {
		return
	}
	f.mu.Lock()
	if f.fd != nil {
		f.fd.Close()
	}
	f.fd = nil
	f.closeOutside()
	f.mu.Unlock()
	if orphan, _ := c.marked(bOrphan, f.ino); orphan {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.sweep(f.ino)
	}
}

func (c *Cache) peek(ino Ino) *file {
	c.fmu.Lock()
	defer c.fmu.Unlock()
	return c.files[ino]
}

func (c *Cache) isOpen(ino Ino) bool { return c.peek(ino) != nil }

// keepHave hands the range map to the next Sync, which stores it once the
// fetched bytes are on disk: a record that outlives its data would make zeros of
// music. f.mu and Cache.fmu are held.
func (f *file) keepHave() {
	h := f.have
	h.Here, h.Written = slices.Clone(h.Here), slices.Clone(h.Written)
	f.c.later[f.ino] = &h
	f.c.touch(f.ino, h.held(f.size))
	f.saved = true
}

// putHave stores the range map with a change. The bytes it speaks of go to disk
// before. f.mu is held, and Cache.mu for writing.
func (x *change) putHave(f *file) error {
	if f.fresh() {
		if err := f.sync(); err != nil {
			return err
		}
	}
	x.c.fmu.Lock()
	delete(x.c.later, f.ino)
	x.c.fmu.Unlock()
	x.b.Put(bHave, inoKey(f.ino), encode(&f.have))
	f.saved = true
	return nil
}

// syncNew syncs the content file before a change that will store its ranges.
func (f *file) syncNew() error {
	f.mu.Lock()
	fd := f.fd
	f.mu.Unlock()
	if err := unix.Fdatasync(int(fd.Fd())); err != nil { // open: the caller has a handle
		return f.c.lose(f.ino, &os.PathError{Op: "fdatasync", Path: fd.Name(), Err: err})
	}
	return nil
}

// sync syncs the content file, and its name if that is new. f.mu is held.
func (f *file) sync() error {
	f.c.fmu.Lock()
	err := f.c.lost[f.ino]
	f.c.fmu.Unlock()
	if err != nil {
		return err
	}
	if err := unix.Fdatasync(int(f.fd.Fd())); err != nil {
		return f.c.lose(f.ino, &os.PathError{Op: "fdatasync", Path: f.fd.Name(), Err: err})
	}
	if f.named {
		return nil
	}
	if err := syncPath(filepath.Dir(f.fd.Name())); err != nil {
		return f.c.lose(f.ino, err)
	}
	f.named = true
	return nil
}

// fresh reports whether the range map has fetched bytes that the stored one has
// not. f.mu is held.
func (f *file) fresh() bool {
	f.c.fmu.Lock()
	defer f.c.fmu.Unlock()
	return f.fd != nil && (!f.saved || f.c.later[f.ino] != nil)
}

// live puts size and times of a whole content into n, if it is open. f.mu is held.
func (f *file) live(n *inode) bool {
	if !f.have.Whole || f.fd == nil {
		return false
	}
	var st unix.Stat_t
	if unix.Fstat(int(f.fd.Fd()), &st) != nil {
		return false
	}
	n.sized(&st)
	return true
}

// markDirty begins a new generation of a content.
func (c *Cache) markDirty(f *file) error {
	return c.update(f.ino, func(x *change, n *inode) error {
		x.dirty(f.ino, n)
		f.mu.Lock()
		defer f.mu.Unlock()
		if !f.have.Whole || !f.fresh() {
			return nil
		}
		// Writes to a whole content leave no record of their own: from here on
		// the mark that it is whole must be on disk.
		return x.putHave(f)
	})
}

// dirty marks the content of ino as changed. The content file's own times are
// made the inode's first, as they count from now on.
func (x *change) dirty(ino Ino, n *inode) {
	if !n.dirty() {
		_ = x.c.setContentMtime(ino, n.Mtime.time()) // only cosmetic until the next write
	}
	n.Gen++
	x.b.Put(bUncut, inoKey(ino), nil)
}

// writePartial writes into a content of which bytes are missing: the data, onto
// the disk, then the record of its range. Nothing is fetched.
func (c *Cache) writePartial(f *file, p []byte, off int64) (int, error) {
	k, whole, err := f.writeRange(p, off)
	if whole || k == 0 {
		return k, err
	}
	crashpoint.At("write.landed")
	if err := f.syncNew(); err != nil { // for the most part of it without Cache.mu
		return 0, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	x := c.begin()
	n, err2 := x.inode(f.ino)
	if err2 != nil {
		return 0, err2
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	n.changed(f.size, x.now)
	if err := x.putHave(f); err != nil {
		return 0, err
	}
	return k, errors.Join(err, x.apply())
}

// writeRange writes into the content file and takes the range as here and
// written; whole means that no record is needed.
func (f *file) writeRange(p []byte, off int64) (k int, whole bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.have.Whole { // since the caller looked
		k, err = f.fd.WriteAt(p, off)
		return k, true, err
	}
	if err := f.ensureContent(); err != nil {
		return 0, false, err
	}
	if k, err = f.fd.WriteAt(p, off); k == 0 {
		return 0, false, err
	}
	f.grow(max(f.size, off))
	f.have.Here = f.have.Here.add(off, off+int64(k))
	f.have.Written = f.have.Written.add(off, off+int64(k))
	f.size = max(f.size, off+int64(k))
	f.saved = false
	return k, false, err
}

// grow makes the bytes between the end and size zeros that are here. f.mu is held.
func (f *file) grow(size int64) {
	if size > f.size {
		f.have.Here = f.have.Here.add(f.size, size)
		f.have.Written = f.have.Written.add(f.size, size)
		f.size = size
	}
}

// ensureContent makes the sparse content file of a file of which nothing is
// here. f.mu is held.
func (f *file) ensureContent() error {
	if f.fd != nil {
		return nil
	}
	path, err := f.c.placeFor(f.ino)
	if err != nil {
		return err
	}
	fd, err := openContent(path, unix.O_CREAT|unix.O_TRUNC|unix.O_RDWR)
	if err != nil {
		return err
	}
	if err := fd.Truncate(f.size); err != nil {
		fd.Close()
		return err
	}
	f.fd = fd
	f.saved, f.named = false, false
	return nil
}
