package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tunesafe/tunesafe/internal/schedule"
)

// rig is a drive and a machine that do what a test says, and note what is asked.
type rig struct {
	mu     sync.Mutex
	log    []string
	fail   error
	look   Look
	places map[string]string
	mains  bool
	idle   bool
	slept  bool
	takes  time.Duration // a scan
	duties []Duty
}

func (r *rig) note(format string, a ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.log = append(r.log, fmt.Sprintf(format, a...))
}

// taken returns what was noted since the last call.
func (r *rig) taken() string {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	text := strings.Join(r.log, " ")
	r.log = nil
	return text
}

func (r *rig) Places() (map[string]string, error) { return r.places, nil }

func (r *rig) Scan(ctx context.Context, places []string) error {
	r.note("scan%v", places)
	select {
	case <-ctx.Done():
		r.note("cut")
		return ctx.Err()
	case <-time.After(r.scanTakes()):
	}
	return r.failure()
}
func (r *rig) scanTakes() (d time.Duration) {
	r.set(func() { d = r.takes })
	return d
}
func (r *rig) failure() (err error) {
	r.set(func() { err = r.fail })
	return err
}
func (r *rig) Hold(grace time.Duration) { r.note("hold(%v)", grace) }
func (r *rig) Release()                 { r.note("release") }
func (r *rig) SetRates(up, down int64)  {}
func (r *rig) Tell(n Need)              { r.note("tell(%s)", n.Key) }
func (r *rig) OnMains() bool            { return r.get(func() bool { return r.mains }) }
func (r *rig) Idle(time.Time) bool      { return r.get(func() bool { return r.idle }) }
func (r *rig) get(f func() bool) bool   { r.mu.Lock(); defer r.mu.Unlock(); return f() }
func (r *rig) set(f func())             { r.mu.Lock(); defer r.mu.Unlock(); f() }
func (r *rig) Slept(time.Time) (s bool) { r.set(func() { s, r.slept = r.slept, false }); return s }
func (r *rig) Look() (l Look)           { r.set(func() { l = r.look }); return l }

// runs starts an agent in a bubble of time; stop ends it.
func (r *rig) runs(t *testing.T, s Settings, file StateFile) (a *Agent, stop func()) {
	t.Helper()
	a, err := New(Options{Settings: s, Drive: r, Machine: r, Store: file, Log: slog.New(slog.DiscardHandler), Duties: r.duties})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = a.Run(ctx) }()
	return a, func() { cancel(); <-ended }
}

func newRig() *rig { return &rig{mains: true, idle: true, look: Look{Safe: true}} }

func stateFile(t *testing.T) StateFile { return StateFile(filepath.Join(t.TempDir(), "agent.json")) }

// window opens some hours from now, by the clock on the wall.
func window(t *testing.T, in, long time.Duration) schedule.Windows {
	t.Helper()
	from := time.Now().Add(in)
	w, err := schedule.Parse(from.Format("15:04") + "-" + from.Add(long).Format("15:04"))
	if err != nil {
		t.Fatal(err)
	}
	return schedule.Windows{w}
}

func expect(t *testing.T, r *rig, what, want string) {
	t.Helper()
	if got := r.taken(); got != want {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func TestNight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.takes = time.Minute
		_, stop := r.runs(t, Settings{Windows: window(t, 2*time.Hour, 3*time.Hour), ScanEvery: 24 * time.Hour}, stateFile(t))
		expect(t, r, "by day", "hold(2s)")
		time.Sleep(119 * time.Minute)
		expect(t, r, "before the window", "")
		time.Sleep(2 * time.Minute)
		expect(t, r, "in the window", "release scan[]")
		time.Sleep(3 * time.Hour)
		expect(t, r, "after the window", "hold(10m0s)")
		time.Sleep(21 * time.Hour)
		expect(t, r, "in the next night", "release scan[]")
		stop()
	})
}

// A scan that the end of the window cuts short begins again in the next.
func TestScanIsCutShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.takes = 5 * time.Hour
		_, stop := r.runs(t, Settings{Windows: window(t, time.Hour, time.Hour), ScanEvery: 24 * time.Hour}, stateFile(t))
		time.Sleep(90 * time.Minute)
		expect(t, r, "in the window", "hold(2s) release scan[]")
		time.Sleep(time.Hour)
		expect(t, r, "after it", "hold(10m0s) cut")
		time.Sleep(23 * time.Hour)
		expect(t, r, "in the next", "release scan[]")
		stop()
	})
}

