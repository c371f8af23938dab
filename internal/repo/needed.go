package repo

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"

	bolt "go.etcd.io/bbolt"
)

// ErrMoved: a commit was taken in while it was found out what is needed.
var ErrMoved = errors.New("a commit was taken in meanwhile")

// Needs finds out what of the repository is still needed: [Needs.Add] is told of every
// blob that is, in any order and as often as one likes, and then [Needs.Uses] tells of
// each object how much of it is. It takes a bit of memory for each placement and 16 MiB:
// what is added is gathered, sorted, and compared with the index in one walk.
//
// A blob that lies in several objects is counted in the newest of them alone that is in
// use. If all of them are condemned it is counted in each: who condemned one may have done
// so for another's sake, whose own condemnation he had not heard of.
type Needs struct {
	x       *Index
	doubted map[string]bool
	applied uint64
	batch   []ID
	needed  []uint64 // by the place of a row in the index, a bit each
}

// needsAtOnce is how many blobs are gathered.
const needsAtOnce = 1 << 20

// Use is how much of an object is needed.
type Use struct {
	Object             ObjectRow // without its blobs
	Blobs, Needed      int64
	Bytes, NeededBytes int64 // of blobs
	Condemned          bool
	number             uint32
}

// Needs begins to find it out. No commit may be taken in before its last use.
func (x *Index) Needs() *Needs {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return &Needs{x: x, applied: x.applied}
}

// Doubt says that objects are condemned of which the index does not know it yet.
func (m *Needs) Doubt(names map[string]bool) { m.doubted = names }

// Add says that a blob is needed.
func (m *Needs) Add(id ID) error {
	if n := len(m.batch); n > 0 && m.batch[n-1] == id {
		return nil
	}
	m.batch = append(m.batch, id)
	if len(m.batch) < needsAtOnce {
		return nil
	}
	m.tidy()
	if len(m.batch) < needsAtOnce/2 {
		return nil
	}
	return m.flush()
}

func (m *Needs) tidy() {
	slices.SortFunc(m.batch, func(a, b ID) int { return bytes.Compare(a[:], b[:]) })
	m.batch = slices.Compact(m.batch)
}

// flush walks the placements beside what was gathered.
func (m *Needs) flush() error {
	m.tidy()
	batch := m.batch
	err := m.walk(func(rank int, id ID, _ uint32, _ []byte) error {
		for len(batch) > 0 && bytes.Compare(batch[0][:], id[:]) < 0 {
			batch = batch[1:]
		}
		for rank/64 >= len(m.needed) {
			m.needed = append(m.needed, 0)
		}
		if len(batch) > 0 && batch[0] == id {
			m.needed[rank/64] |= 1 << (rank % 64)
		}
		return nil
	})
	m.batch = m.batch[:0]
	return err
}

// walk goes through all placements by blob, then object.
func (m *Needs) walk(fn func(rank int, id ID, number uint32, place []byte) error) error {
	err := m.x.db.View(func(tx *bolt.Tx) error {
		rank := 0
		c := tx.Bucket(blobsBucket).Cursor()
		for k, v := c.First(); k != nil; k, v = c.Next() {
			m.x.db.Visited(tx, 1)
			if err := fn(rank, ID(k[:16]), binary.BigEndian.Uint32(k[16:]), v); err != nil {
				return err
			}
			rank++
		}
		return nil
	})
	m.x.mu.RLock()
	defer m.x.mu.RUnlock()
	if m.x.applied != m.applied {
		return ErrMoved
	}
	return err
}

// Uses tells of each object how much of it is needed, by its name.
func (m *Needs) Uses() ([]Use, error) {
	if err := m.flush(); err != nil {
		return nil, err
	}
	m.batch = nil // what follows may need the room
	uses, err := m.uses()
	if err != nil {
		return nil, err
	}
	err = m.each(uses, func(id ID, size int64, at, counts []*Use) {
		for _, u := range at {
			u.Blobs++
			u.Bytes += size
		}
		for _, u := range counts {
			u.Needed++
			u.NeededBytes += size
		}
	})
	out := make([]Use, 0, len(uses))
	for _, u := range uses {
		out = append(out, *u)
	}
	slices.SortFunc(out, func(a, b Use) int { return bytes.Compare(nameKey(a.Object.Name), nameKey(b.Object.Name)) })
	return out, err
}

// Blobs lists the blobs for which some of the objects are needed, by object.
func (m *Needs) Blobs(of []Use) (map[string][]ID, error) {
	wanted := map[uint32]bool{}
	for _, u := range of {
		wanted[u.number] = true
	}
	uses, err := m.uses()
	if err != nil {
		return nil, err
	}
	needed := map[string][]ID{}
	err = m.each(uses, func(id ID, _ int64, _, counts []*Use) {
		for _, u := range counts {
			if wanted[u.number] {
				needed[u.Object.Name] = append(needed[u.Object.Name], id)
			}
		}
	})
	return needed, err
}

// each calls fn with each blob, its size, the objects that have it, and those in
// which it counts; none if it is not needed.
func (m *Needs) each(uses map[uint32]*Use, fn func(id ID, size int64, at, counts []*Use)) error {
	var last ID
	var at []*Use
	var size int64
	needed := false
	give := func() {
		var counts []*Use
		if needed {
			counts = at
			for i, u := range at {
				if !u.Condemned {
					counts = at[i : i+1]
				}
			}
		}
		if len(at) > 0 {
			fn(last, size, at, counts)
		}
		at = at[:0]
	}
	err := m.walk(func(rank int, id ID, number uint32, place []byte) error {
		if id != last {
			give()
		}
		var p Placement
		if err := p.decode(place); err != nil {
			return err
		}
		last, size = id, p.Size
		needed = rank/64 < len(m.needed) && m.needed[rank/64]&(1<<(rank%64)) != 0
		if u := uses[number]; u != nil {
			at = append(at, u)
		}
		return nil
	})
	if err == nil {
		give()
	}
	return err
}

// uses lists the objects by number, nothing of them counted yet.
func (m *Needs) uses() (map[uint32]*Use, error) {
	uses := map[uint32]*Use{}
	err := m.x.db.View(func(tx *bolt.Tx) error {
		condemned := tx.Bucket(condemnedBucket)
		return tx.Bucket(objectsBucket).ForEach(func(k, v []byte) error {
			m.x.db.Visited(tx, 1)
			o, err := decodeObjectHead(v)
			number := binary.BigEndian.Uint32(k)
			is := m.doubted[o.Name] || isCondemned(condemned.Cursor(), nameKey(o.Name))
			uses[number] = &Use{Object: o, Condemned: is, number: number}
			return err
		})
	})
	return uses, err
}
