package past

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/history"
	"github.com/tunesafe/tunesafe/internal/repo"
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
// too, and a file is what it was under all its names. Before is what is there now, After what was.
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
				if end.side == nil || c.Before != nil && c.After != nil && end.side.Type == "dir" {
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
//
// The caller sees to it that nothing is committed meanwhile: so it is one version.
func (p *Past) Undo(ctx context.Context, c *cache.Cache, changes []Change) (done int, err error) {
	if err := p.MayUndo(c, changes); err != nil {
		return 0, err
	}
	return newUndo(c, changes).all(ctx)
}

// MayUndo tells why [Past.Undo] would refuse.
func (p *Past) MayUndo(c *cache.Cache, changes []Change) error {
	if waits, err := c.LabourWaits(); err != nil || waits {
		return errors.Join(err, orNil(waits, ErrWaits))
	}
	for i := range changes {
		if err := p.mayUndo(c, &changes[i]); err != nil {
			return err
		}
	}
	return nil
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
