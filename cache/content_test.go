package cache

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	gosync "sync"
	"testing"
	"testing/iotest"
	"time"

	"pgregory.net/rapid"
)

// bucket is a Fetcher over bytes in memory that counts what is asked of it.
type bucket struct {
	mu    gosync.Mutex
	blobs map[[16]byte][]byte
	asked map[string]int64 // bytes by kind of part
	calls int
	fail  error
	block chan struct{} // if set, reads wait for it
}

func newBucket() *bucket {
	return &bucket{blobs: map[[16]byte][]byte{}, asked: map[string]int64{}}
}

func (b *bucket) Open(_ context.Context, p Part, off, n int64) (io.ReadCloser, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fail != nil {
		return nil, b.fail
	}
	b.calls++
	b.asked[p.Kind] += n
	var all []byte
	for _, x := range p.Blobs {
		all = append(all, b.blobs[x.ID]...)
	}
	r := io.Reader(bytes.NewReader(all[off : off+n]))
	if b.block != nil {
		wait := b.block
		r = io.MultiReader(readerFunc(func([]byte) (int, error) { <-wait; return 0, io.EOF }), r)
	}
	return io.NopCloser(iotest.HalfReader(r)), nil
}

func (b *bucket) Runs(context.Context, *Recipe) ([]Run, error) { return nil, ErrUnavailable }

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// store keeps a part and names it.
func (b *bucket) store(kind string, p []byte) Part {
	var id [16]byte
	b.mu.Lock()
	defer b.mu.Unlock()
	copy(id[:], fmt.Sprintf("%016d", len(b.blobs)))
	b.blobs[id] = p
	return Part{Kind: kind, Size: int64(len(p)), Blobs: []Blob{{ID: id, Size: int64(len(p))}}}
}

