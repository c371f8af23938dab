package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	iofs "io/fs"
	"time"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/fs"
	"github.com/tunesafe/tunesafe/internal/control"
	"github.com/tunesafe/tunesafe/internal/repo"
	tsync "github.com/tunesafe/tunesafe/sync"
	"github.com/tunesafe/tunesafe/sync/past"
)

// This file is where the words of the worker, the filesystem and the repository
// are put into those of package control and of the messages.

// fillStatus takes over what the worker tells.
func fillStatus(s *control.Status, w tsync.Status) {
	s.SafeFiles = int64(w.SafeFiles)
	s.SafeBytes = w.SafeBytes
	s.WaitingFiles = int64(w.WaitingFiles)
	s.WaitingBytes = w.WaitingBytes
	s.WaitingRows = int64(w.WaitingRows)
	s.OpenFiles = int64(w.OpenFiles)
	s.UploadedBytes = w.UploadedBytes
	s.UploadedObjects = w.UploadedObjects
	s.DiskFull = w.DiskFull
	if w.DiskError != nil {
		s.DiskError = &control.Fault{Text: oneLine(w.DiskError.Error()), Hint: diskHint(w.DiskFinal)}
	}
	if !w.LabourSince.IsZero() {
		s.LabourSince = &w.LabourSince
	}
	s.AudioBytes, s.AudioSafe = w.SoundBytes, w.SoundSafe
	s.Rate = w.Rate
	s.LeftSeconds = w.Left.Seconds()
	if s.HoursPerDay = w.HoursPerDay; s.HoursPerDay > 0 {
		s.DaysLeft = w.Left.Hours() / s.HoursPerDay
	}
	s.Phase = w.Phase
	s.Errors = []control.StatusError{}
	for _, e := range w.Errors {
		s.Errors = append(s.Errors, control.StatusError{Time: e.Time, Text: e.Text})
	}
	if w.Trouble != nil {
		s.Trouble, s.Refused = explain(w.Trouble), needsPerson(w.Trouble)
	}
	if !w.LastCommit.IsZero() {
		s.LastCommit = &w.LastCommit
	}
}

// diskHint is what to do about a disk that takes no change.
func diskHint(final bool) string {
	if final {
		return "mend the disk, or make it writable again (dmesg says what happened to it), then unmount the drive and mount it again; what was synced is kept"
	}
	return "make the disk writable again (dmesg says what happened to it); the drive then goes on by itself"
}

// newWorker makes the worker of an opened drive.
func newWorker(d *drive, o driveOptions) *tsync.Worker {
	return tsync.New(tsync.Options{
		Cache: d.cache, Store: d.counted, Keys: d.keys, Device: d.device, Index: d.index, Reader: d.reader,
		Dir: d.home.StateDir(), Kept: d.kept(), Log: d.log, Settle: o.settle, HoursPerDay: o.hoursPerDay, Checkpoint: d.config.Checkpoint, Now: d.now,
		Enrol: d.enrol, InoBase: func(dev *repo.Device) uint64 { base, _ := inodeBase(dev); return base },
		Lock: repo.Lock{Mode: d.config.Store.LockMode, Days: d.config.Store.LockDays},
		Hint: func(err error) string { return explain(err).Hint }, Committed: d.past.Committed,
	})
}

// enrol makes a new device of a home that proved to be a copy, by the recovery
// key that was given, or the one in the home.
func (d *drive) enrol(ctx context.Context) (*repo.Device, error) {
	given := d.recovery
	if given == nil {
		own, err := d.home.RecoveryKey()
		if errors.Is(err, iofs.ErrNotExist) {
			return nil, errNeedsKey
		}
		if err != nil {
			return nil, err
		}
		given = &secret{identity: own}
	}
	key, err := given.key(ctx, d.counted)
	if err != nil {
		return nil, err
	}
	_, root, err := d.rootBy(ctx, d.counted, key)
	if err != nil {
		return nil, err
	}
	dev, err := repo.Enrol(ctx, d.counted, d.keys, root, d.device.Name)
	if err != nil {
		return nil, err
	}
	d.takeEpochsFor(dev)
	return dev, d.home.SetDevice(dev)
}

