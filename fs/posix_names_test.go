package fs

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func renameat(from, to string, flags uint) error {
	return unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, flags)
}

var namesRules = ruleTable{
	{"link counts of directories", "", func(r *report, dir string) {
		r.must(os.MkdirAll(r.at("a/b/c"), 0o755), os.Mkdir(r.at("d"), 0o755), os.Mkdir(r.at("a/e"), 0o755))
		r.stat(".", "a", "a/b", "d")
		r.do("move", os.Rename(r.at("a/b"), r.at("d/b")))
		r.stat(".", "a", "d", "d/b")
		r.do("move over an empty one", os.Rename(r.at("d/b/c"), r.at("a/e")))
		r.stat("a", "d/b", "a/e")
		r.do("exchange", renameat(r.at("a/e"), r.at("d/b"), unix.RENAME_EXCHANGE))
		r.stat("a", "d", "a/e", "d/b")
		r.put("f", "")
		r.do("exchange with a file", renameat(r.at("f"), r.at("d/b"), unix.RENAME_EXCHANGE))
		r.stat(".", "a", "d", "f", "d/b")
		r.do("remove", os.Remove(r.at("f")))
		r.stat(".")
	}},
	{"link counts of files", "", func(r *report, dir string) {
		r.put("a", "x")
		r.must(os.Mkdir(r.at("d"), 0o755), os.Symlink("nowhere", r.at("s")), unix.Mkfifo(r.at("p"), 0o644))
		r.must(os.Link(r.at("a"), r.at("b")), os.Link(r.at("a"), r.at("d/c")), os.Link(r.at("s"), r.at("d/s")), os.Link(r.at("p"), r.at("d/p")))
		r.stat("a", "b", "d/c", "s", "p", "d")
		r.do("rename to a name of the same file", os.Rename(r.at("a"), r.at("b")))
		r.stat("a", "b")
		r.put("e", "y")
		r.do("rename over one of the names", os.Rename(r.at("e"), r.at("d/c")))
		r.stat("a", "d/c")
		r.do("exchange", renameat(r.at("a"), r.at("d/c"), unix.RENAME_EXCHANGE))
		r.stat("a", "b", "d/c")
		r.do("exchange two names of one file", renameat(r.at("b"), r.at("d/c"), unix.RENAME_EXCHANGE))
		r.do("unlink", os.Remove(r.at("b")))
		r.stat("a", "d/c")
		r.do("link to a directory", os.Link(r.at("d"), r.at("dd")))
		r.do("link over a name", os.Link(r.at("a"), r.at("d/c")))
		r.do("link to nothing", os.Link(r.at("none"), r.at("n")))
	}},
	{"rename without replacing", "", func(r *report, dir string) {
		r.put("a", "A")
		r.put("b", "B")
		r.must(os.Mkdir(r.at("d"), 0o755), os.Link(r.at("a"), r.at("l")))
		for _, to := range []string{"b", "d", "l", "a", "new", "d/none/x"} {
			r.do("no replace to "+to, renameat(r.at("a"), r.at(to), unix.RENAME_NOREPLACE))
		}
		r.do("both flags", renameat(r.at("b"), r.at("d"), unix.RENAME_NOREPLACE|unix.RENAME_EXCHANGE))
		r.do("unknown flag", renameat(r.at("b"), r.at("d"), 1<<10))
		r.do("exchange with nothing", renameat(r.at("b"), r.at("none"), unix.RENAME_EXCHANGE))
		r.do("exchange nothing", renameat(r.at("none"), r.at("b"), unix.RENAME_EXCHANGE))
	}},
	{"rename over other types", "", func(r *report, dir string) {
		r.must(os.MkdirAll(r.at("full/x"), 0o755), os.Mkdir(r.at("empty"), 0o755), os.Mkdir(r.at("d"), 0o755), os.Symlink("empty", r.at("s")))
		r.put("f", "")
		for _, p := range [][2]string{{"f", "empty"}, {"empty", "f"}, {"d", "full"}, {"d", "s"}, {"full", "full/x"}, {"full", "full/x/y"},
			{"full/x", "full"}, {"d", "."}, {"d/.", "e"}, {"d/..", "e"}, {"f/", "g"}, {"f", "g/"}, {"d", "g/"}, {"g", "d/h"}, {"s", "t"}, {"t", "f"}} {
			r.do(p[0]+" to "+p[1], unix.Rename(r.dir+"/"+p[0], r.dir+"/"+p[1]))
		}
		r.do("exchange with what is below", renameat(r.at("full"), r.at("full/x"), unix.RENAME_EXCHANGE))
		r.do("exchange with what is above", renameat(r.at("full/x"), r.at("full"), unix.RENAME_EXCHANGE))
		r.stat("full", "full/x")
	}},
	{"lengths of names", "", func(r *report, dir string) {
		n255, n256 := strings.Repeat("n", 255), strings.Repeat("n", 256)
		u255 := strings.Repeat("ä", 127) + "x"
		for _, n := range []string{n255, n256, u255, u255 + "y"} {
			what := fmt.Sprintf("%d bytes", len(n))
			r.do(what+": create", os.WriteFile(r.at(n), nil, 0o644))
			r.do(what+": stat", errOf(0, unix.Lstat(r.at(n), new(unix.Stat_t))))
			r.do(what+": link", os.Link(r.at(n), r.at("l"+n[1:])))
			r.do(what+": rename", os.Rename(r.at(n), r.at("r"+n[1:])))
			r.do(what+": mkdir", os.Mkdir(r.at("d"+n[1:]), 0o755))
			r.do(what+": rmdir", unix.Rmdir(r.at("d"+n[1:])))
			r.do(what+": symlink", os.Symlink(n, r.at("s"+n[1:])))
			r.do(what+": mkfifo", unix.Mkfifo(r.at("p"+n[1:]), 0o644))
			r.do(what+": unlink", unix.Unlink(r.at("s"+n[1:])))
		}
	}},
	{"names of any bytes", "", func(r *report, dir string) {
		for b := 1; b < 256; b++ {
			if b != '/' && b != '.' {
				r.do(fmt.Sprintf("%02x", b), os.WriteFile(r.at(string([]byte{byte(b)})), []byte{byte(b)}, 0o644))
			}
		}
		r.put("...", "dots")
		r.put(" ", "space")
		entries, err := os.ReadDir(dir)
		r.say("%d names, %v", len(entries), err)
		for _, e := range entries {
			r.get(e.Name())
		}
	}},
	{"targets of symbolic links", "", func(r *report, dir string) {
		for _, n := range []int{1, 255, 1000, 4094, 4095, 4096} {
			target := strings.Repeat("t", n)
			err := unix.Symlink(target, r.at(fmt.Sprint(n)))
			got, _ := os.Readlink(r.at(fmt.Sprint(n)))
			r.say("%d: %s, read back: %v", n, word(err), got == target)
			r.stat(fmt.Sprint(n))
		}
		r.do("empty", unix.Symlink("", r.at("empty")))
		r.must(unix.Symlink("bytes\xff\n\x01", r.at("bytes")), unix.Symlink("b", r.at("a")), unix.Symlink("a", r.at("b")))
		got, err := os.Readlink(r.at("bytes"))
		r.say("%q %v", got, err)
		r.do("loop", errOf(unix.Open(r.at("a"), unix.O_RDONLY, 0)))
		r.do("readlink of a directory", errOf(unix.Readlink(dir, make([]byte, 9))))
		buf := make([]byte, 3)
		n, err := unix.Readlink(r.at("bytes"), buf)
		r.say("into a small buffer: %d %q, %v", n, buf, err)
	}},
	{"directories that are gone", "", func(r *report, dir string) {
		r.must(os.Mkdir(r.at("d"), 0o751), os.Mkdir(r.at("e"), 0o755))
		d, err := os.Open(r.at("d"))
		r.must(err)
		defer d.Close()
		fd := int(d.Fd())
		r.do("rmdir", unix.Rmdir(r.at("d")))
		r.fstat(d)
		r.do("create in it", errOf(unix.Openat(fd, "f", unix.O_CREAT|unix.O_WRONLY, 0o644)))
		r.do("mkdir in it", unix.Mkdirat(fd, "x", 0o755))
		r.do("look up in it", unix.Fstatat(fd, "f", new(unix.Stat_t), 0))
		r.do("rename into it", unix.Renameat(unix.AT_FDCWD, r.at("e"), fd, "e"))
		names, err := d.Readdirnames(-1)
		r.say("it lists %q, %v", names, err)
		r.do("chmod", d.Chmod(0o700))
		r.do("fsync", d.Sync())
		r.fstat(d)
		r.must(os.Mkdir(r.at("g"), 0o755), os.Mkdir(r.at("h"), 0o755))
		h, err := os.Open(r.at("h"))
		r.must(err)
		defer h.Close()
		r.do("replace an open one", unix.Rename(r.at("g"), r.at("h")))
		r.fstat(h)
	}},
	{"names made and removed since a directory was opened", "", func(r *report, dir string) {
		r.must(os.Mkdir(r.at("d"), 0o755))
		r.put("d/old", "x")
		d, err := os.Open(r.at("d"))
		r.must(err)
		defer d.Close()
		r.put("d/new", "x")
		r.must(os.Remove(r.at("d/old")))
		_, err = d.Seek(0, 0)
		r.do("rewind", err)
		names, err := d.Readdirnames(-1)
		r.say("it lists %q, %v", names, err)
	}},
	{"what has no name left", "", func(r *report, dir string) {
		r.put("f", "x")
		r.must(os.Symlink("target", r.at("l")), unix.Mkfifo(r.at("p"), 0o604))
		for _, name := range []string{"f", "l", "p"} {
			fd, err := unix.Open(r.at(name), unix.O_PATH|unix.O_NOFOLLOW, 0)
			r.must(err, unix.Unlink(r.at(name)))
			f := os.NewFile(uintptr(fd), name)
			r.fstat(f)
			r.do("link it back", unix.Linkat(fd, "", unix.AT_FDCWD, r.at("back"), unix.AT_EMPTY_PATH))
			f.Close()
		}
	}},
}

