package cache

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"

	"golang.org/x/sys/unix"
)

// copyOf makes a file, copies the track into it, and leaves it open.
func copyOf(t *testing.T, c *Cache, name string, n int64, fl OpenFlags) (Ino, *Handle, int64, error) {
	t.Helper()
	src, err := c.OpenFile(100, OpenFlags{Read: true})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Release()
	fl.Write = true
	a, dst, err := c.Create(Root, name, 0o644, Owner{}, fl)
	if err != nil {
		t.Fatal(err)
	}
	k, err := c.CopyRange(src, 0, dst, 0, n)
	return a.Ino, dst, k, err
}

// A file of which nothing is here is copied without a byte of it, also where the
// program dies at once, and is then a file like any other.
func TestCopyByRecipe(t *testing.T) {
	b := newBucket()
	dir := t.TempDir()
	c := openCache(t, dir, b)
	want := track(t, c, b, 700_000)
	ino, h, n, err := copyOf(t, c, "copy", 1<<40, OpenFlags{})
	if err != nil || n != int64(len(want)) {
		t.Fatalf("copied %d of %d: %v", n, len(want), err)
	}
	if b.calls > 0 {
		t.Errorf("%d requests", b.calls)
	}
	if a, err := c.Attr(ino); err != nil || a.Size != n {
		t.Errorf("%d bytes, %v", a.Size, err)
	}
	died := crash(t, dir)

	if err := h.Release(); err != nil {
		t.Fatal(err)
	}
	s, err := c.Snapshot(ino)
	if err != nil {
		t.Fatal(err)
	}
	if !s.Unchanged() || s.Base.Size != n {
		t.Fatal("the cut finds something changed")
	}
	s.Close()
	if err := s.SetRecipe(*s.Base); err != nil {
		t.Fatal(err)
	}
	batch, _, err := c.Pending(100)
	if err != nil {
		t.Fatal(err)
	}
	committed := false
	for _, r := range batch.Rows {
		committed = committed || r.Ino == ino && bytes.Equal(encode(r.Recipe), encode(s.Base))
	}
	if !committed || b.calls > 0 {
		t.Errorf("in the commit to come: %v, after %d requests", committed, b.calls)
	}
	if got := readAll(t, c, ino); !bytes.Equal(got, want) {
		t.Error("the copy reads otherwise")
	}
	if got := readAll(t, c, 100); !bytes.Equal(got, want) {
		t.Error("what was copied reads otherwise")
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}

	c = openCache(t, died, b)
	defer c.Close()
	if got := readAll(t, c, ino); !bytes.Equal(got, want) {
		t.Error("after the death of the program the copy reads otherwise")
	}
	if ready, _, err := c.Uncut(0, 0, 100); err != nil || len(ready) != 1 || ready[0] != ino {
		t.Errorf("to cut: %v, %v; want %d", ready, err, ino)
	}
}

// What is written into a copy is in the copy alone, and is found by the cut.
func TestWriteIntoCopy(t *testing.T) {
	b := newBucket()
	c := openCache(t, t.TempDir(), b)
	defer c.Close()
	track := track(t, c, b, 700_000)
	ino, h, _, err := copyOf(t, c, "copy", 1<<40, OpenFlags{Read: true})
	if err != nil {
		t.Fatal(err)
	}
	want := append(bytes.Clone(track), "tail"...)
	copy(want[300_000:], "written into the copy")
	for at, p := range map[int64]string{300_000: "written into the copy", int64(len(track)): "tail"} {
		if _, err := h.WriteAt([]byte(p), at); err != nil {
			t.Fatal(err)
		}
	}
	got := make([]byte, len(want)+10)
	if n, err := h.ReadAt(context.Background(), got, 0); err != nil || !bytes.Equal(got[:n], want) {
		t.Errorf("the copy reads otherwise: %d bytes, %v", n, err)
	}
	if err := h.Release(); err != nil {
		t.Fatal(err)
	}
	waitIdle(t, c, ino)
	s, err := c.Snapshot(ino)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if s.Unchanged() {
		t.Error("the cut finds nothing changed")
	}
	if got, err := io.ReadAll(io.NewSectionReader(s, 0, s.Size)); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the cut reads otherwise: %d bytes, %v", len(got), err)
	}
	if got := readAll(t, c, 100); !bytes.Equal(got, track) {
		t.Error("what was copied reads otherwise")
	}
}

// waitIdle waits until no fetch holds the file.
func waitIdle(t *testing.T, c *Cache, ino Ino) {
	t.Helper()
	for range 500 {
		if c.peek(ino) == nil {
			return
		}
		if err := c.Sync(); err != nil {
			t.Fatal(err)
		}
	}
}

// Where a copy by recipe could be wrong it is refused, and the caller reads.
func TestCopyByRecipeRefused(t *testing.T) {
	refused := func(what string, n int64, fl OpenFlags, prepare func(*Cache, *bucket)) {
		t.Run(what, func(t *testing.T) {
			b := newBucket()
			c := openCache(t, t.TempDir(), b)
			defer c.Close()
			track(t, c, b, 700_000)
			if prepare != nil {
				prepare(c, b)
			}
			ino, h, k, err := copyOf(t, c, "copy", n, fl)
			if !errors.Is(err, unix.EOPNOTSUPP) || k != 0 {
				t.Errorf("copied %d, %v", k, err)
			}
			if a, err := c.Attr(ino); err != nil || a.Size != 0 {
				t.Errorf("the copy has %d bytes, %v", a.Size, err)
			}
			if err := h.Release(); err != nil {
				t.Fatal(err)
			}
		})
	}
	refused("a part of it", 600_000, OpenFlags{}, nil)
	refused("written and not cut", 1<<40, OpenFlags{}, func(c *Cache, _ *bucket) {
		h, err := c.OpenFile(100, OpenFlags{Write: true})
		if err == nil {
			_, err = h.WriteAt([]byte("new"), 5)
		}
		if err := errors.Join(err, h.Release()); err != nil {
			t.Fatal(err)
		}
	})
	refused("owed by another device", 1<<40, OpenFlags{}, func(c *Cache, b *bucket) {
		r := &Recipe{Size: 9, Parts: []Part{{Kind: "audio", Size: 9}}, Runs: []Run{{Length: 9}}}
		if err := c.Absorb([]Row{{Ino: 100, Mode: 0o100644, Recipe: r}}, nil, "d:2"); err != nil {
			t.Fatal(err)
		}
	})

	b := newBucket()
	c := openCache(t, t.TempDir(), b)
	defer c.Close()
	track(t, c, b, 1000)
	src, err := c.OpenFile(100, OpenFlags{Read: true})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Release()
	for what, prepare := range map[string]func(Ino, *Handle){
		"into a file with bytes":     func(_ Ino, h *Handle) { h.WriteAt([]byte("x"), 0) },
		"into a file open twice":     func(ino Ino, _ *Handle) { c.OpenFile(ino, OpenFlags{Read: true}) },
		"into a file in passthrough": func(_ Ino, h *Handle) { h.f.pass = true },
	} {
		a, dst, err := c.Create(Root, what, 0o644, Owner{}, OpenFlags{Write: true})
		if err != nil {
			t.Fatal(err)
		}
		prepare(a.Ino, dst)
		if k, err := c.CopyRange(src, 0, dst, 0, 1<<40); !errors.Is(err, unix.EOPNOTSUPP) {
			t.Errorf("%s: copied %d, %v", what, k, err)
		}
		dst.Release()
	}
}
