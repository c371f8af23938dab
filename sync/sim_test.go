package sync

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	gosync "sync"
	"syscall"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"

	"github.com/tunesafe/tunesafe/internal/repo"
	"github.com/tunesafe/tunesafe/tests/tools"
)

// This simulation runs one or two devices on one repository in one goroutine:
// what programs do, passes of the worker, faults of the store, deaths of the
// program at any request, time, remounts. Clock, randomness and faults come from
// a seed, so that a seed that fails fails again. A model says what each file
// must hold.

const simSteps = 1500 // of one run; then everything must become safe

// TestSimulation runs the simulation with one seed after another.
func TestSimulation(t *testing.T) {
	tools.StepByStep(t)
	steps := tools.Count(t, 4000, 100_000, 1_000_000)
	seed := uint64(tools.Seed(t))
	var total simFigures
	for total.steps < steps {
		total.add(runSim(t, seed, simSteps).simFigures)
		if t.Failed() {
			t.Fatalf("repeat with TUNESAFE_SEED=%d", seed)
		}
		seed++
	}
	t.Logf("figure: %d steps in %d runs: %d passes of the worker, %d things done amid one, %d requests failed, %d objects put, %d commits, %d deaths (%d amid a pass), %d remounts, %d handovers between devices",
		total.steps, total.runs, total.passes, total.meddled, total.failed, total.puts, total.commits, total.deaths, total.amid, total.remounts, total.handovers)
}

// TestSimulationRepeats runs seeds twice: the same happens.
func TestSimulationRepeats(t *testing.T) {
	tools.StepByStep(t)
	seed := uint64(tools.Seed(t))
	for range tools.Count(t, 1, 5, 50) {
		first := runSim(t, seed, simSteps/2)
		second := runSim(t, seed, simSteps/2)
		if first.sum != second.sum {
			t.Errorf("seed %d: one trace is %s, another %s", seed, first.sum, second.sum)
		}
		seed++
	}
}

type simFigures struct {
	runs, steps, passes, failed, puts, commits, deaths, amid, meddled, remounts, handovers int
}

func (f *simFigures) add(g simFigures) {
	f.runs++
	f.steps += g.steps
	f.passes += g.passes
	f.failed += g.failed
	f.puts += g.puts
	f.commits += g.commits
	f.deaths += g.deaths
	f.amid += g.amid
	f.meddled += g.meddled
	f.remounts += g.remounts
	f.handovers += g.handovers
}

// simResult is what a run leaves.
type simResult struct {
	simFigures
	sum string // of the trace
}

func runSim(t *testing.T, seed uint64, steps int) (res simResult) {
	t.Helper()
	// On several processors what goes on at once may come in another order.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	warmUp.Do(func() { simWarmUp(t) })
	t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
		cryptotest.SetGlobalRandom(t, seed)
		dir := simDir(t)
		synctest.Test(t, func(t *testing.T) {
			s := &sim{t: t, seed: seed, dir: dir}
			defer s.closeAll()
			s.begin()
			for range steps {
				s.step()
			}
			s.finish()
			res = simResult{s.simFigures, hex.EncodeToString(s.trace.Sum(nil)[:8])}
		})
	})
	return res
}

// warmUp makes what the process makes once, such as compressors, outside the
// bubbles of time in which the runs live.
var warmUp gosync.Once

func simWarmUp(t *testing.T) {
	w := newWorld(t)
	d := w.device("warm")
	song := wav(rand.New(rand.NewPCG(1, 1)), 2<<20) // an object that lends its memory
	d.write("song", song)
	d.write("text", []byte("text"))
	d.wait()
	d.close()
	w.sameAs(map[string][]byte{"song": song, "text": []byte("text")})
}

