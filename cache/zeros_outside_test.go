package cache

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestZerosOutside: of a file that is read from outside nothing is known unread,
// neither before it was cut nor by the recipe of what it was before.
func TestZerosOutside(t *testing.T) {
	c := openCache(t, t.TempDir(), nil)
	defer c.Close()
	p := newTestPlace(t, c)
	const size = 2 * manyZeros
	ino := p.add("a.mp3", strings.Repeat("a", size))
	mustBeData := func() {
		t.Helper()
		h, err := c.OpenFile(ino, OpenFlags{Read: true})
		p.must(err)
		defer h.Release()
		if n, err := h.Zeros(t.Context(), 0); n != 0 || err != nil {
			t.Errorf("%d bytes count as zeros, %v", n, err)
		}
		data, err1 := h.Lseek(0, unix.SEEK_DATA)
		hole, err2 := h.Lseek(0, unix.SEEK_HOLE)
		if data != 0 || hole != size || err1 != nil || err2 != nil {
			t.Errorf("data at %d, %v; a hole at %d, %v", data, err1, hole, err2)
		}
	}
	mustBeData()

	// What it was before was all zeros.
	p.write("a.mp3", strings.Repeat("\x00", size))
	p.must(p.f.Update(ino, lstat(t, p.path("a.mp3")), true))
	s, err := c.Snapshot(ino)
	p.must(err)
	s.Close()
	p.must(s.SetRecipe(Recipe{Size: size, Parts: []Part{{Kind: "data", Size: size, Blobs: []Blob{{Size: size}}}}, Runs: []Run{{Length: size}}}))
	p.commit()
	h, err := c.OpenFile(ino, OpenFlags{Read: true})
	p.must(err)
	if n, err := h.Zeros(t.Context(), 0); n != size || err != nil {
		t.Errorf("of %d zeros in the bucket %d are known, %v", int64(size), n, err)
	}
	p.must(h.Release())
	p.write("a.mp3", strings.Repeat("b", size))
	p.must(p.f.Update(ino, lstat(t, p.path("a.mp3")), true))
	mustBeData()
}
