package mapped

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	bolt "go.etcd.io/bbolt"
)

// TestDamagedIsMadeAnew: a database that is whole keeps what it has; a damaged one lies
// beside an empty one afterwards.
func TestDamagedIsMadeAnew(t *testing.T) {
	name := filepath.Join(t.TempDir(), "db")
	one, two, key := []byte("one"), []byte("two"), []byte("k")
	use := func(buckets [][]byte, fn func(tx *bolt.Tx) error) {
		t.Helper()
		d, err := OpenDisposable(name, buckets...)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Update(fn); err != nil {
			t.Error(err)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
	use([][]byte{one}, func(tx *bolt.Tx) error { return tx.Bucket(one).Put(key, []byte("v")) })
	use([][]byte{one, two}, func(tx *bolt.Tx) error {
		if got := tx.Bucket(one).Get(key); string(got) != "v" {
			t.Errorf("it holds %q after being opened again", got)
		}
		return tx.Bucket(two).Put(key, nil)
	})
	raw, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for i := range raw[:min(len(raw), 16<<10)] {
		raw[i] = 0xA5
	}
	if err := os.WriteFile(name, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	use([][]byte{one, two}, func(tx *bolt.Tx) error {
		if tx.Bucket(one).Get(key) != nil {
			t.Error("what is made anew holds something")
		}
		return nil
	})
	if aside, err := os.ReadFile(name + ".damaged"); err != nil || !bytes.Equal(aside, raw) {
		t.Errorf("the damaged one is not beside it: %d bytes, %v", len(aside), err)
	}
}
