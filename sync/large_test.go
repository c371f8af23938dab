package sync

import (
	"bytes"
	"context"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/tests/tools"
)

// smallLarge cuts files of two megabytes as large ones are.
func smallLarge(t *testing.T) {
	was := largePart
	largePart = 2 << 20
	t.Cleanup(func() { largePart = was })
}

func noise(r *rand.Rand, n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(r.Uint32())
	}
	return p
}

// image is a large file of the drive, and what must be in it.
type image struct {
	*device
	ino  cache.Ino
	want []byte
}

func newImage(t *testing.T, d *device, p []byte) *image {
	return &image{d, d.write("image", p), p}
}

// put writes into the image, which stays where it is.
func (m *image) put(p []byte, off int) {
	m.t.Helper()
	h, err := m.cache.OpenFile(m.ino, cache.OpenFlags{Write: true})
	if err != nil {
		m.t.Fatal(err)
	}
	if _, err := h.WriteAt(p, int64(off)); err != nil {
		m.t.Fatal(err)
	}
	if err := h.Release(); err != nil {
		m.t.Fatal(err)
	}
	if grow := off + len(p) - len(m.want); grow > 0 {
		m.want = append(m.want, make([]byte, grow)...)
	}
	copy(m.want[off:], p)
}

// safe waits until all is in the bucket, and tells how many bytes went there.
func (m *image) safe() int64 {
	m.t.Helper()
	before := m.w.Status().UploadedBytes
	m.wait()
	return m.w.Status().UploadedBytes - before
}

// sameCold compares what a new home finds in the bucket.
func (m *image) sameCold(w *world) {
	m.t.Helper()
	cold := w.device("cold")
	defer cold.close()
	if got := cold.read("image"); !bytes.Equal(got, m.want) {
		m.t.Fatalf("a cold home reads %d bytes, and other ones; want %d", len(got), len(m.want))
	}
}

// TestLargeFileCostsWhatChanged: blocks that change in a large file cost little
// more than their bytes, generation after generation, and a cold home reads it.
func TestLargeFileCostsWhatChanged(t *testing.T) {
	tools.StepByStep(t)
	smallLarge(t)
	r := rand.New(rand.NewPCG(1, 1))
	w := newWorld(t)
	m := newImage(t, w.device("a"), noise(r, 24<<20))
	if n := m.safe(); n < 24<<20 {
		t.Fatalf("%d bytes were uploaded of 24 MiB", n)
	}
	for generation := range 6 {
		const changes = 60
		for range changes {
			m.put(noise(r, block), r.IntN(len(m.want)/block)*block)
		}
		if n := m.safe(); n > changes*block*13/10+16<<10 {
			t.Errorf("generation %d: %d bytes went up for %d that changed", generation, n, changes*block)
		}
	}
	m.put(noise(r, 1<<20), len(m.want)) // a mail store grows
	if n := m.safe(); n > 1<<20+120<<10 {
		t.Errorf("%d bytes went up for a megabyte at the end", n)
	}
	m.sameCold(w)
	restored(t, m)
}

// TestLargeFileThatMoves: when bytes are put in before most of a file, what has
// moved is found by its content.
func TestLargeFileThatMoves(t *testing.T) {
	tools.StepByStep(t)
	smallLarge(t)
	r := rand.New(rand.NewPCG(2, 1))
	w := newWorld(t)
	m := newImage(t, w.device("a"), noise(r, 24<<20))
	m.safe()
	m.put(append(noise(r, 1000), m.want[5<<20:]...), 5<<20)
	if n := m.safe(); n > 6<<20 {
		t.Errorf("%d bytes went up for 1,000 put in", n)
	}
	m.sameCold(w)
}

// TestLargeFileWithoutSums: sums that are lost, damaged or of another version of
// the file are not believed.
func TestLargeFileWithoutSums(t *testing.T) {
	tools.StepByStep(t)
	smallLarge(t)
	r := rand.New(rand.NewPCG(3, 1))
	w := newWorld(t)
	m := newImage(t, w.device("a"), noise(r, 8<<20))
	m.safe()
	path := m.w.sumsPath(m.ino)
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal("there are no sums:", err)
	}
	for name, change := range map[string]func([]byte) error{
		"lost":    func([]byte) error { return os.Remove(path) },
		"damaged": func(b []byte) error { b[len(b)/2] ^= 1; return os.WriteFile(path, b, 0o600) },
		"short":   func(b []byte) error { return os.WriteFile(path, b[:len(b)-100], 0o600) },
		"old":     func([]byte) error { return os.WriteFile(path, old, 0o600) },
	} {
		m.put(noise(r, block), r.IntN(len(m.want)/block)*block)
		m.safe()
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := change(b); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			m.put(noise(r, block), r.IntN(len(m.want)/block)*block)
		}
		t.Log(name, m.safe(), "bytes up")
		m.sameCold(w)
	}
}

