package feed

import (
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/folder"
)

// apply brings to the place what the brake lets through. Each step leaves the
// place in order, so that a run that ends in between is taken up by the next:
// first what is new or moved, a directory before what it holds; then other
// content and attributes; then what is gone; attributes of directories at last.
func (s *scan) apply() error {
	s.tell.toApply(len(s.fresh) + len(s.diff))
	s.holdNames()
	for _, f := range s.fresh {
		if err := s.step(s.applyFresh(f), f.path()); err != nil {
			return err
		}
		if err := s.applyBelow(f); err != nil {
			return err
		}
	}
	updated := map[cache.Ino]bool{}
	for _, p := range s.diff {
		if p.moved || p.verdict.skip || p.in.held || s.brake.holds(p.verdict.kind, p.k.e.Ino) {
			continue
		}
		if err := s.step(s.applyDiff(p, updated), p.path()); err != nil {
			return err
		}
	}
	for _, k := range append(s.drop, s.gone...) {
		if err := s.step(s.remove(k), k.path); err != nil {
			return err
		}
	}
	for _, p := range s.dirs {
		if err := s.step(s.update(&p.found, p.k.e.Ino, false), p.path()); err != nil {
			return err
		}
	}
	return nil
}

// applyBelow adds what is in a new directory that was not gone into yet.
func (s *scan) applyBelow(f *found) error {
	if f.rules == nil || f.spot.ino == 0 {
		return nil
	}
	err := s.eachNew(f, f.rules, func(n *found) error {
		if n.in.ino == 0 { // its directory could not be made
			return nil
		}
		return s.step(s.applyFresh(n), n.path())
	})
	if err != nil {
		return err
	}
	return s.stillThere()
}

// step ends a step of the run: what the folder refused is a problem of one name.
func (s *scan) step(err error, path string) error {
	s.tell.applied()
	switch {
	case err == nil:
		return s.ctx.Err()
	case isLocal(err):
		return fmt.Errorf("%s: %w", path, err)
	case errors.Is(err, fs.ErrNotExist):
		s.young = append(s.young, path) // it vanished meanwhile
	default:
		s.problem(path, err)
	}
	return s.ctx.Err()
}

// applyFresh adds a name, or moves what it was before.
func (s *scan) applyFresh(f *found) error {
	if f.held {
		return nil
	}
	if f.in.ino == 0 { // its directory could not be made
		return nil
	}
	if f.block != nil {
		if err := s.vacate(f.block); err != nil {
			return err
		}
	}
	if ino, ok := s.links[idOf(f.st)]; ok && f.from == nil && f.st.Nlink > 1 && !f.st.IsDir() {
		s.rep.New++
		return local(s.feed.Link(ino, f.in.ino, f.name))
	}
	if f.from != nil {
		return s.move(f)
	}
	return s.add(f)
}

func (s *scan) add(f *found) error {
	o, err := s.outside(f)
	if err != nil {
		return err
	}
	ino, err := s.feed.Add(f.in.ino, f.name, o)
	if err != nil {
		return refused(err)
	}
	switch {
	case f.spot != nil:
		f.spot.ino = ino
		return nil
	case f.st.Nlink > 1:
		s.links[idOf(f.st)] = ino
	}
	s.rep.New++
	if f.st.IsFile() {
		s.rep.NewBytes += f.st.Size
	}
	s.noteLibrary(ino, f)
	return nil
}

// move gives what was lost its new name.
func (s *scan) move(f *found) error {
	at := s.where(f.from)
	if err := s.feed.Move(at.parent, at.name, f.in.ino, f.name); err != nil {
		return localError{err}
	}
	s.rep.Moved++
	s.moved[f.from.id()] = nameID{f.in.ino, f.name}
	if !f.st.IsFile() || sameTimes(f.from.e.Origin, f.st) {
		return s.update(f, f.from.e.Ino, false)
	}
	return nil // it is among those that differ, too
}

// where is the name that something of the place has now.
func (s *scan) where(k *known) nameID {
	if to, ok := s.moved[k.id()]; ok {
		return to
	}
	return k.id()
}

// vacate frees a name of the place that the folder has for something else.
func (s *scan) vacate(k *known) error {
	if to, ok := s.moved[k.id()]; ok && to != k.id() {
		return nil
	}
	if s.claimed[k.id()] == nil {
		if err := s.remove(k); err != nil {
			return err
		}
		_, err := s.o.Cache.Lookup(k.parent, k.e.Name)
		if errors.Is(err, cache.ErrNotExist) {
			s.vacated[k.id()] = true
			return nil
		}
		if err != nil {
			return localError{err}
		}
	}
	// It will get its new name, or something below it will; until then it is called
	// what nobody calls anything. A run that ends in between leaves it to the next.
	aside := fmt.Sprintf(".tunesafe-%x", k.e.Ino)
	if err := s.feed.Move(k.parent, k.e.Name, s.place.Dir, aside); err != nil {
		return localError{err}
	}
	s.moved[k.id()] = nameID{s.place.Dir, aside}
	return nil
}

