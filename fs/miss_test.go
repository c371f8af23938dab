package fs

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/cache"
)

// bucket is the child's Fetcher: a bucket that holds one long sound, of which
// every file planted is the beginning, behind a line that may hang or be cut.
type bucket struct {
	mu      sync.Mutex
	mode    string // serve, hang, fail; mute: hang for sound
	changed chan struct{}
	heard   int // requests for sound
}

func newBucket() *bucket { return &bucket{mode: "serve", changed: make(chan struct{})} }

func (b *bucket) set(mode string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mode = mode
	close(b.changed)
	b.changed = make(chan struct{})
}

func (b *bucket) Open(ctx context.Context, p cache.Part, off, n int64) (io.ReadCloser, error) {
	if p.Kind == "audio" {
		b.mu.Lock()
		b.heard++
		b.mu.Unlock()
	}
	for {
		b.mu.Lock()
		mode, changed := b.mode, b.changed
		b.mu.Unlock()
		switch mode {
		case "mute":
			if p.Kind != "audio" {
				mode = "serve"
			}
		}
		switch mode {
		case "serve":
			return io.NopCloser(io.NewSectionReader(sound{}, off, n)), nil
		case "fail":
			return nil, fmt.Errorf("%w: the line is cut", cache.ErrUnavailable)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Runs is not asked for: no planted file continues its runs elsewhere.
func (b *bucket) Runs(context.Context, *cache.Recipe) ([]cache.Run, error) {
	return nil, cache.ErrUnavailable
}

// sound is the content of every planted file.
type sound struct{}

func (sound) ReadAt(p []byte, off int64) (int, error) {
	for i := range p {
		p[i] = soundAt(off + int64(i))
	}
	return len(p), nil
}

func soundAt(off int64) byte { return byte(off*7 + off>>12) }

func soundOf(off int64, n int) []byte {
	p := make([]byte, n)
	sound{}.ReadAt(p, off)
	return p
}

// plant makes a file in the child's cache as another device's commit would.
func plant(c *cache.Cache, name string, size int64) error {
	ino := 2<<40 + cache.Ino(rand.Uint32())
	return c.Absorb([]cache.Row{{
		Ino: ino, Mode: syscall.S_IFREG | 0o644, UID: uint32(os.Getuid()), Mtime: time.Unix(1e9, 0),
		Recipe: &cache.Recipe{
			Size:  size,
			Parts: []cache.Part{{Kind: "audio", Size: size, Blobs: []cache.Blob{{ID: [16]byte{1}, Size: size}}}},
			Runs:  []cache.Run{{Part: 0, Length: size}},
		},
	}}, []cache.NameRow{{Parent: cache.Root, Name: name, Ino: ino}}, "other:1")
}

const songSize = 5<<20 + 123

func TestFetched(t *testing.T) {
	c := mounted(t, mode{Passthrough: os.Geteuid() == 0})
	c.tell(t, fmt.Sprint("plant song ", songSize))
	path := filepath.Join(c.Dir, "song")
	f, err := os.Open(path)
	check(t, err)
	defer f.Close()
	for range 50 {
		off, n := rand.Int64N(songSize), 1+rand.IntN(200_000)
		want := soundOf(off, int(min(int64(n), songSize-off)))
		if got := readAt(t, f, off, n); got != string(want) {
			t.Fatalf("%d bytes at %d differ", n, off)
		}
	}
	whole := soundOf(0, songSize)
	same := func(when string) {
		t.Helper()
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, whole) {
			t.Errorf("%s: %d bytes, %v", when, len(got), err)
		}
	}
	same("to the end")
	// What is whole here needs no line, and is passed through once it was closed.
	c.tell(t, "bucket fail")
	same("without the line")
	check(t, f.Close())
	same("opened anew")
	c.tell(t, "bucket serve")
	c.tell(t, "evict")
	same("fetched again")
	// Written through whatever mode, and read in whatever mode.
	w, err := os.OpenFile(path, os.O_RDWR, 0)
	check(t, err)
	copy(whole[1<<20:], "written")
	_, err = w.WriteAt([]byte("written"), 1<<20)
	check(t, err)
	same("while open for writing")
	check(t, w.Close())
	same("after writing")
}

// Writing to a file of which nothing is here fetches nothing, and what is read
// later is both.
func TestWriteBeforeFetched(t *testing.T) {
	c := mounted(t, mode{Passthrough: os.Geteuid() == 0})
	c.tell(t, fmt.Sprint("plant song ", songSize))
	c.tell(t, "bucket fail")
	path := filepath.Join(c.Dir, "song")
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	check(t, err)
	defer f.Close()
	want := append(soundOf(0, songSize), "the end"...)
	title := bytes.Repeat([]byte("title..."), 512) // a page: the kernel reads no less
	copy(want, title)
	_, err = f.WriteAt(title, 0)
	check(t, err)
	_, err = f.WriteAt([]byte("the end"), songSize)
	check(t, err)
	if got := readAt(t, f, 0, len(title)); got != string(title) {
		t.Errorf("read %q", got)
	}
	c.tell(t, "bucket serve")
	if got := readAt(t, f, 0, len(want)+5); got != string(want) {
		t.Errorf("%d bytes, want %d", len(got), len(want))
	}
	check(t, f.Close())
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
		t.Errorf("opened anew: %d bytes, want %d, %v", len(got), len(want), err)
	}
}

func TestUnreachable(t *testing.T) {
	c := mounted(t, mode{})
	c.tell(t, fmt.Sprint("plant song ", songSize))
	c.tell(t, "bucket fail")
	for range 3 {
		if _, err := os.ReadFile(filepath.Join(c.Dir, "song")); !strings.Contains(fmt.Sprint(err), unix.EIO.Error()) {
			t.Errorf("read: %v, want %v", err, unix.EIO)
		}
	}
	if _, err := os.Stat(filepath.Join(c.Dir, "song")); err != nil {
		t.Errorf("the name is gone: %v", err)
	}
	c.tell(t, "bucket serve")
	if got, err := os.ReadFile(filepath.Join(c.Dir, "song")); err != nil || !bytes.Equal(got, soundOf(0, songSize)) {
		t.Errorf("once the line is back: %d bytes, %v", len(got), err)
	}
	c.tell(t, "unmount")
	check(t, c.stop())
	if n := strings.Count(c.log.String(), "path=song"); n != 1 {
		t.Errorf("%d lines in the log of the file, want 1:\n%s", n, c.log.String())
	}
}

// A signal that does not kill does not end a read; one that does, does.
func TestSignalWhileWaiting(t *testing.T) {
	c := mounted(t, mode{})
	c.tell(t, fmt.Sprint("plant song ", songSize))
	c.tell(t, "bucket hang")
	path := filepath.Join(c.Dir, "song")

	ticks := make(chan os.Signal, 100)
	signal.Notify(ticks, unix.SIGUSR1)
	defer signal.Stop(ticks)
	thread, answer := make(chan int, 1), make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		thread <- unix.Gettid()
		fd, err := unix.Open(path, unix.O_RDONLY, 0)
		if err == nil {
			defer unix.Close(fd)
			_, err = unix.Read(fd, make([]byte, 4096))
		}
		answer <- err
	}()
	tid := <-thread
	for range 5 {
		time.Sleep(50 * time.Millisecond)
		check(t, unix.Tgkill(os.Getpid(), tid, unix.SIGUSR1))
	}
	select {
	case err := <-answer:
		t.Fatalf("the read ended with %v", err)
	case <-time.After(300 * time.Millisecond):
	}

	cat := exec.Command("cat", path)
	check(t, cat.Start())
	time.Sleep(100 * time.Millisecond)
	check(t, cat.Process.Kill())
	died := make(chan struct{})
	go func() { cat.Wait(); close(died) }()
	select {
	case <-died:
	case <-time.After(time.Minute):
		t.Error("a killed program does not die")
	}

	c.tell(t, "bucket serve")
	if err := <-answer; err != nil {
		t.Errorf("the read that got signals: %v", err)
	}
	<-died
}

// Files that come and go here while they are opened and closed change their
// mode all the time; no reader may meet two modes, or bytes that went.
func TestEvictedWhileUsed(t *testing.T) {
	c := mounted(t, mode{Passthrough: os.Geteuid() == 0})
	const size = 600 << 10
	c.tell(t, fmt.Sprint("plant song ", size))
	want := soundOf(0, size)
	end := time.Now().Add(1500 * time.Millisecond)
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for time.Now().Before(end) && !t.Failed() {
				f, err := os.Open(filepath.Join(c.Dir, "song"))
				if err != nil {
					t.Error(err)
					return
				}
				got, err := io.ReadAll(f)
				if err != nil || !bytes.Equal(got, want) {
					t.Errorf("%d bytes, %v", len(got), err)
				}
				// Without this the kernel's pages would serve all readers.
				unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
				f.Close()
				time.Sleep(rand.N(6 * time.Millisecond)) // or it is never closed by all
			}
		})
	}
	for time.Now().Before(end) {
		c.tell(t, "evict")
	}
	wg.Wait()
}
