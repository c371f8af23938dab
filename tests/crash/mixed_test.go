package crash

import (
	"syscall"
	"testing"

	"github.com/tunesafe/tunesafe/tests/tools"
)

// batch is how many deaths a repository sees before it is read back from the
// bucket alone.
const batch = 50

// TestKillAtRandom kills the program at random moments of a mixed load.
func TestKillAtRandom(t *testing.T) {
	dieAtRandom(t, syscall.SIGKILL, tools.Count(t, 12, 50, 700))
}

// TestTermAtRandom tells the program to end at random moments of a mixed load.
func TestTermAtRandom(t *testing.T) {
	dieAtRandom(t, syscall.SIGTERM, tools.Count(t, 3, 20, 100))
}

func dieAtRandom(t *testing.T, s syscall.Signal, deaths int) {
	seed := uint64(tools.Seed(t))
	for deaths > 0 && !t.Failed() {
		w := newWorld(t, seed)
		for range min(deaths, batch) {
			w.randomKill(s)
			if t.Failed() {
				return
			}
		}
		w.finish()
		deaths -= batch
		seed++
	}
}
