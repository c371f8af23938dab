package web

import (
	"errors"
	"net/http"
	"slices"

	"github.com/tunesafe/tunesafe/internal/control"
	"github.com/tunesafe/tunesafe/internal/task"
)

// What is examined or put right takes longer than a request may, and goes on when
// nobody looks: see package task. Each has a page by its kind, which shows the last.

// errBusy: one task is under way.
var errBusy = errors.New("a check or a repair is under way already")

// examining are the kinds that have a page.
var examining = []string{task.Check, task.Rehearse, task.Foresee, task.Repair, task.Verify}

// taskOf is the last of a kind; nil if there was none.
func (s *Server) taskOf(kind string) *task.Task {
	if !slices.Contains(examining, kind) {
		return nil
	}
	return s.tasks.Last(kind)
}

// deeds are the tasks that the page begins.
func (s *Server) deeds() task.Deeds { return task.Deeds{Set: s.tasks, Owner: s.Owner} }

// taskView is a task as its page shows it.
type taskView struct {
	Kind    string
	Now     control.CheckProgress
	Phase   string
	Put     int // objects that were put right so far
	Check   control.CheckReport
	Repair  control.RepairReport
	Tried   control.Rehearsal
	Percent int
	Over    bool
	Stopped bool
	Fault   *control.Fault
}

func (s *Server) viewOf(t *task.Task) taskView {
	st := t.State()
	v := taskView{Kind: st.Kind, Over: st.Over(), Stopped: st.Stopped()}
	switch p := st.Progress.(type) {
	case control.CheckProgress:
		v.Now = p
	case task.RepairProgress:
		v.Now, v.Put = p.CheckProgress, p.Put
	case control.RehearseProgress:
		v.Phase = p.Phase
	}
	switch r := st.Result.(type) {
	case control.CheckReport:
		v.Check = r
	case control.RepairReport:
		v.Repair = r
	case control.Rehearsal:
		v.Tried = r
	}
	v.Percent = percent(v.Now.Bytes, v.Now.TotalBytes)
	if v.Now.TotalBytes == 0 {
		v.Percent = 0
	}
	if st.Err != nil && !v.Stopped {
		v.Fault = s.explain(st.Err)
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
	t.Stop()
	http.Redirect(w, r, "/health/"+r.PathValue("kind"), http.StatusSeeOther)
	return nil
}

// begun shows a task that was begun; where another is under way, that is said.
func (s *Server) begun(w http.ResponseWriter, r *http.Request, t *task.Task, err error) error {
	if errors.Is(err, task.ErrBusy) {
		s.fault(w, r, http.StatusConflict, errBusy)
		return nil
	}
	if err != nil {
		return err
	}
	http.Redirect(w, r, "/health/"+t.State().Kind, http.StatusSeeOther)
	return nil
}
