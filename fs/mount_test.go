package fs

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/tests/tools"
)

func TestMountTable(t *testing.T) {
	c := mounted(t, mode{})
	table, err := os.ReadFile("/proc/self/mounts")
	check(t, err)
	for line := range strings.Lines(string(table)) {
		f := strings.Fields(line)
		if f[1] != c.Dir {
			continue
		}
		if f[0] != "tunesafe:test" || f[2] != "fuse.tunesafe" || !strings.Contains(f[3], "default_permissions") {
			t.Errorf("mounted as %s", line)
		}
		return
	}
	t.Errorf("%s is not in the mount table", c.Dir)
}

func TestUnmount(t *testing.T) {
	c := mounted(t, mode{Passthrough: true})
	f := create(t, filepath.Join(c.Dir, "f"))
	write(t, f, "kept")
	if got := c.ask(t, "unmount"); !strings.Contains(got, ErrBusy.Error()) {
		t.Errorf("unmounting with a file open: %s", got)
	}
	check(t, f.Close())
	c.tell(t, "unmount")
	c.tell(t, "unmount") // there is nothing left to do
	if _, err := os.Stat(f.Name()); !os.IsNotExist(err) {
		t.Errorf("still mounted: %v", err)
	}
}

func TestUnmountedByOthers(t *testing.T) {
	c := mounted(t, mode{})
	check(t, os.WriteFile(filepath.Join(c.Dir, "f"), []byte("x"), 0o644))
	if out, err := exec.Command("fusermount3", "-u", c.Dir).CombinedOutput(); err != nil {
		t.Fatalf("fusermount3: %v: %s", err, out)
	}
	c.tell(t, "wait")
	c.tell(t, "unmount")
}

// A connection that is aborted releases what the kernel never will.
func TestAborted(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("for root")
	}
	c := mounted(t, mode{Passthrough: true})
	f := create(t, filepath.Join(c.Dir, "f"))
	defer f.Close()
	write(t, f, "x")
	check(t, unix.Unmount(c.Dir, unix.MNT_FORCE|unix.MNT_DETACH))
	c.tell(t, "wait")
	c.tell(t, "unmount")
}

func TestReadOnly(t *testing.T) {
	home := filepath.Join(t.TempDir(), "home")
	w := mounted(t, mode{Home: home})
	check(t, os.WriteFile(filepath.Join(w.Dir, "f"), []byte("song"), 0o644))
	w.tell(t, "unmount")
	check(t, w.stop())

	r := mounted(t, mode{Home: home, ReadOnly: true})
	path := filepath.Join(r.Dir, "f")
	if got, err := os.ReadFile(path); err != nil || string(got) != "song" {
		t.Errorf("read %q, %v", got, err)
	}
	for what, err := range map[string]error{
		"writing":   errOf(unix.Open(path, unix.O_RDWR, 0)),
		"truncate":  unix.Truncate(path, 0),
		"creating":  errOf(unix.Open(filepath.Join(r.Dir, "g"), unix.O_CREAT|unix.O_WRONLY, 0o644)),
		"mkdir":     unix.Mkdir(filepath.Join(r.Dir, "d"), 0o755),
		"unlink":    unix.Unlink(path),
		"chmod":     unix.Chmod(path, 0o600),
		"attribute": unix.Setxattr(path, "user.a", nil, 0),
	} {
		if err != unix.EROFS {
			t.Errorf("%s: %v, want EROFS", what, err)
		}
	}
}

func errOf(_ int, err error) error { return err }

// What comes from elsewhere is seen once the kernel is told.
func TestInvalidate(t *testing.T) {
	c := mounted(t, mode{})
	d := filepath.Join(c.Dir, "d")
	if _, err := os.Stat(d); !os.IsNotExist(err) {
		t.Fatal(err)
	}
	c.tell(t, "mkdir d")
	c.tell(t, "invalidate-entry d")
	st, err := os.Stat(d)
	check(t, err)
	if st.Mode().Perm() != 0o755 {
		t.Errorf("mode %o", st.Mode().Perm())
	}
	c.tell(t, "chmod d")
	c.tell(t, "invalidate d")
	st, err = os.Stat(d)
	check(t, err)
	if st.Mode().Perm() != 0o700 {
		t.Errorf("mode %o after the change", st.Mode().Perm())
	}
	c.tell(t, "rmdir d")
	c.tell(t, "invalidate-entry d")
	if _, err := os.Stat(d); !os.IsNotExist(err) {
		t.Errorf("the name is still there: %v", err)
	}
}

