package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tunesafe/tunesafe/internal/control"
	"github.com/tunesafe/tunesafe/internal/task"
)

// taskBody is what takes longer than a request: how it goes, or what came of it.
type taskBody struct {
	ID       string     `json:"id"`
	Kind     string     `json:"kind" enum:"check,verify,rehearse,foresee,repair,prune,restore,backup,undo,wait"`
	State    string     `json:"state" enum:"running,done,failed,cancelled"`
	About    string     `json:"about,omitempty"`
	To       string     `json:"to,omitempty" doc:"the folder that it writes to"`
	Began    time.Time  `json:"began"`
	Ended    *time.Time `json:"ended,omitempty"`
	Progress *progress  `json:"progress,omitempty"`
	Result   *result    `json:"result,omitempty" doc:"has the member that is named as the kind; of one that failed, what was done until then"`
	Problem  *problem   `json:"problem,omitempty" doc:"why it failed"`
}

// progress is how far a task is.
type progress struct {
	Phase string `json:"phase,omitempty"`
	Done  int64  `json:"done"`
	Of    int64  `json:"of" doc:"0: not known"`
	Unit  string `json:"unit" enum:"bytes,files,commits,steps"`
}

// result is what came of a task.
type result struct {
	Check    *control.CheckReport     `json:"check,omitempty" doc:"of a check, and of verify"`
	Rehearse *control.Rehearsal       `json:"rehearse,omitempty"`
	Repair   *repairReport            `json:"repair,omitempty" doc:"of a repair, and of foresee"`
	Prune    *control.PruneReport     `json:"prune,omitempty"`
	Restore  *control.RestoreProgress `json:"restore,omitempty"`
	Backup   *backupReport            `json:"backup,omitempty"`
	Undo     *undoReport              `json:"undo,omitempty"`
	Wait     *status                  `json:"wait,omitempty"`
}

// undoReport tells what was made as it was, or would be.
type undoReport struct {
	Changes []change `json:"changes" nullable:"false" doc:"from what was there to what is there now"`
	Done    int      `json:"done"`
}

func progressOf(p any) *progress {
	switch p := p.(type) {
	case control.CheckProgress:
		return &progress{Done: p.Bytes, Of: p.TotalBytes, Unit: "bytes"}
	case task.RepairProgress:
		return &progress{Done: p.Bytes, Of: p.TotalBytes, Unit: "bytes"}
	case control.RehearseProgress:
		return &progress{Phase: p.Phase, Unit: "steps"}
	case control.PruneProgress:
		return &progress{Phase: p.Phase, Unit: "steps"}
	case control.RestoreProgress:
		return &progress{Done: p.Bytes, Of: p.TotalBytes, Unit: "bytes"}
	case control.BackupProgress:
		return &progress{Phase: p.Phase, Done: p.Done, Of: p.Of, Unit: "files"}
	case control.PastProgress:
		return &progress{Done: int64(p.Commits), Of: int64(p.TotalCommits), Unit: "commits"}
	case control.Status:
		return &progress{Phase: p.Phase, Done: p.SafeBytes, Of: p.SafeBytes + p.WaitingBytes, Unit: "bytes"}
	}
	return nil
}

func resultOf(r any) *result {
	switch r := r.(type) {
	case control.CheckReport:
		return &result{Check: &r}
	case control.Rehearsal:
		return &result{Rehearse: &r}
	case control.RepairReport:
		return &result{Repair: repairOf(r)}
	case control.PruneReport:
		return &result{Prune: &r}
	case control.RestoreProgress:
		return &result{Restore: &r}
	case control.BackupReport:
		return &result{Backup: backupOf(r)}
	case control.UndoReport:
		return &result{Undo: &undoReport{changesOf(r.Changes), r.Done}}
	case control.Status:
		st := statusOf(r)
		return &result{Wait: &st}
	}
	return nil
}

