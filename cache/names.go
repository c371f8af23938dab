package cache

import (
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/internal/crashpoint"
	"github.com/tunesafe/tunesafe/internal/kv"
)

const maxName = 255 // bytes, as NAME_MAX of Linux

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

// making says how an inode is made.
type making struct {
	fed  bool // by a feed: the folder's own times come from outside
	over bool // in the place of a file that has the name
}

// make adds a new inode under a name.
func (c *Cache) make(parent Ino, n string, row inode, also func(*change, Ino, *inode) error) (Attr, error) {
	if err := c.readOnly(parent); err != nil {
		return Attr{}, err
	}
	return c.makeRow(parent, n, row, making{}, also)
}

func (c *Cache) makeRow(parent Ino, n string, row inode, how making, also func(*change, Ino, *inode) error) (Attr, error) {
	if err := checkName(n); err != nil {
		return Attr{}, err
	}
	full := c.claimEvicting(smallRow)
	c.mu.Lock()
	defer c.mu.Unlock()
	x := c.begin()
	dir, err := x.dir(parent)
	if err != nil {
		return Attr{}, err
	}
	was, err := x.nameFor(parent, n, how)
	if err != nil {
		return Attr{}, err
	}
	if full != nil {
		return Attr{}, full
	}
	ino, err := c.newIno()
	if err != nil {
		return Attr{}, err
	}
	row.Atime, row.Mtime, row.Ctime = x.now, x.now, x.now
	row.Nlink = 1
	if row.isDir() {
		row.Nlink, row.Parent, row.Name = 2, parent, n
		dir.Nlink++
	}
	x.inodes[ino] = &row
	x.wait(ino, &row)
	if !how.fed {
		x.touch(parent, dir, true)
	}
	if err := x.link(parent, n, ino, was); err != nil {
		return Attr{}, err
	}
	if also != nil {
		err = also(x, ino, &row)
	}
	if err == nil && was != nil {
		err = x.replaced(&row, was.ino)
	}
	if err == nil {
		err = x.apply()
	}
	if err != nil && row.isFile() {
		_ = unix.Unlink(c.contentPath(ino)) // no row names it
	}
	if err == nil && was != nil {
		c.reap(x)
	}
	return row.attr(ino), err
}

// nameFor looks whether a name may be given to a new inode; was is what it names now.
func (x *change) nameFor(parent Ino, n string, how making) (was *name, err error) {
	e, ok, err := x.c.name(parent, n)
	if err != nil || !ok {
		return nil, err
	}
	if !how.over {
		return nil, ErrExist
	}
	if row, err := x.inode(e.ino); err != nil || row.isDir() {
		return nil, errors.Join(err, orNil(err == nil, ErrIsDir))
	}
	return &e, nil
}

// replaced takes the name from the file that a new one takes the place of.
func (x *change) replaced(row *inode, old Ino) error {
	over, err := x.inode(old)
	if err != nil {
		return err
	}
	if over.isFile() && over.committed() {
		row.Succeeds = old
	}
	x.drop(old, over)
	return nil
}

func orNil(is bool, err error) error {
	if is {
		return err
	}
	return nil
}

func checkName(n string) error {
	switch {
	case len(n) > maxName:
		return ErrNameTooLong
	case n == "" || n == "." || n == "..":
		return ErrInvalid
	}
	return nil
}

// Mkdir makes a directory. perm holds the permission bits.
func (c *Cache) Mkdir(parent Ino, n string, perm uint32, o Owner) (Attr, error) {
	return c.make(parent, n, inode{Mode: unix.S_IFDIR | perm&0o7777, UID: o.UID, GID: o.GID}, nil)
}

// Symlink makes a symbolic link.
func (c *Cache) Symlink(parent Ino, n, target string, o Owner) (Attr, error) {
	if len(target) >= unix.PathMax {
		return Attr{}, ErrNameTooLong
	}
	return c.make(parent, n, inode{Mode: unix.S_IFLNK | 0o777, UID: o.UID, GID: o.GID, Target: target, Size: int64(len(target))}, nil)
}

