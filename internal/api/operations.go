package api

import (
	"context"
	"net/http"
	"time"

	"github.com/tunesafe/tunesafe/internal/control"
	"github.com/tunesafe/tunesafe/internal/task"
)

// deeds are the tasks that are begun here.
func (s *server) deeds() task.Deeds { return task.Deeds{Set: s.Tasks, Owner: s.Owner} }

func (s *server) register() {
	s.registerWork()
	s.registerDrive()
	s.registerPins()
	s.registerFiles()
	s.registerLibrary()
	s.registerPast()
	s.registerStore()
	s.registerKeys()
	s.registerTasks()
}

// PathQuery names a path.
type PathQuery struct {
	Path string `query:"path" doc:"from the top of the drive; empty is all of it" example:"Albums/Blue"`
}

// span is so many seconds, of which there are not so many that time overflows.
func span(seconds float64) time.Duration {
	return time.Duration(min(max(seconds, 0), 1e9) * float64(time.Second))
}

// registerWork is what is safe, and when it is worked on.
func (s *server) registerWork() {
	o := s.Owner
	add(s, operation(http.MethodGet, "/status", "status", "work", "What is safe, what waits, and what went wrong"), func(ctx context.Context, _ *none) (status, error) {
		st, err := o.Status(ctx)
		return statusOf(st), err
	})
	s.registerEvents()
	begin(s, "/wait", "wait", "work", "End when everything is safe", func(_ context.Context, in *waitOrder, once task.Once) (*task.Task, error) {
		return s.deeds().Wait(control.WaitRequest{Timeout: span(in.Timeout)}, once)
	})
	add(s, operation(http.MethodPost, "/work", "work", "work", "Pause, go on, or work now whatever the hour"), func(ctx context.Context, in *ask[workOrder]) (control.AgentStatus, error) {
		return o.Work(ctx, control.WorkRequest{Do: in.Body.Do, For: span(in.Body.For), Names: raw(in.Body.Places)})
	})
	add(s, operation(http.MethodGet, "/trends", "trends", "work", "How things went, day by day"), func(ctx context.Context, _ *none) (control.Trends, error) {
		return o.Trends(ctx, control.TrendsRequest{}, noProgress)
	})
	add(s, operation(http.MethodGet, "/settings", "settings", "work", "When it works by itself, and how fast"), func(ctx context.Context, _ *none) (control.Settings, error) {
		return s.Settings.Settings(ctx)
	})
	add(s, operation(http.MethodPut, "/settings", "set-settings", "work", "Change that; it holds at once, and after a restart"), func(ctx context.Context, in *ask[control.Settings]) (control.Settings, error) {
		return s.Settings.SetSettings(ctx, in.Body)
	})
	begin(s, "/backup", "backup", "work", "Compare the folders of places with them, and back up what differs", func(ctx context.Context, in *backupOrder, once task.Once) (*task.Task, error) {
		r := control.BackupRequest{DryRun: in.DryRun, NoWait: in.NoWait, ReadAgain: in.Again}
		var err error
		if r.Dirs, err = s.rootsOf(ctx, in.Places); err != nil {
			return nil, err
		}
		return s.deeds().Backup(r, once)
	})
	add(s, operation(http.MethodPost, "/decide", "decide", "work", "Answer the brake: what happened to a place was meant, or not"), func(ctx context.Context, in *ask[decision]) (decided, error) {
		var report decided
		r, err := o.Decide(ctx, control.DecideRequest{Name: []byte(in.Body.Place), Approve: in.Body.Approve})
		report.Held = append([]held{}, heldOf(r.Held)...)
		return report, err
	})
	detach := operation(http.MethodPost, "/places/{name}/detach", "detach", "work", "Make an ordinary folder of the drive of a place: its folder is backed up no more, and nothing is deleted")
	add(s, detach, func(ctx context.Context, in *struct {
		Name string `path:"name"`
	}) (place, error) {
		return place{Name: in.Name}, o.Detach(ctx, control.DetachRequest{Name: []byte(in.Name)})
	})
}

// rootsOf are the folders that feed places.
func (s *server) rootsOf(ctx context.Context, names []string) (dirs [][]byte, err error) {
	if len(names) == 0 {
		return nil, nil
	}
	st, err := s.Owner.Status(ctx)
	if err != nil {
		return nil, err
	}
	roots := map[string][]byte{}
	for _, p := range st.Places {
		roots[text(p.Name)] = p.Root
	}
	for _, n := range names {
		root, ok := roots[n]
		if !ok {
			return nil, newProblem(http.StatusNotFound, NotFound, "no folder is backed up as "+n, "the status lists them; tunesafe backup DIR adds one")
		}
		dirs = append(dirs, root)
	}
	return dirs, nil
}

// Settings are what is set of when a home works by itself.
type Settings interface {
	Settings(ctx context.Context) (control.Settings, error)
	SetSettings(ctx context.Context, want control.Settings) (control.Settings, error)
}

// waitOrder asks to wait.
type waitOrder struct {
	Timeout float64 `json:"timeout_seconds,omitempty" minimum:"0" doc:"0 is none"`
}

// workOrder asks to pause, to go on, or to work now.
type workOrder struct {
	Do     string   `json:"do" enum:"pause,resume,run-now"`
	For    float64  `json:"for_seconds,omitempty" minimum:"0" doc:"of a pause; 0 is until resumed"`
	Places []string `json:"places,omitempty" doc:"for run-now; none is all"`
}

// backupOrder names what is backed up.
type backupOrder struct {
	Places []string `json:"places,omitempty" doc:"names, as the status has them; none stands for all"`
	DryRun bool     `json:"dry_run,omitempty"`
	NoWait bool     `json:"no_wait,omitempty" doc:"end when all is taken in, not when all is safe"`
	Again  int      `json:"read_again,omitempty" minimum:"0" doc:"read one such part of the bytes again, those that were read the longest ago"`
}

// decision answers the brake.
type decision struct {
	Place   string `json:"place,omitempty" doc:"empty is all"`
	Approve bool   `json:"approve"`
}

// decided says what was decided on.
type decided struct {
	Held []held `json:"held" nullable:"false"`
}
