package sync

import (
	"context"
	"errors"
	gosync "sync"
	"time"
)

// errPaused ends a pass. It is no trouble.
var errPaused = errors.New("paused")

// gate stops the worker between two objects. What is being sent when it shuts
// may go on for a while, so that no pause costs what had nearly arrived.
type gate struct {
	mu      gosync.Mutex
	shut    bool
	until   time.Time       // what is being sent may go on
	changed chan struct{}   // closed when any of the above changes
	run     context.Context //nolint:containedctx // of Run; nil before
	end     context.CancelCauseFunc
}

// Pause ends the pass under way, and none begins before Resume. An object that
// is being sent may go on for grace; then it is given up, and sent again later.
// Nothing acknowledged is lost or sent again.
func (w *Worker) Pause(grace time.Duration) {
	w.gate.set(true, time.Now().Add(grace))
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cond.Broadcast()
}

// Resume ends a pause.
func (w *Worker) Resume() {
	w.gate.set(false, time.Time{})
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cond.Broadcast()
}

// Paused tells whether the worker is between Pause and Resume.
func (w *Worker) Paused() bool {
	w.gate.mu.Lock()
	defer w.gate.mu.Unlock()
	return w.gate.shut
}

func (g *gate) set(shut bool, until time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if shut && g.shut && until.After(g.until) {
		until = g.until // the stricter pause counts
	}
	g.shut, g.until = shut, until
	if g.changed != nil {
		close(g.changed)
		g.changed = nil
	}
	if shut && g.end != nil {
		g.end(errPaused)
	}
}

// change is closed at the next change. g.mu is held.
func (g *gate) change() <-chan struct{} {
	if g.changed == nil {
		g.changed = make(chan struct{})
	}
	return g.changed
}

// enter waits until a pass may begin and gives it its context. ended must be
// called after it.
func (g *gate) enter(ctx context.Context, waits func()) (pass context.Context, ended func(), err error) {
	for {
		g.mu.Lock()
		if !g.shut {
			pass, g.end = context.WithCancelCause(ctx)
			g.run = ctx
			g.mu.Unlock()
			return pass, g.left, nil
		}
		changed := g.change()
		g.mu.Unlock()
		waits()
		select {
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		case <-changed:
		}
	}
}

func (g *gate) left() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.end(nil)
	g.end = nil
}

// sending gives the context of sending one object in a pass: a pause ends it
// later than the pass.
func (g *gate) sending(ctx context.Context) (sending context.Context, done func()) {
	if ctx.Err() != nil {
		return ctx, func() {}
	}
	sending, stop := context.WithCancel(context.WithoutCancel(ctx))
	forget := context.AfterFunc(ctx, func() {
		if errors.Is(context.Cause(ctx), errPaused) {
			g.outlast(sending)
		}
		stop()
	})
	return sending, func() { forget(); stop() }
}

// outlast returns when the grace is over, or what it is for. After Resume there
// is no hurry: the next pass waits for this one.
func (g *gate) outlast(sending context.Context) {
	for {
		g.mu.Lock()
		left, changed, run := time.Until(g.until), g.change(), g.run
		if !g.shut {
			left = time.Hour
		}
		g.mu.Unlock()
		if left <= 0 {
			return
		}
		timer := time.NewTimer(left)
		select {
		case <-changed:
		case <-timer.C:
		case <-sending.Done():
		case <-run.Done():
		}
		timer.Stop()
		if sending.Err() != nil || run.Err() != nil {
			return
		}
	}
}
