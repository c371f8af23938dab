package kv

import (
	"errors"
	"io/fs"
	"os"

	bolt "go.etcd.io/bbolt"
	"golang.org/x/sys/unix"
)

// The reserve, in bytes: a hundredth of the disk, between these.
const (
	leastReserve = 4 << 20
	mostReserve  = 64 << 20
)

// reserveFor is the reserve for a database in dir.
func reserveFor(dir string) int64 {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil || st.Blocks == 0 {
		return mostReserve // a filesystem that tells nothing is not small
	}
	return min(max(int64(st.Blocks)*int64(st.Bsize)/100, leastReserve), mostReserve)
}

// journalRoom is the part of the reserve that a journal has; two of them exist,
// and the rest is bbolt's.
func journalRoom(reserve int64) int64 { return reserve / 8 }

// openFile opens bbolt's file, and keeps a hand on it.
func (d *DB) openFile(name string, flag int, mode os.FileMode) (f *os.File, err error) {
	f, err = os.OpenFile(name, flag, mode)
	d.file = f
	return f, err
}

// reserve allocates disk for the growth of bbolt's file, once half of what was
// allocated before is used. On a full disk, and where a filesystem cannot, what
// there is has to do.
func (d *DB) reserve() {
	room := d.opt.Reserve - 2*journalRoom(d.opt.Reserve)
	var used int64
	if err := d.bolt.View(func(tx *bolt.Tx) error { used = tx.Size(); return nil }); err != nil {
		return
	}
	if used+room/2 < d.reserved {
		return
	}
	if unix.Fallocate(int(d.file.Fd()), unix.FALLOC_FL_KEEP_SIZE, 0, used+room) == nil {
		d.reserved = used + room
	}
}

// isFull tells whether a change failed for want of room, before anything was
// synced: trying again is then no lie. bbolt gives the error of a write as the
// system does, that of a sync without a path.
func isFull(err error) bool {
	p, ok := errors.AsType[*fs.PathError](err)
	if !ok || p.Op != "write" {
		return false
	}
	for _, no := range []error{unix.ENOSPC, unix.EDQUOT, unix.EROFS} {
		if errors.Is(p.Err, no) {
			return true
		}
	}
	return false
}
