package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"log/slog"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/control"
	"github.com/tunesafe/tunesafe/internal/health"
	"github.com/tunesafe/tunesafe/internal/repo"
	tsync "github.com/tunesafe/tunesafe/sync"
)

// This file is where an owner rehearses a restore.

// rehearsalPrefix begins the names of the folders in which it is done, which a
// rehearsal that was killed leaves to the next.
const rehearsalPrefix = "rehearsal-"

// Rehearse implements [control.Owner].
func (o *owner) Rehearse(ctx context.Context, r control.RehearseRequest, progress func(control.RehearseProgress)) (out control.Rehearsal, err error) {
	if err := o.learn(ctx, false); err != nil {
		return out, err
	}
	o.rehearsing.Lock()
	defer o.rehearsing.Unlock()
	parent := filepath.Dir(o.home.ContentDir())
	if old, err := filepath.Glob(filepath.Join(parent, rehearsalPrefix+"*")); err == nil {
		for _, dir := range old {
			_ = os.RemoveAll(dir)
		}
	}
	dir, err := os.MkdirTemp(parent, rehearsalPrefix)
	if err != nil {
		return out, err
	}
	defer os.RemoveAll(dir)
	db, err := o.healthDB()
	if err != nil {
		return out, err
	}
	run := health.Run{Kind: health.Rehearsal, Began: time.Now()}
	err = o.rehearse(ctx, dir, r, progress, &out)
	if err != nil && (ctx.Err() != nil || !failsRehearsal(err)) {
		return out, err // it says nothing of the store
	}
	if err != nil {
		out.Problems = append(out.Problems, oneLine(err.Error()))
	}
	out.Time = time.Now()
	run.Ended, run.Whole, run.Files, run.Like, run.Bytes, run.Bad = out.Time, true, out.Files, out.Like, out.Bytes, out.Files-out.Whole
	run.Text = strings.Join(out.Problems[:min(len(out.Problems), shownDamaged)], "; ")
	return out, db.Ran(run)
}

// failsRehearsal tells an error that a new computer would meet, too, from one of
// the way to the store, or of this disk.
func failsRehearsal(err error) bool {
	for _, is := range []error{
		repo.ErrCorrupt, repo.ErrMissing, repo.ErrSignature, repo.ErrFork, repo.ErrChain, repo.ErrWrongKey, repo.ErrNoRepository, repo.ErrNewerFormat,
	} {
		if errors.Is(err, is) {
			return true
		}
	}
	return false
}

func (o *owner) rehearse(ctx context.Context, dir string, r control.RehearseRequest, progress func(control.RehearseProgress), out *control.Rehearsal) error {
	progress(control.RehearseProgress{Phase: "taking in the repository as a new computer would"})
	cold, err := openCold(ctx, o.drive, dir)
	if err != nil {
		return err
	}
	defer cold.close()
	paths, err := cold.sample(r)
	if err != nil {
		return err
	}
	for i, path := range paths {
		progress(control.RehearseProgress{Phase: fmt.Sprintf("restoring file %d of %d", i+1, len(paths))})
		dest := filepath.Join(dir, "restored")
		out.Files++
		n, like, err := cold.try(ctx, o.drive, path, dest)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && !errors.Is(err, errDiffers) && !failsRehearsal(err) && !errors.Is(err, cache.ErrOwed):
			return err
		case err != nil:
			out.Problems = append(out.Problems, fmt.Sprintf("%q: %s", path, oneLine(err.Error())))
		default:
			out.Whole++
			out.Bytes += n
		}
		if like {
			out.Like++
		}
		if err := os.RemoveAll(dest); err != nil {
			return err
		}
	}
	return nil
}

// cold is a home that knows nothing but what is in the store, and is no device.
type cold struct {
	cache *cache.Cache
	index *repo.Index
	close func()
}

// openCold takes in the repository into a folder.
func openCold(ctx context.Context, d *drive, dir string) (c *cold, err error) {
	keys, err := coldKeys(ctx, d)
	if err != nil {
		return nil, err
	}
	for _, sub := range []string{"state", "content"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o700); err != nil {
			return nil, err
		}
	}
	var closers []func()
	c = &cold{close: func() {
		for i := len(closers) - 1; i >= 0; i-- {
			closers[i]()
		}
	}}
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	if c.index, err = repo.OpenIndex(filepath.Join(dir, "state", "index.db")); err != nil {
		return nil, err
	}
	closers = append(closers, func() { c.index.Close() })
	reader := repo.NewReader(d.counted, keys, c.index, filepath.Join(dir, "packs"), repo.ReaderOptions{})
	closers = append(closers, reader.Close)
	device, err := nobody()
	if err != nil {
		return nil, err
	}
	base, err := inodeBase(device)
	if err != nil {
		return nil, err
	}
	quiet := slog.New(slog.DiscardHandler)
	c.cache, err = cache.Open(filepath.Join(dir, "state"), cache.Options{
		Fetcher: tsync.NewFetcher(reader), ContentDir: filepath.Join(dir, "content"), InoBase: base, Log: quiet,
	})
	if err != nil {
		return nil, err
	}
	closers = append(closers, func() { c.cache.Close() })
	_, err = tsync.New(tsync.Options{
		Cache: c.cache, Store: d.counted, Keys: keys, Device: device, Index: c.index, Reader: reader, Dir: filepath.Join(dir, "state"), Log: quiet, Now: d.now,
	}).Pull(ctx)
	return c, err
}

