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
	now := time.Now()
	looks := func(seconds int) (n int) {
		for range seconds {
			n += c.shrink(now)
			now = now.Add(time.Second)
		}
		return n
	}
	if n := looks(60); n != files {
		t.Errorf("%d files that wait were looked at %d times in a minute", files, n)
	}
	c.mayGo.Store(true) // as each of many commits does
	if n := looks(1); n != files {
		t.Errorf("after a commit %d were looked at", n)
	}
	c.mayGo.Store(true)
	if n := looks(2); n != 0 {
		t.Errorf("a second later %d were looked at", n)
	}
	if n := looks(700); n != 2*files { // for the commit, and in case of a mapping
		t.Errorf("in ten minutes %d were looked at", n)
	}
}
