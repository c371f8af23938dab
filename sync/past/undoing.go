package past

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/tunesafe/tunesafe/cache"
	tsync "github.com/tunesafe/tunesafe/sync"
)

// undo takes changes back one by one. A change may have to wait for another: a name is free
// only once what has it went elsewhere, and a folder is empty only once all that was put into it
// left. So each is tried until no further one can be done; and where things stand in each
// other's way in a circle, two exchange their names. Nothing is touched but what the changes
// name: what somebody put there meanwhile is in the way, and stays.
//
// Things are found by their inode and that of their folder, as folders move, too.
type undo struct {
	c    *cache.Cache
	edit cache.Edit
	open []*undoStep
	made map[cache.Ino]cache.Ino // folders and files of then that have another number now
	new  map[cache.Ino]bool      // files of then that are others now, by the number they have in both
}

// undoStep is a change to be taken back: what there is goes from its place to another, and
// becomes what there was.
type undoStep struct {
	*Change
	in    cache.Ino // where Before lies now
	name  string
	aside bool // it was moved out of the way
	err   error
}

func newUndo(c *cache.Cache, changes []Change) *undo {
	u := &undo{c: c, edit: c.Edit(), made: map[cache.Ino]cache.Ino{}, new: map[cache.Ino]bool{}}
	for i := range changes {
		s := &undoStep{Change: &changes[i]}
		if b := s.Before; b != nil {
			s.in, s.name = b.In, b.Name
			if s.After != nil && s.After.Inode == b.Inode && !sameState(&b.Row, &s.After.Row) {
				u.new[b.Inode] = true
			}
		}
		u.open = append(u.open, s)
	}
	slices.Reverse(u.open) // what is in a folder goes before it does
	slices.SortStableFunc(u.open, func(a, b *undoStep) int {
		switch {
		case a.After == nil && b.After == nil:
			return 0
		case a.After == nil:
			return 1
		case b.After == nil:
			return -1
		}
		return cmp.Compare(a.After.Path, b.After.Path)
	})
	return u
}

// errInTheWay: something stands where something else must go.
var errInTheWay = errors.New("something else is there now")

// all takes back what can be.
func (u *undo) all(ctx context.Context) (done int, err error) {
	for progress := true; progress && len(u.open) > 0; {
		progress = false
		var left []*undoStep
		for _, s := range u.open {
			if ctx.Err() != nil {
				return done, ctx.Err()
			}
			if s.err = u.step(s); s.err != nil {
				left = append(left, s)
			} else {
				done++
			}
		}
		progress = len(left) < len(u.open)
		u.open = left
		if !progress {
			progress = u.exchange() || u.putAside()
		}
	}
	var failed []error
	for _, s := range u.open {
		failed = append(failed, fmt.Errorf("%s: %w", s.Path(), s.err))
	}
	return done, errors.Join(failed...)
}

// step takes a change back.
func (u *undo) step(s *undoStep) error {
	switch {
	case s.After == nil:
		if err := u.stands(s); err != nil {
			return err
		}
		return u.edit.Remove(u.now(s.in), s.name)
	case s.Before == nil && s.After.Type == "dir":
		if err := u.free(s); err != nil {
			return err
		}
		ino, err := u.edit.Folder(u.now(s.After.In), s.After.Name, tsync.FromRepo(s.After.Row))
		if err == nil {
			u.made[s.After.Inode] = ino
			err = u.edit.Attributes(ino, tsync.FromRepo(s.After.Row))
		}
		return err
	case s.Before == nil:
		if err := u.free(s); err != nil {
			return err
		}
		return u.put(s)
	}
	if err := u.move(s); err != nil {
		return err
	}
	switch {
	case s.Before.Inode == s.After.Inode && sameState(&s.Before.Row, &s.After.Row):
		return nil
	case s.After.Type == "dir":
		if s.After.Inode != s.Before.Inode {
			u.made[s.After.Inode] = s.Before.Inode
		}
		return u.edit.Attributes(u.now(s.After.Inode), tsync.FromRepo(s.After.Row))
	}
	return u.put(s)
}

