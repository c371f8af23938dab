package mapped

import (
	"bytes"
	"os"
	"strconv"

	bolt "go.etcd.io/bbolt"
	"golang.org/x/sys/unix"
)

// bbolt reads through a mapping of its file, and every page that was ever read
// counts as the process's memory until the kernel needs it. A listing of all of
// a large drive, or a walk through years of history, would leave the whole database
// there. So what is mapped is given back once it is much: the kernel keeps it in its
// cache, and a page that is read again costs a fault, not a read. With each page that is
// touched the kernel maps up to 15 beside it that it has, so that a look is needed often.
const (
	lookEvery = 1 << 6   // rows read, between looks at what is mapped
	trimAbove = 20 << 20 // bytes of files, resident, the program itself among them
	bare      = 8 << 20  // of them that stay where room is made: a commit needs little of the program
)

// Visited is told, in a transaction that reads many rows, how many it has read since it
// said so last.
func (d *DB) Visited(tx *bolt.Tx, rows int64) {
	if n := d.visits.Add(rows); n/lookEvery != (n-rows)/lookEvery && residentFiles() > trimAbove {
		trim(tx)
	}
}

// MakeRoom gives back the pages of the database, and of the program unless little of it is
// left. It is for a transaction that writes, once it has changed rows all over a large one: to
// commit it bbolt looks at each of these pages again, all in one go.
func MakeRoom(tx *bolt.Tx) {
	giveBack(tx)
	if residentFiles() > bare {
		giveBackProgram()
	}
}

// trim gives back the pages of a database, and of the program if it is not these that are much.
func trim(tx *bolt.Tx) {
	giveBack(tx)
	if residentFiles() > trimAbove {
		giveBackProgram()
	}
}

// giveBack gives back the pages of the database.
//
// While the transaction is open the mapping stays where it is. It is as long as the database
// at least; the file may be longer, as bbolt lets it grow ahead, and what lies behind the
// mapping is somebody else's memory.
func giveBack(tx *bolt.Tx) {
	forgo(tx.DB().Info().Data, uintptr(tx.Size())) // by address, as bbolt gives it
}

func giveBackProgram() {
	for _, a := range program() {
		forgo(a.at, a.length)
	}
}

// forgo gives pages of a file back. What the kernel refuses stays as it is.
func forgo(at, length uintptr) {
	_, _, _ = unix.Syscall(unix.SYS_MADVISE, at, length, unix.MADV_DONTNEED)
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
