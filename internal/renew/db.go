// Package renew keeps locked what the repository needs. A bucket with S3 Object Lock
// refuses to remove an object before its date; what is still needed then must have got
// a later one in time. What was condemned gets none, so that a prune can delete it.
//
// # The order
//
// A sweep lists the versions in the bucket, a request for each thousand. Of what is
// needed and of which no date is known one is asked for, once; what has less than half
// of its time left is locked for all of it again. So an object costs four requests in the
// time that objects are locked for, two of them cheap, and what is needed is never less than half of that
// time from its date, if a sweep is made each night.
//
// Whoever can write to the bucket can put other bytes over an object, and the good ones
// are then an older version. So of an object whose size the log tells the oldest version
// of that size is renewed, too: nobody who does not know the object can have written
// before it was.
//
// # What is kept
//
// A database of this machine with a date for each object, 24 bytes: losing it costs
// asking for each once more.
package renew

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/tunesafe/tunesafe/internal/mapped"
)

// DB remembers until when objects are locked. Safe to use at once from many goroutines.
type DB struct{ db *mapped.DB }

// Swept is what came of a sweep.
type Swept struct {
	Ended   time.Time `json:"ended"`
	Objects int64     `json:"objects"`         // needed
	Asked   int64     `json:"asked"`           // requests for a date
	Renewed int64     `json:"renewed"`         // requests for a later date
	Until   time.Time `json:"until,omitempty"` // the earliest date of all; zero: there are none
}

var (
	datesBucket = []byte("dates") // hash of the name → date
	sweepBucket = []byte("sweep") // "last" → Swept
	lastKey     = []byte("last")
)

// Open opens the database at path, or makes it; a damaged one anew.
func Open(path string) (*DB, error) {
	db, err := mapped.OpenDisposable(path, datesBucket, sweepBucket)
	if err != nil {
		return nil, fmt.Errorf("dates %s: %w", path, err)
	}
	return &DB{db: db}, nil
}

// Close ends the database.
func (d *DB) Close() error { return d.db.Close() }

func keyOf(object string) []byte {
	sum := sha256.Sum256([]byte(object))
	return sum[:16]
}

// Until tells until when an object is locked; zero if that is not known.
func (d *DB) Until(object string) (until time.Time, err error) {
	err = d.db.View(func(tx *bolt.Tx) error {
		if v := tx.Bucket(datesBucket).Get(keyOf(object)); len(v) == 8 {
			until = time.Unix(int64(binary.BigEndian.Uint64(v)), 0)
		}
		return nil
	})
	return until, err
}

// note remembers dates.
func (d *DB) note(dates map[string]time.Time) error {
	if len(dates) == 0 {
		return nil
	}
	return d.db.Update(func(tx *bolt.Tx) error {
		for object, until := range dates {
			if err := tx.Bucket(datesBucket).Put(keyOf(object), binary.BigEndian.AppendUint64(nil, uint64(until.Unix()))); err != nil {
				return err
			}
		}
		return nil
	})
}

// Last gives the last sweep that was not cut short; ok is false if there was none.
func (d *DB) Last() (s Swept, ok bool, err error) {
	err = d.db.View(func(tx *bolt.Tx) error {
		v := tx.Bucket(sweepBucket).Get(lastKey)
		ok = v != nil
		if !ok {
			return nil
		}
		return json.Unmarshal(v, &s)
	})
	return s, ok, err
}

func (d *DB) setLast(s Swept) error {
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return d.db.Update(func(tx *bolt.Tx) error { return tx.Bucket(sweepBucket).Put(lastKey, b) })
}
