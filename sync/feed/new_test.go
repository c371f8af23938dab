package feed

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/internal/folder"
)

// TestNewNamesAreNotHeld: where nothing is gone, what is known of new names before they are
// applied does not grow with what is in new directories; and a run takes all of it in.
func TestNewNamesAreNotHeld(t *testing.T) {
	r := newRig(t)
	long := time.Now().Add(-time.Hour)
	make := func(artists, albums, tracks int) {
		t.Helper()
		for a := range artists {
			for b := range albums {
				dir := filepath.Join(r.dir, fmt.Sprint("artist ", a), fmt.Sprint("album ", b))
				must(t, os.MkdirAll(dir, 0o755))
				for n := range tracks {
					name := filepath.Join(dir, fmt.Sprint(n))
					must(t, os.WriteFile(name, fmt.Append(nil, a, b, n), 0o644))
					must(t, os.Chtimes(name, long, long))
				}
			}
		}
	}
	held := func() int {
		t.Helper()
		p, err := Find(r.cache, placeName)
		must(t, err)
		s := newScan(t.Context(), &Options{Cache: r.cache, Keys: r.keys}, p, &teller{})
		s.root, err = folder.Open(p.Root, folder.Options{})
		must(t, err)
		defer s.root.Close()
		must(t, s.walk())
		must(t, s.resolve())
		return len(s.fresh)
	}
	make(3, 4, 5)
	if n := held(); n != 3 {
		t.Errorf("%d new names are held, want those of 3 artists", n)
	}
	o := Options{Cache: r.cache, Keys: r.keys, Place: placeName, DryRun: true}
	for _, dry := range []bool{true, false} {
		o.DryRun = dry
		if rep, err := Run(t.Context(), o); err != nil || rep.New != 60 || rep.Files != 60 || rep.Dirs != 1+3+12 {
			t.Errorf("dry run %v: %+v, %v", dry, rep, err)
		}
	}
	if rep, err := Run(t.Context(), o); err != nil || rep.New != 0 || rep.Unchanged != 60 {
		t.Errorf("again: %+v, %v", rep, err)
	}
	// A new directory may be what is gone: then its names have to be known.
	make(4, 4, 5)
	must(t, os.RemoveAll(filepath.Join(r.dir, "artist 0")))
	if n := held(); n != 1+4+20 {
		t.Errorf("%d new names are held where something is gone, want all 25", n)
	}
}
