package budget

import (
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Counter counts what a program and all that it starts execute outside of the kernel:
// the same work takes nearly the same number of instructions, however busy the machine is.
type Counter struct {
	fd    int
	close chan struct{} // for start
}

// event is what a counter counts.
type event struct {
	kind   uint32
	config uint64
}

var instructions = event{unix.PERF_TYPE_HARDWARE, unix.PERF_COUNT_HW_INSTRUCTIONS}

// NoInstructions is why none are counted on this machine, nil where they are. Most
// virtual machines have no counters, and most containers may not use them.
var NoInstructions = sync.OnceValue(func() error {
	cmd := exec.Command("true")
	c, err := start(cmd, instructions)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := cmd.Wait(); err != nil {
		return err
	}
	n, err := c.Count()
	if err == nil && n == 0 {
		err = errors.New("the counter of instructions stands still")
	}
	return err
})

// Start starts a command and counts its instructions. Where there is no counter it gives
// nil, which counts nothing.
func Start(cmd *exec.Cmd) (*Counter, error) {
	if NoInstructions() != nil {
		return nil, cmd.Start()
	}
	return start(cmd, instructions)
}

// start opens the event on a thread that does nothing else until it is closed: what it
// starts inherits the event, and begins to count with the program. The thread does not end:
// it may have started others before that are to die with it.
func start(cmd *exec.Cmd, e event) (c *Counter, err error) {
	done := make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		fd, failed := open(e)
		if failed == nil {
			defer unix.Close(fd)
			failed = cmd.Start()
		}
		if failed != nil {
			err = failed
			close(done)
			return
		}
		ended := make(chan struct{})
		c = &Counter{fd, ended}
		close(done)
		<-ended
	}()
	<-done
	return c, err
}

func open(e event) (fd int, err error) {
	attr := unix.PerfEventAttr{
		Type: e.kind, Config: e.config, Size: uint32(unsafe.Sizeof(unix.PerfEventAttr{})),
		Read_format: unix.PERF_FORMAT_TOTAL_TIME_ENABLED | unix.PERF_FORMAT_TOTAL_TIME_RUNNING,
		Bits: unix.PerfBitDisabled | unix.PerfBitInherit | unix.PerfBitEnableOnExec |
			unix.PerfBitExcludeKernel | unix.PerfBitExcludeHv,
	}
	if fd, err = unix.PerfEventOpen(&attr, 0, -1, -1, unix.PERF_FLAG_FD_CLOEXEC); err != nil {
		err = fmt.Errorf("perf_event_open: %w", err)
	}
	return fd, err
}

// Count is the instructions so far. Where more is counted on the machine than it has
// counters, they take turns, and the rest is reckoned.
func (c *Counter) Count() (float64, error) {
	if c == nil {
		return 0, nil
	}
	var v struct{ count, enabled, running uint64 }
	n, err := unix.Read(c.fd, unsafe.Slice((*byte)(unsafe.Pointer(&v)), unsafe.Sizeof(v)))
	if err != nil || n != int(unsafe.Sizeof(v)) {
		return 0, fmt.Errorf("a counter: %d bytes read: %w", n, err)
	}
	if v.running == 0 {
		return 0, nil
	}
	return float64(v.count) * float64(v.enabled) / float64(v.running), nil
}

// Close ends the counting, not the program.
func (c *Counter) Close() {
	if c != nil {
		close(c.close)
	}
}
