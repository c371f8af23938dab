package cache

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// What lost its name stays while it may be in use, and no longer.
func TestRemovedIsKeptUntilDropped(t *testing.T) {
	c := openCache(t, t.TempDir(), newBucket())
	c.KeepRemoved(true)
	dir, err := c.Mkdir(Root, "d", 0o755, Owner{})
	if err != nil {
		t.Fatal(err)
	}
	f, h, err := c.Create(Root, "f", 0o644, Owner{}, OpenFlags{Write: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(h.Release(), c.Unlink(Root, "f"), c.Rmdir(Root, "d")); err != nil {
		t.Fatal(err)
	}
	for _, ino := range []Ino{dir.Ino, f.Ino} {
		if a, err := c.Attr(ino); err != nil || a.Nlink != 0 {
			t.Errorf("inode %d has %d links, %v", ino, a.Nlink, err)
		}
	}
	if _, err := c.Mkdir(dir.Ino, "x", 0o755, Owner{}); !errors.Is(err, ErrNotExist) {
		t.Errorf("making something in a removed directory: %v", err)
	}
	perm := uint32(0o600)
	if _, err := c.SetAttr(f.Ino, Change{Mode: &perm}); err != nil {
		t.Fatal(err)
	}
	b, _, err := c.Pending(100)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range b.Rows {
		if r.Ino != Root {
			t.Errorf("the bucket hears of inode %d, which it never knew", r.Ino)
		}
	}
	c.DropRemoved(dir.Ino)
	c.KeepRemoved(false)
	for _, ino := range []Ino{dir.Ino, f.Ino} {
		if _, err := c.Attr(ino); !errors.Is(err, ErrNotExist) {
			t.Errorf("inode %d is still there: %v", ino, err)
		}
	}
	if err := c.Sync(); err != nil { // a content goes once the rows that did it are on disk
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(c.contentPath(f.Ino)); len(left) > 0 {
		t.Errorf("left %s", left)
	}
}

// A file made without a name is no one's business until it has one.
func TestTmpfile(t *testing.T) {
	dir := t.TempDir()
	c := openCache(t, dir, newBucket())
	make := func(content string) (Ino, *Handle) {
		a, h, err := c.Tmpfile(Root, 0o644, Owner{}, OpenFlags{Write: true})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.WriteAt([]byte(content), 0); err != nil || a.Nlink != 0 {
			t.Fatal(a, err)
		}
		return a.Ino, h
	}
	named, h := make("named")
	if _, err := c.Link(named, Root, "f"); err != nil {
		t.Fatal(err)
	}
	closed, h2 := make("closed")
	crashed, _ := make("crashed")
	if err := errors.Join(h.Release(), h2.Release()); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Attr(closed); !errors.Is(err, ErrNotExist) {
		t.Errorf("closed without a name: %v", err)
	}
	b, _, err := c.Pending(100)
	if err != nil {
		t.Fatal(err)
	}
	if len(b.Names) > 0 { // f is not cut yet
		t.Errorf("names to commit: %v", b.Names)
	}
	if ready, _, err := c.Uncut(0, 0, 100); err != nil || len(ready) != 1 || ready[0] != named {
		t.Errorf("to cut: %v, %v; want %d", ready, err, named)
	}

	again := openCache(t, crash(t, dir), newBucket())
	if got := readAll(t, again, named); string(got) != "named" {
		t.Errorf("after a crash the named file holds %q", got)
	}
	if a, err := again.Lookup(Root, "f"); err != nil || a.Nlink != 1 || a.Ino != named {
		t.Errorf("its name: %v, %v", a, err)
	}
	if _, err := again.Attr(crashed); !errors.Is(err, ErrNotExist) {
		t.Errorf("open without a name before the crash: %v", err)
	}
	if err := again.Sync(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(again.contentPath(crashed)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its content: %v", err)
	}
}

// A file that lost its last name cannot be given another.
func TestNoLinkBack(t *testing.T) {
	c := openCache(t, t.TempDir(), newBucket())
	a, h, err := c.Create(Root, "f", 0o644, Owner{}, OpenFlags{Write: true})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Release()
	if err := c.Unlink(Root, "f"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Link(a.Ino, Root, "g"); !errors.Is(err, ErrNotExist) {
		t.Errorf("linking it: %v", err)
	}
}

// What lost its name while open keeps nobody waiting for the bucket.
func TestRemovedIsNotWaitedFor(t *testing.T) {
	c := openCache(t, t.TempDir(), newBucket())
	defer c.Close()
	_, h, err := c.Create(Root, "f", 0o644, Owner{}, OpenFlags{Read: true, Write: true})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Release()
	if _, err := h.WriteAt([]byte("gone"), 0); err != nil {
		t.Fatal(err)
	}
	if err := c.Unlink(Root, "f"); err != nil {
		t.Fatal(err)
	}
	if ready, next, err := c.Uncut(0, 0, 100); err != nil || len(ready) > 0 || !next.IsZero() {
		t.Errorf("to be cut: %v, asked again at %v, %v", ready, next, err)
	}
	b, _, err := c.Pending(100)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Committed(b, "d:1"); err != nil {
		t.Fatal(err)
	}
	if idle, err := c.Idle(); err != nil || !idle {
		t.Errorf("idle: %v, %v", idle, err)
	}
}