// simDir is a folder in memory where there is one: the simulation is about what
// is written, not about disks.
func simDir(t *testing.T) string {
	t.Helper()
	simSweep()
	dir, err := os.MkdirTemp("/dev/shm", fmt.Sprintf("%s%d-", simPrefix, os.Getpid()))
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

const simPrefix = "tunesafe-sim-" // and the process

// simSweep removes what runs left in memory that were killed: some hundred of them fill it.
var simSweep = gosync.OnceFunc(func() {
	left, _ := filepath.Glob("/dev/shm/" + simPrefix + "*")
	for _, dir := range left {
		var pid int
		if n, _ := fmt.Sscanf(filepath.Base(dir), simPrefix+"%d-", &pid); n == 1 && syscall.Kill(pid, 0) == syscall.ESRCH {
			os.RemoveAll(dir)
		}
	}
})

// sim is one run.
type sim struct {
	simFigures
	t     *testing.T
	seed  uint64
	rng   *rand.Rand
	dir   string
	homes int      // folders made below dir
	nodes int      // made
	lines []string // of the trace
	w     *world
	trace hash.Hash
	n     int    // the step
	op    string // what it does

	devs    []*simDevice
	cold    *simDevice // the one that reads all from the bucket in the end
	folders []*simFolder
	sounds  [][]byte // that may be used again

	faults  simFaults
	calm    bool           // no faults, no deaths: the test itself looks
	asked   map[string]int // requests of this step
	passing *simDevice     // whose worker does a pass
	dying   *simDevice
	dieIn   int // points until it dies

	placed  map[repo.ID]bool // blobs that a commit placed
	commits map[string][]*repo.Commit
}

// simDevice is a device and what its programs were told.
type simDevice struct {
	*device
	name    string
	dead    bool
	kept    string            // its home as it was when it died
	acked   map[string]bool   // objects whose acknowledgement reached it
	sent    map[string]string // the object of each blob it committed
	handles []*simHandle
	sees    map[*simFolder]*simNode // what it took in of folders of others; nil if not known
}

// simFolder is a folder of the drive that one device at a time writes to.
type simFolder struct {
	name  string
	root  *simNode
	owner *simDevice
}

func (s *sim) begin() {
	s.t.Helper()
	s.rng, s.trace, s.calm = rand.New(rand.NewPCG(s.seed, 1)), sha256.New(), true
	s.w = newWorld(s.t)
	s.asked, s.placed, s.commits = map[string]int{}, map[repo.ID]bool{}, map[string][]*repo.Commit{}
	for i := range 1 + s.rng.IntN(2) {
		d := &simDevice{device: s.newHome(fmt.Sprint("device", i)), name: fmt.Sprint("device", i),
			acked: map[string]bool{}, sent: map[string]string{}, sees: map[*simFolder]*simNode{}}
		s.devs = append(s.devs, d)
		d.log = slog.New(simLog{s, d})
		s.open(d)
	}
	for i := range 2 {
		f := &simFolder{fmt.Sprint("folder", i), s.newDir(), s.devs[i%len(s.devs)]}
		s.folders = append(s.folders, f)
		if _, err := s.devs[0].cache.Mkdir(1, f.name, 0o755, owner()); err != nil {
			s.fatalf("%v", err)
		}
	}
	s.settleAll()
	for _, d := range s.devs {
		s.reopen(d, true)
	}
	s.calm = false
}

// closeAll ends what a run that failed left open.
func (s *sim) closeAll() {
	for _, d := range append(s.devs, s.cold) {
		if d != nil && d.cache != nil {
			d.closeFiles()
		}
	}
}

// newHome enrols a device with an empty home.
func (s *sim) newHome(name string) *device {
	s.t.Helper()
	dev, err := repo.Enrol(context.Background(), s.w.mem, s.w.keys, s.w.root, name)
	if err != nil {
		s.t.Fatal(err)
	}
	return &device{t: s.t, dir: s.newHomeDir(), keys: s.w.keys, dev: dev, checkpoint: 25, transfers: 1, settle: 3 * time.Second, cacheSize: 300_000}
}

func (s *sim) newHomeDir() string {
	s.t.Helper()
	s.homes++
	dir := filepath.Join(s.dir, fmt.Sprint("home", s.homes))
	if err := os.Mkdir(dir, 0o700); err != nil {
		s.t.Fatal(err)
	}
	return dir
}

func (s *sim) open(d *simDevice) { d.assemble(&simStore{s.w.mem, s, d}) }

// note adds a line to the trace.
func (s *sim) note(format string, a ...any) {
	fmt.Fprintf(s.trace, format+"\n", a...)
	s.lines = append(s.lines, fmt.Sprintf("%d: ", s.n)+fmt.Sprintf(format, a...))
	if os.Getenv("TUNESAFE_TEST_LOG") != "" {
		s.t.Log(s.lines[len(s.lines)-1])
	}
}

func (s *sim) fatalf(format string, a ...any) {
	s.t.Helper()
	s.t.Logf("before:\n%s", strings.Join(s.lines[max(0, len(s.lines)-30):], "\n"))
	s.t.Fatalf("seed %d, step %d (%s): %s", s.seed, s.n, s.op, fmt.Sprintf(format, a...))
}

// simLog makes a point of the moment between a commit taken in and forgotten, of
// which the worker logs a line.
type simLog struct {
	s *sim
	d *simDevice
}

func (l simLog) Enabled(context.Context, slog.Level) bool { return true }
func (l simLog) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l simLog) WithGroup(string) slog.Handler            { return l }
func (l simLog) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "committed" {
		l.s.point(l.d, "committed")
	}
	return nil
}

