package past

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"

	"github.com/tunesafe/tunesafe/internal/history"
	"github.com/tunesafe/tunesafe/internal/repo"
)

// Side is a thing at one of two moments.
type Side struct {
	history.Entry
	In   uint64 // the folder it is in
	Path string // from the top of the drive, beginning with a slash
	Row  repo.InodeRow
}

// Change is what became of a thing between two moments.
type Change struct {
	Before, After *Side // nil: it was not there yet, or is there no more
}

// Path names the thing: as it is after the change if it is there.
func (c *Change) Path() string {
	if c.After != nil {
		return c.After.Path
	}
	return c.Before.Path
}

// Moved reports whether it lies elsewhere.
func (c *Change) Moved() bool {
	return c.Before != nil && c.After != nil && c.Before.Path != c.After.Path
}

// Diff lists what differs between two moments at and below the paths, sorted by path; none
// are the whole drive. It costs a look at each name there; only what differs is kept in
// memory. What moved along with its folder is not told again.
func Diff(ctx context.Context, a, b *history.View, paths []string) ([]Change, error) {
	d := &differ{ctx: ctx, a: a, b: b}
	if len(paths) == 0 {
		paths = []string{"/"}
	}
	for _, p := range paths {
		if err := d.root(path.Clean("/" + p)); err != nil {
			return nil, err
		}
	}
	if err := d.pair(); err != nil {
		return nil, err
	}
	for i := range d.all {
		if err := d.rows(&d.all[i]); err != nil {
			return nil, err
		}
	}
	d.all = slices.DeleteFunc(d.all, func(c Change) bool { return !c.differs() })
	slices.SortFunc(d.all, func(x, y Change) int { return cmp.Compare(x.Path(), y.Path()) })
	return d.all, nil
}

type differ struct {
	ctx  context.Context
	a, b *history.View
	all  []Change
}

// root begins at one path, which one of the moments need not have.
func (d *differ) root(p string) error {
	before, err := d.side(d.a, p)
	if err != nil {
		return err
	}
	after, err := d.side(d.b, p)
	if err != nil {
		return err
	}
	return d.both(before, after)
}

// side finds what lay at a path; nil for nothing.
func (d *differ) side(v *history.View, p string) (*Side, error) {
	if p == "/" {
		row, since, err := v.Inode(history.Root)
		if errors.Is(err, history.ErrNotExist) {
			err = nil
		}
		return &Side{Entry: history.Entry{Inode: history.Root, Type: "dir", Since: since}, Path: "/", Row: row}, err
	}
	dir, err := v.Walk(path.Dir(p))
	if err == nil {
		var e history.Entry
		if e, err = v.Lookup(dir.Inode, path.Base(p)); err == nil {
			return &Side{Entry: e, In: dir.Inode, Path: p}, nil
		}
	}
	if errors.Is(err, history.ErrNotExist) {
		return nil, nil
	}
	return nil, err
}

// both compares what lay at one path; either may be nil.
func (d *differ) both(before, after *Side) error {
	if err := d.ctx.Err(); err != nil {
		return err
	}
	switch {
	case before == nil && after == nil:
		return nil
	case before == nil || after == nil, before.Inode != after.Inode, before.Since != after.Since,
		before.In != after.In: // folders changed their names, and it went from one to the other
		d.all = append(d.all, Change{before, after})
	}
	dirs := [2]*Side{folder(before), folder(after)}
	if dirs[0] == nil && dirs[1] == nil {
		return nil
	}
	x, err := d.list(d.a, dirs[0])
	if err != nil {
		return err
	}
	y, err := d.list(d.b, dirs[1])
	if err != nil {
		return err
	}
	for len(x)+len(y) > 0 {
		var l, r *Side
		if len(y) == 0 || len(x) > 0 && x[0].Name <= y[0].Name {
			l = &x[0]
		}
		if len(x) == 0 || len(y) > 0 && y[0].Name <= x[0].Name {
			r = &y[0]
		}
		if l != nil {
			x = x[1:]
		}
		if r != nil {
			y = y[1:]
		}
		if err := d.both(l, r); err != nil {
			return err
		}
	}
	return nil
}

