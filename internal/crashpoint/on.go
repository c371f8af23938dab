//go:build crashpoint

package crashpoint

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// Variable is the environment variable that chooses a point.
const Variable = "TUNESAFE_CRASH"

var (
	chosen, count, _ = strings.Cut(os.Getenv(Variable), ":")
	left             atomic.Int64
)

func init() {
	n, err := strconv.ParseInt(count, 10, 64)
	if chosen != "" && (err != nil || n < 1) {
		panic(Variable + " is not of the form name:N")
	}
	left.Store(n)
}

// At kills the process if the point is the one chosen and its time has come.
func At(name string) {
	if name != chosen || left.Add(-1) != 0 {
		return
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL) // a process may kill itself
	select {}                                      // never further than here
}
