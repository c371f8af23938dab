package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/tunesafe/tunesafe/internal/agent"
	"github.com/tunesafe/tunesafe/internal/control"
	"github.com/tunesafe/tunesafe/internal/machine"
	"github.com/tunesafe/tunesafe/sync/feed"
)

// This file is where an owner works by itself: what package agent decides, and
// what it is told by people and by the machine.

// employ gives a process that serves its agent. One without a plan works always,
// scans nothing by itself, and can be paused all the same.
func (o *owner) employ(plan *agentPlan) (err error) {
	o.plan.Store(plan)
	settings := agent.Settings{}
	if plan != nil {
		settings = plan.settings
	}
	o.agent, err = agent.New(agent.Options{
		Settings: settings, Drive: quietDrive{o}, Machine: &realMachine{}, Log: o.log,
		Store: agent.StateFile(o.home.AgentFile()), Beat: o.beat, Duties: o.duties(),
	})
	return err
}

// startAgent runs the agent until stop.
func (o *owner) startAgent(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = o.agent.Run(ctx)
	}()
	o.sayReady()
	return func() { cancel(); <-ended }
}

// What is told to a service manager, sd_notify(3); without one nobody listens.
func (o *owner) sayReady() { _, _ = daemon.SdNotify(false, daemon.SdNotifyReady) }
func (o *owner) ending()   { _, _ = daemon.SdNotify(false, daemon.SdNotifyStopping) }

// beat is called by the agent's loop, so that a watchdog notices when it hangs.
func (o *owner) beat(s agent.Status) {
	text := "working"
	if s.Why != "" {
		text = s.Why
	}
	_, _ = daemon.SdNotify(false, daemon.SdNotifyWatchdog+"\nSTATUS="+text)
}

// realMachine is the one that this runs on.
type realMachine struct {
	idle  machine.Idle
	sleep machine.SleepWatch
}

func (*realMachine) OnMains() bool              { return machine.OnMains() }
func (m *realMachine) Idle(now time.Time) bool  { return m.idle.Look(now) }
func (m *realMachine) Slept(now time.Time) bool { return m.sleep.Slept(now) }

// quietDrive is a drive as its agent has to do with it.
type quietDrive struct{ o *owner }

func (q quietDrive) Hold(grace time.Duration) { q.o.worker.Pause(grace) }
func (q quietDrive) Release()                 { q.o.worker.Resume() }
func (q quietDrive) SetRates(up, down int64)  { q.o.line.SetRates(up, down) }

// Places lists the folders that feed places.
func (q quietDrive) Places() (map[string]string, error) {
	all, err := q.o.cache.Places()
	places := map[string]string{}
	for _, p := range all {
		places[p.Name] = p.Root
	}
	return places, err
}

// Scan backs up folders as tunesafe backup --no-wait does. A scan that something
// is wrong with is an error, but for what the brake holds, which the status tells.
func (q quietDrive) Scan(ctx context.Context, places []string) error {
	all, err := q.Places()
	if err != nil || len(all) == 0 {
		return err
	}
	r := control.BackupRequest{NoWait: true}
	for _, name := range places {
		if root, ok := all[name]; ok {
			r.Dirs = append(r.Dirs, []byte(root))
		}
	}
	if len(places) > 0 && len(r.Dirs) == 0 {
		return nil // they are places no more
	}
	report, err := q.o.Backup(ctx, r, func(control.BackupProgress) {})
	for _, p := range report.Places {
		q.o.log.Info("scanned", "place", string(p.Name), "new", p.New, "changed", p.Changed, "moved", p.Moved, "gone", p.Gone, "failed", p.Failed, "held", len(p.Held))
		if p.Fault != nil {
			err = errors.Join(err, p.Fault)
		}
		if p.Failed > 0 {
			q.o.log.Warn("not all could be read", "place", string(p.Name), "names", p.Failed, "such as", p.Problems[0].Text)
		}
	}
	return err
}

// Look describes the moment.
func (q quietDrive) Look() agent.Look {
	s := q.o.status()
	l := agent.Look{Safe: s.Safe(), Needs: needsOfDrive(s), Held: undecided(s)}
	if s.LastCommit != nil {
		l.LastCommit = *s.LastCommit
	}
	return l
}

// undecided tells whether something is held of which nobody said yet whether it is meant.
func undecided(s control.Status) bool {
	return slices.ContainsFunc(s.Places, func(p control.PlaceStatus) bool {
		return slices.ContainsFunc(p.Held, func(h control.Held) bool { return h.Decision == "" })
	})
}

// Tell shows it on the desktop; it is in the log in any case.
func (q quietDrive) Tell(n agent.Need) {
	text := n.Text
	if n.Hint != "" {
		text += "\n" + n.Hint
	}
	if err := machine.Notify("Your music needs you", text); err != nil {
		q.o.log.Debug("nobody is told on a desktop", "err", err)
	}
}

// Work implements [control.Owner].
func (o *owner) Work(_ context.Context, r control.WorkRequest) (control.AgentStatus, error) {
	err := o.steer(r)
	if err != nil {
		return control.AgentStatus{}, err
	}
	return *o.agentStatus(), nil
}

