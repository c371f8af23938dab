package machine

import (
	"bufio"
	"bytes"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/godbus/dbus/v5"
)

// busyShare is the share of all processors that other programs may use of a
// machine that is idle.
const busyShare = 0.25

// Idle measures whether anybody needs the machine. Two things are measured: the
// processor time that other programs used since the last question (/proc/stat
// less what this process used), and what logind says of the sessions (IdleHint:
// the screen is locked or blank, or nobody is logged in). A desktop that sets no
// hint counts as in use.
type Idle struct {
	lastBusy, lastOwn time.Duration
	last              time.Time
	idle              bool
}

// Look measures; the first look knows no processor time yet.
func (i *Idle) Look(now time.Time) bool {
	busy, own, known := processorTime()
	i.idle = !inUse()
	if passed := now.Sub(i.last); known && !i.last.IsZero() && passed > 0 {
		others := (busy - i.lastBusy) - (own - i.lastOwn)
		i.idle = i.idle && others.Seconds() < busyShare*passed.Seconds()*float64(runtime.NumCPU())
	}
	i.last, i.lastBusy, i.lastOwn = now, busy, own
	return i.idle
}

// tick is USER_HZ of proc(5), which is 100 wherever Go runs.
const tick = 10 * time.Millisecond

// processorTime is what all programs used since the start of the machine, and
// what this one did.
func processorTime() (busy, own time.Duration, known bool) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0, false
	}
	busy, known = parseStat(stat)
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0, 0, false
	}
	return busy, time.Duration(u.Utime.Nano() + u.Stime.Nano()), known
}

// parseStat adds up the first line: user nice system idle iowait irq softirq
// steal.
func parseStat(stat []byte) (busy time.Duration, ok bool) {
	lines := bufio.NewScanner(bytes.NewReader(stat))
	if !lines.Scan() {
		return 0, false
	}
	f := strings.Fields(lines.Text())
	const idle, iowait, steal = 4, 5, 8
	if len(f) <= steal || f[0] != "cpu" {
		return 0, false
	}
	for i := 1; i <= steal; i++ {
		n, err := strconv.ParseInt(f[i], 10, 64)
		if err != nil {
			return 0, false
		}
		if i != idle && i != iowait {
			busy += time.Duration(n) * tick
		}
	}
	return busy, true
}

// inUse asks logind.
func inUse() bool {
	bus, err := dbus.ConnectSystemBus()
	if err != nil {
		return false
	}
	defer bus.Close()
	hint, err := bus.Object("org.freedesktop.login1", "/org/freedesktop/login1").GetProperty("org.freedesktop.login1.Manager.IdleHint")
	if err != nil {
		return false
	}
	idle, ok := hint.Value().(bool)
	return ok && !idle
}
