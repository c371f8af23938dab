package model

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"runtime/debug"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// open opens a file under a number; a fifo is closed at once.
func (s *side) open(id int, p string, flags int) string {
	fd, err := again(func() (int, error) { return unix.Open(s.path(p), flags|unix.O_NONBLOCK|unix.O_CLOEXEC, 0o640) })
	if err != nil {
		return told(err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return "fstat: " + told(err)
	}
	if kind := kindOf(st.Mode); kind != "file" {
		unix.Close(fd)
		return kind
	}
	s.files[id] = fd
	return "ok"
}

func (s *side) close(id int) string {
	err := unix.Close(s.files[id])
	delete(s.files, id)
	return told(err)
}

func (s *side) opendir(id int, p string) string {
	fd, err := again(func() (int, error) { return unix.Open(s.path(p), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0) })
	if err == nil {
		s.dirs[id] = fd
	}
	return told(err)
}

func (s *side) closedir(id int) string {
	err := unix.Close(s.dirs[id])
	delete(s.dirs, id)
	return told(err)
}

// list reads an open directory from its start.
func (s *side) list(id int) string {
	if _, err := unix.Seek(s.dirs[id], 0, 0); err != nil {
		return "seek: " + told(err)
	}
	var names []string
	buf := make([]byte, 64<<10)
	for {
		n, err := again(func() (int, error) { return unix.Getdents(s.dirs[id], buf) })
		if err != nil {
			return told(err)
		}
		if n <= 0 {
			break
		}
		_, _, names = unix.ParseDirent(buf[:n], -1, names)
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

func (s *side) stat(p string, flags int) string {
	var st unix.Stat_t
	err := unix.Fstatat(unix.AT_FDCWD, s.path(p), &st, flags)
	if err != nil {
		return told(err)
	}
	if kindOf(st.Mode) == "symlink" {
		return described(&st) + " to " + readlink(s.path(p))
	}
	return described(&st)
}

func (s *side) fstat(id int) string {
	var st unix.Stat_t
	if err := unix.Fstat(s.files[id], &st); err != nil {
		return told(err)
	}
	return described(&st)
}

// summary tells bytes in a few words.
func summary(p []byte) string {
	if len(p) == 0 {
		return "0 bytes"
	}
	return fmt.Sprintf("%d bytes %x… crc %08x", len(p), p[:min(4, len(p))], crc32.ChecksumIEEE(p))
}

func (s *side) readAll(p string) string {
	var st unix.Stat_t
	if err := unix.Stat(s.path(p), &st); err == nil && kindOf(st.Mode) == "fifo" {
		return "fifo"
	}
	all, err := readFile(s.path(p))
	return told(err) + " " + summary(all)
}

func (s *side) read(id int, n int64) string {
	buf := make([]byte, n)
	k, err := again(func() (int, error) { return unix.Read(s.files[id], buf) })
	return told(err) + " " + summary(buf[:max(k, 0)])
}

func (s *side) pread(id int, n, off int64) string {
	buf := make([]byte, n)
	k, err := again(func() (int, error) { return unix.Pread(s.files[id], buf, off) })
	return told(err) + " " + summary(buf[:max(k, 0)])
}

func (s *side) write(id int, p []byte) string {
	k, err := again(func() (int, error) { return unix.Write(s.files[id], p) })
	return fmt.Sprint(told(err), " ", k)
}

func (s *side) pwrite(id int, p []byte, off int64) string {
	k, err := again(func() (int, error) { return unix.Pwrite(s.files[id], p, off) })
	return fmt.Sprint(told(err), " ", k)
}

// save writes a whole file, in pieces, as cp does.
func (s *side) save(p string, data []byte) string {
	fd, err := again(func() (int, error) {
		return unix.Open(s.path(p), unix.O_WRONLY|unix.O_CREAT|unix.O_TRUNC|unix.O_NONBLOCK|unix.O_CLOEXEC, 0o644)
	})
	if err != nil {
		return told(err)
	}
	defer unix.Close(fd)
	for piece := range slices.Chunk(data, 60_000) {
		if n, err := again(func() (int, error) { return unix.Write(fd, piece) }); err != nil || n < len(piece) {
			return fmt.Sprintf("%d bytes, %s", n, told(err))
		}
	}
	return "ok"
}

// retag gives a file other tags, in place or as a new file renamed over it.
func (s *side) retag(p string, more int, over bool) string {
	var st unix.Stat_t
	if err := unix.Lstat(s.path(p), &st); err != nil || kindOf(st.Mode) != "file" {
		return "no file: " + told(err)
	}
	old, err := readFile(s.path(p))
	if err != nil {
		return told(err)
	}
	data := retagged(old, more)
	if !over {
		return s.save(p, data)
	}
	tmp := p + ".tmp"
	if got := s.save(tmp, data); got != "ok" {
		return got
	}
	return do(func() error { return unix.Rename(s.path(tmp), s.path(p)) })
}

// copyRange copies until all is copied or the source ends: the kernel may stop
// earlier.
func (s *side) copyRange(from, to int, at, into, n int64) string {
	var sum int64
	for sum < n {
		rest := int(n - sum)
		k, err := again(func() (int, error) {
			return unix.CopyFileRange(s.files[from], &at, s.files[to], &into, rest, 0)
		})
		if err != nil {
			return fmt.Sprint(sum, " ", told(err))
		}
		if k == 0 {
			break
		}
		sum += int64(k)
	}
	return fmt.Sprint(sum)
}

// holes checks lseek's answers against the content of the plain file: what lies
// before the next data is zeros, and a hole is at or after the offset, at the
// end of the file at the latest. Where data lies is otherwise each filesystem's
// own business.
func (s *side) holes(id int, off int64) string {
	plain := s.plain.files[id]
	var st unix.Stat_t
	if err := unix.Fstat(plain, &st); err != nil {
		return told(err)
	}
	flags, err := unix.FcntlInt(uintptr(plain), unix.F_GETFL, 0)
	if err != nil || flags&unix.O_ACCMODE == unix.O_WRONLY {
		return "not readable"
	}
	here, err := unix.Seek(s.files[id], 0, 1)
	if err != nil {
		return told(err)
	}
	defer unix.Seek(s.files[id], here, 0)
	content := make([]byte, st.Size)
	if _, err := again(func() (int, error) { return unix.Pread(plain, content, 0) }); err != nil {
		return told(err)
	}
	data, dataErr := again(func() (int64, error) { return unix.Seek(s.files[id], off, unix.SEEK_DATA) })
	hole, holeErr := again(func() (int64, error) { return unix.Seek(s.files[id], off, unix.SEEK_HOLE) })
	if off >= st.Size {
		return fmt.Sprintf("past the end: %s %s", told(dataErr), told(holeErr))
	}
	if dataErr == unix.ENXIO {
		data, dataErr = st.Size, nil
	}
	switch {
	case dataErr != nil || holeErr != nil:
		return fmt.Sprintf("data: %s, hole: %s", told(dataErr), told(holeErr))
	case data < off || data > st.Size || hole < off || hole > st.Size:
		return fmt.Sprintf("data at %d, hole at %d", data, hole)
	case len(bytes.TrimLeft(content[off:data], "\x00")) > 0:
		return fmt.Sprintf("data at %d, after bytes that are not 0", data)
	}
	return "as lseek promises"
}

// mapped maps a file, reads or writes n bytes at off as far as the file goes,
// and reads them back from the mapping.
func (s *side) mapped(id int, off, n int64, how int, data []byte) (result string) {
	var st unix.Stat_t
	if err := unix.Fstat(s.files[id], &st); err != nil {
		return told(err)
	}
	if off >= st.Size {
		return "past the end"
	}
	n = min(n, st.Size-off)
	prot := unix.PROT_READ
	if data != nil {
		prot |= unix.PROT_WRITE
	}
	m, err := unix.Mmap(s.files[id], 0, int(st.Size), prot, how)
	if err != nil {
		return told(err)
	}
	defer unix.Munmap(m)
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			result = "SIGBUS"
		}
	}()
	if data != nil {
		copy(m[off:off+n], data)
		if how == unix.MAP_SHARED {
			if err := unix.Msync(m, unix.MS_SYNC); err != nil {
				return "msync: " + told(err)
			}
		}
	}
	return summary(bytes.Clone(m[off : off+n]))
}

func (s *side) removeAll() string {
	names, err := os.ReadDir(s.root)
	for _, n := range names {
		err = errors.Join(err, os.RemoveAll(s.path(n.Name())))
	}
	return told(err)
}
