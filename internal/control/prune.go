package control

import (
	"context"
	"time"
)

// Pruner is the part of [Owner] that deletes what nothing needs.
type Pruner interface {
	// Prune deletes what nothing that is kept needs, or tells what it would delete.
	Prune(ctx context.Context, r PruneRequest, progress func(PruneProgress)) (PruneReport, error)
}

// PruneRequest asks for a prune.
type PruneRequest struct {
	// Keep is what to keep instead of what the home's settings say; nil is those.
	Keep   *PruneKeep `json:"keep"`
	DryRun bool       `json:"dry_run"`
}

// PruneKeep says what is kept: counts, below 0 all; times as 90d.
type PruneKeep struct {
	Last    int    `json:"last"`
	Hourly  int    `json:"hourly"`
	Daily   int    `json:"daily"`
	Weekly  int    `json:"weekly"`
	Monthly int    `json:"monthly"`
	Yearly  int    `json:"yearly"`
	Within  string `json:"within"`
	Sound   string `json:"sound"`
}

// PruneProgress says what is being done.
type PruneProgress struct {
	Phase string `json:"phase"`
}

// PruneReport is the outcome. Sizes are bytes in the store.
type PruneReport struct {
	DryRun        bool   `json:"dry_run"`
	Rule          string `json:"rule"`      // what was kept
	Snapshots     int    `json:"snapshots"` // there were
	Forgotten     int    `json:"forgotten"` // of them, that are shown no more
	Stored        int64  `json:"stored"`    // in use before
	Unused        int64  `json:"unused"`    // objects that nothing needs, or little
	UnusedBytes   int64  `json:"unused_bytes"`
	Leftovers     int64  `json:"leftovers"` // of them, from uploads that were interrupted
	Rewritten     int64  `json:"rewritten"` // of them, of which a part is copied
	CopiedBytes   int64  `json:"copied_bytes"`
	TakenBack     int64  `json:"taken_back"` // needed again after an earlier prune
	Deleted       int64  `json:"deleted"`
	DeletedBytes  int64  `json:"deleted_bytes"`
	Pending       int64  `json:"pending"` // to be deleted by a later prune
	PendingBytes  int64  `json:"pending_bytes"`
	Denied        int64  `json:"denied"` // of them, that the store refused to delete
	DeniedBytes   int64  `json:"denied_bytes"`
	DeniedBecause string `json:"denied_because,omitempty"`
	Locked        int64  `json:"locked"` // of them, that the store has locked until a date
	LockedBytes   int64  `json:"locked_bytes"`
	// LockedUntil is the last of these dates; none: until somebody takes the lock away.
	LockedUntil   *time.Time `json:"locked_until,omitempty"`
	Hidden        int64      `json:"hidden"` // of those deleted, of which the bucket keeps a version
	HiddenBytes   int64      `json:"hidden_bytes"`
	HiddenBecause string     `json:"hidden_because,omitempty"`
	Puts          int64      `json:"puts"` // requests that are paid for
	Gets          int64      `json:"gets"`
	Cost          string     `json:"cost,omitempty"` // what the requests cost and how much a month costs less

	WaitsFor []PruneDevice `json:"waits_for,omitempty"`
}

// PruneDevice is a device that must be heard of before anything is deleted.
type PruneDevice struct {
	Device string     `json:"device"`
	Name   string     `json:"name"`
	Since  *time.Time `json:"since,omitempty"` // it committed last; none: never
}

// Prune implements [Owner].
func (c *Client) Prune(ctx context.Context, r PruneRequest, progress func(PruneProgress)) (PruneReport, error) {
	return call[PruneReport](ctx, c, "prune", r, progress)
}
