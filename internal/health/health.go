// Package health remembers when each object of the bucket was last read and what
// was found, and reads them in turns: a little at a time, so that every one is read
// again and again without all being fetched at once.
//
// # The order
//
// Objects wait in a queue: the one that was read the longest ago is the next. A new
// one counts as read when it was first seen, and waits behind the others, so that
// no number of new ones keeps an old one waiting. A run of one N-th reads that share
// of all bytes from the head of the queue, and whatever else waited for N-1 runs:
// so every object is read within N runs, whatever is added and deleted meanwhile.
// A reading is recorded soon after it was made; a run that is cut short loses
// little, and the next begins behind it.
//
// # What is kept
//
// A database of this machine, which nothing else depends on: losing it costs
// reading all objects once more. Of each object it holds when it was first seen and
// what each reading found, five bytes a reading, the latest 240; of each run, what
// came of it. Which files an object belongs to is not kept: recipes and the index
// tell it.
package health

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/tunesafe/tunesafe/internal/mapped"
	"github.com/tunesafe/tunesafe/internal/repo"
)

// Result is what a reading found.
type Result byte

// The results.
const (
	Good    Result = 1
	Damaged Result = 2
	Missing Result = 3
)

func (r Result) String() string {
	switch r {
	case Good:
		return "good"
	case Damaged:
		return "damaged"
	case Missing:
		return "missing"
	}
	return "unknown"
}

// Reading is one look at all bytes of an object.
type Reading struct {
	Time   time.Time // to the millisecond
	Result Result
}

// Record is what is known of an object.
type Record struct {
	Seen     time.Time // first
	Readings []Reading // oldest first
}

// Last is the latest reading; ok is false if it was never read.
func (r Record) Last() (last Reading, ok bool) {
	if len(r.Readings) == 0 {
		return last, false
	}
	return r.Readings[len(r.Readings)-1], true
}

// Bad is an object whose latest reading was not good.
type Bad struct {
	Object  string    `json:"object"`
	Kind    repo.Kind `json:"kind"`
	Problem string    `json:"problem"`
	Since   time.Time `json:"since"`
}

// DB is the database. Safe to use at once from many goroutines.
type DB struct {
	db *mapped.DB
	mu sync.Mutex // of writers that read first
}

// Buckets of the database.
var (
	objectsBucket = []byte("objects") // name → Record
	badBucket     = []byte("bad")     // name → Bad
	runsBucket    = []byte("runs")    // began → Run
	filesBucket   = []byte("files")   // inode → when it was read in its folder
)

// Open opens the database at path, or makes it. A damaged one is made anew: what
// it held is found out again.
func Open(path string) (*DB, error) {
	db, err := mapped.OpenDisposable(path, objectsBucket, badBucket, runsBucket, filesBucket)
	if err != nil {
		return nil, fmt.Errorf("health %s: %w", path, err)
	}
	return &DB{db: db}, nil
}

// Close ends the database.
func (d *DB) Close() error { return d.db.Close() }

// Found is what a reading of an object found.
type Found struct {
	Object  string
	Reading Reading
	Err     error // what it found wrong; nil if it is good
}

// problem words what was found.
func (f Found) problem() string { return strings.TrimPrefix(f.Err.Error(), f.Object+": ") }

