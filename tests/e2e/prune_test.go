package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	gosync "sync"
	"syscall"
	"testing"

	"github.com/tunesafe/tunesafe/tests/drive"
	"github.com/tunesafe/tunesafe/tests/tools"
)

// noise is sound that no other equals.
func noise(rng *rand.Rand, size int) []byte {
	p := make([]byte, size)
	for i := range p {
		p[i] = byte(rng.Uint32())
	}
	return p
}

// TestPruneInUse prunes in the process that shows the drive, while files on it are read and
// written. What was forgotten is listed no more, and to read its sound is an error; all else
// is right, here and in a home that has nothing.
func TestPruneInUse(t *testing.T) {
	p, _ := counted(t)
	h := drive.New(t, p.server)
	h.Run(append([]string{"init", "--name", "first"}, p.flags...)...)
	h.Mount()
	rng := rand.New(rand.NewPCG(uint64(tools.Seed(t)), 3))
	want := map[string][]byte{}
	put := func(name string, data []byte) {
		t.Helper()
		want[name] = data
		if err := os.WriteFile(filepath.Join(h.At, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 6 {
		put(fmt.Sprintf("%d.bin", i), noise(rng, 600_000))
	}
	put("long.bin", noise(rng, 8<<20))
	put("gone.bin", noise(rng, 600_000))
	put("again.bin", noise(rng, 600_000))
	gone, again := want["gone.bin"], want["again.bin"]
	first := keep(t, h)
	for _, name := range []string{"gone.bin", "again.bin"} {
		if err := os.Remove(filepath.Join(h.At, name)); err != nil {
			t.Fatal(err)
		}
		delete(want, name)
	}
	second := keep(t, h)
	put("2.bin", noise(rng, 600_000))
	wait(h)

	// A home that has nothing: of the long file a part comes here, and stays open.
	key := lose(h)
	h = coldDrive(t, p, key)
	long, err := os.Open(filepath.Join(h.At, "long.bin"))
	if err != nil {
		t.Fatal(err)
	}
	defer long.Close()
	part(t, long, want["long.bin"], 3<<20, 100_000)
	then, err := os.Open(filepath.Join(h.At, ".snapshots", first.name, "gone.bin"))
	if err != nil {
		t.Fatal(err)
	}
	defer then.Close()

	// While it prunes: new files come, one of them with sound that it condemns; all is read.
	stop := make(chan struct{})
	var busy gosync.WaitGroup
	busy.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			name := fmt.Sprintf("%d.bin", i%6)
			if got, err := os.ReadFile(filepath.Join(h.At, name)); err != nil || !bytes.Equal(got, want[name]) {
				t.Errorf("%s while it prunes: %d bytes, %v", name, len(got), err)
				return
			}
			if i%3 == 0 {
				if err := os.WriteFile(filepath.Join(h.At, "busy.txt"), fmt.Appendf(nil, "%d", i), 0o644); err != nil {
					t.Error(err)
					return
				}
			}
		}
	})
	if err := os.WriteFile(filepath.Join(h.At, "again.bin"), again, 0o644); err != nil {
		t.Fatal(err)
	}
	if out := h.Run("prune", "--keep-last", "1"); strings.Contains(out, "deleted: ") || !strings.Contains(out, "(first), which was used last on") {
		t.Errorf("beside a device that has not heard it says\n%s", out)
	}
	h.Run("devices", "retire", "first", "--recovery-key", key)
	out := h.Run("prune", "--keep-last", "1")
	part(t, long, want["long.bin"], 5<<20, 100_000)
	if !strings.Contains(out, "deleted: ") || strings.Contains(out, "waits for") {
		t.Errorf("prune says\n%s", out)
	}
	close(stop)
	busy.Wait()
	want["again.bin"] = again

	// The past.
	names := snapshots(t, h)
	for _, s := range []state{first, second} {
		for _, name := range names {
			if name == s.name {
				t.Errorf("%s is forgotten, and listed: %q", s.name, names)
			}
		}
		if _, err := os.ReadDir(filepath.Join(h.At, ".snapshots", s.name)); err == nil {
			if got, err := os.ReadFile(filepath.Join(h.At, ".snapshots", s.name, "gone.bin")); err == nil {
				t.Errorf("a forgotten moment has gone.bin, %d bytes", len(got))
			}
		}
	}
	got := make([]byte, len(gone))
	if n, err := then.ReadAt(got, 0); err == nil || !errors.Is(err, syscall.EIO) || n > 0 && !bytes.Equal(got[:n], gone[:n]) {
		t.Errorf("what was open and is pruned reads %d bytes, %v", n, err)
	}

	// Another prune, and then the rest of the long file; and all of it from the bucket.
	wait(h)
	h.Run("prune", "--keep-last", "1")
	part(t, long, want["long.bin"], 0, len(want["long.bin"]))
	long.Close()
	then.Close()
	if out := h.Run("check", "--read"); strings.Contains(out, "problem") {
		t.Error(out)
	}
	drain(h)
	last := coldDrive(t, p, key)
	for name, data := range want {
		if got, err := os.ReadFile(filepath.Join(last.At, name)); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s in a home that had nothing: %d bytes, %v", name, len(got), err)
		}
	}
}

// part reads some of an open file.
func part(t testing.TB, f io.ReaderAt, all []byte, off, n int) {
	t.Helper()
	got := make([]byte, n)
	if _, err := f.ReadAt(got, int64(off)); err != nil || !bytes.Equal(got, all[off:off+n]) {
		t.Errorf("%d bytes at %d: %v", n, off, err)
	}
}
