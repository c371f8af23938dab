// Package agent decides when a home's process works by itself, and has it work:
// it watches the folders that feed places, has them backed up when they went
// quiet, on a schedule, at the beginning of a window and after the machine slept,
// and holds the worker outside the windows.
//
// # Who decides
//
// [Settings.Verdict] is pure: the hour, what the machine does and what people said
// go in, and out comes whether to work, how fast, and why not. One goroutine,
// [Agent.Run], asks it at every change and carries it out over [Drive]; it never
// waits for work itself, so that a watchdog may rely on it.
//
// # What people said
//
// A pause outlives the process: it is in [State], which is written before the
// command is answered. run-now holds until all is safe, and not over a restart.
//
// # What else there is to do
//
// A [Duty] is done beside the backups, each so often.
package agent

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Drive is what an agent has to do with.
type Drive interface {
	// Places lists the folders that feed places, by the places' names.
	Places() (map[string]string, error)
	// Scan brings some places up to date, or all, without waiting for uploads. It
	// returns soon when ctx ends, and then goes on another time.
	Scan(ctx context.Context, places []string) error
	// Hold stops uploads; an object being sent may go on for grace. Release ends it.
	Hold(grace time.Duration)
	Release()
	// SetRates limits the line, in bytes a second; 0 is no limit.
	SetRates(up, down int64)
	// Look describes the moment.
	Look() Look
	// Tell tells a person what needs one.
	Tell(Need)
}

// Look is what an agent wants to know of a drive.
type Look struct {
	Safe       bool      // nothing waits
	Held       bool      // changes wait for a person to say whether they are meant
	LastCommit time.Time // zero if there was none since the start
	Needs      []Need
}

// Need is something that needs a person.
type Need struct {
	Key  string // the same as long as it is the same matter
	Text string
	Hint string
}

// Machine is what the agent asks of the machine.
type Machine interface {
	OnMains() bool
	Idle(now time.Time) bool
	Slept(now time.Time) bool
}

// Options are what an Agent works with; all are needed but Beat and Duties.
type Options struct {
	Settings Settings
	Drive    Drive
	Machine  Machine
	Store    StateFile
	Log      *slog.Logger
	Beat     func(Status) // called with every turn, at least every beat
	Duties   []Duty       // beside the backups; may be none
}

// The agent's figures.
const (
	beat       = 10 * time.Second
	graceShut  = 10 * time.Minute // of an object being sent when a window ends
	gracePause = 2 * time.Second  // and when a person asks for a pause
	scanRetry  = 10 * time.Minute // before a scan that failed is tried again
)

// Agent is the program that works by itself.
type Agent struct {
	o     Options
	set   atomic.Pointer[Settings]
	watch *watch
	wake  chan struct{}

	mu       sync.Mutex
	state    State
	runNow   bool
	demanded []string // places of run-now; nil is all
	verdict  Verdict
	scanning bool
	duty     string    // that is being done
	next     time.Time // scan on the schedule
}

// New makes an agent with the state that its home holds.
func New(o Options) (*Agent, error) {
	a := &Agent{o: o, wake: make(chan struct{}, 1)}
	a.set.Store(&o.Settings)
	var err error
	a.state, err = o.Store.Load()
	return a, err
}

func (a *Agent) settings() *Settings { return a.set.Load() }

// Set has the agent work by other settings from now on. Whether it watches folders stays.
func (a *Agent) Set(s Settings) {
	a.set.Store(&s)
	a.poke()
}

// turn is what the loop remembers from one turn to the next; only the loop has it.
type turn struct {
	working bool // the worker is released
	first   bool
	paused  bool
	due     map[string]bool // places to scan; allPlaces is a name for all
	full    time.Time       // not before this the next scan on the schedule; zero: none
	scan    *scan
	holdOff time.Time // no scan before
	duty    *dutyRun
	dutyOff map[string]time.Time // no duty before, by name
}

// scan is one that runs.
type scan struct {
	places []string
	full   bool
	cancel context.CancelFunc
	done   chan error
}

const allPlaces = ""