// point is a moment at which a device may die: what its home holds now is what
// the next start finds. It is of the goroutine that does the pass, which holds
// nothing then; the others come to rest before the home is copied, as a copy is
// not made at one instant.
func (s *sim) point(d *simDevice, what string) {
	if s.dying != d || d.dead {
		return
	}
	if s.dieIn--; s.dieIn > 0 {
		return
	}
	s.note("%s dies at %s", d.name, what)
	s.amid++
	synctest.Wait()
	d.dead = true
	d.kept = s.copyHome(d)
}

// copyHome copies the home as it is: what kill -9 leaves.
func (s *sim) copyHome(d *simDevice) string {
	s.t.Helper()
	to := s.newHomeDir()
	err := filepath.WalkDir(d.dir, func(p string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		rel, err := filepath.Rel(d.dir, p)
		if err != nil {
			return err
		}
		return copyAsIs(p, filepath.Join(to, rel))
	})
	if err != nil {
		s.fatalf("copying the home: %v", err)
	}
	return to
}

// copyAsIs copies a file with its times, which count.
func copyAsIs(from, to string) error {
	st, err := os.Stat(from)
	if err != nil {
		return err
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		return err
	}
	if err := out.Close(); err != nil {
		return err
	}
	return os.Chtimes(to, st.ModTime(), st.ModTime())
}

// die ends the device's process by force and starts it again.
func (s *sim) die(d *simDevice) {
	s.t.Helper()
	if !d.dead {
		synctest.Wait() // nothing is half done but what a point interrupts
		d.kept = s.copyHome(d)
	}
	s.deaths++
	old := d.dir
	d.dead = true // should closing ask the store
	d.closeFiles()
	os.RemoveAll(old)
	d.dir, d.dead, d.handles = d.kept, false, nil
	s.open(d)
	s.pullMaybe(d)
	s.look(d)
}

// reopen ends the process in order and starts it again.
func (s *sim) reopen(d *simDevice, pull bool) {
	s.t.Helper()
	s.remounts++
	for len(d.handles) > 0 {
		s.release(d, 0)
	}
	d.closeFiles()
	s.open(d)
	if pull {
		s.pull(d)
	}
	s.look(d)
}

