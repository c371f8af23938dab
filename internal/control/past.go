package control

import (
	"context"
	"time"
)

// Remembering is what an owner tells of the past.
type Remembering interface {
	// Snapshots lists the moments of which the drive can be seen.
	Snapshots(ctx context.Context, r SnapshotsRequest, progress func(PastProgress)) (SnapshotsReport, error)
	// History tells what became of what lay at a path.
	History(ctx context.Context, r HistoryRequest, progress func(PastProgress)) (HistoryReport, error)
	// Diff compares two moments.
	Diff(ctx context.Context, r DiffRequest, progress func(PastProgress)) (DiffReport, error)
	// Undo makes the drive as it was.
	Undo(ctx context.Context, r UndoRequest, progress func(PastProgress)) (UndoReport, error)
}

// PastProgress tells how far the log was read, which is done once in each home.
type PastProgress struct {
	Commits      int `json:"commits"`
	TotalCommits int `json:"total_commits"`
}

// PastGap is a stretch of lost commits of a device: from After until Until the past may
// lack what they said.
type PastGap struct {
	Device string     `json:"device"`
	Name   string     `json:"name"` // what its owner calls it; empty if that is not known
	First  uint64     `json:"first"`
	Last   uint64     `json:"last"`
	After  *time.Time `json:"after,omitempty"` // nil: from the beginning
	Until  *time.Time `json:"until,omitempty"` // nil: it was not said again yet
}

// snapshotForm is how a moment is named.
const snapshotForm = "2006-01-02T150405Z"

// SnapshotName names a moment, as below .snapshots on the drive.
func SnapshotName(t time.Time) string { return t.UTC().Format(snapshotForm) }

// ParseSnapshot is the time of a snapshot's name, with all of its second.
func ParseSnapshot(name string) (time.Time, error) {
	t, err := time.Parse(snapshotForm, name)
	return t.Add(time.Second - time.Millisecond), err
}

// SnapshotsRequest asks for all of them.
type SnapshotsRequest struct{}

// SnapshotsReport is what `tunesafe snapshots --json` prints.
type SnapshotsReport struct {
	Snapshots []Snapshot `json:"snapshots"` // oldest first
	Gaps      []PastGap  `json:"gaps,omitempty"`
}

// Snapshot is a moment.
type Snapshot struct {
	Name       string    `json:"name"` // below .snapshots on the drive; of several in one second the last has it
	Time       time.Time `json:"time"`
	Device     string    `json:"device"`
	DeviceName string    `json:"device_name"` // what its owner calls it; empty if that is not known
	Added      int       `json:"added"`       // files, folders and links
	Changed    int       `json:"changed"`
	Removed    int       `json:"removed"`
	Names      int       `json:"names"` // given or taken away
}

// HistoryRequest asks for a path.
type HistoryRequest struct {
	Path []byte `json:"path"` // on the drive, from its top; it need not be there now
}

// HistoryReport is what `tunesafe history --json` prints.
type HistoryReport struct {
	Versions []HistoryVersion `json:"versions"` // oldest first
	Gaps     []PastGap        `json:"gaps,omitempty"`
}

// HistoryVersion is a step of what became of a thing.
type HistoryVersion struct {
	Snapshot   string    `json:"snapshot"` // the first in which it shows
	Time       time.Time `json:"time"`
	Device     string    `json:"device"`
	DeviceName string    `json:"device_name"` // what its owner calls it; empty if that is not known
	Path       []byte    `json:"path"`        // after it
	Size       int64     `json:"size"`
	Gone       bool      `json:"gone,omitempty"`
	Changes    []string  `json:"changes"` // in words
}

// DiffRequest asks what differs between two moments.
type DiffRequest struct {
	From  time.Time `json:"from"` // the zero time: before everything
	To    time.Time `json:"to"`
	Paths [][]byte  `json:"paths,omitempty"` // on the drive, from its top; none is all of it
	Brief bool      `json:"brief,omitempty"` // without words, for which tags may have to be fetched
}

// DiffReport is what `tunesafe diff --json` prints.
type DiffReport struct {
	Changes []DiffChange `json:"changes"` // by path
	Gaps    []PastGap    `json:"gaps,omitempty"`
}

// What a DiffChange is about.
const (
	DiffAdded   = "added"
	DiffRemoved = "removed"
	DiffChanged = "changed" // or moved
)

// DiffChange is a thing that differs.
type DiffChange struct {
	What    string   `json:"what"`
	Path    []byte   `json:"path"`          // at the later moment, if it is there
	Was     []byte   `json:"was,omitempty"` // the path before, if that was another
	Dir     bool     `json:"dir,omitempty"`
	Changes []string `json:"changes,omitempty"` // in words
}

// UndoRequest asks for what was, at and below paths.
type UndoRequest struct {
	Since  *time.Time `json:"since,omitempty"`   // as it was then; nil: before the last change of each path
	Paths  [][]byte   `json:"paths,omitempty"`   // on the drive, from its top; none is all of it
	DryRun bool       `json:"dry_run,omitempty"` // refused as the deed would be
	Brief  bool       `json:"brief,omitempty"`   // without words
}

// UndoReport tells what was done, or would be.
type UndoReport struct {
	Changes []DiffChange `json:"changes"` // from what was there to what is there now
	Done    int          `json:"done"`
}

// Undo implements [Remembering].
func (c *Client) Undo(ctx context.Context, r UndoRequest, progress func(PastProgress)) (UndoReport, error) {
	return call[UndoReport](ctx, c, "undo", r, progress)
}

// Snapshots implements [Remembering].
func (c *Client) Snapshots(ctx context.Context, r SnapshotsRequest, progress func(PastProgress)) (SnapshotsReport, error) {
	return call[SnapshotsReport](ctx, c, "snapshots", r, progress)
}

// History implements [Remembering].
func (c *Client) History(ctx context.Context, r HistoryRequest, progress func(PastProgress)) (HistoryReport, error) {
	return call[HistoryReport](ctx, c, "history", r, progress)
}

// Diff implements [Remembering].
func (c *Client) Diff(ctx context.Context, r DiffRequest, progress func(PastProgress)) (DiffReport, error) {
	return call[DiffReport](ctx, c, "diff", r, progress)
}
