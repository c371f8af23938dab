package fs

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// as makes a script run as another user of another group.
const as = "setpriv --reuid 12 --regid 34 --clear-groups "

var attrRules = ruleTable{
	{"times of all ages", "", func(r *report, dir string) {
		r.put("f", "x")
		r.must(os.Mkdir(r.at("d"), 0o755), os.Symlink("f", r.at("l")))
		set := func(name string, a, m unix.Timespec) {
			err := unix.UtimesNanoAt(unix.AT_FDCWD, r.at(name), []unix.Timespec{a, m}, unix.AT_SYMLINK_NOFOLLOW)
			var st unix.Stat_t
			r.must(unix.Lstat(r.at(name), &st))
			r.say("%s %v %v: %s, %v %v", name, a, m, word(err), st.Atim, st.Mtim)
		}
		for _, name := range []string{"f", "d", "l"} {
			for _, s := range []int64{0, -1, 1, -1e9, 1 - 1<<31, 1<<31 - 1, 1 << 31, 1<<32 + 5, 1 << 33, 15032385534} {
				set(name, unix.Timespec{Sec: s, Nsec: 1}, unix.Timespec{Sec: s, Nsec: 999999999})
			}
		}
		set("f", unix.Timespec{Nsec: -1}, unix.Timespec{Sec: 1})
		set("f", unix.Timespec{Sec: 1}, unix.Timespec{Nsec: 1e9})
		f := r.open("f", os.O_RDWR|os.O_APPEND)
		defer f.Close()
		r.must(unix.Futimes(int(f.Fd()), []unix.Timeval{{Sec: -5}, {Sec: -6, Usec: 7}}))
		var st unix.Stat_t
		r.must(unix.Fstat(int(f.Fd()), &st))
		r.say("through the descriptor: %v %v", st.Atim, st.Mtim)
	}},
	{"which operation sets which time", "", func(r *report, dir string) {
		r.put("f", "content")
		r.put("g", "")
		r.must(os.Mkdir(r.at("d"), 0o755), os.Symlink("f", r.at("l")), os.Link(r.at("f"), r.at("f2")))
		old := unix.Timespec{Sec: 1e9}
		f := r.open("f", os.O_RDWR)
		defer f.Close()
		fd := int(f.Fd())
		for _, op := range []struct {
			what string
			do   func() error
		}{
			{"chmod", func() error { return f.Chmod(0o600) }},
			{"write", func() error { return errOf(f.WriteAt([]byte("x"), 0)) }},
			{"write nothing", func() error { return errOf(unix.Pwrite(fd, nil, 0)) }},
			{"read", func() error { return errOf(f.ReadAt(make([]byte, 2), 0)) }},
			{"truncate", func() error { return f.Truncate(3) }},
			{"truncate to the same", func() error { return f.Truncate(3) }},
			{"truncate by name to the same", func() error { return unix.Truncate(r.at("f"), 3) }},
			{"open and truncate", func() error { e, err := os.OpenFile(r.at("f"), os.O_WRONLY|os.O_TRUNC, 0); e.Close(); return err }},
			{"open and truncate again", func() error { e, err := os.OpenFile(r.at("f"), os.O_WRONLY|os.O_TRUNC, 0); e.Close(); return err }},
			{"fallocate", func() error { return unix.Fallocate(fd, 0, 0, 100) }},
			{"link", func() error { return os.Link(r.at("f"), r.at("f3")) }},
			{"unlink", func() error { return os.Remove(r.at("f3")) }},
			{"rename", func() error { return os.Rename(r.at("f"), r.at("f4")) }},
			{"rename back", func() error { return os.Rename(r.at("f4"), r.at("f")) }},
			{"rename to itself", func() error { return unix.Rename(r.at("f"), r.at("f2")) }},
			{"rename over", func() error { return unix.Rename(r.at("g"), r.at("f2")) }},
			{"attribute", func() error { return unix.Fsetxattr(fd, "user.a", []byte("b"), 0) }},
			{"make in d", func() error { return os.WriteFile(r.at("d/x"), nil, 0o644) }},
			{"write below d", func() error { return os.WriteFile(r.at("d/x"), []byte("y"), 0o644) }},
			{"remove in d", func() error { return os.Remove(r.at("d/x")) }},
			{"move into d", func() error { return os.Rename(r.at("f"), r.at("d/f")) }},
			{"exchange", func() error { return renameat(r.at("d/f"), r.at("f2"), unix.RENAME_EXCHANGE) }},
			{"read the link", func() error { _, err := os.Readlink(r.at("l")); return err }},
			{"list d", func() error { _, err := os.ReadDir(r.at("d")); return err }},
			{"chown to nobody new", func() error { return f.Chown(-1, -1) }},
		} {
			names := []string{".", "f", "f2", "d", "l", "d/f"}
			before := map[string]unix.Stat_t{}
			for _, name := range names {
				if unix.UtimesNanoAt(unix.AT_FDCWD, r.at(name), []unix.Timespec{{Nsec: unix.UTIME_OMIT}, old}, unix.AT_SYMLINK_NOFOLLOW) == nil {
					var st unix.Stat_t
					r.must(unix.Lstat(r.at(name), &st))
					before[name] = st
				}
			}
			time.Sleep(12 * time.Millisecond) // the kernel's clock for files ticks every 4 to 10 ms
			r.do(op.what, op.do())
			for _, name := range names {
				var st unix.Stat_t
				was, ok := before[name]
				if unix.Lstat(r.at(name), &st) != nil || !ok {
					continue
				}
				var changed []string
				if st.Mtim != old {
					changed = append(changed, "mtime")
				}
				if st.Ctim != was.Ctim {
					changed = append(changed, "ctime")
				}
				r.say("    %s: %v", name, changed)
			}
		}
	}},
	{"more of stat", "", func(r *report, dir string) {
		r.put("f", "content")
		r.must(os.Chmod(r.at("f"), 0o640), unix.Mkfifo(r.at("p"), 0o600), os.Symlink("f", r.at("l")))
		for _, name := range []string{"f", "p", "l", "."} {
			var x unix.Statx_t
			err := unix.Statx(unix.AT_FDCWD, r.at(name), unix.AT_SYMLINK_NOFOLLOW|unix.AT_STATX_FORCE_SYNC, unix.STATX_BASIC_STATS, &x)
			r.say("%s: %s, mask %x, %o, %d links, uid %d, gid %d, %v %v", name, word(err), x.Mask&unix.STATX_BASIC_STATS, x.Mode,
				x.Nlink, x.Uid, x.Gid, x.Ino != 0, x.Attributes&unix.STATX_ATTR_IMMUTABLE)
		}
	}},
	{"attributes of all sizes", "", func(r *report, dir string) {
		r.put("f", "")
		r.must(os.Mkdir(r.at("d"), 0o755), os.Symlink("f", r.at("l")))
		set := func(name, attr string, size, flags int) {
			r.do(fmt.Sprintf("%s %.12s of %d bytes, flags %d", name, attr, size, flags), unix.Lsetxattr(r.at(name), attr, bytes.Repeat([]byte("v"), size), flags))
		}
		get := func(attr string, room int) {
			n, err := unix.Lgetxattr(r.at("f"), attr, make([]byte, room))
			r.say("%.12s into %d: %d %s", attr, room, n, word(err))
		}
		set("f", "user.empty", 0, 0)
		set("f", "user.small", 1, unix.XATTR_CREATE)
		set("f", "user.small", 2, unix.XATTR_CREATE)
		set("f", "user.small", 3, unix.XATTR_REPLACE)
		set("f", "user.none", 3, unix.XATTR_REPLACE)
		set("f", "user.both", 3, unix.XATTR_REPLACE|unix.XATTR_CREATE)
		set("f", "user.flag", 3, 4)
		set("f", "user.", 3, 0)
		set("f", "user", 3, 0)
		set("f", "nothing.x", 3, 0)
		set("f", "user."+strings.Repeat("n", 250), 1, 0)
		set("f", "user."+strings.Repeat("n", 251), 1, 0)
		set("f", "user.huge", 1<<16+1, 0)
		set("d", "user.d", 5, 0)
		set("l", "user.l", 5, 0)
		for _, room := range []int{0, 1, 2, 3, 4, 100} {
			get("user.small", room)
		}
		get("user.empty", 0)
		get("user.empty", 10)
		get("user.none", 10)
		get("user.", 10)
		for _, room := range []int{0, 1, 10, 1000} {
			n, err := unix.Llistxattr(r.at("f"), make([]byte, room))
			r.say("list into %d: %d %s", room, n, word(err))
		}
		r.do("remove", unix.Lremovexattr(r.at("f"), "user.small"))
		r.do("remove again", unix.Lremovexattr(r.at("f"), "user.small"))
		r.do("remove what cannot be", unix.Lremovexattr(r.at("f"), "nothing.x"))
		ro := r.open("f", os.O_RDONLY)
		defer ro.Close()
		r.do("through a descriptor for reading", unix.Fsetxattr(int(ro.Fd()), "user.fd", []byte("x"), 0))
	}},
	// Left out is the setgid bit of a file whose group may not execute it, which is
	// no privilege: the kernel does not take it away from files in FUSE
	// (fuse_setattr in fs/fuse/dir.c).
	{"setuid and setgid go", "root", func(r *report, dir string) {
		r.say("%s", script(dir, `
			umask 0; chmod 777 .
			new() { rm -f f; touch f; chmod 777 f; [ -z "$2" ] || head -c "$2" /dev/zero >f; chmod $1 f; }
			try() { for m in 6777 4711; do new $m 9; chmod o+rw f; `+as+` bash -c "$1" || true; stat -c "$1 $m %a" f; done; }
			try 'echo x >>f'
			try ': >f'
			try 'truncate -s 3 f'
			try 'truncate -s 9 f'
			try 'fallocate -l 50000 f'
			try 'echo x | dd of=f conv=notrunc status=none'
			try 'head -c 4096 /dev/zero | dd of=f bs=4096 oflag=direct conv=notrunc status=none'
			try 'cp --reflink=auto /etc/passwd f'
			try 'cat f >/dev/null'
			try 'chmod 777 f 2>/dev/null'
			for m in 6777 4755 2755 2745; do
				new $m 9; echo y >>f; stat -c "root writes $m %a" f
				new $m 9; truncate -s 2 f; stat -c "root truncates $m %a" f
				new $m 9; chown 5:6 f; stat -c "root changes the owner $m %a %u %g" f
				new $m 9; chgrp 6 f; stat -c "root changes the group $m %a %u %g" f
				new $m 9; chown :0 f; stat -c "root changes nothing $m %a %u %g" f
				new $m 9; chown 12:34 f; chmod $m f; `+as+` chgrp 34 f; stat -c "the owner, the group, $m %a %u %g" f
				mkdir d; chmod $m d; chown 5:6 d; stat -c "a directory $m %a %u %g" d; rmdir d
			done
			new 755 0; chown 12:99 f; `+as+` chmod 6755 f; stat -c 'setgid of a foreign group %a' f
			new 755 0; chown 12:34 f; `+as+` chmod 6755 f; stat -c 'setgid of the own group %a' f`))
	}},
	{"sticky and setgid directories", "root", func(r *report, dir string) {
		r.say("%s", script(dir, `
			umask 022; chmod 755 .; mkdir s g; chmod 1777 s; chown 0:77 g; chmod 2777 g
			touch s/root; mkdir s/rootdir; `+as+` sh -c '
				umask 022; touch s/mine; mkdir s/minedir; touch g/f; mkdir g/d g/d/e; ln -s x g/l; mkfifo g/p; ln g/f g/h
				rm -f s/root; rmdir s/rootdir; mv s/root s/r; mv s/mine s/root; mv s/mine s/m; rm s/m; mv s/minedir g/; chmod 2755 g/f; chmod 2755 g/d; mkdir -m 700 g/x'
			setpriv --reuid 13 --regid 35 --clear-groups sh -c 'mv s/root s/q; rm -f g/f; touch g/d/no; ln g/h g/hh; ln s/root g/rr'
			find . -printf '%p %m %U %G %n\n' | sort`))
	}},
	{"rights", "root", func(r *report, dir string) {
		r.say("%s", script(dir, `
			umask 0; mkdir d n x; touch d/f n/f x/f; chmod 711 x; chmod 744 n; chmod 700 d; echo secret >f; chmod 640 f; chgrp 34 f; mkdir w; chmod 777 w; touch w/rf; chmod 444 w/rf
			`+as+` sh -c '
				cat f; echo x >>f; ls d; ls n; cat n/f; ls x; cat x/f; test -r f && echo r; test -w f || echo not w; touch -d 2001-01-01 f; chmod 666 f; chown 12 f
				echo x >>w/rf; : >w/rf; rm -f w/rf; ln f w/f; mv f w/g; setfattr -n user.a -v b f; getfattr -n user.a f; mknod w/dev c 1 3; mknod w/p p; touch -a f; cat w/p & echo into >w/p; wait'
			stat -c '%n %a %u %g' f w/*`))
	}},
	{"access lists are refused", "setfattr", func(r *report, dir string) {
		// The disk keeps them: only what follows from refusing is compared.
		r.put("f", "x")
		r.must(os.Chmod(r.at("f"), 0o640), os.Mkdir(r.at("d"), 0o750))
		r.say("%s", script(dir, `cp -a f g; cp -a d e; cp -p f h; install -m 600 f i; mv h j; stat -c '%n %a' f g d e i j; getfattr -d -m - f d`))
	}},
}