// Mknod makes a fifo, socket, device or empty regular file; mode holds type and permissions.
func (c *Cache) Mknod(parent Ino, n string, mode, rdev uint32, o Owner) (Attr, error) {
	row := inode{Mode: mode, UID: o.UID, GID: o.GID, Rdev: rdev}
	if row.isFile() {
		return c.make(parent, n, row, (*change).emptyContent)
	}
	return c.make(parent, n, row, nil)
}

// Link gives a file another name.
func (c *Cache) Link(ino, parent Ino, n string) (Attr, error) {
	if err := c.readOnly(ino, parent); err != nil {
		return Attr{}, err
	}
	return c.linkRow(ino, parent, n, true)
}

// linkRow is Link for whoever may; touch sets the times of the directory.
func (c *Cache) linkRow(ino, parent Ino, n string, touch bool) (Attr, error) {
	if err := checkName(n); err != nil {
		return Attr{}, err
	}
	full := c.claimEvicting(smallRow)
	c.mu.Lock()
	defer c.mu.Unlock()
	x := c.begin()
	dir, err := x.dir(parent)
	if err != nil {
		return Attr{}, err
	}
	row, err := x.inode(ino)
	switch {
	case err != nil:
		return Attr{}, err
	case row.isDir():
		return Attr{}, ErrPermission
	case row.Nlink == math.MaxUint32:
		return Attr{}, ErrTooManyLink
	case row.Nlink == 0:
		if err := x.adopt(ino); err != nil {
			return Attr{}, err
		}
	}
	if _, ok, err := c.name(parent, n); err != nil || ok {
		return Attr{}, errors.Join(err, orNil(ok, ErrExist))
	}
	if full != nil {
		return Attr{}, full
	}
	first := row.Nlink == 0
	row.Nlink++
	row.Ctime = x.now
	if first {
		x.wait(ino, row)
	}
	if touch {
		x.touch(parent, dir, true)
	}
	if err := x.link(parent, n, ino, nil); err != nil {
		return Attr{}, err
	}
	c.fromContent(ino, row)
	return row.attr(ino), x.apply()
}

// Unlink removes a name of anything but a directory.
func (c *Cache) Unlink(parent Ino, n string) error { return c.remove(parent, n, false) }

// Rmdir removes an empty directory.
func (c *Cache) Rmdir(parent Ino, n string) error { return c.remove(parent, n, true) }

func (c *Cache) remove(parent Ino, n string, wantDir bool) error {
	if err := c.readOnly(parent); err != nil {
		return err
	}
	return c.removeName(parent, n, wantDir, nil)
}

// removeName is remove; also is a feed's part of it.
func (c *Cache) removeName(parent Ino, n string, wantDir bool, also func(*change) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	x := c.begin()
	dir, err := x.dir(parent)
	if err != nil {
		return err
	}
	e, row, err := x.lookup(parent, n)
	if err != nil {
		return err
	}
	if also == nil { // it may be the top folder of a place
		err = c.readOnly(e.ino)
		x.touch(parent, dir, true)
	} else {
		err = also(x)
	}
	if err != nil {
		return err
	}
	if err := c.removable(e.ino, row, wantDir); err != nil {
		return err
	}
	if wantDir {
		dir.Nlink--
	}
	if err := x.unlink(parent, n, e); err != nil {
		return err
	}
	x.drop(e.ino, row)
	if err := x.apply(); err != nil {
		return err
	}
	crashpoint.At("unlink.applied")
	c.reap(x)
	return nil
}

