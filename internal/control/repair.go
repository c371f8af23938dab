package control

import (
	"context"
	"time"
)

// Repairing is the part of [Owner] that puts right what is damaged in the store.
type Repairing interface {
	// Repair puts back what is damaged or missing in the store, or tells what it would
	// put back. An owner whose drive is in use leaves lost commits of the log alone.
	Repair(ctx context.Context, r RepairRequest, progress func(RepairProgress)) (RepairReport, error)
}

// RepairRequest asks for a repair.
type RepairRequest struct {
	DryRun bool     `json:"dry_run,omitempty"`
	Read   bool     `json:"read,omitempty"`    // all of the store, to find what is damaged
	From   [][]byte `json:"from,omitempty"`    // folders, or homes, to look for lost bytes in; absolute
	GiveUp bool     `json:"give_up,omitempty"` // do without what no source has
}

// RepairProgress counts what was read so far, or tells of one object.
type RepairProgress struct {
	CheckProgress
	Put *RepairedObject `json:"put,omitempty"` // it was put right
}

// RepairReport is the outcome; of a dry run, what it would be.
type RepairReport struct {
	DryRun bool             `json:"dry_run"`
	Beside bool             `json:"beside"` // the drive was in use meanwhile
	Put    []RepairedObject `json:"put"`
	Notes  []string         `json:"notes,omitempty"` // what else was done, for people
	Lost   []LostFile       `json:"lost,omitempty"`
	Left   []Finding        `json:"left,omitempty"` // what is still wrong, lost files aside

	LostVersions int64 `json:"lost_versions"` // that lost bytes and are not on the drive now
	LostOf       int64 `json:"lost_of"`       // files whose versions these are
}

// Whole tells whether nothing is left to be put right.
func (r RepairReport) Whole() bool { return len(r.Lost)+len(r.Left) == 0 }

// RepairedObject is an object that was put right.
type RepairedObject struct {
	Object string `json:"object"`
	How    string `json:"how"`
}

// LostFile is a file of the drive of which bytes are lost.
type LostFile struct {
	Path  []byte     `json:"path"`         // on the drive
	Is    string     `json:"is,omitempty"` // what it says of itself: artist and title
	What  string     `json:"what"`         // is lost, and what is there
	Whole *LastWhole `json:"whole,omitempty"`
	// Sought says that an earlier version was looked for.
	Sought bool `json:"sought"`
}

// LastWhole is the newest version of a file that is whole.
type LastWhole struct {
	Snapshot string    `json:"snapshot"`
	Time     time.Time `json:"time"`
	Path     []byte    `json:"path"` // it had then
	Is       string    `json:"is,omitempty"`
}

// Repair implements [Owner].
func (c *Client) Repair(ctx context.Context, r RepairRequest, progress func(RepairProgress)) (RepairReport, error) {
	return call[RepairReport](ctx, c, "repair", r, progress)
}
