package cache

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/internal/crashpoint"
	"github.com/tunesafe/tunesafe/internal/kv"
	"github.com/tunesafe/tunesafe/internal/room"
)

const defaultCacheSize = 10 << 30

// cacheSize returns the cap for clean contents, in bytes.
func (c *Cache) cacheSize() int64 {
	if c.opt.CacheSize > 0 {
		return c.opt.CacheSize
	}
	sp, err := c.disk()
	if err != nil || sp.Blocks == 0 { // a filesystem that tells nothing is not full
		return defaultCacheSize
	}
	return min(defaultCacheSize, int64(sp.Blocks)*int64(sp.BlockSize)/10)
}

// loadLRU takes the contents that are here into the order of eviction.
func (c *Cache) loadLRU() error {
	order, err := lru.New[Ino, int64](math.MaxInt)
	if err != nil {
		return err
	}
	c.lru = order
	type kept struct {
		ino Ino
		have
	}
	var here []kept
	var bad error
	err = c.db.Scan(bHave, nil, nil, func(k, v []byte) bool {
		h := kept{ino: keyIno(k)}
		bad = decMode.Unmarshal(v, &h.have)
		here = append(here, h)
		return bad == nil
	})
	if err := errors.Join(err, bad); err != nil || len(here) == 0 {
		return err
	}
	return c.db.Scan(bInode, nil, inoKey(here[0].ino-1), func(k, v []byte) bool {
		for len(here) > 0 && here[0].ino < keyIno(k) {
			here = here[1:]
		}
		if len(here) > 0 && here[0].ino == keyIno(k) {
			if n, err := briefOf(v); err == nil {
				c.touchLRU(here[0].ino, here[0].held(n.Size))
			}
		}
		return len(here) > 0
	})
}

// held is how many bytes of a file of size bytes are here.
func (h *have) held(size int64) (n int64) {
	if h.Whole {
		return size
	}
	for _, x := range h.Here {
		n += x.End - x.Off
	}
	return n
}

// touchLRU makes the content the most recently used; size is that of what is
// here, in bytes.
func (c *Cache) touchLRU(ino Ino, size int64) {
	c.fmu.Lock()
	defer c.fmu.Unlock()
	c.touch(ino, size)
}

// touch is touchLRU with Cache.fmu held.
func (c *Cache) touch(ino Ino, size int64) {
	old, _ := c.lru.Peek(ino)
	c.lru.Add(ino, size)
	c.lruSum += size - old
	if size > old {
		c.mayGo.Store(true)
	}
}

// forget drops what is remembered of an inode that is gone; it returns the bytes
// that were here.
func (c *Cache) forget(ino Ino) (held int64) {
	c.fmu.Lock()
	defer c.fmu.Unlock()
	held, ok := c.lru.Peek(ino)
	if ok {
		c.lruSum -= held
		c.lru.Remove(ino)
	}
	delete(c.closed, ino)
	delete(c.toSync, ino)
	delete(c.lost, ino)
	delete(c.later, ino)
	return held
}

// A library that was copied here and is larger than the cap waits for weeks, over a
// slow line. So it is not gone through again before anything changed, nor sooner than
// a hundred times what that costs; but it is now and then, as a mapping that
// ends is told to nobody.
const (
	lookedAt   = time.Millisecond
	lookAnyway = 10 * time.Minute
)

// shrink evicts the contents least recently used until the cap is kept. It returns
// how many it looked at in vain.
func (c *Cache) shrink(now time.Time) (vain int) {
	since := now.Sub(c.shrunk.at)
	if since < time.Duration(c.shrunk.vain)*lookedAt || !c.mayGo.Swap(false) && since < lookAnyway {
		return 0
	}
	c.fmu.Lock()
	over := c.lruSum - c.pinnedHere() - c.cacheSize()
	var inos []Ino
	if over > 0 {
		inos = c.goesLast(c.lru.Keys()) // oldest first
	}
	c.fmu.Unlock()
	for _, ino := range inos {
		if over <= 0 {
			break
		}
		freed, err := c.evict(ino)
		if err != nil {
			c.log.Error("evicting a content", "ino", ino, "err", err)
			break
		}
		if freed == 0 {
			vain++
		}
		over -= freed
	}
	c.shrunk.at, c.shrunk.vain = now, vain
	return vain
}

