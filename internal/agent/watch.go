package agent

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
)

// watch tells in which places something changed. It may miss changes, as what
// it stands on does: scans find them.
type watch struct {
	log  *slog.Logger
	poke func()
	fsn  *fsnotify.Watcher // nil if there is none to be had
	end  chan struct{}
	all  sync.WaitGroup

	mu      sync.Mutex
	roots   map[string]string    // by place
	changed map[string]time.Time // places, when something changed last
	full    bool                 // the system gives no more watches
}

func newWatch(log *slog.Logger, poke func()) *watch {
	w := &watch{
		log: log, poke: poke, end: make(chan struct{}),
		roots: map[string]string{}, changed: map[string]time.Time{},
	}
	fsn, err := fsnotify.NewWatcher()
	if err != nil {
		log.Error("folders cannot be watched; changes are found by scans", "err", err)
		w.full = true
		return w
	}
	w.fsn = fsn
	w.all.Go(w.follow)
	return w
}

func (w *watch) close() {
	close(w.end)
	if w.fsn != nil {
		w.fsn.Close()
	}
	w.all.Wait()
}

// size is how many folders are watched, and whether some are not.
func (w *watch) size() (folders int, blind bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fsn != nil {
		folders = len(w.fsn.WatchList())
	}
	return folders, w.full
}

// keep watches the folders of these places and no others.
func (w *watch) keep(places map[string]string) {
	if w.fsn == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for name, root := range places {
		if w.roots[name] != root {
			w.roots[name] = root
			w.all.Go(func() { w.add(root) })
		}
	}
	for name, root := range w.roots {
		if places[name] == "" {
			delete(w.roots, name)
			delete(w.changed, name)
			w.all.Go(func() { w.remove(root) })
		}
	}
}

// add watches a folder and all below it that lie on the same filesystem.
func (w *watch) add(root string) {
	top, err := os.Lstat(root)
	if err != nil {
		return // a scan says what is wrong
	}
	_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		select {
		case <-w.end:
			return fs.SkipAll
		default:
		}
		if err != nil || !d.IsDir() {
			return nil // a scan says what is wrong
		}
		if info, err := d.Info(); err != nil || device(info) != device(top) {
			return fs.SkipDir
		}
		return w.one(path)
	})
}

func (w *watch) one(path string) error {
	err := w.fsn.Add(path)
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EMFILE) {
		w.mu.Lock()
		first := !w.full
		w.full = true
		w.mu.Unlock()
		if first {
			w.log.Warn("the system gives no more watches; changes elsewhere are found by scans",
				"watched", len(w.fsn.WatchList()), "hint", "raise fs.inotify.max_user_watches")
		}
		return fs.SkipAll
	}
	return nil // gone, or unreadable: a scan says so
}

func device(info fs.FileInfo) uint64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(st.Dev)
	}
	return 0
}

func (w *watch) remove(root string) {
	for _, path := range w.fsn.WatchList() {
		if path == root || strings.HasPrefix(path, root+string(filepath.Separator)) {
			_ = w.fsn.Remove(path) // it may be gone already
		}
	}
}

// follow notes what happens.
func (w *watch) follow() {
	for {
		select {
		case e, ok := <-w.fsn.Events:
			if !ok {
				return
			}
			w.note(e)
		case err, ok := <-w.fsn.Errors:
			if !ok {
				return
			}
			w.lost(err)
		}
	}
}

func (w *watch) note(e fsnotify.Event) {
	if e.Has(fsnotify.Create) {
		if info, err := os.Lstat(e.Name); err == nil && info.IsDir() {
			w.add(e.Name)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for name, root := range w.roots {
		if e.Name == root || strings.HasPrefix(e.Name, root+string(filepath.Separator)) {
			if w.changed[name].IsZero() {
				w.poke() // from now on it is looked whether it went quiet
			}
			w.changed[name] = time.Now()
		}
	}
}

// lost says that events were missed, as when the kernel's queue overflows:
// anything may have changed.
func (w *watch) lost(err error) {
	w.log.Warn("changes were missed; all places are scanned", "err", err)
	w.mu.Lock()
	defer w.mu.Unlock()
	for name := range w.roots {
		w.changed[name] = time.Now()
	}
	w.poke()
}

// quiet returns the places that changed and have not for a while, once each, and
// how long until the next may be.
func (w *watch) quiet(now time.Time, d time.Duration) (places []string, next time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	next = beat
	for name, last := range w.changed {
		if left := last.Add(d).Sub(now); left > 0 {
			next = min(next, left)
			continue
		}
		places = append(places, name)
		delete(w.changed, name)
	}
	return places, next
}
