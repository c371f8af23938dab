package past

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/history"
	"github.com/tunesafe/tunesafe/internal/repo"
	tsync "github.com/tunesafe/tunesafe/sync"
)

var (
	// ErrNothing: nothing was changed there.
	ErrNothing = errors.New("there is nothing to undo")
	// ErrGap: commits are lost by which it is not known how all of it was.
	ErrGap = errors.New("commits of then are lost: how all of it was is not known")
	// ErrWaits: what is to be undone would be lost, as the store has not got it yet.
	ErrWaits = errors.New("changes of names or tags are not in the store yet, and could not be had again")
	// ErrFed: a folder of a machine feeds the place.
	ErrFed = errors.New("is fed by a folder, whose next backup would bring back what it has")
)

// LastChange finds the state before the newest commit that changed something at or
// below a path.
func LastChange(ctx context.Context, db *history.DB, name string) (*history.View, error) {
	all, err := db.Moments()
	if err != nil {
		return nil, err
	}
	for _, m := range slices.Backward(all) {
		before := db.At(m.Rev.Before())
		changes, err := Diff(ctx, before, db.At(m.Rev), []string{name})
		if err != nil {
			return nil, err
		}
		if len(changes) > 0 {
			return before, nil
		}
	}
	return nil, fmt.Errorf("%s: %w", name, ErrNothing)
}

// Undoing lists what has to be done for the drive to be as it was at and below the paths;
// none are all of it. Where something came from elsewhere, or went there, that is undone,
// too. Before is what is there now, After what was.
func Undoing(ctx context.Context, then *history.View, paths []string) ([]Change, error) {
	if gaps, err := then.DB().GapsAt(then.Rev().Time()); err != nil || len(gaps) > 0 { // what it lacks would be removed
		return nil, errors.Join(err, orNil(len(gaps) > 0, ErrGap))
	}
	now := then.DB().At(history.Newest)
	for {
		changes, err := Diff(ctx, now, then, paths)
		if err != nil || len(paths) == 0 {
			return changes, err
		}
		n := len(paths)
		for _, c := range changes {
			for _, end := range []struct {
				side  *Side
				other *history.View
			}{{c.Before, then}, {c.After, now}} {
				if end.side == nil || c.Before != nil && c.After != nil {
					continue
				}
				if paths, err = elsewhere(end.other, end.side.Inode, paths); err != nil {
					return nil, err
				}
			}
		}
		if len(paths) == n {
			return changes, nil
		}
	}
}

// elsewhere adds the paths that an inode had at a moment, but for those below a path that is
// listed.
func elsewhere(v *history.View, ino uint64, paths []string) ([]string, error) {
	places, err := v.Names(ino)
	if errors.Is(err, history.ErrNotExist) {
		return paths, nil
	}
	for _, place := range places {
		p, ok, err := v.Path(place)
		if err != nil {
			return paths, err
		}
		if ok && !slices.ContainsFunc(paths, func(of string) bool { return within(p, of) }) {
			paths = append(paths, p)
		}
	}
	return paths, err
}

func within(p, dir string) bool {
	return p == dir || strings.HasPrefix(p, strings.TrimSuffix(dir, "/")+"/")
}

// Undo does what [Undoing] listed, as changes like any other: the next commit holds them, and
// they can be undone. No sound moves: a file gets the recipe that it had. What cannot be done
// is named by the error, and the rest is done.
func (p *Past) Undo(ctx context.Context, c *cache.Cache, changes []Change) (done int, err error) {
	if waits, err := c.LabourWaits(); err != nil || waits {
		return 0, errors.Join(err, orNil(waits, ErrWaits))
	}
	for i := range changes {
		if err := p.mayUndo(c, &changes[i]); err != nil {
			return 0, err
		}
	}
	u := &undo{p: p, c: c, edit: c.Edit()}
	var failed []error
	down := slices.Clone(changes) // by path: a folder before what is in it
	slices.Reverse(changes)
	for _, pass := range []struct {
		list []Change
		step func(*Change) (bool, error)
	}{{down, u.folder}, {down, u.move}, {down, u.put}, {changes, u.remove}} {
		for i := range pass.list {
			ch := &pass.list[i]
			if ctx.Err() != nil {
				return done, ctx.Err()
			}
			ok, err := pass.step(ch)
			if err != nil {
				failed = append(failed, fmt.Errorf("%s: %w", ch.Path(), err))
			} else if ok {
				done++
			}
		}
	}
	return done, errors.Join(failed...)
}

