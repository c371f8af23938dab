package cache

import (
	"errors"

	"golang.org/x/sys/unix"
)

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

// DirName returns what a directory is called, and the directory that holds it; of the
// root an empty name and 0.
func (c *Cache) DirName(dir Ino) (name string, parent Ino, err error) {
	if dir == Root {
		return "", 0, nil
	}
	n, err := c.inode(dir)
	if err == nil && !n.isDir() {
		err = ErrNotDir
	}
	return n.Name, n.Parent, err
}

// Names calls fn for each name of the drive, by directory and name.
func (c *Cache) Names(fn func(NameRow)) error {
	return c.db.Scan(bName, nil, nil, func(k, v []byte) bool {
		fn(NameRow{Parent: keyIno(k), Name: string(k[8:]), Ino: decodeName(v).ino})
		return true
	})
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
