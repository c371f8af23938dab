package cache

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// Feed changes a place. One at a time feeds a place.
type Feed struct {
	c   *Cache
	top Ino
}

// Feed begins to feed a place. What was found stale before is tried again.
func (c *Cache) Feed(p Place) *Feed {
	c.fed.mu.Lock()
	clear(c.fed.stale)
	c.fed.mu.Unlock()
	return &Feed{c: c, top: p.Dir}
}

// FedEntry is a name in a place.
type FedEntry struct {
	Name   string
	Ino    Ino
	Mode   uint32 // as st_mode
	Nlink  uint32
	Origin Origin // zero: it was not taken in from here yet
	Made   bool   // by [Feed.Write] or [Feed.Folder]: nothing outside corresponds to it
}

// FedDir lists the names of a directory in a place, sorted.
func (c *Cache) FedDir(dir Ino) ([]FedEntry, error) {
	list, err := c.List(dir)
	if err != nil {
		return nil, err
	}
	out := make([]FedEntry, 0, len(list))
	for _, e := range list {
		var n brief
		ok, err := c.row(bInode, inoKey(e.Ino), &n)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue // known only by name
		}
		s, _, err := c.source(e.Ino)
		if err != nil {
			return nil, err
		}
		out = append(out, FedEntry{Name: e.Name, Ino: e.Ino, Mode: n.Mode, Nlink: n.Nlink, Origin: s.Origin, Made: s.Made})
	}
	return out, nil
}

// EachFed calls fn for everything below a directory of a place, with its path from
// there; a directory comes before what it holds.
func (c *Cache) EachFed(dir Ino, fn func(path string, e FedEntry) error) error {
	return c.eachFed("", dir, fn)
}

func (c *Cache) eachFed(path string, dir Ino, fn func(string, FedEntry) error) error {
	list, err := c.FedDir(dir)
	if err != nil {
		return err
	}
	for _, e := range list {
		if err := fn(path+e.Name, e); err != nil {
			return err
		}
		if e.Mode&unix.S_IFMT == unix.S_IFDIR {
			if err := c.eachFed(path+e.Name+"/", e.Ino, fn); err != nil {
				return err
			}
		}
	}
	return nil
}

// Add takes in something that is new outside. The content of a regular file stays
// where it is, and waits to be cut.
func (f *Feed) Add(parent Ino, name string, o Outside) (Ino, error) {
	if err := f.c.inPlace(f.top, parent); err != nil {
		return 0, err
	}
	return f.add(parent, name, o, &source{Origin: o.Origin, Outside: true}, nil)
}

// Write makes a file that has nothing outside, as a playlist made of a library, or
// puts it in the place of the one that is there, unless that has its size and
// mtime. Its content is in the cache, as that of other files of the drive.
func (f *Feed) Write(parent Ino, name string, data []byte, mtime time.Time) (Ino, error) {
	if err := f.c.inPlace(f.top, parent); err != nil {
		return 0, err
	}
	dir, err := f.c.inode(parent)
	if err != nil {
		return 0, err
	}
	old, err := f.c.Lookup(parent, name)
	switch {
	case err == nil && old.Mode&unix.S_IFMT == unix.S_IFREG && old.Size == int64(len(data)) && old.Mtime.Equal(mtime):
		return old.Ino, nil
	case err != nil && !errors.Is(err, ErrNotExist):
		return 0, err
	}
	if err := f.c.claimEvicting(int64(len(data))); err != nil {
		return 0, err
	}
	o := Outside{Mode: unix.S_IFREG | dir.Mode&0o666, UID: dir.UID, GID: dir.GID, Mtime: mtime, Origin: Origin{Size: int64(len(data))}}
	ino, err := f.add(parent, name, o, &source{Made: true}, data)
	if err == nil && old.Ino != 0 {
		f.c.tellFed(FedChange{Ino: old.Ino})
	}
	return ino, err
}

