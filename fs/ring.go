package fs

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// waits are the system calls in which a thread waits for what io_uring(7) does for it.
var waits = []int{unix.SYS_IO_URING_ENTER, unix.SYS_EPOLL_PWAIT, unix.SYS_EPOLL_PWAIT2}

func init() {
	if runtime.GOARCH == "amd64" {
		waits = append(waits, 232) // epoll_wait, which younger machines do not have
	}
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
