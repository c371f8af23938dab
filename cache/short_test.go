package cache

import (
	"context"
	"os"
	"testing"
)

// A content file that is shorter than the record says, as a disk that lost bytes
// leaves it, is an error and no endless search for them.
func TestShortContentIsAnError(t *testing.T) {
	b := newBucket()
	c := openCache(t, t.TempDir(), b)
	defer c.Close()
	track(t, c, b, 700_000)
	h, err := c.OpenFile(100, OpenFlags{Read: true, Write: true})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Release()
	if _, err := h.WriteAt([]byte("written"), 500_000); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(c.contentPath(100), 400_000); err != nil {
		t.Fatal(err)
	}
	if n, err := h.ReadAt(context.Background(), make([]byte, 7), 500_000); err == nil {
		t.Errorf("read %d bytes that are not there", n)
	}
}
