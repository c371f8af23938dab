package cache

import (
	"context"
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// manyZeros is the length in bytes from which zeros of a recipe are known without
// being fetched or written; fewer are read like other bytes.
const manyZeros = 1 << 20

// findZeros notes where a part has many zeros, as offsets in the part.
func (l *layout) findZeros(part int) {
	var off int64
	var zeros extents
	for _, b := range l.recipe.Parts[part].Blobs {
		if b.IsZeros() {
			zeros = zeros.add(off, off+b.Size)
		}
		off += b.Size
	}
	for _, e := range zeros {
		if e.End-e.Off >= manyZeros {
			if l.zeros == nil {
				l.zeros = make([]extents, len(l.recipe.Parts))
			}
			l.zeros[part] = append(l.zeros[part], e)
		}
	}
}

// zerosAt tells how many of n bytes of a part from off on are alike: many zeros,
// or to be fetched.
func (l *layout) zerosAt(part int, off, n int64) (int64, bool) {
	if l.zeros == nil {
		return n, false
	}
	return l.zeros[part].at(off, off+n)
}

// Zeros tells how many bytes from off on are known to be zeros unread: a hole of
// the content, or zeros that the bucket need not be asked for. 0 if it is not known.
func (h *Handle) Zeros(ctx context.Context, off int64) (int64, error) {
	f := h.f
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.have.Whole {
		return holeAt(f.fd, off)
	}
	n, zero, err := f.alike(ctx, off)
	if !zero {
		n = 0
	}
	return n, err
}

// holeAt gives the length of the hole of a file at off.
func holeAt(fd *os.File, off int64) (int64, error) {
	to, err := unix.Seek(int(fd.Fd()), off, unix.SEEK_DATA)
	switch {
	case errors.Is(err, unix.ENXIO):
		if to, err = fd.Seek(0, io.SeekEnd); err != nil {
			return 0, err
		}
	case err != nil:
		return 0, nil // the disk does not tell
	}
	return max(to-off, 0), nil
}

// alike tells how many bytes of a partial content from off on are alike: zeros of
// the recipe that were not written over, or others. f.mu is held, and let go while
// the recipe is completed.
func (f *file) alike(ctx context.Context, off int64) (n int64, zero bool, err error) {
	if off >= f.size {
		return 0, false, nil
	}
	// Its recipe, if it has one, is of what the bucket has, which is another content.
	if _, is, err := f.liesOutside(); is || err != nil {
		return f.size - off, false, err
	}
	n, here := f.have.Here.at(off, f.size)
	if here || off >= f.have.Limit {
		return n, false, nil
	}
	if err := f.needLayout(ctx); err != nil {
		return 0, false, err
	}
	s := f.layout.at(off)
	n, zero = f.layout.zerosAt(s.part, s.partOff, min(n, s.n, f.have.Limit-off))
	return n, zero, nil
}

// seekPartial is lseek(2) on a content of which bytes are missing: the holes are
// the zeros of its recipe, as far as it is here. f.mu is held.
func (f *file) seekPartial(off int64, wantHole bool) (int64, error) {
	here, cancel := context.WithCancel(context.Background())
	cancel()
	for off < f.size {
		n, zero, err := f.alike(here, off)
		if err != nil {
			n, zero = f.size-off, false
		}
		if zero == wantHole {
			return off, nil
		}
		off += n
	}
	if wantHole {
		return f.size, nil
	}
	return 0, unix.ENXIO
}

// putZeros makes the zeros of a recipe count as here, as holes. f.mu is held.
func (f *file) putZeros(l *layout) error {
	for part, zeros := range l.zeros {
		for _, e := range zeros {
			for at := e.Off; at < e.End; {
				off, n := l.fileOff(part, at)
				n = min(n, e.End-at)
				if err := f.putHole(off, n); err != nil {
					return err
				}
				at += n
			}
		}
	}
	return nil
}

// putHole is put for n zeros.
func (f *file) putHole(off, n int64) error {
	end := min(off+n, f.have.Limit)
	for at := off; at < end && !f.have.Whole; {
		k, here := f.have.Here.at(at, end)
		if !here {
			// What a fetch that was killed left there must not come to light.
			err := unix.Fallocate(int(f.fd.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, at, k)
			if err != nil {
				return &os.PathError{Op: "fallocate", Path: f.fd.Name(), Err: err}
			}
			f.have.Here = f.have.Here.add(at, at+k)
			f.saved = false
		}
		at += k
	}
	return nil
}

// zerosHere reports whether all of a stretch of a run that is not here is zeros of
// the recipe. f.mu is held.
func (f *file) zerosHere(l *layout, part int, partOff, off, end int64) bool {
	for off < end {
		n, here := f.have.Here.at(off, end)
		if !here {
			var zero bool
			if n, zero = l.zerosAt(part, partOff, n); !zero {
				return false
			}
		}
		off, partOff = off+n, partOff+n
	}
	return true
}
