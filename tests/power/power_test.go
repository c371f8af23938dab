// Package power takes the power away from a machine that runs a drive, by a disk
// that forgets what was not synced, and makes every call of that disk fail.
package power

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/internal/store/storetest/realserver"
	"github.com/tunesafe/tunesafe/tests/drive"
	"github.com/tunesafe/tunesafe/tests/faultfs"
	"github.com/tunesafe/tunesafe/tests/tools"
)

func TestMain(m *testing.M) { os.Exit(drive.Main(m)) }

var errWrong = errors.New("wrong bytes")

// rig is a drive whose home is on a disk that can lose power, and a bucket that
// cannot.
type rig struct {
	*drive.Home
	t      testing.TB
	server *realserver.Server
	disk   *faultfs.Disk
	m      *faultfs.Mounted
	pid    int
}

func newRig(t testing.TB) *rig {
	t.Helper()
	r := &rig{t: t, server: realserver.StartEmbedded(t), disk: faultfs.New()}
	r.Home = drive.New(t, r.server)
	if err := os.Mkdir(r.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	r.plug()
	t.Cleanup(r.end)
	r.Init(r.server.Endpoint)
	return r
}

// plug mounts the disk.
func (r *rig) plug() {
	r.t.Helper()
	var err error
	if r.m, err = r.disk.Mount(r.Dir); err != nil {
		r.t.Fatal(err)
	}
}

// end takes down what the test left, the drive before the disk below it.
func (r *rig) end() {
	if r.t.Failed() {
		log := r.Log()
		r.t.Logf("end of the log:\n%s", log[max(0, len(log)-6000):])
	}
	if r.pid != 0 {
		_ = syscall.Kill(r.pid, syscall.SIGKILL)
		r.AwaitEnd(r.pid)
	}
	for r.Mounted() {
		if err := unix.Unmount(r.At, unix.MNT_DETACH); err != nil {
			r.t.Error(err)
			break
		}
	}
	if err := r.m.Unmount(); err != nil {
		r.t.Error(err)
	}
}

// start mounts the drive.
func (r *rig) start(flags ...string) {
	r.t.Helper()
	r.Mount(flags...)
	r.pid = r.Pid()
}

// cut takes the power away, and gives it back.
func (r *rig) cut(l faultfs.Loss) {
	r.t.Helper()
	r.m.Cut(l)
	if r.pid != 0 {
		r.Signal(r.pid, syscall.SIGKILL)
		r.pid = 0
	}
	if err := r.m.Unmount(); err != nil {
		r.t.Fatal(err)
	}
	r.plug()
}

// TestPowerLoss cuts the power at random moments of a mixed load. What fsync had
// acknowledged is there, and so is what was closed for a while; what was renamed
// over another file is the old or the new one; the repository is whole, and in
// the end the bucket alone has all that the drive has.
func TestPowerLoss(t *testing.T) {
	batches := tools.Count(t, 1, 3, 20)
	cycles := tools.Count(t, 6, 10, 11)
	seed := uint64(tools.Seed(t))
	rng := rand.New(rand.NewPCG(seed, 0))
	r := newRig(t)
	var programs []*program
	for i := range 3 {
		programs = append(programs, newProgram(seed+uint64(i), filepath.Join(r.At, fmt.Sprintf("program %d", i))))
	}
	r.start(settle, cacheSize)
	for _, p := range programs {
		if err := os.Mkdir(p.dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := p.syncFolder(nil); err != nil {
			t.Fatal(err)
		}
	}
	last := newEntry(file, filepath.Join(r.At, "last"))
	staked, ops := 0, map[string]int{}
	for b := range batches {
		for c := range cycles {
			loss := losses(rng)[(b*cycles+c)%3]
			closed := r.loadUntilCut(rng, programs, last, loss)
			r.start(settle, cacheSize)
			n := r.mustKeep(closed, append([]*program{{all: []*entry{last}}}, programs...))
			if staked += n; n == 0 {
				t.Error("nothing was promised in this cycle")
			}
			if stdout, stderr, code := r.Try("check"); code != 0 {
				t.Errorf("check: exit code %d\n%s%s", code, stdout, stderr)
			}
			if t.Failed() {
				t.Fatalf("in cycle %d of batch %d, power loss %+v", c, b, loss)
			}
		}
		r.mustBecomeSafe()
	}
	for _, p := range programs {
		for name, n := range p.done {
			ops[name] += n
		}
	}
	t.Logf("figure: %d power losses; %d promises held; operations %v; calls of the disk %v", batches*cycles, staked, ops, r.disk.Counts())
}

const (
	settle    = "--settle=300ms"
	cacheSize = "--cache-size=1MiB" // so that files are evicted and fetched again
)

// losses are the rules by which the power is cut in turn.
func losses(rng *rand.Rand) []faultfs.Loss {
	r := rand.New(rand.NewPCG(rng.Uint64(), 1))
	return []faultfs.Loss{{}, {Rand: r}, {Rand: r, Ordered: true}}
}

// loadUntilCut has the programs work for a while, and cuts the power while they do.
// The last thing before is an fsync of a file that is not uploaded yet. What was
// closed before the time returned must be there.
func (r *rig) loadUntilCut(rng *rand.Rand, programs []*program, last *entry, loss faultfs.Loss) time.Time {
	r.t.Helper()
	var off atomic.Bool
	var wg sync.WaitGroup
	for _, p := range programs {
		wg.Go(func() {
			err := p.run(func() bool { return !off.Load() })
			if err != nil && (!off.Load() || errors.Is(err, errWrong)) {
				r.t.Error(err)
			}
		})
	}
	length := 50 * time.Millisecond
	if rng.IntN(3) == 0 {
		length = 2 * closedFor
	}
	time.Sleep(time.Duration(rng.Int64N(int64(length))))
	p := &program{rng: rng, dir: r.At}
	b := p.bytes()
	last.begin(version{bytes: b})
	f, err := os.Create(last.path)
	if err == nil {
		err = p.write(f, b, 0, true)
	}
	if err := p.end(last, true, err); err != nil {
		r.t.Errorf("writing before the power loss: %v", err)
	}
	state := make([]byte, 64)
	if n, err := unix.Getxattr(last.path, "user.tunesafe.state", state); err != nil || string(state[:n]) != "local" {
		r.t.Errorf("the file just written is %q (%v), not staged", state[:max(n, 0)], err)
	}
	if rng.IntN(2) == 0 {
		time.Sleep(time.Duration(rng.Int64N(int64(20 * time.Millisecond))))
	}
	off.Store(true)
	closed := time.Now().Add(-closedFor)
	r.cut(loss)
	wg.Wait()
	for _, p := range programs {
		closed = closed.Add(-slower * p.slow)
	}
	return closed
}

// mustKeep compares the drive with the ledger and returns how many promises were
// at stake.
func (r *rig) mustKeep(closed time.Time, programs []*program) (staked int) {
	r.t.Helper()
	for _, p := range programs {
		for _, e := range p.all {
			was, err := e.check(closed)
			if err != nil {
				r.t.Error(err)
			}
			if was {
				staked++
			}
		}
	}
	return staked
}

// mustBecomeSafe waits until everything is in the bucket, and compares what a
// home that has only the recovery key sees.
func (r *rig) mustBecomeSafe() {
	r.t.Helper()
	if stdout, stderr, code := r.Try("wait", "--timeout", "2m"); code != 0 {
		r.t.Fatalf("wait: exit code %d\n%s%s", code, stdout, stderr)
	}
	if stdout, stderr, code := r.Try("check", "--read"); code != 0 {
		r.t.Errorf("check --read: exit code %d\n%s%s", code, stdout, stderr)
	}
	cold := drive.New(r.t, r.server)
	cold.Adopt(r.server.Endpoint, filepath.Join(r.Dir, "recovery.key"))
	cold.Mount()
	tools.SameTree(r.t, r.At, cold.At)
	cold.Run("unmount", cold.At)
	if r.t.Failed() {
		r.t.FailNow()
	}
}
