package sync

import (
	"fmt"
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