// coldKeys opens the repository with the recovery key, if it is in the home.
func coldKeys(ctx context.Context, d *drive) (*repo.Keys, error) {
	key, err := d.home.RecoveryKey()
	if errors.Is(err, iofs.ErrNotExist) {
		return d.keys, nil
	}
	if err != nil {
		return nil, err
	}
	keys, _, err := repo.Unlock(ctx, d.counted, key)
	if err == nil && keys.RepoID() != d.keys.RepoID() {
		err = repo.ErrWrongKey
	}
	return keys, err
}

// nobody is a device that is not enrolled and writes nothing.
func nobody() (*repo.Device, error) {
	_, key, err := ed25519.GenerateKey(nil)
	var id [8]byte
	_, _ = rand.Read(id[:])
	return &repo.Device{ID: hex.EncodeToString(id[:]), Name: "rehearsal", Key: key}, err
}

// sample chooses files of the store at random, each alike, that lie within the budget.
func (c *cold) sample(r control.RehearseRequest) (paths []string, err error) {
	type candidate struct {
		path string
		size int64
	}
	var list []candidate
	n := 0
	err = eachFile(c.cache, "", cache.Root, func(path string, ino cache.Ino) error {
		a, err := c.cache.Attr(ino)
		if err != nil || a.Size > r.Bytes {
			return err
		}
		if _, whole, err := tsync.ObjectsOf(c.cache, c.index, ino); err != nil || !whole {
			return err
		}
		n++
		if len(list) < r.Files {
			list = append(list, candidate{path, a.Size})
		} else if i := mathrand.IntN(n); i < r.Files {
			list[i] = candidate{path, a.Size}
		}
		return nil
	})
	mathrand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	left := r.Bytes
	for _, f := range list {
		if f.size <= left {
			left -= f.size
			paths = append(paths, f.path)
		}
	}
	return paths, err
}

// errDiffers: what was restored is not what this computer has.
var errDiffers = errors.New("differs from")

// try restores one file and compares it with what this computer has of it, if
// that is of the same size and time.
func (c *cold) try(ctx context.Context, d *drive, path, dest string) (n int64, like bool, err error) {
	if err := tsync.Restore(ctx, tsync.Now(c.cache), []string{path}, dest, nil); err != nil {
		return 0, false, err
	}
	f, err := os.Open(filepath.Join(dest, filepath.Base(path)))
	if err != nil {
		return 0, false, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, false, err
	}
	own, name, err := d.original(ctx, path, info)
	if err != nil || own == nil {
		return info.Size(), false, nil //nolint:nilerr // there is nothing to compare with
	}
	defer own.Close()
	same, err := sameBytes(f, own)
	switch {
	case err != nil:
		return info.Size(), false, nil //nolint:nilerr // what is here cannot be read
	case !same:
		return 0, true, fmt.Errorf("what was restored %w %s, which has the same size and time", errDiffers, name)
	}
	return info.Size(), true, nil
}

// original opens what this computer has of a file: in the folder that it was backed
// up from, or whole on the drive; nil if that is not of the same size and time.
func (d *drive) original(ctx context.Context, path string, info os.FileInfo) (io.ReadCloser, string, error) {
	places, err := d.cache.Places()
	if err != nil {
		return nil, "", err
	}
	for _, p := range places {
		rel, ok := below(path, p.Name)
		if !ok {
			continue
		}
		name := filepath.Join(p.Root, rel)
		now, err := os.Lstat(name)
		if err != nil || !now.Mode().IsRegular() || now.Size() != info.Size() || !now.ModTime().Equal(info.ModTime()) {
			return nil, "", err
		}
		f, err := os.Open(name)
		return f, name, err
	}
	a, err := find(d.cache, path)
	if err != nil || a.Size != info.Size() || !a.Mtime.Equal(info.ModTime()) {
		return nil, "", err
	}
	h, err := d.cache.OpenFile(a.Ino, cache.OpenFlags{Read: true})
	if err != nil {
		return nil, "", err
	}
	if h.Partial() {
		return nil, "", h.Release()
	}
	r := readingOf(ctx, h)
	return struct {
		io.Reader
		io.Closer
	}{io.NewSectionReader(r, 0, a.Size), r}, "the drive's", nil
}

func sameBytes(x, y io.Reader) (bool, error) {
	a, b := make([]byte, 256<<10), make([]byte, 256<<10)
	for {
		n, errA := io.ReadFull(x, a)
		m, errB := io.ReadFull(y, b)
		if !bytes.Equal(a[:n], b[:m]) {
			return false, nil
		}
		endA := errA == io.EOF || errA == io.ErrUnexpectedEOF
		endB := errB == io.EOF || errB == io.ErrUnexpectedEOF
		switch {
		case endA && endB:
			return true, nil
		case errA != nil && !endA:
			return false, errA
		case errB != nil && !endB:
			return false, errB
		}
	}
}
