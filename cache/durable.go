package cache

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/internal/crashpoint"
	"github.com/tunesafe/tunesafe/internal/kv"
)

// manyFiles is how many contents are synced one by one; from there on the whole
// filesystem is synced at once, which is cheaper.
const manyFiles = 16

// Sync makes everything so far durable: contents first, then the journal.
func (c *Cache) Sync() error {
	c.fmu.Lock()
	later := maps.Clone(c.later)
	for ino := range later {
		c.toSync[ino] = true
	}
	c.fmu.Unlock()
	if err := c.syncClosed(); err != nil {
		return err
	}
	crashpoint.At("sync.contents")
	if err := c.storeLater(later); err != nil {
		return err
	}
	crashpoint.At("sync.ranges")
	return c.db.Sync()
}

// syncClosed makes the contents durable that were closed since it last ran. It
// comes before every sync of rows: a rename that is on disk before the bytes of
// the new file would leave an empty one in place of the old.
func (c *Cache) syncClosed() error {
	c.fmu.Lock()
	inos := slices.Collect(maps.Keys(c.toSync))
	clear(c.toSync)
	c.fmu.Unlock()
	return c.syncContents(inos)
}

// storeLater stores range maps whose bytes are on disk now, but for those that
// changed meanwhile.
func (c *Cache) storeLater(later map[Ino]*have) error {
	if len(later) == 0 {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var b kv.Batch
	c.fmu.Lock()
	for ino, h := range later {
		if c.later[ino] == h {
			b.Put(bHave, inoKey(ino), encode(h))
			delete(c.later, ino)
		}
	}
	c.fmu.Unlock()
	return c.db.Apply(&b)
}

func (c *Cache) syncContents(inos []Ino) error {
	if len(inos) > manyFiles {
		if err := unix.Syncfs(int(c.root.Fd())); err != nil {
			return &os.PathError{Op: "syncfs", Path: c.root.Name(), Err: err}
		}
		return nil
	}
	for _, ino := range inos {
		if err := c.syncContent(ino); err != nil {
			return err
		}
	}
	return nil
}

// syncContent syncs a content file and the folder that names it.
func (c *Cache) syncContent(ino Ino) error {
	p := c.contentPath(ino)
	for _, n := range []string{p, filepath.Dir(p)} {
		fd, err := os.Open(n)
		if errors.Is(err, os.ErrNotExist) {
			continue // removed meanwhile, or nothing is here
		}
		if err != nil {
			return err
		}
		err = fd.Sync()
		if err = errors.Join(err, fd.Close()); err != nil {
			return err
		}
	}
	return nil
}

// SyncFile makes one file's content, and every change of the namespace so far, durable.
func (c *Cache) SyncFile(ino Ino) error {
	if err := c.syncContent(ino); err != nil {
		return err
	}
	crashpoint.At("fsync.content")
	return c.db.Sync()
}

// syncLoop keeps the promise of close: on disk within a second or two.
func (c *Cache) syncLoop() {
	t := time.NewTicker(c.opt.SyncEvery)
	defer t.Stop()
	for {
		select {
		case <-c.stop:
			return
		case <-t.C:
		}
		if err := c.Sync(); err != nil {
			c.log.Error("making changes durable", "err", err)
		}
		c.shrink()
		c.watchSpace()
	}
}
