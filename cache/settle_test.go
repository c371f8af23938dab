package cache

import (
	"errors"
	"testing"
	"time"
)

// A content that gets another number, because no commit holds its file or the
// other home changed it, counts with the bytes that are here, and can be evicted.
func TestSettleCountsWhatIsHere(t *testing.T) {
	b := newBucket()
	dir := t.TempDir()
	c := openCache(t, dir, b)
	track(t, c, b, 3_000_000)
	_, h, n, err := copyOf(t, c, "copy", 1<<40, OpenFlags{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.WriteAt(make([]byte, 5000), 1_000_000); err != nil {
		t.Fatal(err)
	}
	w, err := c.OpenFile(100, OpenFlags{Write: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.WriteAt(make([]byte, 7000), 1_000_000); err != nil {
		t.Fatal(err)
	}
	settle(c)
	if err := errors.Join(h.Release(), w.Release(), c.Close()); err != nil {
		t.Fatal(err)
	}
	c = openCache(t, dir, b)
	defer c.Close()
	before := c.lruSum
	if before < 12_000 || before >= n {
		t.Fatalf("%d bytes count before", before)
	}
	theirs := Row{Ino: 100, Mode: 0o100644, Mtime: time.Unix(1_600_000_000, 0), Recipe: &Recipe{}}
	beside, err := c.Settle([]Row{theirs}, nil, 7<<32, "other")
	if err != nil || len(beside) != 1 {
		t.Fatalf("kept beside: %q, %v", beside, err)
	}
	if c.lruSum != before {
		t.Errorf("%d bytes count, %d before", c.lruSum, before)
	}
	for _, ino := range c.lru.Keys() {
		if held, _ := c.lru.Peek(ino); held > 0 && ino>>32 != 7 {
			t.Errorf("%d bytes count as those of %d, of which nothing is here", held, ino)
		}
	}
}
