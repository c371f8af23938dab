package api

import (
	"context"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tunesafe/tunesafe/internal/control"
)

// none is an input of nothing.
type none struct{}

// out is an answer with a body.
type out[T any] struct{ Body T }

// ask is a request with a body.
type ask[T any] struct{ Body T }

// add registers what a function of the owner does.
func add[In, Out any](s *server, method, path, id, summary string, f func(context.Context, *In) (Out, error)) {
	op := huma.Operation{OperationID: id, Method: method, Path: Prefix + path, Summary: summary, MaxBodyBytes: maxBody, BodyReadTimeout: -1} // or it would end what takes longer
	huma.Register(s.api, op, func(ctx context.Context, in *In) (*out[Out], error) {
		body, err := f(ctx, in)
		if err != nil {
			return nil, s.fail(err)
		}
		return &out[Out]{body}, nil
	})
}

// maxBody is of a request in JSON: the paths of a restore.
const maxBody = 8 << 20

// pathQuery names a path.
type pathQuery struct {
	Path string `query:"path" doc:"from the top of the drive; empty is all of it" example:"Albums/Blue"`
}

func (s *server) register() {
	o := s.Owner
	add(s, http.MethodGet, "/status", "status", "What is safe, what waits, and what went wrong", func(ctx context.Context, _ *none) (control.Status, error) {
		return o.Status(ctx)
	})
	add(s, http.MethodPost, "/wait", "wait", "Return when everything is safe", func(ctx context.Context, in *struct {
		Timeout float64 `query:"timeout" doc:"in seconds; 0 is none"`
	}) (control.Status, error) {
		return o.Wait(ctx, control.WaitRequest{Timeout: time.Duration(in.Timeout * float64(time.Second))}, func(control.Status) {})
	})
	add(s, http.MethodPost, "/work", "work", "Pause, go on, or work now whatever the hour", func(ctx context.Context, in *ask[struct {
		Do     string   `json:"do" enum:"pause,resume,run-now"`
		For    float64  `json:"for_seconds,omitempty" doc:"of a pause; 0 is until resumed"`
		Places []string `json:"places,omitempty" doc:"for run-now; none is all"`
	}]) (control.AgentStatus, error) {
		return o.Work(ctx, control.WorkRequest{Do: in.Body.Do, For: time.Duration(in.Body.For * float64(time.Second)), Names: raw(in.Body.Places)})
	})
	add(s, http.MethodGet, "/trends", "trends", "How things went, day by day", func(ctx context.Context, _ *none) (control.Trends, error) {
		return o.Trends(ctx, control.TrendsRequest{}, func(control.PastProgress) {})
	})
	s.registerDrive()
	s.registerPast()
	s.registerStore()
	s.registerFiles()
}

// entry is a name on the drive.
type entry struct {
	Name   string    `json:"name"`
	Bytes  []byte    `json:"name_bytes,omitempty" doc:"where the name is not UTF-8"`
	Type   string    `json:"type" enum:"file,folder,link,other"`
	Mode   uint32    `json:"mode" doc:"as st_mode of inode(7)"`
	Size   int64     `json:"size"`
	Mtime  time.Time `json:"mtime"`
	State  string    `json:"state,omitempty" doc:"of a file: safe, or what it waits for"`
	Target string    `json:"target,omitempty" doc:"of a link"`
}

func text(b []byte) string { return strings.ToValidUTF8(string(b), "\uFFFD") }

// odd gives the bytes of a name that is not UTF-8.
func odd(b []byte) []byte {
	if utf8.Valid(b) {
		return nil
	}
	return b
}

func raw(list []string) (all [][]byte) {
	for _, p := range list {
		all = append(all, []byte(p))
	}
	return all
}

func typeOf(mode uint32) string {
	switch mode & 0o170000 { // S_IFMT of inode(7)
	case 0o100000:
		return "file"
	case 0o040000:
		return "folder"
	case 0o120000:
		return "link"
	}
	return "other"
}

