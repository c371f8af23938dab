// Package room is about a disk that is full. What the program must be able to
// write then, its own journals and databases, is allocated before, in the very
// files that will hold it: what was given back in an emergency would be another
// program's the next moment.
//
// On a filesystem that copies on write (btrfs) an allocated page does not keep
// its place when it is written anew; there the reserve helps with new pages only.
package room

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// The reserve, in bytes: a hundredth of the disk, between these.
const (
	least = 4 << 20
	most  = 64 << 20
)

// Reserve is how many bytes of the disk that holds dir are kept for journals and
// databases.
func Reserve(dir string) int64 {
	size, ok := diskSize(dir)
	if !ok {
		return most
	}
	return min(max(size/100, least), most)
}

// Margin is how many bytes of it contents leave free, for all else that must be
// written. It is never more than a sixteenth of a small disk.
func Margin(dir string) int64 {
	size, ok := diskSize(dir)
	if !ok {
		return 0
	}
	return min(max(size/100, min(least, size/16)), most)
}

// diskSize is in bytes; not ok where the filesystem does not tell, which does
// not mean that it is small.
func diskSize(dir string) (int64, bool) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil || st.Blocks == 0 {
		return 0, false
	}
	return int64(st.Blocks) * int64(st.Bsize), true
}

// Ahead allocates n bytes of disk behind the first used bytes of f, and any of
// those that are not allocated yet. The file's size stays. Once less than half
// of what have says is allocated is used it does nothing. It returns what is
// allocated then; on a full disk, and where a filesystem cannot, that is have.
func Ahead(f *os.File, used, n, have int64) int64 {
	if used+n/2 < have || unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, 0, used+n) != nil {
		return have
	}
	return used + n
}

// IsFull tells whether a write failed for want of room, or as the disk turned
// read-only: nothing of it was synced, so that trying again is no lie. A failed
// sync is none of these.
func IsFull(err error) bool {
	p, ok := errors.AsType[*fs.PathError](err)
	return ok && p.Op == "write" && lacks(p.Err)
}

// Lacks tells whether err, of any system call, says that there is no room: no
// block, no inode, no quota, or a disk that is read-only.
func Lacks(err error) bool { return err != nil && lacks(err) }

func lacks(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) || errors.Is(err, unix.EROFS)
}
