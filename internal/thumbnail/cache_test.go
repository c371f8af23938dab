package thumbnail

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// source counts how often it was read.
type source struct {
	b     []byte
	reads atomic.Int32
}

func (s *source) read() ([]byte, error) { s.reads.Add(1); return s.b, nil }

func cover(t testing.TB) *source { return &source{b: encoded(t, striped(400, 350))} }

func folder(t *testing.T, dir string) (names []string, size int64) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		names, size = append(names, e.Name()), size+info.Size()
	}
	return names, size
}

// TestKept makes a picture once, in one process and in the next, and again when what
// was kept is damaged, or the folder gone.
func TestKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "thumbnails")
	s := cover(t)
	get := func(want int32) []byte {
		t.Helper()
		b, err := New(dir, 1<<20).Get(t.Context(), "tag", 160, s.read)
		if err != nil {
			t.Fatal(err)
		}
		if n := s.reads.Load(); n != want {
			t.Fatalf("the original was read %d times, want %d", n, want)
		}
		return b
	}
	first := get(1)
	if !bytes.Equal(first, get(1)) {
		t.Error("it is another")
	}
	names, _ := folder(t, dir)
	if len(names) != 1 {
		t.Fatal(names)
	}
	file := filepath.Join(dir, names[0])
	for n, damage := range []func() error{
		func() error { return os.Truncate(file, 100) },
		func() error { return os.Truncate(file, 0) },
		func() error { return os.WriteFile(file, make([]byte, 2000), 0o600) },
		func() error { return os.RemoveAll(dir) },
	} {
		if err := damage(); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(first, get(int32(n)+2)) {
			t.Error("it is another")
		}
	}
	if _, err := New(dir, 1<<20).Get(t.Context(), "other tag", 160, s.read); err != nil || s.reads.Load() != 6 {
		t.Error("another tag is another picture", err)
	}
}

// TestUnwritable makes pictures where none can be kept.
func TestUnwritable(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if b, err := New(dir, 1<<20).Get(t.Context(), "tag", 160, cover(t).read); err != nil || len(b) == 0 {
		t.Error(err)
	}
}

// TestEvicts keeps no more than it may, and what was used last.
func TestEvicts(t *testing.T) {
	dir := t.TempDir()
	const most = 16 << 10
	c := New(dir, most)
	s := cover(t)
	for i := range 30 {
		if _, err := c.Get(t.Context(), fmt.Sprint(i), 160, s.read); err != nil {
			t.Fatal(err)
		}
		names, size := folder(t, dir)
		if size > most {
			t.Fatalf("%d bytes are kept", size)
		}
		for _, name := range names { // as if each was made a minute after the one before
			file := filepath.Join(dir, name)
			info, err := os.Stat(file)
			if err != nil {
				t.Fatal(err)
			}
			if at := info.ModTime().Add(-time.Minute); os.Chtimes(file, at, at) != nil {
				t.Fatal("no times")
			}
		}
	}
	before := s.reads.Load()
	if _, err := c.Get(t.Context(), "29", 160, s.read); err != nil || s.reads.Load() != before {
		t.Error("the last is not there", err)
	}
	if _, err := c.Get(t.Context(), "0", 160, s.read); err != nil || s.reads.Load() == before {
		t.Error("the first is still there", err)
	}
}

// TestAtOnce has many ask for one picture: it is made once. Who goes away takes it
// from nobody.
func TestAtOnce(t *testing.T) {
	c := New(t.TempDir(), 1<<20)
	s := cover(t)
	gone, leave := context.WithCancel(t.Context())
	begun := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		_, err := c.Get(gone, "tag", 160, func() ([]byte, error) { close(begun); <-gone.Done(); return nil, gone.Err() })
		if !errors.Is(err, context.Canceled) {
			t.Error("who went away got", err)
		}
	})
	<-begun
	for range 20 {
		wg.Go(func() {
			if b, err := c.Get(t.Context(), "tag", 160, s.read); err != nil || len(b) == 0 {
				t.Error(err)
			}
		})
	}
	leave()
	wg.Wait()
	if n := s.reads.Load(); n != 1 {
		t.Errorf("it was read %d times", n)
	}
}

// TestFailsOnce reads what cannot be made small once.
func TestFailsOnce(t *testing.T) {
	c := New(t.TempDir(), 1<<20)
	s := &source{b: pngOf(50_000, 50_000)}
	for range 3 {
		if _, err := c.Get(t.Context(), "tag", 160, s.read); !errors.Is(err, ErrTooLarge) {
			t.Error(err)
		}
	}
	if n := s.reads.Load(); n != 1 {
		t.Errorf("it was read %d times", n)
	}
	unwell := errors.New("the store is away")
	for range 2 { // which may come back
		if _, err := c.Get(t.Context(), "other", 160, func() ([]byte, error) { s.reads.Add(1); return nil, unwell }); !errors.Is(err, unwell) {
			t.Error(err)
		}
	}
	if n := s.reads.Load(); n != 3 {
		t.Errorf("it was read %d times", n)
	}
}

// TestWaitsForMemory decodes nothing while others have the memory, and lets nobody
// wait who went away.
func TestWaitsForMemory(t *testing.T) {
	c := New(t.TempDir(), 1<<20)
	gray := encoded(t, image.NewGray(image.Rect(0, 0, 400, 400)))
	if err := c.memory.Acquire(t.Context(), maxMemory); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := c.Get(ctx, "tag", 160, func() ([]byte, error) { return gray, nil }); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	c.memory.Release(maxMemory / 2)
	if _, err := c.Get(t.Context(), "tag", 160, func() ([]byte, error) { return gray, nil }); err != nil {
		t.Error(err)
	}
}

// TestSmallStays leaves what is small already.
func TestSmallStays(t *testing.T) {
	b := encoded(t, striped(20, 20))
	got, err := New(t.TempDir(), 1<<20).Get(t.Context(), "tag", 160, func() ([]byte, error) { return b, nil })
	if err != nil || !bytes.Equal(got, b) {
		t.Error(err)
	}
}
