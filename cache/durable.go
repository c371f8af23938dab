package cache

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/internal/crashpoint"
	"github.com/tunesafe/tunesafe/internal/kv"
)

// # Durability
//
// The kernel may write any page to the disk at any moment, and lose all others
// with the power. So a row must be true whenever it reaches the disk, or be
// followed by nothing that trusts it:
//
//   - A row that says which bytes are here is appended after an fsync of them.
//   - A rename over another file is appended after an fsync of the new one's
//     bytes: the name leads to the old file or to the new, whole.
//   - A content is removed after the rows that spoke of it are gone from the
//     disk: see removal.go.
//   - A new file's rows may be on the disk before its bytes. Its content is then
//     empty or missing, which [Cache.restat] puts right.
//
// What a program may rely on comes on top: fsync waits for the content and then
// for the journal, and a ticker does the same for what was closed.

// manyFiles is how many contents are synced one by one; from there on the whole
// filesystem is synced at once, which is cheaper.
const manyFiles = 16

// syncLocks is by how many locks syncs of one content are kept apart: of two at
// once, only one is told of a failure.
const syncLocks = 64

// mustSync notes that a content has bytes to be synced. fmu is held.
func (c *Cache) mustSync(ino Ino) {
	c.marks++
	c.toSync[ino] = c.marks
}

// unsynced reports whether a content may have bytes that are not on the disk.
func (c *Cache) unsynced(ino Ino) bool {
	if f := c.peek(ino); f != nil {
		f.mu.Lock()
		writing := f.writers > 0
		f.mu.Unlock()
		if writing {
			return true
		}
	}
	c.fmu.Lock()
	defer c.fmu.Unlock()
	_, waits := c.toSync[ino]
	return waits || c.lost[ino] != nil
}

// Sync makes everything so far durable. It fails as long as there is a content
// that the disk failed to take: what it holds is unknown.
func (c *Cache) Sync() error {
	if err := c.SyncRows(); err != nil {
		return err
	}
	c.fmu.Lock()
	later, doomed := maps.Clone(c.later), maps.Clone(c.doomed)
	for ino := range later {
		c.mustSync(ino)
	}
	c.fmu.Unlock()
	c.syncClosed()
	crashpoint.At("sync.contents")
	if err := c.storeLater(later); err != nil {
		return err
	}
	crashpoint.At("sync.ranges")
	if err := c.SyncRows(); err != nil {
		return err
	}
	if _, err := c.removeDoomed(doomed); err != nil {
		return err
	}
	c.fmu.Lock()
	defer c.fmu.Unlock()
	for _, err := range c.lost {
		return err
	}
	return nil
}

// SyncAll is Sync for what is open for writing, too. Of a file that a program has
// closed, the kernel may tell only after the program's next request: what was
// closed before a call of SyncAll is durable when it returns.
func (c *Cache) SyncAll() error {
	c.fmu.Lock()
	open := slices.Collect(maps.Values(c.files))
	c.fmu.Unlock()
	for _, f := range open {
		f.mu.Lock()
		writing := f.writers > 0
		f.mu.Unlock()
		if writing {
			c.fmu.Lock()
			c.mustSync(f.ino)
			c.fmu.Unlock()
		}
	}
	return c.Sync()
}

// SyncRows makes every change of the namespace so far durable.
func (c *Cache) SyncRows() error { return c.db.Sync() }

// syncClosed syncs the contents that were closed since it last did. Each failure
// is kept in lost.
func (c *Cache) syncClosed() {
	c.fmu.Lock()
	todo := maps.Clone(c.toSync)
	c.fmu.Unlock()
	if len(todo) > manyFiles && c.syncsAtOnce && unix.Syncfs(int(c.root.Fd())) == nil {
		c.synced(todo)
		return
	}
	for ino, mark := range todo {
		_ = c.syncContent(ino)
		c.synced(map[Ino]uint64{ino: mark})
	}
}

// synced takes from the contents to be synced those that were, unless they were
// written meanwhile.
func (c *Cache) synced(done map[Ino]uint64) {
	c.fmu.Lock()
	defer c.fmu.Unlock()
	for ino, mark := range done {
		if c.toSync[ino] == mark {
			delete(c.toSync, ino)
		}
	}
}

// storeLater stores range maps whose bytes are on disk now, but for those that
// changed meanwhile. Cache.fmu is held until they are rows: a file that is opened
// finds its map either way, and no content is taken for one that is not here.
func (c *Cache) storeLater(later map[Ino]*have) error {
	if len(later) == 0 {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var b kv.Batch
	c.fmu.Lock()
	defer c.fmu.Unlock()
	for ino, h := range later {
		if c.later[ino] == h && c.lost[ino] == nil {
			b.Put(bHave, inoKey(ino), encode(h))
			delete(c.later, ino)
		}
	}
	return c.db.Apply(&b)
}

// syncContent syncs a content file and the folder that names it. After a failure
// it fails until the content is written anew: Linux drops the pages it could not
// write, and a second fsync would succeed without them.
func (c *Cache) syncContent(ino Ino) error {
	lock := &c.syncing[ino%syncLocks]
	lock.Lock()
	defer lock.Unlock()
	c.fmu.Lock()
	err := c.lost[ino]
	c.fmu.Unlock()
	if err != nil {
		return err
	}
	p := c.contentPath(ino)
	for _, n := range []string{p, filepath.Dir(p)} {
		if err = syncPath(n); err != nil {
			return c.lose(ino, err)
		}
	}
	return nil
}

// lose notes that the disk failed to take a content's bytes.
func (c *Cache) lose(ino Ino, err error) error {
	err = fmt.Errorf("bytes that were written may not be on the disk: %w", err)
	c.fmu.Lock()
	c.lost[ino] = err
	c.fmu.Unlock()
	c.log.Error("the disk failed to take what was written to a file; check the disk, and write the file again", "ino", ino, "path", c.pathOf(ino), "err", err)
	return err
}

// pathOf is for people, and reads every name; "" if there is none.
func (c *Cache) pathOf(ino Ino) string {
	paths, _ := c.Paths([]Ino{ino})
	return paths[ino]
}

// syncPath syncs a file or folder; one that is not there was removed meanwhile.
func syncPath(name string) error {
	fd, err := os.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(fd.Sync(), fd.Close())
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
	said := "" // the failure that was logged last: it comes back with every tick
	for {
		select {
		case <-c.stop:
			return
		case <-t.C:
		}
		err := c.Sync()
		switch {
		case err == nil:
			said = ""
		case err.Error() != said:
			said = err.Error()
			c.log.Error("making changes durable", "err", err)
		}
		c.shrink(time.Now())
		c.watchSpace()
	}
}

// syncfsWorks lists the types of filesystems whose syncfs(2) is known to sync, by
// statfs(2). Those that FUSE serves are not among them: the kernel does not pass
// the call on to them (fs/fuse/inode.c, fuse_sync_fs) and reports success.
var syncfsWorks = map[int64]bool{
	unix.EXT4_SUPER_MAGIC:  true, // and ext2, ext3
	unix.XFS_SUPER_MAGIC:   true,
	unix.BTRFS_SUPER_MAGIC: true,
	unix.F2FS_SUPER_MAGIC:  true,
	unix.TMPFS_MAGIC:       true,
}

// probeSyncfs finds out whether many contents can be synced at once.
func (c *Cache) probeSyncfs() error {
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(c.root.Fd()), &st); err != nil {
		return &os.PathError{Op: "statfs", Path: c.root.Name(), Err: err}
	}
	c.syncsAtOnce = syncfsWorks[int64(st.Type)]
	return nil
}
