package sync

import (
	"context"
	"time"
)

// Wait ends the settle time of closed files and returns nil once everything is
// safe, with the commit and a due checkpoint. If ctx ends first it returns a
// *WaitError.
func (w *Worker) Wait(ctx context.Context) error {
	w.mu.Lock()
	w.waiters++
	seen := w.rounds
	w.cache.SettleNow(true)
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.waiters--; w.waiters == 0 {
			w.cache.SettleNow(false)
		}
	}()
	stop := context.AfterFunc(ctx, func() { w.mu.Lock(); w.cond.Broadcast(); w.mu.Unlock() })
	defer stop()
	w.poke()
	for {
		w.mu.Lock()
		for w.rounds <= seen && ctx.Err() == nil && !w.Paused() {
			w.cond.Wait()
		}
		seen = w.rounds
		trouble := w.trouble
		w.mu.Unlock()
		idle, err := w.cache.Idle()
		if err != nil || idle && trouble == nil {
			return err
		}
		if ctx.Err() != nil {
			return &WaitError{Status: w.Status(), Err: trouble}
		}
		if trouble != nil {
			continue // the worker tries again in its own time
		}
		select { // a file is open or mapped; look again soon
		case <-ctx.Done():
		case <-time.After(200 * time.Millisecond):
		}
		w.poke()
	}
}

// WaitError says that not all became safe in time.
type WaitError struct {
	Status Status
	Err    error // what keeps the worker from going on; nil if it was only slow
}

func (e *WaitError) Error() string {
	if e.Err != nil {
		return e.Err.Error()
	}
	return "time ran out"
}

func (e *WaitError) Unwrap() error { return e.Err }
