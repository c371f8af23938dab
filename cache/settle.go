package cache

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/internal/kv"
)

// This file is about a home that is a copy of another, or an old copy of
// itself: the bucket has commits of its device that it never made. Both go on
// from one state, so what waits here meets what was done there.
//
//   - What waits here and was committed there as well is no news.
//   - A file that both changed is as the bucket has it; the bytes of this home are
//     kept beside it, under a name of their own. So is what both made under one name.
//   - What only this home changed stays, and waits.
//
// New inodes here have numbers that may be taken there: they get others.

// Settle prepares the cache for rows of commits that this home did not make but
// its device did, all of them, in order. base is the new device's base of inode
// numbers, who its name. It returns the paths that were given to what is kept
// beside. Nothing is mounted; it may be called again after a crash.
func (c *Cache) Settle(rows []Row, names []NameRow, base uint64, who string) (beside []string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.opt.InoBase = base
	s := &settling{c: c, who: who, rows: map[Ino][]Row{}, names: map[string]Ino{}, named: map[Ino]bool{}, taken: map[string]bool{}}
	places := map[Ino]string{} // of directories
	for _, r := range rows {
		s.rows[r.Ino] = append(s.rows[r.Ino], r)
		if old := places[r.Ino]; old != "" && s.names[old] == r.Ino {
			s.names[old] = 0
		}
		if r.Mode&unix.S_IFMT == unix.S_IFDIR && r.Ino != Root && !r.Gone {
			places[r.Ino] = string(nameKey(r.Parent, r.Name))
			s.names[places[r.Ino]] = r.Ino
		}
	}
	for _, r := range names {
		s.named[r.Ino] = true
		if _, dir := s.names[string(nameKey(r.Parent, r.Name))]; !dir || r.Ino != 0 {
			s.names[string(nameKey(r.Parent, r.Name))] = r.Ino
		}
	}
	for _, step := range []func() error{s.match, s.renumber, s.differ, s.placed} {
		s.x = c.begin()
		if err := step(); err != nil {
			return s.beside, err
		}
		if err := errors.Join(s.x.apply(), c.db.Sync()); err != nil {
			return s.beside, err
		}
		for _, p := range s.stale {
			if err := unix.Unlink(p); err != nil && !errors.Is(err, unix.ENOENT) {
				return s.beside, err
			}
		}
		s.stale = nil
	}
	return s.beside, c.placesChanged()
}

type settling struct {
	c      *Cache
	x      *change
	who    string
	rows   map[Ino][]Row   // what was committed there, by inode, in order
	names  map[string]Ino  // where names ended there; 0: gone
	named  map[Ino]bool    // inodes that were given a name there
	taken  map[string]bool // names given to what is kept beside
	beside []string
	stale  []string // content files to remove once the step is on disk
}

// gone tells whether the inode ended without a name there.
func (s *settling) gone(ino Ino) bool {
	v := s.rows[ino]
	return len(v) > 0 && v[len(v)-1].Gone
}

// match finds what waits here and was committed there as it is. The numbers of
// inodes that no commit holds mean the same here and there only in this step.
func (s *settling) match() error { return s.waiting(s.matchOne) }

// differ looks at what waits here and was committed there as something else.
func (s *settling) differ() error { return s.waiting(s.differOne) }

