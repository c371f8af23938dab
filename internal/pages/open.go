package pages

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	bolt "go.etcd.io/bbolt"
	"golang.org/x/sys/unix"
)

// lockPause is between attempts to take the lock of a database that is open.
const lockPause = 50 * time.Millisecond

// Open is [bolt.Open] for a database that may be damaged: ErrDamaged then. A
// file that is not there is made, unless it must exist, when it is ErrDamaged too.
// A disk that cannot be read is no damage.
// If another process has it open, that is [bolt.ErrTimeout] after o.Timeout.
func Open(path string, mustExist bool, o *bolt.Options) (b *bolt.DB, err error) {
	err = quietly(path, o.Timeout, func() error { return Verify(path) })
	if errors.Is(err, fs.ErrNotExist) {
		if mustExist {
			return nil, fmt.Errorf("%s: %w: it is missing or empty", path, ErrDamaged)
		}
		err = create(path)
	}
	if err != nil {
		return nil, err
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			b, err = nil, panicked(path, p)
		}
	}()
	return bolt.Open(path, 0o600, o)
}

// create makes an empty database, under another name until it is on the disk: a
// power loss leaves none or a whole one. Nobody else makes it meanwhile, as the
// home is locked.
func create(path string) error {
	tmp := path + ".new"
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err // left by a crash
	}
	b, err := bolt.Open(tmp, 0o600, &bolt.Options{NoFreelistSync: true})
	if err != nil {
		return err
	}
	if err := b.Close(); err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// quietly calls fn while nobody has the database open for writing. bbolt locks
// it with flock(2), of the whole file.
func quietly(path string, patience time.Duration, fn func() error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for begun := time.Now(); ; time.Sleep(lockPause) {
		err := unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB)
		switch {
		case err == nil:
			return fn()
		case !errors.Is(err, unix.EWOULDBLOCK):
			return &fs.PathError{Op: "flock", Path: path, Err: err}
		case time.Since(begun) > patience:
			return bolt.ErrTimeout
		}
	}
}
