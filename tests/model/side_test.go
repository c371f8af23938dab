package model

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// side is one of the two directories, and what is open on it. All operations on
// it return what a program would learn, as text.
type side struct {
	root  string
	files map[int]int // descriptors, by the number that a sequence gives them
	dirs  map[int]int
	plain *side // the plain one, which may be this
}

func newSide(root string) *side {
	return &side{root: root, files: map[int]int{}, dirs: map[int]int{}}
}

func (s *side) path(name string) string { return filepath.Join(s.root, name) }

func (s *side) closeAll() {
	for _, open := range []map[int]int{s.files, s.dirs} {
		for id, fd := range open {
			unix.Close(fd)
			delete(open, id)
		}
	}
}

// told is how a system call's error is compared.
func told(err error) string {
	var no unix.Errno
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &no):
		return unix.ErrnoName(no)
	}
	return err.Error()
}

// again repeats what a signal to this process interrupted.
func again[T any](call func() (T, error)) (T, error) {
	for {
		v, err := call()
		if err != unix.EINTR {
			return v, err
		}
	}
}

// do is again for a call that returns an error only, as text.
func do(call func() error) string {
	_, err := again(func() (struct{}, error) { return struct{}{}, call() })
	return told(err)
}

// setBefore tells times that a sequence sets, which are long past, from those
// that the clock gave.
var setBefore = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC).Unix()

func mtimeOf(st *unix.Stat_t) string {
	if st.Mtim.Sec < setBefore {
		return fmt.Sprintf("%d.%09d", st.Mtim.Sec, st.Mtim.Nsec)
	}
	return "now"
}

func kindOf(mode uint32) string {
	switch mode & unix.S_IFMT {
	case unix.S_IFREG:
		return "file"
	case unix.S_IFDIR:
		return "dir"
	case unix.S_IFLNK:
		return "symlink"
	case unix.S_IFIFO:
		return "fifo"
	}
	return fmt.Sprintf("type %o", mode&unix.S_IFMT)
}

// described is what stat tells, as far as it is compared.
func described(st *unix.Stat_t) string {
	size := st.Size
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		size = 0 // every filesystem has its own
	}
	return fmt.Sprintf("%s %04o %d:%d nlink %d size %d mtime %s", kindOf(st.Mode), st.Mode&0o7777, st.Uid, st.Gid,
		st.Nlink, size, mtimeOf(st))
}

// entry is one name of a tree.
type entry struct {
	text  string    // what must be equal on both sides
	mtime time.Time // what must not change while nobody writes
	ino   uint64
	file  bool
	size  int64
	bytes []byte // of a regular file, if asked for
}

// tree reads all that is below the root, and the root itself.
func (s *side) tree(contents bool) (map[string]entry, error) {
	all := map[string]entry{}
	first := map[uint64]string{}
	err := filepath.WalkDir(s.root, func(p string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(s.root, p)
		if err != nil {
			return err
		}
		all[name], err = readEntry(p, name, first, contents)
		return err
	})
	return all, err
}

func readEntry(p, name string, first map[uint64]string, contents bool) (e entry, err error) {
	var st unix.Stat_t
	if err := unix.Lstat(p, &st); err != nil {
		return e, &fs.PathError{Op: "lstat", Path: name, Err: err}
	}
	e = entry{ino: st.Ino, size: st.Size, mtime: time.Unix(st.Mtim.Unix()), text: described(&st)}
	switch kindOf(st.Mode) {
	case "symlink":
		e.text += " to " + readlink(p)
	case "file":
		e.file = true
		if _, ok := first[st.Ino]; !ok {
			first[st.Ino] = name
		}
		if first[st.Ino] != name {
			e.text += " same as " + first[st.Ino]
		}
		if contents {
			if e.bytes, err = readFile(p); err != nil {
				return e, &fs.PathError{Op: "read", Path: name, Err: err}
			}
		}
	}
	list := listxattr(p)
	e.text += " xattrs " + list
	return e, nil
}

func readFile(p string) ([]byte, error) {
	fd, err := again(func() (int, error) { return unix.Open(p, unix.O_RDONLY, 0) })
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	var all []byte
	buf := make([]byte, 128<<10)
	for {
		n, err := again(func() (int, error) { return unix.Read(fd, buf) })
		if n <= 0 || err != nil {
			return all, err
		}
		all = append(all, buf[:n]...)
	}
}

func readlink(p string) string {
	buf := make([]byte, unix.PathMax)
	n, err := again(func() (int, error) { return unix.Readlink(p, buf) })
	if err != nil {
		return told(err)
	}
	return fmt.Sprintf("%q", buf[:n])
}

// listxattr gives the names and values of the user's own attributes, sorted.
func listxattr(p string) string {
	buf := make([]byte, 64<<10)
	n, err := again(func() (int, error) { return unix.Llistxattr(p, buf) })
	if err != nil {
		return told(err)
	}
	var list []string
	for name := range strings.SplitSeq(string(buf[:n]), "\x00") {
		if strings.HasPrefix(name, "user.") || strings.HasPrefix(name, "trusted.") {
			list = append(list, name+"="+getxattr(p, name))
		}
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

func getxattr(p, name string) string {
	buf := make([]byte, 64<<10)
	n, err := again(func() (int, error) { return unix.Lgetxattr(p, name, buf) })
	if err != nil {
		return told(err)
	}
	return fmt.Sprintf("%q", buf[:n])
}

// differ describes the first difference of two trees, "" if they are equal.
// Exactly says that times must be equal too, whatever they are.
func differ(a, b map[string]entry, nameA, nameB string, exactly bool) string {
	names := map[string]bool{}
	for n := range a {
		names[n] = true
	}
	for n := range b {
		names[n] = true
	}
	sorted := []string{}
	for n := range names {
		sorted = append(sorted, n)
	}
	slices.Sort(sorted)
	for _, n := range sorted {
		ea, inA := a[n]
		eb, inB := b[n]
		switch {
		case !inA:
			return fmt.Sprintf("%s: only %s: %s", n, nameB, eb.text)
		case !inB:
			return fmt.Sprintf("%s: only %s: %s", n, nameA, ea.text)
		case ea.text != eb.text:
			return fmt.Sprintf("%s\n  %s: %s\n  %s: %s", n, nameA, ea.text, nameB, eb.text)
		case exactly && !ea.mtime.Equal(eb.mtime):
			return fmt.Sprintf("%s: mtime %d %s and %d %s", n, ea.mtime.UnixNano(), nameA, eb.mtime.UnixNano(), nameB)
		case !bytes.Equal(ea.bytes, eb.bytes):
			return fmt.Sprintf("%s\n  %s and %s: %s", n, nameA, nameB, differBytes(ea.bytes, eb.bytes))
		}
	}
	return ""
}

// differBytes says where two contents begin to differ.
func differBytes(a, b []byte) string {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			end := min(i+8, len(a), len(b))
			return fmt.Sprintf("%d and %d bytes, from %d on %x and %x", len(a), len(b), i, a[i:end], b[i:end])
		}
	}
	return fmt.Sprintf("%d and %d bytes", len(a), len(b))
}
