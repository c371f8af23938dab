package fs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestUnlinkWhileOpen(t *testing.T) {
	inBoth(t, func(t *testing.T, dir string) {
		f := create(t, filepath.Join(dir, "f"))
		defer f.Close()
		write(t, f, "before ")
		check(t, os.Remove(f.Name()))
		write(t, f, "after")
		if st := stat(t, f); st.Nlink != 0 || st.Size != 12 {
			t.Errorf("nlink %d, size %d; want 0, 12", st.Nlink, st.Size)
		}
		if got := readAt(t, f, 0, 12); got != "before after" {
			t.Errorf("read %q", got)
		}
		check(t, f.Chmod(0o600), f.Truncate(3))
		if _, err := os.Stat(f.Name()); !os.IsNotExist(err) {
			t.Errorf("the name is still there: %v", err)
		}
	})
}

func TestReplacedWhileOpen(t *testing.T) {
	inBoth(t, func(t *testing.T, dir string) {
		old := create(t, filepath.Join(dir, "f"))
		defer old.Close()
		write(t, old, "old")
		check(t, os.WriteFile(filepath.Join(dir, "g"), []byte("newer"), 0o644))
		check(t, os.Rename(filepath.Join(dir, "g"), old.Name()))
		if got := readAt(t, old, 0, 3); got != "old" {
			t.Errorf("the open file reads %q", got)
		}
		if got, err := os.ReadFile(old.Name()); err != nil || string(got) != "newer" {
			t.Errorf("the name reads %q, %v", got, err)
		}
	})
}

func TestTwoDescriptors(t *testing.T) {
	inBoth(t, func(t *testing.T, dir string) {
		a := create(t, filepath.Join(dir, "f"))
		defer a.Close()
		b, err := os.OpenFile(a.Name(), os.O_RDWR|os.O_APPEND, 0)
		check(t, err)
		defer b.Close()
		r, err := os.Open(a.Name())
		check(t, err)
		defer r.Close()
		for i := range 5 {
			write(t, a, "a")
			_, err := a.Seek(0, io.SeekEnd)
			check(t, err)
			write(t, b, "b")
			_, err = a.Seek(0, io.SeekEnd)
			check(t, err)
			if got, want := readAt(t, r, 0, 2*i+2), string(bytes.Repeat([]byte("ab"), i+1)); got != want {
				t.Fatalf("read %q, want %q", got, want)
			}
			if st := stat(t, r); int(st.Size) != 2*i+2 {
				t.Fatalf("size %d, want %d", st.Size, 2*i+2)
			}
		}
	})
}

func TestSharedMapping(t *testing.T) {
	inBoth(t, func(t *testing.T, dir string) {
		f := create(t, filepath.Join(dir, "f"))
		defer f.Close()
		const size = 3*4096 + 100
		check(t, f.Truncate(size))
		m, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		check(t, err)
		before := stat(t, f).Mtim
		time.Sleep(20 * time.Millisecond)
		copy(m[4000:], "across the page")
		check(t, unix.Msync(m, unix.MS_SYNC))
		if got := readAt(t, f, 4000, 15); got != "across the page" {
			t.Errorf("read %q", got)
		}
		if after := stat(t, f).Mtim; after == before {
			t.Error("a store to the mapping left mtime as it was")
		}
		_, err = f.WriteAt([]byte("WRITTEN"), 8000)
		check(t, err)
		if got := string(m[8000:8007]); got != "WRITTEN" {
			t.Errorf("the mapping shows %q", got)
		}
		check(t, unix.Munmap(m), f.Close())
		if got, err := os.ReadFile(f.Name()); err != nil || len(got) != size || string(got[4000:4015]) != "across the page" {
			t.Errorf("after closing: %d bytes, %v", len(got), err)
		}
	})
}

