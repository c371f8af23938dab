package cache

import (
	"bytes"
	"slices"
	"testing"
	"time"
)

// A file that changed here and was removed or replaced elsewhere keeps the change,
// under a name, and both wait for a commit.
func TestChangedHereAndRemovedElsewhere(t *testing.T) {
	const dir, file, other = 200, 201, 202
	at := time.Unix(1700000000, 0)
	gone := func(ino Ino) Row { return Row{Ino: ino, Gone: true} }
	type commit struct {
		rows  []Row
		names []NameRow
	}
	removal := []NameRow{{Parent: dir, Name: "a.mp3"}}
	for _, c := range []struct {
		name    string
		commits []commit
		want    string // its name in the end
	}{
		{"removed in one commit", []commit{{[]Row{gone(file)}, removal}}, "a.mp3"},
		{"removed in two", []commit{{nil, removal}, {[]Row{gone(file)}, nil}}, "a.mp3"},
		{"with its directory", []commit{{[]Row{gone(dir), gone(file)}, removal}}, "a.mp3"},
		{"with its directory, told of later", []commit{{nil, removal}, {[]Row{gone(dir), gone(file)}, nil}}, "a.mp3"},
		{"replaced", []commit{{[]Row{{Ino: other, Mode: 0o100644, Mtime: at, Recipe: &Recipe{}}, gone(file)},
			[]NameRow{{Parent: dir, Name: "a.mp3", Ino: other}}}}, "a (changed here, 1).mp3"},
		{"renamed", []commit{{nil, []NameRow{{Parent: dir, Name: "a.mp3"}, {Parent: dir, Name: "b.mp3", Ino: file}}}}, "b.mp3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBucket()
			d := openCache(t, t.TempDir(), b)
			defer d.Close()
			sound := b.store("data", []byte("as it was in the bucket"))
			r := &Recipe{Size: sound.Size, Parts: []Part{sound}, Runs: []Run{{Length: sound.Size}}}
			err := d.Absorb([]Row{{Ino: dir, Mode: 0o40755, Mtime: at, Parent: Root, Name: "d"}, {Ino: file, Mode: 0o100644, Mtime: at, Recipe: r}},
				[]NameRow{{Parent: dir, Name: "a.mp3", Ino: file}}, "x:1")
			if err != nil {
				t.Fatal(err)
			}
			h, err := d.OpenFile(file, OpenFlags{Write: true})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := h.WriteAt([]byte("THIS"), 0); err != nil {
				t.Fatal(err)
			}
			if err := h.Release(); err != nil {
				t.Fatal(err)
			}
			for _, k := range c.commits {
				if err := d.Absorb(k.rows, k.names, "x:2"); err != nil {
					t.Fatal(err)
				}
			}
			top, err := d.Lookup(Root, "d")
			if err != nil {
				t.Fatal("the directory:", err)
			}
			a, err := d.Lookup(top.Ino, c.want)
			if err != nil || a.Ino != file || a.Nlink != 1 {
				t.Fatalf("%q: inode %d with %d links, %v", c.want, a.Ino, a.Nlink, err)
			}
			if got := readAll(t, d, file); !bytes.Equal(got, []byte("THISt was in the bucket")) {
				t.Fatalf("it holds %q", got)
			}
			if c.name == "renamed" {
				return // nothing more to tell the bucket than its bytes
			}
			s, err := d.Snapshot(file)
			for end := time.Now().Add(time.Minute); err == ErrBusy && time.Now().Before(end); { // a fetch ends
				time.Sleep(time.Millisecond)
				s, err = d.Snapshot(file)
			}
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if err := s.SetRecipe(Recipe{Size: s.Size, Parts: []Part{sound}, Runs: r.Runs}); err != nil {
				t.Fatal(err)
			}
			batch, _, err := d.Pending(100)
			if err != nil {
				t.Fatal(err)
			}
			for _, ino := range []Ino{dir, file} {
				if !slices.ContainsFunc(batch.Rows, func(r Row) bool { return r.Ino == ino && !r.Gone }) {
					t.Errorf("the row of %d waits for no commit", ino)
				}
			}
			if !slices.Contains(batch.Names, NameRow{Parent: dir, Name: c.want, Ino: file}) {
				t.Errorf("its name waits for no commit: %v", batch.Names)
			}
		})
	}
}