func TestPauseOutlivesTheProcess(t *testing.T) {
	file := stateFile(t)
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.takes = time.Minute
		s := Settings{ScanEvery: 24 * time.Hour}
		a, stop := r.runs(t, s, file)
		expect(t, r, "at the start", "release scan[]")
		if err := a.Pause(time.Now(), 0); err != nil {
			t.Fatal(err)
		}
		expect(t, r, "paused", "hold(2s) cut")
		if err := a.RunNow(nil); !errors.Is(err, ErrPaused) {
			t.Errorf("run-now in a pause: %v", err)
		}
		stop()
		a, stop = r.runs(t, s, file)
		time.Sleep(100 * time.Hour)
		expect(t, r, "started again", "hold(2s)")
		if err := a.Resume(); err != nil {
			t.Fatal(err)
		}
		expect(t, r, "resumed", "release scan[]")
		if err := a.Pause(time.Now(), 2*time.Hour); err != nil {
			t.Fatal(err)
		}
		stop()
		r.taken()
		_, stop = r.runs(t, s, file)
		time.Sleep(119 * time.Minute)
		expect(t, r, "paused for two hours", "hold(2s)")
		time.Sleep(2 * time.Minute)
		expect(t, r, "after two hours", "release scan[]")
		stop()
	})
}

// run-now works until all is safe, whatever hour it is, and no longer.
func TestRunNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.look.Safe = false
		a, stop := r.runs(t, Settings{Windows: window(t, 5*time.Hour, time.Hour)}, stateFile(t))
		expect(t, r, "by day", "hold(2s)")
		if err := a.RunNow([]string{"Music"}); err != nil {
			t.Fatal(err)
		}
		expect(t, r, "told to", "release scan[Music]")
		time.Sleep(time.Hour)
		expect(t, r, "while something waits", "")
		r.set(func() { r.look.Safe = true })
		time.Sleep(time.Minute)
		expect(t, r, "all safe", "hold(10m0s)")
		stop()
	})
}

func TestMainsAndIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		_, stop := r.runs(t, Settings{OnMains: true, WhenIdle: true}, stateFile(t))
		expect(t, r, "at the start", "release")
		r.set(func() { r.mains = false })
		time.Sleep(time.Minute)
		expect(t, r, "on battery", "hold(10m0s)")
		r.set(func() { r.mains, r.idle = true, false })
		time.Sleep(time.Minute)
		expect(t, r, "in use", "")
		r.set(func() { r.idle = true })
		time.Sleep(time.Minute)
		expect(t, r, "idle on mains", "release")
		stop()
	})
}

func TestScansOnScheduleAndAfterSleep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		_, stop := r.runs(t, Settings{ScanEvery: 6 * time.Hour}, stateFile(t))
		expect(t, r, "at the start", "release scan[]")
		time.Sleep(6*time.Hour + time.Minute)
		expect(t, r, "after six hours", "scan[]")
		r.set(func() { r.slept = true })
		time.Sleep(time.Minute)
		expect(t, r, "after sleep", "scan[]")
		r.set(func() { r.fail = errors.New("no such folder") })
		time.Sleep(7 * time.Hour)
		if n := strings.Count(r.taken(), "scan"); n < 2 || n > 40 {
			t.Errorf("a scan that fails is tried %d times", n)
		}
		stop()
	})
}

