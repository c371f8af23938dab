package history

import (
	"bytes"
	"encoding/binary"
	"path"
	"slices"
	"strings"

	bolt "go.etcd.io/bbolt"

	"github.com/tunesafe/tunesafe/internal/repo"
)

// State is what an inode was from one moment on.
type State struct {
	Rev    Rev
	Row    *repo.InodeRow // nil: gone
	Since  Rev            // of the row
	Places []Place        // none: it had no name
}

// Life tells what became of an inode: a state for each moment at which its row or its
// own names changed, oldest first. What happened to the folders above it counts for
// them.
func (d *DB) Life(ino uint64) (all []State, err error) {
	err = d.read(func(tx *bolt.Tx) error {
		all = nil
		revs, err := ownTurns(tx, ino)
		if err != nil {
			return err
		}
		f := newFinder(tx)
		for _, rev := range revs {
			s, err := f.state(ino, rev)
			if err != nil {
				return err
			}
			if n := len(all); n == 0 || all[n-1].Since != s.Since || (all[n-1].Row == nil) != (s.Row == nil) || !slices.Equal(all[n-1].Places, s.Places) {
				all = append(all, s)
			}
		}
		return nil
	})
	return all, err
}

func (f *finder) state(ino uint64, rev Rev) (s State, err error) {
	since, packed := lastRow(f.inodes, ino, rev)
	s = State{Rev: rev, Since: since}
	if repo.PackedType(packed) == "" {
		return s, nil
	}
	row, err := repo.UnpackInode(ino, packed)
	if err != nil {
		return s, err
	}
	s.Row = &row
	s.Places, err = f.places(ino, rev)
	return s, err
}

// ownTurns lists the moments, in order, of the rows of an inode and of all names that it
// ever had.
func ownTurns(tx *bolt.Tx, ino uint64) ([]Rev, error) {
	revs := map[Rev]bool{}
	places := map[Place]bool{}
	prefix := binary.BigEndian.AppendUint64(nil, ino)
	c := tx.Bucket(inodesBucket).Cursor()
	for k, v := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, v = c.Next() {
		revs[Rev(k[8:])] = true
		if repo.PackedType(v) == "dir" {
			row, err := repo.UnpackInode(ino, v)
			if err != nil {
				return nil, err
			}
			places[Place{row.In, row.Name}] = true
		}
	}
	c = tx.Bucket(givenBucket).Cursor()
	for k, _ := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, _ = c.Next() {
		places[Place{binary.BigEndian.Uint64(k[32:40]), string(k[40:])}] = true
	}
	for p := range places {
		more, err := turns(tx, p.In, p.Name)
		if err != nil {
			return nil, err
		}
		for _, r := range more {
			revs[r] = true
		}
	}
	return sortedRevs(revs), nil
}

// Along tells what lay at a slash-separated path from the top of the drive, and from when
// to when, oldest first: folders on the way may have been others at other times.
func (d *DB) Along(name string) ([]Holding, error) {
	at := []Holding{{Inode: Root, Type: "dir"}}
	for _, n := range strings.Split(path.Clean("/"+name), "/") {
		if n == "" {
			continue
		}
		var next []Holding
		for _, dir := range at {
			in, err := d.Holdings(dir.Inode, n)
			if err != nil {
				return nil, err
			}
			for _, h := range in {
				if h, ok := h.within(dir); ok {
					next = append(next, h)
				}
			}
		}
		at = next
	}
	slices.SortStableFunc(at, func(a, b Holding) int { return a.From.Compare(b.From) })
	return at, nil
}

// within cuts a holding down to the time in which another held.
func (h Holding) within(outer Holding) (Holding, bool) {
	if outer.From.Compare(h.From) > 0 {
		h.From = outer.From
	}
	if h.To.IsZero() || !outer.To.IsZero() && outer.To.Compare(h.To) < 0 {
		h.To = outer.To
	}
	return h, h.To.IsZero() || h.From.Compare(h.To) < 0
}
