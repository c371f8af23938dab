package fs

import (
	"context"
	"errors"
	"syscall"

	"github.com/tunesafe/tunesafe/cache"
)

// errnos is the one place where the cache's errors become errno values.
var errnos = []struct {
	err error
	no  syscall.Errno
}{
	{cache.ErrNotExist, syscall.ENOENT},
	{cache.ErrExist, syscall.EEXIST},
	{cache.ErrNotDir, syscall.ENOTDIR},
	{cache.ErrIsDir, syscall.EISDIR},
	{cache.ErrNotEmpty, syscall.ENOTEMPTY},
	{cache.ErrNameTooLong, syscall.ENAMETOOLONG},
	{cache.ErrInvalid, syscall.EINVAL},
	{cache.ErrNoXattr, syscall.ENODATA},
	{cache.ErrXattrSize, syscall.E2BIG},
	{cache.ErrXattrSpace, syscall.ENOSPC},
	{cache.ErrPermission, syscall.EPERM},
	{cache.ErrReadOnly, syscall.EROFS},
	{cache.ErrFull, syscall.ENOSPC},
	{cache.ErrTooManyLink, syscall.EMLINK},
	{cache.ErrBusy, syscall.EBUSY},
	{context.Canceled, syscall.EINTR}, // only when the caller is dying: see patience
	{cache.ErrLeft, syscall.EINTR},
}

// foreign are errno values that a local system call means of our own files. Let
// through, they would say of the drive what is not so: that a file is gone when
// only its content file is.
var foreign = map[syscall.Errno]bool{
	syscall.ENOENT:  true,
	syscall.ENOTDIR: true,
	syscall.EISDIR:  true,
	syscall.EEXIST:  true,
	syscall.ESTALE:  true,
	syscall.ENODATA: true,
	syscall.EACCES:  true,
	syscall.EPERM:   true,
	syscall.EBADF:   true,
	syscall.EIO:     true, // true, but worth a line in the log
}

// toErrno translates err, which is not nil. Known is false for what a program
// can only be told as EIO, and a person should be told in the log.
func toErrno(err error) (no syscall.Errno, known bool) {
	for _, e := range errnos {
		if errors.Is(err, e.err) {
			return e.no, true
		}
	}
	if errors.Is(err, cache.ErrUnavailable) || errors.Is(err, cache.ErrOwed) {
		return syscall.EIO, false
	}
	if errors.As(err, &no) && no != 0 && !foreign[no] {
		return no, true
	}
	return syscall.EIO, false
}

// errno is toErrno for an operation on n, with the line in the log.
func (n *node) errno(op string, err error) syscall.Errno {
	if err == nil {
		return 0
	}
	no, known := toErrno(err)
	if !known {
		n.d.failed(failure{op: op, ino: n.ino(), err: err})
	}
	return no
}
