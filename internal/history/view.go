package history

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/tunesafe/tunesafe/internal/repo"
)

// Root is the number of the drive's top folder.
const Root uint64 = 1

// View is the drive at one moment. A look-up in it costs a few seeks, a listing
// some for each name that the folder ever had. It reads the database at each call, so it
// stays of use while commits are added.
type View struct {
	d   *DB
	rev Rev
}

// Entry is a name in a folder.
type Entry struct {
	Name  string
	Inode uint64
	Type  string // as of [repo.InodeRow]
	Since Rev    // of its row
}

// Place is where an inode lies.
type Place struct {
	In   uint64
	Name string
}

// Moments lists the commits that changed something, oldest first, but for those that a
// prune had forgotten.
func (d *DB) Moments() (all []Moment, err error) {
	err = d.db.View(func(tx *bolt.Tx) error {
		return tx.Bucket(momentsBucket).ForEach(func(k, v []byte) error {
			all = append(all, decodeMoment(k, v))
			return nil
		})
	})
	return all, err
}

// MomentAt is the newest moment not after rev; ok is false before the first.
func (d *DB) MomentAt(rev Rev) (m Moment, ok bool, err error) {
	err = d.db.View(func(tx *bolt.Tx) error {
		c := tx.Bucket(momentsBucket).Cursor()
		k, v := atOrBefore(c, rev[:])
		if ok = k != nil; ok {
			m = decodeMoment(k, v)
		}
		return nil
	})
	return m, ok, err
}

// At is the drive as of rev: all commits not after it count. [After] makes one of a
// time.
func (d *DB) At(rev Rev) *View { return &View{d, rev} }

// AtTime is the drive at t; [ErrNotExist] before the first moment.
func (d *DB) AtTime(t time.Time) (*View, error) {
	m, ok, err := d.MomentAt(After(t))
	if err == nil && !ok {
		err = ErrNotExist
	}
	return d.At(m.Rev), err
}

// DB is the history that the view is of.
func (v *View) DB() *DB { return v.d }

// Rev is the place in the log that the view is of.
func (v *View) Rev() Rev { return v.rev }

// Inode gives the row of an inode, and since when it held. [ErrNotExist] if there is
// none, or it was gone. Whether it has a name is another matter.
func (v *View) Inode(ino uint64) (row repo.InodeRow, since Rev, err error) {
	err = v.read(func(tx *bolt.Tx) error {
		rev, packed := lastRow(tx.Bucket(inodesBucket).Cursor(), ino, v.rev)
		if repo.PackedType(packed) == "" {
			return ErrNotExist
		}
		since = rev
		row, err = repo.UnpackInode(ino, packed)
		return err
	})
	return row, since, err
}

// Lookup finds a name in a folder.
func (v *View) Lookup(dir uint64, name string) (e Entry, err error) {
	err = v.read(func(tx *bolt.Tx) error {
		e, err = newFinder(tx).find(dir, name, v.rev)
		return err
	})
	return e, err
}

// List gives the names in a folder, in the order of their bytes.
func (v *View) List(dir uint64) (all []Entry, err error) {
	err = v.read(func(tx *bolt.Tx) error {
		f := newFinder(tx)
		c := tx.Bucket(namesBucket).Cursor()
		prefix := binary.BigEndian.AppendUint64(nil, dir)
		for k, _ := c.Seek(prefix); bytes.HasPrefix(k, prefix); {
			name := keyName(k)
			e, err := f.find(dir, name, v.rev)
			if err == nil {
				all = append(all, e)
			} else if !errors.Is(err, ErrNotExist) {
				return err
			}
			k, _ = c.Seek(append(append(binary.BigEndian.AppendUint64(nil, dir), name...), 1))
		}
		return nil
	})
	return all, err
}

// Names gives where an inode lies: several places for a file with several names.
func (v *View) Names(ino uint64) (places []Place, err error) {
	err = v.read(func(tx *bolt.Tx) error {
		places, err = newFinder(tx).places(ino, v.rev)
		return err
	})
	return places, err
}

// Walk finds what lies at a slash-separated path from the top of the drive.
func (v *View) Walk(name string) (e Entry, err error) {
	e = Entry{Inode: Root, Type: "dir"}
	for _, n := range strings.Split(path.Clean("/"+name), "/") {
		if n == "" {
			continue
		}
		if e.Type != "dir" {
			return e, fmt.Errorf("%s: %w", name, ErrNotExist)
		}
		if e, err = v.Lookup(e.Inode, n); err != nil {
			return e, fmt.Errorf("%s: %w", name, err)
		}
	}
	return e, nil
}

// Path gives the path of a place from the top of the drive, beginning with a slash;
// false if it is not below the top.
func (v *View) Path(p Place) (string, bool, error) {
	name := "/" + p.Name
	for range repo.MaxDepth {
		if p.In == Root {
			return name, true, nil
		}
		row, _, err := v.Inode(p.In)
		if errors.Is(err, ErrNotExist) || err == nil && row.Type != "dir" {
			return "", false, nil
		}
		if err != nil {
			return "", false, err
		}
		name = "/" + row.Name + name
		p.In = row.In
	}
	return "", false, nil
}

