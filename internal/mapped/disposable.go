package mapped

import (
	"errors"
	"os"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/tunesafe/tunesafe/internal/pages"
)

// OpenDisposable opens a database of what can be found out again, or makes it, with
// those buckets. A damaged one is put aside as path.damaged, and made anew. A second
// process waits a second for the first and then fails.
func OpenDisposable(path string, buckets ...[]byte) (*DB, error) {
	options := &bolt.Options{Timeout: time.Second, FreelistType: bolt.FreelistMapType, NoFreelistSync: true}
	b, err := pages.Open(path, false, options)
	if errors.Is(err, pages.ErrDamaged) {
		if err := os.Rename(path, path+".damaged"); err != nil {
			return nil, err
		}
		b, err = pages.Open(path, false, options)
	}
	if err != nil {
		return nil, err
	}
	d := New(b)
	err = d.Update(func(tx *bolt.Tx) error {
		for _, name := range buckets {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}
