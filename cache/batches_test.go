package cache

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestBatchesLeaveNoGap commits in small batches what was made, moved and removed: between any
// two of them whoever reads the bucket finds each file that is still there under a name, and in the
// end under those that it has.
func TestBatchesLeaveNoGap(t *testing.T) {
	top := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		dir := filepath.Join(top, "home")
		c, err := Open(dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		defer c.Close()
		dirs, files := []Ino{Root}, map[NameRow]bool{}
		var news int
		pick := func(label string) (NameRow, bool) {
			if len(files) == 0 {
				return NameRow{}, false
			}
			all := make([]NameRow, 0, len(files))
			for r := range files {
				all = append(all, r)
			}
			sortNames(all)
			return rapid.SampledFrom(all).Draw(t, label), true
		}
		step := func() {
			news++
			in := rapid.SampledFrom(dirs).Draw(t, "in")
			name := fmt.Sprint("n", news)
			switch rapid.IntRange(0, 5).Draw(t, "what") {
			case 0:
				a, err := c.Mkdir(in, name, 0o755, Owner{})
				if err != nil {
					t.Fatal(err)
				}
				dirs = append(dirs, a.Ino)
			case 1, 2:
				a, err := c.Symlink(in, name, "x", Owner{})
				if err != nil {
					t.Fatal(err)
				}
				files[NameRow{in, name, a.Ino}] = true
			case 3, 4:
				if f, ok := pick("moved"); ok {
					if err := c.Rename(f.Parent, f.Name, in, name, RenameFlags{}); err != nil {
						t.Fatal(err)
					}
					delete(files, f)
					files[NameRow{in, name, f.Ino}] = true
				}
			case 5:
				if f, ok := pick("removed"); ok {
					if err := c.Unlink(f.Parent, f.Name); err != nil {
						t.Fatal(err)
					}
					delete(files, f)
				}
			}
		}
		bucket := map[NameRow]Ino{} // by name alone
		seen := func(ino Ino) bool {
			for _, i := range bucket {
				if i == ino {
					return true
				}
			}
			return false
		}
		take := func(b *Batch) {
			visible := map[Ino]bool{}
			for f := range files {
				visible[f.Ino] = seen(f.Ino)
			}
			for _, n := range b.Names {
				key := NameRow{n.Parent, n.Name, 0}
				if delete(bucket, key); n.Ino != 0 {
					bucket[key] = n.Ino
				}
			}
			for ino, was := range visible {
				if was && !seen(ino) {
					t.Fatalf("%x is to be seen no more: %v", ino, b.Names)
				}
			}
			if err := c.Committed(b, "d:1"); err != nil {
				t.Fatal(err)
			}
		}
		for range rapid.IntRange(1, 4).Draw(t, "rounds") {
			for range rapid.IntRange(1, 12).Draw(t, "steps") {
				step()
			}
			limit := rapid.IntRange(1, 4).Draw(t, "limit")
			for _, upTo := range []Ino{rapid.SampledFrom(dirs).Draw(t, "up to"), 1<<64 - 1} {
				for {
					b, more, err := c.PendingTo(limit, upTo)
					if err != nil {
						t.Fatal(err)
					}
					take(b)
					if !more || b.Empty() {
						break
					}
				}
			}
		}
		want := map[NameRow]Ino{}
		for f := range files {
			want[NameRow{f.Parent, f.Name, 0}] = f.Ino
		}
		if !maps.Equal(want, bucket) {
			t.Fatalf("the bucket has %v, the drive %v", bucket, want)
		}
		if idle, err := c.Idle(); err != nil || !idle {
			t.Fatalf("idle %v, %v", idle, err)
		}
	})
}

func sortNames(list []NameRow) {
	slices.SortFunc(list, func(a, b NameRow) int { return cmp.Or(cmp.Compare(a.Parent, b.Parent), cmp.Compare(a.Name, b.Name)) })
}
