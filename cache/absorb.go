package cache

import (
	"errors"
	"slices"
	"strings"

	"github.com/tunesafe/tunesafe/internal/kv"
)

// Absorb takes in rows of the bucket: at a cold start, or from another device.
// What waits here for a commit of its own stays as it is. ErrBusy if a file that
// changed elsewhere is open here; nothing is taken in then.
func (c *Cache) Absorb(rows []Row, names []NameRow, base string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	x := &absorption{change: c.begin(), names: map[string]*name{}, early: map[Ino]uint32{}, lost: map[Ino]bool{},
		taken: map[Ino]NameRow{}, kept: map[Ino]bool{}}
	var gone []Ino // go last: what is revived stays
	for _, r := range rows {
		if waits, err := c.marked(bPRow, r.Ino); err != nil || waits {
			if err == nil {
				err = x.fedElsewhere(r, base)
			}
			if err != nil {
				return err
			}
			continue
		}
		if r.Gone {
			gone = append(gone, r.Ino)
			continue
		}
		if err := x.row(r, base); err != nil {
			return err
		}
	}
	for _, r := range names {
		if err := x.placeName(r); err != nil {
			return err
		}
	}
	if err := x.revive(); err != nil {
		return err
	}
	for _, ino := range gone {
		if err := x.gone(ino); err != nil {
			return err
		}
	}
	x.putNames()
	for ino, n := range x.inodes {
		x.b.Put(bInode, inoKey(ino), encode(n))
	}
	c.version.Add(1)
	if err := c.db.Apply(&x.b); err != nil {
		return err
	}
	return c.placesChanged()
}

// fedElsewhere takes in, of the row of a place's top folder that waits here, who
// feeds it: another device may have taken the place over, or detached it.
func (x *absorption) fedElsewhere(r Row, base string) error {
	own := x.c.deviceID()
	n, err := x.there(r.Ino)
	if err != nil || n == nil || n.Fed == r.Fed || strings.HasPrefix(base, own+":") {
		return err
	}
	n.Fed = r.Fed
	return x.markPlace(r.Ino, n)
}

// markPlace keeps the row that says of a folder that somebody feeds it. What this
// home itself fed stays, as its folder may hold what the bucket has not got yet.
func (x *absorption) markPlace(ino Ino, n *inode) error {
	_, own, err := x.c.place(ino)
	switch {
	case err != nil || own:
		return err
	case n.Fed != "":
		x.b.Put(bPlace, inoKey(ino), encode(&Place{}))
	default:
		x.b.Delete(bPlace, inoKey(ino))
	}
	return nil
}

// absorption is rows of the bucket being taken in. A directory is placed by its
// own row and anything else by name rows, so that both may speak of one name: a
// row takes away only what it gave.
type absorption struct {
	*change
	names map[string]*name // what this gives a name, by key; nil takes it away
	early map[Ino]uint32   // directories placed in one whose row has not come
	lost  map[Ino]bool     // inodes that are gone
	taken map[Ino]NameRow  // files that lost this name
	kept  map[Ino]bool     // inodes that stay though they are gone elsewhere
}

// there returns the row of an inode, nil if it is not known or gone.
func (x *absorption) there(ino Ino) (*inode, error) {
	if x.lost[ino] {
		return nil, nil
	}
	n, err := x.inode(ino)
	if errors.Is(err, ErrNotExist) {
		return nil, nil
	}
	return n, err
}

// nameAt is what a name stands for with what was taken in so far.
func (x *absorption) nameAt(parent Ino, n string) (name, bool, error) {
	if e, ok := x.names[string(nameKey(parent, n))]; ok {
		if e == nil {
			return name{}, false, nil
		}
		return *e, true, nil
	}
	return x.c.name(parent, n)
}

func (x *absorption) setName(parent Ino, n string, e *name) {
	x.names[string(nameKey(parent, n))] = e
}

func (x *absorption) putNames() {
	for k, e := range x.names {
		if e == nil {
			x.b.Delete(bName, []byte(k))
		} else {
			x.b.Put(bName, []byte(k), e.encode())
		}
	}
}

// waits reports whether a change of the name made here waits for a commit.
func (x *absorption) waits(parent Ino, n string) (bool, error) {
	_, waits, err := x.c.db.Get(bPName, nameKey(parent, n))
	return waits, err
}

