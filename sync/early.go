package sync

import (
	"bytes"
	"context"
	"io"
	"iter"
	"slices"
	"strings"
	gosync "sync"

	"golang.org/x/sync/semaphore"

	"github.com/tunesafe/tunesafe/internal/repo"
	"github.com/tunesafe/tunesafe/internal/store"
)

// early is a store of which a taking-in reads. What it is known to ask for, whatever it
// finds, is under way before it asks: one after the other these small requests would
// cost a delay of the line each, before a drive can be shown. Nothing is believed
// sooner for it, as the taking-in asks and verifies as it would else.
//
// What was begun is asked for once or several times, and answered as it was when it was
// begun. Safe to use at once.
type early struct {
	store.Store
	kept   *repo.Kept
	ctx    context.Context //nolint:containedctx // of what was begun
	cancel context.CancelFunc
	begun  gosync.WaitGroup
	turns  *semaphore.Weighted

	mu    gosync.Mutex
	lists map[listing]*answer[[]store.Info]
	gets  map[string]*answer[[]byte]
}

// listing is what a List asks for.
type listing struct{ prefix, after string }

// answer is what a request gave, once done is closed.
type answer[T any] struct {
	done chan struct{}
	got  T
	err  error
}

// mostEarly is how long an object may be that is asked for early, in bytes; they are
// small, and are kept until the taking-in ends.
const mostEarly = 64 << 10

const (
	earlyAtOnce = 16  // requests
	mostBegun   = 200 // of them in all
)

func newEarly(ctx context.Context, st store.Store, kept *repo.Kept) *early {
	e := &early{Store: st, kept: kept, turns: semaphore.NewWeighted(earlyAtOnce), lists: map[listing]*answer[[]store.Info]{}, gets: map[string]*answer[[]byte]{}}
	e.ctx, e.cancel = context.WithCancel(ctx)
	return e
}

// end gives up what was begun. Nothing is asked of the store after it has returned.
func (e *early) end() {
	e.cancel()
	e.begun.Wait()
}

// forget has what was begun asked for anew.
func (e *early) forget() {
	e.mu.Lock()
	defer e.mu.Unlock()
	clear(e.lists)
	clear(e.gets)
}

// list begins a listing, unless it is begun; then are called with what it gave.
func (e *early) list(prefix, after string, then ...func([]store.Info)) {
	a := begin(e, e.lists, listing{prefix, after})
	if a == nil {
		return
	}
	e.begun.Go(func() {
		a.err = e.inTurn(func() error {
			for info, err := range e.Store.List(e.ctx, prefix, after) {
				if err != nil {
					return err
				}
				a.got = append(a.got, info)
			}
			return nil
		})
		close(a.done)
		for _, f := range then {
			if a.err == nil {
				f(a.got)
			}
		}
	})
}

// get begins to read an object, of which a listing told, unless it is kept as it is there.
func (e *early) get(info store.Info) {
	if info.Size > mostEarly {
		return
	}
	a := begin(e, e.gets, info.Key)
	if a == nil {
		return
	}
	if a.got = e.kept.Listed(info); a.got != nil {
		close(a.done)
		return
	}
	e.begun.Go(func() {
		defer close(a.done)
		a.err = e.inTurn(func() error {
			r, err := e.Store.Get(e.ctx, info.Key, 0, -1)
			if err != nil {
				return err
			}
			defer r.Close()
			a.got, err = io.ReadAll(io.LimitReader(r, mostEarly+1))
			return err
		})
	})
}

// inTurn makes a request once few enough are under way.
func (e *early) inTurn(request func() error) error {
	if err := e.turns.Acquire(e.ctx, 1); err != nil {
		return err
	}
	defer e.turns.Release(1)
	return request()
}

