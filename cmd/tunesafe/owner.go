package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/fs"
	"github.com/tunesafe/tunesafe/internal/agent"
	"github.com/tunesafe/tunesafe/internal/control"
	"github.com/tunesafe/tunesafe/internal/home"
	"github.com/tunesafe/tunesafe/internal/repo"
)

// statusPause is between reports of progress; where a first backup makes much to
// count, one statusShare-th of the time goes into them.
const (
	statusPause = 500 * time.Millisecond
	statusShare = 20
)

// lockPatience is how long a short command waits for another to end.
const lockPatience = 3 * time.Second

// owner does what commands ask of a drive. In the process that serves a mount
// it answers clients; in any other command it is used directly.
type owner struct {
	*drive
	serves bool // this process is the one that clients reach

	mu       sync.Mutex
	mounted  *fs.Mounted // nil before and after
	readOnly bool
	phase    string          // until the worker has one
	life     context.Context //nolint:containedctx // of the process that serves; nil in other commands
	shown    sync.WaitGroup  // drives that are being shown
	showing  sync.Mutex      // held while one is mounted

	plan  atomic.Pointer[agentPlan] // nil: the process ends with its mount
	agent *agent.Agent              // nil in a command that does not serve

	page page // in the browser

	feeding    sync.Mutex // held by a backup of folders, from its beginning to its end
	rehearsing sync.Mutex // held by a rehearsal
	repairing  sync.Mutex // held by a repair
	uploading  sync.Mutex // held while an upload is given its name
	choosing   sync.Mutex // held while settings are changed
}

var _ control.Owner = (*owner)(nil)

// withOwner calls f with the process that serves the home, or, if there is
// none, with the home opened in this process for as long as f takes.
func withOwner(ctx context.Context, e *env, f func(control.Owner) error) error {
	if err := e.home.Check(); err != nil {
		return err
	}
	client, err := control.Dial(ctx, e.home.RunDir())
	if err == nil {
		return f(client)
	}
	if !errors.Is(err, control.ErrNoOwner) {
		return err
	}
	lock, err := e.home.LockWithin(ctx, lockPatience)
	if err != nil {
		return err
	}
	d, err := openDrive(ctx, e.home, lock, driveOptions{})
	if err != nil {
		return err
	}
	return errors.Join(f(&owner{drive: d}), d.Close())
}

// Status implements [control.Owner].
func (o *owner) Status(context.Context) (control.Status, error) {
	s := o.drive.status()
	if o.serves {
		s.PID = os.Getpid()
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.mounted != nil {
		s.Mounts = append(s.Mounts, control.Mount{Dir: o.mounted.Dir(), ReadOnly: o.readOnly})
	}
	if o.phase != "" {
		s.Phase = o.phase
	}
	if at := o.page.at.Load(); at != nil {
		s.Page = *at
	}
	s.PageFault = o.page.fault.Load()
	s.Agent = o.agentStatus()
	overdue, late := o.overdue()
	s.Needs = needsOf(s, overdue, late)
	return s, nil
}

// Wait implements [control.Owner]. Without an owner this process uploads.
func (o *owner) Wait(ctx context.Context, r control.WaitRequest, progress func(control.Status)) (control.Status, error) {
	if !o.serves {
		if _, _, err := o.takeIn(ctx); err != nil {
			return control.Status{}, err
		}
		stop := o.work(ctx)
		defer stop()
	}
	waiting := ctx
	if r.Timeout > 0 {
		var cancel context.CancelFunc
		waiting, cancel = context.WithTimeout(ctx, r.Timeout)
		defer cancel()
	}
	done := make(chan error, 1)
	go func() { done <- o.worker.Wait(waiting) }()
	for pause := statusPause; ; {
		select {
		case err := <-done:
			s, _ := o.Status(ctx)
			return s, o.waitEnded(ctx, err)
		case <-time.After(pause):
			began := time.Now()
			s, _ := o.Status(ctx)
			progress(s)
			pause = max(statusPause, statusShare*time.Since(began))
		}
	}
}

// waitEnded tells a time-out from an interruption.
func (o *owner) waitEnded(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return errTimeout
	}
	return timedOut(err)
}

// work runs the worker until stop, which returns when it has ended. In a home
// that is read-only there is nothing for it to do.
func (o *owner) work(ctx context.Context) (stop func()) {
	if o.config.ReadOnly {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := o.worker.Run(ctx); err != nil && ctx.Err() == nil {
			o.log.Error("the worker ended", "err", err)
		}
	}()
	return func() { cancel(); <-ended }
}

// Unmount implements [control.Owner].
func (o *owner) Unmount(ctx context.Context, r control.UnmountRequest, progress func(control.Status)) (control.Status, error) {
	o.mu.Lock()
	m := o.mounted
	o.mu.Unlock()
	if m == nil || m.Dir() != string(r.Dir) {
		return control.Status{}, fmt.Errorf("%s: %w", r.Dir, errNotMounted)
	}
	if r.Wait {
		if s, err := o.Wait(ctx, control.WaitRequest{}, progress); err != nil {
			return s, err
		}
	}
	s, err := o.Status(ctx)
	return s, errors.Join(err, unmountDrive(m))
}