func (s *server) taskOf(t *task.Task) taskBody {
	st := t.State()
	b := taskBody{ID: st.ID, Kind: st.Kind, State: "running", About: st.What, To: st.To, Began: st.Began, Progress: progressOf(st.Progress)}
	if !st.Over() {
		return b
	}
	b.Ended, b.State, b.Result = &st.Ended, "done", resultOf(st.Result)
	switch {
	case st.Stopped():
		b.State, b.Problem = "cancelled", newProblem(0, Cancelled, "", "")
	case st.Err != nil:
		b.State = "failed"
		status, kind, f := s.Explain(st.Err)
		if kind == "" {
			kind = kindOf(status)
		}
		b.Problem = newProblem(status, kind, f.Text, f.Hint)
	}
	return b
}

// order is a request for a task.
type order[T any] struct {
	Key  string `header:"Idempotency-Key" maxLength:"200" doc:"a second request with this key gives the task of the first"`
	Body T
}

// begun is a task that was begun.
type begun struct {
	Location string `header:"Location" doc:"where to ask how it goes"`
	Body     taskBody
}

// begin registers what begins a task.
func begin[In any](s *server, path, id, tag, summary string, f func(context.Context, *In, task.Once) (*task.Task, error)) {
	op := operation(http.MethodPost, path, id, tag, summary)
	op.DefaultStatus = http.StatusAccepted
	huma.Register(s.api, op, func(ctx context.Context, in *order[In]) (*begun, error) {
		once := task.Once{}
		if in.Key != "" {
			text, err := json.Marshal(in.Body)
			if err != nil {
				return nil, s.fail(err)
			}
			sum := sha256.Sum256(text)
			name, _ := ctx.Value(tokenKey{}).(string)
			once = task.Once{Key: name + "\x00" + in.Key, Sum: hex.EncodeToString(sum[:])}
		}
		t, err := f(ctx, &in.Body, once)
		if err != nil {
			return nil, s.fail(err)
		}
		return &begun{Prefix + "/tasks/" + t.ID(), s.taskOf(t)}, nil
	})
}

// longestWait is how long a request waits for a task.
const longestWait = 5 * time.Minute

// TaskID names a task.
type TaskID struct {
	ID string `path:"id" maxLength:"64"`
}

func (s *server) task(id string) (*task.Task, error) {
	t := s.Tasks.Find(id)
	if t == nil {
		return nil, newProblem(http.StatusNotFound, NotFound, "there is no such task, or none any more", "")
	}
	return t, nil
}

// registerTasks is what is asked of all of them.
func (s *server) registerTasks() {
	add(s, operation(http.MethodGet, "/tasks", "tasks", "tasks", "What takes longer than a request, the newest first, whoever began it"), func(_ context.Context, in *Paged) (Page[taskBody], error) {
		all := s.Tasks.All()
		slices.Reverse(all)
		var list []taskBody
		for _, t := range all {
			list = append(list, s.taskOf(t))
		}
		return cut(list, *in), nil
	})
	add(s, operation(http.MethodGet, "/tasks/{id}", "task", "tasks", "How a task goes, or what came of it"), func(ctx context.Context, in *struct {
		TaskID
		Wait float64 `query:"wait" minimum:"0" maximum:"300" doc:"so many seconds for its end"`
	}) (taskBody, error) {
		t, err := s.task(in.ID)
		if err != nil {
			return taskBody{}, err
		}
		if in.Wait > 0 {
			end := time.NewTimer(min(time.Duration(in.Wait*float64(time.Second)), longestWait))
			defer end.Stop()
			select {
			case <-t.Done():
			case <-end.C:
			case <-ctx.Done():
			}
		}
		return s.taskOf(t), nil
	})
	stop := operation(http.MethodDelete, "/tasks/{id}", "cancel", "tasks", "Have a task end soon; what it has done stays done")
	stop.DefaultStatus = http.StatusAccepted
	add(s, stop, func(_ context.Context, in *TaskID) (taskBody, error) {
		t, err := s.task(in.ID)
		if err != nil {
			return taskBody{}, err
		}
		t.Stop()
		return s.taskOf(t), nil
	})
}