// now is the clock of commits: this machine's, or the store's where that differs
// so much that this one's is wrong.
func (d *drive) now() time.Time {
	if off := d.store.ClockOffset(); off.Abs() > clockTrust {
		return time.Now().Add(off)
	}
	return time.Now()
}

// clockTrust is how far this machine's clock may be off and still stamp commits.
const clockTrust = 15 * time.Minute

// timedOut words what a wait returns that ran out of time: what waits, and what
// keeps it from going on if that is known.
func timedOut(err error) error {
	w, ok := errors.AsType[*tsync.WaitError](err)
	if !ok {
		return err
	}
	var s control.Status
	fillStatus(&s, w.Status)
	text := waitingText(s) + " still waiting"
	if w.Err != nil {
		text += ", as " + explain(w.Err).Text
	}
	return fmt.Errorf("%s: %w", text, errTimeout)
}

// pastOf is the past as the filesystem shows it.
type pastOf struct{ *past.Past }

func (p pastOf) At(ctx context.Context, t time.Time) (fs.Tree, error) {
	tree, err := p.Past.At(ctx, t)
	if err != nil {
		return nil, err
	}
	return treeOf{tree}, nil
}

type treeOf struct{ *past.Tree }

func (t treeOf) Open(ctx context.Context, ino cache.Ino) (fs.TreeFile, error) {
	f, err := t.Tree.Open(ctx, ino)
	if err != nil {
		return nil, err
	}
	return f, nil
}

// mountDrive mounts, with the errors of the message table.
func mountDrive(dir string, c *cache.Cache, o fs.Options) (*fs.Mounted, error) {
	m, err := fs.Mount(dir, c, o)
	if errors.Is(err, fs.ErrNoFUSE) {
		return nil, fmt.Errorf("%w: %w", errNoFUSE, err)
	}
	return m, err
}

// unmountDrive unmounts, with the errors of the message table.
func unmountDrive(m *fs.Mounted) error {
	err := m.Unmount()
	if errors.Is(err, fs.ErrBusy) {
		return fmt.Errorf("%s is %w", m.Dir(), errInUse)
	}
	return err
}

// inodeBase gives a device inode numbers of its own: the first 31 bits of its
// random id, above 32 bits of counter. Zero is left to the root directory.
func inodeBase(d *repo.Device) (uint64, error) {
	id, err := hex.DecodeString(d.ID)
	if err != nil || len(id) != 8 {
		return 0, fmt.Errorf("device id %q is malformed", d.ID)
	}
	var high uint64
	for _, b := range id[:4] {
		high = high<<8 | uint64(b)
	}
	return max(high>>1, 1) << 32, nil
}

// restoreFiles runs the restore.
func restoreFiles(ctx context.Context, d *drive, from tsync.RestoreSource, r control.RestoreRequest, progress func(control.RestoreProgress)) (last control.RestoreProgress, err error) {
	paths := make([]string, len(r.Paths))
	for i, p := range r.Paths {
		paths[i] = string(p)
	}
	failed := 0
	err = tsync.Restore(ctx, from, paths, string(r.Dest), func(p tsync.RestoreProgress) {
		last = control.RestoreProgress{
			Files: int64(p.Files), Bytes: p.Bytes, TotalFiles: int64(p.TotalFiles), TotalBytes: p.TotalBytes,
		}
		failed = p.Failed
		progress(last)
	})
	if failed > 0 {
		d.log.Error("restore", "err", err)
		err = fmt.Errorf("%s could not be restored, such as %w", count(int64(failed), "file"), err)
	}
	return last, err
}

// find looks up a path from the top of the drive.
func find(c *cache.Cache, name string) (cache.Attr, error) {
	a, err := tsync.Resolve(c, name)
	if errors.Is(err, cache.ErrNotExist) || errors.Is(err, cache.ErrNotDir) {
		return a, fmt.Errorf("%s: %w", name, errNotOnDrive)
	}
	return a, err
}

// kept is where the home keeps the small objects of the bucket.
func (d *drive) kept() *repo.Kept { return repo.OpenKept(d.home.KeptDir()) }
