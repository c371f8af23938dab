package sync

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	gosync "sync"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/repo"
	"github.com/tunesafe/tunesafe/internal/store"
)

// faulty lets a test decide before and after each Put.
type faulty struct {
	store.Store
	mu     gosync.Mutex
	before func(key string) error
	after  func(key string) error
	puts   []string
}

func (f *faulty) Put(ctx context.Context, key string, body []byte) error {
	f.mu.Lock()
	before, after := f.before, f.after
	f.mu.Unlock()
	if before != nil {
		if err := before(key); err != nil {
			return err
		}
	}
	if err := f.Store.Put(ctx, key, body); err != nil {
		return err
	}
	f.mu.Lock()
	f.puts = append(f.puts, key)
	f.mu.Unlock()
	if after != nil {
		return after(key)
	}
	return nil
}

func (f *faulty) count(prefix string) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, k := range f.puts {
		if strings.HasPrefix(k, prefix) {
			n++
		}
	}
	return n
}

// sameAs fails unless a cold device sees exactly these files.
func (w *world) sameAs(files map[string][]byte) {
	w.t.Helper()
	d := w.device("cold")
	defer d.close()
	list, err := d.cache.ReadDir(cache.Root)
	if err != nil {
		w.t.Fatal(err)
	}
	if len(list) != len(files) {
		w.t.Errorf("a cold device sees %d names, want %d", len(list), len(files))
	}
	for n, p := range files {
		if got := d.read(n); !bytes.Equal(got, p) {
			w.t.Errorf("%s: a cold device reads %d other bytes (want %d)", n, len(got), len(p))
		}
	}
}

func somefiles(n int) map[string][]byte {
	rnd := rand.New(rand.NewPCG(3, uint64(n)))
	files := map[string][]byte{"empty": {}, "small.txt": []byte("a few words"), "tiny.wav": wav(rnd, 3000)}
	for i := range n {
		files[fmt.Sprintf("%02d.wav", i)] = wav(rnd, 300_000+i*70_000)
	}
	return files
}

func TestColdDeviceSeesAll(t *testing.T) {
	w := newWorld(t)
	d := w.device("one")
	files := somefiles(6)
	files["long.bin"] = wav(rand.New(rand.NewPCG(9, 9)), 20<<20)[44:] // opaque, in chunks
	files["long.wav"] = wav(rand.New(rand.NewPCG(9, 8)), 20<<20)      // sound of two blobs
	for n, p := range files {
		d.write(n, p)
	}
	d.wait()
	w.sameAs(files)
}

func TestDevicesTakeInEachOther(t *testing.T) {
	w := newWorld(t)
	one := w.device("one")
	one.write("a.wav", []byte("from one"))
	one.wait()
	one.close()
	two := w.device("two")
	if got := two.read("a.wav"); string(got) != "from one" {
		t.Fatalf("the second device reads %q", got)
	}
	two.write("a.wav", []byte("from two"))
	two.write("b.wav", []byte("new"))
	two.wait()
	one.open(w.st)
	if got := string(one.read("a.wav")) + "/" + string(one.read("b.wav")); got != "from two/new" {
		t.Fatalf("the first device reads %q after taking in", got)
	}
}

// TestEveryPutFails fails each upload of a run in turn, before or after it
// happened, with the death of the program at that moment. In the end all is in
// the bucket, and what was acknowledged went up once.
func TestEveryPutFails(t *testing.T) {
	files := somefiles(3)
	for _, lost := range []bool{false, true} {
		for nth := 1; ; nth++ {
			if !crashAtPut(t, files, nth, lost) {
				if nth < 4 {
					t.Fatalf("only %d uploads in a run", nth-1)
				}
				break
			}
		}
	}
}

var errDead = errors.New("the program died")