// What needs a person is told once, and again only after it was over.
func TestToldOnce(t *testing.T) {
	file := stateFile(t)
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		s := Settings{WarnAfter: 7 * 24 * time.Hour, ScanEvery: 24 * time.Hour}
		_, stop := r.runs(t, s, file)
		time.Sleep(time.Hour)
		expect(t, r, "all well", "release scan[]")
		r.set(func() { r.look.Needs = []Need{{Key: "store", Text: "access denied"}} })
		time.Sleep(10 * time.Hour)
		expect(t, r, "refused", "tell(store)")
		stop()
		_, stop = r.runs(t, s, file)
		time.Sleep(time.Hour)
		expect(t, r, "and started again", "release scan[]")
		r.set(func() { r.look.Needs = nil })
		time.Sleep(time.Hour)
		r.set(func() { r.look.Needs = []Need{{Key: "store"}}; r.look.Safe = false })
		time.Sleep(time.Hour)
		expect(t, r, "refused once more", "tell(store)")
		time.Sleep(6 * 24 * time.Hour)
		if got := r.taken(); strings.Contains(got, "tell") {
			t.Errorf("within the week: %s", got)
		}
		time.Sleep(3 * 24 * time.Hour)
		if got := r.taken(); strings.Count(got, "tell(overdue)") != 1 {
			t.Errorf("after a week: %s", got)
		}
		r.set(func() { r.look.LastCommit = time.Now() })
		time.Sleep(6 * 24 * time.Hour)
		if got := r.taken(); strings.Contains(got, "tell") {
			t.Errorf("after progress: %s", got)
		}
		stop()
	})
}

func TestRatesInsideAndOutside(t *testing.T) {
	s := Settings{Windows: schedule.Windows{{Days: 127, From: 22 * 60, To: 6 * 60}}}
	s.Upload, _ = schedule.ParseRates("2MB/s,outside 100kB/s")
	s.Download, _ = schedule.ParseRates("5MB/s")
	for hour, want := range map[int]int64{23: 2e6, 12: 100e3} {
		v := s.Verdict(State{}, Moment{Now: time.Date(2026, 1, 1, hour, 0, 0, 0, time.UTC), Mains: true, Idle: true})
		if !v.Work || v.Up != want || v.Down != 5e6 {
			t.Errorf("at %d: %+v", hour, v)
		}
	}
	v := s.Verdict(State{}, Moment{Now: time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC), Mains: true, Idle: true, RunNow: true})
	if v.Up != 2e6 {
		t.Errorf("run-now: %+v", v)
	}
}

// TestWatch changes files of a real folder.
func TestWatch(t *testing.T) {
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "a", "b"), 0o755); err != nil {
		t.Fatal(err)
	}
	poked := make(chan struct{}, 100)
	w := newWatch(slog.New(slog.DiscardHandler), func() { poked <- struct{}{} })
	defer w.close()
	w.keep(map[string]string{"Music": root})
	await(t, "three folders are watched", func() bool { n, blind := w.size(); return n == 3 && !blind })
	changed := func(do func() error) {
		t.Helper()
		if err := do(); err != nil {
			t.Fatal(err)
		}
		select {
		case <-poked:
		case <-time.After(5 * time.Second):
			t.Fatal("nobody was told")
		}
		time.Sleep(50 * time.Millisecond)
		if early, _ := w.quiet(time.Now(), time.Minute); len(early) > 0 {
			t.Errorf("quiet at once: %q", early)
		}
		if places, _ := w.quiet(time.Now().Add(time.Minute), time.Minute); !slices.Equal(places, []string{"Music"}) {
			t.Errorf("quiet after a minute: %q", places)
		}
		if places, _ := w.quiet(time.Now().Add(time.Minute), time.Minute); len(places) > 0 {
			t.Errorf("and again: %q", places)
		}
	}
	file := filepath.Join(root, "a", "b", "song")
	changed(func() error { return os.WriteFile(file, nil, 0o644) })
	changed(func() error { return os.Chtimes(file, time.Time{}, time.Unix(1, 0)) })
	changed(func() error { return os.Mkdir(filepath.Join(root, "new"), 0o755) })
	await(t, "the new folder is watched", func() bool { n, _ := w.size(); return n == 4 })
	changed(func() error { return os.WriteFile(filepath.Join(root, "new", "song"), nil, 0o644) })
	changed(func() error { return os.Rename(filepath.Join(root, "a"), filepath.Join(root, "z")) })
	w.keep(nil)
	await(t, "nothing is watched", func() bool { n, _ := w.size(); return n == 0 })
}

func await(t *testing.T, what string, f func() bool) {
	t.Helper()
	for begun := time.Now(); !f(); time.Sleep(10 * time.Millisecond) {
		if time.Since(begun) > 5*time.Second {
			t.Fatalf("does not come true: %s", what)
		}
	}
}

func TestDamagedState(t *testing.T) {
	file := stateFile(t)
	if err := os.WriteFile(string(file), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := file.Load(); err != nil || s.Paused {
		t.Errorf("%+v, %v", s, err)
	}
}
