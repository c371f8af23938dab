package repo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tunesafe/tunesafe/internal/store"
)

var errShortFrame = errors.New("a frame is cut short")

// Rebuild reads the state of the drive from packs of checkpoints alone, where the commits
// that told which blobs make up which checkpoint are lost. It looks into the packs that
// skip does not know. What it gives are the rows of the newest checkpoint, as far as its packs
// are there, and of older ones where newer packs say nothing: rather too much than too little.
//
// A pack is newer than those whose rows it holds; the store's own times only tell
// apart what that leaves open. The rows of a checkpoint are sorted, so that a blob says all there was from its
// first row to its last. Where a row begins in one blob and ends in another, the two are
// found by trying.
func Rebuild(ctx context.Context, st store.Store, k *Keys, skip func(name string) bool) ([]Row, error) {
	r := &rebuild{packs: map[string]*checkpointPack{}}
	for info, err := range st.List(ctx, "meta/", "") {
		if err != nil {
			return nil, err
		}
		if skip(info.Key) || checkObjectName(info.Key) != nil {
			continue
		}
		if _, err := plainSize(info.Size); err != nil {
			continue
		}
		if err := r.read(ctx, st, k, info); err != nil {
			return nil, err
		}
	}
	r.join()
	return r.rows(), nil
}

type rebuild struct {
	packs  map[string]*checkpointPack
	pieces []*piece
}

// checkpointPack is a pack that holds rows.
type checkpointPack struct {
	time  time.Time
	older map[string]bool // packs of checkpoints that it has rows of
	age   int             // 1 is the oldest; 0: not known yet
}

// piece is rows that followed each other in a checkpoint.
type piece struct {
	pack       *checkpointPack
	rows       []Row
	head, tail []byte // ends of rows that lie in other pieces
}

func (r *rebuild) read(ctx context.Context, st store.Store, k *Keys, info store.Info) error {
	body, err := getAll(ctx, st, info.Key, info.Size)
	if err == nil {
		pack := &checkpointPack{time: info.Time, older: map[string]bool{}}
		err = k.EachBlob(info.Key, body, nil, func(kind string, p []byte) (bool, error) {
			if kind != Checkpoint {
				return false, errOtherKind
			}
			r.packs[info.Key] = pack
			r.pieces = append(r.pieces, pack.piece(bytes.Clone(p)))
			return true, nil
		})
	}
	if errors.Is(err, errOtherKind) || IsFinding(err) || errors.Is(err, ErrWrongKey) {
		return nil // what of it is whole was taken
	}
	return err
}

var errOtherKind = errors.New("no pack of a checkpoint")

func (c *checkpointPack) piece(text []byte) *piece {
	p := &piece{pack: c}
	lines := bytes.Split(text, []byte("\n"))
	for i, line := range lines {
		row, err := parseRow(line)
		switch {
		case err == nil && i < len(lines)-1:
			p.rows = append(p.rows, row)
		case i == 0:
			p.head = line
			if len(lines) == 1 {
				return &piece{pack: c} // one row that is longer than the blob
			}
		case i == len(lines)-1:
			p.tail = line
		}
		if o, ok := row.(ObjectRow); ok && o.Kind == Checkpoint {
			c.older[o.Name] = true
		}
	}
	return p
}

// join puts rows together that lie in two pieces.
func (r *rebuild) join() {
	for _, a := range slices.Clone(r.pieces) {
		if len(a.tail) == 0 {
			continue
		}
		for _, b := range slices.Clone(r.pieces) {
			if len(b.head) == 0 {
				continue
			}
			row, err := parseRow(slices.Concat(a.tail, b.head))
			if err != nil || rowRank(row) == 0 || !between(a.rows, row, b.rows) {
				continue
			}
			pack := a.pack
			if r.age(b.pack) > r.age(a.pack) {
				pack = b.pack
			}
			r.pieces = append(r.pieces, &piece{pack: pack, rows: []Row{row}})
		}
	}
}

func between(before []Row, row Row, after []Row) bool {
	return (len(before) == 0 || compareRows(before[len(before)-1], row) < 0) && (len(after) == 0 || compareRows(row, after[0]) < 0)
}

// age tells how many generations of packs lie before one.
func (r *rebuild) age(c *checkpointPack) int {
	if c.age == 0 {
		c.age = 1 // a circle cannot be, but would end here
		for name := range c.older {
			if o := r.packs[name]; o != nil && o != c {
				c.age = max(c.age, r.age(o)+1)
			}
		}
	}
	return c.age
}

// rows lays the pieces over each other, the newest on top.
func (r *rebuild) rows() []Row {
	slices.SortStableFunc(r.pieces, func(a, b *piece) int {
		if x, y := r.age(a.pack), r.age(b.pack); x != y {
			return y - x
		}
		return b.pack.time.Compare(a.pack.time)
	})
	type stretch struct{ from, to string }
	var covered []stretch
	all := map[string]Row{}
	for _, p := range r.pieces {
		if len(p.rows) == 0 {
			continue
		}
		for _, row := range p.rows {
			key := rowKey(row)
			if !slices.ContainsFunc(covered, func(s stretch) bool { return s.from <= key && key <= s.to }) {
				all[key] = row
			}
		}
		covered = append(covered, stretch{rowKey(p.rows[0]), rowKey(p.rows[len(p.rows)-1])})
	}
	var rows []Row
	for _, key := range slices.Sorted(maps.Keys(all)) {
		rows = append(rows, all[key])
	}
	return rows
}

// rowKey sorts as [compareRows] does.
func rowKey(r Row) string {
	switch r := r.(type) {
	case ObjectRow:
		return "1" + r.Name
	case CondemnRow:
		return "2" + r.Name + r.Device
	case InodeRow:
		return fmt.Sprintf("3%016x", r.Inode)
	case NameRow:
		return fmt.Sprintf("4%016x", r.In) + r.Name
	}
	return ""
}
