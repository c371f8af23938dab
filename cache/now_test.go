package cache

import (
	"bytes"
	"math/rand/v2"
	gosync "sync"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/tests/tools"
)

// retagged makes the tags of [track]'s file others, as a commit would, and returns the
// parts of the version before.
func retagged(t *testing.T, c *Cache, b *bucket) []Part {
	t.Helper()
	r, err := c.recipe(100)
	if err != nil {
		t.Fatal(err)
	}
	before := r.Parts
	h, err := c.OpenFile(100, OpenFlags{Read: true, Write: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.WriteAt([]byte("a new title"), 10); err != nil {
		t.Fatal(err)
	}
	if err := h.Release(); err != nil {
		t.Fatal(err)
	}
	s, err := c.Snapshot(100)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	now := *r
	now.Parts = append([]Part{b.store("tags", bytes.Repeat([]byte("t"), 3000))}, before[1:]...)
	if err := s.SetRecipe(now); err != nil {
		t.Fatal(err)
	}
	return before
}

// TestNow: parts that a version shares with the content of now are read there, and what
// is not here, is other by now or may become other is not.
func TestNow(t *testing.T) {
	const sound = 2_000_000
	b := newBucket()
	c := openCache(t, t.TempDir(), b)
	defer c.Close()
	track(t, c, b, sound)
	audio := b.blobs[[16]byte([]byte("0000000000000002"))]
	reads := func(parts []Part, off, n int) bool {
		t.Helper()
		calls := b.calls
		p := make([]byte, n)
		k := c.Now(100, parts).ReadAt(2, p, int64(off))
		if !bytes.Equal(p[:k], audio[off:off+k]) {
			t.Errorf("other bytes at %d", off)
		}
		if b.calls > calls {
			t.Errorf("%d requests", b.calls-calls)
		}
		return k > 0
	}
	r, err := c.recipe(100)
	if err != nil {
		t.Fatal(err)
	}
	if reads(r.Parts, 0, 100) {
		t.Error("what is not here was read")
	}
	readAll(t, c, 100)
	waitWhole(t, c, 100)
	before := retagged(t, c, b)
	// Over the index in the middle of it, in two stretches.
	for off := 0; off < sound; off += 99_999 {
		if !reads(before, off, min(99_999, sound-off)) {
			t.Errorf("the sound at %d is not read here", off)
		}
	}
	if k := c.Now(100, before).ReadAt(0, make([]byte, 10), 0); k > 0 {
		t.Error("the tags are said to be the same")
	}
	for _, ino := range []Ino{Root, 101} {
		if k := c.Now(ino, before).ReadAt(2, make([]byte, 10), 0); k > 0 {
			t.Errorf("inode %d is said to have sound", ino)
		}
	}
	h, err := c.OpenFile(100, OpenFlags{Write: true})
	if err != nil {
		t.Fatal(err)
	}
	if reads(before, 0, 100) {
		t.Error("read while somebody may write")
	}
	if err := h.Release(); err != nil {
		t.Fatal(err)
	}
	if reads(before, 0, 100) {
		t.Error("read before what was written is cut")
	}
}

// No writer is ever seen through it, whenever he comes.
func TestNowAmidWriters(t *testing.T) {
	b := newBucket()
	c := openCache(t, t.TempDir(), b)
	defer c.Close()
	track(t, c, b, 300_000)
	audio := b.blobs[[16]byte([]byte("0000000000000002"))]
	r, err := c.recipe(100)
	if err != nil {
		t.Fatal(err)
	}
	readAll(t, c, 100)
	waitWhole(t, c, 100)
	rnd := rand.New(rand.NewPCG(uint64(tools.Seed(t)), 0))
	read := 0
	for range tools.Count(t, 200, 1000, 10_000) {
		now := c.Now(100, r.Parts)
		var g gosync.WaitGroup
		g.Go(func() {
			p := make([]byte, 4096)
			for off := range int64(30) {
				k := now.ReadAt(2, p, off*5000)
				if !bytes.Equal(p[:k], audio[off*5000:][:k]) {
					t.Error("bytes of a writer were read")
				}
				read += k
			}
		})
		time.Sleep(time.Duration(rnd.IntN(300)) * time.Microsecond)
		h, err := c.OpenFile(100, OpenFlags{Write: true})
		if err != nil {
			t.Fatal(err)
		}
		want := readAll(t, c, 100)
		if _, err := h.WriteAt(bytes.Repeat([]byte{0xee}, 200_000), 2000); err != nil {
			t.Fatal(err)
		}
		if _, err := h.WriteAt(want[2000:202_000], 2000); err != nil {
			t.Fatal(err)
		}
		g.Wait()
		if err := h.Release(); err != nil {
			t.Fatal(err)
		}
		s, err := c.Snapshot(100)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.SetRecipe(*r); err != nil {
			t.Fatal(err)
		}
		s.Close()
	}
	if read == 0 {
		t.Error("nothing was ever read")
	}
	t.Logf("%d bytes", read)
}
