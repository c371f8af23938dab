//go:build fixture

package cache

import (
	"log/slog"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestMakeFixture, built with "-tags fixture", writes the fixture of the newest
// schema: a home that was killed, with a file that waits, one in a folder, a name
// that is gone, and attributes; from schema 2 on a place as well, with a file that
// is not cut and one that was and owes its sound. The fixture of a schema is made
// once, by the last program that writes it, and kept for ever.
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
	c.SetDevice(fixtureDevice)
	at := time.Unix(1_600_000_000, 5)
	found := func(mode uint32, size int64) Outside {
		return Outside{Mode: mode, UID: 1000, GID: 1000, Mtime: at, Origin: Origin{Dev: 1, Ino: 2, Size: size, Mtime: at, Ctime: at}}
	}
	p, err := c.AddPlace("Music", Place{Root: fixtureRoot, Exclude: []string{"*.tmp"}}, found(unix.S_IFDIR|0o755, 0))
	if err != nil {
		t.Fatal(err)
	}
	f := c.Feed(p)
	if _, err := f.Add(p.Dir, "uncut.mp3", found(unix.S_IFREG|0o644, 100)); err != nil {
		t.Fatal(err)
	}
	owes, err := f.Add(p.Dir, "owes.mp3", found(unix.S_IFREG|0o644, 200))
	if err != nil {
		t.Fatal(err)
	}
	s := &Snapshot{Ino: owes, Size: 200, Label: []byte("label"), Rank: RankBought, c: c, gen: 1, whole: true, source: &source{}}
	err = s.SetRecipe(Recipe{Size: 200, Parts: []Part{{Kind: "audio", Size: 200, Owed: true}}, Runs: []Run{{Length: 200}}})
	if err != nil {
		t.Fatal(err)
	}
	script := `cd "$1" && rm -f spare-journal && find content -mindepth 1 -type d -empty -delete && tar cSzf "$2" --owner=0 --group=0 --mtime=@1700000000 .`
	abs, _ := filepath.Abs(newestFixture)
	if out, err := exec.Command("sh", "-c", script, "sh", dir, abs).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}
