package cache

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// snapshotOutside begins a cut of a file whose content lies outside. ErrStale if
// that is not what was taken in.
func (c *Cache) snapshotOutside(ino Ino, gen uint64, src *source) (*Snapshot, error) {
	o, err := c.openOutside(ino, src)
	if err == nil {
		if err = o.settled(); err != nil {
			o.Close()
		}
	}
	if errors.Is(err, ErrStale) {
		c.markStale(ino, gen, src, err)
	}
	if err != nil {
		return nil, err
	}
	s := &Snapshot{Ino: ino, Size: o.origin.Size, Rank: RankUnknown, c: c, gen: gen, whole: true, out: o, source: src}
	if s.Base, err = c.base(ino); err != nil {
		o.Close()
		return nil, err
	}
	return s, nil
}

func (s *Snapshot) readOutside(p []byte, off int64) (int, error) {
	n, err := s.out.ReadAt(p, off)
	switch {
	case err == nil:
		return n, nil
	case errors.Is(err, io.EOF) && off+int64(n) >= s.Size:
		return n, io.EOF
	case errors.Is(err, os.ErrClosed):
		return n, err
	}
	s.becameStale(fmt.Errorf("%w: %w", ErrStale, err))
	return n, s.stale
}

func (s *Snapshot) becameStale(why error) {
	if s.stale == nil {
		s.stale = why
		s.c.markStale(s.Ino, s.gen, s.source, why)
	}
}

// closeOutside looks a last time whether the file outside held still.
func (s *Snapshot) closeOutside() {
	if s.out == nil {
		return
	}
	if err := s.out.check(); err != nil {
		s.becameStale(err)
	}
	s.out.Close()
	s.out = nil
}

// unchanged gives ErrStale if the file outside changed while it was read. Cache.mu
// is held.
func (s *Snapshot) unchanged() error {
	if s.out != nil && s.stale == nil {
		return s.out.check() // Close notes it
	}
	return s.stale
}

// recutOutside marks a file whose content lies outside as not cut. What is here of
// it is of a recipe that counts no more.
func (c *Cache) recutOutside(ino Ino) error {
	f, err := c.acquire(ino)
	if err != nil {
		return err
	}
	defer c.release(f)
	return c.update(ino, func(x *change, n *inode) error {
		f.mu.Lock()
		defer f.mu.Unlock()
		x.outdate(f, n)
		return nil
	})
}

// outdate begins a new generation of a file whose content lies outside, and has
// what is here of an older one removed. f.mu is held.
func (x *change) outdate(f *file, n *inode) {
	n.Gen++
	n.Room = 0
	x.b.Put(bUncut, inoKey(f.ino), nil)
	f.fed = true
	here := f.fd != nil
	f.outdate(n.Size)
	if here {
		x.b.Delete(bHave, inoKey(f.ino))
		doom(&x.b, f.ino)
		x.c.forget(f.ino)
		x.c.removeLater(f.ino)
	}
}

// outdate forgets what is here of a file whose content lies outside and is another
// now. f.mu is held.
func (f *file) outdate(size int64) {
	for _, fl := range f.fills {
		fl.dead = true
		fl.cancel()
	}
	f.cond.Broadcast()
	if f.fd != nil {
		f.fd.Close()
		f.fd = nil
	}
	f.closeOutside()
	f.have, f.size, f.layout, f.small, f.saved = have{Limit: size}, size, nil, nil, true
}

// takeIn gives a file whose content lies outside one of its own: that of the
// bucket if it has it, else a copy. It does nothing for any other file.
func (c *Cache) takeIn(ino Ino) error {
	s, ok, err := c.outsideOf(ino)
	if err != nil || !ok {
		return err
	}
	f, err := c.acquire(ino)
	if err != nil {
		return err
	}
	defer c.release(f)
	o, err := c.unsafeOutside(ino)
	if err != nil {
		return fmt.Errorf("%w: what only %s has cannot be copied: %w", ErrUnavailable, s.Name, err)
	}
	tmp := ""
	if o != nil {
		defer o.Close()
		if tmp, err = c.copyOutside(o); err != nil {
			return err
		}
		defer os.Remove(tmp)
	}
	return c.update(ino, func(x *change, n *inode) error {
		f.mu.Lock()
		defer f.mu.Unlock()
		now, ok, err := c.source(ino)
		if err != nil || !ok {
			return err
		}
		safe, err := c.isSafe(ino, n)
		switch {
		case err != nil:
			return err
		case !safe && (o == nil || !now.Origin.equal(s.Origin)):
			return ErrBusy // changed meanwhile
		}
		x.b.Delete(bSource, inoKey(ino))
		f.fed = false
		f.closeOutside()
		if safe {
			return nil
		}
		return x.become(f, n, tmp)
	})
}

// copyOutside copies a content among those of the cache, onto the disk.
func (c *Cache) copyOutside(o *outsideFile) (name string, err error) {
	if err := c.claimEvicting(o.origin.Size); err != nil {
		return "", err
	}
	tmp, err := os.CreateTemp(c.opt.ContentDir, takenPrefix)
	if err != nil {
		return "", err
	}
	defer func() {
		if err = errors.Join(err, tmp.Close()); err != nil {
			os.Remove(tmp.Name())
		}
	}()
	if unix.IoctlFileClone(int(tmp.Fd()), int(o.Fd())) != nil {
		if _, err := io.Copy(tmp, io.NewSectionReader(o, 0, o.origin.Size)); err != nil {
			return "", err
		}
	}
	if err := o.check(); err != nil {
		return "", err
	}
	return tmp.Name(), tmp.Sync()
}

// become makes a copied file the whole content of f, which has none. f.mu is held.
func (x *change) become(f *file, n *inode, name string) error {
	path, err := x.c.placeFor(f.ino)
	if err != nil {
		return err
	}
	if err := setMtime(name, n.Mtime.time()); err != nil {
		return &os.PathError{Op: "utimensat", Path: name, Err: err}
	}
	if err := os.Rename(name, path); err != nil {
		return err
	}
	if err := syncPath(filepath.Dir(path)); err != nil { // before a row speaks of it
		return err
	}
	fd, err := openContent(path, unix.O_RDWR)
	if err != nil {
		return err
	}
	f.fd, f.have, f.size, f.layout, f.small = fd, have{Whole: true}, n.Size, nil, nil
	x.c.fmu.Lock()
	delete(x.c.later, f.ino)
	x.c.closed[f.ino] = time.Now()
	x.c.fmu.Unlock()
	x.b.Put(bHave, inoKey(f.ino), encode(&f.have))
	f.saved = true
	x.c.touchLRU(f.ino, n.Size)
	return nil
}
