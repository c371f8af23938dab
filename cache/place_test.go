package cache

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const testDevice = "00112233445566aa"

// lstat is what a feed finds of a file outside.
func lstat(t testing.TB, path string) Outside {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return Outside{Mode: st.Mode, UID: st.Uid, GID: st.Gid, Mtime: stampTS(st.Mtim).time(), Origin: originOf(&st)}
}

// place is a place for tests, and the folder that feeds it.
type testPlace struct {
	t    testing.TB
	c    *Cache
	f    *Feed
	root string
	Place
}

func newTestPlace(t testing.TB, c *Cache) *testPlace {
	t.Helper()
	root := t.TempDir()
	c.SetDevice(testDevice)
	p, err := c.AddPlace("Music", Place{Root: root}, lstat(t, root))
	if err != nil {
		t.Fatal(err)
	}
	return &testPlace{t, c, c.Feed(p), root, p}
}

func (p *testPlace) path(name string) string { return filepath.Join(p.root, name) }

// write changes a file outside; its times differ from what it had.
func (p *testPlace) write(name, text string) {
	p.t.Helper()
	if err := os.WriteFile(p.path(name), []byte(text), 0o644); err != nil {
		p.t.Fatal(err)
	}
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(p.path(name), old, old); err != nil {
		p.t.Fatal(err)
	}
}

func (p *testPlace) add(name, text string) Ino {
	p.t.Helper()
	p.write(name, text)
	ino, err := p.f.Add(p.Dir, name, lstat(p.t, p.path(name)))
	if err != nil {
		p.t.Fatal(err)
	}
	return ino
}

func contentOf(c *Cache, ino Ino) (string, error) {
	h, err := c.OpenFile(ino, OpenFlags{Read: true})
	if err != nil {
		return "", err
	}
	defer h.Release()
	a, err := c.Attr(ino)
	if err != nil {
		return "", err
	}
	p := make([]byte, a.Size+1)
	n, err := h.ReadAt(context.Background(), p, 0)
	return string(p[:n]), err
}

// TestFed: what a feed takes in is read from outside, as long as that is what was
// taken in, and nobody else may change it.
func TestFed(t *testing.T) {
	c := openCache(t, t.TempDir(), nil)
	defer c.Close()
	p := newTestPlace(t, c)
	ino := p.add("a.mp3", "hello")
	if got, err := contentOf(c, ino); err != nil || got != "hello" {
		t.Fatalf("%q, %v", got, err)
	}
	ready, _, err := c.Uncut(time.Hour)
	if err != nil || len(ready) != 1 || ready[0] != ino {
		t.Fatalf("ready %v, %v", ready, err)
	}
	s, err := c.Snapshot(ino)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 5)
	if _, err := s.ReadAt(b, 0); err != nil || !bytes.Equal(b, []byte("hello")) {
		t.Fatalf("%q, %v", b, err)
	}
	s.Close()
	s.Label = []byte("label")
	if err := s.SetRecipe(Recipe{Size: 5, Parts: []Part{{Kind: "data", Size: 5, Blobs: []Blob{{Size: 5}}}}, Runs: []Run{{Length: 5}}}); err != nil {
		t.Fatal(err)
	}
	if l, err := c.Label(ino); err != nil || string(l) != "label" {
		t.Errorf("label %q, %v", l, err)
	}
	p.write("a.mp3", "other")
	if err := p.f.Update(ino, lstat(t, p.path("a.mp3")), true); err != nil {
		t.Fatal(err)
	}
	if got, err := contentOf(c, ino); err != nil || got != "other" {
		t.Fatalf("%q, %v", got, err)
	}
	p.write("a.mp3", "stale")
	if _, err := contentOf(c, ino); !errors.Is(err, ErrUnavailable) {
		t.Errorf("reading what was changed outside: %v", err)
	}
	if _, err := c.Snapshot(ino); !errors.Is(err, ErrStale) {
		t.Errorf("snapshot: %v", err)
	}
	if st := c.Stale(); len(st) != 1 || st[0] != ino {
		t.Errorf("stale %v", st)
	}
}

// TestFifoOutside: a fifo in the place of a file holds nobody up.
func TestFifoOutside(t *testing.T) {
	c := openCache(t, t.TempDir(), nil)
	defer c.Close()
	p := newTestPlace(t, c)
	ino := p.add("a", "hello")
	if err := os.Remove(p.path("a")); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(p.path("a"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Snapshot(ino); !errors.Is(err, ErrStale) {
		t.Errorf("snapshot: %v", err)
	}
}
