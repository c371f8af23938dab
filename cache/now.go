package cache

import "slices"

// Now reads parts of a version of a file, as it was once, in the content that the file
// has now: what a retag left alone need not be fetched for the version before it.
type Now struct {
	c    *Cache
	ino  Ino
	gen  uint64
	l    *layout
	same map[int]int // parts of the version -> of the content
}

// Now compares the parts of a version with those of the inode now. It is never nil, and
// reads nothing where there is no such inode or nothing the same.
func (c *Cache) Now(ino Ino, parts []Part) *Now {
	now := &Now{c: c, ino: ino, same: map[int]int{}}
	n, ok := c.asRecipe(ino)
	if !ok {
		return now
	}
	r, err := c.recipe(ino)
	if err != nil {
		return now
	}
	l, err := newLayout(*r)
	if err != nil { // runs that are not all here, too
		return now
	}
	now.gen, now.l = n.Gen, l
	for i, p := range parts {
		j := slices.IndexFunc(r.Parts, func(q Part) bool { return p.Size == q.Size && slices.Equal(p.Blobs, q.Blobs) })
		if j >= 0 && p.Size > 0 && len(p.Blobs) > 0 {
			now.same[i] = j
		}
	}
	return now
}

// asRecipe reports whether the content of a file is what its recipe says: nobody wrote
// to it since it was cut, or still can by a mapping.
func (c *Cache) asRecipe(ino Ino) (*inode, bool) {
	n, err := c.inode(ino)
	return n, err == nil && n.isFile() && !n.dirty() && !n.TakenOpen
}

// ReadAt reads a first stretch of p from an offset of a part of the version. It returns
// 0 if that is not here. Whoever opens the content for writing has another generation
// before the first write, so what was read under the old one is what was cut.
func (now *Now) ReadAt(part int, p []byte, off int64) int {
	j, ok := now.same[part]
	if !ok {
		return 0
	}
	at, n := now.l.fileOff(j, off)
	p = p[:min(n, int64(len(p)))]
	f, err := now.c.acquire(now.ino)
	if err != nil {
		return 0
	}
	defer now.c.release(f)
	if !f.readHere(p, at) {
		return 0
	}
	if row, ok := now.c.asRecipe(now.ino); !ok || row.Gen != now.gen {
		return 0
	}
	return len(p)
}

// readHere reads p if all of it is on this machine.
func (f *file) readHere(p []byte, off int64) bool {
	f.mu.Lock()
	if f.fed {
		if is, err := f.readOutside(p, off); is || err != nil {
			f.mu.Unlock()
			return err == nil
		}
	}
	fd, here := f.fd, f.have.Whole || f.have.Here.covers(off, off+int64(len(p)))
	f.mu.Unlock()
	if fd == nil || !here {
		return false
	}
	n, err := readFull(fd, p, off)
	return n == len(p) && err == nil
}