// Run works until ctx ends.
func (a *Agent) Run(ctx context.Context) error {
	if a.settings().Watch {
		a.watch = newWatch(a.o.Log, a.poke)
		defer a.watch.close()
	}
	t := &turn{first: true, due: map[string]bool{}, dutyOff: map[string]time.Time{}}
	if a.settings().ScanEvery > 0 {
		t.due[allPlaces] = true
	}
	defer func() {
		if t.scan != nil {
			t.scan.cancel()
			<-t.scan.done
		}
		if t.duty != nil {
			t.duty.cancel()
			<-t.duty.done
		}
	}()
	for ctx.Err() == nil {
		wait := a.step(ctx, t, time.Now())
		if a.o.Beat != nil {
			a.o.Beat(a.Status())
		}
		timer := time.NewTimer(min(max(wait, 0), beat))
		var scanned, attended chan error
		if t.scan != nil {
			scanned = t.scan.done
		}
		if t.duty != nil {
			attended = t.duty.done
		}
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-a.wake:
		case err := <-scanned:
			a.scanned(t, err, time.Now())
		case err := <-attended:
			a.attended(t, err, time.Now())
		}
		timer.Stop()
	}
	return nil
}

func (a *Agent) poke() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// step is one turn of the loop; it returns how long nothing needs to be done.
func (a *Agent) step(ctx context.Context, t *turn, now time.Time) time.Duration {
	look := a.o.Drive.Look()
	a.mu.Lock()
	if a.state.expire(now) {
		a.save()
	}
	if a.runNow && t.scan == nil && len(t.due) == 0 && a.demanded == nil && look.Safe {
		a.runNow = false
		a.o.Log.Info("run-now is done: everything is safe")
	}
	if a.demanded != nil {
		for _, p := range a.demanded {
			t.due[p] = true
		}
		a.demanded, t.holdOff = nil, time.Time{}
	}
	m := Moment{Now: now, RunNow: a.runNow, Mains: true, Idle: true}
	if a.settings().OnMains {
		m.Mains = a.o.Machine.OnMains()
	}
	if a.settings().WhenIdle {
		m.Idle = a.o.Machine.Idle(now)
	}
	v := a.settings().Verdict(a.state, m)
	opened := v.Inside && !a.verdict.Inside
	a.verdict = v
	a.mu.Unlock()

	a.apply(t, v)
	if a.settings().ScanEvery > 0 {
		if slept := a.o.Machine.Slept(now); slept || opened && !t.first {
			t.due[allPlaces] = true
		}
		if running := t.scan != nil && t.scan.full; !running && !t.full.IsZero() && !now.Before(t.full) {
			t.due[allPlaces] = true
		}
	}
	t.first = false
	quiet := a.collect(t, now)
	if v.Work && t.scan == nil && len(t.due) > 0 && !now.Before(t.holdOff) {
		a.begin(ctx, t)
	}
	a.attend(ctx, t, look, now)
	a.tell(look, now)
	wait := quiet
	if !v.Next.IsZero() {
		wait = min(wait, v.Next.Sub(now))
	}
	a.mu.Lock()
	a.next, a.scanning, a.duty = t.full, t.scan != nil, ""
	if t.duty != nil {
		a.duty = t.duty.name
	}
	a.mu.Unlock()
	return wait
}

// apply carries a verdict out.
func (a *Agent) apply(t *turn, v Verdict) {
	a.o.Drive.SetRates(v.Up, v.Down)
	paused := v.Why == whyPaused
	if v.Work == t.working && paused == t.paused && !t.first {
		return
	}
	switch {
	case v.Work:
		a.o.Drive.Release()
		a.o.Log.Info("working", "up", v.Up, "down", v.Down, "until", v.Next)
	default:
		grace := graceShut
		if paused || t.first {
			grace = gracePause
		}
		a.o.Drive.Hold(grace)
		a.o.Log.Info("resting", "why", v.Why, "until", v.Next)
		if t.scan != nil {
			t.scan.cancel()
		}
		if t.duty != nil {
			t.duty.cancel()
		}
	}
	t.working, t.paused = v.Work, paused
}

// collect asks the watches which places changed and went quiet, and keeps them on
// the folders there are. It returns how long until the next may be quiet.
func (a *Agent) collect(t *turn, now time.Time) time.Duration {
	if a.watch == nil {
		return beat
	}
	places, err := a.o.Drive.Places()
	if err != nil {
		a.o.Log.Error("places", "err", err)
		return beat
	}
	a.watch.keep(places)
	quiet, next := a.watch.quiet(now, a.settings().quiet())
	for _, p := range quiet {
		t.due[p] = true
	}
	return next
}

