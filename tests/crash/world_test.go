package crash

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/internal/control"
	"github.com/tunesafe/tunesafe/internal/store/storetest/realserver"
	"github.com/tunesafe/tunesafe/tests/drive"
	"github.com/tunesafe/tunesafe/tests/musiclib"
	"github.com/tunesafe/tunesafe/tests/tools"
)

// world is a drive under a mixed load that is killed again and again, and the
// account of what it had acknowledged.
type world struct {
	*drive.Home
	t       testing.TB
	rng     *rand.Rand
	server  *realserver.Server
	writers []*writer
	jobs    []func() error // of the writers and the tagger, in the same order
	pid     int            // of the process that serves the drive; 0 if none does
	stop    atomic.Bool
	began   int64 // steps when the load last began
	quiet   bool  // nobody writes, or did when the program died

	load    sync.WaitGroup
	errs    []error // by writer, once load is done
	waiting context.CancelFunc

	cycles, staged int
	compared, lost int           // paths, after deaths and from the bucket alone
	longest        time.Duration // from a signal to the end of the program
}

// Figures of the load.
const (
	worldWriters  = 4
	worldMB       = 1.2
	loadBegun     = 20 // steps, from which on something must be staged
	quickSettle   = "--settle=50ms"
	deathPatience = 3 * time.Minute // until a point is passed
	endPatience   = time.Minute     // for an orderly end: programs that do not let go lose the drive after two seconds
)

// newWorld makes a drive with some tracks, all safe, and mounts it.
func newWorld(t testing.TB, seed uint64) *world {
	t.Helper()
	drive.NeedFUSE(t)
	tools.Need(t, musiclib.Tools...)
	lib := filepath.Join(t.TempDir(), "lib")
	_, err := musiclib.Make(t.Context(), lib, musiclib.Options{
		Albums: 1, TracksPerAlbum: 6, TotalBytes: worldMB * 1e6, ArtBytes: [2]int{5e3, 9e3}, Seed: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, server: realserver.StartEmbedded(t), rng: rand.New(rand.NewPCG(seed, 9))}
	w.Home = drive.NewWith(t, w.server, drive.Build(t, "crashpoint"))
	w.Init(w.server.Endpoint)
	w.oftenCheckpoint()
	w.mount()
	w.makeWriters(lib, seed)
	t.Cleanup(w.figure)
	return w
}

// oftenCheckpoint has a checkpoint made after every other commit.
func (w *world) oftenCheckpoint() {
	w.t.Helper()
	name := filepath.Join(w.Dir, "config.toml")
	text, err := os.ReadFile(name)
	if err == nil {
		text = regexp.MustCompile(`(?m)^checkpoint_commits = \d+$`).ReplaceAll(text, []byte("checkpoint_commits = 2"))
		err = os.WriteFile(name, text, 0o600)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) makeWriters(lib string, seed uint64) {
	w.t.Helper()
	for i := range worldWriters {
		root := filepath.Join(w.At, fmt.Sprintf("w%d", i))
		if err := os.Mkdir(root, 0o755); err != nil {
			w.t.Fatal(err)
		}
		wr := newWriter(root, seed+uint64(i), &w.stop)
		w.writers, w.jobs = append(w.writers, wr), append(w.jobs, wr.run)
	}
	root, mirror := filepath.Join(w.At, "tracks"), filepath.Join(w.t.TempDir(), "mirror")
	for _, dir := range []string{root, mirror} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			w.t.Fatal(err)
		}
		for i, f := range regular(w.t, lib) {
			ext := filepath.Ext(f)
			if ext == ".wav" || ext == ".xml" { // mutagen has no easy tags for it
				continue
			}
			to := filepath.Join(dir, strconv.Itoa(i)+ext)
			if out, err := exec.Command("install", "-m", "644", filepath.Join(lib, f), to).CombinedOutput(); err != nil {
				w.t.Fatalf("install: %v\n%s", err, out)
			}
		}
	}
	g := newTagger(w.t, root, mirror, seed, &w.stop)
	w.writers, w.jobs = append(w.writers, g.writer), append(w.jobs, g.run)
}

// mount mounts the drive, in one of the ways in which people do.
func (w *world) mount(flags ...string) {
	w.t.Helper()
	if out, ok := w.tryMount(flags...); !ok {
		w.t.Fatalf("mount: %s", out)
	}
}

func (w *world) tryMount(flags ...string) (out string, ok bool) {
	w.t.Helper()
	if w.rng.IntN(3) == 0 {
		flags = append(flags, "--no-passthrough")
	}
	args := append(append([]string{"mount", quickSettle}, flags...), w.At)
	stdout, stderr, code := w.Try(args...)
	w.pid = w.owner()
	if code != 0 {
		w.pid = 0
	}
	return stdout + stderr, code == 0
}

// owner is the process that holds the home, by its lock.
func (w *world) owner() int {
	text, err := os.ReadFile(filepath.Join(w.Dir, "run", "lock"))
	if err != nil {
		return 0
	}
	pid, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	return pid
}

// begin starts the load. With upload somebody waits meanwhile for everything to
// be safe, so that nothing that is closed waits to settle.
func (w *world) begin(upload bool) {
	w.began = w.steps()
	w.stop.Store(false)
	w.errs = make([]error, len(w.jobs))
	pid := w.pid
	for i, job := range w.jobs {
		w.load.Go(func() {
			err := job()
			if err != nil && !diesSoon(pid) {
				w.errs[i] = fmt.Errorf("the drive lives, but %s: %w", w.writers[i].root, err)
			}
		})
	}
	ctx, cancel := context.WithCancel(context.Background())
	w.waiting = cancel
	if upload {
		w.load.Go(func() { w.untilSafe(ctx) })
	}
}

