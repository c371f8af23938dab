package cache

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/internal/crashpoint"
)

// emptyContent adds a new file's content: whole, and without a byte.
func (x *change) emptyContent(ino Ino, n *inode) error {
	fd, err := x.newContent(ino, n)
	if err != nil {
		return err
	}
	return fd.Close()
}

// newContent is emptyContent, with the content open.
func (x *change) newContent(ino Ino, n *inode) (*os.File, error) {
	path, err := x.c.placeFor(ino)
	if err != nil {
		return nil, err
	}
	fd, err := openContent(path, unix.O_CREAT|unix.O_TRUNC|unix.O_RDWR)
	if err != nil {
		return nil, err
	}
	// The times are the content's, as they will be told once the file is open.
	var st unix.Stat_t
	if err := unix.Fstat(int(fd.Fd()), &st); err != nil {
		fd.Close()
		return nil, &os.PathError{Op: "fstat", Path: fd.Name(), Err: err}
	}
	n.Atime, n.Mtime, n.Ctime = stampTS(st.Atim), stampTS(st.Mtim), stampTS(st.Ctim)
	n.Gen = 1
	x.b.Put(bHave, inoKey(ino), encode(&have{Whole: true}))
	crashpoint.At("create.content")
	x.b.Put(bUncut, inoKey(ino), nil)
	return fd, nil
}

// openContent opens a content file, by the system call: os.OpenFile tries whether
// it can be polled, which takes five more.
func openContent(path string, flags int) (*os.File, error) {
	for {
		fd, err := unix.Open(path, flags|unix.O_CLOEXEC, 0o600)
		switch {
		case err == nil:
			return os.NewFile(uintptr(fd), path), nil
		case !errors.Is(err, unix.EINTR):
			return nil, &os.PathError{Op: "open", Path: path, Err: err}
		}
	}
}

// Create makes and opens a regular file; ErrExist if the name is taken.
func (c *Cache) Create(parent Ino, n string, perm uint32, o Owner, fl OpenFlags) (Attr, *Handle, error) {
	if fl.Write {
		c.keepAhead()
	}
	var h *Handle
	a, err := c.make(parent, n, inode{Mode: unix.S_IFREG | perm&0o7777, UID: o.UID, GID: o.GID}, func(x *change, ino Ino, row *inode) (err error) {
		h, err = x.openNew(ino, row, fl)
		return err
	})
	return made(a, h, err)
}

// openNew adds a new file's content, and opens it before the file can be seen:
// nobody may take it, still empty, for finished.
func (x *change) openNew(ino Ino, row *inode, fl OpenFlags) (*Handle, error) {
	fd, err := x.newContent(ino, row)
	if err != nil {
		return nil, err
	}
	return x.c.enter(x.c.use(ino, fd), fl), nil
}

// made is what a making gives that may have failed after openNew.
func made(a Attr, h *Handle, err error) (Attr, *Handle, error) {
	switch {
	case err == nil:
		return a, h, nil
	case h != nil:
		err = errors.Join(err, h.Release())
	}
	return Attr{}, nil, err
}

// use enters a new, empty content as in use, with one reference.
func (c *Cache) use(ino Ino, fd *os.File) *file {
	f := &file{c: c, ino: ino, refs: 1, saved: true, fd: fd, have: have{Whole: true}}
	f.cond.L = &f.mu
	c.fmu.Lock()
	defer c.fmu.Unlock()
	c.files[ino] = f
	return f
}

// OpenFile opens a regular file.
func (c *Cache) OpenFile(ino Ino, fl OpenFlags) (*Handle, error) {
	if fl.Write || fl.Truncate {
		if err := c.writable(ino); err != nil {
			return nil, err
		}
		c.keepAhead()
	}
	f, err := c.acquire(ino)
	if err != nil {
		return nil, err
	}
	h := c.enter(f, fl)
	if fl.Write {
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

// enter makes a handle of a file, which takes the caller's reference, and counts it.
func (c *Cache) enter(f *file, fl OpenFlags) *Handle {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.handles == 0 {
		f.pass = c.opt.Passthrough && c.leases && !c.Full() && !fl.Ordinary && !f.fed && f.have.Whole && f.fd != nil
	}
	f.handles++
	if fl.Write {
		if f.writers == 0 {
			f.since = time.Now()
		}
		f.writers++ // before the generation: see Snapshot
	}
	h := &Handle{c: c, f: f, flags: fl, since: time.Now(), ra: readahead{quiet: fl.Quiet}}
	if !fl.Write && !fl.Quiet {
		f.readers = append(f.readers, h)
	}
	return h
}
