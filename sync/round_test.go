package sync

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/tunesafe/tunesafe/cache"
)

// TestRoundGoesOn: of many files that wait to be cut no more are listed at once than are cut
// before their packs leave, and one round cuts them all, before any sound.
func TestRoundGoesOn(t *testing.T) {
	const files = roundFiles + 10
	d := newWorld(t).device("one")
	d.cache.SettleNow(true)
	err := d.w.Apart(t.Context(), func() error {
		for i := range files {
			d.write(fmt.Sprint(i), []byte(fmt.Sprint("text ", i)))
		}
		list, _, err := d.w.ready(true)
		if err != nil {
			return err
		}
		if len(list) != roundFiles {
			t.Errorf("%d files are listed at once, want %d", len(list), roundFiles)
		}
		cut, next, err := d.w.round(t.Context(), list)
		if cut != files || !next.IsZero() {
			t.Errorf("%d were cut, and the next at %v; want %d", cut, next, files)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	d.wait()
	if idle, err := d.cache.Idle(); err != nil || !idle {
		t.Errorf("idle: %v, %v", idle, err)
	}
	if a, err := d.cache.Lookup(cache.Root, fmt.Sprint(files-1)); err != nil || d.committed(a.Ino) < 1 {
		t.Errorf("the last file is not committed: %v", err)
	}
}

// TestCommitHasTheMemoryOfPacks: what packs were made in does not lie there while a commit is made.
func TestCommitHasTheMemoryOfPacks(t *testing.T) {
	w := newWorld(t)
	d := w.device("one")
	d.write("first", []byte("text"))
	d.wait()
	inUse := func() int64 {
		runtime.GC()
		runtime.GC() // what is pooled goes with the second
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	const size = 12 << 20
	before := inUse()
	s, err := w.keys.Seal("meta", make([]byte, size))
	if err != nil {
		t.Fatal(err)
	}
	s.Release()
	if waits := inUse() - before; waits < size/2 {
		t.Fatalf("%d bytes wait for the next pack: it shows nothing", waits)
	}
	d.write("second", []byte("other text"))
	d.wait()
	if left := inUse() - before; left > size/2 {
		t.Errorf("%d bytes more are in use after a commit", left)
	}
}
