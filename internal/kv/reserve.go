package kv

import (
	"os"

	bolt "go.etcd.io/bbolt"

	"github.com/tunesafe/tunesafe/internal/room"
)

// journalRoom is the part of the reserve that a journal has; two of them exist,
// and the rest is bbolt's.
func journalRoom(reserve int64) int64 { return reserve / 8 }

// openFile opens bbolt's file, and keeps a hand on it.
func (d *DB) openFile(name string, flag int, mode os.FileMode) (f *os.File, err error) {
	f, err = os.OpenFile(name, flag, mode)
	d.file = f
	return f, err
}

// reserve allocates disk for the growth of bbolt's file.
func (d *DB) reserve() {
	var used int64
	if err := d.bolt.View(func(tx *bolt.Tx) error { used = tx.Size(); return nil }); err == nil {
		d.reserved = room.Ahead(d.file, used, d.opt.Reserve-2*journalRoom(d.opt.Reserve), d.reserved)
	}
}
