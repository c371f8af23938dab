package kv

import (
	"bytes"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// bbolt reads through a mapping of its file, and every page that was ever read
// counts as the process's memory until the kernel needs it. A listing of all of
// a large drive would leave the whole database there. So what is mapped is given
// back once it is much: the kernel keeps it in its cache, and a page that is
// read again costs a fault, not a read.
const (
	lookEvery = 1 << 10  // rows read, between looks at what is mapped
	trimAbove = 48 << 20 // bytes of files, resident, the program itself among them
)

// visited counts rows that were read, and looks from time to time.
func (d *DB) visited(rows int64) {
	if n := d.visits.Add(rows); n/lookEvery != (n-rows)/lookEvery && residentFiles() > trimAbove {
		d.trim()
	}
}

// trim gives back the pages of the database. A merge may move the mapping, and
// has flushMu; it also waits for those who read, as the caller may be, so nothing
// waits for it here.
func (d *DB) trim() {
	if !d.flushMu.TryLock() {
		return
	}
	defer d.flushMu.Unlock()
	st, err := os.Stat(d.bolt.Path())
	if err != nil {
		return
	}
	// By address, as bbolt gives it; what the kernel refuses stays as it is.
	_, _, _ = unix.Syscall(unix.SYS_MADVISE, d.bolt.Info().Data, uintptr(st.Size()), unix.MADV_DONTNEED)
}

// residentFiles is how much of files is in the process's memory, in bytes; the
// third field of /proc/self/statm (proc(5)).
func residentFiles() int64 {
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	f := bytes.Fields(statm)
	if len(f) < 3 {
		return 0
	}
	pages, err := strconv.ParseInt(string(f[2]), 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}
