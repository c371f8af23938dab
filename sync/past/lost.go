package past

import (
	"context"
	"slices"

	"github.com/tunesafe/tunesafe/internal/history"
	"github.com/tunesafe/tunesafe/internal/repo"
)

// Whole is a version of a file of which the store has every part.
type Whole struct {
	Moment history.Rev // the last at which it held
	Path   string      // then
	Row    repo.InodeRow
}

// LastWhole finds the newest version of a file, or of those that it took the place of, of
// which the store has every part, and that a moment shows; nil if there is none. lost are
// the blobs that the store has not, whatever the index says.
func (p *Past) LastWhole(ctx context.Context, db *history.DB, ino uint64, lost map[repo.ID]bool) (*Whole, error) {
	older, err := db.Ancestors(ino)
	if err != nil {
		return nil, err
	}
	for _, ino := range append([]uint64{ino}, older...) {
		versions, err := db.Versions(ino)
		if err != nil {
			return nil, err
		}
		for _, v := range slices.Backward(versions) {
			if w, err := p.whole(db, v, lost); err != nil || w != nil {
				return w, err
			}
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
		}
	}
	return nil, nil
}

// whole gives a version if all of it is there, with the last moment at which it held.
func (p *Past) whole(db *history.DB, v history.Version, lost map[repo.ID]bool) (*Whole, error) {
	if v.Row.Type != "file" {
		return nil, nil
	}
	if err := paid(db, &v.Row); err != nil {
		return nil, err
	}
	if slices.ContainsFunc(v.Row.Parts, repo.Part.Owed) {
		return nil, nil
	}
	for _, id := range blobsOf(&v.Row) {
		if lost[id] {
			return nil, nil
		}
		if _, ok, err := p.o.Index.Lookup(id); err != nil || !ok {
			return nil, err
		}
	}
	before := history.Newest
	if !v.To.IsZero() {
		before = v.To.Before()
	}
	m, ok, err := db.MomentAt(before)
	if err != nil || !ok || m.Rev.Compare(v.From) < 0 {
		return nil, err // a prune had its moments forgotten
	}
	places, err := db.At(m.Rev).Names(v.Row.Inode)
	if err != nil {
		return nil, err
	}
	for _, place := range places {
		path, ok, err := db.At(m.Rev).Path(place)
		if err != nil || ok {
			return &Whole{m.Rev, path, v.Row}, err
		}
	}
	return nil, nil // it had no name then
}

// blobsOf lists the blobs that a version is made of.
func blobsOf(row *repo.InodeRow) (ids []repo.ID) {
	if row.More != nil {
		ids = append(ids, row.More.ID)
	}
	for _, part := range row.Parts {
		for _, s := range part.Blobs {
			if !s.IsZeros() {
				ids = append(ids, s.ID)
			}
		}
	}
	return ids
}

// LostVersions counts the versions that need one of the blobs, by the file that they are of.
func LostVersions(db *history.DB, lost map[repo.ID]bool) (map[uint64]int, error) {
	count := map[uint64]int{}
	for v, err := range db.EachVersion() {
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(blobsOf(&v.Row), func(id repo.ID) bool { return lost[id] }) {
			count[v.Row.Inode]++
		}
	}
	return count, nil
}
