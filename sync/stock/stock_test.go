package stock

import (
	"context"
	"path"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/cache"
)

// A next track is fetched on as long as its player stays with the track before it, or
// went to its end, and plays no other.
func TestGiveUp(t *testing.T) {
	now := time.Now()
	reader := func(ino cache.Ino, read int64, whole bool) cache.Reader {
		return cache.Reader{Ino: ino, Size: 800, Read: read, Whole: whole, Since: now}
	}
	for _, c := range []struct {
		what    string
		readers []cache.Reader
		read    bool // to the end before
		stays   bool
	}{
		{"still plays", []cache.Reader{reader(1, 400, true)}, false, true},
		{"looks at others meanwhile", []cache.Reader{reader(1, 400, true), reader(7, 20, false)}, false, true},
		{"closed in the middle", nil, false, false},
		{"closed at the end", nil, true, true},
		{"plays the next", []cache.Reader{reader(2, 100, false)}, true, true},
		{"plays another", []cache.Reader{reader(7, 100, false)}, true, false},
		{"looks at another that is here", []cache.Reader{reader(7, 100, true)}, true, true},
		{"plays another that is here", []cache.Reader{reader(7, 400, true)}, true, false},
	} {
		ctx, end := context.WithCancel(t.Context())
		jobs := map[cache.Ino]*wanted{1: {next: 2, end: end, finished: c.read}}
		giveUp(jobs, c.readers, now)
		if stays := ctx.Err() == nil && jobs[1] != nil; stays != c.stays {
			t.Errorf("%s: goes on %v, want %v", c.what, stays, c.stays)
		}
		end()
	}
}

// Who has a file open for a moment, as scanners do, or reads little of it, does not play.
func TestPlays(t *testing.T) {
	now := time.Now()
	for _, c := range []struct {
		r     cache.Reader
		plays bool
	}{
		{cache.Reader{Size: 800, Read: 400, Whole: true, Since: now}, true},
		{cache.Reader{Size: 800, Read: 399, Whole: true, Since: now}, false},
		{cache.Reader{Size: 800, Read: 700, Since: now}, false}, // it is still being fetched itself
		{cache.Reader{Size: 800, Whole: true, Since: now}, false},
		{cache.Reader{Size: 800, Whole: true, Since: now.Add(-10 * time.Second)}, true}, // passed to the kernel
	} {
		if c.r.Plays(now) != c.plays {
			t.Errorf("%+v plays: %v", c.r, !c.plays)
		}
	}
}

// Three files looked into within two seconds are a scan, if something of them was missing
// and none is played.
func TestScans(t *testing.T) {
	type step struct {
		after          time.Duration
		played, missed uint64
	}
	for _, c := range []struct {
		what  string
		steps []step
		scans bool
	}{
		{"a scan", []step{{0, 0, 3}, {time.Second, 0, 3}, {time.Second, 0, 3}}, true},
		{"all is here", []step{{0, 0, 0}, {time.Second, 0, 0}, {time.Second, 0, 0}}, false},
		{"two files", []step{{0, 0, 3}, {time.Second, 0, 6}}, false},
		{"slowly", []step{{0, 0, 3}, {3 * time.Second / 2, 0, 3}, {3 * time.Second / 2, 0, 3}}, false},
		{"each is played", []step{{0, 0, 3}, {time.Second, 1, 4}, {time.Second, 2, 5}, {time.Second, 3, 6}}, false},
	} {
		var seen sightings
		now, is := time.Unix(1e9, 0), false
		for i, step := range c.steps {
			now = now.Add(step.after)
			is = seen.scans(cache.Looks{Files: uint64(i + 1), Played: step.played}, step.missed, now)
		}
		if is != c.scans {
			t.Errorf("%s is a scan: %v", c.what, is)
		}
	}
}

// A walk goes on by folder and name from the folder of a file on, and knows what lies in the folders it came to.
func TestWalk(t *testing.T) {
	c, err := cache.Open(t.TempDir(), cache.Options{InoBase: 1 << 40})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	inos, names := map[string]cache.Ino{}, map[cache.Ino]string{}
	for _, artist := range []string{"B", "A", "C"} {
		up, err := c.Mkdir(cache.Root, artist, 0o755, cache.Owner{})
		if err != nil {
			t.Fatal(err)
		}
		for _, album := range []string{"2", "1"} {
			dir, err := c.Mkdir(up.Ino, album, 0o755, cache.Owner{})
			if err != nil {
				t.Fatal(err)
			}
			for _, track := range []string{"b", "a"} {
				a, err := c.Mknod(dir.Ino, track, unix.S_IFREG|0o644, 0, cache.Owner{})
				if err != nil {
					t.Fatal(err)
				}
				name := artist + "/" + album + "/" + track
				inos[name], names[a.Ino] = a.Ino, name
			}
		}
	}
	w, err := walkFrom(c, inos["A/2/b"])
	if err != nil {
		t.Fatal(err)
	}
	for name, ino := range inos {
		if w.has(ino) != (path.Dir(name) == "A/2") {
			t.Errorf("%s: known %v, of a scan of A/2", name, w.has(ino))
		}
	}
	var met []string
	for {
		was := w.files
		for ino, name := range names {
			if dir := path.Dir(name); w.has(ino) && !slices.Contains(met, dir) {
				met = append(met, dir)
			}
		}
		more, err := w.next()
		if err != nil {
			t.Fatal(err)
		}
		if !more {
			break
		}
		if w.files != was+1 {
			t.Fatal(w.files)
		}
	}
	want := []string{"A/2", "B/1", "B/2", "C/1", "C/2"}
	if !slices.Equal(met, want) || w.files != 2*len(want) {
		t.Errorf("walked %d files of %v, want %v", w.files, met, want)
	}
}
