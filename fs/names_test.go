package fs

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

func TestRenameFlags(t *testing.T) {
	inBoth(t, func(t *testing.T, dir string) {
		a, b, d := filepath.Join(dir, "a"), filepath.Join(dir, "b"), filepath.Join(dir, "d")
		check(t, os.WriteFile(a, []byte("A"), 0o644), os.WriteFile(b, []byte("B"), 0o644), os.Mkdir(d, 0o755))
		rename := func(from, to string, flags uint) error {
			return unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, flags)
		}
		if err := rename(a, b, unix.RENAME_NOREPLACE); err != unix.EEXIST {
			t.Errorf("RENAME_NOREPLACE: %v", err)
		}
		check(t, rename(a, b, unix.RENAME_EXCHANGE))
		if got, _ := os.ReadFile(a); string(got) != "B" {
			t.Errorf("after exchanging, a holds %q", got)
		}
		check(t, rename(a, d, unix.RENAME_EXCHANGE)) // a file for a directory
		if st, err := os.Stat(a); err != nil || !st.IsDir() {
			t.Errorf("a is %v, %v", st, err)
		}
		check(t, rename(d, filepath.Join(a, "moved"), unix.RENAME_NOREPLACE))
		if got, _ := os.ReadFile(filepath.Join(a, "moved")); string(got) != "B" {
			t.Errorf("a/moved holds %q", got)
		}
		if err := rename(b, filepath.Join(dir, "none"), unix.RENAME_EXCHANGE); err != unix.ENOENT {
			t.Errorf("exchanging with nothing: %v", err)
		}
		if err := rename(b, filepath.Join(dir, "w"), unix.RENAME_WHITEOUT); err != unix.EINVAL {
			t.Errorf("RENAME_WHITEOUT: %v", err)
		}
		if err := rename(a, filepath.Join(a, "below"), 0); err != unix.EINVAL {
			t.Errorf("a directory into itself: %v", err)
		}
	})
}

func TestRenameDirectory(t *testing.T) {
	inBoth(t, func(t *testing.T, dir string) {
		check(t, os.MkdirAll(filepath.Join(dir, "a/b"), 0o755), os.Mkdir(filepath.Join(dir, "c"), 0o755))
		f := create(t, filepath.Join(dir, "a/b/f"))
		defer f.Close()
		check(t, os.Rename(filepath.Join(dir, "a/b"), filepath.Join(dir, "c/d")))
		write(t, f, "written after its directory moved")
		got, err := os.ReadFile(filepath.Join(dir, "c/d/f"))
		if err != nil || string(got) != "written after its directory moved" {
			t.Errorf("%q, %v", got, err)
		}
		var up, parent unix.Stat_t
		check(t, unix.Stat(filepath.Join(dir, "c/d/.."), &up), unix.Stat(filepath.Join(dir, "c"), &parent))
		if up.Ino != parent.Ino {
			t.Error("d/.. is not c")
		}
	})
}

func TestLargeDirectory(t *testing.T) {
	const n = 10_000
	inBoth(t, func(t *testing.T, dir string) {
		// All are names of one file: that is fast, and a test of links too.
		file := create(t, filepath.Join(dir, "..", filepath.Base(dir)+".file"))
		defer file.Close()
		var want []string
		for i := range n {
			want = append(want, fmt.Sprintf("%05d a song with a title of common length.mp3", i))
			check(t, os.Link(file.Name(), filepath.Join(dir, want[i])))
		}
		if got := stat(t, file).Nlink; got != n+1 {
			t.Errorf("%d links, want %d", got, n+1)
		}
		entries, err := os.ReadDir(dir)
		check(t, err)
		var got []string
		for _, e := range entries {
			got = append(got, e.Name())
		}
		if !slices.Equal(got, want) {
			t.Fatalf("listed %d names of %d", len(got), n)
		}
		// Removing while reading skips and repeats nothing.
		d, err := os.Open(dir)
		check(t, err)
		defer d.Close()
		seen := 0
		for {
			names, err := d.Readdirnames(100)
			for _, name := range names {
				check(t, os.Remove(filepath.Join(dir, name)))
				seen++
			}
			if err != nil {
				break
			}
		}
		if left, err := os.ReadDir(dir); seen != n || len(left) != 0 || err != nil {
			t.Errorf("removed %d of %d, left %d, %v", seen, n, len(left), err)
		}
	})
}

func TestSeekdir(t *testing.T) {
	inBoth(t, func(t *testing.T, dir string) {
		for i := range 300 {
			check(t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("%03d", i)), nil, 0o644))
		}
		d, err := os.Open(dir)
		check(t, err)
		defer d.Close()
		fd := int(d.Fd())
		buf := make([]byte, 1024)
		n, err := unix.ReadDirent(fd, buf)
		check(t, err)
		at, err := unix.Seek(fd, 0, unix.SEEK_CUR)
		check(t, err)
		_, _, first := unix.ParseDirent(buf[:n], -1, nil)
		rest := func() (names []string) {
			for {
				n, err := unix.ReadDirent(fd, buf)
				if check(t, err); n == 0 {
					return names
				}
				_, _, names = unix.ParseDirent(buf[:n], -1, names)
			}
		}
		want := rest()
		if len(first)+len(want) != 300 {
			t.Fatalf("%d + %d names", len(first), len(want))
		}
		check(t, os.Remove(filepath.Join(dir, "000")), os.WriteFile(filepath.Join(dir, "zzz"), nil, 0o644))
		_, err = unix.Seek(fd, at, unix.SEEK_SET)
		check(t, err)
		if got := rest(); !slices.Equal(got, want) {
			t.Errorf("after seekdir %d names, want %d", len(got), len(want))
		}
		_, err = unix.Seek(fd, 0, unix.SEEK_SET)
		check(t, err)
		if got := rest(); len(got) != 300 || slices.Contains(got, "000") || !slices.Contains(got, "zzz") {
			t.Errorf("after rewinddir %d names: %q", len(got), got)
		}
	})
}

func TestSocket(t *testing.T) {
	inBoth(t, func(t *testing.T, dir string) {
		l, err := net.Listen("unix", filepath.Join(dir, "s"))
		check(t, err)
		defer l.Close()
		c, err := net.Dial("unix", l.Addr().String())
		check(t, err)
		c.Close()
	})
}

func TestStatfs(t *testing.T) {
	inBoth(t, func(t *testing.T, dir string) {
		var s unix.Statfs_t
		check(t, unix.Statfs(dir, &s))
		if s.Bsize < 512 || s.Blocks == 0 || s.Bavail > s.Bfree || s.Bfree > s.Blocks || s.Namelen != 255 {
			t.Errorf("%+v", s)
		}
	})
}
