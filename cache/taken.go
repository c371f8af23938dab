package cache

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// takeTries is how often a copy of an open file is made in the hope that it
// holds still meanwhile; the last copy counts all the same, and is marked.
const takeTries = 3

// LongOpen lists the files that have been open for writing for d, since they
// were opened or last taken, and changed since; next is when to ask again, zero
// if no file is open for writing.
func (c *Cache) LongOpen(d time.Duration) (inos []Ino, next time.Time) {
	c.fmu.Lock()
	var files []*file
	for _, f := range c.files {
		files = append(files, f)
	}
	c.fmu.Unlock()
	now := time.Now()
	for _, f := range files {
		f.mu.Lock()
		at, open := f.since.Add(d), f.writers > 0 && f.have.Whole
		changed := open && f.changedSince()
		if open && at.After(now) && (next.IsZero() || at.Before(next)) {
			next = at
		}
		f.mu.Unlock()
		if open && !at.After(now) {
			if changed {
				inos = append(inos, f.ino)
			}
			if again := now.Add(d); next.IsZero() || again.Before(next) {
				next = again
			}
		}
	}
	return inos, next
}

// changedSince reports whether the content was written since it was last taken.
// f.mu is held.
func (f *file) changedSince() bool {
	var st unix.Stat_t
	if f.fd == nil || unix.Fstat(int(f.fd.Fd()), &st) != nil {
		return false
	}
	return stampTS(st.Mtim) != f.taken
}

// TakeOpen begins a cut of a file that stays open for writing: of a copy,
// preferably one during which the file held still. ErrBusy if nobody has it open.
func (c *Cache) TakeOpen(ino Ino) (*Snapshot, error) {
	n, err := c.inode(ino)
	if err != nil {
		return nil, err
	}
	s := &Snapshot{Ino: ino, c: c, gen: n.Gen, whole: true}
	if s.Base, err = c.base(ino); err != nil {
		return nil, err
	}
	f := c.peek(ino)
	if f == nil {
		return nil, ErrBusy
	}
	for range takeTries {
		if s.taken != nil {
			s.taken.Close()
		}
		still, err := s.copy()
		if err != nil {
			return nil, err
		}
		if still {
			break
		}
	}
	s.Size = s.st.Size
	f.mu.Lock()
	f.since, f.taken = time.Now(), stampTS(s.st.Mtim)
	f.mu.Unlock()
	return s, nil
}

// copy copies the content into a file without a name, by reference where the
// filesystem can, and reports whether it held still (size, mtime, ctime).
func (s *Snapshot) copy() (still bool, err error) {
	src, err := os.Open(s.c.contentPath(s.Ino))
	if err != nil {
		return false, err
	}
	defer src.Close()
	dst, err := s.c.Unnamed()
	if err != nil {
		return false, err
	}
	s.taken = dst
	var after unix.Stat_t
	if err := unix.Fstat(int(src.Fd()), &s.st); err != nil {
		return false, err
	}
	if unix.IoctlFileClone(int(dst.Fd()), int(src.Fd())) != nil {
		if _, err := io.Copy(dst, src); err != nil {
			return false, err
		}
	}
	if err := unix.Fstat(int(src.Fd()), &after); err != nil {
		return false, err
	}
	st, err := dst.Stat()
	if err != nil {
		return false, err
	}
	still = s.st.Size == after.Size && s.st.Mtim == after.Mtim && s.st.Ctim == after.Ctim
	s.st.Size = st.Size() // what was copied, whatever the file is now
	return still, nil
}

const takenPrefix = "taken-"

// Unnamed makes a file among the contents that has no name, and goes when closed.
func (c *Cache) Unnamed() (*os.File, error) {
	f, err := os.CreateTemp(c.opt.ContentDir, takenPrefix)
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// sweepTaken removes copies that a crash left between making and unnaming them.
func (c *Cache) sweepTaken() error {
	left, err := filepath.Glob(filepath.Join(c.opt.ContentDir, takenPrefix+"*"))
	for _, p := range left {
		err = errors.Join(err, os.Remove(p))
	}
	return err
}

// untaken begins a new generation of every file whose copy was taken while it
// was open: it may have been written since.
func (c *Cache) untaken(ino Ino) error {
	n, err := c.inode(ino)
	if err != nil || !n.TakenOpen {
		return err
	}
	return c.update(ino, func(x *change, n *inode) error {
		n.Gen++
		n.TakenOpen = false
		x.b.Put(bUncut, inoKey(ino), nil)
		return nil
	})
}
