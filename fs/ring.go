package fs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/cache"
)

// waits are the system calls in which a thread waits for what io_uring(7) does for it.
var waits = []int{unix.SYS_IO_URING_ENTER, unix.SYS_EPOLL_PWAIT, unix.SYS_EPOLL_PWAIT2}

func init() {
	if runtime.GOARCH == "amd64" {
		waits = append(waits, 232) // epoll_wait, which younger machines do not have
	}
}

// asker is the thread that we are asked by for bytes of an inode. It implements [cache.Asker].
type asker struct {
	tid uint32
	ino cache.Ino
}

func (a asker) TakesLess() bool { return readsElsewhere(a.tid) }

func (a asker) Left() bool { return !mayHaveOpen(a.tid, a.ino) }

// mayHaveOpen tells whether a thread has a descriptor of an inode, by proc_pid_fdinfo(5), or
// may have one: where the kernel does not tell us the inodes, as before Linux 5.14, or where
// files are registered with its io_uring, which needs no descriptor of these.
func mayHaveOpen(tid uint32, ino cache.Ino) bool {
	dir := fmt.Sprintf("/proc/%d/fdinfo", tid)
	open, err := os.ReadDir(dir)
	if err != nil {
		return true
	}
	for _, e := range open {
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if errors.Is(err, os.ErrNotExist) {
			continue // closed meanwhile
		}
		told := false
		for line := range strings.Lines(string(text)) {
			key, value, _ := strings.Cut(line, ":")
			n, _ := strconv.ParseUint(strings.TrimSpace(value), 10, 64)
			told = told || key == "ino"
			if key == "ino" && n == uint64(ino) || key == "UserFiles" && n > 0 {
				return true
			}
		}
		if !told {
			return true
		}
	}
	return false
}

// readsElsewhere tells whether a thread that we were asked by for bytes does not wait in
// a call of read(2) or its like, but has io_uring read. It is told by what the thread
// does now (proc_pid_syscall(5)): one that reads is in that call until it is answered. One that
// runs is about to wait, here or there, and is asked again. Where the kernel does not tell us, as
// of other people's programs, it counts as one that waits.
func readsElsewhere(tid uint32) bool {
	for pause := 50 * time.Microsecond; pause < 20*time.Millisecond; pause *= 2 {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/syscall", tid))
		if err != nil {
			return false
		}
		var call int
		if n, err := fmt.Sscan(string(text), &call); n == 1 && err == nil {
			return slices.Contains(waits, call)
		}
		time.Sleep(pause)
	}
	return false
}