// begin notes that an answer is asked for; nil if it is already, or too many are.
func begin[K comparable, T any](e *early, answers map[K]*answer[T], key K) *answer[T] {
	e.mu.Lock()
	defer e.mu.Unlock()
	if answers[key] != nil || len(e.lists)+len(e.gets) >= mostBegun {
		return nil
	}
	a := &answer[T]{done: make(chan struct{})}
	answers[key] = a
	return a
}

// List implements [store.Store].
func (e *early) List(ctx context.Context, prefix, after string) iter.Seq2[store.Info, error] {
	e.mu.Lock()
	a := e.lists[listing{prefix, after}]
	if a == nil && after == "" && strings.HasPrefix(prefix, allLogs) {
		a = e.lists[listing{allLogs, ""}]
	}
	e.mu.Unlock()
	if a == nil {
		return e.Store.List(ctx, prefix, after)
	}
	return func(yield func(store.Info, error) bool) {
		err := a.wait(ctx)
		for _, info := range a.got {
			if err == nil && !strings.HasPrefix(info.Key, prefix) {
				continue // of all logs
			}
			if err != nil || !yield(info, nil) {
				break
			}
		}
		if err != nil {
			yield(store.Info{}, err)
		}
	}
}

// Get implements [store.Store].
func (e *early) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	e.mu.Lock()
	a := e.gets[key]
	e.mu.Unlock()
	if a == nil && offset == 0 && length < 0 {
		if body := e.known(key); body != nil {
			return io.NopCloser(bytes.NewReader(body)), nil
		}
	}
	if a == nil || offset != 0 || length >= 0 {
		return e.Store.Get(ctx, key, offset, length)
	}
	if err := a.wait(ctx); err != nil {
		return nil, err
	}
	return io.NopCloser(bytes.NewReader(a.got)), nil
}

// known gives a commit that is kept and that a listing has shown.
func (e *early) known(key string) []byte {
	e.mu.Lock()
	defer e.mu.Unlock()
	for l, a := range e.lists {
		select {
		case <-a.done:
		default:
			continue
		}
		if !strings.HasPrefix(l.prefix, allLogs) {
			continue
		}
		i, found := slices.BinarySearchFunc(a.got, key, func(info store.Info, key string) int { return strings.Compare(info.Key, key) })
		if found {
			return e.kept.Listed(a.got[i])
		}
	}
	return nil
}

// wait waits for the answer.
func (a *answer[T]) wait(ctx context.Context) error {
	select {
	case <-a.done:
		return a.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// foresee begins what every taking-in asks for: the small objects, and the ends of the
// devices' logs behind heads, where these are known. What it goes by are names that anybody can
// make who can write the bucket: it costs no more than mostBegun requests.
func (e *early) foresee(heads map[string]repo.Head, cold bool) {
	e.list("keys/", "", func(infos []store.Info) {
		for _, info := range infos {
			e.get(info)
		}
	})
	if cold {
		if e.kept.Get("repo.json") == nil {
			e.get(store.Info{Key: "repo.json"})
		}
		// From a checkpoint on the log is read from where its commit says.
		e.list("checkpoints/", "", func(infos []store.Info) {
			if len(infos) == 0 {
				e.list(allLogs, "")
			}
		})
	}
	e.list("devices/", "", func(infos []store.Info) {
		for _, info := range infos {
			if cold || !repo.IsEpochFile(info.Key) {
				e.get(info)
			}
		}
		if !cold {
			e.logs(repo.ListedDevices(infos), heads)
		}
	})
}

// allLogs is below what the logs of all devices lie: listed whole by one request where all
// are read from their beginning, which without a checkpoint are some hundred names.
const allLogs = "log/"

// logs begins the listings of the logs of devices behind heads.
func (e *early) logs(devices []string, heads map[string]repo.Head) {
	e.mu.Lock()
	all := e.lists[listing{allLogs, ""}] != nil
	e.mu.Unlock()
	for _, device := range devices {
		prefix, after := repo.LogListing(device, heads[device])
		if after != "" || !all {
			e.list(prefix, after)
		}
	}
}
