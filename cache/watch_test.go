package cache

import (
	"fmt"
	"log/slog"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestWatch tells each change of names and files, once, and says when it gave up.
func TestWatch(t *testing.T) {
	c, err := Open(t.TempDir(), Options{InoBase: 7 << 32, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	w, other := c.Watch(), c.Watch()
	dir, err := c.Mkdir(Root, "dir", 0o755, Owner{})
	if err != nil {
		t.Fatal(err)
	}
	a, h, err := c.Create(dir.Ino, "a", 0o640, Owner{}, OpenFlags{Write: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Release(); err != nil {
		t.Fatal(err)
	}
	inos, names, all := w.Take()
	slices.SortFunc(names, func(a, b NameRow) int { return int(a.Parent) - int(b.Parent) })
	if !slices.Contains(inos, a.Ino) || !slices.Contains(inos, dir.Ino) || all {
		t.Error(inos, all)
	}
	if d := cmp.Diff([]NameRow{{Root, "dir", dir.Ino}, {dir.Ino, "a", a.Ino}}, names); d != "" {
		t.Error(d)
	}
	if inos, names, all = w.Take(); len(inos)+len(names) > 0 || all {
		t.Error("told twice", inos, names)
	}
	if err := c.Rename(dir.Ino, "a", Root, "b", RenameFlags{}); err != nil {
		t.Fatal(err)
	}
	_, names, _ = w.Take()
	slices.SortFunc(names, func(a, b NameRow) int { return int(a.Parent) - int(b.Parent) })
	if d := cmp.Diff([]NameRow{{Root, "b", a.Ino}, {dir.Ino, "a", 0}}, names); d != "" {
		t.Error(d)
	}
	other.Stop()
	for i := range watchMost/2 + 1 {
		if _, err := c.Mkdir(dir.Ino, fmt.Sprint(i), 0o755, Owner{}); err != nil {
			t.Fatal(err)
		}
	}
	if inos, names, all = w.Take(); !all || len(inos)+len(names) > 0 {
		t.Errorf("%d inodes and %d names, all %t", len(inos), len(names), all)
	}
	if inos, names, _ = other.Take(); len(names) != 3 {
		t.Errorf("one that ended was told %v %v", inos, names)
	}
}

// TestSetLabel keeps a label that was read of what the file still is, and no other.
func TestSetLabel(t *testing.T) {
	c, err := Open(t.TempDir(), Options{InoBase: 7 << 32, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	part := func(kind string, id byte) Part {
		return Part{Kind: kind, Size: 10, Blobs: []Blob{{ID: [16]byte{id}, Size: 10}}}
	}
	tagged := func(tags, sound byte) *Recipe {
		return &Recipe{Size: 20, Parts: []Part{part("tags", tags), part("audio", sound)}, Runs: []Run{{0, 10}, {1, 10}}}
	}
	absorb := func(r *Recipe) {
		t.Helper()
		if err := c.Absorb([]Row{{Ino: 100, Mode: 0o100644, Recipe: r, Base: "b:1"}}, []NameRow{{Root, "a", 100}}, "b:1"); err != nil {
			t.Fatal(err)
		}
	}
	has := func(want string) {
		t.Helper()
		track, err := c.Track(100)
		if err != nil || string(track.Label) != want || track.Size != 20 {
			t.Errorf("%q, want %q: %v", track.Label, want, err)
		}
	}
	absorb(tagged(1, 1))
	if err := c.SetLabel(100, tagged(2, 1), []byte("wrong")); err != ErrChanged {
		t.Error(err)
	}
	has("")
	if err := c.SetLabel(100, tagged(1, 1), []byte("one")); err != nil {
		t.Error(err)
	}
	has("one")
	absorb(tagged(1, 7)) // the sound came
	has("one")
	absorb(tagged(2, 7)) // another device changed the tags
	has("")
}
