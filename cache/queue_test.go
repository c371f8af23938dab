package cache

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// TestUncutInParts: what waits to be cut is listed a part at a time, and each part leaves out
// what is open for writing, has no name any more, or is not quiet yet.
func TestUncutInParts(t *testing.T) {
	c := openCache(t, t.TempDir(), nil)
	var want, got []Ino
	for i := range 25 {
		name := fmt.Sprint(i)
		a, h, err := c.Create(Root, name, 0o644, Owner{}, OpenFlags{Write: true})
		if err != nil {
			t.Fatal(err)
		}
		switch i {
		case 3:
			defer h.Release()
			continue
		case 14:
			defer h.Release()
			if err := c.Unlink(Root, name); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := h.Release(); err != nil {
			t.Fatal(err)
		}
		want = append(want, a.Ino)
	}
	var after Ino
	for {
		part, next, err := c.Uncut(0, after, 10)
		if err != nil || len(part) > 10 || !next.IsZero() {
			t.Fatalf("%d files, look again at %v, %v", len(part), next, err)
		}
		if len(part) == 0 {
			break
		}
		got, after = append(got, part...), part[len(part)-1]
	}
	if !slices.Equal(got, want) {
		t.Errorf("listed %x, want %x", got, want)
	}
	if part, next, err := c.Uncut(time.Hour, want[9], 10); err != nil || len(part) > 0 || next.Before(time.Now()) {
		t.Errorf("of what is not quiet: %x, look again at %v, %v", part, next, err)
	}
}
