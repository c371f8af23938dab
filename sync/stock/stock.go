// Package stock fetches what nobody asks for yet: the next track of who plays one,
// the packs of tags and pictures that a scan comes to next, what is pinned, and the
// first seconds of every track.
//
// All of it is fetched quietly ([cache.Cache.Fetch], [Packs]): who waits for something goes
// first. What is pinned is known on this machine alone, in the local database, and
// never evicted. The first seconds go last when the cache is full; the next track is
// given up when the person goes elsewhere.
package stock

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	gosync "sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tunesafe/tunesafe/cache"
)

// Options configure a Stock; Cache is needed.
type Options struct {
	Cache   *cache.Cache
	Packs   Packs         // nil: nothing is fetched ahead of who scans
	Instant time.Duration // of every track is kept here; 0: nothing
	Log     *slog.Logger
}

// Stock is what is kept. Its methods may be called at once.
type Stock struct {
	o    Options
	c    *cache.Cache
	log  *slog.Logger
	wake chan struct{}

	mu   gosync.Mutex // held while pins are looked at, which may fetch a playlist
	pins []pin

	told    gosync.Mutex // guards what follows
	counted Status
	at      time.Time // counted
	trouble error     // why what is missing is not fetched now
	heads   headCount
}

const (
	again    = 30 * time.Second // after a failure
	recount  = 2 * time.Second
	rest     = 10 // times as long as a look takes nothing is looked for after it
	longest  = 10 * time.Minute
	atOnce   = 3 // files fetched
	lookPlay = time.Second
)

// New reads what is pinned.
func New(o Options) (*Stock, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Stock{o: o, c: o.Cache, log: o.Log, wake: make(chan struct{}, 1)}
	o.Cache.KeepHeads(o.Instant > 0)
	raw, err := o.Cache.Meta(pinsKey)
	if err != nil || raw == nil {
		return s, err
	}
	if err := json.Unmarshal(raw, &s.pins); err != nil {
		s.log.Warn("what was pinned cannot be read; pin it again", "err", err)
	}
	return s, nil
}

// Run fetches until ctx ends.
func (s *Stock) Run(ctx context.Context) {
	var g gosync.WaitGroup
	g.Go(func() { s.playing(ctx) })
	g.Go(func() { s.scanning(ctx) })
	g.Go(func() { s.keep(ctx) })
	g.Wait()
}

// keep fetches what is pinned, then the first seconds, and again what changed.
func (s *Stock) keep(ctx context.Context) {
	watch := s.c.Watch()
	defer watch.Stop()
	look := true
	var pause time.Duration
	for {
		if look {
			began := time.Now()
			err := s.fetch(ctx)
			if ctx.Err() != nil {
				return
			}
			if pause = rest * time.Since(began); err != nil {
				pause = max(pause, again)
			}
			s.setTrouble(err)
			look = err != nil
		}
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
			look = true
		case <-time.After(max(min(pause, longest), lookPlay)):
			inos, names, all := watch.Take()
			look = look || all || len(inos)+len(names) > 0
		}
	}
}

func (s *Stock) fetch(ctx context.Context) error {
	if err := s.fetchPinned(ctx); err != nil {
		return err
	}
	return s.fetchHeads(ctx)
}

func (s *Stock) setTrouble(err error) {
	s.told.Lock()
	defer s.told.Unlock()
	if err != nil && (s.trouble == nil || s.trouble.Error() != err.Error()) {
		s.log.Warn("what is to be kept here is not fetched now", "err", err)
	}
	s.trouble = err
}

// each does something with some files at once. What is gone or not in the bucket yet
// is passed over.
func each[T any](ctx context.Context, list []T, do func(context.Context, T) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for _, x := range list {
		if ctx.Err() != nil {
			break
		}
		g.Go(func() error {
			err := do(ctx, x)
			if errors.Is(err, cache.ErrNotExist) || errors.Is(err, cache.ErrOwed) {
				return nil
			}
			return err
		})
	}
	return g.Wait()
}

// poke has keep look again.
func (s *Stock) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}