func folder(s *Side) *Side {
	if s == nil || s.Type != "dir" {
		return nil
	}
	return s
}

func (d *differ) list(v *history.View, dir *Side) ([]Side, error) {
	if dir == nil {
		return nil, nil
	}
	entries, err := v.List(dir.Inode)
	all := make([]Side, len(entries))
	for i, e := range entries {
		all[i] = Side{Entry: e, In: dir.Inode, Path: path.Join(dir.Path, e.Name)}
	}
	return all, err
}

// pair makes one change of what is gone at one path and new at another. What took
// another's place counts as its next version, as when a tag editor writes a file anew, unless
// one of the two is elsewhere at the other moment.
func (d *differ) pair() error {
	gone, came := map[uint64]int{}, map[uint64]int{}
	for _, c := range d.all {
		if c.Before != nil && (c.After == nil || c.After.Inode != c.Before.Inode) {
			gone[c.Before.Inode]++
		}
		if c.After != nil && (c.Before == nil || c.After.Inode != c.Before.Inode) {
			came[c.After.Inode]++
		}
	}
	var out []Change
	before, after := map[uint64][]*Side{}, map[uint64][]*Side{}
	for _, c := range d.all {
		switch {
		case c.Before != nil && c.After != nil && (c.Before.Inode == c.After.Inode ||
			came[c.Before.Inode] == 0 && gone[c.After.Inode] == 0 && (c.Before.Type == "dir") == (c.After.Type == "dir")):
			out = append(out, c)
			continue
		}
		if c.Before != nil {
			before[c.Before.Inode] = append(before[c.Before.Inode], c.Before)
		}
		if c.After != nil {
			after[c.After.Inode] = append(after[c.After.Inode], c.After)
		}
	}
	for ino, olds := range before {
		news := after[ino]
		for i, old := range olds {
			c := Change{Before: old}
			if i < len(news) {
				c.After = news[i]
			}
			out = append(out, c)
		}
		after[ino] = news[min(len(olds), len(news)):]
	}
	lone := map[uint64]int{} // what is gone, by inode: its place in out
	for i, c := range out {
		if c.After == nil {
			lone[c.Before.Inode] = i
		}
	}
	for _, news := range after {
		for _, s := range news {
			i, err := d.ancestor(s, lone)
			if err != nil {
				return err
			}
			if i < 0 {
				out = append(out, Change{After: s})
				continue
			}
			out[i].After = s
			delete(lone, out[i].Before.Inode)
		}
	}
	d.all = out
	return nil
}

// ancestor finds what a file was written over, that is gone; -1 if there is none.
func (d *differ) ancestor(s *Side, lone map[uint64]int) (int, error) {
	if s.Type != "file" || len(lone) == 0 {
		return -1, nil
	}
	all, err := d.b.DB().Ancestors(s.Inode)
	for _, ino := range all {
		if i, ok := lone[ino]; ok {
			return i, err
		}
	}
	return -1, err
}

// rows reads the rows of what differs.
func (d *differ) rows(c *Change) error {
	for _, s := range []struct {
		v    *history.View
		side *Side
	}{{d.a, c.Before}, {d.b, c.After}} {
		if s.side == nil {
			continue
		}
		row, _, err := s.v.Inode(s.side.Inode)
		if err != nil && s.side.Inode != history.Root {
			return fmt.Errorf("%s: %w", s.side.Path, err)
		}
		s.side.Row = row
	}
	return nil
}

// differs leaves out what moved along with its folder, and folders of which only the
// time is another, as what is in them changed.
func (c *Change) differs() bool {
	if c.Before == nil || c.After == nil {
		return true
	}
	if c.Before.In != c.After.In || c.Before.Name != c.After.Name {
		return true
	}
	if c.Before.Inode == c.After.Inode && c.Before.Since == c.After.Since {
		return false
	}
	return !sameState(&c.Before.Row, &c.After.Row)
}
