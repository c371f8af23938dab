package cache

import (
	"errors"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/internal/kv"
	"github.com/tunesafe/tunesafe/internal/room"
)

// space keeps contents from taking the last room of the disk: journals and the
// database have theirs, but a commit on its way, the index and the log of the
// program need some, too. Kernel passthrough writes by itself and is bound by
// the disk alone; eviction keeps ahead of it as long as there is what can go.
type space struct {
	mu     sync.Mutex
	margin int64     // bytes left free; 0: the filesystem does not tell its size
	ahead  int64     // bytes above it below which clean contents go
	credit int64     // bytes that may be written before the disk is asked again
	full   bool      // as last seen
	vain   time.Time // before then eviction is not tried again, as nothing could go
}

// lookAgain bounds in bytes what may be written before the disk is asked again:
// other programs write, too.
const lookAgain = 1 << 20

// claim asks for n bytes of new content: ErrFull if the disk has not so much
// above the margin, also after clean contents went.
func (c *Cache) claim(n int64) error {
	s := &c.space
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.credit >= n || s.margin == 0 {
		s.credit -= n
		return nil
	}
	free := c.free()
	s.credit = min(free, lookAgain+n) - n
	if s.credit < 0 {
		return ErrFull
	}
	return nil
}

// claimEvicting is claim, for callers that hold no lock: it makes room first.
func (c *Cache) claimEvicting(n int64) error {
	err := c.claim(n)
	if err == nil || c.makeRoom(n+lookAgain) == 0 {
		return err
	}
	return c.claim(n)
}

// makeRoom evicts n bytes, unless there was nothing to evict just before.
func (c *Cache) makeRoom(n int64) (freed int64) {
	s := &c.space
	s.mu.Lock()
	vain := time.Now().Before(s.vain)
	s.mu.Unlock()
	if vain {
		return 0
	}
	if freed = c.evictFor(n); freed == 0 {
		s.mu.Lock()
		s.vain = time.Now().Add(c.opt.SyncEvery)
		s.mu.Unlock()
	}
	return freed
}

// keepAhead evicts until the disk has room for a while of writing that nobody
// sees, by kernel passthrough.
func (c *Cache) keepAhead() {
	if lack := c.space.ahead - c.free(); lack > 0 {
		c.makeRoom(lack)
	}
}

// smallRow is what a new name or attribute claims, in bytes.
const smallRow = 4 << 10

// mostAhead is how many bytes of a large disk are kept free by evicting.
const mostAhead = 1 << 30

// free is how many bytes the disk has above the margin, or how many it lacks;
// none if it has no inode left.
func (c *Cache) free() int64 {
	sp, err := c.disk()
	switch {
	case err != nil || sp.Blocks == 0: // a filesystem that tells nothing is not full
		return lookAgain
	case sp.Files > 0 && sp.FilesFree == 0:
		return 0
	}
	return int64(sp.Avail)*int64(sp.BlockSize) - c.space.margin
}

// Full tells whether the disk has no room for new contents.
func (c *Cache) Full() bool {
	c.space.mu.Lock()
	defer c.space.mu.Unlock()
	return c.space.full || room.Lacks(c.db.Full()) && !errors.Is(c.db.Full(), unix.EROFS)
}

// Denied tells why the disk takes no change, nil if it does or is merely full. If
// it is final it stays so until the cache is opened again.
func (c *Cache) Denied() (final bool, err error) {
	final, err = c.db.Denied()
	if !final && !errors.Is(err, unix.EROFS) {
		err = nil
	}
	return final, err
}

// tryAgain finds out whether the disk takes changes again. It is the database
// that remembers.
func (c *Cache) tryAgain() {
	if final, err := c.db.Denied(); err != nil && !final {
		var b kv.Batch
		b.Put(bMeta, metaKey("tried"), nil)
		_ = c.db.Apply(&b)
	}
}

// watchSpace looks at the disk once a second: it evicts while there is little
// room, and says when there is none, and when there is again.
func (c *Cache) watchSpace() {
	c.tryAgain()
	c.keepAhead()
	full := c.space.margin > 0 && c.free() <= 0
	c.space.mu.Lock()
	c.space.credit = 0
	before := c.space.full
	c.space.full = full
	c.space.mu.Unlock()
	switch {
	case full && !before:
		c.log.Error("the disk is full: nothing new is accepted on the drive until there is room; nothing is lost, and uploading goes on",
			"disk of", c.root.Name(), "kept free", c.space.margin)
	case before && !full:
		c.log.Info("there is room on the disk again", "disk of", c.root.Name())
	}
}

// evictFor evicts n bytes of clean contents, the least recently used first.
func (c *Cache) evictFor(n int64) (freed int64) {
	c.fmu.Lock()
	inos := c.goesLast(c.lru.Keys())
	c.fmu.Unlock()
	for _, ino := range inos {
		if freed >= n {
			break
		}
		k, err := c.evict(ino)
		if err != nil {
			c.log.Error("evicting a content", "ino", ino, "err", err)
			break
		}
		freed += k
	}
	removed, err := c.removeNow()
	if err != nil {
		c.log.Error("removing contents", "err", err)
	}
	return max(freed, removed) // also what programs deleted just before
}

// disk tells the room of the disk that holds the contents.
func (c *Cache) disk() (Space, error) {
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(c.root.Fd()), &st); err != nil {
		return Space{}, &os.PathError{Op: "statfs", Path: c.root.Name(), Err: err}
	}
	return Space{BlockSize: uint32(st.Bsize), Blocks: st.Blocks, Free: st.Bfree, Avail: st.Bavail, Files: st.Files, FilesFree: st.Ffree}, nil
}

// Space tells the room of the disk that holds the contents, less what they leave free.
func (c *Cache) Space() (Space, error) {
	sp, err := c.disk()
	if err == nil && sp.BlockSize > 0 {
		keep := uint64(c.space.margin) / uint64(sp.BlockSize)
		sp.Avail -= min(keep, sp.Avail)
		sp.Free -= min(keep, sp.Free)
	}
	return sp, err
}

// setMargin takes the measure of the disk.
func (c *Cache) setMargin() error {
	c.space.margin = room.Margin(c.opt.ContentDir)
	if sp, err := c.disk(); err == nil {
		c.space.ahead = min(int64(sp.Blocks)*int64(sp.BlockSize)/8, mostAhead)
	}
	return nil
}
