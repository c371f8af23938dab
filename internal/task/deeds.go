package task

import (
	"context"
	"fmt"
	"path"
	"strings"

	"github.com/tunesafe/tunesafe/internal/control"
)

// The kinds of task, as addresses have them.
const (
	Check    = "check"  // the store was read, or a part of it
	Verify   = "verify" // the log was proved against the listing of the store
	Rehearse = "rehearse"
	Foresee  = "foresee" // what a repair would do
	Repair   = "repair"
	Prune    = "prune"
	Restore  = "restore"
	Backup   = "backup"
	Undo     = "undo"
	Wait     = "wait"
)

// Kinds are all of them.
var Kinds = []string{Check, Verify, Rehearse, Foresee, Repair, Prune, Restore, Backup, Undo, Wait}

// Deeds are the tasks that an owner can be set.
type Deeds struct {
	*Set
	Owner control.Owner
}

// RepairProgress is how a repair goes.
type RepairProgress struct {
	control.CheckProgress
	Put int `json:"put"` // objects that were put right so far
}

// plain runs what tells of its progress by the last word alone.
func plain[In, Out, P any](d Deeds, o Order, in In, do func(context.Context, In, func(P)) (Out, error)) (*Task, error) {
	return Begin(d.Set, o, func(ctx context.Context, tell func(func(*P))) (Out, error) {
		return do(ctx, in, func(p P) { tell(func(last *P) { *last = p }) })
	})
}

// Check examines the store. What reads nothing of it proves the log.
func (d Deeds) Check(r control.CheckRequest, once Once) (*Task, error) {
	kind := Check
	if r.Part == nil && !r.Read {
		kind = Verify
	}
	return plain(d, Order{Kind: kind, Lane: Examine, Once: once}, r, d.Owner.Check)
}

// Rehearse restores a few files from the store alone.
func (d Deeds) Rehearse(r control.RehearseRequest, once Once) (*Task, error) {
	return plain(d, Order{Kind: Rehearse, Lane: Examine, Once: once}, r, d.Owner.Rehearse)
}

// Repair puts right what is damaged in the store, or tells what it would do.
func (d Deeds) Repair(r control.RepairRequest, once Once) (*Task, error) {
	kind := Repair
	if r.DryRun {
		kind = Foresee
	}
	return Begin(d.Set, Order{Kind: kind, Lane: Examine, Once: once}, func(ctx context.Context, tell func(func(*RepairProgress))) (control.RepairReport, error) {
		return d.Owner.Repair(ctx, r, func(p control.RepairProgress) {
			tell(func(last *RepairProgress) {
				if p.Put != nil {
					last.Put++
				} else {
					last.CheckProgress = p.CheckProgress
				}
			})
		})
	})
}

// Prune deletes what nothing that is kept needs, or tells what it would delete.
func (d Deeds) Prune(r control.PruneRequest, once Once) (*Task, error) {
	return plain(d, Order{Kind: Prune, Lane: Examine, Once: once}, r, d.Owner.Prune)
}

// Restore copies from the drive to a folder.
func (d Deeds) Restore(r control.RestoreRequest, what string, once Once) (*Task, error) {
	if what == "" {
		what = named(r.Paths)
	}
	return Begin(d.Set, Order{Kind: Restore, Lane: Copy, What: what, To: strings.ToValidUTF8(string(r.Dest), "\uFFFD"), Once: once}, func(ctx context.Context, tell func(func(*control.RestoreProgress))) (control.RestoreProgress, error) {
		last, err := d.Owner.Restore(ctx, r, func(p control.RestoreProgress) { tell(func(now *control.RestoreProgress) { *now = p }) })
		if err == nil {
			tell(func(now *control.RestoreProgress) { *now = last })
		}
		return last, err
	})
}

// Backup compares folders with their places, and backs up what differs.
func (d Deeds) Backup(r control.BackupRequest, once Once) (*Task, error) {
	return plain(d, Order{Kind: Backup, Lane: Other, What: named(r.Dirs), Once: once}, r, d.Owner.Backup)
}

// Undo makes the drive as it was.
func (d Deeds) Undo(r control.UndoRequest, once Once) (*Task, error) {
	return plain(d, Order{Kind: Undo, Lane: Other, What: named(r.Paths), Once: once}, r, d.Owner.Undo)
}

// Wait ends when everything is safe.
func (d Deeds) Wait(r control.WaitRequest, once Once) (*Task, error) {
	return plain(d, Order{Kind: Wait, Lane: Other, Once: once}, r, d.Owner.Wait)
}

// named says what a task is about.
func named(paths [][]byte) string {
	switch len(paths) {
	case 0:
		return "everything"
	case 1:
		return strings.ToValidUTF8(path.Base("/"+string(paths[0])), "\uFFFD")
	}
	return fmt.Sprintf("%d things", len(paths))
}