func TestPosixNames(t *testing.T) { namesRules.both(t) }

// A listing under way shows each name that stays exactly once, whatever is made
// and removed meanwhile, also after going back to a place in it.
func TestListingWhileNamesChange(t *testing.T) {
	const n = 10_000
	inBoth(t, func(t *testing.T, dir string) {
		file := create(t, filepath.Join(dir, "..", filepath.Base(dir)+".file"))
		defer file.Close()
		for i := range n {
			check(t, os.Link(file.Name(), filepath.Join(dir, fmt.Sprintf("%05d", i))))
		}
		d, err := os.Open(dir)
		check(t, err)
		defer d.Close()
		fd, buf := int(d.Fd()), make([]byte, 4096)
		seen := map[string]int{}
		var mark int64     // a place in the listing
		var since []string // names listed behind it
		for round := 0; ; round++ {
			k, err := unix.ReadDirent(fd, buf)
			check(t, err)
			if k == 0 {
				break
			}
			_, _, names := unix.ParseDirent(buf[:k], -1, nil)
			for _, name := range names {
				seen[name]++
			}
			since = append(since, names...)
			// Names go and come before, at and behind where the listing is.
			for _, i := range []int{round, 5000 + 2*round, n - 1 - round} {
				_ = os.Remove(filepath.Join(dir, fmt.Sprintf("%05d", i)))
				_ = os.Link(file.Name(), filepath.Join(dir, fmt.Sprintf("%05d new", i)))
			}
			if round == 10 {
				mark, err = unix.Seek(fd, 0, unix.SEEK_CUR)
				check(t, err)
				since = nil
			}
			if round == 20 {
				_, err = unix.Seek(fd, mark, unix.SEEK_SET)
				check(t, err)
				for _, name := range since {
					seen[name]-- // they come again
				}
			}
		}
		left, err := os.ReadDir(dir)
		check(t, err)
		stayed := 0
		for _, e := range left {
			if len(e.Name()) != 5 {
				continue // made meanwhile: may be listed or not
			}
			if stayed++; seen[e.Name()] != 1 {
				t.Fatalf("%s was listed %d times", e.Name(), seen[e.Name()])
			}
		}
		for name, times := range seen {
			if times > 1 {
				t.Errorf("%s was listed %d times", name, times)
			}
		}
		if stayed < n/2 {
			t.Errorf("only %d names stayed: the test says little", stayed)
		}
	})
}

