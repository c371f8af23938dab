package cache

import (
	"errors"
	"math"

	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/internal/crashpoint"
)

const maxName = 255 // bytes, as NAME_MAX of Linux

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