// holdNames finds out which names are not given, as the place keeps what has them. What
// would move to such a name stays where it is, which may hold another name in turn.
func (s *scan) holdNames() {
	for more := true; more; {
		more = false
		for _, f := range s.fresh {
			if f.held || !f.in.held && (f.block == nil || !s.blockHeld(f.block)) {
				continue
			}
			f.held, more = true, true
			if f.spot != nil {
				f.spot.held = true
			}
		}
	}
}

// blockHeld tells whether something of the place has to keep its name.
func (s *scan) blockHeld(k *known) bool {
	if to := s.claimed[k.id()]; to != nil {
		return to.held
	}
	held := false
	_ = s.each(k, func(k *known) error {
		if to := s.claimed[k.id()]; to != nil {
			held = held || to.held
		} else {
			held = held || !k.isDir() && s.brake.holds(Gone, k.e.Ino)
		}
		return nil
	})
	return held
}

// applyDiff updates a file that both have.
func (s *scan) applyDiff(p *pair, updated map[cache.Ino]bool) error {
	if p.st.Nlink > 1 && updated[p.k.e.Ino] {
		return nil
	}
	if err := s.update(&p.found, p.k.e.Ino, !p.verdict.touched); err != nil {
		return err
	}
	updated[p.k.e.Ino] = true
	delete(s.suspected, p.k.e.Ino)
	if p.verdict.touched {
		s.countTouched(p)
		return nil
	}
	s.rep.Changed++
	s.rep.NewBytes += p.st.Size
	s.noteLibrary(p.k.e.Ino, &p.found)
	return nil
}

// countTouched counts a file of the same bytes; one that has another name was
// counted with that.
func (s *scan) countTouched(p *pair) {
	if p.from == nil {
		s.rep.Attributes++
	}
}

func (s *scan) update(f *found, ino cache.Ino, content bool) error {
	o, err := s.outside(f)
	if err != nil {
		return err
	}
	return refused(s.feed.Update(ino, o, content))
}

// outside reads what the place has to know of a name beside its bytes.
func (s *scan) outside(f *found) (o cache.Outside, err error) {
	o = cache.Outside{Mode: f.st.Mode, UID: f.st.UID, GID: f.st.GID, Mtime: f.st.Mtime(), Origin: originOf(f.st)}
	if t := f.st.Type(); t == unix.S_IFCHR || t == unix.S_IFBLK {
		o.Rdev = f.st.Rdev
	}
	d, err := s.dirAt(f.in.path)
	if err != nil {
		return o, err
	}
	if f.st.IsFile() {
		if err := d.Readable(f.name); err != nil {
			return o, err
		}
	}
	if f.st.Type() == unix.S_IFLNK {
		if o.Target, err = d.Readlink(f.name); err != nil {
			return o, err
		}
	}
	o.Xattrs, err = d.Xattrs(f.name)
	return o, err
}

// dirAt opens a directory of the folder, and keeps the last one open: names come
// in the order of their directories.
func (s *scan) dirAt(path string) (*folder.Dir, error) {
	if s.open != nil && s.open.Path() == path {
		return s.open, nil
	}
	s.letGo()
	d, err := s.root.Dir(path, nil)
	if err == nil {
		s.open = d
	}
	return d, err
}

func (s *scan) letGo() {
	if s.open != nil {
		s.open.Close()
	}
	s.open = nil
}

// remove takes from the place what the folder has no more, but for what is held
// and what was found elsewhere.
func (s *scan) remove(k *known) error {
	if s.claimed[k.id()] != nil || s.vacated[k.id()] {
		return nil
	}
	if !k.isDir() {
		if s.brake.holds(Gone, k.e.Ino) {
			return nil
		}
		s.rep.Gone++
		return s.unlink(k)
	}
	list, err := s.o.Cache.FedDir(k.e.Ino)
	if err != nil {
		return localError{err}
	}
	for _, e := range list {
		below := &known{k.e.Ino, join(k.path, e.Name), e}
		if err := s.remove(below); err != nil {
			return err
		}
	}
	if list, err = s.o.Cache.FedDir(k.e.Ino); err != nil {
		return localError{err}
	}
	if len(list) > 0 {
		return nil
	}
	return s.unlink(k)
}

func (s *scan) unlink(k *known) error {
	at := s.where(k)
	return local(s.feed.Remove(at.parent, at.name))
}

// refused tells what the cache does not take of a file from a trouble of its own.
func refused(err error) error {
	if errors.Is(err, cache.ErrNameTooLong) || errors.Is(err, cache.ErrXattrSize) || errors.Is(err, cache.ErrXattrSpace) {
		return err
	}
	return local(err)
}

func local(err error) error {
	if err == nil {
		return nil
	}
	return localError{err}
}
