//go:build !linux

package machine

import "syscall"

// Modesty is how little a process asks for.
type Modesty struct{ Nice int }

var (
	// Quiet takes what nobody else wants.
	Quiet = Modesty{Nice: 19}
	// Serving is for a process that somebody may be playing music from.
	Serving = Modesty{Nice: 10}
)

// Yield makes the process so modest.
func Yield(m Modesty) error { return syscall.Setpriority(syscall.PRIO_PROCESS, 0, m.Nice) }
