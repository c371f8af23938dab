// Package task runs what takes longer than a request may: a check, a repair, a restore.
//
// A task goes on when nobody looks, ends with the process or when it is stopped, and is
// asked for how it goes. Whoever can see one sees all, whether it was begun by the page
// or by another program. Tasks that would stand in each other's way are of one lane,
// which bounds how many are under way at once; what more is asked for is refused, and
// not queued: nobody knows whether it is still wanted later.
package task

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// ErrBusy: as much of the kind is under way as may be.
var ErrBusy = errors.New("other work of this kind is under way")

// ErrKey: a key was used before, for something else.
var ErrKey = errors.New("this idempotency key was used for another request")

// Lane bounds what is done at once.
type Lane struct {
	Name string
	Most int
}

// The lanes.
var (
	Examine = Lane{"examine", 1} // what reads the store through, or changes it
	Copy    = Lane{"copy", 2}    // restores
	Other   = Lane{"other", 4}
)

// kept is how many tasks that are over are remembered.
const kept = 64

// Order says what is begun.
type Order struct {
	Kind string
	Lane Lane
	What string // it is about, for people
	To   string // the folder that it writes to
	Once
}

// Once says that an order may come twice: a second with its key gives the first's task.
type Once struct {
	Key string // empty: none
	Sum string // of what is asked for with the key
}

// Set are the tasks of a process.
type Set struct {
	life context.Context //nolint:containedctx // of all of them
	run  func(func())
	log  *slog.Logger

	mu   sync.Mutex
	list []*Task // the oldest first
}

// New makes a set whose tasks end with life; run runs one beside the caller.
func New(life context.Context, run func(func()), log *slog.Logger) *Set {
	return &Set{life: life, run: run, log: log}
}

// Task is one.
type Task struct {
	order  Order
	id     string
	cancel context.CancelFunc
	done   chan struct{}

	mu    sync.Mutex
	state State
}

// State is how a task goes.
type State struct {
	ID       string
	Kind     string
	What     string
	To       string
	Began    time.Time
	Ended    time.Time // zero: not yet
	Progress any       // what it told last; nil: nothing yet
	Result   any       // also of one that failed, if it has any
	Err      error
}

// Over tells whether it has ended.
func (s *State) Over() bool { return !s.Ended.IsZero() }

// Stopped tells whether it was ended before it was done.
func (s *State) Stopped() bool { return s.Over() && errors.Is(s.Err, context.Canceled) }

// Begin begins a task. do tells how it goes by functions that change the progress.
func Begin[P, R any](s *Set, o Order, do func(ctx context.Context, tell func(func(*P))) (R, error)) (*Task, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if was := s.keyed(o.Key); was != nil {
		if was.order.Kind != o.Kind || was.order.Sum != o.Sum {
			return nil, ErrKey
		}
		return was, nil
	}
	if err := s.life.Err(); err != nil {
		return nil, err
	}
	if s.under(o.Lane) >= o.Lane.Most {
		return nil, ErrBusy
	}
	ctx, cancel := context.WithCancel(s.life)
	t := &Task{order: o, id: rand.Text(), cancel: cancel, done: make(chan struct{})}
	t.state = State{ID: t.id, Kind: o.Kind, What: o.What, To: o.To, Began: time.Now()}
	s.list = append(s.list, t)
	s.forget()
	s.run(func() {
		defer close(t.done)
		defer cancel()
		var progress P
		result, err := safely(ctx, do, func(change func(*P)) {
			t.mu.Lock()
			defer t.mu.Unlock()
			change(&progress)
			t.state.Progress = progress
		})
		t.mu.Lock()
		t.state.Ended, t.state.Result, t.state.Err = time.Now(), result, err
		t.mu.Unlock()
		s.log.Info("a task ended", "what", o.Kind, "about", o.What, "err", err)
	})
	return t, nil
}

// safely keeps what went wrong in one task from ending the process, as net/http does for
// one request.
func safely[P, R any](ctx context.Context, do func(context.Context, func(func(*P))) (R, error), tell func(func(*P))) (result R, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("something went wrong here: %v", p)
		}
	}()
	return do(ctx, tell)
}

func (s *Set) keyed(key string) *Task {
	if key == "" {
		return nil
	}
	i := slices.IndexFunc(s.list, func(t *Task) bool { return t.order.Key == key })
	if i < 0 {
		return nil
	}
	return s.list[i]
}

func (s *Set) under(l Lane) (n int) {
	for _, t := range s.list {
		if state := t.State(); t.order.Lane == l && !state.Over() {
			n++
		}
	}
	return n
}

// forget drops the oldest that are over.
func (s *Set) forget() {
	for over := len(s.list) - kept; over > 0; over-- {
		i := slices.IndexFunc(s.list, func(t *Task) bool { state := t.State(); return state.Over() })
		if i < 0 {
			return
		}
		s.list = slices.Delete(s.list, i, i+1)
	}
}

// Find gives the task of an id; nil if there is none, or none any more.
func (s *Set) Find(id string) *Task {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.list, func(t *Task) bool { return t.id == id })
	if i < 0 {
		return nil
	}
	return s.list[i]
}

// Last is the newest task of a kind; nil if there is none.
func (s *Set) Last(kind string) *Task {
	all := s.All()
	slices.Reverse(all)
	i := slices.IndexFunc(all, func(t *Task) bool { return t.order.Kind == kind })
	if i < 0 {
		return nil
	}
	return all[i]
}

// All lists them, the oldest first.
func (s *Set) All() []*Task {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.list)
}

// ID names a task.
func (t *Task) ID() string { return t.id }

// State is how it goes now.
func (t *Task) State() State {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.state
}

// Stop has it end soon; what it has done stays done.
func (t *Task) Stop() { t.cancel() }

// Done is closed when it has ended.
func (t *Task) Done() <-chan struct{} { return t.done }
