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
	make := func(name string) (a Attr) {
		c := openCache(t, dir, nil)
		defer c.Close()
		if name == "" {
			return a
		}
		a, err := c.Mknod(Root, name, unix.S_IFREG|0o644, 0, Owner{})
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	dropEmpty := func() {
		for i := range 256 {
			_ = os.Remove(filepath.Join(dir, "content", hexByte(i)))
		}
	}
	if make(""); folders() != 0 {
		t.Errorf("%d folders without a content", folders())
	}
	first := make("first")
	if folders() != 256 {
		t.Errorf("%d folders with the first", folders())
	}
	if dropEmpty(); folders() != 1 {
		t.Fatalf("%d folders hold one content", folders())
	}
	if make("second"); folders() != 256 {
		t.Errorf("%d folders with the second", folders())
	}
	dropEmpty()
	c := openCache(t, dir, nil)
	defer c.Close()
	to := first.Ino + 100
	if err := (&settling{c: c}).moveContent(first.Ino, to); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(c.contentPath(to)); err != nil {
		t.Error("a content is not where it was moved to:", err)
	}
}
