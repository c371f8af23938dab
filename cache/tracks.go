package cache

import (
	"cmp"
	"errors"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/internal/kv"
)

// Track is a regular file with what is known of it without reading it.
type Track struct {
	Ino   Ino
	Size  int64
	Sound int64  // of Size, what goes behind names and tags
	Owed  int64  // of Sound, what is not in the bucket yet
	Waits bool   // its name, tags or attributes are not in the bucket yet, or not all
	Label []byte // what it says of itself; nil if it was not asked yet
}

// Tracks calls fn for each regular file below dir, once however many names it
// has. Only rows are read. fn may not keep the label.
func (c *Cache) Tracks(dir Ino, fn func(Track)) error {
	within, err := c.filesBelow(dir)
	if err != nil {
		return err
	}
	files, err := c.briefFiles(within)
	if err != nil {
		return err
	}
	if err := c.noteWaiting(files); err != nil {
		return err
	}
	// Rows are in the order of inodes: files and labels are walked side by side.
	next := 0
	err = c.db.Scan(bLabel, nil, nil, func(k, v []byte) bool {
		for ino := keyIno(k); next < len(files) && files[next].Ino <= ino; next++ {
			if files[next].Ino == ino {
				files[next].Label = v
			}
			fn(files[next])
			files[next].Label = nil
		}
		return next < len(files)
	})
	for ; err == nil && next < len(files); next++ {
		fn(files[next])
	}
	return err
}

// Labels calls fn for each regular file that has a name, by number, with what it says of
// itself; nil if it was not asked yet. fn may not keep that. Little is held in memory, however
// many there are, so a change that is made meanwhile may be seen or not.
func (c *Cache) Labels(fn func(ino Ino, says []byte)) error {
	var files []Ino
	page := func() error {
		if len(files) == 0 {
			return nil
		}
		next, last := 0, files[len(files)-1]
		err := c.db.Scan(bLabel, nil, inoKey(files[0]-1), func(k, v []byte) bool {
			ino := keyIno(k)
			for ; next < len(files) && files[next] < ino; next++ {
				fn(files[next], nil)
			}
			if next < len(files) && files[next] == ino {
				fn(ino, v)
				next++
			}
			return ino < last
		})
		for ; err == nil && next < len(files); next++ {
			fn(files[next], nil)
		}
		files = files[:0]
		return err
	}
	err := c.pages(bInode, nil, func(k, v []byte) error {
		if n, err := briefOf(v); err == nil && n.Mode&unix.S_IFMT == unix.S_IFREG && n.Nlink > 0 {
			files = append(files, keyIno(k))
		}
		if len(files) == pageOfRows {
			return page()
		}
		return nil
	})
	if err != nil {
		return err
	}
	return page()
}

// Track tells of one file what [Cache.Tracks] tells of many, but for what waits.
// ErrNotExist if it has no name any more, or is no regular file.
func (c *Cache) Track(ino Ino) (t Track, err error) {
	v, ok, err := c.db.Get(bInode, inoKey(ino))
	if err != nil {
		return t, err
	}
	n := brief{}
	if ok {
		n, err = briefOf(v)
	}
	if err != nil || n.Mode&unix.S_IFMT != unix.S_IFREG || n.Nlink == 0 {
		return t, cmp.Or(err, ErrNotExist)
	}
	t = Track{Ino: ino, Size: n.Size, Sound: n.sound()}
	t.Label, err = c.Label(ino)
	return t, err
}

// filesBelow lists what is below dir; nil stands for all that has a name.
func (c *Cache) filesBelow(dir Ino) (map[Ino]bool, error) {
	if dir == Root {
		return nil, nil
	}
	within := map[Ino]bool{dir: true}
	t, err := c.Type(dir)
	if err != nil || t != unix.S_IFDIR {
		return within, err
	}
	for todo := []Ino{dir}; len(todo) > 0; todo = todo[1:] {
		list, err := c.List(todo[0])
		if err != nil {
			return nil, err
		}
		for _, e := range list {
			within[e.Ino] = true
			if t, err := c.Type(e.Ino); err == nil && t == unix.S_IFDIR {
				todo = append(todo, e.Ino)
			}
		}
	}
	return within, nil
}

// briefFiles lists regular files in the order of their inodes.
func (c *Cache) briefFiles(within map[Ino]bool) (files []Track, err error) {
	err = c.db.Scan(bInode, nil, nil, func(k, v []byte) bool {
		ino := keyIno(k)
		if within != nil && !within[ino] {
			return true
		}
		if n, err := briefOf(v); err == nil && n.Mode&unix.S_IFMT == unix.S_IFREG && n.Nlink > 0 {
			files = append(files, Track{Ino: ino, Size: n.Size, Sound: n.sound()})
		}
		return true
	})
	return files, err
}

// noteWaiting marks the files that are not wholly in the bucket.
func (c *Cache) noteWaiting(files []Track) error {
	at := make(map[Ino]int, len(files))
	for i, f := range files {
		at[f.Ino] = i
	}
	waits := func(b kv.Bucket, note func(t *Track, v []byte)) error {
		return c.db.Scan(b, nil, nil, func(k, v []byte) bool {
			if i, ok := at[keyIno(k)]; ok {
				note(&files[i], v)
			}
			return true
		})
	}
	err := errors.Join(
		waits(bPRow, func(t *Track, v []byte) { t.Waits = t.Waits || !slices.Equal(v, onlySound) }),
		waits(bUncut, func(t *Track, _ []byte) { t.Waits, t.Owed = true, t.Sound }))
	if err != nil {
		return err
	}
	debts, err := c.Owed()
	for _, d := range debts {
		if i, ok := at[d.Ino]; ok {
			files[i].Owed = max(files[i].Owed, d.Bytes)
		}
	}
	return err
}
