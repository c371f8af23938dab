package cache

import (
	"errors"
	"maps"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/internal/crashpoint"
	"github.com/tunesafe/tunesafe/internal/kv"
)

// linkable is what the orphan row of a file holds that never had a name and may
// be given one; the row of an inode that lost its last name is empty.
var linkable = []byte{1}

// KeepRemoved makes inodes that lose their last name stay, while on, until
// [Cache.DropRemoved]: whoever serves programs has them tell when the last of
// them let go of it. A removed directory can be a program's working directory, and
// a file be held by a descriptor of which no opening told (O_PATH).
func (c *Cache) KeepRemoved(on bool) {
	c.fmu.Lock()
	c.keep = on
	kept := slices.Collect(maps.Keys(c.kept))
	c.fmu.Unlock()
	if !on {
		for _, ino := range kept {
			c.DropRemoved(ino)
		}
	}
}

// DropRemoved removes an inode kept without a name, if nobody has it open.
func (c *Cache) DropRemoved(ino Ino) {
	c.fmu.Lock()
	kept := c.kept[ino]
	delete(c.kept, ino)
	c.fmu.Unlock()
	if !kept {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sweep(ino)
}

// sweep purges an inode without a name that nobody uses any more. c.mu is held.
func (c *Cache) sweep(ino Ino) {
	orphan, err := c.marked(bOrphan, ino)
	if err == nil && orphan && !c.isOpen(ino) && !c.isKept(ino) {
		err = c.purge(ino)
	}
	if err != nil {
		c.log.Error("removing an inode without a name", "ino", ino, "err", err)
	}
}

func (c *Cache) isKept(ino Ino) bool {
	c.fmu.Lock()
	defer c.fmu.Unlock()
	return c.kept[ino]
}

// keepIfAsked notes an inode without a name as one to keep.
func (c *Cache) keepIfAsked(ino Ino) {
	c.fmu.Lock()
	defer c.fmu.Unlock()
	if c.keep {
		c.kept[ino] = true
	}
}

// reap removes the inodes that the operation left without a name and nobody uses.
func (c *Cache) reap(x *change) {
	for ino, n := range x.inodes {
		if n.Nlink == 0 {
			c.keepIfAsked(ino)
			c.sweep(ino)
		}
	}
}

// purge removes every row and the content of an inode without a name. A row
// waiting for a commit stays: it tells the bucket that the inode is gone.
func (c *Cache) purge(ino Ino) error {
	var b kv.Batch
	for _, k := range []kv.Bucket{bInode, bRecipe, bHave, bUncut, bOwed, bOrphan, bPlace, bSource, bLabel} {
		b.Delete(k, inoKey(ino))
	}
	doom(&b, ino)
	if err := c.db.Apply(&b); err != nil {
		return err
	}
	crashpoint.At("purge.rows")
	c.forget(ino)
	c.removeLater(ino)
	return nil
}

// sweepOrphans removes inodes that lost their last name while in use, before a crash.
func (c *Cache) sweepOrphans() error {
	inos, err := c.keys(bOrphan)
	for _, ino := range inos {
		if err == nil {
			err = c.purge(ino)
		}
	}
	return err
}

// Tmpfile makes and opens a regular file without a name, as O_TMPFILE does. It is
// gone with its last handle unless [Cache.Link] gives it a name. parent must be
// a directory that is there.
func (c *Cache) Tmpfile(parent Ino, perm uint32, o Owner, fl OpenFlags) (Attr, *Handle, error) {
	if err := c.readOnly(parent); err != nil {
		return Attr{}, nil, err
	}
	if fl.Write {
		c.keepAhead()
	}
	a, h, err := c.makeUnnamed(parent, perm, o, fl)
	return made(a, h, err)
}

func (c *Cache) makeUnnamed(parent Ino, perm uint32, o Owner, fl OpenFlags) (Attr, *Handle, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, err := c.begin().dir(parent); err != nil {
		return Attr{}, nil, err
	}
	x := c.begin()
	ino, err := c.newIno()
	if err != nil {
		return Attr{}, nil, err
	}
	row := &inode{Mode: unix.S_IFREG | perm&0o7777, UID: o.UID, GID: o.GID, Atime: x.now, Mtime: x.now, Ctime: x.now}
	x.inodes[ino] = row
	x.wait(ino, row)
	x.b.Put(bOrphan, inoKey(ino), linkable)
	h, err := x.openNew(ino, row, fl)
	if err != nil {
		return Attr{}, nil, err
	}
	c.keepIfAsked(ino)
	return row.attr(ino), h, x.apply()
}

// adopt readies a file without a name for its first; ErrNotExist if it lost one.
func (x *change) adopt(ino Ino) error {
	v, ok, err := x.c.db.Get(bOrphan, inoKey(ino))
	if err != nil || !ok || len(v) == 0 {
		return errors.Join(err, orNil(err == nil, ErrNotExist))
	}
	x.b.Delete(bOrphan, inoKey(ino))
	x.c.fmu.Lock()
	delete(x.c.kept, ino)
	x.c.fmu.Unlock()
	return nil
}
