package kv

import (
	"bytes"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// bbolt reads through a mapping of its file, and every page that was ever read
// counts as the process's memory until the kernel needs it. A listing of all of
// a large drive would leave the whole database there. So what is mapped is given
// back once it is much: the kernel keeps it in its cache, and a page that is
// read again costs a fault, not a read.
const (
	trimEvery = time.Second / 2
	trimReads = 5_000    // rows read, before the next look at what is mapped
	trimAbove = 48 << 20 // bytes of files, resident, the program itself among them
)

// trim gives back the pages of the database. It holds flushMu: bbolt moves the
// mapping in a transaction that makes the file larger.
func (d *DB) trim() {
	if d.reads.Load() < trimReads {
		return
	}
	d.reads.Store(0)
	if residentFiles() < trimAbove {
		return
	}
	d.flushMu.Lock()
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
