package cache

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/tests/drive"
	"github.com/tunesafe/tunesafe/tests/faultfs"
)

// TestInodeNumbersAreNotUsedTwice: not even when a power loss takes the rows of
// the inodes that had them, as their contents may be there still.
func TestInodeNumbersAreNotUsedTwice(t *testing.T) {
	dir := t.TempDir()
	c := openCache(t, dir, nil)
	defer c.Close()
	first := make(map[Ino]bool)
	create := func(c *Cache, name string) Ino {
		a, h, err := c.Create(Root, name, 0o644, Owner{}, OpenFlags{Write: true})
		if err != nil {
			t.Fatal(err)
		}
		if err := h.Release(); err != nil {
			t.Fatal(err)
		}
		return a.Ino
	}
	first[create(c, "kept")] = true
	lost := crash(t, dir) // what is made from here on is not in it
	first[create(c, "lost")] = true
	again := openCache(t, lost, nil)
	defer again.Close()
	if ino := create(again, "new"); first[ino] {
		t.Errorf("inode %x was given twice", ino)
	}
}

// TestAdoptedIsOnTheDisk adopts a content that no row spoke of, and loses power:
// the bytes are below the new name before the old one goes.
func TestAdoptedIsOnTheDisk(t *testing.T) {
	drive.NeedFUSE(t)
	disk, at := faultfs.New(), t.TempDir()
	m, err := disk.Mount(at)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := m.Unmount(); err != nil {
			t.Error(err)
		}
	}()
	c, err := Open(t.TempDir(), Options{ContentDir: at, SyncEvery: time.Hour, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close() // fails: its disk is gone
	const stray Ino = 0x7001
	p := c.contentPath(stray)
	if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte("labour"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, n := range []string{p, filepath.Dir(p), filepath.Dir(filepath.Dir(p)), at} {
		if err := syncPath(n); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Adopt(stray, "song"); err != nil {
		t.Fatal(err)
	}
	dir, err := c.Lookup(Root, LostAndFound)
	if err != nil {
		t.Fatal(err)
	}
	a, err := c.Lookup(dir.Ino, "song")
	if err != nil {
		t.Fatal(err)
	}
	m.Cut(faultfs.Loss{})
	if err := m.Unmount(); err != nil {
		t.Fatal(err)
	}
	if m, err = disk.Mount(at); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(c.contentPath(a.Ino)); err != nil || string(b) != "labour" {
		t.Errorf("after the power loss: %q, %v", b, err)
	}
}
