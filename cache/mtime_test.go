package cache

import (
	"bytes"
	"errors"
	"testing"
	"time"
)

// A content is not fetched again because its disk cannot hold the time of the
// file: ext4 knows the years 1901 to 2446.
func TestTimeThatTheDiskCannotHold(t *testing.T) {
	for _, year := range []int{1000, 1800, 2500, 9999} {
		mtime := time.Date(year, 6, 7, 8, 9, 10, 11, time.UTC)
		b := newBucket()
		dir := t.TempDir()
		c := openCache(t, dir, b)
		want := track(t, c, b, 5000)
		if _, err := c.SetAttr(100, Change{Mtime: &mtime}); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(readAll(t, c, 100), want) {
			t.Fatal("other bytes")
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		c = openCache(t, dir, nil) // nothing can be fetched
		if !bytes.Equal(readAll(t, c, 100), want) {
			t.Fatal("other bytes")
		}
		if a, err := c.Attr(100); err != nil || !a.Mtime.Equal(mtime) {
			t.Errorf("the time is %v, %v; want %v", a.Mtime, err, mtime)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// A content is opened while its time is set, as by a player and a tagger: it is
// never taken for one that changed.
func TestOpeningWhileTheTimeIsSet(t *testing.T) {
	b := newBucket()
	c := openCache(t, t.TempDir(), b)
	defer c.Close()
	want := track(t, c, b, 5000)
	readAll(t, c, 100)
	b.mu.Lock()
	b.fail = errors.New("fetched again")
	b.mu.Unlock()
	done := make(chan error, 1)
	go func() {
		for i := range 1000 {
			mtime := time.Unix(1_600_000_000+int64(i), 7)
			if _, err := c.SetAttr(100, Change{Mtime: &mtime}); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for {
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			return
		default:
			if !bytes.Equal(readAll(t, c, 100), want) {
				t.Fatal("other bytes")
			}
		}
	}
}
