package cache

import (
	"errors"
	"maps"
	"slices"
)

// Settled reports whether the rows here are all as the bucket has them: Idle, and
// no file waits to be cut that is stale.
func (c *Cache) Settled() (bool, error) {
	idle, err := c.Idle()
	if err != nil || !idle {
		return false, err
	}
	held, err := c.uncutStale()
	return len(held) == 0, err
}

// uncutStale lists the stale files that were not cut since they were taken in:
// neither their rows nor their names are committed before.
func (c *Cache) uncutStale() (map[Ino]bool, error) {
	held := map[Ino]bool{}
	for _, ino := range c.Stale() {
		n, err := c.inode(ino)
		if errors.Is(err, ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if n.dirty() && n.Nlink > 0 {
			held[ino] = true
		}
	}
	return held, nil
}

// Stale lists the files of places whose content outside was found to differ from
// what was taken in, or could not be read. They are not tried again, and count
// neither in [Cache.Idle], [Cache.Uncut] nor [Cache.Owed], before [Feed.Update], or
// the next [Cache.Feed].
func (c *Cache) Stale() []Ino {
	c.fed.mu.Lock()
	defer c.fed.mu.Unlock()
	return slices.Sorted(maps.Keys(c.fed.stale))
}

// StaleReason says why a file is among those of [Cache.Stale]; nil if it is not.
func (c *Cache) StaleReason(ino Ino) error {
	c.fed.mu.Lock()
	defer c.fed.mu.Unlock()
	return c.fed.stale[ino]
}

func (c *Cache) unstale(ino Ino) {
	c.fed.mu.Lock()
	delete(c.fed.stale, ino)
	c.fed.mu.Unlock()
}

// markStale notes that a content outside cannot be had, unless it was updated since
// it was opened as s tells.
func (c *Cache) markStale(ino Ino, gen uint64, s *source, why error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	n, err := c.inode(ino)
	if err != nil || n.Gen != gen {
		return
	}
	now, ok, err := c.source(ino)
	if err != nil || !ok || !now.Origin.equal(s.Origin) {
		return
	}
	c.fed.mu.Lock()
	c.fed.stale[ino] = why
	c.fed.mu.Unlock()
	c.log.Warn("a file changed after it was found, or cannot be read; it waits for the next look at its folder", "path", now.Name, "err", why)
}
