package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/agent"
	"github.com/tunesafe/tunesafe/internal/api"
	"github.com/tunesafe/tunesafe/internal/control"
	"github.com/tunesafe/tunesafe/internal/repo"
	"github.com/tunesafe/tunesafe/internal/store"
	"github.com/tunesafe/tunesafe/internal/task"
	"github.com/tunesafe/tunesafe/internal/web"
	tsync "github.com/tunesafe/tunesafe/sync"
	"github.com/tunesafe/tunesafe/sync/feed"
	"github.com/tunesafe/tunesafe/sync/past"
	"github.com/tunesafe/tunesafe/sync/stock"
)

// filesOf is what lies on the drive, for the page's interface.
type filesOf struct{ o *owner }

var _ api.Files = filesOf{}

// Open implements [api.Files].
func (f filesOf) Open(ctx context.Context, name string, then *time.Time) (*api.File, error) {
	if err := f.o.learn(ctx, false); err != nil {
		return nil, err
	}
	from, _, err := f.o.sourceOf(ctx, then)
	if err != nil {
		return nil, err
	}
	name = path.Clean(name)
	if err := findIn(from, name, then != nil); err != nil {
		return nil, err
	}
	a, err := tsync.Resolve(from, name)
	if err != nil {
		return nil, err
	}
	if a.Mode&modeType != modeFile {
		return nil, fmt.Errorf("%s: %w", name, errNoFile)
	}
	open, err := from.OpenToRestore(a.Ino, false)
	if err != nil {
		return nil, err
	}
	tag, err := tagOf(from, a)
	if err != nil {
		return nil, errors.Join(err, open.Release())
	}
	r := readingOf(ctx, open)
	return &api.File{ReadSeeker: io.NewSectionReader(r, 0, a.Size), Closer: r, Name: path.Base(name), Tag: tag, Size: a.Size, Modified: a.Mtime}, nil
}

// tagOf is another for a file of other bytes, or of another time.
func tagOf(from tsync.RestoreSource, a cache.Attr) (string, error) {
	m := moment{src: from}
	m.tree, _ = from.(*past.Tree)
	key, err := m.Key(nodeOf("", a))
	return hex.EncodeToString(key[:]), err
}

// reading is an open file for as long as a request takes.
type reading struct {
	io.ReaderAt
	release func() error
}

func readingOf(ctx context.Context, f tsync.RestoreFile) reading {
	return reading{cache.ReaderAt{Ctx: ctx, File: f}, f.Release}
}

// Close implements [io.Closer].
func (r reading) Close() error { return r.release() }

// Put implements [api.Files]. The bytes go into a file without a name, which is on the
// disk before it gets one: so there is the old file or the new, and of an upload
// that broke off nothing stays.
func (f filesOf) Put(ctx context.Context, name string, body io.Reader, cond api.Condition) (done api.Put, err error) {
	if f.o.config.ReadOnly {
		return done, errReadOnlyHome
	}
	if err := f.o.learn(ctx, false); err != nil {
		return done, err
	}
	name = path.Clean(name)
	dir, base := path.Split(name)
	switch {
	case base == "":
		return done, fmt.Errorf("%s: %w", name, errNoFile)
	case within(name, "/"+cache.Reserved): // where the drive shows what was
		return done, fmt.Errorf("%s: %w", name, cache.ErrReadOnly)
	case strings.ContainsRune(name, 0): // no file of a system has such a name
		return done, fmt.Errorf("%q: %w", name, cache.ErrInvalid)
	}
	if err := f.outside(name); err != nil {
		return done, err
	}
	if _, err := f.allowed(name, cond); err != nil {
		return done, err // before it is sent in vain
	}
	parent, err := f.folder(dir)
	if err != nil {
		return done, err
	}
	a, h, err := f.o.cache.Tmpfile(parent, 0o644, me(), cache.OpenFlags{Write: true, Ordinary: true})
	if err != nil {
		return done, fmt.Errorf("%s: %w", name, err)
	}
	done.Size, err = io.Copy(io.NewOffsetWriter(writerAt{h}, 0), body)
	if err == nil {
		err = h.Sync()
	}
	if err == nil {
		done.New, err = f.name(a.Ino, parent, name, cond)
	}
	if err = errors.Join(err, h.Release()); err != nil {
		return done, fmt.Errorf("%s: %w", name, err)
	}
	now, err := f.o.cache.Attr(a.Ino)
	if err == nil {
		done.Tag, err = tagOf(tsync.Now(f.o.cache), now)
	}
	return done, err
}

// outside refuses what a folder of this machine feeds: its next backup would take away
// what was uploaded there.
func (f filesOf) outside(name string) error {
	places, err := f.o.cache.Places()
	for _, p := range places {
		if within(name, "/"+p.Name) {
			return fmt.Errorf("%s: %w", name, errFedHere)
		}
	}
	return err
}

// allowed tells whether what is there allows a file of that name, and whether it is new.
func (f filesOf) allowed(name string, cond api.Condition) (isNew bool, err error) {
	now, tag := tsync.Now(f.o.cache), ""
	a, err := tsync.Resolve(now, name)
	isNew = errors.Is(err, cache.ErrNotExist)
	switch {
	case isNew:
		err = nil
	case err == nil && a.Mode&modeType == modeFile:
		tag, err = tagOf(now, a)
	}
	if err == nil && !cond.Holds(tag) {
		err = fmt.Errorf("%s: %w", name, api.ErrPrecondition)
	}
	return isNew, err
}

