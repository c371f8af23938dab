package cache

import (
	"encoding/binary"
	"maps"
	"slices"
	"time"
)

// Pinned files are never evicted, and do not count to the cap. Which they are is
// known on this machine alone.

var pinnedKey = metaKey("pinned")

// SetPinned replaces the pinned files.
func (c *Cache) SetPinned(inos []Ino) error {
	value := make([]byte, 0, 8*len(inos))
	set := make(map[Ino]struct{}, len(inos))
	for _, ino := range inos {
		value = binary.BigEndian.AppendUint64(value, ino)
		set[ino] = struct{}{}
	}
	if err := c.putMeta(pinnedKey, value); err != nil {
		return err
	}
	c.fmu.Lock()
	c.pinned = set
	c.fmu.Unlock()
	c.mayGo.Store(true)
	return nil
}

// loadPinned is for the start: nothing may be evicted before.
func (c *Cache) loadPinned() error {
	value, _, err := c.db.Get(bMeta, pinnedKey)
	c.pinned = map[Ino]struct{}{}
	for ; len(value) >= 8; value = value[8:] {
		c.pinned[binary.BigEndian.Uint64(value)] = struct{}{}
	}
	return err
}

// PinnedFiles lists them.
func (c *Cache) PinnedFiles() []Ino {
	c.fmu.Lock()
	defer c.fmu.Unlock()
	return slices.Collect(maps.Keys(c.pinned))
}

func (c *Cache) isPinned(ino Ino) bool {
	c.fmu.Lock()
	defer c.fmu.Unlock()
	_, is := c.pinned[ino]
	return is
}

// pinnedHere is how many bytes of pinned files are here. Cache.fmu is held.
func (c *Cache) pinnedHere() (sum int64) {
	for ino := range c.pinned {
		n, _ := c.lru.Peek(ino)
		sum += n
	}
	return sum
}

// MostHead is how many bytes of a track a beginning has at most. With
// [Cache.KeepHeads] what has no more goes last, when nothing else can.
const MostHead = 1 << 20

// KeepHeads has the beginnings of tracks stay when the cap asks for room.
func (c *Cache) KeepHeads(keep bool) { c.heads.Store(keep) }

// goesLast splits contents in the order of eviction into those that go, and those
// that go only if that was not enough. Cache.fmu is held.
func (c *Cache) goesLast(inos []Ino) []Ino {
	if !c.heads.Load() {
		return inos
	}
	isHead := func(ino Ino) bool {
		n, _ := c.lru.Peek(ino)
		return n <= MostHead
	}
	last := slices.DeleteFunc(slices.Clone(inos), func(ino Ino) bool { return !isHead(ino) })
	return append(slices.DeleteFunc(inos, isHead), last...)
}

// Here tells how many bytes of a file are here, and whether it is all.
func (c *Cache) Here(ino Ino) (bytes int64, whole bool) {
	if f := c.peek(ino); f != nil {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.have.held(f.size), f.have.Whole
	}
	var h have
	c.fmu.Lock()
	defer c.fmu.Unlock()
	if ok, err := c.haveOf(ino, &h); err != nil || !ok {
		return 0, false
	}
	bytes, _ = c.lru.Peek(ino)
	return bytes, h.Whole
}

// CacheSize is the cap for clean contents, in bytes.
func (c *Cache) CacheSize() int64 { return c.cacheSize() }

// Room is how many bytes may be fetched for nobody before the disk would have clean
// contents go.
func (c *Cache) Room() int64 { return max(c.free()-c.space.ahead, 0) }

// Where lists the names of a file. It goes through all names.
func (c *Cache) Where(ino Ino) ([]NameRow, error) { return c.namesOf(ino) }

// playingFor is how long a file is open before it is taken for played: who scans has
// it open for a moment.
const playingFor = 5 * time.Second

// Plays tells whether a reader looks like somebody who listens and is past half of
// the track, all of which is here.
func (r Reader) Plays(now time.Time) bool {
	return r.Whole && (r.Read >= r.Size/2 || r.Read == 0 && now.Sub(r.Since) > playingFor)
}
