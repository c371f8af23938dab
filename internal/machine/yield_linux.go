package machine

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Modesty is how little a process asks for.
type Modesty struct {
	Nice    int // of nice(2)
	IOClass int // of ioprio_set(2)
	IOLevel int
}

// The classes of ioprio_set(2), which x/sys/unix does not name.
const (
	ioBestEffort = 2
	ioIdle       = 3
	ioClassShift = 13
	ioWhoProcess = 1
)

var (
	// Quiet takes what nobody else wants.
	Quiet = Modesty{Nice: 19, IOClass: ioIdle}
	// Serving is for a process that somebody may be playing music from: last
	// among equals, but never starved.
	Serving = Modesty{Nice: 10, IOClass: ioBestEffort, IOLevel: 7}
)

// Yield makes the process so modest. Linux keeps both priorities for each thread
// (credentials aside, a thread is a process to it), and Go's runtime has started
// some before main; a thread begins with what its maker had. So every thread is
// set, until a look finds none that is not.
func Yield(m Modesty) error {
	const looks = 100
	for range looks {
		set, err := m.setAll()
		if err != nil || set == 0 {
			return err
		}
	}
	return errors.New("threads come faster than their priority can be set")
}

// setAll sets the threads that differ and counts them.
func (m Modesty) setAll() (set int, err error) {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return 0, err
	}
	for _, t := range threads {
		id, err := strconv.Atoi(t.Name())
		if err != nil {
			return 0, err
		}
		changed, err := m.set(id)
		if errors.Is(err, unix.ESRCH) {
			continue // it ended
		}
		if err != nil {
			return 0, err
		}
		if changed {
			set++
		}
	}
	return set, nil
}

func (m Modesty) set(thread int) (changed bool, err error) {
	const kernelBase = 20 // getpriority(2): the system call returns 20 - nice
	raw, err := unix.Getpriority(unix.PRIO_PROCESS, thread)
	if err != nil {
		return false, err
	}
	// One that is more modest already stays so: only root may take it back.
	if kernelBase-raw < m.Nice {
		if err := unix.Setpriority(unix.PRIO_PROCESS, thread, m.Nice); err != nil {
			return false, fmt.Errorf("nice %d: %w", m.Nice, err)
		}
		changed = true
	}
	want := uintptr(m.IOClass<<ioClassShift | m.IOLevel)
	is, _, errno := unix.Syscall(unix.SYS_IOPRIO_GET, ioWhoProcess, uintptr(thread), 0)
	if errno == 0 && is == want {
		return changed, nil
	}
	_, _, errno = unix.Syscall(unix.SYS_IOPRIO_SET, ioWhoProcess, uintptr(thread), want)
	if errno != 0 {
		return false, errno
	}
	return true, nil
}
