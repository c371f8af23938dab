//go:build fixture

package cache

import (
	"log/slog"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestMakeFixture, built with "-tags fixture", writes the fixture of schema 1: a
// home that was killed, with a file that waits, one in a folder, a name that is
// gone, and attributes. The fixture of a schema is made once, by the last program
// that writes it, and kept for ever.
func TestMakeFixture(t *testing.T) {
	dir := t.TempDir()
	c, err := Open(dir, Options{InoBase: 7 << 32, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	put := func(parent Ino, name, text string) Ino {
		a, h, err := c.Create(parent, name, 0o640, Owner{1000, 1000}, OpenFlags{Write: true})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.WriteAt([]byte(text), 0); err != nil {
			t.Fatal(err)
		}
		if err := h.Release(); err != nil {
			t.Fatal(err)
		}
		return a.Ino
	}
	put(Root, "merged.txt", "its rows are in bbolt")
	put(Root, "gone.txt", "deleted")
	if err := c.db.Flush(); err != nil {
		t.Fatal(err)
	}
	d, err := c.Mkdir(Root, "folder", 0o755, Owner{1000, 1000})
	if err != nil {
		t.Fatal(err)
	}
	ino := put(d.Ino, "journalled.txt", "its rows are in the journal")
	if err := c.SetXattr(ino, "user.mood", []byte("blue"), false, false); err != nil {
		t.Fatal(err)
	}
	if err := c.Unlink(Root, "gone.txt"); err != nil {
		t.Fatal(err)
	}
	script := `cd "$1" && rm -f spare-journal && find content -mindepth 1 -type d -empty -delete && tar cSzf "$2" --owner=0 --group=0 --mtime=@1700000000 .`
	abs, _ := filepath.Abs(fixture)
	if out, err := exec.Command("sh", "-c", script, "sh", dir, abs).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}