// row stores an inode's row. Link counts come with its names.
func (x *absorption) row(r Row, base string) error {
	old, err := x.there(r.Ino)
	if err != nil {
		return err
	}
	known := old != nil
	n := &inode{Mode: r.Mode, UID: r.UID, GID: r.GID, Rdev: r.Rdev, Mtime: stampOf(r.Mtime), Ctime: stampOf(r.Mtime), Atime: stampOf(r.Mtime),
		Target: r.Target, Xattrs: r.Xattrs, Ver: 1, CVer: 1, Base: base, TakenOpen: r.TakenOpen, Fed: r.Fed}
	if known {
		n.Nlink, n.Gen, n.Cut, n.Parent, n.Name = old.Nlink, old.Gen, old.Cut, old.Parent, old.Name
		n.Room = old.Room
		if old.dirty() {
			return nil // written here meanwhile: the cut to come decides
		}
		n.Ver, n.CVer = old.Ver+1, old.Ver+1
	}
	x.inodes[r.Ino] = n
	switch {
	case n.isDir():
		if n.Fed != "" || known && old.Fed != "" {
			if err := x.markPlace(r.Ino, n); err != nil {
				return err
			}
		}
		return x.placeDir(r, n, known)
	case n.isFile():
		n.Size, n.Sound = r.Recipe.Size, new(r.Recipe.sound())
		return x.content(r, n)
	}
	n.Size = int64(len(r.Target))
	return nil
}

// content replaces the recipe; bytes here of an older one go.
func (x *absorption) content(r Row, n *inode) error {
	row := encode(r.Recipe)
	old, ok, err := x.c.db.Get(bRecipe, inoKey(r.Ino))
	if err != nil || ok && string(old) == string(row) {
		return err
	}
	n.Gen++
	n.Cut = n.Gen
	n.Room = 0
	if x.c.isOpen(r.Ino) {
		return ErrBusy
	}
	x.b.Put(bRecipe, inoKey(r.Ino), row)
	if !ok {
		return nil
	}
	if err := x.source(r.Ino, n); err != nil {
		return err
	}
	if err := x.dropLabel(r.Ino, r.Recipe); err != nil {
		return err
	}
	x.c.forget(r.Ino)
	return x.dropBytes(r.Ino)
}

// dropLabel forgets what a file said of itself, unless another device changed nothing
// but what is known of its sound.
func (x *absorption) dropLabel(ino Ino, r *Recipe) error {
	old, err := x.c.recipe(ino)
	if err != nil || sameTags(old, r) {
		return err
	}
	x.b.Delete(bLabel, inoKey(ino))
	return nil
}

// sameTags tells whether two recipes differ in sound at most.
func sameTags(a, b *Recipe) bool {
	return slices.EqualFunc(a.Parts, b.Parts, func(p, q Part) bool {
		return p.Kind == q.Kind && p.Size == q.Size && (p.Kind == "audio" || slices.Equal(p.Blobs, q.Blobs))
	})
}

// source looks at a file with another recipe whose content lies outside. If this
// home feeds it the content is cut again, as it is what counts; else what lies
// outside is another file by now.
func (x *absorption) source(ino Ino, n *inode) error {
	s, ok, err := x.c.outsideOf(ino)
	if err != nil || !ok {
		return err
	}
	x.b.Delete(bOwed, inoKey(ino))
	by, err := x.c.feeder(s)
	if err != nil {
		return err
	}
	if by != x.c.deviceID() {
		x.b.Delete(bSource, inoKey(ino))
		return nil
	}
	n.Gen++
	x.b.Put(bUncut, inoKey(ino), nil)
	return nil
}

// dropBytes has the content of an inode removed. One that no row speaks of is
// not ours to remove: a lost database left it behind, see [Cache.Strays].
func (x *absorption) dropBytes(ino Ino) error {
	here, err := x.c.marked(bHave, ino)
	if err != nil || !here {
		return err
	}
	x.b.Delete(bHave, inoKey(ino))
	doom(&x.b, ino)
	x.c.removeLater(ino)
	return nil
}