// TestLargeColdFile: a write into a file of which nothing is here fetches none of it.
func TestLargeColdFile(t *testing.T) {
	smallLarge(t)
	r := rand.New(rand.NewPCG(4, 1))
	w := newWorld(t)
	m := newImage(t, w.device("a"), noise(r, 16<<20))
	m.safe()
	cold := &image{w.device("b"), m.ino, m.want}
	down := w.st.Counts().DownloadedBytes
	cold.put(noise(r, 10000), 3<<20+77)
	cold.put(noise(r, 100), 9<<20)
	if n := cold.safe(); n > 60<<10 {
		t.Errorf("%d bytes went up", n)
	}
	// Its head and its end are looked at, to see that it is no music.
	if n := w.st.Counts().DownloadedBytes - down; n > 3<<20 {
		t.Errorf("%d bytes were fetched", n)
	}
	cold.sameCold(w)
}

// TestSparseFile: holes are neither read nor uploaded, and are holes again when the
// file is restored.
func TestSparseFile(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 1))
	w := newWorld(t)
	d := w.device("a")
	ino := d.write("image", nil)
	h, err := d.cache.OpenFile(ino, cache.OpenFlags{Write: true})
	if err != nil {
		t.Fatal(err)
	}
	const size = 1 << 40
	where, what := []int64{0, 3<<20 + 5, 1 << 38, size - 4<<20}, noise(r, 3<<20)
	for _, at := range where {
		if _, err := h.WriteAt(what, at); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.Release(); err != nil {
		t.Fatal(err)
	}
	if err := resize(d, ino, size); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	m := &image{device: d, ino: ino}
	if n := m.safe(); n > 13<<20 {
		t.Errorf("%d bytes went up", n)
	}
	t.Log("backed up in", time.Since(began))
	cold := w.device("cold")
	dest := t.TempDir()
	began = time.Now()
	if err := Restore(context.Background(), Now(cold.cache), []string{"image"}, dest, nil); err != nil {
		t.Fatal(err)
	}
	t.Log("restored in", time.Since(began))
	var st unix.Stat_t
	if err := unix.Stat(filepath.Join(dest, "image"), &st); err != nil || st.Size != size || st.Blocks*512 > 14<<20 {
		t.Errorf("restored with %d bytes that take %d: %v", st.Size, st.Blocks*512, err)
	}
	f, err := os.Open(filepath.Join(dest, "image"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, at := range where[2:] {
		got := make([]byte, len(what)+1000)
		if n, err := f.ReadAt(got, at); n < len(what) || !bytes.Equal(got[:len(what)], what) {
			t.Errorf("at %d: %d bytes, %v", at, n, err)
		}
	}
}

func resize(d *device, ino cache.Ino, size int64) error {
	_, err := d.cache.SetAttr(ino, cache.Change{Size: &size})
	return err
}

// restored restores the image and compares it.
func restored(t *testing.T, m *image) {
	t.Helper()
	dest := t.TempDir()
	if err := Restore(context.Background(), Now(m.cache), []string{"image"}, dest, nil); err != nil {
		t.Fatal(err)
	}
	if got, err := fs.ReadFile(os.DirFS(dest), "image"); err != nil || !bytes.Equal(got, m.want) {
		t.Errorf("restored with other bytes: %d of %d, %v", len(got), len(m.want), err)
	}
}

// TestLargeFileModel changes a large file in all ways, at random, evicts it, loses
// its sums, and compares it cold.
func TestLargeFileModel(t *testing.T) {
	tools.StepByStep(t)
	smallLarge(t)
	seed := tools.Seed(t)
	r := rand.New(rand.NewPCG(uint64(seed), 9))
	w := newWorld(t)
	d := w.device("a")
	m := newImage(t, d, noise(r, 5<<20))
	m.safe()
	for round := range 12 {
		for range 1 + r.IntN(4) {
			size := len(m.want)
			at := r.IntN(size)
			switch r.IntN(9) {
			case 0, 1, 2:
				m.put(noise(r, 1+r.IntN(3*block)), at)
			case 3:
				m.put(make([]byte, 1+r.IntN(3<<20)), at) // zeros
			case 4:
				m.put(noise(r, 1+r.IntN(1<<20)), size)
			case 5:
				n := size - r.IntN(size/4)
				if err := resize(d, m.ino, int64(n)); err != nil {
					t.Fatal(err)
				}
				m.want = m.want[:n:n]
			case 6: // a hole at the end
				n := size + r.IntN(3<<20)
				if err := resize(d, m.ino, int64(n)); err != nil {
					t.Fatal(err)
				}
				m.want = append(m.want, make([]byte, n-size)...)
			case 7: // put in
				m.put(append(noise(r, r.IntN(9000)), m.want[at:]...), at)
			case 8: // moved
				n := min(size-at, 1<<20)
				m.put(bytes.Clone(m.want[at:at+n]), r.IntN(size))
			}
		}
		m.safe()
		switch r.IntN(4) {
		case 0:
			os.Remove(m.w.sumsPath(m.ino))
		case 1:
			d.close()
			d.open(w.st)
		case 2: // goes on elsewhere, cold
			d.close()
			d = w.device("b")
			m.device = d
		}
		if got := d.read("image"); !bytes.Equal(got, m.want) {
			t.Fatalf("round %d: other bytes are read", round)
		}
		if round%3 == 2 {
			m.sameCold(w)
		}
	}
}
