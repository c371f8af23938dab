package feed

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/folder"
)

// scan is one comparison of a folder with its place. It keeps what differs.
type scan struct {
	o     *Options
	ctx   context.Context
	place cache.Place
	root  *folder.Root
	rep   *Report
	tell  *teller
	now   time.Time

	fresh []*found // names of the folder that the place lacks; a directory before what it holds
	gone  []*known // names of the place that the folder lacks; what is below them is not listed
	drop  []*known // names that another thing took, or a pattern leaves out now
	diff  []*pair  // names of both that differ
	young []string // left for later: they may still be written
	dirs  []*pair  // directories whose attributes differ
	files int64    // of the place, that a run could take for gone

	libraries libraries
	brake     *brake
	suspects  map[cache.Ino]bool // found by ReadAgain
	suspected map[cache.Ino]bool // of them, those that still are
	rotten    map[cache.Ino]bool // held for other sound by the run before

	feed    *cache.Feed
	open    *folder.Dir       // see dirAt
	moved   map[nameID]nameID // names of the place that have another by now
	vacated map[nameID]bool   // and that were removed for something else

	allNew  bool                 // see resolve
	links   map[fileID]cache.Ino // files of the folder with several names: what they are in the place
	claimed map[nameID]*found    // names of the place whose file was found under another
}

// spot is a directory of the folder and what it is in the place.
type spot struct {
	path string // beneath the folder
	ino  cache.Ino
	held bool // it is not made, as its name in the place is held
}

// found is a name of the folder.
type found struct {
	in    *spot
	name  string
	st    folder.Stat
	enter bool   // a directory that may be gone into
	spot  *spot  // of a directory
	block *known // what has its name in the place
	from  *known // what it was called before; nil if it is new
	held  bool   // it is not made, as the place keeps what has its name, or its directory's

	rules *folder.Dir // of a new directory that is gone into when it is applied: what it lies in
}

// known is a name of the place.
type known struct {
	parent cache.Ino
	path   string // beneath the folder
	e      cache.FedEntry
}

// pair is a name of both.
type pair struct {
	found
	k       *known
	content bool // the bytes may differ
	verdict verdict
	moved   bool // the place's file went to another name, which leaves this one new
}

// fileID tells whether two names are one file.
type fileID struct{ dev, ino uint64 }

func idOf(st folder.Stat) fileID { return fileID{st.Dev, st.Ino} }

func originID(o cache.Origin) fileID { return fileID{o.Dev, o.Ino} }

func originOf(st folder.Stat) cache.Origin {
	return cache.Origin{Dev: st.Dev, Ino: st.Ino, Size: st.Size, Mtime: st.Mtime(), Ctime: st.Ctime()}
}

// sameContent tells whether size and times are such that the bytes are the same.
func sameContent(o cache.Origin, st folder.Stat) bool {
	return (o.Size == st.Size || st.IsDir()) && o.Mtime.Equal(st.Mtime())
}

func sameTimes(o cache.Origin, st folder.Stat) bool {
	return sameContent(o, st) && o.Ctime.Equal(st.Ctime())
}

// sameInode tells whether a name is of the inode it was of. Folders that exchanged
// their names may hold files of one size, made within one tick of the clock. Where
// inode numbers mean nothing the times have to do.
func (s *scan) sameInode(o cache.Origin, st folder.Stat) bool {
	return o.Ino == st.Ino || !s.root.StableInodes()
}

// unchanged tells whether a name is as it was, by one lstat.
func (s *scan) unchanged(o cache.Origin, st folder.Stat) bool {
	return sameTimes(o, st) && s.sameInode(o, st)
}

func typeOf(mode uint32) uint32 { return mode & unix.S_IFMT }

// nameID is a name of the place.
type nameID struct {
	parent cache.Ino
	name   string
}

func (k *known) id() nameID { return nameID{k.parent, k.e.Name} }

func (k *known) isDir() bool { return typeOf(k.e.Mode) == unix.S_IFDIR }

// join gives the path of a name beneath the folder.
func join(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}

func (f *found) path() string { return join(f.in.path, f.name) }

// child is the spot of a subdirectory.
func (sp *spot) child(name string, ino cache.Ino) *spot {
	return &spot{path: join(sp.path, name), ino: ino}
}