// placeDir places a directory and moves the link it is to its parent.
func (x *absorption) placeDir(r Row, n *inode, known bool) error {
	if !known {
		placed, err := x.placedIn(r.Ino)
		if err != nil {
			return err
		}
		n.Nlink = 2 + placed
	}
	if r.Ino == Root {
		return nil
	}
	if known && (n.Parent != r.Parent || n.Name != r.Name) {
		if err := x.leave(r.Ino, n); err != nil {
			return err
		}
	}
	if known && n.Parent != r.Parent {
		if err := x.countDir(n.Parent, -1); err != nil {
			return err
		}
	}
	if !known || n.Parent != r.Parent {
		if err := x.countDir(r.Parent, 1); err != nil {
			return err
		}
	}
	n.Parent, n.Name = r.Parent, r.Name
	waits, err := x.waits(r.Parent, r.Name)
	if err != nil || waits {
		return err
	}
	if err := x.over(r.Parent, r.Name, r.Ino); err != nil {
		return err
	}
	x.setName(r.Parent, r.Name, &name{ino: r.Ino})
	return nil
}

// placedIn counts the directories that were placed in one before its row came.
func (x *absorption) placedIn(dir Ino) (uint32, error) {
	n := x.early[dir]
	var kids []Ino
	err := x.c.db.Scan(bName, inoKey(dir), nil, func(_, v []byte) bool {
		kids = append(kids, decodeName(v).ino)
		return true
	})
	for _, ino := range kids {
		if row, err := x.c.inode(ino); err == nil && row.isDir() {
			n++
		}
	}
	return n, err
}

// countDir changes the link count of a directory by one.
func (x *absorption) countDir(dir Ino, by int) error {
	p, err := x.there(dir)
	switch {
	case err != nil:
		return err
	case p == nil && by > 0:
		x.early[dir]++
	case p == nil || by < 0 && p.Nlink <= 2:
	default:
		p.Nlink += uint32(by)
	}
	return nil
}

// leave takes a directory's name away, unless something else has it by now.
func (x *absorption) leave(ino Ino, n *inode) error {
	e, ok, err := x.nameAt(n.Parent, n.Name)
	if err == nil && ok && e.ino == ino {
		x.setName(n.Parent, n.Name, nil)
	}
	return err
}

// over takes a link from the file that has a name which ino is about to get. A
// directory there is placed elsewhere, or removed, by its own row.
func (x *absorption) over(parent Ino, n string, ino Ino) error {
	e, ok, err := x.nameAt(parent, n)
	if err != nil || !ok || e.ino == ino {
		return err
	}
	row, err := x.there(e.ino)
	if err == nil && row != nil && !row.isDir() && row.Nlink > 0 {
		row.Nlink--
		x.taken[e.ino] = NameRow{Parent: parent, Name: n, Ino: e.ino}
	}
	return err
}

// gone takes in that an inode is gone. One with changes that are only here stays.
func (x *absorption) gone(ino Ino) error {
	n, err := x.there(ino)
	if err != nil || n == nil || ino == Root || x.kept[ino] {
		return err
	}
	if n.dirty() {
		n.CVer = 0
		return nil
	}
	if n.isDir() {
		if err := x.leave(ino, n); err != nil {
			return err
		}
		if err := x.countDir(n.Parent, -1); err != nil {
			return err
		}
	}
	x.lost[ino] = true
	delete(x.inodes, ino)
	for _, k := range []kv.Bucket{bInode, bRecipe, bUncut, bOwed, bPlace, bSource, bLabel} {
		x.b.Delete(k, inoKey(ino))
	}
	return x.dropBytes(ino)
}

// placeName places what is no directory, unless the name waits here.
func (x *absorption) placeName(r NameRow) error {
	if waits, err := x.waits(r.Parent, r.Name); err != nil || waits {
		return err
	}
	e, ok, err := x.nameAt(r.Parent, r.Name)
	if err != nil {
		return err
	}
	if ok && r.Ino == 0 {
		if n, err := x.there(e.ino); err != nil || n != nil && n.isDir() {
			return err // the file of that name is gone; the directory has its own row
		}
	}
	if err := x.over(r.Parent, r.Name, r.Ino); err != nil {
		return err
	}
	if r.Ino == 0 {
		x.setName(r.Parent, r.Name, nil)
		return nil
	}
	if !ok || e.ino != r.Ino {
		n, err := x.there(r.Ino)
		if err != nil {
			return err
		}
		if n != nil {
			n.Nlink++
		}
	}
	x.setName(r.Parent, r.Name, &name{ino: r.Ino, committed: true})
	return nil
}