// crashAtPut reports whether there was an nth upload to fail.
func crashAtPut(t *testing.T, files map[string][]byte, nth int, lost bool) bool {
	t.Helper()
	w := newWorld(t)
	f := &faulty{Store: w.mem}
	d := w.device("one")
	d.close()
	dead := make(chan struct{})
	var once gosync.Once
	n, acked := 0, map[string]bool{}
	die := func(string) error {
		f.mu.Lock()
		defer f.mu.Unlock()
		n++
		if n >= nth {
			once.Do(func() { close(dead) })
			return errDead
		}
		return nil
	}
	if lost {
		f.after = die
	} else {
		f.before = die
	}
	d.open(f)
	for name, p := range files {
		d.write(name, p)
	}
	d.cache.SettleNow(true)
	select {
	case <-dead:
	case <-waited(d):
	}
	d.close()
	f.mu.Lock()
	hit := n >= nth
	f.before, f.after = nil, nil
	for i, k := range f.puts {
		if strings.HasPrefix(k, "audio/") && (!lost || i < nth-1) {
			acked[k] = true
		}
	}
	f.puts = nil
	f.mu.Unlock()
	d.open(f)
	d.wait()
	d.close()
	total := 0
	for info, err := range w.mem.List(context.Background(), "audio/", "") {
		if err != nil {
			t.Fatal(err)
		}
		if info.Size > 0 {
			total++
		}
	}
	if again := f.count("audio/"); total-len(acked) > again+4 {
		t.Errorf("put %d (lost %v): %d sound objects, %d acknowledged before the crash, %d after", nth, lost, total, len(acked), again)
	}
	if !lost && total != 3 { // the tiny file is all probe
		t.Errorf("put %d failed: %d sound objects in the bucket, want 3: something acknowledged was sent again", nth, total)
	}
	w.sameAs(files)
	return hit
}

func waited(d *device) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
		defer cancel()
		d.w.Wait(ctx)
	}()
	return done
}

// TestLabourGoesFirst holds back every upload of sound: names and tags are in
// the bucket all the same, the sound is owed, and a cold device says so.
func TestLabourGoesFirst(t *testing.T) {
	w := newWorld(t)
	f := &faulty{Store: w.mem}
	hold := make(chan struct{})
	release := gosync.OnceFunc(func() { close(hold) })
	defer release()
	f.before = func(key string) error {
		if strings.HasPrefix(key, "audio/") {
			<-hold
		}
		return nil
	}
	d := w.device("one")
	d.close()
	d.settle = 3 * time.Second // so that all are seen together
	d.open(f)
	rnd := rand.New(rand.NewPCG(5, 5))
	files := map[string][]byte{}
	for i := range 9 {
		n := fmt.Sprintf("%d.wav", i)
		files[n] = wav(rnd, 8<<20)
		d.write(n, files[n])
	}
	for n := range files { // a slow machine needs more than one commit for all
		awaitState(t, d, n, cache.StateTagsSafe)
	}
	cold := w.device("cold")
	a, err := Resolve(cold.cache, "3.wav")
	if err != nil || a.Size != int64(len(files["3.wav"])) {
		t.Fatalf("a cold device does not see the name: %v", err)
	}
	h, err := cold.cache.OpenFile(a.Ino, cache.OpenFlags{Read: true})
	if err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 8000)
	if _, err := h.ReadAt(context.Background(), p, 0); err != nil || !bytes.Equal(p, files["3.wav"][:8000]) {
		t.Errorf("header and probe cannot be read: %v", err)
	}
	if _, err := h.ReadAt(context.Background(), p, 4<<20); !errors.Is(err, cache.ErrOwed) {
		t.Errorf("reading owed sound: %v, want ErrOwed", err)
	}
	h.Release()
	cold.close()
	release()
	d.wait()
	w.sameAs(files)
}

func awaitState(t *testing.T, d *device, name string, want string) {
	t.Helper()
	a, err := Resolve(d.cache, name)
	if err != nil {
		t.Fatal(err)
	}
	got, err := d.cache.State(a.Ino)
	for deadline := time.Now().Add(2 * time.Minute); got != want && time.Now().Before(deadline); got, err = d.cache.State(a.Ino) {
		time.Sleep(20 * time.Millisecond)
	}
	if got != want || err != nil {
		t.Fatalf("%s: state %q (%v), want %q", name, got, err, want)
	}
}

// TestSecondCopyUploadsNoSound: the same sound under another name and other tags.
func TestSecondCopyUploadsNoSound(t *testing.T) {
	w := newWorld(t)
	f := &faulty{Store: w.mem}
	d := w.device("one")
	d.close()
	d.open(f)
	p := wav(rand.New(rand.NewPCG(6, 6)), 2_000_000)
	d.write("a.wav", p)
	d.wait()
	before := f.count("audio/")
	tagged := append([]byte("ID3\x03\x00\x00\x00\x00\x00\x0aTIT2\x00\x00\x00\x00"), p...)
	d.write("b.wav", p)
	d.write("c.wav", tagged)
	d.wait()
	if n := f.count("audio/") - before; n != 0 {
		t.Fatalf("%d objects of sound for a second copy", n)
	}
	w.sameAs(map[string][]byte{"a.wav": p, "b.wav": p, "c.wav": tagged})
}

