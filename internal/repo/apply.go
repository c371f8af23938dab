package repo

import (
	"encoding/json"
	"fmt"
	"slices"

	bolt "go.etcd.io/bbolt"

	"github.com/tunesafe/tunesafe/internal/crashpoint"
)

// Apply takes in commits, in their order, in one transaction that is on the
// disk when it returns: their objects and placements, which of them they condemn
// ([Index.Condemned]) or say are deleted, and their devices' heads. Objects placed
// are no longer [Index.Unplaced]. Taking commits in again, in their order, changes
// nothing.
//
// A commit without Device only adds its rows, as those of a checkpoint are.
func (x *Index) Apply(commits ...*Commit) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.applied++
	numbers, err := x.placeAhead(commits)
	if err != nil {
		return fmt.Errorf("index: %w", err)
	}
	done := map[string]bool{} // objects placed or condemned
	err = x.update(func(tx *bolt.Tx) error {
		a, err := newApplier(tx)
		if err != nil {
			return err
		}
		a.numbers = numbers
		for _, c := range commits {
			if err := a.commit(c); err != nil {
				return err
			}
			for _, row := range c.Puts {
				done[row.Name] = true
				if ack, ok := x.acks.rows[row.Name]; ok {
					x.headers[row.Name] = ack.header
				}
			}
			for _, row := range c.Condemned { // nobody may use it, whoever sent it
				done[row.Name] = true
			}
		}
		if err := x.flushHeaders(tx); err != nil {
			return err
		}
		return a.finish()
	})
	if err != nil {
		return fmt.Errorf("index: %w", err)
	}
	crashpoint.At("index.applied")
	x.reserve()
	return x.acks.drop(done)
}

// dropPlacedAcks forgets acknowledged objects that a commit placed before the
// program ended.
func (x *Index) dropPlacedAcks() error {
	placed := map[string]bool{}
	err := x.db.View(func(tx *bolt.Tx) error {
		for name := range x.acks.rows {
			placed[name] = tx.Bucket(namesBucket).Get(nameKey(name)) != nil
		}
		return nil
	})
	if err != nil {
		return err
	}
	return x.acks.drop(placed)
}

// applier takes commits into one transaction.
type applier struct {
	objects, names, blobs, headers, heads, totals, condemned *bolt.Bucket

	sums    map[string]*Totals
	placed  []placed          // by put, not in blobs yet
	numbers map[string][]byte // of objects whose placements are there; see placeAhead
}

func newApplier(tx *bolt.Tx) (*applier, error) {
	a := &applier{
		objects: tx.Bucket(objectsBucket), names: tx.Bucket(namesBucket), blobs: tx.Bucket(blobsBucket),
		headers: tx.Bucket(headersBucket), heads: tx.Bucket(headsBucket), totals: tx.Bucket(totalsBucket), condemned: tx.Bucket(condemnedBucket),
		sums: map[string]*Totals{},
	}
	return a, a.totals.ForEach(func(kind, v []byte) error {
		t := new(Totals)
		a.sums[string(kind)] = t
		return json.Unmarshal(v, t)
	})
}

// finish writes the totals.
func (a *applier) finish() error {
	for kind, t := range a.sums {
		v, err := json.Marshal(t)
		if err != nil {
			return err
		}
		if err := a.totals.Put([]byte(kind), v); err != nil {
			return err
		}
	}
	return nil
}

func (a *applier) commit(c *Commit) error {
	for i := range c.Puts {
		if err := a.put(&c.Puts[i]); err != nil {
			return err
		}
		if err := a.takeBack(c.Puts[i].Name, c.Device, c.Seq); err != nil {
			return err
		}
	}
	if err := a.place(); err != nil {
		return err
	}
	for _, row := range c.Condemned {
		if err := a.condemn(row, c.Device, c.Seq); err != nil {
			return err
		}
	}
	for _, row := range c.Deleted {
		if err := a.deleted(row.Name); err != nil {
			return err
		}
	}
	if c.Device == "" {
		return nil
	}
	for device, h := range c.Heads {
		if err := a.head(device, h); err != nil {
			return err
		}
	}
	return a.head(c.Device, c.Head())
}

// head moves a device's head forwards.
func (a *applier) head(device string, h Head) error {
	if decodeHead(a.heads.Get([]byte(device))).Seq >= h.Seq {
		return nil
	}
	return a.heads.Put([]byte(device), encodeHead(h))
}

// put adds an object and its placements.
func (a *applier) put(row *ObjectRow) error {
	key := nameKey(row.Name)
	if a.names.Get(key) != nil {
		return nil
	}
	number, ahead := a.numbers[row.Name]
	if !ahead {
		n, err := a.names.NextSequence()
		if err == nil {
			number, err = objectNumber(n)
		}
		if err != nil {
			return err
		}
	}
	if err := a.names.Put(key, number); err != nil {
		return err
	}
	if err := a.objects.Put(number, encodeObject(row)); err != nil {
		return err
	}
	if !isCondemned(a.condemned.Cursor(), key) {
		a.count(row, 1)
	}
	if !ahead {
		a.placed = appendPlaced(a.placed, row, number)
	}
	return nil
}

// place stores the rows that put gathered.
func (a *applier) place() error {
	sortPlaced(a.placed)
	err := putPlaced(a.blobs, a.placed)
	a.placed = nil
	return err
}

// remove takes out an object and its placements.
func (a *applier) remove(name string) error {
	key := nameKey(name)
	number := slices.Clone(a.names.Get(key))
	if number == nil {
		return nil
	}
	row, err := decodeObject(a.objects.Get(number))
	if err != nil {
		return err
	}
	for _, b := range row.Blobs() {
		if err := a.blobs.Delete(append(slices.Clone(b.ID[:]), number...)); err != nil {
			return err
		}
	}
	if !isCondemned(a.condemned.Cursor(), key) {
		a.count(&row, -1)
	}
	if err := a.objects.Delete(number); err != nil {
		return err
	}
	if err := a.headers.Delete(number); err != nil {
		return err
	}
	return a.names.Delete(key)
}

func (a *applier) count(row *ObjectRow, sign int64) {
	kind := kindNumbered(kindNumber(row.Kind)) // as it is when the object goes
	t := a.sums[kind]
	if t == nil {
		t = new(Totals)
		a.sums[kind] = t
	}
	t.Objects += sign
	t.Stored += sign * row.Size
	for _, b := range row.Blobs() {
		t.Blobs += sign
		t.Plain += sign * b.Size
	}
}
