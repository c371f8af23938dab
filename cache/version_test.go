package cache

import (
	"bytes"
	"io"
	"testing"
)

// TestReadThrough: who reads a version from end to end has each part that lies in one piece
// read on, none of it twice and none kept; what lies in several pieces is read once.
func TestReadThrough(t *testing.T) {
	b := newBucket()
	c := openCache(t, t.TempDir(), b)
	defer c.Close()
	tags, sound, end := bytes.Repeat([]byte("tags."), 1000), bytes.Repeat([]byte("sound"), 100<<10), []byte("pages")
	r := &Recipe{Size: int64(len(tags) + len(sound) + len(end)),
		Parts: []Part{b.store("tags", tags), b.store("audio", sound), b.store("tags", end)},
		Runs:  []Run{{Part: 0, Length: int64(len(tags))}, {Part: 2, Length: 2}, {Part: 1, Length: int64(len(sound))}, {Part: 2, Length: 3}}}
	v := c.OpenVersion(1<<40, r, true)
	defer v.Close()
	var got bytes.Buffer
	_, err := io.CopyBuffer(struct{ io.Writer }{&got}, struct{ io.Reader }{io.NewSectionReader(readerAt(func(p []byte, off int64) (int, error) {
		return v.ReadAt(t.Context(), p, off)
	}), 0, r.Size)}, make([]byte, 1000))
	want := bytes.Join([][]byte{tags, end[:2], sound, end[2:]}, nil)
	if err != nil || !bytes.Equal(got.Bytes(), want) {
		t.Fatalf("%d bytes, not the %d of the version: %v", got.Len(), len(want), err)
	}
	if b.calls != len(r.Parts) {
		t.Errorf("%d calls for %d parts", b.calls, len(r.Parts))
	}
	if len(v.small) != 1 {
		t.Errorf("%d parts are kept, want the one in two pieces", len(v.small))
	}
}

type readerAt func(p []byte, off int64) (int, error)

func (f readerAt) ReadAt(p []byte, off int64) (int, error) { return f(p, off) }