// walk compares the whole folder with the whole place.
func (s *scan) walk() error {
	top := &spot{ino: s.place.Dir}
	if err := s.compare(top, nil); err != nil {
		return err
	}
	return s.stillThere()
}

// stillThere fails if the folder is not the one that was opened any more.
func (s *scan) stillThere() error {
	if !s.root.Same() {
		return fmt.Errorf("%s %w", s.root.Path(), ErrMoved)
	}
	return nil
}

// compare walks a directory that both have. above is the directory it lies in.
func (s *scan) compare(sp *spot, above *folder.Dir) error {
	if err := s.ctx.Err(); err != nil {
		return err
	}
	d, entries, err := s.list(sp.path, above)
	switch {
	case errors.Is(err, fs.ErrNotExist) && sp.path != "":
		return s.vanished(sp)
	case err != nil && sp.path == "":
		return err
	case err != nil:
		s.problem(sp.path, err)
		return s.keepAll(sp.ino)
	}
	var have []cache.FedEntry
	if sp.ino != 0 { // a plan's
		if have, err = s.o.Cache.FedDir(sp.ino); err != nil {
			return err
		}
	}
	below, err := s.merge(sp, d, entries, have)
	if err != nil {
		return err
	}
	for _, b := range below {
		if err := s.compare(b, d); err != nil {
			return err
		}
	}
	return nil
}

// list reads a directory of the folder. It is closed; what it knows of patterns
// serves the directories below.
func (s *scan) list(path string, above *folder.Dir) (*folder.Dir, []folder.Entry, error) {
	d, err := s.root.Dir(path, above)
	if err != nil {
		return nil, nil, err
	}
	defer d.Close()
	entries, err := d.Entries()
	s.rep.Dirs++
	s.tell.scanned(int64(len(entries)))
	return d, entries, err
}

// vanished is for a directory that was removed since its parent was listed.
func (s *scan) vanished(sp *spot) error {
	have, err := s.o.Cache.FedDir(sp.ino)
	for i := range have {
		s.onlyKnown(sp, have[i])
	}
	return err
}

// keepAll counts what stays in the place as nobody could look at it.
func (s *scan) keepAll(dir cache.Ino) error {
	return s.o.Cache.EachFed(dir, func(_ string, e cache.FedEntry) error {
		if typeOf(e.Mode) != unix.S_IFDIR && !e.Made {
			s.files++
		}
		return s.ctx.Err()
	})
}

// merge goes through the two sorted listings, and returns the directories that
// both have.
func (s *scan) merge(sp *spot, d *folder.Dir, entries []folder.Entry, have []cache.FedEntry) (below []*spot, err error) {
	for len(entries) > 0 || len(have) > 0 {
		switch {
		case len(have) == 0 || len(entries) > 0 && entries[0].Name < have[0].Name:
			s.onlyFound(sp, entries[0])
			entries = entries[1:]
		case len(entries) == 0 || have[0].Name < entries[0].Name:
			s.onlyKnown(sp, have[0])
			have = have[1:]
		default:
			b, err := s.both(sp, entries[0], have[0])
			if err != nil {
				return nil, err
			}
			if b != nil {
				below = append(below, b)
			}
			entries, have = entries[1:], have[1:]
		}
	}
	return below, nil
}

// onlyFound is for a name that only the folder has.
func (s *scan) onlyFound(sp *spot, e folder.Entry) {
	if !s.wanted(sp, e) {
		return
	}
	s.addFresh(&found{in: sp, name: e.Name, st: e.Stat, enter: e.Why == folder.Kept})
}

func (s *scan) addFresh(f *found) {
	if s.isFresh(f) {
		s.fresh = append(s.fresh, f)
	}
}

// isFresh counts a new name; false if it is left for later.
func (s *scan) isFresh(f *found) bool {
	if f.st.IsDir() {
		return true
	}
	s.rep.Files++
	if s.isYoung(f.st) {
		s.young = append(s.young, f.path())
		return false
	}
	s.tell.fresh()
	return true
}

// onlyKnown is for a name that only the place has.
func (s *scan) onlyKnown(sp *spot, e cache.FedEntry) {
	if e.Made {
		s.rep.Generated++
		return
	}
	s.gone = append(s.gone, &known{parent: sp.ino, path: join(sp.path, e.Name), e: e})
}

