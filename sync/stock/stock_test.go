package stock

import (
	"context"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/cache"
)

// A next track is fetched on as long as its player stays with the track before it, or
// went to its end, and plays no other.
func TestGiveUp(t *testing.T) {
	reader := func(ino cache.Ino, read int64, whole bool) cache.Reader {
		return cache.Reader{Ino: ino, Size: 800, Read: read, Whole: whole}
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
		{"plays another that is here", []cache.Reader{reader(7, 100, true)}, true, true},
	} {
		ctx, end := context.WithCancel(t.Context())
		jobs := map[cache.Ino]*wanted{1: {next: 2, end: end, finished: c.read}}
		giveUp(jobs, c.readers)
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
