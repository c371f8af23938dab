package folder

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Why says why an entry is left out, or not entered.
type Why uint8

// The reasons.
const (
	Kept       Why = iota // it is not left out
	Excluded              // by a pattern
	Socket                // it is one
	Avoided               // it is the home, or a mounted drive
	Elsewhere             // a mount point: kept, and not entered
	Unreadable            // lstat failed: see Entry.Err
)

var whyNames = [...]string{Kept: "kept", Excluded: "excluded by a pattern", Socket: "a socket",
	Avoided: "belongs to tunesafe", Elsewhere: "another filesystem", Unreadable: "cannot be read"}

// String is for people.
func (w Why) String() string { return whyNames[w] }

// Entry is one name of a directory.
type Entry struct {
	Name string
	Stat Stat // unknown if Why is Avoided or Unreadable
	Why  Why
	Err  error
}

// Dir is an opened directory.
type Dir struct {
	root  *Root
	path  string
	f     *os.File
	stat  Stat
	rules *rules
}

// Dir opens the directory at a path beneath the folder; "" is the folder itself.
// Entries needs the rules of the directories above, which come from in, the
// directory it was found in; nil where only its names are asked about one by one.
func (r *Root) Dir(rel string, in *Dir) (*Dir, error) {
	fd, err := r.opendir(rel)
	if err != nil {
		return nil, err
	}
	d := &Dir{root: r, path: rel, f: os.NewFile(uintptr(fd), path.Join(r.path, rel)), rules: r.rules}
	if in != nil {
		d.rules = in.rules
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		d.Close()
		return nil, &os.PathError{Op: "fstat", Path: d.f.Name(), Err: err}
	}
	d.stat = statOf(&st)
	return d, nil
}

// Rules reads the patterns that hold in a directory, and nothing else: what it
// returns is closed, and good for [Root.Dir] of what lies in it.
func (r *Root) Rules(rel string) (*Dir, error) {
	var in *Dir
	for at := ""; ; {
		d, err := r.Dir(at, in)
		if err != nil {
			return nil, err
		}
		err = d.readIgnoreFile()
		d.Close()
		if err != nil || at == rel {
			return d, err
		}
		rest := strings.TrimPrefix(strings.TrimPrefix(rel, at), "/")
		step, _, _ := strings.Cut(rest, "/")
		at, in = d.join(step), d
	}
}

// Close lets go of the directory. What it knows of patterns stays good.
func (d *Dir) Close() error { return d.f.Close() }

// Path is where the directory lies beneath the folder.
func (d *Dir) Path() string { return d.path }

// Stat is what the directory was when it was opened.
func (d *Dir) Stat() Stat { return d.stat }

// join gives the path of a name beneath the folder.
func (d *Dir) join(name string) string {
	if d.path == "" {
		return name
	}
	return d.path + "/" + name
}

// Entries lists the directory, sorted bytewise. What vanished between the listing
// and the lstat is not in it; a listing that breaks off is an error.
func (d *Dir) Entries() ([]Entry, error) {
	names, err := d.f.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	if _, ok := slices.BinarySearch(names, IgnoreFile); ok {
		if err := d.readIgnoreFile(); err != nil {
			return nil, err
		}
	}
	entries := make([]Entry, 0, len(names))
	for _, name := range names {
		if e, ok := d.entry(name); ok {
			entries = append(entries, e)
		}
	}
	return entries, nil
}

// entry looks at one name; ok is false if there is none any more.
func (d *Dir) entry(name string) (e Entry, ok bool) {
	e = Entry{Name: name}
	if len(d.root.avoid) > 0 && d.root.avoid[path.Join(d.root.path, d.path, name)] {
		e.Why = Avoided
		return e, true
	}
	st, err := d.Lstat(name)
	switch {
	case errors.Is(err, unix.ENOENT):
		return e, false
	case err != nil:
		e.Why, e.Err = Unreadable, err
		return e, true
	}
	e.Stat = st
	switch {
	case d.rules.exclude(d.path, name, st.IsDir()):
		e.Why = Excluded
	case st.Type() == unix.S_IFSOCK:
		e.Why = Socket
	case st.IsDir() && st.Dev != d.stat.Dev && !d.root.cross:
		e.Why = Elsewhere
	}
	return e, true
}

