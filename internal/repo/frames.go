package repo

import (
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// frameKey is a frame by its pack and its offset in the pack's plaintext.
type frameKey struct {
	object string
	off    int64
}

// frameCache keeps decoded frames in memory, the least recently used go first.
type frameCache struct {
	mu   sync.Mutex
	cap  int64
	used int64
	lru  *simplelru.LRU[frameKey, []byte]
}

func newFrameCache(limit int64) *frameCache {
	c := &frameCache{cap: limit}
	c.lru, _ = simplelru.NewLRU(1<<30, func(_ frameKey, frame []byte) { c.used -= int64(cap(frame)) })
	return c
}

func (c *frameCache) get(key frameKey) ([]byte, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lru.Get(key)
}

func (c *frameCache) add(key frameKey, frame []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lru.Remove(key)
	c.used += int64(cap(frame))
	c.lru.Add(key, frame)
	for c.used > c.cap && c.lru.Len() > 0 {
		c.lru.RemoveOldest()
	}
}

// drop takes the frames of a pack away.
func (c *frameCache) drop(object string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, key := range c.lru.Keys() {
		if key.object == object {
			c.lru.Remove(key)
		}
	}
}