// read reads the database; what cannot be read there is damage.
func (v *View) read(fn func(*bolt.Tx) error) error { return v.d.read(fn) }

func (d *DB) read(fn func(*bolt.Tx) error) error {
	err := d.db.View(fn)
	if errors.Is(err, repo.ErrPackedRow) {
		return d.damaged(err)
	}
	return err
}

// finder looks for names in one transaction.
type finder struct{ names, inodes, given *bolt.Cursor }

func newFinder(tx *bolt.Tx) *finder {
	return &finder{tx.Bucket(namesBucket).Cursor(), tx.Bucket(inodesBucket).Cursor(), tx.Bucket(givenBucket).Cursor()}
}

// find finds what a name stood for at rev. That a name was taken away counts for what
// is no directory only.
func (f *finder) find(dir uint64, name string, rev Rev) (Entry, error) {
	key := nameKey(dir, name, rev)
	prefix := key[:len(key)-len(rev)]
	unnamed := false
	for k, v := atOrBefore(f.names, key); k != nil && bytes.HasPrefix(k, prefix); k, v = f.names.Prev() {
		h := decodeHolder(v)
		if h.ino == 0 {
			unnamed = true
			continue
		}
		since, packed := lastRow(f.inodes, h.ino, rev)
		kind := repo.PackedType(packed)
		switch {
		case h.dir && !bytes.Equal(k[len(prefix):], since[:]), !h.dir && unnamed, kind == "":
			return Entry{}, ErrNotExist
		}
		return Entry{name, h.ino, kind, since}, nil
	}
	return Entry{}, ErrNotExist
}

// places finds the names that an inode had at rev.
func (f *finder) places(ino uint64, rev Rev) (all []Place, err error) {
	_, packed := lastRow(f.inodes, ino, rev)
	if repo.PackedType(packed) == "dir" {
		row, err := repo.UnpackInode(ino, packed)
		if err != nil || row.In == 0 {
			return nil, err
		}
		if e, err := f.find(row.In, row.Name, rev); err != nil || e.Inode != ino {
			return nil, nil //nolint:nilerr // something else has its name
		}
		return []Place{{row.In, row.Name}}, nil
	}
	had := map[Place]bool{}
	prefix := binary.BigEndian.AppendUint64(nil, ino)
	for k, _ := f.given.Seek(prefix); bytes.HasPrefix(k, prefix) && bytes.Compare(k[8:32], rev[:]) <= 0; k, _ = f.given.Next() {
		p := Place{binary.BigEndian.Uint64(k[32:40]), string(k[40:])}
		if had[p] {
			continue
		}
		had[p] = true
		if e, err := f.find(p.In, p.Name, rev); err == nil && e.Inode == ino {
			all = append(all, p)
		}
	}
	return all, nil
}

// holder is what a name got; ino 0 is nothing.
type holder struct {
	ino uint64
	dir bool // placed there by its own row
}

func (h holder) encode() []byte {
	b := binary.BigEndian.AppendUint64(nil, h.ino)
	if h.dir {
		b = append(b, 1)
	}
	return b
}

func decodeHolder(v []byte) holder {
	if len(v) < 8 {
		return holder{}
	}
	return holder{binary.BigEndian.Uint64(v), len(v) > 8}
}

func inodeKey(ino uint64, rev Rev) []byte {
	return append(binary.BigEndian.AppendUint64(make([]byte, 0, 32), ino), rev[:]...)
}

// nameKey ends the name with a byte that no name has, so that names sort as their bytes.
func nameKey(dir uint64, name string, rev Rev) []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, 33+len(name)), dir)
	return append(append(append(b, name...), 0), rev[:]...)
}

// keyName is the name in a nameKey.
func keyName(k []byte) string { return string(k[8 : 8+bytes.IndexByte(k[8:], 0)]) }

func givenKey(ino uint64, rev Rev, in uint64, name string) []byte {
	return append(binary.BigEndian.AppendUint64(inodeKey(ino, rev), in), name...)
}

// atOrBefore seeks the last key that is not behind key.
func atOrBefore(c *bolt.Cursor, key []byte) (k, v []byte) {
	k, v = c.Seek(key)
	switch {
	case k == nil:
		return c.Last()
	case bytes.Equal(k, key):
		return k, v
	}
	return c.Prev()
}

// lastRow is the newest row of an inode not after rev; nil if there is none.
func lastRow(c *bolt.Cursor, ino uint64, rev Rev) (since Rev, packed []byte) {
	k, v := atOrBefore(c, inodeKey(ino, rev))
	if len(k) != 32 || binary.BigEndian.Uint64(k) != ino {
		return Rev{}, nil
	}
	return Rev(k[8:]), v
}
