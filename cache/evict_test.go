package cache

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"
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

// While all that is here has to stay, it is not gone through once a second: a
// library larger than the cap waits for weeks over a slow line.
func TestLooksForWhatMayGoAreRare(t *testing.T) {
	b, dir := newBucket(), t.TempDir()
	c := openCache(t, dir, b)
	const files = 3000
	for i := range files {
		_, h, err := c.Create(Root, fmt.Sprint(i), 0o644, Owner{}, OpenFlags{Write: true})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.WriteAt([]byte("waits"), 0); err != nil {
			t.Fatal(err)
		}
		if err := h.Release(); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	c = openCache(t, dir, b)
	defer c.Close()
	c.opt.CacheSize = 1
	looks := 0
	now := time.Now()
	for range 60 {
		looks += c.shrink(now)
		now = now.Add(time.Second)
	}
	if looks < files || looks > 60*1000 {
		t.Errorf("%d files that wait were looked at %d times in a minute", files, looks)
	}
}