// Folder makes a directory that has nothing outside, for what [Feed.Write] makes, or
// returns the one that is there. ErrExist if something else has the name.
func (f *Feed) Folder(parent Ino, name string, mtime time.Time) (Ino, error) {
	if err := f.c.inPlace(f.top, parent); err != nil {
		return 0, err
	}
	old, err := f.c.Lookup(parent, name)
	if err == nil {
		s, ok, err := f.c.source(old.Ino)
		if err == nil && !(ok && s.Made && old.Mode&unix.S_IFMT == unix.S_IFDIR) {
			err = ErrExist
		}
		return old.Ino, err
	}
	if !errors.Is(err, ErrNotExist) {
		return 0, err
	}
	dir, err := f.c.inode(parent)
	if err != nil {
		return 0, err
	}
	o := Outside{Mode: dir.Mode, UID: dir.UID, GID: dir.GID, Mtime: mtime}
	return f.add(parent, name, o, &source{Made: true}, nil)
}

func (f *Feed) add(parent Ino, name string, o Outside, s *source, data []byte) (Ino, error) {
	s.Parent, s.Name = parent, name
	row := inode{Mode: o.Mode}
	s.Outside = s.Outside && row.isFile()
	a, err := f.c.makeRow(parent, name, row, making{fed: true, over: s.Made && row.isFile()}, func(x *change, ino Ino, n *inode) error {
		f.c.join(ino, f.top)
		x.setSource(ino, s)
		if s.Made && row.isFile() {
			if err := x.fillContent(ino, n, data, o.Mtime); err != nil {
				return err
			}
		}
		o.apply(n)
		if s.Outside {
			n.Gen = 1
			x.b.Put(bUncut, inoKey(ino), nil)
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	f.c.tellFed(FedChange{Ino: parent, Parent: parent, Name: name})
	return a.Ino, nil
}

// fillContent adds a new file's content with its bytes, which are on the disk
// when it returns: the file may take another's place.
func (x *change) fillContent(ino Ino, n *inode, data []byte, mtime time.Time) error {
	fd, err := x.newContent(ino, n)
	if err != nil {
		return err
	}
	_, err = fd.Write(data)
	if err == nil {
		err = x.c.setContentMtime(ino, mtime)
	}
	if err == nil {
		err = fd.Sync()
	}
	if err = errors.Join(err, fd.Close()); err != nil {
		return err
	}
	if err := syncPath(filepath.Dir(x.c.contentPath(ino))); err != nil {
		return err
	}
	x.c.touchLRU(ino, int64(len(data)))
	return nil
}

// Update takes in what is found outside of something that is there. content says
// that the bytes of a file may be others, as another size or mtime does: it waits
// to be cut then. Else only attributes and origin are taken.
//
// What has no origin yet, as the place was another device's, is taken over so, and
// its content counts as changed: it is read, and what the bucket has of it is not
// uploaded again. ErrBusy if it has bytes here that are not safe yet.
func (f *Feed) Update(ino Ino, o Outside, content bool) error {
	if err := f.c.inPlace(f.top, ino); err != nil {
		return err
	}
	n, err := f.c.inode(ino)
	if err != nil {
		return err
	}
	if n.Mode&unix.S_IFMT != o.Mode&unix.S_IFMT {
		return ErrInvalid
	}
	if n.isFile() {
		err = f.updateFile(ino, &o, content)
	} else {
		err = f.c.update(ino, func(x *change, n *inode) error { return f.updateRow(x, ino, n, &o) })
	}
	if err == nil {
		f.c.tellFed(FedChange{Ino: ino})
	}
	return err
}

// updateRow takes attributes and origin.
func (f *Feed) updateRow(x *change, ino Ino, n *inode, o *Outside) error {
	s, ok, err := f.c.source(ino)
	if err == nil && !ok {
		s, err = f.firstSource(ino, n)
	}
	if err != nil {
		return err
	}
	s.Origin = o.Origin
	s.Outside = n.isFile()
	s.Made = false
	x.setSource(ino, s)
	if o.apply(n) {
		x.wait(ino, n)
	}
	return nil
}

// firstSource is the source of an inode that has none yet.
func (f *Feed) firstSource(ino Ino, n *inode) (*source, error) {
	if n.isDir() {
		return &source{Parent: n.Parent, Name: n.Name}, nil
	}
	at, err := f.c.nameIn(ino, NameRow{})
	return &source{Parent: at.Parent, Name: at.Name}, err
}

func (f *Feed) updateFile(ino Ino, o *Outside, content bool) error {
	c := f.c
	s, ok, err := c.source(ino)
	if err != nil {
		return err
	}
	content = content || !ok || !s.Outside || s.Origin.Size != o.Origin.Size || !s.Origin.Mtime.Equal(o.Origin.Mtime)
	use, err := c.acquire(ino)
	if err != nil {
		return err
	}
	defer c.release(use)
	c.mu.Lock()
	defer c.mu.Unlock()
	x := c.begin()
	n, err := x.inode(ino)
	if err != nil {
		return err
	}
	if (!ok || !s.Outside) && content {
		if safe, err := c.isSafe(ino, n); err != nil || !safe {
			return errors.Join(err, orNil(err == nil, fmt.Errorf("its bytes are not safe yet: %w", ErrBusy)))
		}
	}
	was := n.Mtime.time()
	use.mu.Lock()
	defer use.mu.Unlock()
	if use.writers > 0 {
		return ErrBusy
	}
	if err := f.updateRow(x, ino, n, o); err != nil {
		return err
	}
	c.unstale(ino)
	if !content {
		return x.applyTime(ino, was, o.Mtime)
	}
	x.outdate(use, n)
	return x.apply()
}

// Move gives something another name in the place, which nothing has.
func (f *Feed) Move(parent Ino, name string, newParent Ino, newName string) error {
	if err := f.c.inPlace(f.top, parent, newParent); err != nil {
		return err
	}
	e, ok, err := f.c.name(parent, name)
	if err != nil || !ok {
		return errors.Join(err, orNil(!ok, ErrNotExist))
	}
	err = f.c.Rename(parent, name, newParent, newName, RenameFlags{NoReplace: true, also: func(x *change) error {
		s, ok, err := f.c.source(e.ino)
		if err == nil && ok && s.Parent == parent && s.Name == name {
			s.Parent, s.Name = newParent, newName
			x.setSource(e.ino, s)
		}
		return err
	}})
	if err == nil {
		f.c.tellFed(FedChange{Ino: parent, Parent: parent, Name: name})
		f.c.tellFed(FedChange{Ino: newParent, Parent: newParent, Name: newName})
	}
	return err
}

// Link gives a file another name, as a hard link is found outside.
func (f *Feed) Link(ino Ino, parent Ino, name string) error {
	if err := f.c.inPlace(f.top, ino, parent); err != nil {
		return err
	}
	if _, err := f.c.linkRow(ino, parent, name, false); err != nil {
		return err
	}
	f.c.tellFed(FedChange{Ino: parent, Parent: parent, Name: name})
	f.c.tellFed(FedChange{Ino: ino})
	return nil
}

// Remove takes a name away: of an empty directory or of anything else.
func (f *Feed) Remove(parent Ino, name string) error {
	if err := f.c.inPlace(f.top, parent); err != nil {
		return err
	}
	e, ok, err := f.c.name(parent, name)
	if err != nil || !ok {
		return errors.Join(err, orNil(!ok, ErrNotExist))
	}
	n, err := f.c.inode(e.ino)
	if err != nil {
		return err
	}
	err = f.c.removeName(parent, name, n.isDir(), func(x *change) error {
		s, ok, err := f.c.source(e.ino)
		if err != nil || !ok || n.Nlink == 1 || n.isDir() || s.Parent != parent || s.Name != name {
			return err
		}
		at, err := f.c.nameIn(e.ino, NameRow{Parent: parent, Name: name})
		s.Parent, s.Name = at.Parent, at.Name
		x.setSource(e.ino, s)
		return err
	})
	if err == nil {
		f.c.unstale(e.ino)
		f.c.tellFed(FedChange{Ino: parent, Parent: parent, Name: name})
		f.c.tellFed(FedChange{Ino: e.ino})
	}
	return err
}

// nameIn finds a name of a file in a place, but for the one given.
func (c *Cache) nameIn(ino Ino, but NameRow) (at NameRow, err error) {
	all, err := c.namesOf(ino)
	for _, r := range all {
		if r.Parent != but.Parent || r.Name != but.Name {
			return r, err
		}
	}
	return at, errors.Join(err, orNil(err == nil, ErrNotExist))
}

// namesOf lists all names of a file. It reads every name there is.
func (c *Cache) namesOf(ino Ino) (all []NameRow, err error) {
	err = c.db.Scan(bName, nil, nil, func(k, v []byte) bool {
		if decodeName(v).ino == ino {
			all = append(all, NameRow{Parent: keyIno(k), Name: string(k[8:]), Ino: ino})
		}
		return true
	})
	return all, err
}
