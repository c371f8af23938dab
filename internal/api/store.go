package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/tunesafe/tunesafe/internal/control"
	"github.com/tunesafe/tunesafe/internal/task"
)

// fileState is the health of a file.
type fileState struct {
	Path  string     `json:"path"`
	Bytes []byte     `json:"path_bytes,omitempty" doc:"where the path is not UTF-8"`
	State string     `json:"state" enum:"good,damaged,missing,unread,waiting"`
	Read  *time.Time `json:"read,omitempty" doc:"when the object was whose last reading is the oldest"`
}

// healthReport is the health of files.
type healthReport struct {
	control.HealthReport
	Of Page[fileState] `json:"of" doc:"those that are damaged, or all"`
}

// logPage is a page of the log.
type logPage struct {
	Items []control.LogCommit `json:"items" nullable:"false"`
	Next  string              `json:"next,omitempty" doc:"the since of the next page; none: this is the last"`
}

// registerStore is what lies in the bucket, and whether it is whole.
func (s *server) registerStore() {
	o := s.Owner
	add(s, operation(http.MethodGet, "/health", "health", "store", "When files were last read in the store, and what was found"), func(ctx context.Context, in *struct {
		PathQuery
		Paged
		Each bool `query:"each" doc:"tell of each file, and not only of those that are damaged"`
	}) (healthReport, error) {
		var list []fileState
		report, err := o.Health(ctx, control.HealthRequest{Path: []byte(in.Path), Each: in.Each}, func(f control.FileHealth) {
			list = append(list, fileState{Path: text(f.Path), Bytes: odd(f.Path), State: f.State, Read: f.Read})
		})
		return healthReport{report, cut(list, in.Paged)}, err
	})
	begin(s, "/check", "check", "store", "Examine the repository in the store", func(_ context.Context, in *checkOrder, once task.Once) (*task.Task, error) {
		r := control.CheckRequest{Read: in.Read, Heads: in.Heads}
		if in.Part > 0 || in.Bytes > 0 {
			r.Part = &control.CheckPart{Part: in.Part, Bytes: in.Bytes}
		}
		return s.deeds().Check(r, once)
	})
	begin(s, "/rehearse", "rehearse", "store", "Restore a few files from the store alone, and compare them", func(_ context.Context, in *rehearseOrder, once task.Once) (*task.Task, error) {
		return s.deeds().Rehearse(control.RehearseRequest{Files: in.Files, Bytes: in.Bytes}, once)
	})
	begin(s, "/repair", "repair", "store", "Put back what is damaged or missing in the store, or tell what would be", func(_ context.Context, in *repairOrder, once task.Once) (*task.Task, error) {
		return s.deeds().Repair(control.RepairRequest{DryRun: in.DryRun, Read: in.Read}, once)
	})
	begin(s, "/prune", "prune", "store", "Delete what nothing that is kept needs, or tell what would be", func(_ context.Context, in *pruneOrder, once task.Once) (*task.Task, error) {
		return s.deeds().Prune(control.PruneRequest{DryRun: in.DryRun}, once)
	})
	add(s, operation(http.MethodGet, "/log", "log", "store", "What was done in the store, oldest first"), func(ctx context.Context, in *struct {
		Since   string `query:"since" doc:"a time, or the next of a page"`
		Device  string `query:"device" doc:"a name, or the beginning of an id"`
		Objects bool   `query:"objects" doc:"with each object"`
		Limit   int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"how many commits to give"`
	}) (logPage, error) {
		p := logPage{Items: []control.LogCommit{}}
		since, err := optional(in.Since, s.sinceOf)
		if err != nil {
			return p, err
		}
		r := control.LogRequest{Device: in.Device, Objects: in.Objects}
		if since != nil {
			r.Since = *since
		}
		list, next, err := control.LogPage(ctx, o, r, in.Limit)
		if p.Items = append(p.Items, list...); !next.IsZero() {
			p.Next = next.UTC().Format(time.RFC3339Nano)
		}
		return p, err
	})
	s.stream(http.MethodGet, "/log/export", "export-log", "store", "The log and what signs it, for somebody else to verify", "application/zip", s.Contents.ExportLog)
}

// sinceOf reads the next of a page exactly, and other times as people say them.
func (s *server) sinceOf(text string) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return t, nil
	}
	return s.Times.Since(text)
}

// stream registers what answers without JSON, and asks for nothing.
func (s *server) stream(method, path, id, tag, summary, kind string, answer func(http.ResponseWriter, *http.Request) error) {
	streamOf(s, streamed(method, path, id, tag, summary, kind), func(w http.ResponseWriter, r *http.Request, _ *none) error { return answer(w, r) })
}

// streamed is an operation that answers with bytes of a kind.
func streamed(method, path, id, tag, summary, kind string) huma.Operation {
	op := operation(method, path, id, tag, summary)
	op.Responses = map[string]*huma.Response{"200": {Description: "all of it", Content: map[string]*huma.MediaType{kind: {Schema: &huma.Schema{Type: "string", Format: "binary"}}}}}
	return op
}

// streamOf registers an operation that answers by itself, unless it returns an error.
func streamOf[In any](s *server, op huma.Operation, answer func(http.ResponseWriter, *http.Request, *In) error) {
	huma.Register(s.api, op, func(_ context.Context, in *In) (*huma.StreamResponse, error) {
		return &huma.StreamResponse{Body: func(ctx huma.Context) {
			r, w := humago.Unwrap(ctx)
			if err := answer(w, r, in); err != nil {
				write(w, s.fail(err))
			}
		}}, nil
	})
}

// checkOrder says what to examine.
type checkOrder struct {
	Read  bool     `json:"read,omitempty" doc:"every byte, not only names and sizes"`
	Part  int      `json:"part,omitempty" minimum:"1" maximum:"1000" doc:"read one such part of all bytes, those that were read the longest ago"`
	Bytes int64    `json:"bytes,omitempty" minimum:"1" doc:"read so many bytes at most, those that were read the longest ago"`
	Heads []string `json:"heads,omitempty" maxItems:"1000" doc:"as the recovery kit has them: DEVICE:NUMBER:SHA256; the log must have them"`
}

// rehearseOrder says how much to restore.
type rehearseOrder struct {
	Files int   `json:"files,omitempty" minimum:"1" maximum:"1000" default:"5"`
	Bytes int64 `json:"bytes,omitempty" minimum:"1" default:"209715200" doc:"at most"`
}

// repairOrder asks for a repair.
type repairOrder struct {
	DryRun bool `json:"dry_run,omitempty" doc:"only tell"`
	Read   bool `json:"read,omitempty" doc:"all of the store, to find what is damaged"`
}

// pruneOrder asks for a prune.
type pruneOrder struct {
	DryRun bool `json:"dry_run" doc:"only tell"`
}
