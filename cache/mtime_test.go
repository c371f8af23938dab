package cache

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/internal/kv"
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
		awaitWhole(t, c, 100)
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
	awaitWhole(t, c, 100)
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

// awaitWhole waits for what goes on after a read: small parts join the content once
// its sound is here.
func awaitWhole(t *testing.T, c *Cache, ino Ino) {
	t.Helper()
	for until := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		f, err := c.acquire(ino)
		if err != nil {
			t.Fatal(err)
		}
		f.mu.Lock()
		whole := f.have.Whole
		f.mu.Unlock()
		c.release(f)
		if whole {
			return
		}
		if time.Now().After(until) {
			t.Fatal("the content does not become whole")
		}
	}
}

// A range map is found at any moment of its being stored: whoever opened the file
// then would take its content for missing, and fetch it again.
func TestRangeMapIsNeverOutOfSight(t *testing.T) {
	b := newBucket()
	c := openCache(t, t.TempDir(), b)
	defer c.Close()
	track(t, c, b, 5000)
	readAll(t, c, 100)
	awaitWhole(t, c, 100)
	for range 500 {
		var batch kv.Batch
		batch.Delete(bHave, inoKey(100))
		h := &have{Whole: true}
		c.fmu.Lock()
		if err := c.db.Apply(&batch); err != nil {
			t.Fatal(err)
		}
		c.later[100] = h
		c.fmu.Unlock()
		stored := make(chan error, 1)
		go func() { stored <- c.storeLater(map[Ino]*have{100: h}) }()
		for done := false; !done; {
			select {
			case err := <-stored:
				if err != nil {
					t.Fatal(err)
				}
				done = true
			default:
			}
			c.fmu.Lock()
			ok, err := c.haveOf(100, new(have))
			c.fmu.Unlock()
			if err != nil || !ok {
				t.Fatalf("the range map is neither waiting nor stored: %v", err)
			}
		}
	}
}
