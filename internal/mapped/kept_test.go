package mapped

import (
	"encoding/binary"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	bolt "go.etcd.io/bbolt"
)

// TestAskedWhileWritten: whoever asks sees what was written before, and none holds up a
// database that grows and is mapped anew, again and again.
func TestAskedWhileWritten(t *testing.T) {
	bucket, count := []byte("b"), []byte("count")
	d, err := OpenDisposable(filepath.Join(t.TempDir(), "db"), bucket)
	if err != nil {
		t.Fatal(err)
	}
	d.NoSync = true
	var done atomic.Uint64 // what has been written
	var asking sync.WaitGroup
	stop := make(chan struct{})
	read := func(v []byte) error {
		if len(v) != 0 && len(v) != 8 {
			return fmt.Errorf("%d bytes", len(v))
		}
		return nil
	}
	number := func(v []byte) uint64 {
		if v == nil {
			return 0
		}
		return binary.BigEndian.Uint64(v)
	}
	for i := range 3 {
		asking.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				least := done.Load()
				var got uint64
				var err error
				if i == 0 {
					err = d.Ask(func(r *Rows) error {
						v := r.Get(bucket, count)
						got = number(v)
						return read(v)
					})
				} else {
					var v []byte
					v, err = d.Get(bucket, count)
					got = number(v)
				}
				if err != nil || got < least {
					t.Errorf("saw %d, %v, when %d was written", got, err, least)
					return
				}
			}
		})
	}
	for n := uint64(1); n <= 300; n++ {
		err := d.Update(func(tx *bolt.Tx) error {
			b := tx.Bucket(bucket)
			if err := b.Put(count, binary.BigEndian.AppendUint64(nil, n)); err != nil {
				return err
			}
			return b.Put(binary.BigEndian.AppendUint64(nil, n), make([]byte, 30_000))
		})
		if err != nil {
			t.Fatal(err)
		}
		done.Store(n)
	}
	close(stop)
	asking.Wait()
	if v, err := d.Get(bucket, []byte("none")); v != nil || err != nil {
		t.Errorf("a row that is not there: %x, %v", v, err)
	}
	if v, err := d.Get([]byte("none"), count); v != nil || err != nil {
		t.Errorf("a row of a bucket that is not there: %x, %v", v, err)
	}
	if n := testing.AllocsPerRun(100, func() { d.Get(bucket, count) }); n > 2 {
		t.Errorf("%v allocations for a row, want 1", n)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Get(bucket, count); err == nil {
		t.Error("a closed database answers")
	}
}
