package health

import (
	"bytes"
	"cmp"
	"iter"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"
)

// Object is an object that there is.
type Object struct {
	Name string
	Size int64
}

// waiting is an object in the queue.
type waiting struct {
	key  key
	size int64
	last int64 // milliseconds; when it was read or, if never, first seen
	read bool  // it ever was
}

// batch is how many objects are taken in with one transaction.
const batch = 2000

// queue takes in which objects there are, sorted by name, forgets those that are
// no more, and gives all in the order in which they are to be read.
func (d *DB) queue(objects iter.Seq2[Object, error], now time.Time) ([]waiting, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var all []waiting
	from := 0
	for o, err := range objects {
		if err != nil {
			return nil, err
		}
		k, err := keyOf(o.Name)
		if err != nil {
			return nil, err
		}
		if all = append(all, waiting{key: k, size: o.Size}); len(all)-from == batch {
			if err := d.meet(all[from:], now); err != nil {
				return nil, err
			}
			from = len(all)
		}
	}
	if err := d.meet(all[from:], now); err != nil {
		return nil, err
	}
	if err := d.forget(all); err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(x, y waiting) int {
		return cmp.Or(cmp.Compare(x.last, y.last), bytes.Compare(x.key[:], y.key[:]))
	})
	return all, nil
}

// meet looks up when objects were read, and notes those that are new.
func (d *DB) meet(list []waiting, now time.Time) error {
	var fresh []*waiting
	err := d.db.View(func(tx *bolt.Tx) error {
		b := tx.Bucket(objectsBucket)
		for i := range list {
			w := &list[i]
			r, err := decode(b.Get(w.key[:]))
			if err != nil {
				return err
			}
			last, read := r.Last()
			switch {
			case read:
				w.last, w.read = last.Time.UnixMilli(), true
			case r.Seen.IsZero():
				w.last = now.UnixMilli()
				fresh = append(fresh, w)
			default:
				w.last = r.Seen.UnixMilli()
			}
		}
		return nil
	})
	if err != nil || len(fresh) == 0 {
		return err
	}
	return d.db.Update(func(tx *bolt.Tx) error {
		for _, w := range fresh {
			if err := tx.Bucket(objectsBucket).Put(w.key[:], Record{Seen: now}.encode()); err != nil {
				return err
			}
		}
		return nil
	})
}

// forget drops the records of objects that are not in all, which is sorted by key.
func (d *DB) forget(all []waiting) error {
	var gone [][]byte
	err := d.db.View(func(tx *bolt.Tx) error {
		i := 0
		return tx.Bucket(objectsBucket).ForEach(func(k, _ []byte) error {
			for i < len(all) && bytes.Compare(all[i].key[:], k) < 0 {
				i++
			}
			if i == len(all) || !bytes.Equal(all[i].key[:], k) {
				gone = append(gone, bytes.Clone(k))
			}
			return nil
		})
	})
	if err != nil || len(gone) == 0 {
		return err
	}
	return d.remove(gone)
}

// Forget drops the record of an object that is not in use any more.
func (d *DB) Forget(object string) error {
	k, err := keyOf(object)
	if err != nil {
		return err
	}
	return d.remove([][]byte{k[:]})
}

func (d *DB) remove(gone [][]byte) error {
	return d.db.Update(func(tx *bolt.Tx) error {
		for _, k := range gone {
			for _, b := range [][]byte{objectsBucket, badBucket} {
				if err := tx.Bucket(b).Delete(k); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// Share says how much to read at a time. Zero fields set no limit.
type Share struct {
	Part  int     // one Part-th of all bytes, and what waited for Part-1 runs
	Bytes int64   // at most
	Money float64 // at most, as Cost counts it
	Cost  func(size int64) float64
}

// take gives how many objects at the head of the queue are to be read. runs are
// when complete runs began, oldest first. However small the share is, one object
// is read, or there would be no end of it.
func (s Share) take(q []waiting, runs []time.Time) int {
	var all, sum int64
	for _, w := range q {
		all += w.size
	}
	overdue := int64(0) // what was read before this was passed over Part-1 times
	if n := s.Part - 1; n > 0 && len(runs) >= n {
		overdue = runs[len(runs)-n].UnixMilli()
	}
	cost := 0.0
	for i, w := range q {
		if s.Cost != nil {
			cost += s.Cost(w.size)
		}
		switch {
		case i == 0:
		case s.Bytes > 0 && sum+w.size > s.Bytes, s.Money > 0 && cost > s.Money:
			return i
		case s.Part > 0 && float64(sum)*float64(s.Part) >= float64(all) && w.last > overdue:
			return i
		}
		sum += w.size
	}
	return len(q)
}
