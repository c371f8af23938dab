package feed

import (
	"errors"
	"io/fs"
	"time"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/folder"
)

// resolve finds out what the new names are: what was called otherwise, or new. It
// goes into new directories, whose names join s.fresh, each behind its directory. Where
// nothing is lost all in them is new: then they are gone into while they are applied, a name
// at a time, as a first backup would fill the memory with names else.
func (s *scan) resolve() error {
	lost, err := s.lost()
	if err != nil {
		return err
	}
	s.allNew = len(lost)+len(s.gone) == 0
	above := map[*spot]*folder.Dir{} // what new directories know of patterns
	for i := 0; i < len(s.fresh); i++ {
		if err := s.ctx.Err(); err != nil {
			return err
		}
		f := s.fresh[i]
		if err := s.resolveOne(f, lost, above); err != nil {
			return err
		}
	}
	return s.stillThere()
}

func (s *scan) resolveOne(f *found, lost map[fileID]*lostFile, above map[*spot]*folder.Dir) error {
	l := lost[idOf(f.st)]
	if l != nil && s.isLost(l, f) {
		s.claim(f, l)
	}
	if !f.st.IsDir() {
		return nil
	}
	f.spot = f.in.child(f.name, 0)
	if f.from != nil {
		f.spot.ino = f.from.e.Ino
	}
	if !f.enter {
		s.skip(f.path(), folder.Elsewhere)
		return nil
	}
	in, err := s.rulesOf(f.in, above)
	switch {
	case err != nil:
		s.problem(f.in.path, err)
		return nil
	case f.from != nil:
		diff, dirs := len(s.diff), len(s.dirs)
		err := s.compare(f.spot, in)
		s.alsoLost(s.diff[diff:], s.dirs[dirs:], lost)
		return err
	}
	if s.allNew {
		f.rules = in
		return nil
	}
	return s.enter(f, in, above)
}

// eachNew calls fn for all that is in a new directory which was not gone into, a directory
// before what it holds. What fn returns of a name ends the walk.
func (s *scan) eachNew(f *found, in *folder.Dir, fn func(*found) error) error {
	d, entries := s.listNew(f, in)
	if d == nil {
		return nil
	}
	s.tell.moreToApply(len(entries))
	for _, e := range entries {
		if !s.wanted(f.spot, e) {
			continue
		}
		n := &found{in: f.spot, name: e.Name, st: e.Stat, enter: e.Why == folder.Kept}
		if !s.isFresh(n) {
			continue
		}
		if e.Stat.IsDir() {
			n.spot = f.spot.child(e.Name, 0)
		}
		if err := fn(n); err != nil {
			return err
		}
		switch {
		case !e.Stat.IsDir():
		case !n.enter:
			s.skip(n.path(), folder.Elsewhere)
		default:
			if err := s.eachNew(n, d, fn); err != nil {
				return err
			}
		}
	}
	return s.ctx.Err()
}

// listNew lists a new directory; nil if it is gone, or cannot be read, which is told.
func (s *scan) listNew(f *found, in *folder.Dir) (*folder.Dir, []folder.Entry) {
	d, entries, err := s.list(f.spot.path, in)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			s.problem(f.spot.path, err)
		}
		return nil, nil
	}
	return d, entries
}

// enter lists a new directory.
func (s *scan) enter(f *found, in *folder.Dir, above map[*spot]*folder.Dir) error {
	d, entries := s.listNew(f, in)
	if d == nil {
		return nil
	}
	above[f.spot] = d
	for _, e := range entries {
		s.onlyFound(f.spot, e)
	}
	return nil
}

// rulesOf gives the patterns that hold in a directory. Those of one that was
// walked before are read again.
func (s *scan) rulesOf(sp *spot, above map[*spot]*folder.Dir) (*folder.Dir, error) {
	if d := above[sp]; d != nil {
		return d, nil
	}
	d, err := s.root.Rules(sp.path)
	if err == nil {
		above[sp] = d
	}
	return d, err
}

// alsoLost takes in what was found to differ in a directory that has another name:
// before, its files were known as lost, and not that the name is of another one.
// The directories in it were walked as what the place has in their names.
func (s *scan) alsoLost(diff, dirs []*pair, lost map[fileID]*lostFile) {
	for _, p := range dirs {
		if l := lost[originID(p.k.e.Origin)]; l != nil && l.k.id() == p.k.id() {
			delete(lost, originID(p.k.e.Origin))
		}
	}
	for _, p := range diff {
		switch {
		case p.st.Ino == p.k.e.Origin.Ino:
		case s.claimed[p.k.id()] != nil:
			s.retire(p)
		default:
			lost[originID(p.k.e.Origin)] = &lostFile{p.k, p}
		}
	}
}

