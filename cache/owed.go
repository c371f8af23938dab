package cache

import (
	"cmp"
	"encoding/binary"
	"slices"
)

// Rank says what goes first of all that is owed.
type Rank byte

// The ranks, first to last.
const (
	RankLibrary Rank = iota // library databases, playlists: labour itself
	RankBought              // bought: to lose it costs money, and some shops are gone
	RankUnknown             // nothing tells where it came from: it may be the only copy
	RankRipped              // can be ripped again
)

// Debt is what a file owes the bucket.
type Debt struct {
	Ino   Ino
	Rank  Rank
	Bytes int64
}

// value is the row of a debt: a byte of rank, then the bytes owed.
func (d Debt) value() []byte {
	return binary.BigEndian.AppendUint64([]byte{byte(d.Rank)}, uint64(d.Bytes))
}

// debtOf reads a row of the bucket owed; ok is false if it has no value, as older
// programs wrote it.
func debtOf(k, v []byte) (d Debt, ok bool) {
	d = Debt{Ino: keyIno(k), Rank: RankUnknown}
	if ok = len(v) == 9; ok {
		d.Rank, d.Bytes = Rank(v[0]), int64(binary.BigEndian.Uint64(v[1:]))
	}
	return d, ok
}

// debt reads such a row, or finds out what it would say.
func (c *Cache) debt(k, v []byte) (Debt, error) {
	d, ok := debtOf(k, v)
	if ok {
		return d, nil
	}
	r, err := c.recipe(d.Ino)
	if err == nil {
		d.Bytes = r.owed()
	}
	return d, err
}

// owed is how many bytes of the recipe are not in the bucket yet.
func (r *Recipe) owed() (n int64) {
	for _, p := range r.Parts {
		if p.Owed {
			n += p.Size
		}
	}
	return n
}

// sound is how many bytes of the recipe are uploaded behind names and tags.
func (r *Recipe) sound() (n int64) {
	for _, p := range r.Parts {
		if p.Kind == "audio" || p.Kind == "data" {
			n += p.Size
		}
	}
	return n
}

// owe keeps what the recipe owes.
func (x *change) owe(ino Ino, r *Recipe, rank Rank) {
	if r.Owes() {
		x.b.Put(bOwed, inoKey(ino), Debt{Rank: rank, Bytes: r.owed()}.value())
	} else {
		x.b.Delete(bOwed, inoKey(ino))
	}
}

// Owed lists the files of which a part is not in the bucket yet, in the order in
// which they go there: by rank, small before large.
func (c *Cache) Owed() ([]Debt, error) {
	gone, err := c.keys(bOrphan)
	if err != nil {
		return nil, err
	}
	var debts []Debt
	var old []Ino // whose row has no value: other rows are not read amid a scan
	err = c.db.Scan(bOwed, nil, nil, func(k, v []byte) bool {
		if _, orphan := slices.BinarySearch(gone, keyIno(k)); orphan {
			return true
		}
		if d, ok := debtOf(k, v); ok {
			debts = append(debts, d)
		} else {
			old = append(old, d.Ino)
		}
		return true
	})
	for _, ino := range old {
		if err == nil {
			var d Debt
			d, err = c.debt(inoKey(ino), nil)
			debts = append(debts, d)
		}
	}
	stale := c.Stale()
	debts = slices.DeleteFunc(debts, func(d Debt) bool {
		_, held := slices.BinarySearch(stale, d.Ino)
		return held
	})
	slices.SortFunc(debts, func(a, b Debt) int {
		return cmp.Or(cmp.Compare(a.Rank, b.Rank), cmp.Compare(a.Bytes, b.Bytes), cmp.Compare(a.Ino, b.Ino))
	})
	return debts, err
}

// Paid marks a part of a file as uploaded: blobs are what its bytes proved to be.
// The row then waits for a commit. ErrChanged if the file was opened for writing
// or changed since the snapshot, ErrStale if that was outside: what was read may be
// of two states then.
//
// Like SetRecipe it may be called after Close.
func (s *Snapshot) Paid(part int, blobs []Blob) error {
	f, err := s.c.acquire(s.Ino)
	if err != nil {
		return err
	}
	defer s.c.release(f)
	return s.c.update(s.Ino, func(x *change, n *inode) error {
		f.mu.Lock()
		defer f.mu.Unlock()
		r, err := s.c.recipe(s.Ino)
		if err != nil {
			return err
		}
		if s.void(n, f) || n.Cut != n.Gen || part >= len(r.Parts) || !r.Parts[part].is(blobs) {
			return ErrChanged
		}
		if err := s.unchanged(); err != nil {
			return err
		}
		r.Parts[part].Blobs, r.Parts[part].Owed = blobs, false
		x.b.Put(bRecipe, inoKey(s.Ino), encode(r))
		was, _, err := s.c.db.Get(bOwed, inoKey(s.Ino))
		if err != nil {
			return err
		}
		d, err := s.c.debt(inoKey(s.Ino), was)
		if err != nil {
			return err
		}
		x.owe(s.Ino, r, d.Rank)
		f.layout = nil
		return x.waitForSound(s.Ino, n)
	})
}

// is reports whether the part may have these blobs: all its bytes, and no others
// than a cut found before.
func (p *Part) is(blobs []Blob) bool {
	var n int64
	for _, b := range blobs {
		n += b.Size
	}
	return n == p.Size && (len(p.Blobs) == 0 || slices.Equal(p.Blobs, blobs))
}

// onlySound is the value of a row that waits for a commit only because its sound
// is in the bucket now: no labour of anybody's waits in it.
var onlySound = []byte{1}

// waitForSound has a row wait for the next commit as one that brings no labour,
// unless it waits already.
func (x *change) waitForSound(ino Ino, n *inode) error {
	v, waits, err := x.c.db.Get(bPRow, inoKey(ino))
	if err != nil {
		return err
	}
	x.wait(ino, n)
	if !waits || slices.Equal(v, onlySound) {
		x.b.Put(bPRow, inoKey(ino), onlySound)
	}
	return nil
}

// LabourWaits reports whether anything but sound waits for the bucket: names,
// attributes, tags, art, playlists, or a file of which it is not known yet what
// it is made of.
func (c *Cache) LabourWaits() (bool, error) {
	if any, err := c.anyNamed(bUncut); err != nil || any {
		return any, err
	}
	if any, err := c.anyRow(bPRow, func(_, v []byte) bool { return !slices.Equal(v, onlySound) }); err != nil || any {
		return any, err
	}
	return c.anyRow(bPName, func(_, _ []byte) bool { return true })
}
