package cache

import (
	"bytes"
	"fmt"
	"log/slog"
	"testing"

	"github.com/tunesafe/tunesafe/internal/kv"
)

// BenchmarkTracks goes over the rows of 100,000 tracks, as a picture does.
func BenchmarkTracks(b *testing.B) {
	c, err := Open(b.TempDir(), Options{InoBase: 7 << 32, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	var batch kv.Batch
	const n = 100_000
	for i := range n {
		key := inoKey(Ino(7<<32 + 100 + i))
		batch.Put(bInode, key, encode(&inode{Mode: 0o100644, Nlink: 1, Size: 5 << 20, Gen: 2, Cut: 2, Ver: 3, CVer: 3, Sound: new(int64(4 << 20)), Base: "0123456789abcdef:12"}))
		batch.Put(bLabel, key, fmt.Appendf(nil, "%0120d", i))
	}
	if err := c.db.Apply(&batch); err != nil {
		b.Fatal(err)
	}
	if err := c.db.Flush(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		seen := 0
		if err := c.Tracks(Root, func(t Track) {
			if t.Label != nil {
				seen++
			}
		}); err != nil || seen != n {
			b.Fatal(seen, err)
		}
	}
}

// TestTracks lists files once, with what is known of each, wherever it is asked.
func TestTracks(t *testing.T) {
	c, err := Open(t.TempDir(), Options{InoBase: 7 << 32, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	put := func(parent Ino, name string, size int) Ino {
		a, h, err := c.Create(parent, name, 0o640, Owner{}, OpenFlags{Write: true})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.WriteAt(make([]byte, size), 0); err != nil {
			t.Fatal(err)
		}
		if err := h.Release(); err != nil {
			t.Fatal(err)
		}
		return a.Ino
	}
	dir, err := c.Mkdir(Root, "dir", 0o755, Owner{})
	if err != nil {
		t.Fatal(err)
	}
	deep, err := c.Mkdir(dir.Ino, "deep", 0o755, Owner{})
	if err != nil {
		t.Fatal(err)
	}
	first, second, third := put(Root, "1", 10), put(dir.Ino, "2", 20), put(deep.Ino, "3", 30)
	if _, err := c.Link(second, deep.Ino, "again"); err != nil {
		t.Fatal(err)
	}
	for _, ino := range []Ino{first, third} {
		s, err := c.Snapshot(ino)
		if err != nil {
			t.Fatal(err)
		}
		if ino == third {
			s.Label = []byte("label")
		}
		s.Close()
		r := Recipe{Size: s.Size, Parts: []Part{{Kind: "data", Size: s.Size, Owed: ino == third}}, Runs: []Run{{0, s.Size}}}
		if err := s.SetRecipe(r); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []struct {
		dir  Ino
		list string
	}{
		{Root, "10 0 true  20 20 true  30 30 true label "},
		{dir.Ino, "20 20 true  30 30 true label "},
		{deep.Ino, "20 20 true  30 30 true label "},
		{third, "30 30 true label "},
	} {
		got := ""
		if err := c.Tracks(want.dir, func(t Track) { got += fmt.Sprintf("%d %d %t %s ", t.Size, t.Owed, t.Waits, t.Label) }); err != nil || got != want.list {
			t.Errorf("below %d: %q, %v, want %q", want.dir, got, err, want.list)
		}
	}
}

// TestLabels tells of every file with a name what it says of itself, or that nobody asked it,
// also where what is known lies in several pages, and holds little of it.
func TestLabels(t *testing.T) {
	c := openCache(t, t.TempDir(), nil)
	const files = 2*pageOfRows + 100
	label := func(i int) []byte { return fmt.Appendf(nil, "label %d", i) }
	var inos []Ino
	var b kv.Batch
	for i := range files {
		a, h, err := c.Create(Root, fmt.Sprint(i), 0o644, Owner{}, OpenFlags{Write: true})
		if err != nil {
			t.Fatal(err)
		}
		if err := h.Release(); err != nil {
			t.Fatal(err)
		}
		inos = append(inos, a.Ino)
		if i%3 > 0 || i == files-1 {
			b.Put(bLabel, inoKey(a.Ino), label(i))
		}
	}
	b.Put(bLabel, inoKey(1), []byte("of none")) // of what is no file
	if err := c.db.Apply(&b); err != nil {
		t.Fatal(err)
	}
	if err := c.Unlink(Root, "1"); err != nil {
		t.Fatal(err)
	}
	for _, when := range []string{"in the journal", "merged"} {
		next := 0
		err := c.Labels(func(ino Ino, says []byte) {
			if next == 1 {
				next++
			}
			var want []byte
			if next%3 > 0 || next == files-1 {
				want = label(next)
			}
			if ino != inos[next] || !bytes.Equal(says, want) || (says == nil) != (want == nil) {
				t.Fatalf("%s: of file %x %q is told, want %x and %q", when, ino, says, inos[next], want)
			}
			next++
		})
		if err != nil || next != files {
			t.Errorf("%s: %d files, %v; want %d", when, next, err, files)
		}
		if err := c.db.Flush(); err != nil {
			t.Fatal(err)
		}
	}
}
