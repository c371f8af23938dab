package sync

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	gosync "sync"

	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/crashpoint"
)

// restoreDir is a folder that is written into. It is open from its first file to its last:
// to go down to it from the top for each step would take ten times as many system calls.
type restoreDir struct {
	path string // below dest

	mu   gosync.Mutex
	root *os.Root // nil unless open
	left int      // things that are to be written into it, or linked
}

func (d *restoreDir) open(top *os.Root) (_ *os.Root, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.root == nil {
		d.root, err = top.OpenRoot(d.path)
	}
	return d.root, err
}

// done is called behind each thing.
func (d *restoreDir) done() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.left--; d.left == 0 && d.root != nil {
		d.root.Close()
	}
}

func (r *restore) item(ctx context.Context, it restoreItem) error {
	dir, err := it.dir.open(r.root)
	if err != nil {
		return err
	}
	name := path.Base(it.path)
	switch it.attr.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return r.file(ctx, dir, name, it)
	case unix.S_IFLNK:
		err = r.symlink(dir, name, it.attr)
	default:
		err = special(dir, name, it.attr)
	}
	if err != nil {
		return err
	}
	return r.attributes(dir, name, filepath.Join(r.dest, it.path), it.attr)
}

func (r *restore) symlink(dir *os.Root, name string, a cache.Attr) error {
	target, err := r.c.Readlink(a.Ino)
	if err != nil {
		return err
	}
	if err := dir.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return dir.Symlink(target, name)
}

// special makes a device, pipe or socket. Only root may make a device.
func special(dir *os.Root, name string, a cache.Attr) error {
	if err := dir.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	d, err := dir.Open(".")
	if err != nil {
		return err
	}
	defer d.Close()
	return unix.Mknodat(int(d.Fd()), name, a.Mode&unix.S_IFMT|0o600, int(a.Rdev))
}

// file writes a file beside its place and renames it there when it is complete.
func (r *restore) file(ctx context.Context, dir *os.Root, name string, it restoreItem) error {
	h, err := r.c.OpenToRestore(it.attr.Ino, true)
	if err != nil {
		return err
	}
	defer h.Release()
	tmp := fmt.Sprintf(".tunesafe-%x", it.attr.Ino)
	f, err := dir.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	err = errors.Join(copySparse(ctx, f, h, it.attr.Size), f.Close())
	if err == nil {
		err = r.attributes(dir, tmp, filepath.Join(r.dest, path.Dir(it.path), tmp), it.attr)
	}
	crashpoint.At("restore.written")
	if err == nil {
		err = dir.Rename(tmp, name)
	}
	if err != nil {
		dir.Remove(tmp)
	}
	return err
}

// attributes sets owner, extended attributes, mode and times of what lies at name in dir,
// which is the path full, in the order in which one does not undo another.
func (r *restore) attributes(dir *os.Root, name, full string, a cache.Attr) error {
	if err := dir.Lchown(name, int(a.UID), int(a.GID)); err != nil && !errors.Is(err, os.ErrPermission) {
		return err
	}
	if err := r.xattrs(full, a.Ino); err != nil {
		return err
	}
	if a.Mode&unix.S_IFMT == unix.S_IFLNK {
		ts := unix.NsecToTimespec(a.Mtime.UnixNano())
		return unix.UtimesNanoAt(unix.AT_FDCWD, full, []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW)
	}
	if err := dir.Chmod(name, fileMode(a.Mode)); err != nil {
		return err
	}
	return dir.Chtimes(name, a.Mtime, a.Mtime)
}

func (r *restore) xattrs(full string, ino cache.Ino) error {
	all, err := r.c.Xattrs(ino)
	if err != nil {
		return err
	}
	for n, v := range all {
		err = unix.Lsetxattr(full, n, v, 0)
		if err != nil && !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.ENOTSUP) {
			return &os.PathError{Op: "setxattr " + n, Path: full, Err: err}
		}
	}
	return nil
}

// fileMode turns permission bits of st_mode into Go's.
func fileMode(m uint32) os.FileMode {
	f := os.FileMode(m & 0o777)
	for bit, mode := range map[uint32]os.FileMode{unix.S_ISUID: os.ModeSetuid, unix.S_ISGID: os.ModeSetgid, unix.S_ISVTX: os.ModeSticky} {
		if m&bit != 0 {
			f |= mode
		}
	}
	return f
}
