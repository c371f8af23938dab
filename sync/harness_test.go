package sync

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/repo"
	"github.com/tunesafe/tunesafe/internal/store"
	"github.com/tunesafe/tunesafe/internal/store/mem"
)

// device is a home: a cache and a worker over a bucket.
type device struct {
	t     testing.TB
	dir   string
	keys  *repo.Keys
	dev   *repo.Device
	index *repo.Index
	rd    *repo.Reader
	cache *cache.Cache
	fetch *Fetcher
	w     *Worker
	stop  func()

	enrol             func(context.Context) (*repo.Device, error) // nil: none, as without the recovery key
	settle, takeAfter time.Duration
	checkpoint        int
	transfers         int
	cacheSize         int64
	log               *slog.Logger
}

// world is a bucket with a repository.
type world struct {
	t    testing.TB
	st   *store.Counter
	mem  store.Store // strict, but for what a test does to raw
	raw  store.Store
	keys *repo.Keys
	root []byte

	recovery age.Identity
}

func newWorld(t testing.TB) *world {
	t.Helper()
	return newWorldIn(t, mem.New())
}

// newWorldIn makes a repository in a store that is empty.
func newWorldIn(t testing.TB, m store.Store) *world {
	t.Helper()
	id, err := repo.NewRecoveryKey()
	if err != nil {
		t.Fatal(err)
	}
	keys, root, err := repo.Create(context.Background(), m, id)
	if err != nil {
		t.Fatal(err)
	}
	return &world{t: t, st: store.Count(strict{m}), mem: strict{m}, raw: m, keys: keys, root: root, recovery: id}
}

// strict refuses what a server refuses: bytes that are not what the key says.
type strict struct{ store.Store }

func (s strict) Unwrap() store.Store { return s.Store }

func (s strict) Put(ctx context.Context, key string, body []byte) error {
	if sum, ok := store.SumOf(key); ok && sum != sha256.Sum256(body) {
		return fmt.Errorf("put %s: other bytes than the key says", key)
	}
	return s.Store.Put(ctx, key, body)
}

// device enrols a new home.
func (w *world) device(name string) *device {
	w.t.Helper()
	dev, err := repo.Enrol(context.Background(), w.mem, w.keys, w.root, name)
	if err != nil {
		w.t.Fatal(err)
	}
	d := &device{t: w.t, dir: w.t.TempDir(), keys: w.keys, dev: dev}
	d.open(w.st)
	w.t.Cleanup(d.close)
	return d
}

// cold enrols a home that has nothing of these files here; another wrote them.
func (w *world) cold(files map[string][]byte) *device {
	w.t.Helper()
	one := w.device("one")
	for name, p := range files {
		one.write(name, p)
	}
	one.wait()
	one.close()
	two := w.device("two")
	two.wait()
	return two
}

// enroller makes a new device of a home.
func (w *world) enroller(d *device) func(context.Context) (*repo.Device, error) {
	return func(ctx context.Context) (*repo.Device, error) {
		dev, err := repo.Enrol(ctx, w.mem, w.keys, w.root, d.dev.Name+"'")
		if err == nil {
			d.dev = dev
		}
		return dev, err
	}
}

func baseOf(d *repo.Device) uint64 {
	return uint64(d.ID[0])<<56 | uint64(d.ID[1])<<48 | uint64(d.ID[2])<<40 | uint64(d.ID[3])<<32
}

// open opens the home as a start of the program does.
func (d *device) open(st store.Store) { d.t.Helper(); d.start(st, true) }

// openWithoutPull is a start that did not reach the bucket.
func (d *device) openWithoutPull(st store.Store) { d.t.Helper(); d.start(st, false) }

