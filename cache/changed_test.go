package cache

import (
	"errors"
	"slices"
	"testing"
)

// A change that leaves the same bytes has another time still, and the bucket has
// to hear of it.
func TestTimeOfASameContentIsCommitted(t *testing.T) {
	for name, change := range map[string]func(c *Cache, h *Handle, file []byte) error{
		"truncation": func(c *Cache, _ *Handle, file []byte) error {
			size := int64(len(file))
			_, err := c.SetAttr(100, Change{Size: &size})
			return err
		},
		"write": func(_ *Cache, h *Handle, file []byte) error {
			_, err := h.WriteAt(file[:9], 0)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBucket()
			c := openCache(t, t.TempDir(), b)
			defer c.Close()
			file := track(t, c, b, 5000)
			recipe, _, err := c.RecipeOf(100)
			if err != nil {
				t.Fatal(err)
			}
			h, err := c.OpenFile(100, OpenFlags{Write: true})
			if err != nil {
				t.Fatal(err)
			}
			err = change(c, h, file)
			if err := errors.Join(err, h.Release()); err != nil {
				t.Fatal(err)
			}
			s, err := c.Snapshot(100)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if err := s.SetRecipe(*recipe); err != nil {
				t.Fatal(err)
			}
			a, err := c.Attr(100)
			if err != nil {
				t.Fatal(err)
			}
			batch, _, err := c.Pending(100)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.ContainsFunc(batch.Rows, func(r Row) bool { return r.Ino == 100 && r.Mtime.Equal(a.Mtime) }) {
				t.Errorf("the row of the time %v waits for no commit", a.Mtime)
			}
		})
	}
}
