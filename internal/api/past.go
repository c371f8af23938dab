package api

import (
	"context"
	"net/http"
	"time"

	"github.com/tunesafe/tunesafe/internal/control"
	"github.com/tunesafe/tunesafe/internal/task"
)

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
	Snapshot   string    `json:"snapshot"`
	Time       time.Time `json:"time"`
	Device     string    `json:"device"`
	DeviceName string    `json:"device_name"`
	Path       string    `json:"path"`
	Bytes      []byte    `json:"path_bytes,omitempty" doc:"where the path is not UTF-8"`
	Size       int64     `json:"size"`
	Gone       bool      `json:"gone,omitempty"`
	Changes    []string  `json:"changes"`
}

// snapshots is a page of the moments.
type snapshots struct {
	Page[control.Snapshot]
	Gaps []control.PastGap `json:"gaps,omitempty" doc:"lost commits, for which the past may lack something"`
}

func noProgress(control.PastProgress) {}

// registerPast is what was, and what changed.
func (s *server) registerPast() {
	o := s.Owner
	add(s, operation(http.MethodGet, "/snapshots", "snapshots", "past", "The moments of which the drive can be seen, oldest first"), func(ctx context.Context, in *Paged) (snapshots, error) {
		r, err := o.Snapshots(ctx, control.SnapshotsRequest{}, noProgress)
		return snapshots{cut(r.Snapshots, *in), r.Gaps}, err
	})
	add(s, operation(http.MethodGet, "/history", "history", "past", "What became of what lay at a path, oldest first"), func(ctx context.Context, in *struct {
		PathQuery
		Paged
	}) (Page[version], error) {
		r, err := o.History(ctx, control.HistoryRequest{Path: []byte(in.Path)}, noProgress)
		all := []version{}
		for _, v := range r.Versions {
			all = append(all, version{Snapshot: v.Snapshot, Time: v.Time, Device: v.Device, DeviceName: v.DeviceName, Path: text(v.Path), Bytes: odd(v.Path), Size: v.Size, Gone: v.Gone, Changes: v.Changes})
		}
		return cut(all, in.Paged), err
	})
	add(s, operation(http.MethodGet, "/diff", "diff", "past", "What differs between two moments, by path"), func(ctx context.Context, in *struct {
		Paged
		Since string   `query:"since" required:"true" doc:"the earlier one"`
		Until string   `query:"until" doc:"the later one; empty is now"`
		Path  []string `query:"path,explode" doc:"only at and below these"`
	}) (Page[change], error) {
		from, err := s.then(in.Since)
		if err != nil {
			return Page[change]{}, err
		}
		to, err := s.then(in.Until)
		if err != nil {
			return Page[change]{}, err
		}
		if to == nil {
			now := time.Now()
			to = &now
		}
		r, err := o.Diff(ctx, control.DiffRequest{From: *from, To: *to, Paths: raw(in.Path)}, noProgress)
		return cut(changesOf(r.Changes), in.Paged), err
	})
	begin(s, "/undo", "undo", "past", "Make the drive as it was, as a new version, or tell what that would change", func(_ context.Context, in *undoOrder, once task.Once) (*task.Task, error) {
		since, err := optional(in.Since, s.Times.Before)
		if err != nil {
			return nil, err
		}
		return s.deeds().Undo(control.UndoRequest{Since: since, Paths: raw(in.Paths), DryRun: in.DryRun}, once)
	})
}

// undoOrder says what to make as it was.
type undoOrder struct {
	Paths  []string `json:"paths,omitempty" doc:"from the top of the drive; none is all of it"`
	Since  string   `json:"since,omitempty" doc:"as it was then; empty: before the last change of each path"`
	DryRun bool     `json:"dry_run,omitempty"`
}
