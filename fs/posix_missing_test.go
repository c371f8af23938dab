package fs

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// song is a file of which no byte is here, on a drive of its own that fails the
// test if it fetches sound.
func song(t *testing.T) (c *child, path string) {
	t.Helper()
	c = mounted(t, mode{Passthrough: os.Geteuid() == 0, AllowOther: os.Geteuid() == 0})
	if os.Geteuid() == 0 {
		openTo(t, filepath.Dir(c.Dir))
		check(t, os.Chmod(c.Dir, 0o755))
	}
	c.tell(t, fmt.Sprint("plant song ", songSize))
	c.tell(t, "bucket fail")
	return c, filepath.Join(c.Dir, "song")
}

// fallocate(2) on a file of missing bytes fetches none, and what it does is seen
// once they are there.
func TestFallocateOfMissingBytes(t *testing.T) {
	const keep, punch, zero = unix.FALLOC_FL_KEEP_SIZE, unix.FALLOC_FL_PUNCH_HOLE, unix.FALLOC_FL_ZERO_RANGE
	for _, a := range []struct {
		what     string
		mode     uint32
		off, n   int64
		size     int64 // afterwards
		zeroed   [2]int64
		expected error
	}{
		{"take room", 0, 1000, 100_000, songSize, [2]int64{}, nil},
		{"take room behind the end", keep, songSize - 5, 1 << 20, songSize, [2]int64{}, nil},
		{"grow", 0, songSize - 5, 100_005, songSize + 100_000, [2]int64{songSize, songSize + 100_000}, nil},
		{"punch", punch | keep, 99_999, 70_000, songSize, [2]int64{99_999, 169_999}, nil},
		{"punch over the end", punch | keep, songSize - 7, 70_000, songSize, [2]int64{songSize - 7, songSize}, nil},
		{"punch behind the end", punch | keep, songSize + 7, 70_000, songSize, [2]int64{}, nil},
		{"zero", zero, 1, 4096, songSize, [2]int64{1, 4097}, nil},
		{"zero and grow", zero, songSize - 10, 20, songSize + 10, [2]int64{songSize - 10, songSize + 10}, nil},
		{"zero, keep size", zero | keep, songSize - 10, 20, songSize, [2]int64{songSize - 10, songSize}, nil},
		{"collapse", unix.FALLOC_FL_COLLAPSE_RANGE, 0, 4096, songSize, [2]int64{}, unix.EOPNOTSUPP},
		{"insert", unix.FALLOC_FL_INSERT_RANGE, 0, 4096, songSize, [2]int64{}, unix.EOPNOTSUPP},
	} {
		t.Run(a.what, func(t *testing.T) {
			c, path := song(t)
			f, err := os.OpenFile(path, os.O_RDWR, 0)
			check(t, err)
			defer f.Close()
			if err := unix.Fallocate(int(f.Fd()), a.mode, a.off, a.n); err != a.expected && !(err == nil && a.expected == nil) {
				t.Fatalf("%v, want %v", err, a.expected)
			}
			if st := stat(t, f); st.Size != a.size {
				t.Errorf("%d bytes, want %d", st.Size, a.size)
			}
			if zeros := readAt(t, f, a.zeroed[0], int(a.zeroed[1]-a.zeroed[0])); zeros != string(make([]byte, len(zeros))) {
				t.Error("what was made zero reads otherwise, without the line")
			}
			c.tell(t, "silent")
			c.tell(t, "bucket serve")
			want := append(soundOf(0, songSize), make([]byte, max(0, a.size-songSize))...)
			clear(want[a.zeroed[0]:a.zeroed[1]])
			for _, when := range []string{"while open", "opened anew"} {
				if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
					t.Errorf("%s: %d bytes differ, %v", when, len(got), err)
				}
				f.Close()
			}
		})
	}
}

// A file of missing bytes is no sparse file: cp and tar would take what is not
// here for zeros.
func TestMissingBytesAreNoHole(t *testing.T) {
	c, path := song(t)
	f, err := os.Open(path)
	check(t, err)
	defer f.Close()
	if st := stat(t, f); st.Blocks*512 < st.Size {
		t.Errorf("%d blocks for %d bytes", st.Blocks, st.Size)
	}
	for _, s := range []struct {
		whence    int
		off, want int64
	}{{unix.SEEK_DATA, 0, 0}, {unix.SEEK_DATA, 777, 777}, {unix.SEEK_HOLE, 0, songSize}, {unix.SEEK_HOLE, songSize - 1, songSize}} {
		if got, err := unix.Seek(int(f.Fd()), s.off, s.whence); got != s.want || err != nil {
			t.Errorf("seek(%d, %d) = %d, %v; want %d", s.off, s.whence, got, err, s.want)
		}
	}
	if _, err := unix.Seek(int(f.Fd()), songSize, unix.SEEK_DATA); err != unix.ENXIO {
		t.Errorf("data behind the end: %v", err)
	}
	c.tell(t, "silent")
}