func openCache(t testing.TB, dir string, b *bucket) *Cache {
	t.Helper()
	o := Options{SyncEvery: time.Hour, Log: slog.New(slog.DiscardHandler)}
	if b != nil {
		o.Fetcher = b
	}
	c, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// crash leaves the files of the cache as the death of the program would, in a
// copy that can be opened.
func crash(t testing.TB, dir string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

// settle waits until no fetch goes on: files are not copied at one instant.
func settle(c *Cache) {
	for f := c.peek(100); f != nil; time.Sleep(time.Millisecond) {
		c.fmu.Lock()
		refs := f.refs
		c.fmu.Unlock()
		if refs == 1 {
			return
		}
	}
}

// TestMain runs fewer random sequences by default; -rapid.checks sets another count.
func TestMain(m *testing.M) {
	flag.Set("rapid.checks", "25")
	flag.Parse()
	os.Exit(m.Run())
}

// track stores a file of tags, index, sound and tail tags, and absorbs it as Ino 100.
func track(t testing.TB, c *Cache, b *bucket, sound int) []byte {
	t.Helper()
	rnd := rand.New(rand.NewPCG(1, uint64(sound)))
	random := func(n int) []byte {
		p := make([]byte, n)
		for i := range p {
			p[i] = byte(rnd.Uint32())
		}
		return p
	}
	tags, index, audio := random(3000), random(500), random(sound)
	r := &Recipe{Parts: []Part{b.store("tags", tags), b.store("index", index), b.store("audio", audio)}}
	h := sound / 2
	r.Runs = []Run{{Part: 0, Length: 2000}, {Part: 2, Length: int64(h)}, {Part: 1, Length: 500}, {Part: 2, Length: int64(sound - h)}, {Part: 0, Length: 1000}}
	var file []byte
	for _, p := range [][]byte{tags[:2000], audio[:h], index, audio[h:], tags[2000:]} {
		file = append(file, p...)
	}
	r.Size = int64(len(file))
	err := c.Absorb([]Row{{Ino: 100, Mode: 0o100644, Mtime: time.Unix(1500000000, 5), Recipe: r}},
		[]NameRow{{Parent: Root, Name: "t.mp3", Ino: 100}}, "d:1")
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func readAll(t testing.TB, c *Cache, ino Ino) []byte {
	t.Helper()
	h, err := c.OpenFile(ino, OpenFlags{Read: true})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Release()
	a, err := c.Attr(ino)
	if err != nil {
		t.Fatal(err)
	}
	p := make([]byte, a.Size)
	if n, err := h.ReadAt(context.Background(), p, 0); err != nil || n != len(p) {
		t.Fatalf("read %d of %d: %v", n, len(p), err)
	}
	return p
}

func TestColdReadIsTheFile(t *testing.T) {
	b := newBucket()
	c := openCache(t, t.TempDir(), b)
	defer c.Close()
	want := track(t, c, b, 700_000)
	if got := readAll(t, c, 100); !bytes.Equal(got, want) {
		t.Fatal("a cold read gave other bytes")
	}
	// Once whole, nothing is asked any more.
	waitWhole(t, c, 100)
	calls := b.calls
	if got := readAll(t, c, 100); !bytes.Equal(got, want) || b.calls != calls {
		t.Fatalf("a warm read: %d calls of the bucket, want 0", b.calls-calls)
	}
}

func waitWhole(t testing.TB, c *Cache, ino Ino) {
	t.Helper()
	for range 6000 {
		if err := c.Sync(); err != nil {
			t.Fatal(err)
		}
		var h have
		if ok, err := c.row(bHave, inoKey(ino), &h); err != nil {
			t.Fatal(err)
		} else if ok && h.Whole {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("the file never became whole")
}

func TestReadingTagsFetchesNoSound(t *testing.T) {
	b := newBucket()
	c := openCache(t, t.TempDir(), b)
	defer c.Close()
	want := track(t, c, b, 2_000_000)
	h, err := c.OpenFile(100, OpenFlags{Read: true})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Release()
	for _, r := range [][2]int{{0, 2000}, {1_002_000, 500}, {len(want) - 1000, 1000}} {
		p := make([]byte, r[1])
		if _, err := h.ReadAt(context.Background(), p, int64(r[0])); err != nil || !bytes.Equal(p, want[r[0]:r[0]+r[1]]) {
			t.Fatalf("read at %d: %v", r[0], err)
		}
	}
	if b.asked["audio"] != 0 {
		t.Fatalf("%d bytes of sound fetched", b.asked["audio"])
	}
}

func TestPartialWriteFetchesNothing(t *testing.T) {
	b := newBucket()
	c := openCache(t, t.TempDir(), b)
	defer c.Close()
	want := track(t, c, b, 2_000_000)
	h, err := c.OpenFile(100, OpenFlags{Read: true, Write: true})
	if err != nil {
		t.Fatal(err)
	}
	copy(want[100:], "a new title")
	if _, err := h.WriteAt([]byte("a new title"), 100); err != nil {
		t.Fatal(err)
	}
	h.Release()
	if b.calls != 0 {
		t.Fatalf("%d fetches for a write", b.calls)
	}
	s, err := c.Snapshot(100)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if part, off, n := s.Kept(2000, 1_000_000); part != 2 || off != 0 || n != 1_000_000 {
		t.Fatalf("the sound is not seen to be untouched: part %d at %d, %d bytes", part, off, n)
	}
	if _, _, n := s.Kept(100, 1); n != 0 {
		t.Fatal("written bytes are seen as untouched")
	}
	if got := readAll(t, c, 100); !bytes.Equal(got, want) {
		t.Fatal("other bytes after a write")
	}
}

func TestTwoReadersOneRequest(t *testing.T) {
	b := newBucket()
	b.block = make(chan struct{})
	c := openCache(t, t.TempDir(), b)
	defer c.Close()
	want := track(t, c, b, 900_000)
	h, err := c.OpenFile(100, OpenFlags{Read: true})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Release()
	var wg gosync.WaitGroup
	for range 8 {
		wg.Go(func() {
			p := make([]byte, 4096)
			if _, err := h.ReadAt(context.Background(), p, 10_000); err != nil || !bytes.Equal(p, want[10_000:14_096]) {
				t.Error("read:", err)
			}
		})
	}
	time.Sleep(50 * time.Millisecond)
	close(b.block)
	wg.Wait()
	if b.calls != 1 {
		t.Fatalf("%d requests for one range, want 1", b.calls)
	}
}

func TestUnreachableIsAnErrorNotZeros(t *testing.T) {
	b := newBucket()
	c := openCache(t, t.TempDir(), b)
	defer c.Close()
	track(t, c, b, 900_000)
	b.fail = ErrUnavailable
	h, err := c.OpenFile(100, OpenFlags{Read: true})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Release()
	if _, err := h.ReadAt(context.Background(), make([]byte, 10), 500_000); err == nil {
		t.Fatal("a read of missing bytes succeeded without the bucket")
	}
	b.mu.Lock()
	b.fail = nil
	b.mu.Unlock()
	if _, err := h.ReadAt(context.Background(), make([]byte, 10), 500_000); err != nil {
		t.Fatal("the bucket is back, the read fails still:", err)
	}
}

// TestContentModel compares a file of which bytes are missing with a slice, over
// reads, writes, truncation, reopening, cutting, eviction and crashes.
func TestContentModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		b := newBucket()
		dir, err := os.MkdirTemp(t.TempDir(), "")
		if err != nil {
			rt.Fatal(err)
		}
		c := openCache(t, dir, b)
		defer func() { c.Close() }()
		want := track(t, c, b, rapid.SampledFrom([]int{10, 5_000, 600_000, 1_500_000}).Draw(rt, "sound"))
		open := func() *Handle {
			h, err := c.OpenFile(100, OpenFlags{Read: true, Write: true})
			if err != nil {
				rt.Fatal(err)
			}
			return h
		}
		h := open()
		defer func() { h.Release() }()
		at := func(rt *rapid.T) int { return rapid.IntRange(0, len(want)+5000).Draw(rt, "at") }
		check := func(rt *rapid.T, off, n int) {
			p := make([]byte, n)
			k, err := h.ReadAt(context.Background(), p, int64(off))
			if err != nil {
				rt.Fatal(err)
			}
			if exp := want[min(off, len(want)):min(off+n, len(want))]; !bytes.Equal(p[:k], exp) {
				rt.Fatalf("read of %d at %d gave %d bytes, not those of the model (%d)", n, off, k, len(exp))
			}
		}
		rt.Repeat(map[string]func(*rapid.T){
			"read": func(rt *rapid.T) { check(rt, at(rt), rapid.IntRange(1, 200_000).Draw(rt, "n")) },
			"write": func(rt *rapid.T) {
				off, n := at(rt), rapid.IntRange(1, 50_000).Draw(rt, "n")
				p := bytes.Repeat([]byte{byte(off), byte(n), 7}, n)[:n]
				if _, err := h.WriteAt(p, int64(off)); err != nil {
					rt.Fatal(err)
				}
				if grow := off + n - len(want); grow > 0 {
					want = append(want, make([]byte, grow)...)
				}
				copy(want[off:], p)
			},
			"truncate": func(rt *rapid.T) {
				size := int64(at(rt))
				if _, err := c.SetAttr(100, Change{Size: &size}); err != nil {
					rt.Fatal(err)
				}
				want = append(want[:min(int(size), len(want))], make([]byte, max(0, int(size)-len(want)))...)
			},
			"reopen": func(rt *rapid.T) { h.Release(); h = open() },
			"crash": func(rt *rapid.T) {
				settle(c)
				dir = crash(t, dir)
				h.Release()
				c.Close()
				c = openCache(t, dir, b)
				h = open()
			},
			"cut": func(rt *rapid.T) {
				h.Release()
				cutAsData(rt, c, b, want)
				h = open()
			},
			"evict": func(rt *rapid.T) {
				h.Release()
				cutAsData(rt, c, b, want)
				if batch, _, err := c.Pending(100); err != nil {
					rt.Fatal(err)
				} else if err := c.Committed(batch, "d:2"); err != nil {
					rt.Fatal(err)
				}
				if _, err := c.EvictAll(); err != nil {
					rt.Fatal(err)
				}
				h = open()
			},
			"": func(rt *rapid.T) {
				a, err := c.Attr(100)
				if err != nil || a.Size != int64(len(want)) {
					rt.Fatalf("size %d, want %d (%v)", a.Size, len(want), err)
				}
				check(rt, max(0, len(want)-100), 200)
			},
		})
		check(rt, 0, len(want)+1)
	})
}

// cutAsData accepts a cut of the file as one opaque part, as the worker would.
func cutAsData(rt *rapid.T, c *Cache, b *bucket, want []byte) {
	var s *Snapshot
	var err error
	for range 20_000 { // a fetch that goes on keeps the descriptor a little longer
		if s, err = c.Snapshot(100); err != ErrBusy {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if err != nil {
		rt.Fatal("snapshot:", err)
	}
	defer s.Close()
	got, err := io.ReadAll(io.NewSectionReader(s, 0, s.Size))
	if err != nil || !bytes.Equal(got, want) {
		rt.Fatalf("a cut reads other bytes: %d, want %d (%v)", len(got), len(want), err)
	}
	r := Recipe{Size: s.Size}
	if len(got) > 0 {
		r.Parts = []Part{b.store("data", got)}
		r.Runs = []Run{{Length: s.Size}}
	}
	if err := s.SetRecipe(r); err != nil {
		rt.Fatal("accepting the cut:", err)
	}
}

func TestWriterVoidsCut(t *testing.T) {
	c := openCache(t, t.TempDir(), nil)
	defer c.Close()
	a, h, err := c.Create(Root, "f", 0o644, Owner{}, OpenFlags{Write: true})
	if err != nil {
		t.Fatal(err)
	}
	h.WriteAt([]byte("one"), 0)
	if _, err := c.Snapshot(a.Ino); err != ErrBusy {
		t.Fatalf("snapshot of an open file: %v, want ErrBusy", err)
	}
	h.Release()
	s, err := c.Snapshot(a.Ino)
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	h, err = c.OpenFile(a.Ino, OpenFlags{Write: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SetRecipe(Recipe{Size: 3}); err != ErrChanged {
		t.Fatalf("cut accepted beside a writer: %v, want ErrChanged", err)
	}
	h.Release()
	if err := s.SetRecipe(Recipe{Size: 3}); err != ErrChanged {
		t.Fatalf("cut accepted after a writer came and went: %v, want ErrChanged", err)
	}
}

func TestUnlinkedFileLivesWhileOpen(t *testing.T) {
	dir := t.TempDir()
	c := openCache(t, dir, nil)
	a, h, err := c.Create(Root, "f", 0o644, Owner{}, OpenFlags{Read: true, Write: true})
	if err != nil {
		t.Fatal(err)
	}
	h.WriteAt([]byte("still here"), 0)
	if err := c.Unlink(Root, "f"); err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 10)
	if _, err := h.ReadAt(context.Background(), p, 0); err != nil || string(p) != "still here" {
		t.Fatalf("read %q of an unlinked open file: %v", p, err)
	}
	after := crash(t, dir)
	h.Release()
	for _, d := range []string{dir, after} {
		if d == after {
			c.Close()
			c = openCache(t, after, nil)
			defer c.Close()
		}
		if _, err := c.Attr(a.Ino); err != ErrNotExist {
			t.Fatalf("the inode is there still: %v", err)
		}
		if err := c.Sync(); err != nil { // a content goes once the rows that did it are on disk
			t.Fatal(err)
		}
		if left, _ := filepath.Glob(filepath.Join(d, "content/*/*")); len(left) > 0 {
			t.Fatalf("contents left behind: %v", left)
		}
	}
}

// TestAttrBesideRelease: the size is never an older one while the last handle
// of a written file is being released.
func TestAttrBesideRelease(t *testing.T) {
	c := openCache(t, t.TempDir(), nil)
	defer c.Close()
	a, h, err := c.Create(Root, "f", 0o644, Owner{}, OpenFlags{Write: true})
	if err != nil {
		t.Fatal(err)
	}
	for i := range int64(3000) {
		if _, err := h.WriteAt([]byte("0123456789"), 10*i); err != nil {
			t.Fatal(err)
		}
		released := make(chan struct{})
		go func() { h.Release(); close(released) }()
		for done := false; !done; {
			select {
			case <-released:
				done = true
			default:
			}
			if got, err := c.Attr(a.Ino); err != nil || got.Size != 10*i+10 {
				t.Fatalf("round %d: size %d, want %d (%v)", i, got.Size, 10*i+10, err)
			}
		}
		if h, err = c.OpenFile(a.Ino, OpenFlags{Write: true}); err != nil {
			t.Fatal(err)
		}
	}
	h.Release()
}
