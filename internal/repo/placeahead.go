package repo

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	bolt "go.etcd.io/bbolt"

	"github.com/tunesafe/tunesafe/internal/mapped"
)

// placeAtOnce is how many placements one transaction stores: of each the page is in memory, and
// what the kernel maps beside it, up to 64 KiB.
const placeAtOnce = 256

// visitedAtOnce is how many of them are stored between looks at what is mapped.
const visitedAtOnce = 64

// placed is a row of blobs.
type placed struct{ key, value []byte }

func appendPlaced(list []placed, row *ObjectRow, number []byte) []placed {
	_ = eachPlacement(row, func(id ID, p Placement) error {
		list = append(list, placed{slices.Concat(id[:], number), p.encode()})
		return nil
	})
	return list
}

// sortPlaced puts rows into their order: bbolt splits no page before the transaction ends,
// and moves all that is behind a row in its page.
func sortPlaced(list []placed) {
	slices.SortFunc(list, func(p, q placed) int { return bytes.Compare(p.key, q.key) })
}

func putPlaced(blobs *bolt.Bucket, list []placed) error {
	for _, p := range list {
		if err := blobs.Put(p.key, p.value); err != nil {
			return err
		}
	}
	return nil
}

func objectNumber(n uint64) ([]byte, error) {
	if n > math.MaxUint32 {
		return nil, fmt.Errorf("object number %d is too large", n)
	}
	return binary.BigEndian.AppendUint32(nil, uint32(n)), nil
}

// putPlaced is putPlaced of many: each may lie in a page of its own.
func (x *Index) putPlaced(tx *bolt.Tx, list []placed) error {
	blobs := tx.Bucket(blobsBucket)
	for few := range slices.Chunk(list, visitedAtOnce) {
		if err := putPlaced(blobs, few); err != nil {
			return err
		}
		x.db.Visited(tx, int64(len(few)))
	}
	mapped.MakeRoom(tx)
	return nil
}

// placeAhead stores the placements of new objects, where there are many, a part of them in
// each transaction, and tells the numbers that their objects are to have. Blob ids are
// random: the placements of one large commit touch every page of the index, and a
// transaction holds all pages it touches in memory.
//
// Until the objects themselves are stored, with the rest of the commit, these placements are
// of none, and nobody finds them. If that never happens, as the program dies, the numbers are
// not used again, and the next Apply begins with others.
func (x *Index) placeAhead(commits []*Commit) (numbers map[string][]byte, err error) {
	puts, err := x.newObjects(commits)
	if err != nil || len(puts) == 0 {
		return nil, err
	}
	var first uint64
	err = x.update(func(tx *bolt.Tx) error {
		names := tx.Bucket(namesBucket)
		first = names.Sequence() + 1
		return names.SetSequence(names.Sequence() + uint64(len(puts)))
	})
	if err != nil {
		return nil, err
	}
	numbers = map[string][]byte{}
	var list []placed
	for i, row := range puts {
		number, err := objectNumber(first + uint64(i))
		if err != nil {
			return nil, err
		}
		numbers[row.Name] = number
		list = appendPlaced(list, row, number)
	}
	sortPlaced(list)
	for part := range slices.Chunk(list, placeAtOnce) {
		if err := x.update(func(tx *bolt.Tx) error { return x.putPlaced(tx, part) }); err != nil {
			return nil, err
		}
	}
	return numbers, nil
}

// newObjects lists the objects that the index does not know, each once; none if
// their placements are few.
func (x *Index) newObjects(commits []*Commit) (puts []*ObjectRow, err error) {
	blobs, seen := 0, map[string]bool{}
	err = x.db.View(func(tx *bolt.Tx) error {
		names := tx.Bucket(namesBucket)
		for _, c := range commits {
			for i := range c.Puts {
				row := &c.Puts[i]
				if seen[row.Name] || names.Get(nameKey(row.Name)) != nil {
					continue
				}
				seen[row.Name] = true
				puts = append(puts, row)
				_ = eachPlacement(row, func(ID, Placement) error { blobs++; return nil })
			}
		}
		return nil
	})
	if blobs <= placeAtOnce {
		puts = nil
	}
	return puts, err
}
