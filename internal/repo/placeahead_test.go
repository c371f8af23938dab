package repo

import (
	"crypto/sha256"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// manyPlaced is objects of so many blobs each; one blob is in all of them.
func manyPlaced(objects, blobs int) (c *Commit, ids []ID) {
	c = &Commit{}
	shared := ID{0xFF}
	for o := range objects {
		row := ObjectRow{Name: objectName("meta", sha256.Sum256(fmt.Append(nil, o))), Size: 1 << 20, Kind: Tags}
		f := Frame{Packed: 100, Blobs: []BlobRef{{shared, 7}}}
		for b := range blobs - 1 {
			sum := sha256.Sum256(fmt.Append(nil, o, b))
			id := ID(sum[:16])
			f.Blobs, ids = append(f.Blobs, BlobRef{id, 10}), append(ids, id)
		}
		row.Frames = []Frame{f}
		c.Puts = append(c.Puts, row)
	}
	return c, append(ids, shared)
}

// TestPlacedAhead: placements of many objects are stored before the objects; where the
// program dies in between they are of nothing, and Apply takes all in as if it were the first time.
func TestPlacedAhead(t *testing.T) {
	e := newEnv(t)
	c, ids := manyPlaced(3, 2*placeAtOnce)
	count := func(when string, want int) {
		t.Helper()
		n := 0
		for _, id := range ids {
			if p, ok, err := e.x.Lookup(id); err != nil {
				t.Fatal(err)
			} else if ok && p.Kind == Tags && p.Size > 0 {
				n++
			}
		}
		if n != want {
			t.Errorf("%s: %d blobs found, want %d", when, n, want)
		}
	}
	uses := func(when string, want ...int64) {
		t.Helper()
		needs := e.x.Needs()
		var got []int64
		for _, u := range must(needs.Uses())(t) {
			got = append(got, u.Blobs)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: blobs by object: %s", when, diff)
		}
	}
	if numbers := must(e.x.placeAhead([]*Commit{c, c}))(t); len(numbers) != len(c.Puts) {
		t.Fatalf("%d objects are placed ahead", len(numbers))
	}
	e.reopen() // as after a death
	count("placed ahead", 0)
	uses("placed ahead")
	for range 2 {
		if err := e.x.Apply(c, c); err != nil {
			t.Fatal(err)
		}
		e.reopen()
		count("applied", len(ids))
		uses("applied", 2*placeAtOnce, 2*placeAtOnce, 2*placeAtOnce)
		want := map[string]Totals{Tags: {Objects: 3, Stored: 3 << 20, Blobs: 6 * placeAtOnce, Plain: 3*7 + 10*(6*placeAtOnce-3)}}
		if diff := cmp.Diff(want, must(e.x.Totals())(t)); diff != "" {
			t.Error(diff)
		}
	}
	if err := e.x.Apply(&Commit{Deleted: []DeletedRow{{c.Puts[0].Name, 1 << 20}}}); err != nil {
		t.Fatal(err)
	}
	count("one deleted", len(ids)-2*placeAtOnce+1)
	few, _ := manyPlaced(1, placeAtOnce)
	if numbers := must(e.x.placeAhead([]*Commit{few}))(t); numbers != nil {
		t.Error("few are placed ahead")
	}
}
