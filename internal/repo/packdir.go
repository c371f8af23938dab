package repo

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/tunesafe/tunesafe/internal/crashpoint"
)

// packDir keeps packs as they lie in the bucket, in files named by their
// SHA-256. Those of tags and probes are pinned, in a folder of that name, and so are mixed ones,
// which nearly always hold some; of the others the least recently used go when they exceed the cap.
type packDir struct {
	dir string
	cap int64

	mu   sync.Mutex
	used int64
	lru  *simplelru.LRU[string, int64] // name of file → size, of those not pinned
}

// touchAfter is how stale a file's time may be: it orders the files by use
// when the program starts, no more.
const touchAfter = time.Hour

func openPackDir(dir string, limit int64) (*packDir, error) {
	if err := os.MkdirAll(filepath.Join(dir, "pinned"), 0o700); err != nil {
		return nil, err
	}
	d := &packDir{dir: dir, cap: limit}
	d.lru, _ = simplelru.NewLRU(1<<30, d.evicted) // bounded by bytes, not by count
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var files []fs.FileInfo
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() && isHex(e.Name(), 64) {
			files = append(files, info)
		} else if err == nil && info.Mode().IsRegular() {
			os.Remove(filepath.Join(dir, e.Name())) // left by a crash
		}
	}
	slices.SortFunc(files, func(x, y fs.FileInfo) int { return cmp.Compare(x.ModTime().UnixNano(), y.ModTime().UnixNano()) })
	for _, f := range files {
		d.used += f.Size()
		d.lru.Add(f.Name(), f.Size())
	}
	d.shrink()
	return d, nil
}

// evicted is called by lru, under mu.
func (d *packDir) evicted(file string, size int64) {
	d.used -= size
	os.Remove(filepath.Join(d.dir, file))
}

func (d *packDir) shrink() {
	for d.used > d.cap && d.lru.Len() > 0 {
		d.lru.RemoveOldest()
	}
}

func (d *packDir) file(name, kind string) (path, base string) {
	sum, err := nameSum(name)
	if err != nil {
		return "", ""
	}
	base = hex.EncodeToString(sum[:])
	if isPinned(kind) {
		return filepath.Join(d.dir, "pinned", base), base
	}
	return filepath.Join(d.dir, base), base
}

// keep writes a pack whose SHA-256 was verified.
func (d *packDir) keep(name, kind string, body []byte) error {
	f, err := d.begin(kind, int64(len(body)))
	if errors.Is(err, errNotKept) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = f.Write(body)
	if err = errors.Join(err, f.Close()); err == nil {
		err = d.take(f.Name(), name, kind, int64(len(body)))
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

// begin makes the file that a pack is written into. errNotKept: packs of that size
// are not.
func (d *packDir) begin(kind string, size int64) (*os.File, error) {
	if !isPinned(kind) && size > d.cap {
		return nil, errNotKept
	}
	f, err := os.CreateTemp(d.dir, "new-*")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNotKept, err)
	}
	return f, nil
}

// take gives the file of a pack whose SHA-256 was verified the name by which it is kept.
func (d *packDir) take(file, name, kind string, size int64) error {
	path, base := d.file(name, kind)
	if path == "" {
		return fmt.Errorf("%s: %w", name, errNotKept)
	}
	crashpoint.At("pack.kept")
	if err := os.Rename(file, path); err != nil {
		return fmt.Errorf("%w: %w", errNotKept, err)
	}
	if isPinned(kind) {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if old, ok := d.lru.Peek(base); ok {
		d.used -= old
	}
	d.used += size
	d.lru.Add(base, size)
	d.shrink()
	return nil
}

// isPinned tells whether packs of a kind stay, whatever room they take.
func isPinned(kind string) bool { return kind == Tags || kind == Probe || kind == Mixed }

// has tells whether a pack is kept.
func (d *packDir) has(name, kind string) bool {
	path, _ := d.file(name, kind)
	_, err := os.Stat(path)
	return path != "" && err == nil
}

// open opens a pack kept; nil if it is not.
func (d *packDir) open(name, kind string) *os.File {
	path, base := d.file(name, kind)
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	d.mu.Lock()
	d.lru.Get(base)
	d.mu.Unlock()
	if info, err := f.Stat(); err == nil && time.Since(info.ModTime()) > touchAfter {
		os.Chtimes(path, time.Now(), time.Now())
	}
	return f
}

// drop removes a pack that proved damaged.
func (d *packDir) drop(name, kind string) {
	path, base := d.file(name, kind)
	os.Remove(path)
	d.mu.Lock()
	defer d.mu.Unlock()
	if path == filepath.Join(d.dir, base) {
		d.lru.Remove(base)
	}
}

// fileSource reads an object from a file of packDir.
func fileSource(f *os.File) source {
	return func(_ context.Context, offset, length int64) (io.ReadCloser, error) {
		return io.NopCloser(io.NewSectionReader(f, offset, length)), nil
	}
}

// Kept gives a pack as it was uploaded or fetched; nil if it is not here, or not as
// it was.
func (r *Reader) Kept(name, kind string) []byte {
	if r.dir == nil {
		return nil
	}
	return KeptPack(r.dir.dir, name, kind)
}

// KeptPack is Kept of the folder of packs of any home.
func KeptPack(dir, name, kind string) []byte {
	file, _ := (&packDir{dir: dir}).file(name, kind)
	if file == "" || kind == Audio {
		return nil
	}
	body, err := os.ReadFile(file)
	if err != nil || verifyName(name, body) != nil {
		return nil
	}
	return body
}