// evict removes a content that the bucket has whole; it returns the bytes freed,
// 0 if the content has to stay.
func (c *Cache) evict(ino Ino) (int64, error) {
	if c.isPinned(ino) {
		return 0, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	n, err := c.inode(ino)
	if errors.Is(err, ErrNotExist) {
		c.forget(ino)
		return 0, nil
	}
	if err != nil || n.dirty() || n.TakenOpen || !n.committed() {
		return 0, err
	}
	owed, err := c.marked(bOwed, ino)
	if err != nil || owed {
		return 0, err
	}
	// Until a commit holds the row, what was uploaded may have to be found again.
	waits, err := c.marked(bPRow, ino)
	if err != nil || waits || c.leases && !leaseFree(c.contentPath(ino)) {
		return 0, err
	}
	if gone, err := c.dropContent(ino, n); !gone || err != nil {
		return 0, err
	}
	return c.forget(ino), nil
}

// dropContent has a content removed that nobody uses. It holds fmu throughout,
// as acquire does while it looks for the content.
func (c *Cache) dropContent(ino Ino, n *inode) (gone bool, err error) {
	c.fmu.Lock()
	defer c.fmu.Unlock()
	if c.files[ino] != nil {
		return false, nil
	}
	var b kv.Batch
	b.Delete(bHave, inoKey(ino))
	if n.Room != 0 {
		n.Room = 0
		b.Put(bInode, inoKey(ino), encode(n))
	}
	doom(&b, ino)
	if err := c.db.Apply(&b); err != nil {
		return false, err
	}
	delete(c.later, ino)
	c.doomed[ino] = true
	crashpoint.At("evict.row")
	return true, nil
}

// EvictAll removes every content that the bucket has; it returns the bytes freed.
func (c *Cache) EvictAll() (freed int64, err error) {
	c.fmu.Lock()
	inos := c.lru.Keys()
	c.fmu.Unlock()
	for _, ino := range inos {
		n, err := c.evict(ino)
		if err != nil {
			return freed, err
		}
		freed += n
	}
	_, err = c.removeNow()
	return freed, err
}

// probePath is an empty file beside the contents, to find out what their disk does.
func (c *Cache) probePath() string { return filepath.Join(c.opt.ContentDir, "lease-probe") }

// probeLeases finds out whether the contents' filesystem grants leases. Without
// them a mapping that outlives its descriptor could not be seen, so the kernel
// is not let write by itself there.
func (c *Cache) probeLeases() error {
	p := c.probePath()
	f, err := os.OpenFile(p, os.O_CREATE|os.O_WRONLY, 0o600) // it stays: a disk may have no inode left for it
	if room.Lacks(err) {
		return nil
	}
	if err != nil {
		return err
	}
	f.Close()
	c.leases = leaseFree(p)
	return nil
}

// Quiet reports whether nobody has the content of ino open or mapped for writing.
func (c *Cache) Quiet(ino Ino) bool { return c.leases && leaseFree(c.contentPath(ino)) }

// leaseFree reports whether nobody has the file open, or mapped, for writing:
// fcntl(2) grants a read lease only then.
func leaseFree(path string) bool {
	fd, err := openContent(path, unix.O_RDONLY)
	if err != nil {
		return errors.Is(err, os.ErrNotExist)
	}
	defer fd.Close()
	if _, err := unix.FcntlInt(fd.Fd(), unix.F_SETLEASE, unix.F_RDLCK); err != nil {
		return false
	}
	_, err = unix.FcntlInt(fd.Fd(), unix.F_SETLEASE, unix.F_UNLCK)
	return err == nil
}
