package cache

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// sparse serves a part that begins and ends with data around many zeros, and
// refuses to be asked for these.
type sparse struct {
	t          *testing.T
	head, tail []byte
	zeros      int64
}

func (s *sparse) Runs(context.Context, *Recipe) ([]Run, error) { return nil, ErrUnavailable }

func (s *sparse) Open(_ context.Context, _ Part, off, n int64) (io.ReadCloser, error) {
	at := int64(len(s.head))
	if off < at && off+n <= at {
		return io.NopCloser(bytes.NewReader(s.head[off : off+n])), nil
	}
	if at += s.zeros; off >= at {
		return io.NopCloser(bytes.NewReader(s.tail[off-at : off-at+n])), nil
	}
	s.t.Errorf("%d bytes from %d on are fetched, and are zeros", n, off)
	return nil, ErrUnavailable
}

// TestManyZeros: zeros of a recipe are read, and known as a hole, without being
// fetched and without taking room, also once the rest is here.
func TestManyZeros(t *testing.T) {
	s := &sparse{t: t, head: bytes.Repeat([]byte("h"), 3<<20+5), tail: bytes.Repeat([]byte("t"), 700<<10), zeros: 1 << 40}
	c, err := Open(t.TempDir(), Options{SyncEvery: time.Hour, Log: slog.New(slog.DiscardHandler), Fetcher: s})
	must(t, err)
	defer c.Close()
	size := int64(len(s.head)) + s.zeros + int64(len(s.tail))
	part := Part{Kind: "data", Size: size, Blobs: []Blob{{ID: [16]byte{1}, Size: int64(len(s.head))}, {Size: s.zeros / 2}, {Size: s.zeros / 2}, {ID: [16]byte{2}, Size: int64(len(s.tail)), Off: 77}}}
	const ino = 77
	must(t, c.Absorb([]Row{{Ino: ino, Mode: unix.S_IFREG | 0o644, Mtime: time.Unix(1e9, 0), Recipe: &Recipe{Size: size, Parts: []Part{part}, Runs: []Run{{Length: size}}}}},
		[]NameRow{{Parent: Root, Name: "image", Ino: ino}}, "d:1"))
	h, err := c.OpenFile(ino, OpenFlags{Read: true})
	must(t, err)
	defer h.Release()
	behind := int64(len(s.head)) + s.zeros
	look := func(when string) {
		t.Helper()
		for _, seek := range []struct {
			off    int64
			whence uint32
			want   int64
		}{{0, unix.SEEK_DATA, 0}, {5, unix.SEEK_HOLE, int64(len(s.head))}, {1 << 30, unix.SEEK_HOLE, 1 << 30}, {1 << 30, unix.SEEK_DATA, behind}, {behind, unix.SEEK_HOLE, size}} {
			// A disk has holes of whole blocks.
			if got, err := h.Lseek(seek.off, seek.whence); err != nil || got < seek.want-4095 || got > seek.want+4095 {
				t.Errorf("%s: lseek(%d, %d) = %d, %v; want %d", when, seek.off, seek.whence, got, err, seek.want)
			}
		}
		if n, err := h.Zeros(t.Context(), 1<<30); err != nil || n < behind-(1<<30)-4095 || n > behind-(1<<30) {
			t.Errorf("%s: %d zeros, %v", when, n, err)
		}
		p := bytes.Repeat([]byte{1}, 1<<20)
		if n, err := h.ReadAt(t.Context(), p, 1<<39); n != len(p) || err != nil || bytes.ContainsFunc(p, func(r rune) bool { return r != 0 }) {
			t.Errorf("%s: no zeros are read in the middle: %d, %v", when, n, err)
		}
	}
	look("cold")
	for _, at := range []int64{0, 1 << 20, 2 << 20, int64(len(s.head)) - 100, behind - 1000, size - 400<<10} {
		p, want := make([]byte, 400<<10), make([]byte, 400<<10)
		for i := range want {
			switch off := at + int64(i); {
			case off < int64(len(s.head)):
				want[i] = 'h'
			case off >= behind:
				want[i] = 't'
			}
		}
		if n, err := h.ReadAt(t.Context(), p, at); err != nil || !bytes.Equal(p[:n], want[:n]) {
			t.Errorf("at %d: %d bytes, %v", at, n, err)
		}
	}
	for off := int64(0); off < size; {
		if n, _ := h.Zeros(t.Context(), off); n > 0 {
			off += n
			continue
		}
		n, err := h.ReadAt(t.Context(), make([]byte, 1<<20), off)
		must(t, err)
		off += int64(n)
	}
	for began := time.Now(); h.Partial(); time.Sleep(time.Millisecond) {
		if time.Since(began) > time.Minute {
			t.Fatal("the file did not become whole")
		}
	}
	look("whole")
	var st unix.Stat_t
	must(t, unix.Stat(c.contentPath(ino), &st))
	if st.Size != size || st.Blocks*512 > 5<<20 {
		t.Errorf("the content is of %d bytes and takes %d", st.Size, st.Blocks*512)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
