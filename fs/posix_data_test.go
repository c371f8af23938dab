package fs

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// sum tells what a file holds, with runs of one byte shortened.
func (r *report) sum(name string) {
	data, err := os.ReadFile(r.at(name))
	var b strings.Builder
	for i := 0; i < len(data); {
		j := i
		for j < len(data) && data[j] == data[i] {
			j++
		}
		fmt.Fprintf(&b, " %q*%d", data[i], j-i)
		i = j
	}
	r.say("%s:%s (%s)", name, b.String(), word(err))
}

const page = 4096

var dataRules = ruleTable{
	{"fallocate", "", func(r *report, dir string) {
		for _, c := range []struct {
			what   string
			mode   uint32
			off, n int64
		}{
			{"keep size", unix.FALLOC_FL_KEEP_SIZE, 2 * page, 20 * page},
			{"grow", 0, 3*page - 5, 2 * page},
			{"inside", 0, 0, page},
			{"punch", unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_KEEP_SIZE, 100, 2 * page},
			{"punch behind the end", unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_KEEP_SIZE, 10 * page, page},
			{"punch over the end", unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_KEEP_SIZE, 2*page + 9, 20 * page},
			{"punch without keep", unix.FALLOC_FL_PUNCH_HOLE, 0, page},
			{"zero", unix.FALLOC_FL_ZERO_RANGE, 1, page},
			{"zero over the end", unix.FALLOC_FL_ZERO_RANGE, 2 * page, 3 * page},
			{"zero, keep size", unix.FALLOC_FL_ZERO_RANGE | unix.FALLOC_FL_KEEP_SIZE, 2*page + 1, 9 * page},
			{"no bytes", 0, 0, 0},
			{"before the beginning", 0, -1, 5},
		} {
			name := strings.ReplaceAll(c.what, " ", "-")
			r.put(name, strings.Repeat("x", 3*page-10))
			f := r.open(name, os.O_RDWR)
			r.do(c.what, unix.Fallocate(int(f.Fd()), c.mode, c.off, c.n))
			r.fstat(f)
			f.Close()
			r.sum(name)
		}
		f := r.open("keep-size", os.O_RDONLY)
		defer f.Close()
		r.do("for reading", unix.Fallocate(int(f.Fd()), 0, 0, page))
		d, err := os.Open(dir)
		r.must(err)
		defer d.Close()
		r.do("a directory", unix.Fallocate(int(d.Fd()), 0, 0, page))
	}},
	{"holes", "", func(r *report, dir string) {
		f := r.open("f", os.O_CREATE|os.O_RDWR)
		defer f.Close()
		r.must(f.Truncate(20 * page))
		for _, at := range []int64{3 * page, 7 * page, 8 * page, 15*page + 5} {
			_, err := f.WriteAt([]byte("data"), at)
			r.must(err)
		}
		seeks := func() {
			for _, off := range []int64{-1, 0, page, 3 * page, 3*page + 2, 4 * page, 8*page + 1, 9 * page, 15 * page, 16 * page, 20*page - 1, 20 * page, 21 * page} {
				d, derr := unix.Seek(int(f.Fd()), off, unix.SEEK_DATA)
				h, herr := unix.Seek(int(f.Fd()), off, unix.SEEK_HOLE)
				r.say("from %d: data %d %s, hole %d %s", off, d, word(derr), h, word(herr))
			}
		}
		seeks()
		r.must(unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 7*page, page))
		r.must(f.Truncate(17 * page))
		seeks()
		r.do("empty", func() error {
			e := r.open("e", os.O_CREATE|os.O_RDWR)
			defer e.Close()
			return errOf64(unix.Seek(int(e.Fd()), 0, unix.SEEK_DATA))
		}())
	}},
	{"room taken", "", func(r *report, dir string) {
		for _, c := range []struct {
			name string
			size int64
			at   []int64 // where a page is written
		}{{"empty", 0, nil}, {"hole", 16 << 20, nil}, {"sparse", 1 << 20, []int64{0, 100 * page, 200 * page}}, {"full", 2 * page, []int64{0, page}}, {"small", 0, []int64{0}}} {
			f := r.open(c.name, os.O_CREATE|os.O_RDWR)
			r.must(f.Truncate(c.size))
			for _, at := range c.at {
				_, err := f.WriteAt([]byte(strings.Repeat("d", page)), at)
				r.must(err)
			}
			r.must(f.Sync())
			for _, when := range []string{"open", "closed"} {
				var st unix.Stat_t
				r.must(unix.Stat(r.at(c.name), &st))
				r.say("%s, %s: %d bytes, %d blocks of 512", c.name, when, st.Size, st.Blocks)
				if when == "open" {
					r.must(f.Close())
				}
			}
		}
		f := r.open("sparse", os.O_RDWR)
		defer f.Close()
		r.must(unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, 101*page))
		var st unix.Stat_t
		r.must(unix.Fstat(int(f.Fd()), &st))
		r.say("punched: %d blocks", st.Blocks)
		r.must(f.Truncate(0))
		r.must(unix.Fstat(int(f.Fd()), &st))
		r.say("cut to nothing: %d blocks", st.Blocks)
	}},
	{"far away", "", func(r *report, dir string) {
		f := r.open("f", os.O_CREATE|os.O_RDWR)
		defer f.Close()
		places := []int64{0, 1<<31 - 3, 1<<32 - 3, 5 << 30, 1 << 40}
		for _, at := range places {
			n, err := f.WriteAt([]byte("far away"), at)
			r.say("write at %d: %d, %s", at, n, word(err))
		}
		r.fstat(f)
		for _, at := range places {
			buf := make([]byte, 12)
			n, err := f.ReadAt(buf, at-2)
			r.say("read at %d: %d %q, %v", at-2, n, buf, err == nil || err == io.EOF)
		}
		m, err := unix.Mmap(int(f.Fd()), 5<<30, page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		r.must(err)
		copy(m[4:], "AWAY")
		r.must(unix.Msync(m, unix.MS_SYNC), unix.Munmap(m))
		buf := make([]byte, 8)
		_, err = f.ReadAt(buf, 5<<30)
		r.say("through a mapping: %q, %s", buf, word(err))
		off, err := unix.Seek(int(f.Fd()), 6<<30, unix.SEEK_DATA)
		r.say("data behind 6 GiB: %d, %s", off, word(err))
		r.do("truncate to 4 GiB + 1", f.Truncate(1<<32+1))
		r.fstat(f)
		r.do("too far", errOf(f.WriteAt([]byte("x"), 1<<62)))
		r.do("truncate too far", f.Truncate(1<<62))
		r.do("a file of the largest size", f.Truncate(1<<43))
		r.fstat(f)
		r.must(f.Truncate(9))
	}},
	{"a limit on the size", "", func(r *report, dir string) {
		out := script(dir, `trap '' XFSZ; ulimit -f 8; dd if=/dev/zero of=f bs=1k count=20 2>&1 | head -1; stat -c %s f; truncate -s 9000 g || echo "$?"; stat -c %s g`)
		r.say("%s", out)
	}},
	{"copy within a file", "", func(r *report, dir string) {
		r.put("f", strings.Repeat("a", page)+strings.Repeat("b", page)+strings.Repeat("c", 2*page))
		f := r.open("f", os.O_RDWR)
		defer f.Close()
		copyRange := func(from, to int64, n int) {
			k, err := unix.CopyFileRange(int(f.Fd()), &from, int(f.Fd()), &to, n, 0)
			r.say("%d %s, at %d %d", k, word(err), from, to)
		}
		copyRange(0, 3*page, page)
		copyRange(0, 100, page) // overlaps
		copyRange(page, 10*page, 3*page)
		copyRange(12*page, 0, 5*page)
		copyRange(99*page, 0, 5*page)
		copyRange(1, 1<<14, 0)
		r.sum("f")
	}},
	{"copy between files", "", func(r *report, dir string) {
		r.put("from", strings.Repeat("0123456789", 1000))
		r.put("to", strings.Repeat("x", 20000))
		from, to := r.open("from", os.O_RDONLY), r.open("to", os.O_RDWR)
		defer from.Close()
		defer to.Close()
		for _, c := range [][3]int64{{0, 0, 5}, {9990, 3, 100}, {100, 19990, 500}, {0, 30000, 10}} {
			a, b := c[0], c[1]
			k, err := unix.CopyFileRange(int(from.Fd()), &a, int(to.Fd()), &b, int(c[2]), 0)
			r.say("%v: %d %s", c, k, word(err))
		}
		r.fstat(to)
		r.do("to what is open for reading", errOf(unix.CopyFileRange(int(to.Fd()), nil, int(from.Fd()), nil, 5, 0)))
		app := r.open("to", os.O_WRONLY|os.O_APPEND)
		defer app.Close()
		r.do("to what appends", errOf(unix.CopyFileRange(int(from.Fd()), nil, int(app.Fd()), nil, 5, 0)))
		r.do("unknown flags", errOf(unix.CopyFileRange(int(from.Fd()), nil, int(to.Fd()), nil, 5, 1)))
		d, err := os.Open(dir)
		r.must(err)
		defer d.Close()
		r.do("a directory", errOf(unix.CopyFileRange(int(d.Fd()), nil, int(to.Fd()), nil, 5, 0)))
		// What a mapping and another descriptor see is what was copied.
		m, err := unix.Mmap(int(to.Fd()), 0, page, unix.PROT_READ, unix.MAP_SHARED)
		r.must(err)
		_ = m[10]
		var a, b int64 = 1000, 10
		_, err = unix.CopyFileRange(int(from.Fd()), &a, int(to.Fd()), &b, 10, 0)
		r.must(err)
		r.say("mapped: %q", m[:24])
		r.must(unix.Munmap(m))
		r.get("to")
		// A whole file into a new one.
		dst := r.open("new", os.O_CREATE|os.O_WRONLY)
		k, err := unix.CopyFileRange(int(from.Fd()), new(int64), int(dst.Fd()), new(int64), 1<<30, 0)
		r.say("whole: %d %s", k, word(err))
		_, err = dst.WriteAt([]byte("!"), 3)
		r.must(err, dst.Close())
		r.get("new")
		r.get("from")
	}},
	{"private mappings", "", func(r *report, dir string) {
		r.put("f", strings.Repeat("f", 2*page))
		f := r.open("f", os.O_RDWR)
		defer f.Close()
		p, err := unix.Mmap(int(f.Fd()), 0, 2*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE)
		r.must(err)
		copy(p, "private")
		_, err = f.WriteAt([]byte("written"), page)
		r.must(err)
		r.say("%q %q", p[:8], p[page:page+8])
		s, err := unix.Mmap(int(f.Fd()), 0, 2*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		r.must(err)
		copy(s[20:], "shared")
		r.say("%q", readSome(f, 0, 30))
		r.must(unix.Munmap(p), unix.Munmap(s))
		ro := r.open("f", os.O_RDONLY)
		defer ro.Close()
		r.do("shared and writable of what is open for reading", errOfMap(unix.Mmap(int(ro.Fd()), 0, page, unix.PROT_WRITE, unix.MAP_SHARED)))
		r.do("private and writable of it", errOfMap(unix.Mmap(int(ro.Fd()), 0, page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE)))
		wo := r.open("f", os.O_WRONLY)
		defer wo.Close()
		r.do("of what is open for writing", errOfMap(unix.Mmap(int(wo.Fd()), 0, page, unix.PROT_WRITE, unix.MAP_SHARED)))
		r.get("f")
	}},
	{"a mapping while the file is cut and grows", "", func(r *report, dir string) {
		r.put("f", strings.Repeat("f", 3*page))
		f := r.open("f", os.O_RDWR)
		defer f.Close()
		m, err := unix.Mmap(int(f.Fd()), 0, 3*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		r.must(err)
		m[0], m[2*page] = 'm', 'm'
		r.must(f.Truncate(page + 10))
		r.say("behind the end: %q", m[page+8:page+14])
		r.must(f.Truncate(3 * page))
		r.say("after growing: %q %q", m[page:page+14], m[2*page:2*page+4])
		copy(m[2*page:], "late")
		r.must(unix.Unlink(r.at("f")))
		copy(m[page:], "unlinked")
		r.say("%q", readSome(f, page, 8))
		r.fstat(f)
		r.must(unix.Msync(m, unix.MS_SYNC), unix.Munmap(m))
		r.say("%q", readSome(f, 2*page, 8))
	}},
	{"read and write past the end", "", func(r *report, dir string) {
		r.put("f", "0123456789")
		f := r.open("f", os.O_RDWR)
		defer f.Close()
		for _, at := range []int64{8, 10, 11, 1 << 40} {
			r.say("read at %d: %q", at, readSome(f, at, 5))
		}
		n, err := unix.Pwrite(int(f.Fd()), nil, 100)
		r.say("writing nothing far away: %d %s", n, word(err))
		r.fstat(f)
		r.do("negative", errOf(unix.Pread(int(f.Fd()), make([]byte, 1), -1)))
		r.do("truncate to less than nothing", unix.Ftruncate(int(f.Fd()), -1))
		ro := r.open("f", os.O_RDONLY)
		defer ro.Close()
		r.do("truncate what is open for reading", unix.Ftruncate(int(ro.Fd()), 1))
		r.do("truncate a directory", unix.Truncate(dir, 1))
		r.do("truncate a link to it", func() error { r.must(os.Symlink("f", r.at("l"))); return unix.Truncate(r.at("l"), 4) }())
		r.get("f")
	}},
}

func TestPosixData(t *testing.T) { dataRules.both(t) }

func errOf64(_ int64, err error) error { return err }

func errOfMap(m []byte, err error) error {
	if err == nil {
		unix.Munmap(m)
	}
	return err
}

func readSome(f *os.File, off int64, n int) string {
	b := make([]byte, n)
	n, err := f.ReadAt(b, off)
	if err != nil && err != io.EOF {
		return err.Error()
	}
	return string(b[:n])
}

var openRules = ruleTable{
	{"creating", "", func(r *report, dir string) {
		r.put("f", "content")
		r.must(os.Mkdir(r.at("d"), 0o755), os.Symlink("f", r.at("l")), os.Symlink("nowhere", r.at("dangling")), unix.Mkfifo(r.at("p"), 0o644))
		for _, name := range []string{"f", "d", "l", "dangling", "new", "none/f", "f/x", "d/", "new/"} {
			for _, fl := range []struct {
				what string
				n    int
			}{{"excl", unix.O_CREAT | unix.O_EXCL | unix.O_WRONLY}, {"read", unix.O_RDONLY}, {"nofollow", unix.O_NOFOLLOW | unix.O_RDONLY},
				{"directory", unix.O_DIRECTORY | unix.O_RDONLY}, {"write", unix.O_WRONLY}, {"creat+directory", unix.O_CREAT | unix.O_DIRECTORY},
				{"path", unix.O_PATH}, {"creat", unix.O_CREAT | unix.O_RDWR}, {"append+trunc", unix.O_APPEND | unix.O_TRUNC | unix.O_WRONLY}} {
				fd, err := unix.Open(r.dir+"/"+name, fl.n, 0o640)
				r.say("%s %s: %s", name, fl.what, word(err))
				if err == nil {
					unix.Close(fd)
				}
			}
		}
		r.do("fifo for writing, without waiting", errOf(unix.Open(r.at("p"), unix.O_WRONLY|unix.O_NONBLOCK, 0)))
		r.stat("f", "new", "nowhere")
	}},
	{"created without the right to write", "", func(r *report, dir string) {
		fd, err := unix.Open(r.at("f"), unix.O_CREAT|unix.O_RDWR, 0)
		r.must(err)
		f := os.NewFile(uintptr(fd), "f")
		defer f.Close()
		_, err = f.WriteString("written all the same")
		r.do("write", err)
		r.do("truncate", f.Truncate(7))
		r.fstat(f)
	}},
	{"truncated by opening", "", func(r *report, dir string) {
		r.put("f", "content")
		m, err := os.OpenFile(r.at("f"), os.O_RDWR, 0)
		r.must(err)
		defer m.Close()
		w := r.open("f", os.O_WRONLY|os.O_TRUNC)
		r.say("another reads %q", readSome(m, 0, 9))
		_, err = w.WriteString("new")
		r.must(err, w.Close())
		r.say("another reads %q", readSome(m, 0, 9))
		fd, err := unix.Open(r.at("f"), unix.O_RDONLY|unix.O_TRUNC, 0) // what it does POSIX leaves open
		r.do("for reading", err)
		unix.Close(fd)
		r.stat("f")
	}},
	{"unlinked while open", "", func(r *report, dir string) {
		r.put("f", strings.Repeat("x", 2*page))
		r.must(os.Link(r.at("f"), r.at("g")))
		f := r.open("f", os.O_RDWR)
		defer f.Close()
		r.must(unix.Unlink(r.at("f")))
		r.fstat(f)
		r.must(unix.Unlink(r.at("g")))
		r.fstat(f)
		r.do("write", errOf(f.WriteAt([]byte("written"), 5)))
		r.do("truncate", f.Truncate(100))
		r.do("chmod", f.Chmod(0o600))
		r.do("fsync", f.Sync())
		r.do("fallocate", unix.Fallocate(int(f.Fd()), 0, 0, 5000))
		r.do("set an attribute", unix.Fsetxattr(int(f.Fd()), "user.x", []byte("y"), 0))
		m, err := unix.Mmap(int(f.Fd()), 0, page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		r.must(err)
		copy(m, "mapped")
		r.must(unix.Munmap(m))
		r.say("%q", readSome(f, 0, 14))
		r.do("times", unix.Futimes(int(f.Fd()), []unix.Timeval{{Sec: 5}, {Sec: 6}}))
		r.fstat(f)
		r.do("link it back", unix.Linkat(int(f.Fd()), "", unix.AT_FDCWD, r.at("back"), unix.AT_EMPTY_PATH))
		proc := fmt.Sprintf("/proc/self/fd/%d", f.Fd())
		r.do("link it back through /proc", unix.Linkat(unix.AT_FDCWD, proc, unix.AT_FDCWD, r.at("back"), unix.AT_SYMLINK_FOLLOW))
		again, err := os.OpenFile(proc, os.O_RDWR, 0)
		r.do("open it again", err)
		if err == nil {
			r.say("%q", readSome(again, 0, 14))
			again.Close()
		}
		r.put("f", "another")
		r.say("%q", readSome(f, 0, 14))
	}},
	{"files without a name", "", func(r *report, dir string) {
		open := func(flags int) (*os.File, error) {
			fd, err := unix.Open(dir, unix.O_TMPFILE|flags, 0o640)
			if err != nil {
				return nil, err
			}
			return os.NewFile(uintptr(fd), "tmp"), nil
		}
		f, err := open(unix.O_RDWR)
		r.do("open", err)
		if err != nil {
			return
		}
		defer f.Close()
		r.fstat(f)
		_, err = f.WriteString("content")
		r.do("write", err)
		r.do("link", unix.Linkat(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", f.Fd()), unix.AT_FDCWD, r.at("named"), unix.AT_SYMLINK_FOLLOW))
		r.fstat(f)
		r.do("link again", unix.Linkat(int(f.Fd()), "", unix.AT_FDCWD, r.at("twice"), unix.AT_EMPTY_PATH))
		r.stat("named", "twice")
		x, err := open(unix.O_WRONLY | unix.O_EXCL)
		r.must(err)
		defer x.Close()
		r.do("link what must not be", unix.Linkat(int(x.Fd()), "", unix.AT_FDCWD, r.at("excl"), unix.AT_EMPTY_PATH))
		_, err = open(unix.O_RDONLY)
		r.do("for reading", err)
		names, err := os.ReadDir(dir)
		r.say("%d names, %s", len(names), word(err))
	}},
	{"direct", "", func(r *report, dir string) {
		fd, err := unix.Open(r.at("f"), unix.O_CREAT|unix.O_RDWR|unix.O_DIRECT, 0o644)
		r.must(err)
		f := os.NewFile(uintptr(fd), "f")
		defer f.Close()
		buf, err := unix.Mmap(-1, 0, 4*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
		r.must(err)
		defer unix.Munmap(buf)
		for i := range buf {
			buf[i] = byte('a' + i/page)
		}
		n, err := unix.Pwrite(fd, buf, 0)
		r.say("write: %d %s", n, word(err))
		cached := r.open("f", os.O_RDWR)
		defer cached.Close()
		r.say("cached: %q", readSome(cached, page-2, 4))
		_, err = cached.WriteAt([]byte("CACHED"), page)
		r.must(err)
		n, err = unix.Pread(fd, buf[:page], page)
		r.say("direct: %d %q %s", n, buf[:8], word(err))
		n, err = unix.Pwrite(fd, buf[2*page:3*page], 0)
		r.say("write: %d %s", n, word(err))
		r.say("cached: %q", readSome(cached, 0, 4))
		n, err = unix.Pread(fd, buf[:page], 4*page)
		r.say("at the end: %d %s", n, word(err))
		r.sum("f")
	}},
}

func TestPosixOpen(t *testing.T) { openRules.both(t) }

// Two that append never write over each other.
func TestTwoAppend(t *testing.T) {
	inBoth(t, func(t *testing.T, dir string) {
		path := filepath.Join(dir, "f")
		const lines = 500
		out := script(dir, fmt.Sprintf(`for w in a b; do (for i in $(seq %d); do echo "$w $i is a line of this writer"; done >>f) & done; wait; cut -d' ' -f1 f | sort | uniq -c`, lines))
		if want := fmt.Sprintf("    %d a\n    %d b\n(<nil>)", lines, lines); out != want {
			t.Errorf("%q, want %q", out, want)
		}
		data, err := os.ReadFile(path)
		check(t, err)
		next := map[string]int{"a": 1, "b": 1}
		for line := range strings.Lines(string(data)) {
			w := line[:1]
			if want := fmt.Sprintf("%s %d is a line of this writer\n", w, next[w]); line != want {
				t.Fatalf("%q, want %q", line, want)
			}
			next[w]++
		}
	})
}
