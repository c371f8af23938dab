package cache

import (
	"fmt"
	"maps"
	"slices"
)

// revive gives files a name again that lost their last one elsewhere and have
// changes that are only here. Their row and name wait for a commit then, and so
// do the directories above, which may be gone elsewhere, too.
func (x *absorption) revive() error {
	for _, ino := range slices.Sorted(maps.Keys(x.taken)) { // each time the same, as two may want one name
		at := x.taken[ino]
		n, err := x.there(ino)
		if err != nil {
			return err
		}
		if n == nil || n.Nlink > 0 {
			continue
		}
		waits, err := x.c.marked(bPRow, ino) // cut already, and in no commit
		if err != nil {
			return err
		}
		if !n.dirty() && !waits {
			continue
		}
		if at, err = x.free(at); err != nil {
			return err
		}
		key := nameKey(at.Parent, at.Name)
		was, ok, err := x.c.db.Get(bName, key)
		if err != nil {
			return err
		}
		var before *name
		if ok {
			e := decodeName(was)
			before = &e
		}
		if err := x.waitName(key, before); err != nil {
			return err
		}
		x.setName(at.Parent, at.Name, &name{ino: ino})
		n.Nlink, n.CVer = 1, 0
		x.wait(ino, n)
		x.c.log.Warn("a file that was removed by another device has changes here; it stays", "ino", ino, "name", at.Name)
		if err := x.keepAbove(at.Parent); err != nil {
			return err
		}
	}
	return nil
}

// free is at, or a name beside it if that has been given to something else.
func (x *absorption) free(at NameRow) (NameRow, error) {
	for i, n := 1, at.Name; ; i++ {
		_, taken, err := x.nameAt(at.Parent, at.Name)
		if err == nil && !taken && at.Name != n {
			taken, err = x.waits(at.Parent, at.Name)
		}
		if err != nil || !taken {
			return at, err
		}
		at.Name = withMark(n, fmt.Sprintf(" (changed here, %d)", i))
	}
}

// keepAbove has a directory and those above it stay, whatever the bucket says of them.
func (x *absorption) keepAbove(dir Ino) error {
	for dir != Root && !x.kept[dir] {
		n, err := x.there(dir)
		if err != nil || n == nil {
			return err
		}
		x.kept[dir] = true
		x.wait(dir, n)
		dir = n.Parent
	}
	return nil
}