// Add records readings.
func (d *DB) Add(found ...Found) error {
	if len(found) == 0 {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.db.Update(func(tx *bolt.Tx) error {
		for _, f := range found {
			if err := add(tx, f); err != nil {
				return fmt.Errorf("%s: %w", f.Object, err)
			}
		}
		return nil
	})
}

func add(tx *bolt.Tx, f Found) error {
	key, err := keyOf(f.Object)
	if err != nil {
		return err
	}
	objects, bad := tx.Bucket(objectsBucket), tx.Bucket(badBucket)
	r, err := decode(objects.Get(key[:]))
	if err != nil {
		return err
	}
	if r.Seen.IsZero() {
		r.Seen = f.Reading.Time
	}
	if err := objects.Put(key[:], r.with(f.Reading).encode()); err != nil {
		return err
	}
	if f.Reading.Result == Good {
		return bad.Delete(key[:])
	}
	b := Bad{Object: f.Object, Kind: repo.KindOf(f.Err), Problem: f.problem(), Since: f.Reading.Time}
	if was := bad.Get(key[:]); was != nil {
		var old Bad
		if json.Unmarshal(was, &old) == nil {
			b.Since = old.Since
		}
	}
	text, err := json.Marshal(b)
	if err != nil {
		return err
	}
	return bad.Put(key[:], text)
}

// keptReadings bounds a record; of readings that found the same, one a day is kept.
const (
	keptReadings = 240
	keptApart    = 24 * time.Hour
)

// with adds a reading.
func (r Record) with(n Reading) Record {
	n.Time = n.Time.Truncate(time.Millisecond)
	list := r.Readings
	if last, ok := r.Last(); ok && n.Time.Before(last.Time) {
		n.Time = last.Time // a clock that was set back
	}
	if k := len(list); k >= 2 && list[k-1].Result == n.Result && list[k-2].Result == n.Result && n.Time.Sub(list[k-2].Time) < keptApart {
		list = list[:k-1]
	}
	list = append(list, n)
	r.Readings = list[max(0, len(list)-keptReadings):]
	return r
}

// A record is when the object was first seen, in milliseconds since 1970, and per
// reading the milliseconds since the one before it, times four, plus the result;
// all unsigned varints.
func (r Record) encode() []byte {
	last := max(r.Seen.UnixMilli(), 0)
	b := binary.AppendUvarint(nil, uint64(last))
	for _, n := range r.Readings {
		at := max(n.Time.UnixMilli(), last)
		b = binary.AppendUvarint(b, uint64(at-last)<<2|uint64(n.Result))
		last = at
	}
	return b
}

var errRecord = errors.New("malformed record")

// decode reads a record; the zero one of nothing.
func decode(b []byte) (r Record, err error) {
	if len(b) == 0 {
		return r, nil
	}
	seen, n := binary.Uvarint(b)
	if n <= 0 {
		return r, errRecord
	}
	last := int64(seen)
	r.Seen = time.UnixMilli(last)
	for b = b[n:]; len(b) > 0; b = b[n:] {
		var v uint64
		if v, n = binary.Uvarint(b); n <= 0 {
			return r, errRecord
		}
		last += int64(v >> 2)
		r.Readings = append(r.Readings, Reading{time.UnixMilli(last), Result(v & 3)})
	}
	return r, nil
}

// key is the name of an object: its folder's first letter and its SHA-256. It
// sorts as names do.
type key [33]byte

func keyOf(object string) (k key, err error) {
	folder, rest, _ := strings.Cut(object, "/")
	sum, ok := strings.CutSuffix(rest[strings.IndexByte(rest, '/')+1:], ".age")
	if !ok || len(sum) != 64 || folder != "audio" && folder != "meta" {
		return k, fmt.Errorf("%q is no object", object)
	}
	k[0] = folder[0]
	_, err = hex.Decode(k[1:], []byte(sum))
	return k, err
}

func (k key) object() string {
	folder := "meta"
	if k[0] == 'a' {
		folder = "audio"
	}
	sum := hex.EncodeToString(k[1:])
	return folder + "/" + sum[:2] + "/" + sum + ".age"
}

// Of gives the record of an object; the zero one if it was never seen.
func (d *DB) Of(object string) (r Record, err error) {
	key, err := keyOf(object)
	if err != nil {
		return r, err
	}
	err = d.db.View(func(tx *bolt.Tx) error {
		r, err = decode(tx.Bucket(objectsBucket).Get(key[:]))
		return err
	})
	return r, err
}

// Each calls fn for the record of each object, in one transaction.
func (d *DB) Each(fn func(Record) error) error {
	return d.db.View(func(tx *bolt.Tx) error {
		return tx.Bucket(objectsBucket).ForEach(func(_, v []byte) error {
			r, err := decode(v)
			if err != nil {
				return err
			}
			return fn(r)
		})
	})
}

// Bad lists the objects whose latest reading was not good, by name.
func (d *DB) Bad() (list []Bad, err error) {
	err = d.db.View(func(tx *bolt.Tx) error {
		return tx.Bucket(badBucket).ForEach(func(_, v []byte) error {
			var b Bad
			err := json.Unmarshal(v, &b)
			list = append(list, b)
			return err
		})
	})
	return list, err
}
