package cache

import (
	"encoding/binary"
	"math/rand/v2"
	"time"

	"github.com/tunesafe/tunesafe/internal/kv"
)

// change is one namespace operation being put together: rows it has touched,
// and the batch that makes them durable at once. Cache.mu is held.
type change struct {
	c      *Cache
	b      kv.Batch
	now    stamp
	inodes map[Ino]*inode
}

func (c *Cache) begin() *change {
	return &change{c: c, now: stampOf(time.Now()), inodes: map[Ino]*inode{}}
}

// inode returns the row for changing; commit stores it.
func (x *change) inode(ino Ino) (*inode, error) {
	if n := x.inodes[ino]; n != nil {
		return n, nil
	}
	n, err := x.c.inode(ino)
	if err != nil {
		return nil, err
	}
	x.inodes[ino] = n
	return n, nil
}

// dir returns the row of a directory, its times set for a change in it.
func (x *change) dir(ino Ino) (*inode, error) {
	n, err := x.inode(ino)
	if err != nil {
		return nil, err
	}
	switch {
	case !n.isDir():
		return nil, ErrNotDir
	case n.Nlink == 0: // removed, and still known to someone
		return nil, ErrNotExist
	}
	return n, nil
}

// touch marks a row as changed now and waiting for a commit.
func (x *change) touch(ino Ino, n *inode, mtime bool) {
	n.Ctime = x.now
	if mtime {
		n.Mtime = x.now
	}
	x.wait(ino, n)
}

// wait puts the row of ino among those waiting for a commit. The bucket need not
// hear of what it never knew and that has no name.
func (x *change) wait(ino Ino, n *inode) {
	n.Ver++
	if n.Nlink > 0 || n.committed() {
		x.b.Put(bPRow, inoKey(ino), nil)
	}
}

// apply stores the touched rows with the batch.
func (x *change) apply() error {
	for ino, n := range x.inodes {
		x.b.Put(bInode, inoKey(ino), encode(n))
	}
	if err := x.c.db.Apply(&x.b); err != nil {
		return err
	}
	x.c.version.Add(1)
	x.c.poke()
	return nil
}

// update changes the row of one inode, as one operation.
func (c *Cache) update(ino Ino, fn func(x *change, n *inode) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	x := c.begin()
	n, err := x.inode(ino)
	if err != nil {
		return err
	}
	if err := fn(x, n); err != nil {
		return err
	}
	return x.apply()
}

// lookup finds a name in dir; ErrNotExist if there is none.
func (x *change) lookup(dir Ino, n string) (name, *inode, error) {
	e, ok, err := x.c.name(dir, n)
	if err != nil {
		return name{}, nil, err
	}
	if !ok {
		return name{}, nil, ErrNotExist
	}
	row, err := x.inode(e.ino)
	return e, row, err
}

// pname is what a waiting name row holds: a number that tells a later change
// from the one a commit saw, and whether the bucket knows the name. The number
// is drawn at random, as a count would begin again once the name no longer waits,
// and a commit may be taken in twice.
type pname struct {
	Seq       uint64
	Committed bool
}

func (p pname) encode() []byte {
	b := binary.BigEndian.AppendUint64(nil, p.Seq)
	if p.Committed {
		return append(b, 1)
	}
	return b
}

func decodePName(v []byte) pname {
	return pname{Seq: binary.BigEndian.Uint64(v), Committed: len(v) > 8}
}

// waitName marks a name as waiting; was is what the name row held before.
func (x *change) waitName(key []byte, was *name) error {
	v, ok, err := x.c.db.Get(bPName, key)
	if err != nil {
		return err
	}
	p := pname{}
	if ok {
		p = decodePName(v)
	}
	p.Seq = rand.Uint64()
	p.Committed = p.Committed || was != nil && was.committed
	x.b.Put(bPName, key, p.encode())
	return nil
}

// link gives ino the name n in dir, over whatever row was there.
func (x *change) link(dir Ino, n string, ino Ino, was *name) error {
	key := nameKey(dir, n)
	x.b.Put(bName, key, name{ino: ino}.encode())
	return x.waitName(key, was)
}

// unlink takes the name away.
func (x *change) unlink(dir Ino, n string, was name) error {
	key := nameKey(dir, n)
	x.b.Delete(bName, key)
	return x.waitName(key, &was)
}

// drop takes one link from an inode that lost a name, and removes it with the
// last one unless it is open.
func (x *change) drop(ino Ino, n *inode) {
	if n.isDir() {
		n.Nlink = 0
	} else {
		n.Nlink--
	}
	x.touch(ino, n, false)
	if n.Nlink > 0 {
		return
	}
	x.b.Put(bOrphan, inoKey(ino), nil)
	if !n.committed() {
		x.b.Delete(bPRow, inoKey(ino))
	}
}
