package cache

import "testing"

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