// A name that comes from elsewhere between the kernel's question and the
// creation is opened, not refused.
func TestCreateMeetsOther(t *testing.T) {
	c := mounted(t, mode{})
	path := filepath.Join(c.Dir, "d")
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Fatal(err)
	}
	c.tell(t, "mkdir d") // a directory, so that the answer shows it was looked up again
	if _, err := unix.Open(path, unix.O_CREAT|unix.O_WRONLY, 0o644); err != unix.EISDIR {
		t.Errorf("creating: %v, want EISDIR", err)
	}
	if _, err := unix.Open(path, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY, 0o644); err != unix.EEXIST {
		t.Errorf("creating exclusively: %v, want EEXIST", err)
	}
}

// What is written is there at the next mount.
func TestRemount(t *testing.T) {
	home := filepath.Join(t.TempDir(), "home")
	var before string
	for round := range 2 {
		c := mounted(t, mode{Home: home, Passthrough: os.Geteuid() == 0})
		if round == 0 {
			got := script(c.Dir, `mkdir -p a/b; seq 1 10000 >a/f; ln a/f a/b/g; ln -s f a/l; mkfifo a/p; setfattr -n user.x -v y a/f; chmod 640 a/f; touch -d '2001-01-01 UTC' a/f`)
			if got != "(<nil>)" {
				t.Fatal(got)
			}
			before = tree(t, c.Dir)
		} else if after := tree(t, c.Dir); after != before {
			t.Errorf("left:\n%s\nfound:\n%s", before, after)
		}
		check(t, c.stop())
	}
}

// Without root the drive is mounted by fusermount3, and passthrough, which then
// is not granted, falls back.
func TestPlainUser(t *testing.T) {
	needFUSE(t)
	if os.Geteuid() != 0 {
		t.Skip("the other tests run as a plain user already")
	}
	if st, err := os.Stat("/dev/fuse"); err != nil || st.Mode()&0o006 != 0o006 {
		t.Skip("/dev/fuse is not open to plain users here")
	}
	const nobody = 65534
	base, err := os.MkdirTemp("", "tunesafe-fs-")
	check(t, err)
	defer os.RemoveAll(base)
	o := mode{Home: filepath.Join(base, "home"), Dir: filepath.Join(base, "drive"), Passthrough: true}
	self, err := os.Executable()
	check(t, err)
	program, err := os.ReadFile(self)
	check(t, err, os.WriteFile(filepath.Join(base, "serve"), program, 0o755))
	for _, dir := range []string{base, o.Home, o.Dir} {
		if dir != base {
			check(t, os.Mkdir(dir, 0o700))
		}
		check(t, os.Chmod(dir, 0o755), os.Chown(dir, nobody, nobody))
	}
	who := &syscall.Credential{Uid: nobody, Gid: nobody}
	c, err := start(o, who)
	if err != nil {
		lacking(t, "a plain user cannot mount here: "+err.Error())
	}
	if c.passthrough {
		t.Error("passthrough was granted to a plain user")
	}
	cmd := exec.Command("bash", "-euc", `cd "$1"; echo song >f; cat f; mkdir d; mv f d; cp -a d e; rm -r d; ls e; chown 1 e/f || echo refused; setfattr -n user.a -v b e; exec 3<e/f`, "-", o.Dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: who}
	out, err := cmd.CombinedOutput()
	if want := "song\nf\nchown: changing ownership of 'e/f': Operation not permitted\nrefused\n"; err != nil || string(out) != want {
		t.Errorf("%v: %s", err, out)
	}
	busy := exec.Command("bash", "-c", `cd "$1" && echo in && exec sleep 600`, "-", o.Dir)
	busy.SysProcAttr = &syscall.SysProcAttr{Credential: who}
	pipe, err := busy.StdoutPipe()
	check(t, err, busy.Start())
	pipe.Read(make([]byte, 3))
	if got := c.ask(t, "unmount"); !strings.Contains(got, ErrBusy.Error()) {
		t.Errorf("unmounting with a program inside: %s", got)
	}
	busy.Process.Kill()
	busy.Wait()
	time.Sleep(10 * time.Millisecond)
	c.tell(t, "unmount")
	if err := c.stop(); err != nil {
		t.Errorf("%v\n%s", err, c.log.String())
	}
}

// No program ever meets ESTALE when it creates a file, also where the name comes
// and goes behind the kernel's back as fast as it can. (Opening what is gone by
// then is ENOENT.)
func TestNeverStale(t *testing.T) {
	c := mounted(t, mode{})
	path := filepath.Join(c.Dir, "f")
	c.tell(t, "flip f")
	told := map[error]int{}
	for range tools.Count(t, 1000, 5000, 50_000) {
		fd, err := unix.Open(path, unix.O_CREAT|unix.O_WRONLY, 0o644)
		if told[err]++; err != nil {
			continue
		}
		check(t, unix.Close(fd))
		if err := unix.Unlink(path); err != nil && err != unix.ENOENT {
			t.Fatal(err)
		}
	}
	c.tell(t, "rest")
	t.Log(told)
	if told[nil] == 0 || told[unix.ESTALE] > 0 {
		t.Errorf("told: %v", told)
	}
}
