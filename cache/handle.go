package cache

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/internal/crashpoint"
)

// Handle is one open file.
type Handle struct {
	c     *Cache
	f     *file
	flags OpenFlags
	ra    readahead
	since time.Time    // it was opened
	read  atomic.Int64 // bytes that went through it

	// Guarded by file.mu.
	heard bool          // sound is asked for at once: see ReadSome
	left  chan struct{} // closed by Leave; nil while nobody hesitates
}

// Passthrough returns the descriptor that the kernel may use itself.
func (h *Handle) Passthrough() (fd int, ok bool) {
	h.f.mu.Lock()
	defer h.f.mu.Unlock()
	if !h.f.pass || h.f.fd == nil {
		return 0, false
	}
	return int(h.f.fd.Fd()), true
}

// Partial tells whether bytes of the content are missing here.
func (h *Handle) Partial() bool {
	h.f.mu.Lock()
	defer h.f.mu.Unlock()
	return !h.f.have.Whole
}

// Release ends the use of the handle.
func (h *Handle) Release() error {
	h.ra.stop()
	f := h.f
	if h.flags.Write { // before it counts no more as a writer: see unsynced
		h.c.fmu.Lock()
		h.c.mustSync(f.ino)
		h.c.fmu.Unlock()
	}
	f.mu.Lock()
	f.handles--
	if h.flags.Write {
		f.writers--
	}
	f.readers = slices.DeleteFunc(f.readers, func(r *Handle) bool { return r == h })
	last := f.handles == 0
	if last {
		f.leaveSmall()
	}
	f.mu.Unlock()
	var err error
	crashpoint.At("release.begun")
	if h.flags.Write {
		err = h.c.untaken(f.ino)
		if err == nil {
			err = h.c.refresh(f.ino)
		}
		if errors.Is(err, ErrNotExist) {
			err = nil
		}
		h.c.fmu.Lock()
		h.c.closed[f.ino] = time.Now()
		h.c.fmu.Unlock()
	}
	h.c.release(f)
	if last {
		h.c.poke() // an upload may have waited for the file
	}
	return err
}

// Sync makes the content and everything before it durable.
func (h *Handle) Sync() error { return h.c.SyncFile(h.f.ino) }

// ReadAt reads up to len(p) bytes from off; fewer only at the end of the file.
func (h *Handle) ReadAt(ctx context.Context, p []byte, off int64) (n int, err error) {
	defer func() { h.read.Add(int64(n)) }()
	f := h.f
	f.mu.Lock()
	if f.have.Whole && !f.fed {
		fd := f.fd
		f.mu.Unlock()
		return readFull(fd, p, off)
	}
	defer f.mu.Unlock()
	if off >= f.size {
		return 0, nil
	}
	p = p[:min(int64(len(p)), f.size-off)]
	if f.fed {
		if is, err := f.readOutside(p, off); is || err != nil {
			return orZero(len(p), err), err
		}
	}
	if err := f.readPartial(ctx, &h.ra, p, off); err != nil {
		return 0, err // of p nothing may be believed
	}
	return len(p), nil
}

func orZero(n int, err error) int {
	if err != nil {
		return 0
	}
	return n
}

func readFull(r io.ReaderAt, p []byte, off int64) (int, error) {
	n, err := r.ReadAt(p, off)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

// WriteAt writes p at off. On a full disk only bytes that are there already may
// be replaced; else it is ErrFull.
func (h *Handle) WriteAt(p []byte, off int64) (int, error) {
	full := h.c.claimEvicting(int64(len(p)))
	f := h.f
	f.mu.Lock()
	if f.have.Whole {
		fd := f.fd
		f.mu.Unlock()
		if full != nil {
			if st, err := fd.Stat(); err != nil || off+int64(len(p)) > st.Size() {
				return 0, full
			}
		}
		return fd.WriteAt(p, off)
	}
	f.mu.Unlock()
	if full != nil {
		return 0, full
	}
	return h.c.writePartial(f, p, off)
}

// Allocate is fallocate(2) on the content; mode takes FALLOC_FL_KEEP_SIZE,
// FALLOC_FL_PUNCH_HOLE and FALLOC_FL_ZERO_RANGE.
func (h *Handle) Allocate(off, n int64, mode uint32) error {
	if mode&unix.FALLOC_FL_PUNCH_HOLE == 0 {
		if err := h.c.claimEvicting(n); err != nil {
			return err
		}
	}
	f := h.f
	f.mu.Lock()
	if f.have.Whole {
		defer f.mu.Unlock()
		return unix.Fallocate(int(f.fd.Fd()), mode, off, n)
	}
	f.mu.Unlock()
	return h.c.allocatePartial(f, off, n, mode)
}

// allocatePartial is fallocate(2) on a content of which bytes are missing. Nothing
// is fetched: room is taken without touching what is to come there, and bytes made
// zero count as written.
func (c *Cache) allocatePartial(f *file, off, n int64, mode uint32) error {
	const keep, punch, zero = unix.FALLOC_FL_KEEP_SIZE, unix.FALLOC_FL_PUNCH_HOLE, unix.FALLOC_FL_ZERO_RANGE
	if mode&^(keep|punch|zero) != 0 {
		return unix.EOPNOTSUPP
	}
	return c.update(f.ino, func(x *change, row *inode) error {
		f.mu.Lock()
		defer f.mu.Unlock()
		if err := f.ensureContent(); err != nil {
			return err
		}
		if f.have.Whole { // since the caller looked
			return unix.Fallocate(int(f.fd.Fd()), mode, off, n)
		}
		if err := unix.Fallocate(int(f.fd.Fd()), mode, off, n); err != nil {
			return err
		}
		if mode&(punch|zero) != 0 {
			end := min(off+n, f.size)
			f.have.Here, f.have.Written = f.have.Here.add(off, end), f.have.Written.add(off, end)
		}
		if mode&keep == 0 {
			f.grow(off + n)
		}
		row.changed(f.size, x.now)
		return x.putHave(f)
	})
}

// Lseek is lseek(2) for SEEK_DATA and SEEK_HOLE. A file of which bytes are
// missing is all data but for the zeros of its recipe.
func (h *Handle) Lseek(off int64, whence uint32) (int64, error) {
	f := h.f
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.have.Whole {
		return unix.Seek(int(f.fd.Fd()), off, int(whence))
	}
	if off < 0 || off >= f.size {
		return 0, unix.ENXIO
	}
	return f.seekPartial(off, whence == unix.SEEK_HOLE)
}
