package cache

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// openBeneath opens a file below root for reading, following no link on the way:
// what lies outside may have been exchanged since it was looked at. It never waits
// for the other end of a fifo.
func openBeneath(root, rel string) (*os.File, error) {
	name := filepath.Join(root, rel)
	dir, err := again(func() (int, error) {
		return unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: root, Err: err}
	}
	defer unix.Close(dir)
	const flags = unix.O_RDONLY | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC
	fd, err := openAtBeneath(dir, rel, flags|unix.O_NOATIME)
	if errors.Is(err, unix.EPERM) { // only its owner may leave its atime
		fd, err = openAtBeneath(dir, rel, flags)
	}
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	return os.NewFile(uintptr(fd), name), nil
}

// openTries is how often openat2(2) is tried that was disturbed by a rename.
const openTries = 16

func openAtBeneath(dir int, rel string, flags int) (fd int, err error) {
	how := unix.OpenHow{Flags: uint64(flags), Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS}
	for range openTries {
		fd, err = again(func() (int, error) { return unix.Openat2(dir, rel, &how) })
		if !errors.Is(err, unix.EAGAIN) {
			break
		}
	}
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.ENAMETOOLONG) { // one call takes 4095 bytes
		return openStepwise(dir, rel, flags)
	}
	return fd, err
}

// openStepwise is openAtBeneath for kernels before 5.6 and sandboxes that know no
// openat2(2), and for paths that are too long for it.
func openStepwise(dir int, rel string, flags int) (fd int, err error) {
	steps := strings.Split(rel, "/")
	at := dir
	for i, step := range steps {
		if step == "" || step == "." || step == ".." {
			return -1, unix.EXDEV
		}
		f := flags | unix.O_NOFOLLOW
		if i < len(steps)-1 {
			f = unix.O_PATH | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
		}
		fd, err = again(func() (int, error) { return unix.Openat(at, step, f, 0) })
		if at != dir {
			unix.Close(at)
		}
		if err != nil {
			return -1, err
		}
		at = fd
	}
	return fd, nil
}

// again repeats a call that a signal interrupted.
func again(call func() (int, error)) (fd int, err error) {
	for {
		if fd, err = call(); !errors.Is(err, unix.EINTR) {
			return fd, err
		}
	}
}
