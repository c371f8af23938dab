package mapped

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	bolt "go.etcd.io/bbolt"
	"golang.org/x/sys/unix"
)

// TestFaultIsAnError cuts the file below the mapping: the kernel then answers as
// for a page that the disk cannot give.
func TestFaultIsAnError(t *testing.T) {
	name := filepath.Join(t.TempDir(), "db")
	b, err := bolt.Open(name, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	d := New(b)
	bucket := []byte("b")
	err = d.Update(func(tx *bolt.Tx) error {
		b, err := tx.CreateBucket(bucket)
		for i := 0; i < 1000 && err == nil; i++ {
			err = b.Put([]byte{byte(i >> 8), byte(i)}, make([]byte, 1000))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	last := func(tx *bolt.Tx) error { tx.Bucket(bucket).Cursor().Last(); return nil }
	if err := d.View(last); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(name, 8192); err != nil { // the two pages that describe it stay
		t.Fatal(err)
	}
	if err := d.View(last); !errors.Is(err, unix.EIO) {
		t.Errorf("View: %v, want EIO", err)
	}
	for range 2 { // the second by the same transaction
		if _, err := d.Get(bucket, []byte{3, 231}); !errors.Is(err, unix.EIO) {
			t.Errorf("Get: %v, want EIO", err)
		}
	}
	put := func(tx *bolt.Tx) error { return tx.Bucket(bucket).Put([]byte("k"), []byte("v")) }
	if err := d.Update(put); !errors.Is(err, unix.EIO) {
		t.Errorf("Update: %v, want EIO", err)
	}
	if err := d.Update(put); !errors.Is(err, ErrBroken) {
		t.Errorf("a second Update: %v, want ErrBroken", err)
	}
	if err := d.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	func() {
		defer func() {
			if recover() != "other" {
				t.Error("another panic did not go on")
			}
		}()
		d.caught(watch(), new(error))
		defer d.caught(watch(), new(error))
		panic("other")
	}()
}
