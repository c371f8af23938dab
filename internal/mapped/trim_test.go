package mapped

import (
	"fmt"
	"path/filepath"
	"testing"

	bolt "go.etcd.io/bbolt"
)

// TestTrim: what reading mapped is given back, whether rows are read one a transaction or
// all in one, and can be read again, in a transaction that writes, too.
func TestTrim(t *testing.T) {
	b, err := bolt.Open(filepath.Join(t.TempDir(), "db"), 0o600, &bolt.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	d := New(b)
	defer d.Close()
	const rows, size = 20_000, 4000
	name := []byte("b")
	key := func(i int) []byte { return fmt.Appendf(nil, "%08d", i) }
	for from := 0; from < rows; from += 1000 {
		err := d.Update(func(tx *bolt.Tx) error {
			b, err := tx.CreateBucketIfNotExists(name)
			for i := from; i < from+1000 && err == nil; i++ {
				err = b.Put(key(i), make([]byte, size))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	read := func(tx *bolt.Tx, i int) error {
		if v := tx.Bucket(name).Get(key(i)); len(v) != size {
			return fmt.Errorf("row %d has %d bytes", i, len(v))
		}
		return nil
	}
	all := func(tx *bolt.Tx) error {
		for i := range rows {
			if err := read(tx, i); err != nil {
				return err
			}
			d.Visited(tx, 1)
		}
		return nil
	}
	few := func(how string) {
		t.Helper()
		// Beside a row's own pages the kernel maps those around it that it has.
		if left := residentFiles(); left >= trimAbove+lookEvery*64<<10/4 || rows*size < trimAbove {
			t.Errorf("%d bytes of files are in memory after reading all %s", left, how)
		}
	}
	for i := range rows {
		if err := d.View(func(tx *bolt.Tx) error { return read(tx, i) }); err != nil {
			t.Fatal(err)
		}
	}
	few("one by one")
	if err := d.View(all); err != nil {
		t.Fatal(err)
	}
	few("at once")
	if err := d.Update(all); err != nil {
		t.Fatal(err)
	}
	few("in a transaction that writes")
	for range 2 {
		err := d.Update(func(tx *bolt.Tx) error {
			for i := 0; i < rows; i += 80 {
				if err := tx.Bucket(name).Put(key(i), make([]byte, size)); err != nil {
					return err
				}
			}
			MakeRoom(tx)
			if left := residentFiles(); left > bare {
				t.Errorf("%d bytes of files are in memory before a commit", left)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if left := residentFiles(); left > bare+4<<20 {
			t.Errorf("%d bytes of files are in memory after rows all over were changed", left)
		}
	}
}
