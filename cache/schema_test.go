package cache

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/internal/kv"
)

// The fixtures of the schemas, and what is in the place of those that have one.
const (
	fixture       = "testdata/home-1.tar.gz"
	newestFixture = "testdata/home-2.tar.gz"
	fixtureDevice = "00aa11bb22cc33dd"
	fixtureRoot   = "/nonexistent/Music"
)

func unpack(t *testing.T, fixture string) string {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.Command("tar", "xzf", fixture, "-C", dir).CombinedOutput(); err != nil {
		t.Fatalf("tar: %v: %s", err, out)
	}
	return dir
}

// mustBeFixture checks that all that waited in the fixture still does.
func mustBeFixture(t *testing.T, c *Cache) {
	t.Helper()
	dir, err := c.Lookup(Root, "folder")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []struct {
		in         Ino
		name, text string
	}{{Root, "merged.txt", "its rows are in bbolt"}, {dir.Ino, "journalled.txt", "its rows are in the journal"}} {
		a, err := c.Lookup(f.in, f.name)
		if err != nil {
			t.Fatal(err)
		}
		h, err := c.OpenFile(a.Ino, OpenFlags{Read: true})
		if err != nil {
			t.Fatal(err)
		}
		p := make([]byte, 100)
		n, err := h.ReadAt(context.Background(), p, 0)
		if h.Release(); err != nil || string(p[:n]) != f.text || a.Mode != unix.S_IFREG|0o640 || a.UID != 1000 {
			t.Errorf("%s: %q, %v, %+v", f.name, p[:n], err, a)
		}
	}
	if _, err := c.Lookup(Root, "gone.txt"); !errors.Is(err, ErrNotExist) {
		t.Errorf("gone.txt: %v", err)
	}
	want := 2
	if _, err := c.Lookup(Root, "Music"); err == nil {
		want = 3
	}
	ready, _, err := c.Uncut(0, 0, 100)
	if err != nil || len(ready) != want {
		t.Errorf("%d files wait to be cut, %v; want %d", len(ready), err, want)
	}
}

// TestHomeOfSchema2: a home with a place opens, and the place is as it was left.
func TestHomeOfSchema2(t *testing.T) {
	c, err := Open(unpack(t, newestFixture), Options{InoBase: 7 << 32, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDevice(fixtureDevice)
	mustBeFixture(t, c)
	places, err := c.Places()
	if err != nil || len(places) != 1 || places[0].Root != fixtureRoot || places[0].Name != "Music" || len(places[0].Exclude) != 1 {
		t.Fatalf("places %+v, %v", places, err)
	}
	list, err := c.FedDir(places[0].Dir)
	if err != nil || len(list) != 2 || list[0].Name != "owes.mp3" || list[1].Name != "uncut.mp3" {
		t.Fatalf("the place holds %+v, %v", list, err)
	}
	at := time.Unix(1_600_000_000, 5)
	if o := list[0].Origin; o.Dev != 1 || o.Ino != 2 || o.Size != 200 || !o.Mtime.Equal(at) || !o.Ctime.Equal(at) {
		t.Errorf("origin %+v", o)
	}
	if l, err := c.Label(list[0].Ino); err != nil || string(l) != "label" {
		t.Errorf("label %q, %v", l, err)
	}
	debts, err := c.Owed()
	if err != nil || len(debts) != 1 || debts[0] != (Debt{Ino: list[0].Ino, Rank: RankBought, Bytes: 200}) {
		t.Errorf("owed %+v, %v", debts, err)
	}
	if _, err := c.Mkdir(places[0].Dir, "d", 0o755, Owner{}); !errors.Is(err, ErrReadOnly) {
		t.Errorf("making a folder in a place: %v", err)
	}
}

// TestOldestHome: a home of schema 1 opens, and what waits in it still does.
func TestOldestHome(t *testing.T) {
	c, err := Open(unpack(t, fixture), Options{InoBase: 7 << 32, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	mustBeFixture(t, c)
}

// TestMigration: the mechanism, with migrations of the test's own. All is done or
// nothing, dirty data is kept, and the older program refuses the home afterwards.
func TestMigration(t *testing.T) {
	dir := unpack(t, fixture)
	options := Options{InoBase: 7 << 32, Log: slog.New(slog.DiscardHandler), SyncEvery: time.Hour}
	stamp := func(key string) migration {
		return func(c *Cache, b *kv.Batch) error {
			inos, err := c.keys(bInode)
			for _, ino := range inos {
				b.Put(bMeta, append(metaKey(key), inoKey(ino)...), nil)
			}
			return err
		}
	}
	broken := errors.New("broken")
	fails := func(*Cache, *kv.Batch) error { return broken }
	count := func(c *Cache, key string) (n int) {
		if err := c.db.Scan(bMeta, metaKey(key), nil, func(_, _ []byte) bool { n++; return true }); err != nil {
			t.Fatal(err)
		}
		return n
	}

	if _, err := open(dir, options, []migration{stamp("two"), fails}); !errors.Is(err, broken) {
		t.Fatalf("a migration that fails: %v", err)
	}
	c, err := open(dir, options, nil) // the old program: nothing was changed
	if err != nil {
		t.Fatal(err)
	}
	if n := count(c, "two"); n != 0 {
		t.Errorf("%d rows of a migration that failed", n)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time there is nothing to do
		c, err = open(dir, options, []migration{stamp("two"), stamp("three")})
		if err != nil {
			t.Fatal(err)
		}
		if two, three := count(c, "two"), count(c, "three"); two != 4 || three != 4 {
			t.Errorf("%d and %d rows migrated, want 4", two, three)
		}
		if v, _, _ := c.db.Get(bMeta, schemaKey); !bytes.Equal(v, binary.BigEndian.AppendUint64(nil, 3)) {
			t.Errorf("schema %x after two migrations", v)
		}
		mustBeFixture(t, c)
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	before, err := os.ReadFile(filepath.Join(dir, "namespace.db"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := open(dir, options, nil); !errors.Is(err, ErrNewerHome) {
		t.Fatalf("an older program: %v, want ErrNewerHome", err)
	}
	if after, err := os.ReadFile(filepath.Join(dir, "namespace.db")); err != nil || !bytes.Equal(before, after) {
		t.Errorf("an older program changed the home: %v", err)
	}
}
