package mapped

import (
	"bytes"
	"sync"

	bolt "go.etcd.io/bbolt"
)

// kept is a transaction that reads and stays open from one question to the next, with a
// cursor in each bucket that was asked for. To begin a transaction costs several times
// what finding a row in it does, and thousands of rows are asked for one by one.
//
// A transaction that writes ends it first, and none is kept while that is under way: it
// would see rows of before, keep pages from being used again, and a file that has to be
// mapped anew would wait for it for ever.
type kept struct {
	mu      sync.Mutex
	writing int   // transactions that write, or wait to
	rows    *Rows // nil: none is open
}

// Rows is one state of the database.
type Rows struct {
	tx      *bolt.Tx
	cursors []bucketCursor
}

type bucketCursor struct {
	bucket []byte
	*bolt.Cursor
}

// RowsOf is what a transaction sees.
func RowsOf(tx *bolt.Tx) *Rows { return &Rows{tx: tx} }

// Cursor is one in a bucket, nil if there is none of that name. Whoever asks next gets
// the same.
func (r *Rows) Cursor(bucket []byte) *bolt.Cursor {
	for i := range r.cursors {
		if bytes.Equal(r.cursors[i].bucket, bucket) {
			return r.cursors[i].Cursor
		}
	}
	b := r.tx.Bucket(bucket)
	if b == nil {
		return nil
	}
	c := b.Cursor()
	r.cursors = append(r.cursors, bucketCursor{bytes.Clone(bucket), c})
	return c
}

// Get is the value of a key, valid as long as the state; nil if there is none.
func (r *Rows) Get(bucket, key []byte) []byte {
	if c := r.Cursor(bucket); c != nil {
		if k, v := c.Seek(key); bytes.Equal(k, key) {
			return v
		}
	}
	return nil
}

// Ask has fn look at some rows as they are now; it may keep none of them, and not ask the
// database for anything else meanwhile.
func (d *DB) Ask(fn func(*Rows) error) (err error) {
	if !d.kept.lock() {
		return d.View(func(tx *bolt.Tx) error { return fn(RowsOf(tx)) })
	}
	defer d.kept.mu.Unlock()
	defer d.caught(watch(), &err)
	r, err := d.rows()
	if err != nil {
		return err
	}
	return fn(r)
}

// Get returns a copy of one row; nil if there is none.
func (d *DB) Get(bucket, key []byte) (value []byte, err error) {
	if !d.kept.lock() {
		err = d.View(func(tx *bolt.Tx) error { value = copied(RowsOf(tx).Get(bucket, key)); return nil })
		return value, err
	}
	defer d.kept.mu.Unlock()
	defer d.caught(watch(), &err)
	r, err := d.rows()
	if err != nil {
		return nil, err
	}
	return copied(r.Get(bucket, key)), nil
}

// copied is bytes.Clone with no room to grow.
func copied(p []byte) []byte {
	if p == nil {
		return nil
	}
	return append(make([]byte, 0, len(p)), p...)
}

// rows is the state that is kept. d.kept is locked.
func (d *DB) rows() (*Rows, error) {
	if d.kept.rows == nil {
		tx, err := d.Begin(false)
		if err != nil {
			return nil, err
		}
		d.kept.rows = RowsOf(tx)
	}
	d.Visited(d.kept.rows.tx, 1)
	return d.kept.rows, nil
}

// lock reports false where somebody else asks just now, who may take long, or writes.
func (k *kept) lock() bool {
	if !k.mu.TryLock() {
		return false
	}
	if k.writing > 0 {
		k.mu.Unlock()
		return false
	}
	return true
}

// end gives the transaction up, if there is one. None is kept until written is called.
func (k *kept) end() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.writing++
	if k.rows == nil {
		return nil
	}
	tx := k.rows.tx
	k.rows = nil
	return tx.Rollback()
}

func (k *kept) written() {
	k.mu.Lock()
	k.writing--
	k.mu.Unlock()
}
