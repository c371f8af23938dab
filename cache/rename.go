package cache

import (
	"errors"

	"github.com/tunesafe/tunesafe/internal/crashpoint"
)

// Rename moves a name, over an existing one unless flags forbid it, or
// exchanges two. A directory's move is one row whatever it holds.
//
// What takes the place of another file is synced before, fsync or not: who
// replaces a file so relies on having the old one or the new.
func (c *Cache) Rename(oldDir Ino, oldName string, newDir Ino, newName string, f RenameFlags) error {
	for synced := map[Ino]bool{}; ; {
		err := c.rename(oldDir, oldName, newDir, newName, f, synced)
		var first syncFirst
		if !errors.As(err, &first) {
			return err
		}
		if err := c.syncContent(Ino(first)); err != nil {
			return err
		}
		synced[Ino(first)] = true
	}
}

// syncFirst is the content to sync before a rename.
type syncFirst Ino

func (syncFirst) Error() string { return "bytes not synced" }

func (c *Cache) rename(oldDir Ino, oldName string, newDir Ino, newName string, f RenameFlags, synced map[Ino]bool) error {
	if err := checkName(newName); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	x := c.begin()
	from, err := x.dir(oldDir)
	if err != nil {
		return err
	}
	to, err := x.dir(newDir)
	if err != nil {
		return err
	}
	e, row, err := x.lookup(oldDir, oldName)
	if err != nil {
		return err
	}
	over, overRow, err := x.lookup(newDir, newName)
	if err != nil && err != ErrNotExist {
		return err
	}
	exists := err == nil
	switch {
	case f.NoReplace && exists:
		return ErrExist
	case f.Exchange && !exists:
		return ErrNotExist
	case exists && e.ino == over.ino:
		return nil // POSIX: two names of one file; nothing is done
	}
	if f.also != nil {
		err = f.also(x)
	} else {
		err = c.readOnly(oldDir, newDir, e.ino, over.ino)
	}
	if err != nil {
		return err
	}
	if row.isDir() {
		if err := c.notBelow(e.ino, newDir); err != nil {
			return err
		}
	}
	if exists && row.isFile() && !synced[e.ino] && c.unsynced(e.ino) {
		return syncFirst(e.ino)
	}
	if f.Exchange && overRow.isFile() && !synced[over.ino] && c.unsynced(over.ino) {
		return syncFirst(over.ino)
	}
	m := move{x: x, oldDir: oldDir, newDir: newDir, from: from, to: to}
	switch {
	case f.Exchange:
		if overRow.isDir() {
			if err := c.notBelow(over.ino, oldDir); err != nil {
				return err
			}
		}
		err = m.exchange(oldName, e, row, newName, over, overRow)
	case exists:
		err = m.replace(oldName, e, row, newName, over, overRow)
	default:
		err = m.plain(oldName, e, row, newName)
	}
	if err != nil {
		return err
	}
	if f.also == nil {
		x.touch(oldDir, from, true)
	}
	if newDir != oldDir && f.also == nil {
		x.touch(newDir, to, true)
	}
	if err := x.apply(); err != nil {
		return err
	}
	crashpoint.At("rename.applied")
	c.reap(x)
	return nil
}

// notBelow fails if dir is ino or lies below it.
func (c *Cache) notBelow(ino, dir Ino) error {
	for d := dir; d != Root; {
		if d == ino {
			return ErrInvalid
		}
		n, err := c.inode(d)
		if err != nil {
			return err
		}
		d = n.Parent
	}
	return nil
}

// move is a rename under way.
type move struct {
	x              *change
	oldDir, newDir Ino
	from, to       *inode
}

func (m *move) plain(oldName string, e name, row *inode, newName string) error {
	if err := m.x.unlink(m.oldDir, oldName, e); err != nil {
		return err
	}
	return m.place(m.newDir, m.from, m.to, newName, e.ino, row, nil)
}

func (m *move) replace(oldName string, e name, row *inode, newName string, over name, overRow *inode) error {
	if err := m.x.c.removable(over.ino, overRow, row.isDir()); err != nil {
		return err
	}
	if err := m.x.unlink(m.oldDir, oldName, e); err != nil {
		return err
	}
	if overRow.isDir() {
		m.to.Nlink--
	} else if row.isFile() && overRow.isFile() && overRow.committed() && row.Succeeds == 0 {
		row.Succeeds = over.ino
		m.x.wait(e.ino, row)
	}
	if err := m.place(m.newDir, m.from, m.to, newName, e.ino, row, &over); err != nil {
		return err
	}
	m.x.drop(over.ino, overRow)
	return nil
}

func (m *move) exchange(oldName string, e name, row *inode, newName string, over name, overRow *inode) error {
	if err := m.place(m.newDir, m.from, m.to, newName, e.ino, row, &over); err != nil {
		return err
	}
	return m.place(m.oldDir, m.to, m.from, oldName, over.ino, overRow, &e)
}

// place gives the inode its new name in dir. A directory carries its place in
// its own row, and a link of its parent.
func (m *move) place(dir Ino, from, to *inode, n string, ino Ino, row *inode, was *name) error {
	if row.isDir() {
		from.Nlink--
		to.Nlink++
		row.Parent, row.Name = dir, n
		m.x.wait(ino, row)
	}
	row.Ctime = m.x.now
	return m.x.link(dir, n, ino, was)
}