func (a *Agent) begin(ctx context.Context, t *turn) {
	s := &scan{done: make(chan error, 1), full: t.due[allPlaces]}
	if !s.full {
		for p := range t.due {
			s.places = append(s.places, p)
		}
		slices.Sort(s.places)
	}
	t.due = map[string]bool{}
	var scanning context.Context
	scanning, s.cancel = context.WithCancel(ctx)
	t.scan = s
	a.o.Log.Info("scan", "places", s.places, "all", s.full)
	go func() { s.done <- a.o.Drive.Scan(scanning, s.places) }()
}

// scanned takes in how a scan ended.
func (a *Agent) scanned(t *turn, err error, now time.Time) {
	s := t.scan
	s.cancel()
	t.scan = nil
	again := func() {
		if s.full {
			t.due[allPlaces] = true
		}
		for _, p := range s.places {
			t.due[p] = true
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case err != nil && !a.verdict.Work: // cut short by a pause or the end of the window
		again()
		return
	case err != nil:
		a.o.Log.Error("scan", "err", err)
		again()
		t.holdOff = now.Add(scanRetry)
	}
	if s.full && err == nil {
		a.state.Scanned = now
		if every := a.settings().ScanEvery; every > 0 {
			t.full = now.Add(every)
		}
	}
	a.state.LastRun = Run{Ended: now}
	if err != nil {
		a.state.LastRun.Text = err.Error()
	}
	a.save()
}

// tell tells people what needs one, once in each matter, and keeps count of when
// there was progress last.
func (a *Agent) tell(look Look, now time.Time) {
	a.mu.Lock()
	progress := a.state.progress(look, now)
	needs := slices.Clone(look.Needs)
	if n, ok := a.settings().Overdue(a.state, now); ok {
		needs = append(needs, n)
	}
	fresh := a.state.fresh(needs, now)
	if progress || fresh != nil {
		a.save()
	}
	a.mu.Unlock()
	for _, n := range fresh {
		a.o.Log.Error("needs a person", "what", n.Text, "hint", n.Hint)
		a.o.Drive.Tell(n)
	}
}

// save writes the state; a.mu is held. A full disk is no reason to stop working.
func (a *Agent) save() {
	if err := a.o.Store.Save(a.state); err != nil {
		a.o.Log.Error("the agent's state is not kept", "err", err)
	}
}

// Pause stops the work for a while, or until Resume if d is 0, over restarts too.
func (a *Agent) Pause(now time.Time, d time.Duration) error {
	return a.change(func(s *State) {
		a.runNow = false
		s.pause(now, d)
	})
}

// Resume ends a pause.
func (a *Agent) Resume() error { return a.change((*State).resume) }

func (a *Agent) change(f func(*State)) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	f(&a.state)
	err := a.o.Store.Save(a.state)
	a.poke()
	return err
}

// RunNow scans some places, or all, and works until everything is safe, whatever
// the hour.
func (a *Agent) RunNow(places []string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.state.Paused {
		return ErrPaused
	}
	a.runNow = true
	a.demand(places)
	return nil
}

// Hurry is RunNow without a scan.
func (a *Agent) Hurry() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.state.Paused {
		return ErrPaused
	}
	a.runNow = true
	a.poke()
	return nil
}

// Rescan has some places, or all, scanned when it is time for work.
func (a *Agent) Rescan(places []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.demand(places)
}

// demand is Rescan; a.mu is held.
func (a *Agent) demand(places []string) {
	if len(places) == 0 {
		places = []string{allPlaces}
	}
	a.demanded = append(a.demanded, places...)
	a.poke()
}

// Status is what people are told of an agent.
type Status struct {
	Verdict
	State    State
	RunNow   bool
	Scanning bool
	Duty     string    // the name of the one that is being done
	NextScan time.Time // on the schedule; zero: none
	Watched  int       // folders
	Blind    bool      // not all could be watched
}

// Status tells it.
func (a *Agent) Status() Status {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := Status{Verdict: a.verdict, State: a.state.clone(), RunNow: a.runNow, Scanning: a.scanning, Duty: a.duty, NextScan: a.next}
	if a.watch != nil {
		s.Watched, s.Blind = a.watch.size()
	}
	return s
}
