package mapped

import (
	"os"
	"path/filepath"
	"testing"
	"unsafe"

	bolt "go.etcd.io/bbolt"
	"golang.org/x/sys/unix"
)

// TestTrimKeepsToTheDatabase: a file that is longer than what is mapped of it, as it is when
// it was grown ahead, does not have memory given back that lies behind and is somebody else's.
func TestTrimKeepsToTheDatabase(t *testing.T) {
	const half = 1 << 20
	name := filepath.Join(t.TempDir(), "db")
	b, err := bolt.Open(name, 0o600, &bolt.Options{NoSync: true, InitialMmapSize: 2 * half})
	if err != nil {
		t.Fatal(err)
	}
	d := New(b)
	defer d.Close()
	if err := os.Truncate(name, 4*half); err != nil {
		t.Fatal(err)
	}
	// Other memory takes the place of the second half of the mapping, in which nothing of
	// the database is.
	data := d.Info().Data
	at, err := unix.MmapPtr(-1, 0, unsafe.Add(*(*unsafe.Pointer)(unsafe.Pointer(&data)), half), half,
		unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_FIXED)
	if err != nil {
		t.Fatal(err)
	}
	behind := unsafe.Slice((*byte)(at), half)
	for i := range behind {
		behind[i] = 0xA5
	}
	if err := d.View(func(tx *bolt.Tx) error { trim(tx); return nil }); err != nil {
		t.Fatal(err)
	}
	for i, c := range behind {
		if c != 0xA5 {
			t.Fatalf("byte %d behind the database was lost", i)
		}
	}
}
