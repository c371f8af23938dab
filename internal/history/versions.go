package history

import (
	"bytes"
	"encoding/binary"
	"iter"

	bolt "go.etcd.io/bbolt"

	"github.com/tunesafe/tunesafe/internal/repo"
)

// Version is a row of an inode, and from which commit to before which it held.
type Version struct {
	Row      repo.InodeRow // never one that says gone
	From, To Rev           // To is zero while it holds
}

// HeldAt reports whether the version held at a moment.
func (v *Version) HeldAt(rev Rev) bool {
	return v.From.Compare(rev) <= 0 && (v.To.IsZero() || rev.Compare(v.To) < 0)
}

// Holding is what a name stood for, and from when to when.
type Holding struct {
	Inode    uint64
	Type     string // as of its newest row in that time
	From, To Rev    // To is zero while it holds
}

// Versions lists the versions of an inode, oldest first. Between two of them it was
// gone if the one's To is not the other's From.
func (d *DB) Versions(ino uint64) (all []Version, err error) {
	err = d.read(func(tx *bolt.Tx) error {
		all = nil
		w := walk{fn: func(v Version) bool { all = append(all, v); return true }}
		prefix := binary.BigEndian.AppendUint64(nil, ino)
		c := tx.Bucket(inodesBucket).Cursor()
		for k, v := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, v = c.Next() {
			if err := w.row(k, v); err != nil {
				return err
			}
		}
		w.end(Rev{})
		return nil
	})
	return all, err
}

// maxAncestors bounds how far Ancestors goes.
const maxAncestors = 10000

// Ancestors lists the inodes that one took the place of when it was written anew over them,
// the last first: tag editors make a new file of each version.
func (d *DB) Ancestors(ino uint64) (all []uint64, err error) {
	seen := map[uint64]bool{ino: true}
	for len(all) < maxAncestors {
		versions, err := d.Versions(ino)
		if err != nil || len(versions) == 0 {
			return all, err
		}
		ino = versions[len(versions)-1].Row.Succeeds
		if ino == 0 || seen[ino] {
			return all, nil
		}
		seen[ino] = true
		all = append(all, ino)
	}
	return all, nil
}

// versionsAtOnce is how many rows EachVersion reads in one transaction: while one is
// open, the database does not use the pages again that others give back.
const versionsAtOnce = 1000

// EachVersion yields every version of every inode, by number and then oldest first. It
// holds a thousand of them in memory. Commits added meanwhile may be seen or not.
func (d *DB) EachVersion() iter.Seq2[Version, error] {
	return func(yield func(Version, error) bool) {
		going := true
		w := walk{fn: func(v Version) bool { going = yield(v, nil); return going }}
		var after []byte
		for going {
			rows, err := d.rowsAfter(after)
			for _, r := range rows {
				if err == nil && going {
					err = w.row(r.key, r.value)
				}
			}
			if err != nil && going {
				yield(Version{}, err)
				return
			}
			if len(rows) == 0 {
				break
			}
			after = rows[len(rows)-1].key
		}
		if going {
			w.end(Rev{})
		}
	}
}

func (d *DB) rowsAfter(after []byte) (rows []pair, err error) {
	err = d.read(func(tx *bolt.Tx) error {
		c := tx.Bucket(inodesBucket).Cursor()
		k, v := c.Seek(after)
		if after != nil && bytes.Equal(k, after) {
			k, v = c.Next()
		}
		for ; k != nil && len(rows) < versionsAtOnce; k, v = c.Next() {
			rows = append(rows, pair{bytes.Clone(k), bytes.Clone(v)})
		}
		d.db.Visited(tx, int64(len(rows)))
		return nil
	})
	return rows, err
}

// walk makes versions of rows that come in the order of their keys.
type walk struct {
	fn   func(Version) bool
	last *Version // not given to fn yet
	done bool
}

func (w *walk) row(key, packed []byte) error {
	ino, rev := binary.BigEndian.Uint64(key), Rev(key[8:])
	if w.last != nil && w.last.Row.Inode == ino {
		w.end(rev)
	} else {
		w.end(Rev{})
	}
	row, err := repo.UnpackInode(ino, packed)
	if err == nil && !row.Gone {
		w.last = &Version{Row: row, From: rev}
	}
	return err
}

// end gives the last version to fn.
func (w *walk) end(to Rev) {
	if w.last != nil && !w.done {
		w.last.To = to
		w.done = !w.fn(*w.last)
	}
	w.last = nil
}

// Holdings tells what a name of a folder stood for over time, oldest first.
func (d *DB) Holdings(dir uint64, name string) (all []Holding, err error) {
	err = d.read(func(tx *bolt.Tx) error {
		all = nil
		revs, err := turns(tx, dir, name)
		if err != nil {
			return err
		}
		f := newFinder(tx)
		for _, rev := range revs {
			e, err := f.find(dir, name, rev)
			n := len(all)
			open := n > 0 && all[n-1].To.IsZero()
			if open && (err != nil || all[n-1].Inode != e.Inode) {
				all[n-1].To = rev
				open = false
			}
			switch {
			case err != nil:
			case open:
				all[n-1].Type = e.Type
			default:
				all = append(all, Holding{Inode: e.Inode, Type: e.Type, From: rev})
			}
		}
		return nil
	})
	return all, err
}

// turns lists the moments, in order, at which what a name stands for may change: those
// of its own rows, and those of the inodes that it stood for.
func turns(tx *bolt.Tx, dir uint64, name string) ([]Rev, error) {
	key := nameKey(dir, name, Rev{})
	prefix := key[:len(key)-len(Rev{})]
	revs := map[Rev]bool{}
	inodes := tx.Bucket(inodesBucket).Cursor()
	seen := map[uint64]bool{}
	c := tx.Bucket(namesBucket).Cursor()
	for k, v := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, v = c.Next() {
		revs[Rev(k[len(prefix):])] = true
		h := decodeHolder(v)
		if h.ino == 0 || seen[h.ino] {
			continue
		}
		seen[h.ino] = true
		own := binary.BigEndian.AppendUint64(nil, h.ino)
		for k, _ := inodes.Seek(own); bytes.HasPrefix(k, own); k, _ = inodes.Next() {
			revs[Rev(k[8:])] = true
		}
	}
	return sortedRevs(revs), nil
}
