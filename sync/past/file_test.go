package past

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	gosync "sync"
	"testing"
	"testing/iotest"

	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/repo"
	"github.com/tunesafe/tunesafe/tests/tools"
)

// blobs is a Fetcher over bytes in memory that counts what is asked of it.
type blobs struct {
	mu    gosync.Mutex
	all   map[repo.ID][]byte
	asked int64
	calls int
}

func (b *blobs) Open(_ context.Context, p cache.Part, off, n int64) (io.ReadCloser, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls++
	b.asked += n
	if len(p.Blobs) == 0 {
		return nil, cache.ErrOwed
	}
	var part []byte
	for _, x := range p.Blobs {
		if x.IsZeros() {
			part = append(part, make([]byte, x.Size)...)
			continue
		}
		blob, ok := b.all[x.ID]
		if !ok {
			return nil, cache.ErrOwed
		}
		part = append(part, blob[x.Off:x.Off+x.Size]...)
	}
	return io.NopCloser(iotest.HalfReader(bytes.NewReader(part[off : off+n]))), nil
}

func (b *blobs) Runs(context.Context, *cache.Recipe) ([]cache.Run, error) {
	return nil, cache.ErrUnavailable
}

// part stores n random bytes in blobs of some sizes, with holes among them.
func (b *blobs) part(rnd *rand.Rand, kind string, n int64) (p repo.Part, all []byte) {
	p = repo.Part{Kind: kind, Size: n}
	for left := n; left > 0; {
		k := min(left, 1+rnd.Int64N(n/2+1))
		if rnd.IntN(4) == 0 {
			p.Blobs = append(p.Blobs, repo.Slice{Size: k})
			all = append(all, make([]byte, k)...)
		} else {
			skip := rnd.IntN(100)
			blob := make([]byte, int64(skip)+k)
			for i := range blob {
				blob[i] = byte(rnd.Uint32()) | 1
			}
			id := repo.ID{byte(len(b.all)), 1}
			b.all[id] = blob
			p.Blobs = append(p.Blobs, repo.Slice{ID: id, Size: k, Off: int64(skip)})
			all = append(all, blob[skip:]...)
		}
		left -= k
	}
	return p, all
}