// Who writes without being the owner takes the setuid and setgid bits away, also
// where the kernel leaves the writing to us.
func TestSetuidGoesFromMissingBytes(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("for root")
	}
	for what, act := range map[string]string{
		"write":     `printf new | dd of=song bs=3 seek=1000 conv=notrunc status=none`,
		"append":    `printf new >>song`,
		"truncate":  `truncate -s 1000 song`,
		"fallocate": `fallocate -l 9000000 song`,
	} {
		t.Run(what, func(t *testing.T) {
			c, path := song(t)
			check(t, unix.Chmod(path, 0o6777))
			out := script(c.Dir, as+`sh -c '`+act+`'; stat -c %a song`)
			if out != "777\n(<nil>)" {
				t.Error(out)
			}
			check(t, unix.Chmod(path, 0o6777))
			if out := script(c.Dir, act+`; stat -c %a song`); out != "6777\n(<nil>)" {
				t.Errorf("by root: %s", out)
			}
			c.tell(t, "silent")
		})
	}
}

// What lost its name is a file like any other while it is open, also where its
// bytes are still to come.
func TestUnlinkedOfMissingBytes(t *testing.T) {
	c, path := song(t)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND, 0)
	check(t, err)
	defer f.Close()
	check(t, os.Remove(path))
	write(t, f, "at the end")
	check(t, unix.Ftruncate(int(f.Fd()), songSize+7), f.Sync())
	if st := stat(t, f); st.Size != songSize+7 || st.Nlink != 0 {
		t.Errorf("%d bytes, %d links", st.Size, st.Nlink)
	}
	if got := readAt(t, f, songSize, 20); got != "at the " {
		t.Errorf("%q", got)
	}
	c.tell(t, "silent")
	c.tell(t, "bucket serve")
	if got := readAt(t, f, songSize-9, 10); got != string(soundOf(songSize-9, 9))+"a" {
		t.Errorf("%q", got)
	}
	if c.passthrough || os.Geteuid() != 0 {
		m, err := unix.Mmap(int(f.Fd()), 0, 8192, unix.PROT_READ, unix.MAP_SHARED)
		check(t, err)
		if !bytes.Equal(m, soundOf(0, 8192)) {
			t.Error("the mapping shows something else")
		}
		check(t, unix.Munmap(m))
	}
}

// cp of a file of which no byte is here fetches none, and what is written into
// the copy is in the copy alone.
func TestCopyOfMissingBytes(t *testing.T) {
	for _, pass := range []bool{false, os.Geteuid() == 0} {
		t.Run(fmt.Sprintf("passthrough=%v", pass), func(t *testing.T) {
			c := mounted(t, mode{Passthrough: pass})
			c.tell(t, fmt.Sprint("plant song ", songSize))
			c.tell(t, "bucket fail")
			check(t, os.WriteFile(filepath.Join(c.Dir, "over"), []byte("what was there"), 0o644))
			if out := script(c.Dir, `cp -a song copy; cp song over; cp song written; printf new | dd of=written bs=1 seek=1000 conv=notrunc status=none; stat -c %s copy over written`); out != fmt.Sprintf("%d\n%[1]d\n%[1]d\n(<nil>)", songSize) {
				t.Fatal(out)
			}
			c.tell(t, "silent")
			c.tell(t, "bucket serve")
			for _, name := range []string{"copy", "over", "written", "song"} {
				want := soundOf(0, songSize)
				if name == "written" {
					copy(want[1000:], "new")
				}
				if got, err := os.ReadFile(filepath.Join(c.Dir, name)); err != nil || !bytes.Equal(got, want) {
					t.Errorf("%s: %d bytes differ, %v", name, len(got), err)
				}
			}
			// Now all is here: the kernel copies, without the line.
			c.tell(t, "bucket fail")
			if out := script(c.Dir, `cp song again; cmp song again; cp copy again; cmp song again`); out != "(<nil>)" {
				t.Error(out)
			}
		})
	}
}
