package crash

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/tunesafe/tunesafe/internal/control"
	"github.com/tunesafe/tunesafe/tests/drive"
)

const crashVariable = "TUNESAFE_CRASH="

// dieAt has the program die at a point while it starts, serves the load, uploads,
// or ends, and looks at what is left.
func (w *world) dieAt(point string) {
	w.t.Helper()
	n := 1 + w.rng.IntN(2)
	if most := often[point]; most > 0 {
		n = 1 + w.rng.IntN(most)
	}
	before := w.steps()
	w.begin(false) // so that the program that comes finds something waiting, uncut
	eventually(w.t, "the load begins", deathPatience, func() bool { return w.steps() > before+loadBegun })
	w.kill(syscall.SIGKILL)
	for begun := time.Now(); !w.livesUntil(point, n); {
		if n > 1 {
			n = 1
		}
		if time.Since(begun) > deathPatience {
			w.t.Fatalf("the program was never at %q", point)
		}
	}
	w.Setenv(crashVariable)
	w.look(point, w.steps()-before)
}

// livesUntil is one life of the program: it starts, serves the load, uploads, is
// read, and ends. It reports whether it died at the point.
func (w *world) livesUntil(point string, n int) (died bool) {
	w.t.Helper()
	w.quiet = true
	w.Setenv(fmt.Sprintf("%s%s:%d", crashVariable, point, n))
	var flags []string
	if kind, _, _ := strings.Cut(point, "."); kind == "evict" || kind == "fill" || kind == "write" || w.rng.IntN(3) == 0 {
		flags = append(flags, smallCache)
	}
	out, ok := w.tryMount(flags...)
	pid := w.owner()
	if !ok {
		w.AwaitEnd(pid)
		if w.endedWell(pid) {
			w.t.Fatalf("mount: %s", out)
		}
		return true
	}
	if err := w.settle(); err != nil && !diesSoon(pid) {
		w.t.Fatalf("before %q %v", point, err)
	}
	for _, act := range []func(){w.work, w.upload, w.rest, w.unmount} {
		if drive.Alive(pid) {
			act()
		}
	}
	w.AwaitEnd(pid)
	return !w.endedWell(pid)
}

// endedWell tells whether a process that served the drive said good-bye.
func (w *world) endedWell(pid int) bool {
	return strings.Contains(w.Log(), fmt.Sprintf("msg=end pid=%d ", pid))
}

// work has the load run for a while, with upload under way.
func (w *world) work() {
	w.t.Helper()
	if w.settle() != nil {
		return // it has died
	}
	w.begin(true)
	w.whileAlive(300*time.Millisecond + time.Duration(w.rng.Int64N(int64(500*time.Millisecond))))
	w.join()
}

// whileAlive waits for some time, or the death of the program.
func (w *world) whileAlive(d time.Duration) {
	for begun := time.Now(); time.Since(begun) < d && drive.Alive(w.pid); time.Sleep(2 * time.Millisecond) {
	}
}

// upload has everything become safe.
func (w *world) upload() {
	ctx, cancel := context.WithTimeout(context.Background(), deathPatience)
	defer cancel()
	w.untilSafe(ctx)
}

// rest is as long as it takes until the program makes things durable by itself,
// and evicts. What was evicted is read, and written.
func (w *world) rest() {
	w.t.Helper()
	if w.settle() != nil {
		return // it has died
	}
	var files []string
	for _, wr := range w.writers {
		for _, p := range wr.now.list(false) {
			files = append(files, wr.path(p))
		}
	}
	w.whileAlive(1200 * time.Millisecond)
	w.begin(false)
	for _, name := range files {
		_, _ = os.ReadFile(name) // some have a new name by now
	}
	w.whileAlive(200 * time.Millisecond)
	w.join()
}

func (w *world) unmount() {
	c, err := control.Dial(context.Background(), filepath.Join(w.Dir, "run"))
	if err == nil {
		_, _ = c.Unmount(context.Background(), control.UnmountRequest{Dir: []byte(w.At)}, func(control.Status) {})
	}
}