// untilSafe is tunesafe wait. The drive may die meanwhile.
func (w *world) untilSafe(ctx context.Context) {
	c, err := control.Dial(ctx, filepath.Join(w.Dir, "run"))
	if err != nil {
		return
	}
	_, _ = c.Wait(ctx, control.WaitRequest{}, func(control.Status) {})
}

// diesSoon tells whether a process ends within a time in which whoever killed
// it, or told it to end, must have been heard.
func diesSoon(pid int) bool {
	for begun := time.Now(); drive.Alive(pid); time.Sleep(5 * time.Millisecond) {
		if time.Since(begun) > deathPatience {
			return false
		}
	}
	return true
}

// join ends the load.
func (w *world) join() {
	w.t.Helper()
	w.stop.Store(true)
	w.waiting()
	w.load.Wait()
	w.quiet = drive.Alive(w.pid) || w.steps() < w.began+loadBegun
	for i, wr := range w.writers {
		for _, s := range wr.wrong {
			w.t.Errorf("%s: %s", wr.root, s)
		}
		if w.errs[i] != nil {
			w.t.Error(w.errs[i])
		}
	}
	if w.t.Failed() {
		w.t.FailNow()
	}
}

// settle compares the drive with the account.
func (w *world) settle() error {
	var errs []error
	for _, wr := range w.writers {
		errs = append(errs, wr.settle())
	}
	return errors.Join(errs...)
}

// steps is how much was acknowledged since the world began.
func (w *world) steps() (n int64) {
	for _, wr := range w.writers {
		n += wr.steps.Load()
	}
	return n
}

// kill ends the process as kill -9 does, and the load with it.
func (w *world) kill(s syscall.Signal) {
	w.t.Helper()
	_ = syscall.Kill(w.pid, s) // a point may have been faster
	w.AwaitEnd(w.pid)
	w.join()
	w.pid = 0
}

// randomKill kills the program at some moment of the load.
func (w *world) randomKill(s syscall.Signal) {
	w.t.Helper()
	before := w.steps()
	w.begin(w.rng.IntN(4) > 0)
	delay := time.Duration(w.rng.Int64N(int64(400 * time.Millisecond)))
	if w.rng.IntN(8) == 0 { // so long that rows are merged and contents evicted
		delay = time.Duration(w.rng.Int64N(int64(6 * time.Second)))
	}
	eventually(w.t, "the load begins", deathPatience, func() bool { return w.steps() > before+loadBegun })
	time.Sleep(delay)
	asked := time.Now()
	w.kill(s)
	took := time.Since(asked)
	w.longest = max(w.longest, took)
	if s != syscall.SIGKILL && took > endPatience {
		w.t.Errorf("%v took %v to end the program", s, took)
	}
	w.look("", w.steps()-before)
}

// look examines what a death left: something was staged, or had become safe only
// just now; the drive has all that it acknowledged, and the repository is whole.
// The drive is mounted then.
func (w *world) look(point string, acknowledged int64) {
	w.t.Helper()
	s := w.Status() // by a process of its own: none serves the home now
	left := s.WaitingFiles + s.WaitingRows
	if left == 0 && (!w.quiet || acknowledged == 0) {
		w.t.Errorf("nothing was staged when the program died (%q): the cycle proves nothing", point)
	}
	w.cycles++
	if left > 0 {
		w.staged++
	}
	var flags []string
	if w.rng.IntN(3) == 0 {
		flags = append(flags, smallCache)
	}
	w.mount(flags...)
	err := w.settle()
	w.count()
	if err != nil {
		w.t.Fatalf("after dying (%q) %v", point, err)
	}
	if stdout, stderr, code := w.Try("check"); code != 0 {
		w.t.Fatalf("check: exit code %d\n%s%s", code, stdout, stderr)
	}
}

// count adds up what a comparison with the account found.
func (w *world) count() {
	for _, wr := range w.writers {
		w.compared += len(wr.now.names)
		w.lost += wr.amiss
	}
}

func (w *world) figure() {
	w.t.Logf("figure: %d deaths, %d with staged state, %d operations acknowledged, %d paths compared, %d lost; longest from a signal to the end %v",
		w.cycles, w.staged, w.steps(), w.compared, w.lost, w.longest.Round(time.Millisecond))
}

// smallCache has everything evicted that can be.
const smallCache = "--cache-size=1B"

// finish has everything become safe, and reads it back from the bucket alone.
func (w *world) finish() {
	w.t.Helper()
	if w.t.Failed() {
		return
	}
	w.Run("wait", "--timeout", "5m")
	if stdout, stderr, code := w.Try("check", "--read"); code != 0 {
		w.t.Fatalf("check --read: exit code %d\n%s%s", code, stdout, stderr)
	}
	w.Run("unmount", w.At)
	cold := drive.New(w.t, w.server)
	cold.Adopt(w.server.Endpoint, w.Lose())
	cold.Mount()
	w.sameAs(cold)
	cold.Run("unmount", cold.At)
}

// sameAs compares the account with another home of the repository.
func (w *world) sameAs(h *drive.Home) {
	w.t.Helper()
	for _, wr := range w.writers {
		found, err := observe(filepath.Join(h.At, filepath.Base(wr.root)))
		if err != nil {
			w.t.Fatal(err)
		}
		wr.amiss = 0
		if lost := wr.now.diff(found); len(lost) > 0 {
			w.t.Errorf("from the bucket alone: %v", wr.lost(lost))
		}
	}
	w.count()
}
