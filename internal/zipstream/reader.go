package zipstream

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// ErrChanged: a content is not what it was when it was last read.
var ErrChanged = errors.New("changed while it was read")

// Reader reads an archive, from anywhere. It is used by one goroutine at a time.
type Reader struct {
	a   *Archive
	ctx context.Context //nolint:containedctx // of one reading
	off int64
	err error

	small []byte // what is left of the piece that off is in, if that is no content
	buf   []byte // of small

	in      int     // the entry whose content is open
	content Content // nil: none
	next    int64   // of the content, to be read
	sum     uint32  // of what is before next
	summing bool    // sum is right

	sums []uint32 // of entries that were read
	has  []bool
}

// Reader begins to read at the start of the archive; ctx ends what it fetches.
func (a *Archive) Reader(ctx context.Context) *Reader { return &Reader{a: a, ctx: ctx} }

// Err is why the archive could not be read; nil if nothing failed.
func (r *Reader) Err() error { return r.err }

// Close ends its use.
func (r *Reader) Close() error { return r.shut() }

func (r *Reader) shut() error {
	if r.content == nil {
		return nil
	}
	err := r.content.Close()
	r.content = nil
	return err
}

// Seek implements [io.Seeker].
func (r *Reader) Seek(off int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		off += r.off
	case io.SeekEnd:
		off += r.a.size
	}
	if off < 0 {
		return 0, errors.New("seek to before the archive")
	}
	if off != r.off {
		r.off, r.small = off, nil
	}
	return off, nil
}

// Read implements [io.Reader].
func (r *Reader) Read(p []byte) (n int, err error) {
	if r.err != nil {
		return 0, r.err
	}
	for n < len(p) && r.off < r.a.size {
		k, err := r.some(p[n:])
		n += k
		r.off += int64(k)
		if err != nil {
			r.err = err
			return n, err
		}
	}
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// some reads from the piece that r.off is in.
func (r *Reader) some(p []byte) (int, error) {
	if len(r.small) == 0 {
		i, at := r.piece()
		if i >= 0 {
			return r.read(i, at, p)
		}
		if r.err != nil {
			return 0, r.err
		}
	}
	n := copy(p, r.small)
	r.small = r.small[n:]
	return n, nil
}

// piece finds what r.off is in: an entry and the place in its content, or -1 and
// r.small, or -1 and r.err.
func (r *Reader) piece() (entry int, place int64) {
	a := r.a
	var from int64
	switch {
	case r.off >= a.dirEnd:
		from, r.buf = a.dirEnd, a.end(r.buf[:0])
	case r.off >= a.dir:
		i := at(a.central, r.off)
		sum, err := r.sumOf(i)
		if err != nil {
			r.err = err
			return -1, 0
		}
		from, r.buf = a.central[i], a.entries[i].directory(r.buf[:0], sum, a.starts[i])
	default:
		i := at(a.starts, r.off)
		e := &a.entries[i]
		begin := a.starts[i] + e.headerLen()
		switch {
		case r.off < begin:
			from, r.buf = a.starts[i], e.header(r.buf[:0])
		case r.off < begin+e.Size:
			return i, r.off - begin
		default:
			sum, err := r.sumOf(i)
			if err != nil {
				r.err = err
				return -1, 0
			}
			from, r.buf = begin+e.Size, e.descriptor(r.buf[:0], sum)
		}
	}
	r.small = r.buf[r.off-from:]
	return -1, 0
}

// read reads content of an entry, and sums it up.
func (r *Reader) read(i int, off int64, p []byte) (int, error) {
	e := &r.a.entries[i]
	if r.content == nil || r.in != i || r.next != off {
		if err := r.begin(i, off); err != nil {
			return 0, r.failed(i, err)
		}
	}
	n, err := r.take(p[:min(int64(len(p)), e.Size-off)])
	if err != nil {
		return n, r.failed(i, err)
	}
	return n, nil
}

func (r *Reader) failed(i int, err error) error {
	return errors.Join(fmt.Errorf("%s: %w", r.a.entries[i].Name, err), r.shut())
}

// take reads on where the content is; at its end the sum is known.
func (r *Reader) take(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := r.content.ReadAt(p, r.next)
	if n < len(p) {
		if err == nil || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return n, err
	}
	e := &r.a.entries[r.in]
	r.next += int64(n)
	if r.summing {
		r.sum = crc32.Update(r.sum, crc32.IEEETable, p)
	}
	if r.next < e.Size {
		return n, nil
	}
	if err := r.shut(); err != nil || !r.summing {
		return n, err
	}
	if was, ok := r.a.sums.get(e.Key); ok && was != r.sum {
		return n, ErrChanged
	}
	r.a.sums.put(e.Key, r.sum)
	if r.has == nil {
		r.sums, r.has = make([]uint32, len(r.a.entries)), make([]bool, len(r.a.entries))
	}
	r.sums[r.in], r.has[r.in] = r.sum, true
	return n, nil
}

// begin opens the content of an entry for reading from off on. Where the sum is not
// known what is before off is read for it.
func (r *Reader) begin(i int, off int64) (err error) {
	if err := r.shut(); err != nil {
		return err
	}
	e := &r.a.entries[i]
	if r.content, err = r.a.open(r.ctx, e); err != nil {
		r.content = nil
		return err
	}
	r.in, r.next, r.sum, r.summing = i, off, 0, off == 0
	if _, ok := r.known(i); ok || off == 0 {
		return nil
	}
	r.next, r.summing = 0, true
	buf := make([]byte, min(off, sumBuffer))
	for r.next < off {
		if _, err := r.take(buf[:min(off-r.next, sumBuffer)]); err != nil {
			return err
		}
	}
	return nil
}

// known gives the sum of an entry, if it need not be read for that.
func (r *Reader) known(i int) (uint32, bool) {
	e := &r.a.entries[i]
	switch {
	case !e.later():
		return 0, true
	case r.has != nil && r.has[i]:
		return r.sums[i], true
	}
	return r.a.sums.get(e.Key)
}

// sumBuffer is how much is read at once of what is only summed up.
const sumBuffer = 256 << 10

// sumOf gives the sum of an entry; what nobody read yet is read.
func (r *Reader) sumOf(i int) (uint32, error) {
	if sum, ok := r.known(i); ok {
		return sum, nil
	}
	e := &r.a.entries[i]
	if err := r.begin(i, 0); err != nil {
		return 0, r.failed(i, err)
	}
	buf := make([]byte, min(e.Size, sumBuffer))
	for r.content != nil {
		if _, err := r.take(buf[:min(e.Size-r.next, sumBuffer)]); err != nil {
			return 0, r.failed(i, err)
		}
	}
	return r.sum, nil
}