func TestPosixAttributes(t *testing.T) { attrRules.both(t) }

// Access lists are neither kept nor pretended: whoever sets one is told.
func TestAccessListsAreRefused(t *testing.T) {
	inBoth(t, func(t *testing.T, dir string) {
		path := filepath.Join(dir, "f")
		check(t, os.WriteFile(path, nil, 0o640))
		acl := []byte{2, 0, 0, 0, 1, 0, 6, 0, 0xff, 0xff, 0xff, 0xff, 4, 0, 4, 0, 0xff, 0xff, 0xff, 0xff, 0x20, 0, 0, 0, 0xff, 0xff, 0xff, 0xff}
		for _, name := range []string{"system.posix_acl_access", "system.posix_acl_default"} {
			for _, p := range []string{path, dir} {
				if err := unix.Setxattr(p, name, acl, 0); err != unix.EOPNOTSUPP && !(name == "system.posix_acl_default" && p == path) {
					t.Errorf("setting %s: %v, want EOPNOTSUPP", name, err)
				}
				if _, err := unix.Getxattr(p, name, make([]byte, 100)); err != unix.EOPNOTSUPP {
					t.Errorf("getting %s: %v, want EOPNOTSUPP", name, err)
				}
				if err := unix.Removexattr(p, name); p == dir && err != unix.EOPNOTSUPP {
					t.Errorf("removing %s: %v, want EOPNOTSUPP", name, err)
				}
			}
		}
		if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o640 {
			t.Errorf("the mode is %v, %v", st.Mode(), err)
		}
		need(t, "setfacl")
		out, err := exec.Command("setfacl", "-m", "u:12:r", path).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "not supported") {
			t.Errorf("setfacl: %s, %v", out, err)
		}
		if out, err := exec.Command("getfacl", "-cp", "--", path).CombinedOutput(); err != nil || string(out) != "user::rw-\ngroup::r--\nother::---\n\n" {
			t.Errorf("getfacl: %q, %v", out, err)
		}
	})
}

