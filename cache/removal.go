package cache

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/internal/crashpoint"
	"github.com/tunesafe/tunesafe/internal/kv"
)

// # Removing contents
//
// A content is removed in three steps, so that no power loss leaves a row that
// speaks of bytes which are gone:
//
//  1. the rows that speak of it go, and a note that it is to be removed comes
//  2. that is on the disk
//  3. the content is removed, then the note
//
// Steps 2 and 3 are of the next Sync. Notes left by a crash are carried out at
// the next start.

var doomPrefix = []byte("unlink__")

func doomKey(ino Ino) []byte { return append(slices.Clone(doomPrefix), inoKey(ino)...) }

// doom adds the note to the batch that removes the rows.
func doom(b *kv.Batch, ino Ino) { b.Put(bMeta, doomKey(ino), nil) }

// removeLater has the next Sync remove a content whose rows are gone.
func (c *Cache) removeLater(ino Ino) {
	c.fmu.Lock()
	defer c.fmu.Unlock()
	c.doomed[ino] = true
}

// removeNow does what the next Sync would, and returns the bytes freed.
func (c *Cache) removeNow() (freed int64, err error) {
	c.fmu.Lock()
	doomed := maps.Clone(c.doomed)
	c.fmu.Unlock()
	if len(doomed) == 0 {
		return 0, nil
	}
	if err := c.SyncRows(); err != nil {
		return 0, err
	}
	return c.removeDoomed(doomed)
}

// removeDoomed carries out notes that are on the disk, and returns the bytes freed.
func (c *Cache) removeDoomed(inos map[Ino]bool) (freed int64, err error) {
	var b kv.Batch
	var errs []error
	for _, ino := range slices.Sorted(maps.Keys(inos)) {
		var st unix.Stat_t
		_ = unix.Lstat(c.contentPath(ino), &st) // one that is gone frees nothing
		done, err := c.removeContent(ino)
		if done {
			freed += st.Blocks * 512
		}
		if done {
			b.Delete(bMeta, doomKey(ino))
		}
		errs = append(errs, err)
	}
	crashpoint.At("purge.unlinked")
	return freed, errors.Join(errors.Join(errs...), c.db.Apply(&b))
}

// removeContent removes a content unless it is in use again; done means that
// nothing is left to do. It holds fmu throughout, as acquire does while it looks
// for the content: an opening that came between would write to a file that has
// no name.
func (c *Cache) removeContent(ino Ino) (done bool, err error) {
	c.fmu.Lock()
	defer c.fmu.Unlock()
	if c.files[ino] != nil {
		return false, nil // a later Sync looks again
	}
	var h have
	born, err := c.haveOf(ino, &h) // was made anew since
	if err != nil {
		return false, err
	}
	if !born {
		if err := unix.Unlink(c.contentPath(ino)); err != nil && err != unix.ENOENT {
			return false, &os.PathError{Op: "unlink", Path: c.contentPath(ino), Err: err}
		}
	}
	delete(c.doomed, ino)
	return true, nil
}

// sweepDoomed carries out the notes that a crash left. All rows are on the disk now.
func (c *Cache) sweepDoomed() error {
	err := c.db.Scan(bMeta, doomPrefix, nil, func(k, _ []byte) bool {
		c.doomed[keyIno(k[len(doomPrefix):])] = true
		return true
	})
	if err != nil {
		return err
	}
	_, err = c.removeDoomed(maps.Clone(c.doomed))
	return err
}

// placeFor is the path at which a content may be made. The folders of all contents are made
// with the first: a home that restores, or watches a folder, has none.
func (c *Cache) placeFor(ino Ino) (string, error) {
	if !c.folders.Load() {
		if err := c.makeFolders(); err != nil {
			return "", err
		}
		c.folders.Store(true)
	}
	return c.contentPath(ino), nil
}

// makeFolders makes the folders of the contents and puts their names on the disk:
// a content's own is synced with it, and must not hang in the air.
func (c *Cache) makeFolders() error {
	for i := range 256 {
		err := os.Mkdir(filepath.Join(c.opt.ContentDir, hexByte(i)), 0o700)
		if err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	return errors.Join(syncPath(c.opt.ContentDir), syncPath(filepath.Dir(c.opt.ContentDir)))
}
