package storetest

import (
	"fmt"
	"slices"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/tunesafe/tunesafe/internal/store"
)

// tricky is in bytewise order, where '-' and '.' come before '/', and '0'
// behind it; a walk over folders visits them in another order.
var tricky = []string{
	"a", "b-c", "b.d", "b/c", "b/c-d", "b/c.d", "b/c0", "b/d/e", "b/d0", "b0", "b_", "ba", "c/x",
}

func testListOrder(t *testing.T, s store.Store) {
	for i, key := range tricky {
		put(t, s, key, body(uint64(i), i))
	}
	for _, c := range []struct {
		prefix, after string
		want          []string
	}{
		{"", "", tricky},
		{"b", "", tricky[1:12]},
		{"b/", "", tricky[3:9]},
		{"b/c", "", tricky[3:7]},
		{"b/d/", "", tricky[7:8]},
		{"absent", "", nil},
		{"", "a", tricky[1:]},
		{"", "b-c", tricky[2:]},
		{"", "b/", tricky[3:]}, // not itself a key
		{"b/", "b/c", tricky[4:9]},
		{"b/", "b/c.z", tricky[6:9]},
		{"b/", "b/d/e", tricky[8:9]},
		{"b/", "a", tricky[3:9]}, // before the prefix
		{"b/", "c", nil},         // behind the prefix
		{"", "c/x", nil},
	} {
		got := keys(t, s, c.prefix, c.after)
		if !slices.Equal(got, c.want) {
			t.Errorf("list %q after %q:\n got %q\nwant %q", c.prefix, c.after, got, c.want)
		}
	}
	testListSizes(t, s)
}

func testListSizes(t *testing.T, s store.Store) {
	for info, err := range s.List(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		if want := int64(slices.Index(tricky, info.Key)); info.Size != want {
			t.Errorf("%s lists with %d bytes, has %d", info.Key, info.Size, want)
		}
	}
}

// testListPages passes the page of 1000 keys that S3 servers return at most.
func testListPages(t *testing.T, s store.Store) {
	names := manyKeys(1105)
	g, ctx := errgroup.WithContext(t.Context())
	g.SetLimit(8)
	for _, name := range names {
		g.Go(func() error { return s.Put(ctx, name, []byte(name)) })
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	for _, after := range []int{-1, 0, 99, 1000, 1104} {
		from := ""
		if after >= 0 {
			from = names[after]
		}
		if got := keys(t, s, "many/", from); !slices.Equal(got, names[after+1:]) {
			t.Errorf("after %q: got %d keys, want %d", from, len(got), len(names)-after-1)
		}
	}
}

func testListStops(t *testing.T, s store.Store) {
	for i := range 5 {
		put(t, s, fmt.Sprintf("stop/%d", i), nil)
	}
	seen := 0
	for _, err := range s.List(t.Context(), "stop/", "") {
		if err != nil {
			t.Fatal(err)
		}
		if seen++; seen == 2 {
			break
		}
	}
	if seen != 2 {
		t.Errorf("saw %d keys before stopping at 2", seen)
	}
}