// now is the number that an inode of then has now.
func (u *undo) now(ino cache.Ino) cache.Ino {
	if n, ok := u.made[ino]; ok {
		return n
	}
	return ino
}

// stands looks whether what is to be changed is where it was.
func (u *undo) stands(s *undoStep) error {
	a, err := u.c.Lookup(u.now(s.in), s.name)
	if err == nil && a.Ino != s.Before.Inode {
		err = errInTheWay
	}
	return err
}

// free looks whether the name that something had is nothing else's.
func (u *undo) free(s *undoStep) error {
	_, err := u.c.Lookup(u.now(s.After.In), s.After.Name)
	switch {
	case err == nil:
		return errInTheWay
	case errors.Is(err, cache.ErrNotExist):
		_, err = u.c.Attr(u.now(s.After.In))
	}
	return err
}

// move gives something the name back that it had.
func (u *undo) move(s *undoStep) error {
	if err := u.stands(s); err != nil {
		return err
	}
	to, name := u.now(s.After.In), s.After.Name
	if u.now(s.in) == to && s.name == name {
		return nil
	}
	if err := u.free(s); err != nil {
		return err
	}
	err := u.edit.Move(u.now(s.in), s.name, to, name)
	if err == nil {
		s.in, s.name = s.After.In, name
	}
	return err
}

// exchange has a thing that cannot go where it belongs change places with what is there, if
// that belongs elsewhere, too. Once in its place it is in nobody's way any more, so this
// comes to an end.
func (u *undo) exchange() bool {
	for _, s := range u.open {
		if s.Before == nil || s.After == nil || u.stands(s) != nil {
			continue
		}
		to, name := u.now(s.After.In), s.After.Name
		a, err := u.c.Lookup(to, name)
		if err != nil || a.Ino == s.Before.Inode {
			continue
		}
		i := slices.IndexFunc(u.open, func(o *undoStep) bool {
			return o.Before != nil && cache.Ino(o.Before.Inode) == a.Ino && u.now(o.in) == to && o.name == name
		})
		if i < 0 || u.edit.Exchange(u.now(s.in), s.name, to, name) != nil {
			continue
		}
		u.open[i].in, u.open[i].name = s.in, s.name
		s.in, s.name = s.After.In, name
		return true
	}
	return false
}

// putAside gives something in a circle that no exchange opens, as of folders that were turned
// inside out, a name that is in nobody's way, for the time being.
func (u *undo) putAside() bool {
	for i, s := range u.open {
		if s.aside || s.Before == nil || s.After == nil || u.stands(s) != nil || u.free(s) == nil {
			continue
		}
		name := fmt.Sprintf(".undo-%d-%d", s.Before.Inode, i)
		if s.aside = true; u.edit.Move(u.now(s.in), s.name, cache.Root, name) == nil {
			s.in, s.name = cache.Root, name
			return true
		}
	}
	return false
}

// put gives a name what it had: the version of then in the place of that of now. The names
// of one file stay those of one file.
func (u *undo) put(s *undoStep) error {
	dir, name := u.now(s.After.In), s.After.Name
	ino, ok := u.made[s.After.Inode]
	if !ok && s.After.Type != "dir" && !u.new[s.After.Inode] {
		if a, err := u.c.Attr(s.After.Inode); err == nil && a.Nlink > 0 { // by another name it is there still
			ino, ok = s.After.Inode, true
		}
	}
	if ok {
		if s.Before != nil {
			if err := u.edit.Remove(dir, name); err != nil {
				return err
			}
			s.Change = &Change{After: s.After} // should the next step fail
		}
		return u.edit.Link(ino, dir, name)
	}
	ino, err := u.edit.PutBack(dir, name, tsync.FromRepo(s.After.Row))
	if err == nil {
		u.made[s.After.Inode] = ino
	}
	return err
}