func (s *sim) pullMaybe(d *simDevice) {
	if s.rng.IntN(10) < 7 {
		s.pull(d)
	}
}

// pull takes in what others committed, as a mount does.
func (s *sim) pull(d *simDevice) bool {
	s.t.Helper()
	_, err := d.w.Pull(context.Background())
	synctest.Wait()
	s.note("pull %s %v", d.name, err != nil)
	if err != nil && (s.calm || s.faults == simFaults{}) {
		s.fatalf("taking in: %v", err)
	}
	for _, f := range s.folders {
		if f.owner == d {
			continue
		}
		d.sees[f] = nil
		if err == nil && s.idle(f.owner) {
			d.sees[f] = f.root.clone(map[*simNode]*simNode{})
		}
	}
	return err == nil
}

func (s *sim) idle(d *simDevice) bool {
	idle, err := d.cache.Idle()
	if err != nil {
		s.fatalf("%v", err)
	}
	return idle
}

// pass is one pass of the worker; hurry is what a waiting person makes of it.
func (s *sim) pass(d *simDevice, hurry bool) {
	s.t.Helper()
	s.passes++
	if hurry {
		d.w.waiters++
		d.cache.SettleNow(true)
	}
	s.passing = d
	next, err := d.w.pass(context.Background())
	s.passing = nil
	d.w.passed(err)
	if hurry {
		d.w.waiters--
		d.cache.SettleNow(false)
	}
	synctest.Wait()
	s.note("pass %s %v %v", d.name, err != nil, next.IsZero())
	s.dying, s.dieIn = nil, 0
	switch {
	case d.dead:
		s.die(d)
	case err != nil && (s.calm || s.faults == simFaults{}):
		s.fatalf("a pass with a store that works: %v", err)
	}
}

// settleAll makes everything safe with a store that works.
func (s *sim) settleAll() {
	s.t.Helper()
	calm := s.calm
	s.calm = true
	defer func() { s.calm = calm }()
	for _, d := range s.devs {
		for n := 0; !s.idle(d); n++ {
			if n == 10 {
				q, _ := d.cache.Waiting()
				s.fatalf("%s does not become safe: %+v", d.name, q)
			}
			s.pass(d, true)
			time.Sleep(time.Second)
		}
		if q, err := d.cache.Waiting(); err != nil || q.Files+q.Rows+q.Open != 0 || q.Bytes != 0 {
			s.fatalf("%s: idle, and yet %+v waits (%v)", d.name, q, err)
		}
	}
}

// finish makes everything safe, and reads it from the bucket alone.
func (s *sim) finish() {
	s.t.Helper()
	s.op, s.faults, s.calm = "finish", simFaults{}, true
	for _, d := range s.devs {
		for len(d.handles) > 0 {
			s.release(d, 0)
		}
	}
	s.settleAll()
	for _, d := range s.devs {
		s.look(d)
		s.reopen(d, true)
		s.commits[d.dev.ID] = nil
		heads, err := d.index.Heads()
		if err != nil {
			s.fatalf("%v", err)
		}
		s.simFigures.commits += int(heads[d.dev.ID].Seq)
	}
	cold := s.newHome("cold")
	s.cold = &simDevice{device: cold}
	cold.assemble(s.w.mem)
	if _, err := cold.w.Pull(context.Background()); err != nil {
		s.fatalf("a cold start: %v", err)
	}
	for _, f := range s.folders {
		s.verify(cold, "cold", f.name, f.root)
	}
	findings, sum, err := repo.Check(context.Background(), s.w.mem, s.w.keys, cold.index, repo.CheckOptions{Read: true})
	if err != nil || sum.Owed > 0 {
		s.fatalf("check: %v, %d owed", err, sum.Owed)
	}
	for _, f := range findings {
		if !f.Harmless {
			s.fatalf("check: %s: %s", f.Object, f.Problem)
		}
	}
	s.note("end %d commits", s.simFigures.commits)
}