// lostFile is a name of the place that something else has now, or nothing.
type lostFile struct {
	k *known
	p *pair // the name is one of both, of another file in the folder
}

// lost lists, by the file they were, the names of the place that may be found
// under another, if inode numbers tell. Without new names there is nothing to find, and a folder that is
// gone whole takes no memory.
func (s *scan) lost() (map[fileID]*lostFile, error) {
	m := map[fileID]*lostFile{}
	if len(s.fresh) == 0 || !s.root.StableInodes() {
		return m, nil
	}
	for _, p := range s.diff {
		if p.st.Ino != p.k.e.Origin.Ino {
			m[originID(p.k.e.Origin)] = &lostFile{p.k, p}
		}
	}
	for _, k := range s.gone {
		err := s.each(k, func(k *known) error {
			if !k.e.Made && k.e.Origin.Ino != 0 {
				m[originID(k.e.Origin)] = &lostFile{k: k}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return m, nil
}

// each calls fn for a name of the place and all below it, a directory first.
func (s *scan) each(k *known, fn func(*known) error) error {
	if err := fn(k); err != nil || !k.isDir() {
		return err
	}
	list, err := s.o.Cache.FedDir(k.e.Ino)
	if err != nil {
		return err
	}
	for _, e := range list {
		if err := s.each(&known{k.e.Ino, join(k.path, e.Name), e}, fn); err != nil {
			return err
		}
	}
	return s.ctx.Err()
}

// isLost tells whether a new name is the file that was lost, and not another that
// was given its inode number. A filesystem that tells when an inode was made
// decides that; with another one size and time have to be the same.
func (s *scan) isLost(l *lostFile, f *found) bool {
	if s.claimed[l.k.id()] != nil || typeOf(l.k.e.Mode) != f.st.Type() || f.block != nil && f.block.e.Ino == l.k.e.Ino {
		return false
	}
	if f.st.Nlink > 1 && !f.st.IsDir() {
		if _, ok := s.links[idOf(f.st)]; ok {
			return false // another name of a file that is still there
		}
	}
	if born := s.born(f); !born.IsZero() {
		return !born.After(l.k.e.Origin.Ctime)
	}
	return sameContent(l.k.e.Origin, f.st)
}

func (s *scan) born(f *found) time.Time {
	d, err := s.root.Dir(f.in.path, nil)
	if err != nil {
		return time.Time{}
	}
	defer d.Close()
	return d.Born(f.name)
}

// claim says that a new name is what was lost under another.
func (s *scan) claim(f *found, l *lostFile) {
	f.from = l.k
	s.claimed[l.k.id()] = f
	if f.st.Nlink > 1 && !f.st.IsDir() {
		s.links[idOf(f.st)] = l.k.e.Ino
	}
	if f.st.IsFile() && !sameTimes(l.k.e.Origin, f.st) {
		s.diff = append(s.diff, &pair{found: *f, k: l.k})
	}
	if l.p != nil && !l.p.moved {
		s.retire(l.p)
	}
}

// retire makes a new name of one that both had, as the file of the place that it
// was has another one: it is of a file that the place lacks.
func (s *scan) retire(p *pair) {
	p.moved = true
	s.rep.Files--
	n := p.found
	n.block = p.k
	s.addFresh(&n)
}

// goneFiles calls fn for every file of the place that the folder has no more.
func (s *scan) goneFiles(fn func(ino cache.Ino, path string, e cache.FedEntry)) error {
	for _, k := range s.gone {
		if err := s.goneBelow(k, fn); err != nil {
			return err
		}
	}
	return nil
}

func (s *scan) goneBelow(k *known, fn func(cache.Ino, string, cache.FedEntry)) error {
	switch {
	case s.claimed[k.id()] != nil || k.e.Made:
		return s.ctx.Err() // what a directory that moved lacks is in s.gone itself
	case !k.isDir():
		fn(k.e.Ino, k.path, k.e)
		return nil
	}
	list, err := s.o.Cache.FedDir(k.e.Ino)
	for _, e := range list {
		if err := s.goneBelow(&known{k.e.Ino, join(k.path, e.Name), e}, fn); err != nil {
			return err
		}
	}
	return err
}
