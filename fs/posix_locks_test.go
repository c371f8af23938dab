package fs

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// lockEnv makes this program another process that locks the file it names: for
// each line on its standard input, a lock of lockKinds, it answers with a line.
const lockEnv = "TUNESAFE_FS_TEST_LOCK"

// lockKinds are ways to lock a file, or to let go of it, without waiting.
var lockKinds = map[string]func(f *os.File) error{
	"flock":        func(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) },
	"flock shared": func(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB) },
	"unflock":      func(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_UN) },
	"posix":        func(f *os.File) error { return posixLock(f, unix.F_SETLK, unix.F_WRLCK, 0, 0) },
	"posix first":  func(f *os.File) error { return posixLock(f, unix.F_SETLK, unix.F_WRLCK, 0, 10) },
	"posix second": func(f *os.File) error { return posixLock(f, unix.F_SETLK, unix.F_WRLCK, 10, 10) },
	"posix read":   func(f *os.File) error { return posixLock(f, unix.F_SETLK, unix.F_RDLCK, 0, 0) },
	"posix free":   func(f *os.File) error { return posixLock(f, unix.F_SETLK, unix.F_UNLCK, 0, 0) },
	"ofd":          func(f *os.File) error { return posixLock(f, unix.F_OFD_SETLK, unix.F_WRLCK, 0, 0) },
	"ofd free":     func(f *os.File) error { return posixLock(f, unix.F_OFD_SETLK, unix.F_UNLCK, 0, 0) },
	"reopen":       reopen, // closing any descriptor of the file drops a process's POSIX locks
	"whose": func(f *os.File) error {
		lk := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart}
		if err := unix.FcntlFlock(f.Fd(), unix.F_GETLK, &lk); err != nil {
			return err
		}
		return fmt.Errorf("type %d, from %d, %d bytes, another's: %v", lk.Type, lk.Start, lk.Len, lk.Pid > 1)
	},
}

func posixLock(f *os.File, cmd int, kind int16, start, n int64) error {
	return unix.FcntlFlock(f.Fd(), cmd, &unix.Flock_t{Type: kind, Whence: io.SeekStart, Start: start, Len: n})
}

func reopen(f *os.File) error {
	other, err := os.Open(f.Name())
	if err != nil {
		return err
	}
	return other.Close()
}

// lockServe is the other process's main.
func lockServe(path string) int {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("ready")
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		fmt.Println(word(lockKinds[in.Text()](f)))
	}
	return 0
}

// Locks of two processes on the drive meet as they do on the disk, of each kind,
// and end with their process.
func TestLocks(t *testing.T) {
	steps := []string{ // a: one process, b: another
		"a flock", "b flock", "b flock shared", "b posix", "b posix free", "a unflock", "b flock shared", "a flock shared", "a flock", "b unflock", "a flock", "a unflock",
		"a posix first", "b posix", "b posix second", "b whose", "a whose", "a posix", "b posix free", "a posix", "b whose", "b posix read",
		"a posix read", "b posix read", "b posix", "a reopen", "b posix", "b posix free",
		"a ofd", "b ofd", "b posix", "b whose", "a reopen", "b ofd", "a ofd free", "b ofd", "b flock",
	}
	run := func(t *testing.T, dir string) string {
		path := filepath.Join(dir, "locked")
		check(t, os.WriteFile(path, []byte("something to lock"), 0o644))
		var b strings.Builder
		who := map[string]*locker{"a": newLocker(t, path), "b": newLocker(t, path)}
		for _, step := range steps {
			fmt.Fprintf(&b, "%s: %s\n", step, who[step[:1]].ask(t, step[2:]))
		}
		who["b"].end(t)
		for _, kind := range []string{"ofd", "ofd free", "flock", "posix"} {
			fmt.Fprintf(&b, "alone, %s: %s\n", kind, who["a"].ask(t, kind))
		}
		who["a"].end(t)
		return b.String()
	}
	inBoth(t, func(t *testing.T, dir string) {
		if got, want := run(t, dir), run(t, t.TempDir()); got != want {
			t.Error(unlike(got, want))
		}
	})
}

type locker struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func newLocker(t *testing.T, path string) *locker {
	t.Helper()
	self, err := os.Executable()
	check(t, err)
	l := &locker{cmd: exec.Command(self, "-test.run=^$")}
	l.cmd.Env = append(os.Environ(), lockEnv+"="+path)
	l.in, err = l.cmd.StdinPipe()
	check(t, err)
	out, err := l.cmd.StdoutPipe()
	check(t, err, l.cmd.Start())
	t.Cleanup(func() { l.cmd.Process.Kill(); l.cmd.Wait() })
	l.out = bufio.NewReader(out)
	if got, _ := l.out.ReadString('\n'); got != "ready\n" {
		t.Fatal(got)
	}
	return l
}

func (l *locker) ask(t *testing.T, what string) string {
	t.Helper()
	fmt.Fprintln(l.in, what)
	got, err := l.out.ReadString('\n')
	check(t, err)
	return strings.TrimSpace(got)
}

func (l *locker) end(t *testing.T) {
	t.Helper()
	check(t, l.in.Close(), l.cmd.Wait())
}
