package cache

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/internal/kv"
)

// # Places
//
// A place is a folder at the top of the drive that a folder of this machine
// feeds. Its inodes are ordinary ones, but for two things: nobody but a [Feed]
// changes them, and the content of a file lies outside, in the folder that feeds
// it, until the bucket has it: see source.go. Nothing is copied to be uploaded.
//
// The row of the top folder tells every device who feeds it. One that does not
// feed it has a row in the bucket place, too, without a root: it is read-only
// there.

// Place is a folder of the drive fed by a folder of this machine.
type Place struct {
	Dir     Ino      `cbor:"-"` // the top folder
	Name    string   `cbor:"-"` // of it
	Root    string   // absolute path of the folder that feeds it; any bytes. Empty: it is fed elsewhere
	Exclude []string // patterns of what stays out; the feeder's

	// TakeOver has AddPlace feed a folder that is there, whoever fed it before.
	// What it holds is matched by name: see [Feed.Update].
	TakeOver bool `cbor:"-"`
}

// Outside is what was found in the folder that feeds a place.
type Outside struct {
	Mode, UID, GID, Rdev uint32 // mode as st_mode
	Mtime                time.Time
	Xattrs               map[string][]byte
	Target               string // symbolic links
	Origin               Origin
}

// fed knows which inodes are in a place. It costs nothing where there is none.
type fed struct {
	any     atomic.Bool // there is a row in the bucket place
	mu      sync.Mutex
	members map[Ino]inoSet // inodes that only a feed changes, by the top folder; nil: not known
	stale   map[Ino]error
	told    func(FedChange)
	device  string
}

// FedChange is a change of a place that programs on the drive must come to see:
// of an inode, of a name, or of both.
type FedChange struct {
	Ino    Ino // 0: none
	Parent Ino // 0: no name changed
	Name   string
}

// OnFed has fn called after each change by a feed, with no lock held; nil ends that.
func (c *Cache) OnFed(fn func(FedChange)) {
	c.fed.mu.Lock()
	c.fed.told = fn
	c.fed.mu.Unlock()
}

func (c *Cache) tellFed(ch FedChange) {
	c.fed.mu.Lock()
	fn := c.fed.told
	c.fed.mu.Unlock()
	if fn != nil {
		fn(ch)
	}
}

// SetDevice says who this home is: what feeds a place is named by it.
func (c *Cache) SetDevice(id string) {
	c.fed.mu.Lock()
	c.fed.device = id
	c.fed.mu.Unlock()
}

func (c *Cache) deviceID() string {
	c.fed.mu.Lock()
	defer c.fed.mu.Unlock()
	return c.fed.device
}

// loadPlaces finds out whether there are places.
func (c *Cache) loadPlaces() error {
	c.fed.stale = map[Ino]error{}
	inos, err := c.keys(bPlace)
	c.fed.any.Store(len(inos) > 0)
	return err
}

// placesChanged is called, with Cache.mu held, when rows of places came or went.
func (c *Cache) placesChanged() error {
	inos, err := c.keys(bPlace)
	c.fed.any.Store(len(inos) > 0)
	c.forgetMembers()
	return err
}

func (c *Cache) forgetMembers() {
	c.fed.mu.Lock()
	c.fed.members = nil
	c.fed.mu.Unlock()
}

// place reads the row of a place; ok is false if dir is none, or is fed by
// another device.
func (c *Cache) place(dir Ino) (p Place, ok bool, err error) {
	ok, err = c.row(bPlace, inoKey(dir), &p)
	p.Dir = dir
	return p, ok && p.Root != "", err
}

// Places lists the places that this machine feeds.
func (c *Cache) Places() ([]Place, error) { return c.places(true) }

// LeftPlaces lists the places that this home fed until another device took them
// over, or made them ordinary folders, or this home became another device. What
// only their folder has is still uploaded.
func (c *Cache) LeftPlaces() ([]Place, error) { return c.places(false) }

