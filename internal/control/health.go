package control

import (
	"context"
	"time"
)

// Healthy is the part of [Owner] that is about whether what is in the bucket can
// still be read.
type Healthy interface {
	// Health tells of files below a path when what they are made of was last read in
	// the bucket, and what was found. It never waits for the network.
	Health(ctx context.Context, r HealthRequest, file func(FileHealth)) (HealthReport, error)
	// Rehearse restores a few files from the store alone.
	Rehearse(ctx context.Context, r RehearseRequest, progress func(RehearseProgress)) (Rehearsal, error)
}

// Health is what the status says of it.
type Health struct {
	LastCheck *time.Time `json:"last_check,omitempty"` // objects of the bucket were read
	Checked   int64      `json:"checked"`              // objects, then
	Damaged   int64      `json:"damaged"`              // objects that are damaged or missing, as far as is known
	Sample    []string   `json:"sample,omitempty"`     // of them, with what is wrong
	Rehearsed *Rehearsal `json:"rehearsed,omitempty"`  // last; none: never
}

// RehearseRequest asks to restore a few files from the store alone.
type RehearseRequest struct {
	Files int   `json:"files"`
	Bytes int64 `json:"bytes"` // of them, at most
}

// RehearseProgress says what is being done.
type RehearseProgress struct {
	Phase string `json:"phase"`
}

// Rehearsal is how it went.
type Rehearsal struct {
	Time     time.Time `json:"time"`
	Files    int64     `json:"files"` // that were tried
	Whole    int64     `json:"whole"`
	Like     int64     `json:"like"` // compared with what this computer has
	Bytes    int64     `json:"bytes"`
	Problems []string  `json:"problems,omitempty"`
}

// Rehearse implements [Owner].
func (c *Client) Rehearse(ctx context.Context, r RehearseRequest, progress func(RehearseProgress)) (Rehearsal, error) {
	return call[Rehearsal](ctx, c, "rehearse", r, progress)
}

// HealthRequest asks for the health of what lies at and below a path.
type HealthRequest struct {
	Path []byte `json:"path"` // on the drive; empty is its top
	Each bool   `json:"each"` // tell of each file, and not only of those that are damaged
}

// FileHealth is the health of one file.
type FileHealth struct {
	Path    []byte         `json:"path"`              // on the drive
	State   string         `json:"state"`             // good, damaged, missing, unread, waiting
	Read    *time.Time     `json:"read,omitempty"`    // when the object was, whose last reading is the oldest
	Objects []ObjectHealth `json:"objects,omitempty"` // that hold its parts
}

// ObjectHealth is the history of an object.
type ObjectHealth struct {
	Object   string          `json:"object"`
	Seen     time.Time       `json:"seen"` // first
	Readings []HealthReading `json:"readings"`
}

// HealthReading is what one reading found.
type HealthReading struct {
	Time   time.Time `json:"time"`
	Result string    `json:"result"` // good, damaged, missing
}

// HealthReport counts files by their state.
type HealthReport struct {
	Files   int64      `json:"files"`
	Good    int64      `json:"good"`    // all of it was read and good
	Unread  int64      `json:"unread"`  // some of it was not read yet
	Damaged int64      `json:"damaged"` // or missing
	Waiting int64      `json:"waiting"` // not all in the bucket yet
	Oldest  *time.Time `json:"oldest,omitempty"`
}

// Health implements [Owner].
func (c *Client) Health(ctx context.Context, r HealthRequest, file func(FileHealth)) (HealthReport, error) {
	return call[HealthReport](ctx, c, "health", r, file)
}

// Add counts a file.
func (r *HealthReport) Add(h FileHealth) {
	r.Files++
	switch h.State {
	case "good":
		r.Good++
	case "unread":
		r.Unread++
	case "waiting":
		r.Waiting++
	default:
		r.Damaged++
	}
	if h.Read != nil && (r.Oldest == nil || h.Read.Before(*r.Oldest)) {
		r.Oldest = h.Read
	}
}