// A mapping outlives its descriptor, and its stores the release of the handle.
func TestMappingAfterClose(t *testing.T) {
	inBoth(t, func(t *testing.T, dir string) {
		f := create(t, filepath.Join(dir, "f"))
		write(t, f, string(make([]byte, 8192)))
		m, err := unix.Mmap(int(f.Fd()), 0, 8192, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		check(t, err, f.Close())
		copy(m[5000:], "late")
		check(t, unix.Msync(m, unix.MS_SYNC), unix.Munmap(m))
		got, err := os.ReadFile(f.Name())
		if err != nil || string(got[5000:5004]) != "late" {
			t.Errorf("read back %q, %v", got[5000:5004], err)
		}
	})
}

// Openings and releases that cross must not mix the modes of an inode.
func TestOpenAndCloseAtOnce(t *testing.T) {
	inBoth(t, func(t *testing.T, dir string) {
		path := filepath.Join(dir, "f")
		check(t, os.WriteFile(path, bytes.Repeat([]byte("x"), 100), 0o644))
		var wg sync.WaitGroup
		for g := range 4 {
			wg.Go(func() {
				for i := range 150 {
					f, err := os.OpenFile(path, os.O_RDWR, 0)
					if err != nil {
						t.Error(err)
						return
					}
					if _, err := f.WriteAt([]byte("y"), int64(g*20+i%20)); err != nil {
						t.Error(err)
					}
					if _, err := f.ReadAt(make([]byte, 100), 0); err != nil {
						t.Error(err)
					}
					if err := f.Close(); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
	})
}

func TestOpenFlags(t *testing.T) {
	inBoth(t, func(t *testing.T, dir string) {
		path := filepath.Join(dir, "f")
		check(t, os.WriteFile(path, []byte("0123456789"), 0o644))
		if _, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o644); !errors.Is(err, unix.EEXIST) {
			t.Errorf("O_EXCL: %v", err)
		}
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
		check(t, err)
		if st := stat(t, f); st.Size != 0 {
			t.Errorf("O_TRUNC left %d bytes", st.Size)
		}
		if _, err := f.ReadAt(make([]byte, 1), 0); !errors.Is(err, unix.EBADF) {
			t.Errorf("reading what is open for writing: %v", err)
		}
		_, err = unix.Pwritev(int(f.Fd()), [][]byte{[]byte("one "), []byte("two "), []byte("three")}, 0)
		check(t, err, f.Close())
		r, err := os.Open(path)
		check(t, err)
		defer r.Close()
		if got := readAt(t, r, 0, 13); got != "one two three" {
			t.Errorf("writev left %q", got)
		}
		if _, err := r.Write([]byte("x")); !errors.Is(err, unix.EBADF) {
			t.Errorf("writing what is open for reading: %v", err)
		}
		if _, err := unix.Open(path, unix.O_DIRECTORY, 0); err != unix.ENOTDIR {
			t.Errorf("O_DIRECTORY on a file: %v", err)
		}
		if _, err := unix.Open(dir, unix.O_RDWR, 0); err != unix.EISDIR {
			t.Errorf("writing a directory: %v", err)
		}
		check(t, os.Symlink("f", filepath.Join(dir, "l")))
		if _, err := unix.Open(filepath.Join(dir, "l"), unix.O_NOFOLLOW, 0); err != unix.ELOOP {
			t.Errorf("O_NOFOLLOW on a link: %v", err)
		}
		d, err := os.Open(dir)
		check(t, err)
		check(t, r.Sync(), d.Sync(), unix.Syncfs(int(d.Fd())), d.Close())
	})
}

func TestSparse(t *testing.T) {
	inBoth(t, func(t *testing.T, dir string) {
		f := create(t, filepath.Join(dir, "f"))
		defer f.Close()
		const at, size = 1 << 20, 4 << 20
		check(t, f.Truncate(size))
		_, err := f.WriteAt([]byte("data"), at)
		check(t, err)
		if st := stat(t, f); st.Size != size {
			t.Errorf("size %d", st.Size)
		}
		for _, s := range []struct {
			whence    int
			off, want int64
		}{{unix.SEEK_DATA, 0, at}, {unix.SEEK_HOLE, at, at + 4096}, {unix.SEEK_HOLE, 0, 0}, {unix.SEEK_DATA, at + 1, at + 1}} {
			if got, err := unix.Seek(int(f.Fd()), s.off, s.whence); err != nil || got != s.want {
				t.Errorf("seek(%d, %d) = %d, %v; want %d", s.off, s.whence, got, err, s.want)
			}
		}
		if _, err := unix.Seek(int(f.Fd()), at+8192, unix.SEEK_DATA); err != unix.ENXIO {
			t.Errorf("no data left: %v", err)
		}
		if got := readAt(t, f, at-2, 8); got != "\x00\x00data\x00\x00" {
			t.Errorf("read %q", got)
		}
	})
}

func TestFallocate(t *testing.T) {
	inBoth(t, func(t *testing.T, dir string) {
		f := create(t, filepath.Join(dir, "f"))
		defer f.Close()
		fd := int(f.Fd())
		write(t, f, "begin")
		check(t, unix.Fallocate(fd, unix.FALLOC_FL_KEEP_SIZE, 0, 1<<16))
		if st := stat(t, f); st.Size != 5 {
			t.Errorf("keeping the size: %d bytes", st.Size)
		}
		check(t, unix.Fallocate(fd, 0, 0, 1<<16))
		if st := stat(t, f); st.Size != 1<<16 {
			t.Errorf("size %d", st.Size)
		}
		if got := readAt(t, f, 0, 8); got != "begin\x00\x00\x00" {
			t.Errorf("read %q", got)
		}
		switch err := unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, 4096); err {
		case nil:
			if got := readAt(t, f, 0, 5); got != "\x00\x00\x00\x00\x00" {
				t.Errorf("after punching: %q", got)
			}
		case unix.EOPNOTSUPP:
		default:
			t.Errorf("punching: %v", err)
		}
	})
}

func TestTimes(t *testing.T) {
	inBoth(t, func(t *testing.T, dir string) {
		f := create(t, filepath.Join(dir, "f"))
		defer f.Close()
		omit := unix.Timespec{Nsec: unix.UTIME_OMIT}
		a, m := unix.Timespec{Sec: 1e9, Nsec: 123456789}, unix.Timespec{Sec: -5e8, Nsec: 987654321}
		check(t, unix.UtimesNanoAt(unix.AT_FDCWD, f.Name(), []unix.Timespec{a, m}, 0))
		if st := stat(t, f); st.Atim != a || st.Mtim != m {
			t.Errorf("set: %v %v", st.Atim, st.Mtim)
		}
		m2 := unix.Timespec{Sec: 12, Nsec: 1}
		check(t, unix.UtimesNanoAt(unix.AT_FDCWD, f.Name(), []unix.Timespec{omit, m2}, 0))
		if st := stat(t, f); st.Atim != a || st.Mtim != m2 {
			t.Errorf("mtime alone: %v %v", st.Atim, st.Mtim)
		}
		now := time.Now().Unix()
		check(t, unix.UtimesNanoAt(unix.AT_FDCWD, f.Name(), []unix.Timespec{{Nsec: unix.UTIME_NOW}, omit}, 0))
		if st := stat(t, f); st.Atim.Sec < now-1 || st.Mtim != m2 {
			t.Errorf("atime now: %v %v", st.Atim, st.Mtim)
		}
		// A write after the times were set moves them again, and a closed
		// file keeps the times it was given through its handle.
		write(t, f, "x")
		if st := stat(t, f); st.Mtim.Sec < now-1 {
			t.Errorf("after a write: %v", st.Mtim)
		}
		check(t, unix.Futimes(int(f.Fd()), []unix.Timeval{{Sec: 77}, {Sec: 88}}), f.Close())
		time.Sleep(1100 * time.Millisecond)
		var st unix.Stat_t
		if check(t, unix.Stat(f.Name(), &st)); st.Mtim.Sec != 88 {
			t.Errorf("after closing: %v", st.Mtim)
		}
	})
}

// What one program changes, another sees at once, though the kernel caches.
func TestAttributesAreFresh(t *testing.T) {
	inBoth(t, func(t *testing.T, dir string) {
		path := filepath.Join(dir, "f")
		for i := range 20 {
			f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o644)
			check(t, err)
			write(t, f, "0123456789")
			for _, when := range []string{"open", "closed"} {
				var st unix.Stat_t
				if check(t, unix.Stat(path, &st)); st.Size != int64(10*i+10) {
					t.Fatalf("round %d, %s: size %d", i, when, st.Size)
				}
				if when == "open" {
					check(t, f.Close())
				}
			}
			if got, err := os.ReadFile(path); err != nil || len(got) != 10*i+10 {
				t.Fatalf("round %d: read %d bytes, %v", i, len(got), err)
			}
		}
	})
}

func TestLargeFile(t *testing.T) {
	inBoth(t, func(t *testing.T, dir string) {
		f := create(t, filepath.Join(dir, "f"))
		defer f.Close()
		var want bytes.Buffer
		for i := range 1 << 16 {
			fmt.Fprintf(&want, "line %d of a file larger than any request\n", i)
		}
		_, err := f.Write(want.Bytes())
		check(t, err)
		got, err := os.ReadFile(f.Name())
		if err != nil || !bytes.Equal(got, want.Bytes()) {
			t.Errorf("read back %d of %d bytes, %v", len(got), want.Len(), err)
		}
	})
}

func create(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.Create(path)
	check(t, err)
	return f
}

func write(t *testing.T, f *os.File, s string) {
	t.Helper()
	_, err := f.WriteString(s)
	check(t, err)
}

func readAt(t *testing.T, f *os.File, off int64, n int) string {
	t.Helper()
	b := make([]byte, n)
	m, err := f.ReadAt(b, off)
	if err != nil && err != io.EOF {
		t.Fatal(err)
	}
	return string(b[:m])
}

func stat(t *testing.T, f *os.File) unix.Stat_t {
	t.Helper()
	var st unix.Stat_t
	check(t, unix.Fstat(int(f.Fd()), &st))
	return st
}

func check(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil && err != syscall.Errno(0) {
			t.Fatal(err)
		}
	}
}

// An empty file's times are told the same when it is made and ever after.
func TestTimesOfAnEmptyFile(t *testing.T) {
	inBoth(t, func(t *testing.T, dir string) {
		f := create(t, filepath.Join(dir, "f"))
		made := stat(t, f)
		check(t, f.Close())
		var st unix.Stat_t
		check(t, unix.Chmod(f.Name(), 0o600), unix.Stat(f.Name(), &st)) // has the drive asked
		if st.Mtim != made.Mtim || st.Atim != made.Atim {
			t.Errorf("mtime %v, then %v; atime %v, then %v", made.Mtim, st.Mtim, made.Atim, st.Atim)
		}
	})
}

// The kernel stops asking for the attributes of a file that was mapped for
// writing once no mapping is left.
func TestAttributesAfterMapping(t *testing.T) {
	inBoth(t, func(t *testing.T, dir string) {
		f := create(t, filepath.Join(dir, "f"))
		check(t, f.Truncate(4096))
		m, err := unix.Mmap(int(f.Fd()), 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		check(t, err, f.Close())
		mtime := func() unix.Timespec {
			var st unix.Stat_t
			check(t, unix.Stat(f.Name(), &st))
			return st.Mtim
		}
		before := mtime()
		time.Sleep(20 * time.Millisecond)
		m[0] = 1
		check(t, unix.Msync(m, unix.MS_SYNC))
		for deadline := time.Now().Add(time.Minute); mtime() == before; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("a store to a mapping that outlived its descriptor is never told")
			}
		}
		check(t, unix.Munmap(m))
		after := mtime()
		f, err = os.OpenFile(f.Name(), os.O_WRONLY, 0)
		check(t, err)
		defer f.Close()
		write(t, f, "x")
		if mtime() == after {
			t.Error("a later write is not told")
		}
	})
}