// TestCheckpointColdStart starts a device from a checkpoint and the log behind it.
func TestCheckpointColdStart(t *testing.T) {
	w := newWorld(t)
	d := w.device("one")
	d.close()
	d.checkpoint = 3
	d.open(w.st)
	files := map[string][]byte{}
	for i := range 8 {
		n := fmt.Sprintf("%d.wav", i)
		files[n] = wav(rand.New(rand.NewPCG(7, uint64(i))), 20_000*i)
		d.write(n, files[n])
		if i == 5 {
			if err := d.cache.Unlink(cache.Root, "2.wav"); err != nil {
				t.Fatal(err)
			}
			delete(files, "2.wav")
		}
		d.wait()
	}
	hints := 0
	for _, err := range w.mem.List(context.Background(), "checkpoints/", "") {
		if err != nil {
			t.Fatal(err)
		}
		hints++
	}
	if hints < 2 {
		t.Fatalf("%d checkpoints after 8 commits, want at least 2", hints)
	}
	d.close()
	w.sameAs(files)
}

// TestClonedHome: two processes with a copy of one home. The second to commit is
// refused, and loses nothing.
func TestClonedHome(t *testing.T) {
	w := newWorld(t)
	one := w.device("one")
	one.write("a.wav", []byte("first"))
	one.wait()
	one.close()
	clone := &device{t: t, dir: t.TempDir(), keys: one.keys, dev: one.dev}
	if err := os.CopyFS(clone.dir, os.DirFS(one.dir)); err != nil {
		t.Fatal(err)
	}
	one.open(w.st)
	one.write("b.wav", []byte("second"))
	one.wait()
	one.close()
	// The clone was opened before, so that it does not take in the other's commit.
	clone.openWithoutPull(w.st)
	defer clone.close()
	clone.write("c.wav", []byte("of the clone"))
	clone.failsWith(ErrCloned)
	if got := clone.read("c.wav"); string(got) != "of the clone" {
		t.Fatalf("the clone lost its file: %q", got)
	}
}

// TestUnreachableStoreLosesNothing: names stay, what is here plays, and nothing
// is asked more often than the backoff allows.
func TestUnreachableStoreLosesNothing(t *testing.T) {
	w := newWorld(t)
	f := &faulty{Store: w.mem}
	d := w.device("one")
	d.close()
	d.open(f)
	p := wav(rand.New(rand.NewPCG(8, 8)), 500_000)
	d.write("a.wav", p)
	d.wait()
	asked := 0
	f.mu.Lock()
	f.before = func(string) error { asked++; return fmt.Errorf("dial: %w", store.ErrUnavailable) }
	f.mu.Unlock()
	d.write("b.wav", p[:100_000])
	begun := time.Now()
	d.failsWith(store.ErrUnavailable)
	f.mu.Lock()
	if took := time.Since(begun); float64(asked) > 6+2*took.Seconds() {
		t.Errorf("%d requests in %v without a store", asked, took)
	}
	f.mu.Unlock()
	if !bytes.Equal(d.read("a.wav"), p) || !bytes.Equal(d.read("b.wav"), p[:100_000]) {
		t.Fatal("files changed when the store went away")
	}
	f.mu.Lock()
	f.before = nil
	f.mu.Unlock()
	d.wait()
	w.sameAs(map[string][]byte{"a.wav": p, "b.wav": p[:100_000]})
}

// TestRenameOverIsNeverAGap: while a track is replaced by a rename over it, every
// commit shows the old one or the new one.
func TestRenameOverIsNeverAGap(t *testing.T) {
	w := newWorld(t)
	d := w.device("one")
	d.write("song.wav", []byte("old"))
	d.wait()
	_, h, err := d.cache.Create(cache.Root, ".tmp", 0o644, cache.Owner{}, cache.OpenFlags{Write: true})
	if err != nil {
		t.Fatal(err)
	}
	h.WriteAt([]byte("new"), 0)
	if err := d.cache.Rename(cache.Root, ".tmp", cache.Root, "song.wav", cache.RenameFlags{}); err != nil {
		t.Fatal(err)
	}
	other := d.write("other.wav", []byte("x")) // makes a commit while song.wav is still open
	for until := time.Now().Add(2 * time.Minute); d.committed(other) != 1 && time.Now().Before(until); {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		d.w.Wait(ctx)
		cancel()
	}
	w.sameAs(map[string][]byte{"song.wav": []byte("old"), "other.wav": []byte("x")})
	h.Release()
	d.wait()
	w.sameAs(map[string][]byte{"song.wav": []byte("new"), "other.wav": []byte("x")})
}

