// Package folder reads a folder of this machine for a backup: names, attributes,
// and what is left out and why. It only reads, and it follows no symbolic link
// below the folder it was given.
//
// # What is read
//
// [Root.Dir] opens one directory and [Dir.Entries] lists it: sorted bytewise, one
// lstat a name, and nothing else. Extended attributes, targets of links and bytes
// are read only when asked for. Names are bytes.
//
// # What is left out
//
//   - what patterns leave out: those of [DefaultPatterns], of a file called
//     [IgnoreFile] in any directory for what is below it, and of [Options.Exclude],
//     each with more weight than the ones before; the syntax is that of gitignore(5)
//   - sockets, which mean nothing without the process that listens
//   - what [Options.Avoid] names; it is not even looked at
//   - what lies below the mount point of another filesystem, unless
//     [Options.CrossDevice]; the mount point itself is kept
//
// Symbolic links, fifos and devices are kept as such.
//
// A directory that cannot be read is an error and never an empty one.
package folder

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// ErrNoFolder: the folder itself is missing, or is none.
var ErrNoFolder = errors.New("is not there, or is no folder")

// Options say what of a folder is read.
type Options struct {
	Exclude     []string // patterns in the syntax of gitignore(5), from the top of the folder
	Avoid       []string // absolute paths that are not touched
	CrossDevice bool     // go on below mount points
}

// Root is an opened folder. It is for one goroutine.
type Root struct {
	path  string
	fd    int
	stat  Stat
	avoid map[string]bool
	cross bool
	rules *rules

	unstable bool
}

// Open opens the folder at an absolute path.
func Open(name string, o Options) (*Root, error) {
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
		return nil, fmt.Errorf("%s %w", name, ErrNoFolder)
	}
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	r := &Root{path: name, fd: fd, avoid: map[string]bool{}, cross: o.CrossDevice, rules: newRules(o.Exclude)}
	for _, a := range o.Avoid {
		r.avoid[path.Clean(a)] = true
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		unix.Close(fd)
		return nil, &os.PathError{Op: "fstat", Path: name, Err: err}
	}
	r.stat, r.unstable = statOf(&st), unstableInodes(fd)
	return r, nil
}

// StableInodes tells whether the filesystem numbers its inodes for good: those of
// the FAT family get other numbers with every mount, and so may those that a
// program serves.
func (r *Root) StableInodes() bool { return !r.unstable }

func unstableInodes(fd int) bool {
	var fs unix.Statfs_t
	if err := unix.Fstatfs(fd, &fs); err != nil {
		return true
	}
	switch uint32(fs.Type) {
	case unix.MSDOS_SUPER_MAGIC, unix.EXFAT_SUPER_MAGIC, unix.FUSE_SUPER_MAGIC, unix.V9FS_MAGIC:
		return true
	}
	return false
}

// Path is the absolute path of the folder.
func (r *Root) Path() string { return r.path }

// Stat is what the folder itself was when it was opened.
func (r *Root) Stat() Stat { return r.stat }

// Same tells whether what the path leads to is still the folder that was opened:
// a disk may have gone, or come, meanwhile.
func (r *Root) Same() bool {
	var st unix.Stat_t
	return unix.Stat(r.path, &st) == nil && st.Dev == r.stat.Dev && st.Ino == r.stat.Ino
}

// Close lets go of the folder.
func (r *Root) Close() error { return unix.Close(r.fd) }

// opendir opens a directory beneath the folder, a name at a time so that no link is
// followed on the way; "" is the folder.
func (r *Root) opendir(rel string) (int, error) {
	const flags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	fd, err := unix.Openat(r.fd, ".", flags, 0)
	for step := range strings.SplitSeq(rel, "/") {
		if err != nil || rel == "" {
			break
		}
		at := fd
		if fd = -1; step == ".." {
			err = unix.EXDEV
		} else {
			fd, err = unix.Openat(at, step, flags, 0)
		}
		unix.Close(at)
	}
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: path.Join(r.path, rel), Err: err}
	}
	return fd, nil
}

// Stat is what lstat tells of a name.
type Stat struct {
	Dev, Ino       uint64
	Mode, Nlink    uint32
	UID, GID, Rdev uint32
	Size           int64
	mtime, ctime   unix.Timespec
}

func statOf(st *unix.Stat_t) Stat {
	return Stat{Dev: st.Dev, Ino: st.Ino, Mode: st.Mode, Nlink: uint32(st.Nlink), UID: st.Uid, GID: st.Gid,
		Rdev: uint32(st.Rdev), Size: st.Size, mtime: st.Mtim, ctime: st.Ctim}
}

// Mtime is when the content was changed last.
func (s Stat) Mtime() time.Time { return time.Unix(s.mtime.Sec, s.mtime.Nsec) }

// Ctime is when anything was changed last.
func (s Stat) Ctime() time.Time { return time.Unix(s.ctime.Sec, s.ctime.Nsec) }

// Type is the type bits of the mode.
func (s Stat) Type() uint32 { return s.Mode & unix.S_IFMT }

// IsDir tells whether it is a directory.
func (s Stat) IsDir() bool { return s.Type() == unix.S_IFDIR }

// IsFile tells whether it is a regular file.
func (s Stat) IsFile() bool { return s.Type() == unix.S_IFREG }