// What was removed takes no room once nobody holds it.
func TestRemovedTakesNoRoom(t *testing.T) {
	for _, pass := range []bool{false, true} {
		t.Run(fmt.Sprintf("passthrough=%v", pass), func(t *testing.T) {
			c := mounted(t, mode{Passthrough: pass})
			contents := func() int {
				files, err := filepath.Glob(filepath.Join(c.Home, "content/*/*"))
				check(t, err)
				return len(files)
			}
			path := filepath.Join(c.Dir, "f")
			f := create(t, path)
			write(t, f, "content")
			check(t, os.WriteFile(filepath.Join(c.Dir, "g"), []byte("new"), 0o644))
			check(t, os.Link(path, path+"2"), os.Rename(filepath.Join(c.Dir, "g"), path), os.Remove(path+"2"))
			if n := contents(); n != 2 {
				t.Errorf("%d contents while one is open without a name, want 2", n)
			}
			check(t, f.Close(), os.Remove(path))
			fd, err := unix.Open(c.Dir, unix.O_TMPFILE|unix.O_RDWR, 0o644)
			check(t, err, unix.Close(fd))
			for deadline := time.Now().Add(time.Minute); contents() > 0; time.Sleep(10 * time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatalf("%d contents of removed files are left", contents())
				}
			}
		})
	}
}