// Lstat looks at one name.
func (d *Dir) Lstat(name string) (Stat, error) {
	var st unix.Stat_t
	if err := unix.Fstatat(int(d.f.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return Stat{}, d.wrong("lstat", name, err)
	}
	return statOf(&st), nil
}

// Born is when the inode of a name was made; zero where the filesystem does not
// tell.
func (d *Dir) Born(name string) time.Time {
	var st unix.Statx_t
	err := unix.Statx(int(d.f.Fd()), name, unix.AT_SYMLINK_NOFOLLOW, unix.STATX_BTIME, &st)
	if err != nil || st.Mask&unix.STATX_BTIME == 0 {
		return time.Time{}
	}
	return time.Unix(st.Btime.Sec, int64(st.Btime.Nsec))
}

// Readable is nil if this process may read the file.
func (d *Dir) Readable(name string) error {
	err := unix.Faccessat(int(d.f.Fd()), name, unix.R_OK, unix.AT_EACCESS|unix.AT_SYMLINK_NOFOLLOW)
	if err != nil {
		return d.wrong("open", name, err)
	}
	return nil
}

// Open opens a regular file. It does not block on a fifo that took its place, and
// leaves the time of the last access alone where it may.
func (d *Dir) Open(name string) (*os.File, error) {
	const flags = unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC
	fd, err := unix.Openat(int(d.f.Fd()), name, flags|unix.O_NOATIME, 0)
	if errors.Is(err, unix.EPERM) { // O_NOATIME is for owners
		fd, err = unix.Openat(int(d.f.Fd()), name, flags, 0)
	}
	if err != nil {
		return nil, d.wrong("open", name, err)
	}
	return os.NewFile(uintptr(fd), path.Join(d.f.Name(), name)), nil
}

// FileStat is what an opened file is now.
func FileStat(f *os.File) (Stat, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return Stat{}, &os.PathError{Op: "fstat", Path: f.Name(), Err: err}
	}
	return statOf(&st), nil
}

// Readlink gives the target of a symbolic link.
func (d *Dir) Readlink(name string) (string, error) {
	b := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(int(d.f.Fd()), name, b)
	if err != nil {
		return "", d.wrong("readlink", name, err)
	}
	return string(b[:n]), nil
}

func (d *Dir) wrong(op, name string, err error) error {
	return &os.PathError{Op: op, Path: path.Join(d.f.Name(), name), Err: err}
}

// StateXattr is made up by the drive and belongs to no file.
const stateXattr = "user.tunesafe.state"

// Xattrs reads the extended attributes of a name, or of the directory itself if
// it is "": those of the spaces user and trusted, as the drive keeps no others.
// A filesystem without them has none.
func (d *Dir) Xattrs(name string) (map[string][]byte, error) {
	// There is no listxattrat; the descriptor's link in /proc stands for it. The
	// last component is not followed.
	at := fmt.Sprintf("/proc/self/fd/%d/%s", d.f.Fd(), name)
	list, err := sized(func(b []byte) (int, error) { return unix.Llistxattr(at, b) })
	if noXattrs(err) || err == nil && len(list) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, d.wrong("listxattr", name, err)
	}
	var all map[string][]byte
	for key := range strings.SplitSeq(strings.TrimSuffix(string(list), "\x00"), "\x00") {
		if key == stateXattr || !strings.HasPrefix(key, "user.") && !strings.HasPrefix(key, "trusted.") {
			continue
		}
		v, err := sized(func(b []byte) (int, error) { return unix.Lgetxattr(at, key, b) })
		if errors.Is(err, unix.ENODATA) {
			continue // removed meanwhile
		}
		if err != nil {
			return nil, d.wrong("getxattr "+key, name, err)
		}
		if all == nil {
			all = map[string][]byte{}
		}
		all[key] = v
	}
	return all, nil
}

func noXattrs(err error) bool { return errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.EPERM) }

// sized calls a function of the xattr family with room enough.
func sized(call func([]byte) (int, error)) ([]byte, error) {
	for {
		n, err := call(nil)
		if err != nil || n == 0 {
			return nil, err
		}
		b := make([]byte, n)
		n, err = call(b)
		if !errors.Is(err, unix.ERANGE) { // it grew in between
			return b[:max(n, 0)], err
		}
	}
}

// maxIgnoreFile bounds what is read of an ignore file, in bytes.
const maxIgnoreFile = 1 << 20

// readIgnoreFile takes in the patterns of this directory. If they cannot be read
// nothing is known of what to leave out, so that is an error of the directory.
func (d *Dir) readIgnoreFile() error {
	if st, err := d.Lstat(IgnoreFile); err != nil || !st.IsFile() {
		return nil // only a regular file counts
	}
	f, err := d.Open(IgnoreFile)
	if err != nil {
		return err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxIgnoreFile))
	if err != nil {
		return err
	}
	d.rules = d.rules.below(d.path, string(text))
	return nil
}