// TestRestore writes the drive into a folder.
func TestRestore(t *testing.T) {
	w := newWorld(t)
	d := w.device("one")
	files := somefiles(3)
	for n, p := range files {
		d.write(n, p)
	}
	d.wait()
	d.close()
	cold := w.device("cold")
	dest := t.TempDir() + "/out"
	var last RestoreProgress
	if err := Restore(context.Background(), Now(cold.cache), []string{"/"}, dest, func(p RestoreProgress) { last = p }); err != nil {
		t.Fatal(err)
	}
	for n, p := range files {
		if got, err := os.ReadFile(dest + "/" + n); err != nil || !bytes.Equal(got, p) {
			t.Errorf("%s: %v", n, err)
		}
	}
	if last.Files != len(files) || last.TotalFiles != len(files) {
		t.Errorf("progress ended at %+v", last)
	}
}

// TestCorruptSoundNeverReachesAReader flips a byte of an object.
func TestCorruptSoundNeverReachesAReader(t *testing.T) {
	w := newWorld(t)
	d := w.device("one")
	p := wav(rand.New(rand.NewPCG(4, 4)), 900_000)
	d.write("a.wav", p)
	d.wait()
	d.close()
	ctx := context.Background()
	for info, err := range w.mem.List(ctx, "audio/", "") {
		if err != nil {
			t.Fatal(err)
		}
		r, err := w.mem.Get(ctx, info.Key, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(r)
		b[len(b)/2] ^= 1
		if err := w.raw.Put(ctx, info.Key, b); err != nil {
			t.Fatal(err)
		}
	}
	cold := w.device("cold")
	a, err := Resolve(cold.cache, "a.wav")
	if err != nil {
		t.Fatal(err)
	}
	h, err := cold.cache.OpenFile(a.Ino, cache.OpenFlags{Read: true})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Release()
	buf := make([]byte, len(p))
	if _, err := h.ReadAt(ctx, buf, 0); !errors.Is(err, repo.ErrCorrupt) {
		t.Fatalf("reading damaged sound: %v, want ErrCorrupt", err)
	}
}

// TestTakenWhileOpen: a file that a program keeps open is copied as it is, and
// what is written later is not forgotten, also across the death of the program.
func TestTakenWhileOpen(t *testing.T) {
	w := newWorld(t)
	d := w.device("one")
	d.close()
	d.takeAfter = 100 * time.Millisecond
	d.open(w.st)
	a, h, err := d.cache.Create(cache.Root, "library.db", 0o644, cache.Owner{}, cache.OpenFlags{Write: true})
	if err != nil {
		t.Fatal(err)
	}
	first := wav(rand.New(rand.NewPCG(2, 2)), 600_000)[44:]
	h.WriteAt(first, 0)
	deadline := time.Now().Add(2 * time.Minute)
	for d.committed(a.Ino) != int64(len(first)) && time.Now().Before(deadline) {
		time.Sleep(20 * time.Millisecond)
	}
	w.sameAs(map[string][]byte{"library.db": first})
	h.WriteAt([]byte("more"), 10)
	second := bytes.Clone(first)
	copy(second[10:], "more")
	d.close() // with the handle open, as the death of the program would
	d.open(w.st)
	d.wait()
	w.sameAs(map[string][]byte{"library.db": second})
}

// TestMappedFileIsWaitedFor: a file that is closed but still mapped for writing
// is tried again after a pause, and the worker does not spin meanwhile.
func TestMappedFileIsWaitedFor(t *testing.T) {
	w := newWorld(t)
	d := w.device("one")
	ino := d.write("a.db", []byte("first"))
	d.wait()
	// Another descriptor for writing refuses the lease, as a mapping does.
	held, err := os.OpenFile(fmt.Sprintf("%s/content/%02x/%016x", d.dir, byte(ino), ino), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	d.write("a.db", []byte("second"))
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	if err := d.w.Wait(ctx); err == nil {
		t.Error("safe while mapped for writing")
	}
	cancel()
	d.w.mu.Lock()
	seen := d.w.rounds
	d.w.mu.Unlock()
	d.w.poke()
	for range 3000 {
		time.Sleep(20 * time.Millisecond)
		d.w.mu.Lock()
		ended := d.w.rounds > seen
		d.w.mu.Unlock()
		if ended {
			held.Close()
			d.wait()
			w.sameAs(map[string][]byte{"a.db": []byte("second")})
			return
		}
	}
	t.Fatal("the worker spins on a file that it cannot cut")
}
