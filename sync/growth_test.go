package sync

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/repo"
)

// spent is what a piece of work took, for each track.
type spent struct {
	mallocs, bytes, requests float64
	kept                     int64 // bytes of memory in use afterwards, in all
}

// measure does work over so many tracks.
func measure(t *testing.T, tracks int, requests func() int64, work func() error) spent {
	t.Helper()
	var before, after runtime.MemStats
	asked := requests()
	runtime.GC() // and what is pooled goes with the second
	runtime.GC()
	runtime.ReadMemStats(&before)
	if err := work(); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	s := spent{mallocs: float64(after.Mallocs-before.Mallocs) / float64(tracks), bytes: float64(after.TotalAlloc-before.TotalAlloc) / float64(tracks),
		requests: float64(requests() - asked)}
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&after)
	s.kept = int64(after.HeapAlloc) - int64(before.HeapAlloc)
	return s
}

// TestColdStartGrowsWithTheLibrary: what a new computer allocates to take a library in, and to
// list it, is the same for each track however many there are; no more requests are made of a
// library that fits in as many objects; and of a checkpoint that was read little is kept in memory.
func TestColdStartGrowsWithTheLibrary(t *testing.T) {
	const few, many = 1000, 8000
	took := map[int][2]spent{}
	for _, tracks := range []int{few, many} {
		w := newWorld(t)
		one := w.device("one")
		one.fill(tracks)
		if err := one.w.checkpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
		one.close()
		dev, err := repo.Enrol(t.Context(), w.mem, w.keys, w.root, "two")
		if err != nil {
			t.Fatal(err)
		}
		two := &device{t: t, dir: t.TempDir(), keys: w.keys, dev: dev}
		two.assemble(w.st)
		requests := func() int64 { c := w.st.Counts(); return c.Gets + c.Lists + c.Stats }
		pull := measure(t, tracks, requests, func() error { _, err := two.w.Pull(context.Background()); return err })
		names := 0
		list := measure(t, tracks, requests, func() error { return two.list(cache.Root, &names) })
		if names < tracks {
			t.Fatalf("%d names of %d tracks were listed", names, tracks)
		}
		two.closeFiles()
		took[tracks] = [2]spent{pull, list}
	}
	for i, work := range []string{"taken in", "listed"} {
		a, b := took[few][i], took[many][i]
		t.Logf("%s: %d tracks: %.0f allocations of %.0f bytes each, %.0f requests, %d bytes kept; %d: %.0f of %.0f, %.0f, %d", work,
			few, a.mallocs, a.bytes, a.requests, a.kept, many, b.mallocs, b.bytes, b.requests, b.kept)
		if b.mallocs > 1.4*a.mallocs || b.bytes > 1.4*a.bytes {
			t.Errorf("%s: %.0f allocations and %.0f bytes for each of %d tracks, %.0f and %.0f of %d", work, b.mallocs, b.bytes, many, a.mallocs, a.bytes, few)
		}
		if b.requests > a.requests+4 {
			t.Errorf("%s: %.0f requests for %d tracks, %.0f for %d", work, b.requests, many, a.requests, few)
		}
		if b.kept > 5<<20 { // 3.7 MB of it wait to be merged into the database, 2.8 would be frames
			t.Errorf("%s: %d bytes are kept in memory of %d tracks", work, b.kept, many)
		}
	}
}

// fill has a home know tracks as it would had it uploaded them, ten in an album.
func (d *device) fill(tracks int) {
	d.t.Helper()
	const album, atOnce, size = 10, 500, 16
	then := time.Unix(1_700_000_000, 0)
	rows := []cache.Row{{Ino: cache.Root, Mode: unix.S_IFDIR | 0o755, Mtime: then}}
	var names []cache.NameRow
	pack := repo.NewPack(d.keys, repo.Tags)
	part := func(kind string, i int) cache.Part {
		blob := fmt.Appendf(nil, "%-*s%09d", size-9, kind, i)
		id := d.keys.BlobID(blob)
		pack.Add(id, blob)
		return cache.Part{Kind: kind, Size: size, Blobs: []cache.Blob{{ID: id, Size: size}}}
	}
	next, dir := cache.Root, cache.Root
	for i := range tracks {
		if i%album == 0 {
			next++
			dir = next
			rows = append(rows, cache.Row{Ino: dir, Mode: unix.S_IFDIR | 0o755, Mtime: then, Parent: cache.Root, Name: fmt.Sprintf("Album %06d", i/album)})
		}
		next++
		recipe := &cache.Recipe{Size: 2 * size, Parts: []cache.Part{part("tags", i), part("audio", i)}, Runs: []cache.Run{{Part: 0, Length: size}, {Part: 1, Length: size}}}
		rows = append(rows, cache.Row{Ino: next, Mode: unix.S_IFREG | 0o644, Mtime: then, Recipe: recipe})
		names = append(names, cache.NameRow{Parent: dir, Name: fmt.Sprintf("%02d Track of some name.mp3", i%album), Ino: next})
		if i%atOnce < atOnce-1 {
			continue
		}
		sealed, object, err := pack.Finish()
		if err == nil {
			err = errors.Join(d.cache.Absorb(rows, names, d.dev.ID+":1"), d.index.Apply(&repo.Commit{Puts: []repo.ObjectRow{object}}))
		}
		if err != nil {
			d.t.Fatal(err)
		}
		sealed.Release()
		rows, names, pack = nil, nil, repo.NewPack(d.keys, repo.Tags)
	}
}

// list lists a directory and all below, with what ls -l asks of each name.
func (d *device) list(dir cache.Ino, names *int) error {
	list, err := d.cache.List(dir)
	if err != nil {
		return err
	}
	for _, e := range list {
		*names++
		a, err := d.cache.Attr(e.Ino)
		if err == nil && a.Mode&unix.S_IFMT == unix.S_IFDIR {
			err = d.list(e.Ino, names)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
