package browse

import (
	"errors"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/catalog"
	"github.com/tunesafe/tunesafe/internal/label"
)

// follow takes in what changed. What it cannot tell from that makes the catalog stale.
// l.mu is held.
func (l *Library) follow(inos []cache.Ino, names []cache.NameRow) error {
	l.lose(names)
	for _, ino := range inos {
		if err := l.again(ino, ""); err != nil {
			return err
		}
	}
	for _, n := range names {
		if n.Ino == 0 {
			continue
		}
		if !l.catalog.Has(n.Ino) {
			if err := l.again(n.Ino, n.Name); err != nil {
				return err
			}
		}
		l.place(l.catalog, n)
	}
	for _, ino := range inos {
		if l.catalog.Has(ino) && l.catalog.File(ino) == "" {
			l.stale = true // it proved to be music long after it got its name
		}
	}
	return l.folders(l.catalog)
}

// lose looks for tracks that lost a name and are still there, perhaps under another
// that was not told.
func (l *Library) lose(names []cache.NameRow) {
	told := map[cache.Ino]bool{}
	gone := 0
	for _, n := range names {
		told[n.Ino] = true
		if n.Ino == 0 {
			gone++
		}
	}
	if gone > lookups {
		l.stale = true
		return
	}
	for _, n := range names {
		if n.Ino != 0 {
			continue
		}
		ino := l.catalog.At(n.Parent, n.Name)
		if ino == 0 || told[ino] {
			continue
		}
		if a, err := l.o.Cache.Attr(ino); err == nil && a.Nlink > 0 {
			l.stale = true
		}
	}
}

// again looks at a file or folder; name is that of a file which the catalog does not
// know.
func (l *Library) again(ino cache.Ino, name string) error {
	c := l.catalog
	if c.HasFolder(ino) {
		if called, parent, err := l.o.Cache.DirName(ino); err == nil {
			c.Folder(ino, parent, called)
		}
		return nil
	}
	t, err := l.o.Cache.Track(ino)
	if errors.Is(err, cache.ErrNotExist) {
		c.Remove(ino)
		return nil
	}
	if err != nil {
		return err
	}
	if t.Label != nil {
		says, _ := label.Decode(t.Label) // what cannot be decoded is no music
		c.Put(ino, says, false)
		return nil
	}
	if name == "" {
		name = c.File(ino)
	}
	if format := catalog.FormatOf(name); format != "" && !c.Waits(ino) {
		c.Put(ino, label.Label{Format: format}, true)
		l.unread = append(l.unread, ino)
		l.learn()
	}
	return nil
}
