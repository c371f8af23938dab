package cache

import (
	"errors"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/internal/crashpoint"
)

// file is a content in use: open handles, fetches under way, or a cut.
type file struct {
	c    *Cache
	ino  Ino
	refs int // guarded by Cache.fmu

	mu      sync.Mutex
	cond    sync.Cond // a fill moved on
	fd      *os.File  // content file, read and write; nil while no byte is here
	have    have
	saved   bool // have is stored, or handed to the next Sync
	size    int64
	layout  *layout // of the recipe; loaded at the first miss
	small   map[int][]byte
	fills   []*fill
	handles int
	writers int
	pass    bool // the kernel reads and writes fd itself, until the last release

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
	f := &file{c: c, ino: ino, refs: 1, saved: true}
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
	ok, err := f.c.haveOf(f.ino, &f.have)
	if err != nil {
		return err
	}
	if !ok {
		f.have = have{Limit: n.Size}
		return nil
	}
	f.fd, err = os.OpenFile(f.c.contentPath(f.ino), os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) && !n.dirty() {
		// Evicted just before a power loss took the record of it, or the
		// content folder was emptied: the bucket has the bytes.
		f.have = have{Limit: n.Size}
		return nil
	}
	return err
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
	f.saved = true
}

// putHave stores the range map with a change. Fetched bytes go to disk before.
// f.mu is held, and Cache.mu for writing.
func (x *change) putHave(f *file) error {
	if f.fresh() {
		if err := unix.Fdatasync(int(f.fd.Fd())); err != nil {
			return &os.PathError{Op: "fdatasync", Path: f.fd.Name(), Err: err}
		}
	}
	x.c.fmu.Lock()
	delete(x.c.later, f.ino)
	x.c.fmu.Unlock()
	x.b.Put(bHave, inoKey(f.ino), encode(&f.have))
	f.saved = true
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

// emptyContent adds a new file's content: whole, and without a byte.
func (x *change) emptyContent(ino Ino, n *inode) error {
	fd, err := os.OpenFile(x.c.contentPath(ino), os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer fd.Close()
	// The times are the content's, as they will be told once the file is open.
	var st unix.Stat_t
	if err := unix.Fstat(int(fd.Fd()), &st); err != nil {
		return &os.PathError{Op: "fstat", Path: fd.Name(), Err: err}
	}
	n.Atime, n.Mtime, n.Ctime = stampTS(st.Atim), stampTS(st.Mtim), stampTS(st.Ctim)
	n.Gen = 1
	x.b.Put(bHave, inoKey(ino), encode(&have{Whole: true}))
	crashpoint.At("create.content")
	x.b.Put(bUncut, inoKey(ino), nil)
	return nil
}

// Create makes and opens a regular file; ErrExist if the name is taken.
func (c *Cache) Create(parent Ino, n string, perm uint32, o Owner, fl OpenFlags) (Attr, *Handle, error) {
	a, err := c.make(parent, n, inode{Mode: unix.S_IFREG | perm&0o7777, UID: o.UID, GID: o.GID}, (*change).emptyContent)
	if err != nil {
		return Attr{}, nil, err
	}
	fl.Truncate = false // it is empty
	h, err := c.open(a.Ino, fl, false)
	return a, h, err
}

// OpenFile opens a regular file.
func (c *Cache) OpenFile(ino Ino, fl OpenFlags) (*Handle, error) { return c.open(ino, fl, true) }

func (c *Cache) open(ino Ino, fl OpenFlags, bump bool) (*Handle, error) {
	if fl.Write {
		c.keepAhead()
	}
	f, err := c.acquire(ino)
	if err != nil {
		return nil, err
	}
	h := &Handle{c: c, f: f, flags: fl}
	f.mu.Lock()
	if f.handles == 0 {
		f.pass = c.opt.Passthrough && c.leases && !c.Full() && f.have.Whole && f.fd != nil
	}
	f.handles++
	if fl.Write {
		if f.writers == 0 {
			f.since = time.Now()
		}
		f.writers++ // before the generation: see Snapshot
	}
	f.mu.Unlock()
	if fl.Write && bump {
		err = c.markDirty(f)
	}
	crashpoint.At("open.marked")
	if err == nil && fl.Truncate {
		err = c.truncate(ino, 0)
	}
	if err != nil {
		h.Release()
		return nil, err
	}
	return h, nil
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

// writePartial writes into a content of which bytes are missing: the data, then
// the record of its range. Nothing is fetched.
func (c *Cache) writePartial(f *file, p []byte, off int64) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	x := c.begin()
	n, err := x.inode(f.ino)
	if err != nil {
		return 0, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.have.Whole { // since the caller looked
		return f.fd.WriteAt(p, off)
	}
	if err := f.ensureContent(); err != nil {
		return 0, err
	}
	k, err := f.fd.WriteAt(p, off)
	if k == 0 {
		return 0, err
	}
	crashpoint.At("write.landed")
	f.grow(max(f.size, off))
	f.have.Here = f.have.Here.add(off, off+int64(k))
	f.have.Written = f.have.Written.add(off, off+int64(k))
	f.size = max(f.size, off+int64(k))
	n.Size, n.Mtime, n.Ctime = f.size, x.now, x.now
	if herr := x.putHave(f); herr != nil {
		return 0, herr
	}
	return k, errors.Join(err, x.apply())
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
	fd, err := os.OpenFile(f.c.contentPath(f.ino), os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	if err := fd.Truncate(f.size); err != nil {
		fd.Close()
		return err
	}
	f.fd = fd
	f.saved = false
	return nil
}

// truncate sets the size of a file.
func (c *Cache) truncate(ino Ino, size int64) error {
	if size < 0 {
		return ErrInvalid
	}
	f, err := c.acquire(ino)
	if err != nil {
		return err
	}
	defer c.release(f)
	c.mu.Lock()
	defer c.mu.Unlock()
	x := c.begin()
	n, err := x.inode(ino)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.ensureContent(); err != nil {
		return err
	}
	x.dirty(ino, n)
	if !f.have.Whole {
		f.grow(size)
		f.have.Here, f.have.Written = f.have.Here.cut(size), f.have.Written.cut(size)
		f.have.Limit = min(f.have.Limit, size)
		if size == 0 {
			f.have = have{Whole: true}
		}
	}
	if err := f.fd.Truncate(size); err != nil {
		return err
	}
	crashpoint.At("truncate.content")
	f.size = size
	n.Room = 0
	if f.have.Whole {
		var st unix.Stat_t
		if err := unix.Fstat(int(f.fd.Fd()), &st); err != nil {
			return &os.PathError{Op: "fstat", Path: f.fd.Name(), Err: err}
		}
		n.sized(&st)
	}
	n.Size, n.Mtime, n.Ctime = size, x.now, x.now
	if err := x.putHave(f); err != nil {
		return err
	}
	c.fmu.Lock()
	c.closed[ino] = time.Now()
	c.toSync[ino] = true
	c.fmu.Unlock()
	return x.apply()
}
