package web

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/tunesafe/tunesafe/internal/control"
)

// What is examined or put right takes longer than a request may, and goes on when
// nobody looks: it is a task of the server, one at a time, that ends with it.

// The kinds of task, as addresses have them.
const (
	taskCheck    = "check"
	taskRehearse = "rehearse"
	taskForesee  = "foresee"
	taskRepair   = "repair"
	taskVerify   = "verify"
)

// errBusy: one task is under way.
var errBusy = errors.New("a check or a repair is under way already")

// tasks are the last of each kind.
type tasks struct {
	mu   sync.Mutex
	last map[string]*task
}

// task is one of them.
type task struct {
	kind   string
	cancel context.CancelFunc

	mu sync.Mutex
	taskState
}

// taskState is how it goes.
type taskState struct {
	Began  time.Time
	Ended  time.Time // zero: not yet
	Now    control.CheckProgress
	Phase  string
	Put    int // objects that were put right so far
	Err    error
	Check  control.CheckReport
	Repair control.RepairReport
	Tried  control.Rehearsal
}

// begin starts a task.
func (s *Server) beginTask(kind string, do func(context.Context, *task) error) error {
	s.tasks.mu.Lock()
	defer s.tasks.mu.Unlock()
	for _, t := range s.tasks.last {
		if t.state().Ended.IsZero() {
			return errBusy
		}
	}
	ctx, cancel := context.WithCancel(s.closing)
	t := &task{kind: kind, cancel: cancel, taskState: taskState{Began: time.Now()}}
	if s.tasks.last == nil {
		s.tasks.last = map[string]*task{}
	}
	s.tasks.last[kind] = t
	s.running.Go(func() {
		defer cancel()
		err := do(ctx, t)
		t.tell(func(st *taskState) { st.Ended, st.Err = time.Now(), err })
		s.Log.Info("done for the page", "what", kind, "err", err)
	})
	return nil
}

// taskOf is the last of that kind; nil if there was none.
func (s *Server) taskOf(kind string) *task {
	s.tasks.mu.Lock()
	defer s.tasks.mu.Unlock()
	return s.tasks.last[kind]
}

func (t *task) state() taskState {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.taskState
}

func (t *task) tell(fn func(*taskState)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fn(&t.taskState)
}

func (t *task) progress(p control.CheckProgress) { t.tell(func(st *taskState) { st.Now = p }) }

// taskView is a task as its page shows it.
type taskView struct {
	taskState
	Kind    string
	Percent int
	Over    bool
	Stopped bool
	Fault   *control.Fault
}

func (s *Server) viewOf(t *task) taskView {
	v := taskView{taskState: t.state(), Kind: t.kind}
	v.Over = !v.Ended.IsZero()
	v.Percent = percent(v.Now.Bytes, v.Now.TotalBytes)
	if v.Now.TotalBytes == 0 {
		v.Percent = 0
	}
	switch {
	case v.Over && errors.Is(v.Err, context.Canceled):
		v.Stopped = true
	case v.Err != nil:
		v.Fault = s.explain(v.Err)
	}
	return v
}

// taskPage shows how a task goes, or what came of it.
func (s *Server) taskPage(w http.ResponseWriter, r *http.Request) error {
	t := s.taskOf(r.PathValue("kind"))
	if t == nil {
		http.Redirect(w, r, "/health", http.StatusSeeOther)
		return nil
	}
	v := s.viewOf(t)
	if !v.Over {
		w.Header().Set("Refresh", "5") // for who has no scripts
	}
	return s.page(w, r, "task", "Health", v)
}

// taskEvents streams it.
func (s *Server) taskEvents(w http.ResponseWriter, r *http.Request) error {
	t := s.taskOf(r.PathValue("kind"))
	if t == nil {
		return s.notFound(w, r)
	}
	return s.follow(w, r, func() ([]byte, error) { return s.render("task", "live", s.view(r, "", s.viewOf(t))) })
}

// stopTask ends one.
func (s *Server) stopTask(w http.ResponseWriter, r *http.Request) error {
	t := s.taskOf(r.PathValue("kind"))
	if t == nil {
		return s.notFound(w, r)
	}
	t.cancel()
	http.Redirect(w, r, "/health/"+t.kind, http.StatusSeeOther)
	return nil
}

// start begins a task and shows it; one that is under way is shown instead of another.
func (s *Server) start(w http.ResponseWriter, r *http.Request, kind string, do func(context.Context, *task) error) error {
	err := s.beginTask(kind, do)
	if errors.Is(err, errBusy) {
		s.fault(w, r, http.StatusConflict, err)
		return nil
	}
	if err != nil {
		return err
	}
	http.Redirect(w, r, "/health/"+kind, http.StatusSeeOther)
	return nil
}
