package cache

import (
	"context"
	"errors"
	"os"
	"testing"
)

// What was fetched of a file counts as long as it is here, though the rest never
// comes, and can be evicted.
func TestPartlyFetchedIsEvicted(t *testing.T) {
	b := newBucket()
	dir := t.TempDir()
	c := openCache(t, dir, b)
	track(t, c, b, 3_000_000)
	h, err := c.OpenFile(100, OpenFlags{Read: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.ReadAt(context.Background(), make([]byte, 10), 5000); err != nil {
		t.Fatal(err)
	}
	settle(c)
	if err := errors.Join(h.Release(), c.Sync()); err != nil {
		t.Fatal(err)
	}
	for _, when := range []string{"fetched", "opened again"} {
		if c.lruSum < 10 || c.lruSum > 2*firstWindow {
			t.Errorf("%s: %d bytes count", when, c.lruSum)
		}
		if when == "fetched" {
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
			c = openCache(t, dir, b)
			defer c.Close()
		}
	}
	freed, err := c.EvictAll()
	if err != nil || freed < 10 || c.lruSum != 0 {
		t.Errorf("%d bytes freed, %d count still, %v", freed, c.lruSum, err)
	}
	if _, err := os.Stat(c.contentPath(100)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the content is still here: %v", err)
	}
}
