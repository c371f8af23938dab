package cache

import (
	"slices"
	"testing"
	"time"
)

// TestAbsorbPlacesByTheRowsThatSpeak takes in commits in which a name changes
// hands between directories and files: a directory is placed by its own row,
// anything else by name rows, and neither takes away what the other gave.
func TestAbsorbPlacesByTheRowsThatSpeak(t *testing.T) {
	at := time.Unix(1700000000, 0)
	dir := func(ino, in Ino, n string) Row {
		return Row{Ino: ino, Mode: 0o40755, Mtime: at, Parent: in, Name: n}
	}
	file := func(ino Ino) Row { return Row{Ino: ino, Mode: 0o100644, Mtime: at, Recipe: &Recipe{}} }
	gone := func(ino Ino) Row { return Row{Ino: ino, Gone: true} }
	type commit struct {
		rows  []Row
		names []NameRow
	}
	for _, c := range []struct {
		name    string
		commits []commit
		want    []string // names in the top directory
		nlink   uint32   // of the top directory
		files   int
	}{
		{"a directory takes the place of one that moved, in one commit",
			[]commit{{[]Row{dir(100, Root, "a"), dir(101, Root, "b")}, nil},
				{[]Row{dir(100, 101, "c"), dir(101, Root, "a")}, nil}}, []string{"a"}, 3, 0},
		{"the one that moved is told of last",
			[]commit{{[]Row{dir(100, Root, "b"), dir(101, Root, "a")}, nil},
				{[]Row{dir(100, Root, "a"), dir(101, Root, "c")}, nil}}, []string{"a", "c"}, 4, 0},
		{"or in a later commit",
			[]commit{{[]Row{dir(100, Root, "b"), dir(101, Root, "a")}, nil},
				{[]Row{dir(100, Root, "a")}, nil}, {[]Row{dir(101, Root, "c")}, nil}}, []string{"a", "c"}, 4, 0},
		{"two directories change places",
			[]commit{{[]Row{dir(100, Root, "a"), dir(101, Root, "b")}, nil},
				{[]Row{dir(100, Root, "b"), dir(101, Root, "a")}, nil}}, []string{"a", "b"}, 4, 0},
		{"a directory takes the place of a file",
			[]commit{{[]Row{file(100), dir(101, Root, "b")}, []NameRow{{Root, "a", 100}}},
				{[]Row{dir(101, Root, "a"), gone(100)}, []NameRow{{Root, "a", 0}}}}, []string{"a"}, 3, 0},
		{"a file takes the place of a directory, which is told of later",
			[]commit{{[]Row{dir(100, Root, "a")}, nil},
				{[]Row{file(101)}, []NameRow{{Root, "a", 101}}}, {[]Row{gone(100)}, nil}}, []string{"a"}, 2, 1},
		{"a removed file comes back by no name row",
			[]commit{{[]Row{file(100)}, []NameRow{{Root, "a", 100}, {Root, "b", 100}}},
				{[]Row{gone(100)}, []NameRow{{Root, "a", 0}, {Root, "b", 0}}}}, nil, 2, 0},
		{"a directory comes before the one that it lies in",
			[]commit{{[]Row{dir(100, 101, "a"), dir(101, Root, "b")}, nil}}, []string{"b"}, 3, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, err := Open(t.TempDir(), Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			for _, k := range c.commits {
				if err := d.Absorb(k.rows, k.names, "x:1"); err != nil {
					t.Fatal(err)
				}
			}
			list, err := d.ReadDir(Root)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, e := range list {
				got = append(got, e.Name)
			}
			if slices.Sort(got); !slices.Equal(got, c.want) {
				t.Errorf("the drive shows %q, want %q", got, c.want)
			}
			if a, err := d.Attr(Root); err != nil || a.Nlink != c.nlink {
				t.Errorf("the top has %d links, want %d (%v)", a.Nlink, c.nlink, err)
			}
			if w, err := d.Waiting(); err != nil || w.Total != c.files {
				t.Errorf("%d files are counted, want %d (%v)", w.Total, c.files, err)
			}
		})
	}
	// A directory that came before the one it lies in counts there.
	d, err := Open(t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for _, rows := range [][]Row{{dir(100, 102, "a")}, {dir(101, 102, "b"), dir(102, Root, "c")}} {
		if err := d.Absorb(rows, nil, "x:1"); err != nil {
			t.Fatal(err)
		}
	}
	if a, err := d.Attr(102); err != nil || a.Nlink != 4 {
		t.Errorf("a directory of two has %d links, want 4 (%v)", a.Nlink, err)
	}
}
