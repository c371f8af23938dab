package budget

import (
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// burn has a shell do something so many times, half of it in a process of its own.
const burn = `loop() { i=0; while [ $i -lt $1 ]; do i=$((i+1)); done; }; (loop $1) & loop $1; wait`

var taskClock = event{unix.PERF_TYPE_SOFTWARE, unix.PERF_COUNT_SW_TASK_CLOCK}

// A counter counts a program and what it starts, from its first instruction to its last,
// and nothing that runs beside it. It is shown by the kernel's clock of CPU time, which
// every machine has and tells by wait4, too.
func TestCounter(t *testing.T) {
	cmd := exec.Command("sh", "-c", burn, "sh", "30000")
	c, err := start(cmd, taskClock)
	if err != nil {
		t.Logf("figure: nothing can be counted here: %v", err)
		return
	}
	defer c.Close()
	beside := exec.Command("sh", "-c", burn, "sh", "150000")
	if err := beside.Run(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	n, err := c.Count()
	if err != nil {
		t.Fatal(err)
	}
	used := float64(cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime())
	if n < used/2 || n > used*2 {
		t.Errorf("%.0f ms were counted of a program that used %.0f", n/1e6, used/1e6)
	}
}

// What was started before, to die with the thread that started it, lives on: counting ends
// no thread.
func TestCounterEndsNoThread(t *testing.T) {
	cmd := exec.Command("sleep", "600")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for range 100 {
		if c, err := start(exec.Command("no such program"), taskClock); err == nil {
			c.Close()
		}
		runtime.Gosched()
	}
	select {
	case err := <-ended:
		t.Errorf("a program that was started before: %v", err)
	case <-time.After(100 * time.Millisecond):
		if err := cmd.Process.Kill(); err != nil {
			t.Error(err)
		}
		<-ended
	}
}

// Twice the work is twice the instructions.
func TestInstructions(t *testing.T) {
	if err := NoInstructions(); err != nil {
		t.Logf("figure: no instructions are counted on this machine: %v", err)
		return
	}
	count := func(rounds string) float64 {
		cmd := exec.Command("sh", "-c", burn, "sh", rounds)
		c, err := Start(cmd)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := cmd.Wait(); err != nil {
			t.Fatal(err)
		}
		n, err := c.Count()
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if one, two := count("30000"), count("60000"); two < 1.9*one || two > 2.1*one {
		t.Errorf("%.0f instructions, and %.0f for twice the work", one, two)
	}
}