func orNil(is bool, err error) error {
	if is {
		return err
	}
	return nil
}

// mayUndo looks whether a change can be undone before anything is.
func (p *Past) mayUndo(c *cache.Cache, ch *Change) error {
	for _, s := range []*Side{ch.Before, ch.After} {
		if s == nil {
			continue
		}
		top, _, _ := strings.Cut(strings.TrimPrefix(s.Path, "/"), "/")
		if a, err := c.Lookup(cache.Root, top); err == nil {
			if by, err := c.FedBy(a.Ino); err != nil || by != "" {
				return errors.Join(err, fmt.Errorf("/%s %w", top, ErrFed))
			}
		}
	}
	if ch.After == nil || ch.After.Type != "file" {
		return nil
	}
	db, err := p.DB()
	if err == nil {
		err = paid(db, &ch.After.Row)
	}
	if err != nil {
		return err
	}
	return p.kept(&ch.After.Row, ch.After.Path)
}

// kept looks whether the store keeps all that a version is made of.
func (p *Past) kept(row *repo.InodeRow, name string) error {
	for _, part := range row.Parts {
		if part.Owed() {
			return fmt.Errorf("%s: %w", name, cache.ErrOwed)
		}
	}
	for _, id := range blobsOf(row) {
		if _, ok, err := p.o.Index.Lookup(id); err != nil || !ok {
			return errors.Join(err, orNil(err == nil, fmt.Errorf("%s: %w", name, ErrPruned)))
		}
	}
	return nil
}

type undo struct {
	p    *Past
	c    *cache.Cache
	edit cache.Edit
}

// dir finds the folder of a path on the drive.
func (u *undo) dir(p string) (cache.Ino, string, error) {
	a, err := tsync.Resolve(u.c, path.Dir(p))
	return a.Ino, path.Base(p), err
}

func isDir(s *Side) bool { return s != nil && s.Type == "dir" }

// folder makes a folder that was there, or gives one the attributes it had.
func (u *undo) folder(ch *Change) (bool, error) {
	switch {
	case !isDir(ch.After):
		return false, nil
	case ch.Before == nil:
		dir, name, err := u.dir(ch.After.Path)
		if err != nil {
			return false, err
		}
		return true, u.edit.Folder(dir, name, tsync.FromRepo(ch.After.Row))
	case isDir(ch.Before) && !ch.Moved():
		a, err := tsync.Resolve(u.c, ch.After.Path)
		if err != nil {
			return false, err
		}
		return true, u.edit.Attributes(a.Ino, tsync.FromRepo(ch.After.Row))
	}
	return false, nil
}

// move gives something the name back that it had.
func (u *undo) move(ch *Change) (bool, error) {
	if ch.Before == nil || ch.After == nil || !ch.Moved() {
		return false, nil
	}
	from, was, err := u.dir(ch.Before.Path)
	if err != nil {
		return false, err
	}
	to, name, err := u.dir(ch.After.Path)
	if err != nil {
		return false, err
	}
	return true, u.edit.Move(from, was, to, name)
}

// put gives a name what it had: the version of then in the place of that of now.
func (u *undo) put(ch *Change) (bool, error) {
	if ch.After == nil || isDir(ch.After) || isDir(ch.Before) {
		return false, nil
	}
	if ch.Moved() && ch.Before.Inode == ch.After.Inode && ch.Before.Since == ch.After.Since {
		return false, nil
	}
	dir, name, err := u.dir(ch.After.Path)
	if err != nil {
		return false, err
	}
	return !ch.Moved(), u.edit.PutBack(dir, name, tsync.FromRepo(ch.After.Row))
}

// remove takes away what was not there.
func (u *undo) remove(ch *Change) (bool, error) {
	if ch.After != nil {
		return false, nil
	}
	dir, name, err := u.dir(ch.Before.Path)
	if err != nil {
		return false, err
	}
	return true, u.edit.Remove(dir, name)
}
