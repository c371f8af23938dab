package label

import (
	"errors"
	"io"
	"sync"

	"github.com/tunesafe/tunesafe/internal/split"
)

const (
	// maxRead bounds what is read of one file, in bytes.
	maxRead = 4 << 20
	// maxField is the longest field that is read; titles are shorter, and what
	// is longer is lyrics.
	maxField = 64 << 10
	// maxSteps bounds every walk over frames, chunks, boxes and elements.
	maxSteps = 1 << 14
	// maxStretches bounds how many stretches of a file are remembered. An Ogg
	// file has some for each page; its first and its last are what is asked for.
	maxStretches = 1 << 12
	// window is how much is read at once.
	window = 4 << 10
)

// stretch is a part of the file that may be read.
type stretch struct{ off, end int64 }

// source reads the stretches of a file that may be read. Its first error sticks,
// and from then on the file looks as if it ended, as it does when maxRead bytes
// were read.
type source struct {
	r         io.ReaderAt
	size      int64
	stretches []stretch
	err       error

	buf  []byte // last read
	off  int64  // its place
	left int64  // bytes that may still be read
}

// newSource lets everything be read but sound behind the probe, and pictures.
func newSource(r io.ReaderAt, size int64, l split.Layout) *source {
	s := &source{r: r, size: size, left: maxRead}
	var off int64
	for _, run := range l.Runs {
		if k := l.Parts[run.Part]; k != split.Audio && k != split.Art {
			s.allow(off, off+run.Length)
		}
		off += run.Length
	}
	return s
}

// allow adds a stretch behind the others. When there are too many the last one
// gives way.
func (s *source) allow(off, end int64) {
	n := len(s.stretches)
	switch {
	case n > 0 && s.stretches[n-1].end == off:
		s.stretches[n-1].end = end
	case n == maxStretches:
		s.stretches[n-1] = stretch{off, end}
	default:
		s.stretches = append(s.stretches, stretch{off, end})
	}
}

// at returns the stretch that off is in; an empty one if there is none.
func (s *source) at(off int64) stretch {
	lo, hi := 0, len(s.stretches)
	for lo < hi {
		if m := (lo + hi) / 2; s.stretches[m].end <= off {
			lo = m + 1
		} else {
			hi = m
		}
	}
	if lo < len(s.stretches) && s.stretches[lo].off <= off {
		return s.stretches[lo]
	}
	return stretch{off, off}
}

// bytes returns the n bytes at off, or nil if not all of them may be read. The
// slice is valid until the next call.
func (s *source) bytes(off int64, n int) []byte {
	if b := s.some(off, n); len(b) == n {
		return b
	}
	return nil
}

// some returns the n bytes at off, or as many as may be read.
func (s *source) some(off int64, n int) []byte {
	if off < 0 || n <= 0 || s.err != nil {
		return nil
	}
	if i := off - s.off; i >= 0 && i+int64(n) <= int64(len(s.buf)) {
		return s.buf[i : i+int64(n)]
	}
	st := s.at(off)
	n = int(min(int64(n), st.end-off))
	if n <= 0 {
		return nil
	}
	if !s.fill(off, int(min(int64(max(n, window)), st.end-off))) {
		return nil
	}
	return s.buf[:n]
}

// fill reads the n bytes at off.
func (s *source) fill(off int64, n int) bool {
	if s.left -= int64(n); s.left < 0 {
		return false
	}
	if cap(s.buf) < n {
		s.giveBack()
		s.buf = windows.get(n)
	}
	s.buf, s.off = s.buf[:n], off
	m, err := s.r.ReadAt(s.buf, off)
	if m == n {
		return true
	}
	s.buf = s.buf[:0]
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	s.err = err
	return false
}

// giveBack ends the reading.
func (s *source) giveBack() {
	windows.put(s.buf)
	s.buf = nil
}

// windows lends what files are read into, as each of thousands would make garbage of some.
var windows pool

type pool struct{ p sync.Pool }

// lent is how long a buffer is that is lent, at least, and longestLent at most.
const (
	lent        = 16 << 10
	longestLent = 64 << 10
)

func (l *pool) get(n int) []byte {
	if b, ok := l.p.Get().(*[]byte); ok && cap(*b) >= n {
		return *b
	}
	return make([]byte, max(n, lent))
}

func (l *pool) put(b []byte) {
	if cap(b) >= lent && cap(b) <= longestLent {
		l.p.Put(&b)
	}
}

// tail returns the last bytes of the file, at most n of them, and where they
// begin.
func (s *source) tail(n int) ([]byte, int64) {
	if len(s.stretches) == 0 {
		return nil, s.size
	}
	st := s.stretches[len(s.stretches)-1]
	off := max(st.off, st.end-int64(n))
	return s.some(off, int(st.end-off)), off
}

// has reports whether the file has the magic at off.
func (s *source) has(off int64, magic string) bool {
	return string(s.some(off, len(magic))) == magic
}

// memory is bytes that are read as if they were a file.
type memory []byte

func (m memory) bytes(off int64, n int) []byte {
	if off < 0 || n <= 0 || off > int64(len(m)) || int64(n) > int64(len(m))-off {
		return nil
	}
	return m[off : off+int64(n)]
}

// reader is a source or memory.
type reader interface {
	bytes(off int64, n int) []byte
}