// removable says whether a name of this inode may be removed as (not) a directory.
func (c *Cache) removable(ino Ino, row *inode, wantDir bool) error {
	if row.isDir() != wantDir {
		if wantDir {
			return ErrNotDir
		}
		return ErrIsDir
	}
	if !wantDir {
		return nil
	}
	empty := true
	err := c.db.Scan(bName, inoKey(ino), nil, func(_, _ []byte) bool { empty = false; return false })
	return errors.Join(err, orNil(!empty, ErrNotEmpty))
}

// Lookup finds a name in a directory.
func (c *Cache) Lookup(parent Ino, n string) (Attr, error) {
	if len(n) > maxName {
		return Attr{}, ErrNameTooLong
	}
	e, ok, err := c.name(parent, n)
	if err != nil {
		return Attr{}, err
	}
	if !ok {
		return Attr{}, ErrNotExist
	}
	return c.Attr(e.ino)
}

// Parent returns the directory that holds dir; the root's is itself.
func (c *Cache) Parent(dir Ino) (Ino, error) {
	if dir == Root {
		return Root, nil
	}
	n, err := c.inode(dir)
	return n.Parent, err
}

// Paths returns a path from the root for each of the inodes that has a name. It
// reads every name of the drive.
func (c *Cache) Paths(inos []Ino) (map[Ino]string, error) {
	want := make(map[Ino]bool, len(inos))
	for _, ino := range inos {
		want[ino] = true
	}
	paths := make(map[Ino]string, len(inos))
	parents := make(map[Ino]Ino, len(inos))
	err := c.db.Scan(bName, nil, nil, func(k, v []byte) bool {
		if ino := decodeName(v).ino; want[ino] {
			paths[ino], parents[ino] = string(k[8:]), keyIno(k)
		}
		return true
	})
	for ino, dir := range parents {
		for dir != Root {
			n, err := c.inode(dir)
			if err != nil {
				break // removed meanwhile
			}
			paths[ino] = n.Name + "/" + paths[ino]
			dir = n.Parent
		}
	}
	return paths, err
}

// Named lists the inodes of which a name is one that match wants.
func (c *Cache) Named(match func(name string) bool) (inos []Ino, err error) {
	err = c.db.Scan(bName, nil, nil, func(k, v []byte) bool {
		if match(string(k[8:])) {
			inos = append(inos, decodeName(v).ino)
		}
		return true
	})
	return inos, err
}

// Readlink returns the target of a symbolic link.
func (c *Cache) Readlink(ino Ino) (string, error) {
	n, err := c.inode(ino)
	if err == nil && n.Mode&unix.S_IFMT != unix.S_IFLNK {
		err = ErrInvalid
	}
	return n.Target, err
}

// ReadDir returns the names of a directory, sorted bytewise, without . and ...
func (c *Cache) ReadDir(dir Ino) ([]DirEntry, error) {
	list, err := c.List(dir)
	if err != nil {
		return nil, err
	}
	kept := list[:0]
	for _, e := range list {
		e.Mode, err = c.Type(e.Ino)
		if errors.Is(err, ErrNotExist) {
			continue // removed meanwhile, or known only by name
		}
		if err != nil {
			return nil, err
		}
		kept = append(kept, e)
	}
	return kept, nil
}

// List is ReadDir without the types, which cost a row each.
func (c *Cache) List(dir Ino) (list []DirEntry, err error) {
	n, err := c.inode(dir)
	if err != nil {
		return nil, err
	}
	if !n.isDir() {
		return nil, ErrNotDir
	}
	err = c.db.Scan(bName, inoKey(dir), nil, func(k, v []byte) bool {
		list = append(list, DirEntry{Name: string(k[8:]), Ino: decodeName(v).ino})
		return true
	})
	return list, err
}

// Type returns the type bits of st_mode.
func (c *Cache) Type(ino Ino) (uint32, error) {
	var n brief
	ok, err := c.row(bInode, inoKey(ino), &n)
	if err == nil && !ok {
		err = ErrNotExist
	}
	return n.Mode & unix.S_IFMT, err
}