// registerDrive is what lies on the drive, and what puts it there and back.
func (s *server) registerDrive() {
	o := s.Owner
	add(s, http.MethodGet, "/list", "list", "What lies in a folder of the drive", func(ctx context.Context, in *pathQuery) ([]entry, error) {
		list := []entry{}
		err := o.List(ctx, control.ListRequest{Path: []byte(in.Path)}, func(e control.Entry) {
			list = append(list, entry{Name: text(e.Name), Bytes: odd(e.Name), Type: typeOf(e.Mode), Mode: e.Mode, Size: e.Size, Mtime: e.Mtime, State: e.State, Target: text(e.Target)})
		})
		return list, err
	})
	add(s, http.MethodPost, "/backup", "backup", "Compare folders with their places, and back up what differs", func(ctx context.Context, in *ask[struct {
		Dirs   []string `json:"dirs,omitempty" doc:"absolute names of folders of this machine; none stands for all that are backed up"`
		As     string   `json:"as,omitempty" doc:"the place's name; empty is the folder's"`
		DryRun bool     `json:"dry_run,omitempty"`
		NoWait bool     `json:"no_wait,omitempty" doc:"return when all is taken in, not when all is safe"`
	}]) (control.BackupReport, error) {
		b := in.Body
		return o.Backup(ctx, control.BackupRequest{Dirs: raw(b.Dirs), As: []byte(b.As), DryRun: b.DryRun, NoWait: b.NoWait}, func(control.BackupProgress) {})
	})
	add(s, http.MethodPost, "/decide", "decide", "Answer the brake: what happened to a place was meant, or not", func(ctx context.Context, in *ask[struct {
		Place   string `json:"place,omitempty" doc:"empty is all"`
		Approve bool   `json:"approve"`
	}]) (control.DecideReport, error) {
		return o.Decide(ctx, control.DecideRequest{Name: []byte(in.Body.Place), Approve: in.Body.Approve})
	})
	add(s, http.MethodPost, "/restore", "restore", "Copy from the drive to a folder of this machine", func(ctx context.Context, in *ask[struct {
		Paths []string `json:"paths" minItems:"1" doc:"from the top of the drive"`
		Dest  string   `json:"dest" minLength:"1" doc:"absolute name of a folder of this machine"`
		At    string   `json:"at,omitempty" doc:"as it was at this time; empty is as it is"`
	}]) (control.RestoreProgress, error) {
		then, err := s.then(in.Body.At)
		if err != nil {
			return control.RestoreProgress{}, err
		}
		return o.Restore(ctx, control.RestoreRequest{Paths: raw(in.Body.Paths), Dest: []byte(in.Body.Dest), At: then}, func(control.RestoreProgress) {})
	})
}

// then reads the time of a state; nil is as it is.
func (s *server) then(text string) (*time.Time, error) { return optional(text, s.Times.At) }

func optional(text string, read func(string) (time.Time, error)) (*time.Time, error) {
	if text == "" {
		return nil, nil
	}
	t, err := read(text)
	return &t, err
}

// change is a thing that differs between two moments.
type change struct {
	What    string   `json:"what" enum:"added,removed,changed"`
	Path    string   `json:"path"`
	Bytes   []byte   `json:"path_bytes,omitempty" doc:"where the path is not UTF-8"`
	Was     string   `json:"was,omitempty" doc:"the path before, if that was another"`
	Folder  bool     `json:"folder,omitempty"`
	Changes []string `json:"changes,omitempty" doc:"in words"`
}

func changesOf(list []control.DiffChange) []change {
	all := []change{}
	for _, c := range list {
		all = append(all, change{What: c.What, Path: text(c.Path), Bytes: odd(c.Path), Was: text(c.Was), Folder: c.Dir, Changes: c.Changes})
	}
	return all
}

// version is a step of what became of a thing.
type version struct {
	Snapshot string    `json:"snapshot"`
	Time     time.Time `json:"time"`
	Device   string    `json:"device"`
	Path     string    `json:"path"`
	Bytes    []byte    `json:"path_bytes,omitempty" doc:"where the path is not UTF-8"`
	Size     int64     `json:"size"`
	Gone     bool      `json:"gone,omitempty"`
	Changes  []string  `json:"changes"`
}

func noProgress(control.PastProgress) {}