// name gives a file its name, if what is there allows it still. Uploads do it one after
// another, so that of several with one condition one succeeds.
func (f filesOf) name(ino, parent cache.Ino, name string, cond api.Condition) (isNew bool, err error) {
	f.o.uploading.Lock()
	defer f.o.uploading.Unlock()
	if isNew, err = f.allowed(name, cond); err != nil {
		return false, err
	}
	return isNew, f.give(ino, parent, path.Base(name))
}

type writerAt struct{ h *cache.Handle }

func (w writerAt) WriteAt(p []byte, off int64) (int, error) { return w.h.WriteAt(p, off) }

// give names a file, over what has the name.
func (f filesOf) give(ino, parent cache.Ino, base string) error {
	edit := f.o.cache.Edit()
	err := edit.Link(ino, parent, base)
	if !errors.Is(err, cache.ErrExist) {
		return err
	}
	beside := ".upload-" + rand.Text()
	if err := edit.Link(ino, parent, beside); err != nil {
		return err
	}
	if err := edit.Replace(parent, beside, parent, base); err != nil {
		return errors.Join(err, edit.Remove(parent, beside))
	}
	return nil
}

// folder gives the folder of that path, and makes what of it lacks.
func (f filesOf) folder(dir string) (cache.Ino, error) {
	at := cache.Root
	for _, name := range strings.Split(strings.Trim(dir, "/"), "/") {
		if name == "" {
			continue
		}
		a, err := f.o.cache.Lookup(at, name)
		next := a.Ino
		if errors.Is(err, cache.ErrNotExist) {
			next, err = f.o.cache.Edit().Folder(at, name, cache.Row{Mode: 0o755, UID: me().UID, GID: me().GID})
		} else if err == nil && a.Mode&modeType != modeDir {
			err = errNotFolder
		}
		if err != nil {
			return 0, fmt.Errorf("%s: %w", dir, err)
		}
		at = next
	}
	return at, nil
}

// me owns what this process makes on the drive.
func me() cache.Owner { return cache.Owner{UID: uint32(os.Getuid()), GID: uint32(os.Getgid())} }

// apiOptions are what the interface of a page is made with.
func (o *owner) apiOptions(readOnly bool) *api.Options {
	used := &tokenUse{home: o.home, log: o.log}
	return &api.Options{
		Owner: o, Keeping: keyring{o.drive}, Settings: o, Files: filesOf{o},
		Tokens: func() ([]api.Token, error) { return readTokens(o.home) }, Used: used.note, Explain: apiProblem,
		Version: versionText(), ReadOnly: readOnly,
		Times: api.Times{
			At:     func(text string) (time.Time, error) { return parseTime(text, time.Now(), false) },
			Before: func(text string) (time.Time, error) { return parseBefore(text, time.Now()) },
			Since:  func(text string) (time.Time, error) { return parseWhen(text, time.Now()) },
		},
	}
}

// statuses are what some errors are in HTTP, and which type of problem where the status
// does not tell; all others are 500.
var statuses = []struct {
	status int
	kind   string
	is     []error
}{
	{http.StatusNotFound, "", []error{errNotOnDrive, errNotThen, errNeverThere, errNoSnapshot, web.ErrNotThere, errNoDevice, repo.ErrNoKey, feed.ErrNoPlace, stock.ErrNotPinned}},
	{http.StatusPreconditionFailed, "", []error{api.ErrPrecondition}},
	{http.StatusConflict, api.Busy, []error{task.ErrBusy}},
	{http.StatusUnprocessableEntity, api.KeyReused, []error{task.ErrKey}},
	{http.StatusForbidden, api.ReadOnly, []error{cache.ErrReadOnly, errReadOnlyHome, errFedHere}},
	{http.StatusForbidden, api.Secret, []error{repo.ErrWrongKey, repo.ErrPassphrase, errNoRoot, errNoRecoveryKey}},
	{http.StatusConflict, "", []error{errNoFile, cache.ErrIsDir, cache.ErrNotDir, errNotFolder, errNothingHeld, errManyPaths, errOnDrive, agent.ErrPaused, past.ErrNothing, past.ErrWaits, past.ErrFed, past.ErrGap,
		errOwnDevice, errManyDevices, repo.ErrKeyExists, repo.ErrLastKey, tsync.ErrUnsettled, tsync.ErrStranger, errNoPlaces, errNotDeleted, errProblems, errUnrepaired, errPartly, errHeld, errChangedNow}},
	{http.StatusBadRequest, "", []error{cache.ErrInvalid, cache.ErrNameTooLong, repo.ErrKeyName, errShortPassphrase}},
	{http.StatusRequestTimeout, "", []error{errTimeout}},
	{http.StatusGone, "", []error{past.ErrPruned}},
	{http.StatusServiceUnavailable, api.Starting, []error{errStarting, web.ErrNotReady}},
	{http.StatusServiceUnavailable, "", []error{control.ErrEnded, store.ErrUnavailable, cache.ErrUnavailable, cache.ErrOwed}},
	{http.StatusInsufficientStorage, "", []error{syscall.ENOSPC, syscall.EDQUOT, store.ErrFull, stock.ErrNoRoom}},
}

// apiProblem words an error for programs.
func apiProblem(err error) (status int, kind string, f *control.Fault) {
	f = explain(err)
	for _, s := range statuses {
		if slices.ContainsFunc(s.is, func(is error) bool { return errors.Is(err, is) }) {
			return s.status, s.kind, f
		}
	}
	if f.Exit == exitUsage {
		return http.StatusBadRequest, "", f
	}
	return http.StatusInternalServerError, "", f
}
