package split

import (
	"encoding/binary"
	"errors"
	"io"
)

const (
	// minWindow is the least that is read ahead where reads all but run into each
	// other, Ogg pages or ID3 frames too small to be worth a read each; what lies
	// further apart is read exactly, as what lies between may have to be fetched.
	minWindow = 288
	// maxWindow bounds reading ahead.
	maxWindow = 32 << 10
)

// file reads the file to be split. Reads are clipped to its size, and the first
// error sticks: from then on the file looks as if it ended, which every parser
// survives, and Split reports it in the end.
type file struct {
	r    io.ReaderAt
	size int64
	err  error

	buf   []byte // window last read
	off   int64  // its place in the file
	ahead int    // bytes to read at least; 0 after a jump
}

// bytes returns the n bytes at off, or as many as there are. The slice is valid
// until the next call.
func (f *file) bytes(off int64, n int) []byte {
	if off < 0 || off >= f.size {
		return nil
	}
	n = int(min(int64(n), f.size-off))
	if i := off - f.off; i >= 0 && i+int64(n) <= int64(len(f.buf)) {
		return f.buf[i : i+int64(n)]
	}
	f.fill(off, n)
	return f.buf[:min(n, len(f.buf))]
}

// fill reads the window at off, of n bytes or more.
func (f *file) fill(off int64, n int) {
	if i := off - f.off; i > 0 && i <= int64(len(f.buf)+minWindow) {
		f.ahead = min(max(2*f.ahead, minWindow), maxWindow)
	} else if i != 0 {
		f.ahead = 0
	}
	n = int(min(int64(max(n, f.ahead)), f.size-off))
	if cap(f.buf) < n {
		f.buf = make([]byte, n)
	}
	f.buf, f.off = f.buf[:n], off
	f.buf = f.buf[:f.read(f.buf, off)]
}

// read fills b from off and returns how much of it is there.
func (f *file) read(b []byte, off int64) int {
	if f.err != nil {
		return 0
	}
	n, err := f.r.ReadAt(b, off)
	if n == len(b) {
		return n
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	f.err = err
	return 0
}

// has reports whether the file has the magic at off.
func (f *file) has(off int64, magic string) bool {
	return string(f.bytes(off, len(magic))) == magic
}

// extent is a range of the file.
type extent struct{ off, length int64 }

// cursor reads forward over bytes that need not be contiguous in the file, as
// an Ogg packet's are not. Its methods fail by returning nil. A copy of a cursor
// reads on by itself.
type cursor struct {
	f    *file
	rest []extent
	in   int64 // bytes of rest[0] behind us
	left int64 // bytes before us
}

func newCursor(f *file, es ...extent) *cursor {
	c := &cursor{f: f, rest: es}
	for _, e := range es {
		c.left += e.length
	}
	return c
}

// take returns where the next n bytes are and moves behind them.
func (c *cursor) take(n int64) []extent {
	if n <= 0 || n > c.left {
		return nil
	}
	c.left -= n
	var es []extent
	for n > 0 {
		e := c.rest[0]
		m := min(n, e.length-c.in)
		es = append(es, extent{e.off + c.in, m})
		n -= m
		if c.in += m; c.in == e.length {
			c.rest, c.in = c.rest[1:], 0
		}
	}
	return es
}

// bytes returns the next n bytes and moves behind them. The slice is valid until
// the next call.
func (c *cursor) bytes(n int) []byte {
	es := c.take(int64(n))
	if len(es) == 1 {
		if b := c.f.bytes(es[0].off, n); len(b) == n {
			return b
		}
		return nil
	}
	var b []byte
	for _, e := range es {
		b = append(b, c.f.bytes(e.off, int(e.length))...)
	}
	if len(b) != n {
		return nil
	}
	return b
}

// skip moves n bytes on and reports whether they were there.
func (c *cursor) skip(n int64) bool {
	return n == 0 || c.take(n) != nil
}

// number reads a 32-bit number; it reports false at the end.
func (c *cursor) number(order binary.ByteOrder) (int64, bool) {
	b := c.bytes(4)
	if b == nil {
		return 0, false
	}
	return int64(order.Uint32(b)), true
}
