package cache

import (
	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/internal/crashpoint"
)

// Edit changes the drive from inside the program, as programs do through the kernel: what
// the kernel believes of it is told to be asked anew. In a place nothing can be changed:
// ErrReadOnly.
type Edit struct{ c *Cache }

// Edit begins to change the drive.
func (c *Cache) Edit() Edit { return Edit{c} }

// PutBack makes a file, link or special file of a row, with a number of its own, or puts it
// in the place of what has the name, unless that is a directory. Nothing of its bytes
// moves: the recipe is what the bucket has. ErrOwed if the bucket lacks some of them.
func (e Edit) PutBack(parent Ino, name string, r Row) (Ino, error) {
	row := inode{Mode: r.Mode, UID: r.UID, GID: r.GID, Rdev: r.Rdev, Target: r.Target, Xattrs: r.Xattrs}
	if row.isDir() || row.isFile() && r.Recipe == nil {
		return 0, ErrInvalid
	}
	if row.isFile() && r.Recipe.Size > 0 && !r.Recipe.stored() {
		return 0, ErrOwed
	}
	if err := e.c.readOnly(parent); err != nil {
		return 0, err
	}
	old, err := e.c.Lookup(parent, name)
	if err != nil && err != ErrNotExist {
		return 0, err
	}
	made, err := e.c.makeRow(parent, name, row, making{over: true}, func(x *change, ino Ino, n *inode) error {
		n.Mtime = stampOf(r.Mtime)
		n.Size = int64(len(r.Target))
		if n.isFile() {
			n.Size, n.Sound = r.Recipe.Size, new(r.Recipe.sound())
			n.Gen, n.Cut = 1, 1
			x.b.Put(bRecipe, inoKey(ino), encode(r.Recipe))
		}
		return nil
	})
	crashpoint.At("putback.row")
	if err != nil {
		return 0, err
	}
	e.tell(parent, name, old.Ino)
	return made.Ino, nil
}

// Link gives a file that was put back another of its names.
func (e Edit) Link(ino, parent Ino, name string) error {
	_, err := e.c.Link(ino, parent, name)
	e.tell(parent, name, ino)
	return err
}

// Folder makes a directory.
func (e Edit) Folder(parent Ino, name string, r Row) (Ino, error) {
	a, err := e.c.Mkdir(parent, name, r.Mode&0o7777, Owner{UID: r.UID, GID: r.GID})
	e.tell(parent, name, 0)
	return a.Ino, err
}

// Move gives something another name, which nothing has.
func (e Edit) Move(parent Ino, name string, newParent Ino, newName string) error {
	err := e.c.Rename(parent, name, newParent, newName, RenameFlags{NoReplace: true})
	e.tell(parent, name, 0)
	e.tell(newParent, newName, 0)
	return err
}

// Replace gives a file the name of another, which loses it.
func (e Edit) Replace(parent Ino, name string, newParent Ino, newName string) error {
	old, err := e.c.Lookup(newParent, newName)
	if err != nil {
		return err
	}
	err = e.c.Rename(parent, name, newParent, newName, RenameFlags{})
	e.tell(parent, name, 0)
	e.tell(newParent, newName, old.Ino)
	return err
}

// Exchange gives two things each other's name.
func (e Edit) Exchange(parent Ino, name string, newParent Ino, newName string) error {
	err := e.c.Rename(parent, name, newParent, newName, RenameFlags{Exchange: true})
	e.tell(parent, name, 0)
	e.tell(newParent, newName, 0)
	return err
}

// Remove takes a name away: of an empty directory or of anything else.
func (e Edit) Remove(parent Ino, name string) error {
	a, err := e.c.Lookup(parent, name)
	if err != nil {
		return err
	}
	if a.Mode&unix.S_IFMT == unix.S_IFDIR {
		err = e.c.Rmdir(parent, name)
	} else {
		err = e.c.Unlink(parent, name)
	}
	e.tell(parent, name, a.Ino)
	return err
}

// Attributes sets mode, owner and extended attributes of a directory to those of a row.
func (e Edit) Attributes(ino Ino, r Row) error {
	mode := r.Mode & 0o7777
	if _, err := e.c.SetAttr(ino, Change{Mode: &mode, UID: &r.UID, GID: &r.GID}); err != nil {
		return err
	}
	names, err := e.c.ListXattr(ino)
	if err != nil {
		return err
	}
	for _, n := range names {
		if _, ok := r.Xattrs[n]; !ok {
			if err := e.c.RemoveXattr(ino, n); err != nil {
				return err
			}
		}
	}
	for n, v := range r.Xattrs {
		if err := e.c.SetXattr(ino, n, v, false, false); err != nil {
			return err
		}
	}
	e.c.tellFed(FedChange{Ino: ino})
	return nil
}

func (e Edit) tell(parent Ino, name string, ino Ino) {
	e.c.tellFed(FedChange{Ino: parent, Parent: parent, Name: name})
	if ino != 0 {
		e.c.tellFed(FedChange{Ino: ino})
	}
}