func (o *owner) steer(r control.WorkRequest) error {
	file := agent.StateFile(o.home.AgentFile())
	switch {
	case r.Do == control.DoPause && o.agent == nil:
		return file.Pause(time.Now(), r.For)
	case r.Do == control.DoPause:
		return o.agent.Pause(time.Now(), r.For)
	case r.Do == control.DoResume && o.agent == nil:
		return file.Resume()
	case r.Do == control.DoResume:
		return o.agent.Resume()
	case r.Do != control.DoRunNow:
		return misuse("%q is unknown to this version", r.Do)
	case o.agent == nil:
		return errNoAgent
	}
	names, err := o.placeNames(r.Names)
	if err != nil {
		return err
	}
	return o.agent.RunNow(names)
}

// placeNames checks that there are such places.
func (o *owner) placeNames(asked [][]byte) (names []string, err error) {
	places, err := quietDrive{o}.Places()
	for _, name := range asked {
		if _, ok := places[string(name)]; !ok && err == nil {
			err = fmt.Errorf("%s: %w", name, feed.ErrNoPlace)
		}
		names = append(names, string(name))
	}
	return names, err
}

// agentStatus tells when this home works by itself.
func (o *owner) agentStatus() *control.AgentStatus {
	if o.agent == nil {
		st, err := agent.StateFile(o.home.AgentFile()).Load()
		if err != nil {
			return nil
		}
		return &control.AgentStatus{Paused: st.Paused, PausedUntil: when(st.Until), LastScan: when(st.LastRun.Ended), LastFault: st.LastRun.Text}
	}
	s := o.agent.Status()
	a := &control.AgentStatus{
		Runs: o.plan.Load() != nil, Working: s.Work, Why: s.Why, Next: when(s.Next),
		Paused: s.State.Paused, PausedUntil: when(s.State.Until), RunNow: s.RunNow,
		Scanning: s.Scanning, LastScan: when(s.State.LastRun.Ended), LastFault: s.State.LastRun.Text, NextScan: when(s.NextScan),
		Watched: s.Watched, Blind: s.Blind, Duty: s.Duty,
	}
	if o.plan.Load() != nil {
		a.Windows = o.plan.Load().Windows
		l := o.line.State()
		a.Gives = l.Gives
		if !math.IsInf(l.Limit, 1) {
			a.Limit = l.Limit
		}
	}
	return a
}

func when(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// overdue tells that nothing was backed up for too long, where an agent should.
func (o *owner) overdue() (n agent.Need, ok bool) {
	plan := o.plan.Load()
	if plan == nil && o.config.Agent != nil {
		plan, _ = planOf(*o.config.Agent) // the agent itself says what is wrong with it
	}
	if plan == nil {
		return n, false
	}
	st, err := agent.StateFile(o.home.AgentFile()).Load()
	if o.agent != nil {
		st, err = o.agent.Status().State, nil
	}
	if err != nil {
		return n, false
	}
	return plan.settings.Overdue(st, time.Now())
}

// Mount implements [control.Owner].
func (o *owner) Mount(_ context.Context, r control.MountRequest) error {
	if o.plan.Load() == nil || o.life == nil {
		return errNoAgent
	}
	if dir := o.mountDir(); dir != "" {
		return fmt.Errorf("%s: %w", dir, errShown)
	}
	o.showing.Lock()
	defer o.showing.Unlock()
	if err := checkFUSE(r.AllowOther); err != nil {
		return err
	}
	_, err := o.show(o.life, string(r.Dir), mountOptions{allowOther: r.AllowOther, readOnly: r.ReadOnly, showSnapshots: r.Snapshots})
	if err == nil {
		if yerr := machine.Yield(machine.Serving); yerr != nil {
			o.log.Warn("the drive is served at the priority of an agent", "err", yerr)
		}
	}
	return err
}

// mountByAgent has the agent that owns the home mount the drive; done is false if
// there is none.
func mountByAgent(ctx context.Context, e *env, o mountOptions, path string) (done bool, err error) {
	client, err := control.Dial(ctx, e.home.RunDir())
	if err != nil {
		return false, nil //nolint:nilerr // whoever owns the home is found out again by who wants to
	}
	s, err := client.Status(ctx)
	if err != nil || s.Agent == nil || !s.Agent.Runs {
		return false, nil //nolint:nilerr // as above
	}
	if o.cacheSize != "" || o.settle != 0 || o.instant != 0 || o.noPassthrough || o.debug {
		return true, misuse("an agent serves this home: --cache-size, --settle, --instant, --no-passthrough and --debug are given to tunesafe agent")
	}
	p, err := openMountPoint(path, e.home)
	if err != nil {
		return true, err
	}
	p.Close()
	if err := client.Mount(ctx, control.MountRequest{Dir: []byte(path), ReadOnly: o.readOnly, AllowOther: o.allowOther, Snapshots: o.showSnapshots}); err != nil {
		return true, err
	}
	fmt.Fprintf(e.stdout, "the drive is at %s\n", path)
	return true, nil
}
