package pages

import (
	"encoding/binary"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	bolt "go.etcd.io/bbolt"
)

// TestLittleIsMapped: of a large database whose pages lie in another order than their keys,
// as those of an index do, little is in memory at a time while it is verified.
func TestLittleIsMapped(t *testing.T) {
	const rows, size, most = 60_000, 1500, 24 << 20
	path := filepath.Join(t.TempDir(), "db")
	b, err := bolt.Open(path, 0o600, &bolt.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	keys := rand.New(rand.NewPCG(1, 2)).Perm(rows)
	for len(keys) > 0 {
		now := keys[:rows/20]
		keys = keys[len(now):]
		err := b.Update(func(tx *bolt.Tx) error {
			bk, err := tx.CreateBucketIfNotExists([]byte("b"))
			for _, k := range now {
				if err == nil {
					err = bk.Put(binary.BigEndian.AppendUint64(nil, uint64(k)), make([]byte, size))
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil { // forgets the highest memory (proc(5))
		t.Fatal(err)
	}
	before := resident(t, "VmRSS")
	if err := Verify(path); err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if took := resident(t, "VmHWM") - before; took > most || st.Size() < 3*most {
		t.Errorf("%d bytes more were in memory while %d were verified, want at most %d", took, st.Size(), most)
	}
}

// resident is a figure of /proc/self/status, in bytes.
func resident(t *testing.T, name string) int64 {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	f := regexp.MustCompile(name + `:\s+(\d+) kB`).FindSubmatch(status)
	if f == nil {
		t.Fatalf("no %s in %s", name, status)
	}
	kib, err := strconv.ParseInt(string(f[1]), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return kib << 10
}