// Attributes are kept up to the kernel's own limits, which are more than ext4's.
func TestLargeAttributes(t *testing.T) {
	inBoth(t, func(t *testing.T, dir string) {
		path := filepath.Join(dir, "f")
		check(t, os.WriteFile(path, nil, 0o644))
		value := bytes.Repeat([]byte("x"), 1<<16)
		check(t, unix.Setxattr(path, "user.large", value, 0))
		got := make([]byte, 1<<16)
		if n, err := unix.Getxattr(path, "user.large", got); n != 1<<16 || err != nil || !bytes.Equal(got, value) {
			t.Errorf("64 KiB: %d, %v", n, err)
		}
		if err := unix.Setxattr(path, "user.more", value, 0); err != unix.ENOSPC && err != unix.E2BIG {
			t.Errorf("more than a file may have: %v", err)
		}
		check(t, unix.Removexattr(path, "user.large"))
		// So many names that no list can hold them: xattr(7) has E2BIG.
		var names []string
		var last error
		for i := range 300 {
			name := fmt.Sprintf("user.%0250d", i)
			if last = unix.Setxattr(path, name, []byte("v"), 0); last != nil {
				break
			}
			names = append(names, name)
		}
		list := make([]byte, 1<<16)
		n, err := unix.Listxattr(path, list)
		if err != nil {
			t.Fatalf("%d names are kept, and cannot be listed: %v", len(names), err)
		}
		listed := strings.Split(strings.TrimSuffix(string(list[:n]), "\x00"), "\x00")
		slices.Sort(listed)
		if !slices.Equal(listed, names) {
			t.Errorf("%d of %d names are listed", len(listed), len(names))
		}
		if last != unix.ENOSPC && last != unix.E2BIG {
			t.Errorf("the name that is too many: %v", last)
		}
	})
}

// There is no time of birth to tell: a drive that was restored would have to
// invent one. So statx leaves it out.
func TestNoTimeOfBirth(t *testing.T) {
	inBoth(t, func(t *testing.T, dir string) {
		var x unix.Statx_t
		check(t, unix.Statx(unix.AT_FDCWD, dir, 0, unix.STATX_BASIC_STATS|unix.STATX_BTIME, &x))
		if x.Mask&unix.STATX_BTIME != 0 || x.Mask&unix.STATX_BASIC_STATS != unix.STATX_BASIC_STATS {
			t.Errorf("mask %x", x.Mask)
		}
	})
}
