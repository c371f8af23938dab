// Package mapped is bbolt on a disk that may fail. bbolt reads its file through
// a mapping; where the disk cannot give a page, the kernel answers with SIGBUS,
// which would end the program. Here it is an error like any other. And what was read does
// not stay in the process's memory for ever: see [DB.Visited].
package mapped

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"sync/atomic"

	bolt "go.etcd.io/bbolt"
	"golang.org/x/sys/unix"
)

// DB is a bbolt database. After a fault in a transaction that writes it takes no
// more of them: bbolt may be left with its lock held.
type DB struct {
	*bolt.DB
	name   string // of its file; bbolt's own is gone once it is closed
	broken atomic.Bool
	visits atomic.Int64 // rows read
	kept   kept
}

// ErrBroken: an earlier transaction met a disk that could not be read.
var ErrBroken = errors.New("the database met a disk that could not be read")

// Ahead is how much of a database that will grow is mapped from the beginning, its
// InitialMmapSize: whenever it outgrows that, all rows of the transaction that does it are
// copied into memory. growth is by how much its file grows then.
const (
	Ahead  = 64 << 20
	growth = 1 << 20
)

// New takes a database that is open.
func New(b *bolt.DB) *DB {
	b.AllocSize = growth
	return &DB{DB: b, name: b.Path()}
}

// View is DB.View of bbolt.
func (d *DB) View(fn func(*bolt.Tx) error) (err error) {
	defer d.caught(watch(), &err)
	return d.DB.View(func(tx *bolt.Tx) error {
		defer d.Visited(tx, 1)
		return fn(tx)
	})
}

// Update is DB.Update of bbolt.
func (d *DB) Update(fn func(*bolt.Tx) error) (err error) {
	if d.broken.Load() {
		return ErrBroken
	}
	defer d.kept.written()
	if err := d.kept.end(); err != nil {
		return err
	}
	whole := false
	defer func() {
		if !whole {
			d.broken.Store(true)
		}
	}()
	defer d.caught(watch(), &err)
	err = d.DB.Update(func(tx *bolt.Tx) error {
		defer d.Visited(tx, lookEvery) // it may have read much, and is slow anyway
		return fn(tx)
	})
	whole = true
	if residentFiles() > bare { // to commit it looked again at all pages that it changed
		_ = d.DB.View(func(tx *bolt.Tx) error { giveBack(tx); return nil })
	}
	return err
}

// Close is DB.Close of bbolt; a broken database is left to the end of the process.
func (d *DB) Close() error {
	if d.broken.Load() {
		return nil
	}
	return errors.Join(d.kept.end(), d.DB.Close()) // and none is kept from now on
}

// watch has a fault be a panic until caught is deferred with what it returns.
func watch() (old bool) { return debug.SetPanicOnFault(true) }

// caught turns a fault since watch, for which the caller defers it, into an error. Any
// other panic goes on.
func (d *DB) caught(old bool, err *error) {
	debug.SetPanicOnFault(old)
	r := recover()
	if r == nil {
		return
	}
	fault, ok := r.(interface {
		runtime.Error
		Addr() uintptr
	})
	if !ok {
		panic(r)
	}
	*err = &os.PathError{Op: "read", Path: d.name, Err: fmt.Errorf("%w (%w)", unix.EIO, fault)}
}
