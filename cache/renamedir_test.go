package cache

import (
	"fmt"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/internal/kv"
	"github.com/tunesafe/tunesafe/tests/tools"
)

// allRows is every row of the local database.
func allRows(t *testing.T, c *Cache) map[string]string {
	t.Helper()
	rows := map[string]string{}
	for b := range bucketNames {
		err := c.db.Scan(kv.Bucket(b), nil, nil, func(k, v []byte) bool {
			rows[fmt.Sprintf("%s %x", bucketNames[b], k)] = string(v)
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return rows
}

// Renaming a directory writes as much whatever it holds, also on a cold drive.
func TestRenameOfLargeDirectory(t *testing.T) {
	files := Ino(tools.Count(t, 10_000, 100_000, 100_000))
	dir := t.TempDir()
	c := openCache(t, dir, newBucket())
	rows := []Row{{Ino: 1000, Mode: 0o40755, Parent: Root, Name: "full"}, {Ino: 1001, Mode: 0o40755, Parent: Root, Name: "bare"},
		{Ino: 1002, Mode: 0o40755, Parent: Root, Name: "there"}}
	var names []NameRow
	for i := range files {
		rows = append(rows, Row{Ino: 10_000 + i, Mode: 0o100644, Mtime: time.Unix(1e9, 0), Recipe: &Recipe{Size: 1, Parts: []Part{{Kind: "data", Size: 1, Blobs: []Blob{{ID: [16]byte{1}, Size: 1}}}}}})
		names = append(names, NameRow{Parent: 1000, Name: fmt.Sprintf("%06d.mp3", i), Ino: 10_000 + i})
	}
	if err := c.Absorb(rows, names, "d:1"); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	c = openCache(t, dir, newBucket())
	defer c.Close()

	before := allRows(t, c)
	if err := c.Rename(Root, "full", 1002, "moved", RenameFlags{}); err != nil {
		t.Fatal(err)
	}
	after := allRows(t, c)
	var changed []string
	for k, v := range after {
		if was, ok := before[k]; !ok || was != v {
			changed = append(changed, k)
		}
	}
	for k := range before {
		if _, ok := after[k]; !ok {
			changed = append(changed, k)
		}
	}
	// The rows of three directories, each waiting, and two names, each waiting.
	if len(changed) != 3+3+2+2 {
		t.Errorf("%d rows of %d changed: %v", len(changed), len(after), changed)
	}
	if a, err := c.Lookup(1000, names[files-1].Name); err != nil || a.Ino != 10_000+files-1 {
		t.Errorf("the last file is %v, %v", a.Ino, err)
	}
	b, _, err := c.Pending(1 << 20)
	if err != nil || len(b.Rows) > 5 || len(b.Names) > 0 {
		t.Errorf("%d rows and %d names go to the bucket, %v", len(b.Rows), len(b.Names), err)
	}
}
