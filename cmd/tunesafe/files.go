package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"strings"
	"syscall"
	"time"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/agent"
	"github.com/tunesafe/tunesafe/internal/api"
	"github.com/tunesafe/tunesafe/internal/control"
	"github.com/tunesafe/tunesafe/internal/store"
	tsync "github.com/tunesafe/tunesafe/sync"
	"github.com/tunesafe/tunesafe/sync/past"
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
	open, err := from.OpenToRestore(a.Ino)
	if err != nil {
		return nil, err
	}
	r := readingOf(ctx, open)
	return &api.File{ReadSeeker: io.NewSectionReader(r, 0, a.Size), Closer: r, Name: path.Base(name), Size: a.Size, Modified: a.Mtime}, nil
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
func (f filesOf) Put(ctx context.Context, name string, body io.Reader) (int64, error) {
	if f.o.config.ReadOnly {
		return 0, errReadOnlyHome
	}
	if err := f.o.learn(ctx, false); err != nil {
		return 0, err
	}
	name = path.Clean(name)
	dir, base := path.Split(name)
	switch {
	case base == "":
		return 0, fmt.Errorf("%s: %w", name, errNoFile)
	case within(name, "/"+cache.Reserved): // where the drive shows what was
		return 0, fmt.Errorf("%s: %w", name, cache.ErrReadOnly)
	case strings.ContainsRune(name, 0): // no file of a system has such a name
		return 0, fmt.Errorf("%q: %w", name, cache.ErrInvalid)
	}
	parent, err := f.folder(dir)
	if err != nil {
		return 0, err
	}
	a, h, err := f.o.cache.Tmpfile(parent, 0o644, me(), cache.OpenFlags{Write: true, Ordinary: true})
	if err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	n, err := io.Copy(io.NewOffsetWriter(writerAt{h}, 0), body)
	if err == nil {
		err = h.Sync()
	}
	if err == nil {
		err = f.give(a.Ino, parent, base)
	}
	if err = errors.Join(err, h.Release()); err != nil {
		return n, fmt.Errorf("%s: %w", name, err)
	}
	return n, nil
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
	return &api.Options{
		Owner: o, Files: filesOf{o}, Tokens: func() ([]api.Token, error) { return readTokens(o.home) }, Explain: apiProblem,
		Version: versionText(), ReadOnly: readOnly,
		Times: api.Times{
			At:     func(text string) (time.Time, error) { return parseTime(text, time.Now(), false) },
			Before: func(text string) (time.Time, error) { return parseBefore(text, time.Now()) },
			Since:  func(text string) (time.Time, error) { return parseWhen(text, time.Now()) },
		},
	}
}

// statuses are what some errors are in HTTP; all others are 500.
var statuses = []struct {
	is     error
	status int
}{
	{errNotOnDrive, http.StatusNotFound}, {errNotThen, http.StatusNotFound}, {errNeverThere, http.StatusNotFound}, {errNoSnapshot, http.StatusNotFound},
	{errNoFile, http.StatusConflict}, {cache.ErrIsDir, http.StatusConflict}, {errNotFolder, http.StatusConflict}, {errNothingHeld, http.StatusConflict},
	{errManyPaths, http.StatusConflict}, {errOnDrive, http.StatusConflict}, {agent.ErrPaused, http.StatusConflict}, {past.ErrNothing, http.StatusConflict}, {past.ErrWaits, http.StatusConflict}, {past.ErrFed, http.StatusConflict},
	{cache.ErrInvalid, http.StatusBadRequest}, {cache.ErrNameTooLong, http.StatusBadRequest}, {cache.ErrReadOnly, http.StatusForbidden}, {errReadOnlyHome, http.StatusForbidden},
	{errTimeout, http.StatusRequestTimeout}, {past.ErrPruned, http.StatusGone}, {errStarting, http.StatusServiceUnavailable}, {control.ErrEnded, http.StatusServiceUnavailable},
	{store.ErrUnavailable, http.StatusServiceUnavailable}, {cache.ErrUnavailable, http.StatusServiceUnavailable}, {cache.ErrOwed, http.StatusServiceUnavailable},
	{syscall.ENOSPC, http.StatusInsufficientStorage}, {store.ErrFull, http.StatusInsufficientStorage},
}

// apiProblem words an error for programs.
func apiProblem(err error) (int, *control.Fault) {
	f := explain(err)
	for _, s := range statuses {
		if errors.Is(err, s.is) {
			return s.status, f
		}
	}
	if f.Exit == exitUsage {
		return http.StatusBadRequest, f
	}
	return http.StatusInternalServerError, f
}
