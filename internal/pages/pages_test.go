package pages

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"testing"

	bolt "go.etcd.io/bbolt"
	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/tests/tools"
)

// database makes one with small and large values, many pages, deletions, and
// with or without a list of free pages.
func database(t testing.TB, noFreelist bool) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "db")
	b, err := bolt.Open(path, 0o600, &bolt.Options{NoFreelistSync: noFreelist})
	if err != nil {
		t.Fatal(err)
	}
	for round := range 4 {
		err := b.Update(func(tx *bolt.Tx) error {
			for _, name := range []string{"a", "b", "small"} {
				bk, err := tx.CreateBucketIfNotExists([]byte(name))
				if err != nil {
					return err
				}
				n := 2000
				if name == "small" {
					n = 3
				}
				for i := range n {
					key := fmt.Appendf(nil, "%s%06d", name, i*7%n)
					if i%5 == round {
						err = bk.Delete(key)
					} else {
						err = bk.Put(key, make([]byte, i%300+i/1900*9000))
					}
					if err != nil {
						return err
					}
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestGoodDatabases(t *testing.T) {
	for _, no := range []bool{false, true} {
		path := database(t, no)
		if err := Verify(path); err != nil {
			t.Error(err)
		}
		n := 0
		if err := Salvage(path, func(k, v []byte) { n++ }); err != nil || n < 3000 {
			t.Errorf("salvaged %d, %v", n, err)
		}
	}
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{empty, empty + " not"} {
		if err := Verify(p); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", p, err)
		}
	}
}

// TestDamage cuts databases short and writes garbage into them. Either the
// damage is found, or bbolt reads all of it without a panic.
func TestDamage(t *testing.T) {
	rng := rand.New(rand.NewPCG(uint64(tools.Seed(t)), 0))
	good, err := os.ReadFile(database(t, true))
	if err != nil {
		t.Fatal(err)
	}
	found, rounds := 0, tools.Count(t, 150, 2000, 20000)
	path := filepath.Join(t.TempDir(), "bad")
	for range rounds {
		bad := append([]byte(nil), good...)
		switch rng.IntN(4) {
		case 0:
			bad = bad[:rng.IntN(len(bad))]
		case 1:
			at := rng.IntN(len(bad)) &^ 4095
			for i := range bad[at : at+4096] {
				bad[at+i] = byte(rng.Uint32())
			}
		case 2:
			at := rng.IntN(len(bad)) &^ 4095
			clear(bad[at : at+4096])
		case 3: // the head of a page
			at := rng.IntN(len(bad))&^4095 + rng.IntN(200)
			bad[at] ^= byte(1 + rng.IntN(255))
		}
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := Salvage(path, func(k, v []byte) {}); err != nil && len(bad) > 0 {
			t.Fatal(err)
		}
		if err := Verify(path); err != nil {
			if !errors.Is(err, ErrDamaged) && !errors.Is(err, fs.ErrNotExist) {
				t.Fatal(err)
			}
			found++
			continue
		}
		b, err := bolt.Open(path, 0o600, &bolt.Options{NoFreelistSync: true})
		if err != nil {
			t.Fatalf("found good, and refused by bbolt: %v", err)
		}
		err = b.View(func(tx *bolt.Tx) error {
			return tx.ForEach(func(_ []byte, bk *bolt.Bucket) error {
				return bk.ForEach(func(_, _ []byte) error { return nil })
			})
		})
		if err := errors.Join(err, b.Close()); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("figure: damage found in %d of %d files", found, rounds)
	if found < rounds/4 {
		t.Errorf("damage found in %d of %d files only", found, rounds)
	}
}

// TestUnreadableIsNoDamage has the kernel answer a read of the map as for a page
// that the disk cannot give.
func TestUnreadableIsNoDamage(t *testing.T) {
	path := database(t, true)
	err := withFile(path, func(d *db) error {
		if err := os.Truncate(path, 0); err != nil {
			return err
		}
		return d.verify()
	})
	if !errors.Is(err, unix.EIO) || errors.Is(err, ErrDamaged) {
		t.Errorf("an unreadable disk: %v, want EIO", err)
	}
}

// TestFirstOpenCutShort has the disk take only the first half of a new database:
// the next opening makes it.
func TestFirstOpenCutShort(t *testing.T) {
	signal.Ignore(unix.SIGXFSZ)
	defer signal.Reset(unix.SIGXFSZ)
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &was); err != nil {
		t.Fatal(err)
	}
	half := unix.Rlimit{Cur: uint64(2 * os.Getpagesize()), Max: was.Max}
	path := filepath.Join(t.TempDir(), "db")
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &half); err != nil {
		t.Fatal(err)
	}
	_, err := Open(path, false, &bolt.Options{})
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &was); err != nil {
		t.Fatal(err)
	}
	if err == nil {
		t.Fatal("a database was made of half of its pages")
	}
	b, err := Open(path, false, &bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}
