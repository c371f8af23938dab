package agent

import (
	"context"
	"time"
)

// Duty is work beside the backups that is done now and then: a part of the bucket
// is read, say. Duties are done one at a time, in the hours in which there is work,
// once everything is safe; where that never comes, all the same after dutyPatience.
// One that the end of a window cuts short is done when the next begins; what it did
// until then is its own to keep.
type Duty struct {
	Name  string // a word; the same for ever
	Every time.Duration
	Do    func(context.Context) error

	// Removes says that it takes away what a person may want yet: it is not begun while
	// changes are held that look like a disaster.
	Removes bool
}

// The figures of duties.
const (
	dutyFirst    = time.Hour          // after an agent first had one
	dutyRetry    = time.Hour          // after one failed
	dutyPatience = 7 * 24 * time.Hour // for everything to be safe
)

// dutyRun is one that runs.
type dutyRun struct {
	name   string
	cancel context.CancelFunc
	done   chan error
}

// attend begins the duty that waited the longest, if it is time for one.
func (a *Agent) attend(ctx context.Context, t *turn, look Look, now time.Time) {
	if t.duty != nil || !t.working || t.scan != nil || len(t.due) > 0 {
		return
	}
	d, ok := a.dueDuty(t, look, now)
	if !ok {
		return
	}
	run := &dutyRun{name: d.Name, done: make(chan error, 1)}
	var doing context.Context
	doing, run.cancel = context.WithCancel(ctx)
	t.duty = run
	a.o.Log.Info("duty", "name", d.Name)
	go func() { run.done <- d.Do(doing) }()
}

// dueDuty gives the one that waited the longest of those that are due.
func (a *Agent) dueDuty(t *turn, look Look, now time.Time) (due Duty, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var waited time.Duration
	fresh := false
	for _, d := range a.o.Duties {
		last, known := a.state.Duties[d.Name]
		if !known {
			last.Ended = now.Add(dutyFirst - d.Every)
			a.state.setDuty(d.Name, last)
			fresh = true
		}
		late := now.Sub(last.Ended) - d.Every
		if late < 0 || now.Before(t.dutyOff[d.Name]) || !look.Safe && late < dutyPatience || d.Removes && look.Held {
			continue
		}
		if !ok || late > waited {
			due, waited, ok = d, late, true
		}
	}
	if fresh {
		a.save()
	}
	return due, ok
}

// attended takes in how a duty ended.
func (a *Agent) attended(t *turn, err error, now time.Time) {
	run := t.duty
	run.cancel()
	t.duty = nil
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case err != nil && !t.working: // cut short by a pause or the end of the window
		a.o.Log.Info("duty is cut short, and goes on later", "name", run.name)
		return
	case err != nil:
		a.o.Log.Error("duty", "name", run.name, "err", err)
		t.dutyOff[run.name] = now.Add(dutyRetry)
		last := a.state.Duties[run.name]
		last.Text = err.Error()
		a.state.setDuty(run.name, last)
	default:
		a.o.Log.Info("duty is done", "name", run.name)
		a.state.setDuty(run.name, Run{Ended: now})
	}
	a.save()
}

// setDuty never changes a map that a clone may share.
func (s *State) setDuty(name string, r Run) {
	duties := map[string]Run{name: r}
	for n, old := range s.Duties {
		if n != name {
			duties[n] = old
		}
	}
	s.Duties = duties
}