func (d *device) start(st store.Store, pull bool) {
	d.t.Helper()
	d.assemble(st)
	if pull {
		if _, err := d.w.Pull(context.Background()); err != nil {
			d.t.Fatal("pull:", err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); d.w.Run(ctx) }()
	d.stop = func() { cancel(); <-ended }
}

// assemble opens the files of the home; the worker does nothing yet.
func (d *device) assemble(st store.Store) {
	d.t.Helper()
	var err error
	log := d.log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if os.Getenv("TUNESAFE_TEST_LOG") != "" {
		log = slog.Default()
	}
	if d.index, err = repo.OpenIndex(filepath.Join(d.dir, "index.db")); err != nil {
		d.t.Fatal(err)
	}
	d.rd = repo.NewReader(st, d.keys, d.index, filepath.Join(d.dir, "packs"), repo.ReaderOptions{})
	d.fetch = NewFetcher(d.rd)
	d.cache, err = cache.Open(d.dir, cache.Options{Fetcher: d.fetch, InoBase: baseOf(d.dev), CacheSize: d.cacheSize, Log: log})
	if err != nil {
		d.t.Fatal(err)
	}
	d.w = New(Options{Cache: d.cache, Store: st, Keys: d.keys, Device: d.dev, Index: d.index, Reader: d.rd, Dir: d.dir, Kept: repo.OpenKept(filepath.Join(d.dir, "kept")), Enrol: d.enrol, InoBase: baseOf, Log: log, TakeAfter: d.takeAfter, Checkpoint: d.checkpoint, Settle: max(d.settle, 10*time.Millisecond),
		Transfers: d.transfers})
}

func (d *device) close() {
	if d.stop == nil {
		return
	}
	d.stop()
	d.stop = nil
	d.closeFiles()
}

func (d *device) closeFiles() {
	d.t.Helper()
	d.rd.Close()
	if err := d.cache.Close(); err != nil {
		d.t.Error("closing the cache:", err)
	}
	if err := d.index.Close(); err != nil {
		d.t.Error("closing the index:", err)
	}
}

// write makes or replaces a file in the top directory.
func (d *device) write(name string, p []byte) cache.Ino {
	d.t.Helper()
	var h *cache.Handle
	a, err := d.cache.Lookup(cache.Root, name)
	if err == nil {
		h, err = d.cache.OpenFile(a.Ino, cache.OpenFlags{Write: true, Truncate: true})
	} else {
		a, h, err = d.cache.Create(cache.Root, name, 0o644, cache.Owner{}, cache.OpenFlags{Write: true})
	}
	if err != nil {
		d.t.Fatal(err)
	}
	if _, err := h.WriteAt(p, 0); err != nil {
		d.t.Fatal(err)
	}
	if err := h.Release(); err != nil {
		d.t.Fatal(err)
	}
	return a.Ino
}

func (d *device) read(name string) []byte {
	d.t.Helper()
	a, err := Resolve(d.cache, name)
	if err != nil {
		d.t.Fatal(err)
	}
	h, err := d.cache.OpenFile(a.Ino, cache.OpenFlags{Read: true})
	if err != nil {
		d.t.Fatal(err)
	}
	defer h.Release()
	p := make([]byte, a.Size)
	if n, err := h.ReadAt(context.Background(), p, 0); err != nil || int64(n) != a.Size {
		d.t.Fatalf("%s: read %d of %d: %v", name, n, a.Size, err)
	}
	return p
}

// wait returns once all is safe.
func (d *device) wait() {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	if err := d.w.Wait(ctx); err != nil {
		d.t.Fatalf("wait: %v; status %+v", err, d.w.Status())
	}
}

// together makes changes that are one commit, if the device settles for a minute: none is
// made meanwhile, nor before somebody waits.
func (d *device) together(change func()) {
	d.t.Helper()
	if err := d.w.Apart(context.Background(), func() error { change(); return nil }); err != nil {
		d.t.Fatal(err)
	}
}

// failsWith waits until it is told that nothing becomes safe because of want.
func (d *device) failsWith(want error) {
	d.t.Helper()
	var err error
	for until := time.Now().Add(2 * time.Minute); time.Now().Before(until); {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		err = d.w.Wait(ctx)
		cancel()
		if errors.Is(err, want) {
			return
		}
	}
	d.t.Fatalf("waiting ends with %v, want %v", err, want)
}

// committed is the size by which the bucket knows an inode, -1 if it does not.
func (d *device) committed(ino cache.Ino) int64 {
	size := int64(-1)
	d.cache.Each(func(r cache.Row) error {
		if r.Ino == ino && r.Base != "" {
			size = r.Recipe.Size
		}
		return nil
	}, func(cache.NameRow) error { return nil })
	return size
}