func (c *Cache) places(ours bool) (list []Place, err error) {
	dirs, err := c.keys(bPlace)
	for _, dir := range dirs {
		p, ok, err := c.place(dir)
		if err != nil {
			return nil, err
		}
		n, err := c.inode(dir)
		if errors.Is(err, ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if p.Name = n.Name; ok && (n.Fed == c.deviceID()) == ours {
			list = append(list, p)
		}
	}
	return list, err
}

// FedBy tells which device feeds the place that dir is the top folder of; "" for
// any other folder.
func (c *Cache) FedBy(dir Ino) (string, error) {
	n, err := c.inode(dir)
	return n.Fed, err
}

// AddPlace makes a folder at the top of the drive that p.Root feeds. ErrExist if
// the name is taken, unless by the same place, or p.TakeOver allows it.
func (c *Cache) AddPlace(name string, p Place, o Outside) (Place, error) {
	if p.Root == "" || c.deviceID() == "" || o.Mode&unix.S_IFMT != unix.S_IFDIR {
		return Place{}, ErrInvalid
	}
	e, ok, err := c.name(Root, name)
	if err != nil {
		return Place{}, err
	}
	if !ok {
		p, err = c.newPlace(name, p, o)
	} else {
		p, err = c.takePlace(e.ino, p)
	}
	p.Name = name
	return p, err
}

func (c *Cache) newPlace(name string, p Place, o Outside) (Place, error) {
	row := inode{Mode: o.Mode, Fed: c.deviceID()}
	a, err := c.make(Root, name, row, func(x *change, ino Ino, n *inode) error {
		p.Dir = ino
		o.apply(n)
		x.b.Put(bPlace, inoKey(ino), encode(p))
		x.setSource(ino, &source{Parent: Root, Name: name, Origin: o.Origin})
		return nil
	})
	if err != nil {
		return Place{}, err
	}
	p.Dir = a.Ino
	c.mu.Lock()
	err = c.placesChanged()
	c.mu.Unlock()
	c.tellFed(FedChange{Ino: Root, Parent: Root, Name: name})
	return p, err
}

// takePlace makes a place of a folder that is there.
func (c *Cache) takePlace(dir Ino, p Place) (Place, error) {
	p.Dir = dir
	err := c.update(dir, func(x *change, n *inode) error {
		old, own, err := c.place(dir)
		switch {
		case err != nil:
			return err
		case !n.isDir():
			return ErrExist
		case own && old.Root == p.Root && n.Fed == c.deviceID():
			p.Exclude = old.Exclude
			return nil
		case !p.TakeOver:
			return ErrExist
		}
		n.Fed = c.deviceID()
		x.b.Put(bPlace, inoKey(dir), encode(p))
		x.wait(dir, n)
		return nil
	})
	if err != nil {
		return Place{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	p.TakeOver = false
	return p, c.placesChanged()
}

// SetPlace stores what changed of a place that this machine feeds.
func (c *Cache) SetPlace(p Place) error {
	return c.update(p.Dir, func(x *change, n *inode) error {
		if _, ok, err := c.place(p.Dir); err != nil || !ok || p.Root == "" {
			return errors.Join(err, orNil(!ok, ErrNotExist), orNil(p.Root == "", ErrInvalid))
		}
		x.b.Put(bPlace, inoKey(p.Dir), encode(p))
		return nil
	})
}

// readOnly says whether an inode may be changed by programs: it gives ErrReadOnly
// for what is in a place.
func (c *Cache) readOnly(inos ...Ino) error {
	if !c.fed.any.Load() {
		return nil
	}
	c.fed.mu.Lock()
	members, err := c.members()
	in := false
	for _, m := range members {
		in = in || slices.ContainsFunc(inos, m.has)
	}
	c.fed.mu.Unlock()
	if err != nil || in {
		return errors.Join(err, orNil(in, ErrReadOnly))
	}
	return nil
}

// writable is readOnly for an inode whose content is to change. A file of a place
// that this home fed once is taken in, so that it is like any other.
func (c *Cache) writable(ino Ino) error {
	if !c.fed.any.Load() {
		return nil
	}
	if err := c.readOnly(ino); err != nil {
		return err
	}
	return c.takeIn(ino)
}

// members lists the inodes of all places. fed.mu is held.
func (c *Cache) members() (map[Ino]inoSet, error) {
	if c.fed.members != nil {
		return c.fed.members, nil
	}
	tops, err := c.keys(bPlace)
	if err != nil {
		return nil, err
	}
	all := map[Ino]inoSet{}
	for _, top := range tops {
		n, err := c.inode(top)
		if errors.Is(err, ErrNotExist) || err == nil && n.Fed == "" {
			continue
		}
		if err != nil {
			return nil, err
		}
		m := inoSet{}
		all[top] = m
		m.add(top)
		for dirs := []Ino{top}; len(dirs) > 0; {
			dir := dirs[len(dirs)-1]
			dirs = dirs[:len(dirs)-1]
			kids, err := c.ReadDir(dir)
			if err != nil {
				return nil, err
			}
			for _, e := range kids {
				m.add(e.Ino)
				if e.Mode == unix.S_IFDIR {
					dirs = append(dirs, e.Ino)
				}
			}
		}
	}
	c.fed.members = all
	return all, nil
}

// join notes an inode as one of a place.
func (c *Cache) join(ino, top Ino) {
	c.fed.mu.Lock()
	defer c.fed.mu.Unlock()
	if m := c.fed.members[top]; m != nil {
		m.add(ino)
	}
}

// inPlace fails unless the inodes are all in the place.
func (c *Cache) inPlace(top Ino, inos ...Ino) error {
	c.fed.mu.Lock()
	defer c.fed.mu.Unlock()
	m, err := c.members()
	for _, ino := range inos {
		if err == nil && !m[top].has(ino) {
			err = fmt.Errorf("inode %x is not in the place: %w", ino, ErrNotExist)
		}
	}
	return err
}

// Detach makes a place an ordinary folder. What the bucket has not got yet is
// copied from the folder that fed it; if that cannot be done nothing is detached,
// and the error says which file it is.
func (c *Cache) Detach(dir Ino) error {
	n, err := c.inode(dir)
	if err != nil {
		return err
	}
	if n.Fed == "" {
		return ErrInvalid
	}
	var files []Ino
	if _, own, err := c.place(dir); err != nil {
		return err
	} else if own {
		if files, err = c.onlyOutside(dir); err != nil {
			return err
		}
	}
	for _, ino := range files {
		if err := c.takeIn(ino); err != nil {
			return err
		}
	}
	err = c.update(dir, func(x *change, n *inode) error {
		n.Fed = ""
		x.b.Delete(bPlace, inoKey(dir))
		x.wait(dir, n)
		return nil
	})
	if err != nil {
		return err
	}
	c.mu.Lock()
	err = c.placesChanged()
	c.mu.Unlock()
	return errors.Join(err, c.sweepSources())
}

// onlyOutside lists the files of a place whose content is nowhere but outside.
// It opens each, so that a detaching that cannot be done fails before it began.
func (c *Cache) onlyOutside(top Ino) (files []Ino, err error) {
	err = c.EachFed(top, func(path string, e FedEntry) error {
		if e.Mode&unix.S_IFMT != unix.S_IFREG {
			return nil
		}
		o, err := c.unsafeOutside(e.Ino)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if o != nil {
			o.Close()
			files = append(files, e.Ino)
		}
		return nil
	})
	return files, err
}

// sweepSources removes the rows of sources that are in no place any more.
func (c *Cache) sweepSources() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	tops := map[Ino]bool{}
	dirs, err := c.keys(bPlace)
	for _, d := range dirs {
		tops[d] = true
	}
	inos, err2 := c.keys(bSource)
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	var b kv.Batch
	for _, ino := range inos {
		s, ok, err := c.source(ino)
		if err != nil {
			return err
		}
		if _, in, err := c.placeAbove(ino, s); err != nil {
			return err
		} else if !ok || in {
			continue
		}
		b.Delete(bSource, inoKey(ino))
		if b.Len() == 10_000 {
			if err := c.db.Apply(&b); err != nil {
				return err
			}
			b = kv.Batch{}
		}
	}
	return c.db.Apply(&b)
}