// waiting calls fn for every inode that waits here and has rows there.
func (s *settling) waiting(fn func(Ino, *inode) error) error {
	waits := map[Ino]bool{}
	for _, b := range []kv.Bucket{bPRow, bUncut, bOwed} {
		inos, err := s.c.keys(b)
		if err != nil {
			return err
		}
		for _, ino := range inos {
			waits[ino] = true
		}
	}
	for _, ino := range slices.Sorted(maps.Keys(waits)) {
		if len(s.rows[ino]) == 0 {
			continue
		}
		n, err := s.x.inode(ino)
		if errors.Is(err, ErrNotExist) {
			continue
		}
		if err == nil && n.Nlink > 0 {
			err = fn(ino, n)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *settling) matchOne(ino Ino, n *inode) error {
	s.c.fromContent(ino, n)
	for _, v := range s.rows[ino] {
		if same(n, &v) {
			s.clean(ino, n)
			if v.Recipe != nil {
				s.x.b.Put(bRecipe, inoKey(ino), encode(v.Recipe))
			}
			return nil
		}
	}
	return nil
}

func (s *settling) differOne(ino Ino, n *inode) error {
	if own, err := s.ownBytes(ino, n); err != nil || own {
		if err == nil {
			err = s.keepBeside(ino, n)
		}
		return err
	}
	s.clean(ino, n)
	return nil
}

// ownBytes tells whether a file has bytes that nothing committed there has.
func (s *settling) ownBytes(ino Ino, n *inode) (bool, error) {
	if !n.isFile() || n.dirty() {
		return n.isFile(), nil
	}
	row, _, err := s.c.db.Get(bRecipe, inoKey(ino))
	return err == nil && !slices.ContainsFunc(s.rows[ino], func(v Row) bool {
		return v.Recipe != nil && bytes.Equal(encode(v.Recipe), row)
	}), err
}

// same tells whether a row that waits here is the one that was committed there:
// bytes by size and time to the nanosecond. One of which bytes are owed is not:
// only this home may have them.
func same(n *inode, v *Row) bool {
	if v.Gone || n.Mode&unix.S_IFMT != v.Mode&unix.S_IFMT {
		return false
	}
	if n.isDir() {
		return n.Parent == v.Parent && n.Name == v.Name
	}
	if n.isFile() {
		for _, p := range v.Recipe.Parts {
			if p.Size > 0 && len(p.Blobs) == 0 {
				return false
			}
		}
		if n.Size != v.Recipe.Size {
			return false
		}
	}
	return n.Target == v.Target && n.Mtime == stampOf(v.Mtime)
}

// clean makes an inode one that the bucket has.
func (s *settling) clean(ino Ino, n *inode) {
	n.Cut, n.TakenOpen = n.Gen, false
	n.Ver = max(n.Ver, 1)
	n.CVer = n.Ver
	for _, b := range []kv.Bucket{bUncut, bOwed, bPRow} {
		s.x.b.Delete(b, inoKey(ino))
	}
}

// keepBeside moves what this home has of a file that changed there to an inode
// of its own, under a name beside the file's.
func (s *settling) keepBeside(ino Ino, n *inode) error {
	at, err := s.nameOf(ino)
	if err != nil {
		return err
	}
	to, err := s.c.newIno()
	if err != nil {
		return err
	}
	m := n.clone()
	m.Nlink, m.Ver, m.CVer, m.Base, m.Succeeds = 1, 1, 0, "", 0
	s.x.inodes[to] = m
	for _, b := range []kv.Bucket{bRecipe, bHave, bUncut, bOwed, bSource, bLabel} {
		v, ok, err := s.c.db.Get(b, inoKey(ino))
		if err != nil {
			return err
		}
		if ok {
			s.x.b.Put(b, inoKey(to), slices.Clone(v))
		}
	}
	s.x.b.Delete(bSource, inoKey(ino))
	s.x.b.Put(bPRow, inoKey(to), nil)
	s.clean(ino, n)
	s.x.b.Delete(bHave, inoKey(ino))
	if err := s.moveContent(ino, to); err != nil {
		return err
	}
	return s.place(at, to, m)
}

// moveContent gives a content file a second name, and has the first removed once
// the rows are on disk.
func (s *settling) moveContent(from, to Ino) error {
	path, err := s.c.placeFor(to)
	if err != nil {
		return err
	}
	err = unix.Link(s.c.contentPath(from), path)
	switch {
	case errors.Is(err, unix.ENOENT):
		return nil // nothing is here of it
	case err != nil && !errors.Is(err, unix.EEXIST):
		return &os.PathError{Op: "link", Path: s.c.contentPath(from), Err: err}
	}
	if err := syncPath(filepath.Dir(path)); err != nil { // before a row speaks of it
		return err
	}
	if held := s.c.forget(from); held > 0 {
		s.c.touchLRU(to, held)
	}
	s.stale = append(s.stale, s.c.contentPath(from))
	return nil
}

// nameOf finds a name of an inode; the top directory's if it has none.
func (s *settling) nameOf(ino Ino) (at NameRow, err error) {
	at = NameRow{Parent: Root, Name: fmt.Sprintf("%016x", ino)}
	err = s.c.db.Scan(bName, nil, nil, func(k, v []byte) bool {
		if decodeName(v).ino != ino {
			return true
		}
		at.Parent, at.Name = keyIno(k), string(k[8:])
		return false
	})
	return at, err
}

// place gives an inode a name like the one given, which nothing has here or there.
func (s *settling) place(at NameRow, ino Ino, n *inode) error {
	if s.gone(at.Parent) {
		at.Parent = Root
	}
	for i := 1; ; i++ {
		mark := fmt.Sprintf(" (of %s, %s)", strings.ReplaceAll(s.who, "/", "-"), time.Now().Format(time.DateOnly))
		if i > 1 {
			mark = strings.TrimSuffix(mark, ")") + fmt.Sprintf(", %d)", i)
		}
		name := withMark(at.Name, mark)
		key := string(nameKey(at.Parent, name))
		_, here, err := s.c.name(at.Parent, name)
		if err != nil {
			return err
		}
		if _, there := s.names[key]; here || there || s.taken[key] {
			continue
		}
		s.taken[key] = true
		s.beside = append(s.beside, name)
		if n.isDir() {
			n.Parent, n.Name = at.Parent, name
		}
		return s.x.link(at.Parent, name, ino, nil)
	}
}

// withMark is a name with a mark before its extension, cut to what a name may have.
func withMark(name, mark string) string {
	ext := path.Ext(name)
	stem := strings.TrimSuffix(name, ext)
	free := max(maxName-len(mark)-len(ext), 0)
	return stem[:min(len(stem), free)] + mark + ext
}

// placed looks at every name that waits here and was placed there, or whose
// directory is gone there.
func (s *settling) placed() error {
	var keys [][]byte
	err := s.c.db.Scan(bPName, nil, nil, func(k, _ []byte) bool {
		keys = append(keys, slices.Clone(k))
		return true
	})
	for _, k := range keys {
		if err == nil {
			err = s.placedName(k)
		}
	}
	return err
}

func (s *settling) placedName(key []byte) error {
	row := NameRow{Parent: keyIno(key), Name: string(key[8:])}
	there, known := s.names[string(key)]
	orphaned := s.gone(row.Parent)
	if !known && !orphaned {
		return nil
	}
	e, here, err := s.c.name(row.Parent, row.Name)
	if err != nil {
		return err
	}
	switch {
	case !here || known && e.ino == there:
		s.x.b.Delete(bPName, key)
		return nil
	case there == 0 && !orphaned:
		return nil
	}
	n, err := s.x.inode(e.ino)
	if err != nil {
		return err
	}
	if n.committed() && (n.isDir() || s.named[e.ino]) {
		s.x.b.Delete(bPName, key) // where it is there is where it goes
		return nil
	}
	s.x.b.Delete(bName, key)
	s.x.b.Delete(bPName, key)
	return s.place(row, e.ino, n)
}

// renumber gives every inode that no commit holds a number above the new base.
// The low bits stay: this home has never used them twice.
func (s *settling) renumber() error {
	moved, err := s.renumbered()
	if err != nil || len(moved) == 0 {
		return err
	}
	inos, err := s.c.keys(bInode)
	if err != nil {
		return err
	}
	for _, ino := range inos {
		n, err := s.c.inode(ino)
		if err != nil {
			return err
		}
		to, parent := moved[ino], moved[n.Parent]
		if parent != 0 {
			n.Parent = parent
		}
		switch {
		case to != 0:
			s.x.inodes[to] = n
			if err := s.moveRows(ino, to); err != nil {
				return err
			}
		case parent != 0:
			s.x.inodes[ino] = n
		}
	}
	if err := s.renumberSources(moved); err != nil {
		return err
	}
	return s.renumberNames(moved)
}

// renumberSources follows the folders that got other numbers.
func (s *settling) renumberSources(moved map[Ino]Ino) error {
	inos, err := s.c.keys(bSource)
	if err != nil {
		return err
	}
	for _, ino := range inos {
		src, _, err := s.c.source(ino)
		if err != nil {
			return err
		}
		parent := moved[src.Parent]
		if parent == 0 {
			continue
		}
		src.Parent = parent
		if to := moved[ino]; to != 0 {
			ino = to
		}
		s.x.setSource(ino, src)
	}
	return nil
}

func (s *settling) renumbered() (map[Ino]Ino, error) {
	moved := map[Ino]Ino{}
	inos, err := s.c.keys(bInode)
	if err != nil {
		return nil, err
	}
	for _, ino := range inos {
		to := s.c.opt.InoBase | ino&0xffffffff
		n, err := s.c.inode(ino)
		if err != nil {
			return nil, err
		}
		if !n.committed() && ino != Root && ino != to {
			moved[ino] = to
		}
	}
	return moved, nil
}

func (s *settling) moveRows(from, to Ino) error {
	s.x.b.Delete(bInode, inoKey(from))
	for _, b := range []kv.Bucket{bRecipe, bHave, bUncut, bOwed, bPRow, bPlace, bSource, bLabel} {
		v, ok, err := s.c.db.Get(b, inoKey(from))
		if err != nil {
			return err
		}
		if ok {
			s.x.b.Delete(b, inoKey(from))
			s.x.b.Put(b, inoKey(to), slices.Clone(v))
		}
	}
	s.c.fmu.Lock()
	if at, ok := s.c.closed[from]; ok {
		s.c.closed[to] = at
	}
	s.c.fmu.Unlock()
	return s.moveContent(from, to)
}

func (s *settling) renumberNames(moved map[Ino]Ino) error {
	for _, b := range []kv.Bucket{bName, bPName} {
		err := s.c.db.Scan(b, nil, nil, func(k, v []byte) bool {
			key, value := slices.Clone(k), slices.Clone(v)
			parent := moved[keyIno(key)]
			var to Ino
			if b == bName {
				to = moved[keyIno(value)]
			}
			if parent == 0 && to == 0 {
				return true
			}
			s.x.b.Delete(b, slices.Clone(key))
			if parent != 0 {
				copy(key, inoKey(parent))
			}
			if to != 0 {
				copy(value, inoKey(to))
			}
			s.x.b.Put(b, key, value)
			return true
		})
		if err != nil {
			return err
		}
	}
	return nil
}
