package cache

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/internal/crashpoint"
)

// copyAtOnce is how many bytes one call of CopyRange copies at most: whoever
// copies more asks again, and can be stopped in between.
const copyAtOnce = 64 << 20

// CopyRange copies up to n bytes from one file to another without their passing
// through a program, as copy_file_range(2) does. It returns how many were copied;
// none at the end of src, and EOPNOTSUPP where it cannot: the caller reads and
// writes then.
//
// Where both contents are here the kernel copies, by reference if the disk can.
// A file of missing bytes that is copied whole into an empty one is copied by its
// recipe: nothing is fetched, and nothing but a row will be uploaded.
func (c *Cache) CopyRange(src *Handle, srcOff int64, dst *Handle, dstOff, n int64) (int64, error) {
	from, fromWhole := src.f.content()
	to, toWhole := dst.f.content()
	switch {
	case fromWhole && toWhole:
		return c.copyContent(from, srcOff, to, dstOff, min(n, copyAtOnce))
	case toWhole && src.f != dst.f && srcOff == 0 && dstOff == 0:
		return c.copyRecipe(src.f, dst.f, n)
	}
	return 0, unix.EOPNOTSUPP
}

// content returns the content file, and whether it is whole.
func (f *file) content() (fd *os.File, whole bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fd, f.have.Whole && f.fd != nil
}

func (c *Cache) copyContent(from *os.File, srcOff int64, to *os.File, dstOff, n int64) (int64, error) {
	if err := c.claimEvicting(n); err != nil {
		return 0, err
	}
	k, err := unix.CopyFileRange(int(from.Fd()), &srcOff, int(to.Fd()), &dstOff, int(n), 0)
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EXDEV) || errors.Is(err, unix.EINVAL) {
		err = unix.EOPNOTSUPP
	}
	return int64(max(k, 0)), err
}

// copyRecipe makes an empty file one of missing bytes, with the recipe of src: what
// it would be had it been opened for writing with that recipe and not been written
// yet. So it stays dirty, what is written later is recorded, and the cut to come
// finds nothing changed.
//
// It is done only where nobody can know better. src is as the bucket has it, all of
// it; dst is open once, for the kernel which asks and holds the file's lock
// meanwhile, and not in passthrough mode.
func (c *Cache) copyRecipe(src, dst *file, n int64) (size int64, err error) {
	var was *have // what dst had, once it was changed
	err = c.update(dst.ino, func(x *change, to *inode) error {
		from, err := c.inode(src.ino)
		if err != nil {
			return err
		}
		r, err := c.recipe(src.ino)
		if err != nil {
			return err
		}
		if from.dirty() || from.TakenOpen || n < r.Size || r.Size != from.Size || !r.stored() {
			return unix.EOPNOTSUPP
		}
		dst.mu.Lock()
		defer dst.mu.Unlock()
		if dst.handles != 1 || dst.pass || !dst.emptyWhole() {
			return unix.EOPNOTSUPP
		}
		size, was = r.Size, &have{Whole: true}
		dst.have, dst.size, dst.layout, dst.small = have{Limit: size}, size, nil, nil
		if err := x.putHave(dst); err != nil {
			return err
		}
		x.b.Put(bRecipe, inoKey(dst.ino), encode(r))
		x.owe(dst.ino, r, RankUnknown)
		if says, err := c.Label(src.ino); err == nil && says != nil {
			x.b.Put(bLabel, inoKey(dst.ino), says)
		}
		to.Sound = new(r.sound())
		to.changed(size, x.now)
		to.Room = 0
		return nil
	})
	crashpoint.At("copy.recipe")
	if err != nil && was != nil { // the row could not be stored
		dst.mu.Lock()
		dst.have, dst.size = *was, 0
		dst.mu.Unlock()
	}
	if err != nil {
		return 0, err
	}
	return size, nil
}

// emptyWhole reports whether the content is known to have no byte. f.mu is held.
func (f *file) emptyWhole() bool {
	var st unix.Stat_t
	return f.have.Whole && f.fd != nil && unix.Fstat(int(f.fd.Fd()), &st) == nil && st.Size == 0
}

// stored reports whether the bucket has all bytes of the recipe.
func (r *Recipe) stored() bool {
	for _, p := range r.Parts {
		if p.Owed || p.Size > 0 && len(p.Blobs) == 0 {
			return false
		}
	}
	return r.Size > 0
}
