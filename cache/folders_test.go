package cache

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestFoldersComeWithTheFirstContent: a cache has no folders of contents before it has a
// content, and has them again where a copy of it left the empty ones out.
func TestFoldersComeWithTheFirstContent(t *testing.T) {
	dir := t.TempDir()
	folders := func() (n int) {
		list, err := os.ReadDir(filepath.Join(dir, "content"))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range list {
			if e.IsDir() {
				n++
			}
		}
		return n
	}
	make := func(name string) {
		c := openCache(t, dir, nil)
		defer c.Close()
		if name == "" {
			return
		}
		if _, err := c.Mknod(Root, name, unix.S_IFREG|0o644, 0, Owner{}); err != nil {
			t.Fatal(err)
		}
	}
	if make(""); folders() != 0 {
		t.Errorf("%d folders without a content", folders())
	}
	if make("first"); folders() != 256 {
		t.Errorf("%d folders with the first", folders())
	}
	for i := range 256 {
		_ = os.Remove(filepath.Join(dir, "content", hexByte(i))) // those that are empty
	}
	if make("second"); folders() != 256 {
		t.Errorf("%d folders with the second", folders())
	}
}