// registerPast is what was, and what changed.
func (s *server) registerPast() {
	o := s.Owner
	add(s, http.MethodGet, "/snapshots", "snapshots", "The moments of which the drive can be seen", func(ctx context.Context, _ *none) (control.SnapshotsReport, error) {
		return o.Snapshots(ctx, control.SnapshotsRequest{}, noProgress)
	})
	add(s, http.MethodGet, "/history", "history", "What became of what lay at a path", func(ctx context.Context, in *pathQuery) ([]version, error) {
		r, err := o.History(ctx, control.HistoryRequest{Path: []byte(in.Path)}, noProgress)
		all := []version{}
		for _, v := range r.Versions {
			all = append(all, version{Snapshot: v.Snapshot, Time: v.Time, Device: v.Device, Path: text(v.Path), Bytes: odd(v.Path), Size: v.Size, Gone: v.Gone, Changes: v.Changes})
		}
		return all, err
	})
	add(s, http.MethodGet, "/diff", "diff", "What differs between two moments", func(ctx context.Context, in *struct {
		From string   `query:"from" required:"true"`
		To   string   `query:"to" doc:"empty is now"`
		Path []string `query:"path,explode" doc:"only at and below these"`
	}) ([]change, error) {
		from, err := s.then(in.From)
		if err != nil {
			return nil, err
		}
		to, err := s.then(in.To)
		if err != nil {
			return nil, err
		}
		if to == nil {
			now := time.Now()
			to = &now
		}
		r, err := o.Diff(ctx, control.DiffRequest{From: *from, To: *to, Paths: raw(in.Path)}, noProgress)
		return changesOf(r.Changes), err
	})
	add(s, http.MethodPost, "/undo", "undo", "Make the drive as it was, as a new version", func(ctx context.Context, in *ask[struct {
		Paths  []string `json:"paths,omitempty" doc:"from the top of the drive; none is all of it"`
		Since  string   `json:"since,omitempty" doc:"as it was then; empty: before the last change of each path"`
		DryRun bool     `json:"dry_run,omitempty"`
	}]) (struct {
		Changes []change `json:"changes" doc:"from what was there to what is there now"`
		Done    int      `json:"done"`
	}, error) {
		var report struct {
			Changes []change `json:"changes" doc:"from what was there to what is there now"`
			Done    int      `json:"done"`
		}
		since, err := optional(in.Body.Since, s.Times.Before)
		if err != nil {
			return report, err
		}
		r, err := o.Undo(ctx, control.UndoRequest{Since: since, Paths: raw(in.Body.Paths), DryRun: in.Body.DryRun}, noProgress)
		report.Changes, report.Done = changesOf(r.Changes), r.Done
		return report, err
	})
}

// fileState is the health of a file.
type fileState struct {
	Path  string     `json:"path"`
	Bytes []byte     `json:"path_bytes,omitempty" doc:"where the path is not UTF-8"`
	State string     `json:"state" enum:"good,damaged,missing,unread,waiting"`
	Read  *time.Time `json:"read,omitempty" doc:"when the object was whose last reading is the oldest"`
}

// registerStore is what lies in the bucket, and whether it is whole.
func (s *server) registerStore() {
	o := s.Owner
	add(s, http.MethodGet, "/health", "health", "When files were last read in the store, and what was found", func(ctx context.Context, in *struct {
		pathQuery
		Each bool `query:"each" doc:"tell of each file, and not only of those that are damaged"`
	}) (struct {
		control.HealthReport
		Of []fileState `json:"of"`
	}, error) {
		var report struct {
			control.HealthReport
			Of []fileState `json:"of"`
		}
		var err error
		report.Of = []fileState{}
		report.HealthReport, err = o.Health(ctx, control.HealthRequest{Path: []byte(in.Path), Each: in.Each}, func(f control.FileHealth) {
			report.Of = append(report.Of, fileState{Path: text(f.Path), Bytes: odd(f.Path), State: f.State, Read: f.Read})
		})
		return report, err
	})
	add(s, http.MethodPost, "/check", "check", "Examine the repository in the store", func(ctx context.Context, in *struct {
		Read bool `query:"read" doc:"every byte, not only names and sizes"`
	}) (control.CheckReport, error) {
		return o.Check(ctx, control.CheckRequest{Read: in.Read}, func(control.CheckProgress) {})
	})
	add(s, http.MethodGet, "/log", "log", "What was done in the store, oldest first", func(ctx context.Context, in *struct {
		Since  string `query:"since"`
		Device string `query:"device" doc:"a name, or the beginning of an id"`
	}) ([]control.LogCommit, error) {
		since, err := optional(in.Since, s.Times.Since)
		if err != nil {
			return nil, err
		}
		r := control.LogRequest{Device: in.Device}
		if since != nil {
			r.Since = *since
		}
		commits := []control.LogCommit{}
		_, err = o.Log(ctx, r, func(c control.LogCommit) { commits = append(commits, c) })
		return commits, err
	})
	add(s, http.MethodPost, "/prune", "prune", "Delete what nothing that is kept needs, or tell what would be", func(ctx context.Context, in *ask[struct {
		DryRun bool `json:"dry_run" doc:"only tell"`
	}]) (control.PruneReport, error) {
		return o.Prune(ctx, control.PruneRequest{DryRun: in.Body.DryRun}, func(control.PruneProgress) {})
	})
}
