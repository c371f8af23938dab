package budget

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/kv"
	"github.com/tunesafe/tunesafe/internal/label"
	"github.com/tunesafe/tunesafe/internal/repo"
	"github.com/tunesafe/tunesafe/internal/split"
	"github.com/tunesafe/tunesafe/internal/store/mem"
	"github.com/tunesafe/tunesafe/tests/musiclib"
	"github.com/tunesafe/tunesafe/tests/tools"
)

const runs = 100

// allocs holds the allocations of one call to their budget.
func allocs(t *testing.T, name string, f func() error) {
	t.Helper()
	n := testing.AllocsPerRun(runs, func() {
		if err := f(); err != nil {
			t.Fatal(err)
		}
	})
	Check(t, "allocations: "+name, n)
}

// Cutting a file and reading its label allocate by its tags, not by its sound.
func TestAllocationsOfFiles(t *testing.T) {
	tools.Need(t, musiclib.Tools...)
	o, err := musiclib.Preset("ci")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	lib, err := musiclib.Make(t.Context(), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[musiclib.Kind]bool{}
	for _, track := range lib.Tracks {
		if seen[track.Kind] {
			continue
		}
		seen[track.Kind] = true
		b, err := os.ReadFile(filepath.Join(dir, track.Path))
		if err != nil {
			t.Fatal(err)
		}
		r, size := bytes.NewReader(b), int64(len(b))
		layout, err := split.Split(r, size)
		if err != nil {
			t.Fatal(err)
		}
		allocs(t, "cut "+string(track.Kind), func() error { _, err := split.Split(r, size); return err })
		allocs(t, "label of "+string(track.Kind), func() error { _, err := label.Read(r, size, layout); return err })
	}
	if len(seen) < 7 {
		t.Errorf("the library has %d kinds of tracks", len(seen))
	}
}

// Sealing and opening allocate no more for a large object than for a small one.
func TestAllocationsOfObjects(t *testing.T) {
	recovery, err := repo.NewRecoveryKey()
	if err != nil {
		t.Fatal(err)
	}
	k, _, err := repo.Create(context.Background(), mem.New(), recovery)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.NewChaCha8([32]byte{})
	for _, kib := range []int{64, 1024} {
		plain := make([]byte, kib<<10)
		if _, err := r.Read(plain); err != nil {
			t.Fatal(err)
		}
		allocs(t, fmt.Sprintf("name a blob of %d KiB", kib), func() error { k.BlobID(plain); return nil })
		allocs(t, fmt.Sprintf("seal %d KiB", kib), func() error {
			s, err := k.Seal("audio", plain)
			if err == nil {
				s.Release()
			}
			return err
		})
		s, err := k.Seal("audio", plain)
		if err != nil {
			t.Fatal(err)
		}
		allocs(t, fmt.Sprintf("open %d KiB", kib), func() error { _, err := k.OpenObject(s.Name, s.Body); return err })
	}
	small := make([][]byte, 100)
	ids := make([]repo.ID, len(small))
	for i := range small {
		small[i] = fmt.Appendf(nil, "The tags of track %d", i)
		ids[i] = k.BlobID(small[i])
	}
	allocs(t, "pack 100 tags", func() error {
		p := repo.NewPack(k, "tags")
		for i := range small {
			p.Add(ids[i], small[i])
		}
		s, _, err := p.Finish()
		if err == nil {
			s.Release()
		}
		return err
	})
}

// What the kernel asks of the drive for each file of a listing.
func TestAllocationsOfTheDrive(t *testing.T) {
	c, err := cache.Open(t.TempDir(), cache.Options{ContentDir: t.TempDir(), InoBase: 1 << 40, SyncEvery: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	dir, err := c.Mkdir(cache.Root, "Album", 0o755, cache.Owner{})
	if err != nil {
		t.Fatal(err)
	}
	var last cache.Attr
	for i := range 100 {
		if last, err = c.Mknod(dir.Ino, fmt.Sprintf("%02d Title.mp3", i), unix.S_IFREG|0o644, 0, cache.Owner{}); err != nil {
			t.Fatal(err)
		}
	}
	allocs(t, "look a name up", func() error { _, err := c.Lookup(dir.Ino, "42 Title.mp3"); return err })
	allocs(t, "attributes of a file", func() error { _, err := c.Attr(last.Ino); return err })
	allocs(t, "list 100 names", func() error { _, err := c.ReadDir(dir.Ino); return err })
	n := 100
	allocs(t, "make a file", func() error {
		n++
		_, err := c.Mknod(dir.Ino, fmt.Sprintf("%02d Title.mp3", n), unix.S_IFREG|0o644, 0, cache.Owner{})
		return err
	})
}

func TestAllocationsOfARow(t *testing.T) {
	d, err := kv.Open(t.TempDir(), []string{"rows"}, kv.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	value, n := make([]byte, 150), 0
	allocs(t, "write a row", func() error {
		n++
		var b kv.Batch
		b.Put(0, fmt.Appendf(nil, "%016d", n), value)
		return d.Apply(&b)
	})
}

// A figure may vary, but not double; none may come without a budget, and what was
// nothing stays nothing.
func TestCompare(t *testing.T) {
	budgets := map[string]float64{"ten": 10, "none": 0}
	for _, c := range []struct {
		name   string
		figure float64
		ok     bool
	}{{"ten", 3, true}, {"ten", 18, true}, {"ten", 19, false}, {"none", 0, true}, {"none", 1, false}, {"new", 0, false}} {
		if err := compare(budgets, c.name, c.figure); (err == nil) != c.ok {
			t.Errorf("%+v: %v", c, err)
		}
	}
	path := filepath.Join(t.TempDir(), "budget.json")
	for name, figure := range map[string]float64{"a": 1, "b": 0.5} {
		if err := write(path, name, figure); err != nil {
			t.Fatal(err)
		}
	}
	if err := write(path, "a", 2); err != nil {
		t.Fatal(err)
	}
	if got, err := read(path); err != nil || len(got) != 2 || got["a"] != 2 || got["b"] != 0.5 {
		t.Errorf("%v, %v", got, err)
	}
}