// Restore implements [control.Owner].
func (o *owner) Restore(ctx context.Context, r control.RestoreRequest, progress func(control.RestoreProgress)) (control.RestoreProgress, error) {
	if err := o.learn(ctx, true); err != nil {
		return control.RestoreProgress{}, err
	}
	if o.onMount(string(r.Dest)) { // this process would wait for itself
		return control.RestoreProgress{}, fmt.Errorf("%s %w", r.Dest, errOnDrive)
	}
	from, gaps, err := o.sourceOf(ctx, r.At)
	if err != nil {
		return control.RestoreProgress{}, err
	}
	names := map[string]bool{}
	for i, p := range r.Paths {
		clean := o.onDrive(string(p))
		if err := findIn(from, clean, r.At != nil); err != nil {
			return control.RestoreProgress{}, err
		}
		if base := path.Base(clean); names[base] {
			return control.RestoreProgress{}, fmt.Errorf("%s: %w", base, errManyPaths)
		} else if base != "/" {
			names[base] = true
		}
		r.Paths[i] = []byte(clean)
	}
	last, err := restoreFiles(ctx, o.drive, from, r, progress)
	last.Gaps = gaps
	return last, err
}

// List implements [control.Owner].
func (o *owner) List(ctx context.Context, r control.ListRequest, entry func(control.Entry)) error {
	if err := o.learn(ctx, false); err != nil {
		return err
	}
	name := o.onDrive(string(r.Path))
	a, err := find(o.cache, name)
	if err != nil {
		return err
	}
	if a.Mode&modeType != modeDir {
		e, err := o.entry(path.Base(name), a)
		if err != nil {
			return err
		}
		entry(e)
		return nil
	}
	entries, err := o.cache.ReadDir(a.Ino)
	if err != nil {
		return err
	}
	for _, d := range entries {
		a, err := o.cache.Attr(d.Ino)
		if errors.Is(err, cache.ErrNotExist) {
			continue // removed meanwhile
		}
		if err != nil {
			return err
		}
		e, err := o.entry(d.Name, a)
		if err != nil {
			return err
		}
		entry(e)
	}
	return nil
}

// Check implements [control.Owner].
func (o *owner) Check(ctx context.Context, r control.CheckRequest, progress func(control.CheckProgress)) (control.CheckReport, error) {
	fault := o.learn(ctx, true)
	if fault != nil && !repo.IsLogFault(fault) {
		return control.CheckReport{}, fault
	}
	report, err := checkRepository(ctx, o.drive, r, progress)
	if err == nil && report.Problems() == 0 {
		err = fault // what keeps this home from taking in the bucket is found, as a rule
	}
	return report, err
}

// learn takes in what the bucket has, as the mount did in a process that serves
// one. Without a mount a cold home must; fresh says that any home should.
func (o *owner) learn(ctx context.Context, fresh bool) error {
	known := o.home.Known()
	switch {
	case o.serves && !known:
		return errStarting
	case o.serves, known && !fresh:
		return nil
	}
	_, _, err := o.takeIn(ctx)
	return err
}

// The type bits of st_mode, inode(7).
const (
	modeType = 0o170000
	modeDir  = 0o040000
	modeFile = 0o100000
	modeLink = 0o120000
)

func (o *owner) entry(name string, a cache.Attr) (e control.Entry, err error) {
	e = control.Entry{Name: []byte(name), Mode: a.Mode, UID: a.UID, GID: a.GID, Size: a.Size, Mtime: a.Mtime}
	switch a.Mode & modeType {
	case modeFile:
		e.State, err = o.cache.State(a.Ino)
	case modeLink:
		var target string
		target, err = o.cache.Readlink(a.Ino)
		e.Target = []byte(target)
	}
	return e, err
}

// onDrive gives the path from the top of the drive, with a slash in front, of
// one that may also be given as seen through the mount.
func (o *owner) onDrive(name string) string {
	if clean := filepath.Clean(name); filepath.IsAbs(clean) {
		if dir := o.mountDir(); within(clean, dir) {
			name = strings.TrimPrefix(clean, dir)
		}
	}
	return path.Clean("/" + name)
}

// mountDir is where the drive is mounted; empty if it is not.
func (o *owner) mountDir() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.mounted == nil {
		return ""
	}
	return o.mounted.Dir()
}

// onMount tells whether a path of this machine leads on to the drive.
func (o *owner) onMount(name string) bool { return within(name, o.mountDir()) }

// waitGone returns when nobody owns the home any more, or patience ends.
func waitGone(ctx context.Context, h home.Home, patience time.Duration) {
	if lock, err := h.LockWithin(ctx, patience); err == nil {
		lock.Unlock()
	}
}
