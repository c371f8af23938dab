package cache

import (
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/internal/crashpoint"
)

// announce records what must be known before the content gets another length: of
// a whole one, that it is dirty, so that it is the truth, whatever its length; of a
// partial one that becomes shorter, that nothing behind the new end counts. It
// returns the change that goes on, with its row. f.mu is held.
func (x *change) announce(f *file, n *inode, size int64) (*change, *inode, error) {
	enough := f.have.Whole && n.dirty() && !f.fresh() || !f.have.Whole && size >= f.size
	x.dirty(f.ino, n)
	if enough {
		return x, n, nil
	}
	if !f.have.Whole {
		f.have.Here, f.have.Written = f.have.Here.cut(size), f.have.Written.cut(size)
		f.have.Limit = min(f.have.Limit, size)
		f.size, n.Size = size, size
	}
	if err := x.putHave(f); err != nil {
		return nil, nil, err
	}
	if err := x.apply(); err != nil {
		return nil, nil, err
	}
	crashpoint.At("truncate.marked")
	x = x.c.begin()
	n, err := x.inode(f.ino)
	return x, n, err
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
	if x, n, err = x.announce(f, n, size); err != nil {
		return err
	}
	if err := f.fd.Truncate(size); err != nil {
		return err
	}
	crashpoint.At("truncate.content")
	if f.have.Whole = f.have.Whole || size == 0; !f.have.Whole {
		f.grow(size)
	} else {
		f.have = have{Whole: true}
	}
	f.size = size
	n.Room = 0
	if f.have.Whole {
		var st unix.Stat_t
		if err := unix.Fstat(int(f.fd.Fd()), &st); err != nil {
			return &os.PathError{Op: "fstat", Path: f.fd.Name(), Err: err}
		}
		n.sized(&st)
	}
	n.changed(size, x.now)
	if err := x.putHave(f); err != nil {
		return err
	}
	c.fmu.Lock()
	c.closed[ino] = time.Now()
	c.mustSync(ino)
	if size == 0 {
		delete(c.lost, ino) // what is written from now on is new
	}
	c.fmu.Unlock()
	return x.apply()
}