func newPast(t *testing.T, b *blobs) *Past {
	t.Helper()
	c, err := cache.Open(t.TempDir(), cache.Options{Fetcher: b, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return New(Options{Cache: c})
}

// randomFile is a file of parts in runs, and its bytes.
func randomFile(rnd *rand.Rand, b *blobs) (row repo.InodeRow, want []byte) {
	row = repo.InodeRow{Inode: 7, Type: "file"}
	var rest [][]byte
	for _, kind := range []string{"tags", "probe", "audio", "data"} {
		p, all := b.part(rnd, kind, 1+rnd.Int64N(1+rnd.Int64N(3<<20)))
		row.Parts = append(row.Parts, p)
		rest = append(rest, all)
	}
	for len(rest[0])+len(rest[1])+len(rest[2])+len(rest[3]) > 0 {
		i := rnd.IntN(len(rest))
		k := min(len(rest[i]), 1+rnd.IntN(1<<20))
		if k == 0 {
			continue
		}
		want = append(want, rest[i][:k]...)
		rest[i] = rest[i][k:]
		row.Runs = append(row.Runs, repo.Run{Part: i, Length: int64(k)})
	}
	row.Size = int64(len(want))
	return row, want
}

// TestFile reads files of any making here and there, on and on, and by several at once.
func TestFile(t *testing.T) {
	rnd := rand.New(rand.NewPCG(uint64(tools.Seed(t)), 0))
	for range tools.Count(t, 8, 100, 2000) {
		b := &blobs{all: map[repo.ID][]byte{}}
		row, want := randomFile(rnd, b)
		f := newPast(t, b).open(row, false)
		read := func(off int64, n int) {
			p := make([]byte, n)
			k, err := f.ReadAt(t.Context(), p, off)
			rest := want[min(off, f.Size()):]
			if !bytes.Equal(p[:k], rest[:min(n, len(rest))]) || (err == io.EOF) != (k < n) || err != nil && err != io.EOF {
				t.Errorf("%d of %d bytes at %d of %d: %v", k, n, off, len(want), err)
			}
		}
		for range 30 {
			read(rnd.Int64N(f.Size()+100), rnd.IntN(1<<uint(rnd.IntN(21))))
		}
		var g gosync.WaitGroup
		for i := range 3 {
			g.Go(func() {
				for off := int64(i); off < f.Size(); off += 70_000 {
					read(off, 70_000)
				}
			})
		}
		g.Wait()
		holes(t, f, want)
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}

// holes goes through a file by its holes: they are zeros, and the rest is none.
func holes(t *testing.T, f *File, want []byte) {
	t.Helper()
	for off := int64(0); off < f.Size(); {
		data, err := f.Lseek(off, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			data, err = f.Size(), nil
		}
		if err != nil || data < off || len(bytes.Trim(want[off:data], "\x00")) > 0 {
			t.Errorf("from %d on data begin at %d, %v", off, data, err)
			return
		}
		if data == f.Size() {
			return
		}
		if off, err = f.Lseek(data, unix.SEEK_HOLE); err != nil || off <= data || bytes.IndexByte(want[data:off], 0) >= 0 {
			t.Errorf("from %d on a hole begins at %d, %v", data, off, err)
			return
		}
	}
}

// TestFileAsksForLittle: who looks at a place of the sound has 256 KiB of it sent, who
// reads on has each byte sent once, in few requests.
func TestFileAsksForLittle(t *testing.T) {
	b := &blobs{all: map[repo.ID][]byte{{1}: make([]byte, 40<<20)}}
	row := repo.InodeRow{Inode: 7, Type: "file", Size: 40 << 20, Runs: []repo.Run{{Length: 40 << 20}},
		Parts: []repo.Part{{Kind: "audio", Size: 40 << 20, Blobs: []repo.Slice{{ID: repo.ID{1}, Size: 40 << 20}}}}}
	f := newPast(t, b).open(row, false)
	defer f.Close()
	if _, err := f.ReadAt(t.Context(), make([]byte, 100), 1<<20); err != nil || b.asked != 256<<10 {
		t.Errorf("%d bytes were asked for, %v", b.asked, err)
	}
	*b = blobs{all: b.all}
	p := make([]byte, 128<<10)
	for off := int64(0); off < f.Size(); off += int64(len(p)) {
		if _, err := f.ReadAt(t.Context(), p, off); err != nil {
			t.Fatal(err)
		}
	}
	if b.asked != f.Size() || b.calls > 10 {
		t.Errorf("%d bytes were asked for in %d requests", b.asked, b.calls)
	}
}

// TestPruned: what is in the store no more is an error that says so.
func TestPruned(t *testing.T) {
	b := &blobs{all: map[repo.ID][]byte{}}
	row := repo.InodeRow{Inode: 7, Type: "file", Size: 9, Runs: []repo.Run{{Length: 9}},
		Parts: []repo.Part{{Kind: "tags", Size: 9, Blobs: []repo.Slice{{ID: repo.ID{1}, Size: 9}}}}}
	f := newPast(t, b).open(row, false)
	defer f.Close()
	n, err := f.ReadAt(t.Context(), make([]byte, 9), 0)
	if n != 0 || !errors.Is(err, ErrPruned) || !errors.Is(err, cache.ErrUnavailable) {
		t.Errorf("%d bytes, %v", n, err)
	}
	row.Parts[0].Blobs = nil // owed, and never paid
	f = newPast(t, b).open(row, false)
	defer f.Close()
	if _, err := f.ReadAt(t.Context(), make([]byte, 9), 0); !errors.Is(err, cache.ErrOwed) {
		t.Errorf("what is owed: %v", err)
	}
}