// both is for a name that folder and place have. It returns the directory to go
// into.
func (s *scan) both(sp *spot, e folder.Entry, ke cache.FedEntry) (*spot, error) {
	k := &known{parent: sp.ino, path: join(sp.path, ke.Name), e: ke}
	switch e.Why {
	case folder.Excluded, folder.Socket:
		s.wanted(sp, e)
		s.drop = append(s.drop, k)
		return nil, nil
	case folder.Avoided, folder.Unreadable:
		s.wanted(sp, e)
		if k.isDir() {
			return nil, s.keepAll(ke.Ino)
		}
		s.files++
		return nil, nil
	}
	f := found{in: sp, name: e.Name, st: e.Stat, enter: e.Why == folder.Kept}
	if s.isYoung(e.Stat) {
		s.young = append(s.young, f.path())
		s.files++
		s.rep.Files++
		return nil, nil
	}
	if s.claimed[k.id()] != nil { // one of several names
		f.block = k
		s.addFresh(&f)
		return nil, nil
	}
	if ke.Made || typeOf(ke.Mode) != e.Stat.Type() || s.relinked(k, e.Stat) {
		f.block = k
		if ke.Made || typeOf(ke.Mode) == e.Stat.Type() {
			s.drop = append(s.drop, k)
		} else {
			s.gone = append(s.gone, k)
		}
		s.addFresh(&f)
		return nil, nil
	}
	p := &pair{found: f, k: k}
	if e.Stat.IsDir() {
		return s.bothDirs(p)
	}
	s.files++
	s.rep.Files++
	s.compareFile(p)
	return nil, nil
}

func (s *scan) bothDirs(p *pair) (*spot, error) {
	if !sameTimes(p.k.e.Origin, p.st) || p.k.e.Origin.Ino != p.st.Ino {
		s.dirs = append(s.dirs, p)
	}
	p.spot = p.in.child(p.name, p.k.e.Ino)
	if !p.enter {
		s.skip(p.path(), folder.Elsewhere)
		return nil, s.keepAll(p.k.e.Ino) // what is hidden by the mount is not gone
	}
	return p.spot, nil
}

// compareFile notes a file of both that differs.
func (s *scan) compareFile(p *pair) {
	if p.st.Nlink > 1 {
		if _, ok := s.links[idOf(p.st)]; !ok {
			s.links[idOf(p.st)] = p.k.e.Ino
		}
	}
	switch {
	case s.unchanged(p.k.e.Origin, p.st) && !s.suspects[p.k.e.Ino]:
		s.rep.Unchanged++
	default:
		s.tell.changed()
		s.diff = append(s.diff, p)
	}
}

// relinked tells whether the names of a file with several are not those of the
// same file any more, in the folder or in the place.
func (s *scan) relinked(k *known, st folder.Stat) bool {
	if st.IsDir() {
		return false
	}
	if !s.root.StableInodes() {
		return false
	}
	if (k.e.Nlink > 1 || st.Nlink > 1) && k.e.Origin.Ino != st.Ino {
		return true
	}
	ino, ok := s.links[idOf(st)]
	return st.Nlink > 1 && ok && ino != k.e.Ino
}

// isYoung tells whether a file was written so lately that it may be still. The scan
// may have begun long before.
func (s *scan) isYoung(st folder.Stat) bool {
	age := time.Since(st.Mtime())
	return st.IsFile() && age >= 0 && age < s.o.Settle
}

// wanted tells whether an entry is to be backed up, and notes why not.
func (s *scan) wanted(sp *spot, e folder.Entry) bool {
	switch e.Why {
	case folder.Excluded:
		s.rep.Excluded++
	case folder.Unreadable:
		s.problem(join(sp.path, e.Name), e.Err)
	case folder.Socket, folder.Avoided:
		s.skip(join(sp.path, e.Name), e.Why)
	default:
		return true
	}
	return false
}

func (s *scan) skip(path string, why folder.Why) {
	if len(s.rep.Skipped) < keptProblems {
		s.rep.Skipped = append(s.rep.Skipped, Skipped{path, why.String()})
	}
}

func (s *scan) problem(path string, err error) {
	if s.rep.Failed++; len(s.rep.Problems) < keptProblems {
		s.rep.Problems = append(s.rep.Problems, Problem{path, err})
	}
	s.o.Log.Warn("not backed up", "path", path, "err", err)
}
