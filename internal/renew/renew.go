package renew

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tunesafe/tunesafe/internal/repo"
	"github.com/tunesafe/tunesafe/internal/store"
)

// Options are what a sweep works with; all are needed.
type Options struct {
	Store store.Store
	Index *repo.Index
	DB    *DB
	For   time.Duration // how long objects are locked
	Now   func() time.Time
}

const (
	parallel  = 8   // requests at once
	atOnce    = 500 // objects whose dates are noted together
	hintsKept = 2   // as a prune keeps: see package sync
)

// Sweep asks for a later date for what is needed and has too little time left. One that
// is cut short has done what it did; the next goes on. An error of one object does not
// keep the others from theirs.
func (o Options) Sweep(ctx context.Context) (Swept, error) {
	v, ok := store.AbleTo[store.Versioned](o.Store)
	if !ok {
		return Swept{}, store.ErrNoLock
	}
	s := &sweep{Options: o, v: v, condemned: map[string]bool{}}
	rows, err := o.Index.Condemned()
	if err != nil {
		return s.Swept, err
	}
	for _, r := range rows {
		s.condemned[r.Name] = true
	}
	for all, err := range v.Versions(ctx, "") {
		if err != nil {
			return s.Swept, errors.Join(err, s.flush(ctx))
		}
		if err := s.take(ctx, all); err != nil {
			return s.Swept, err
		}
	}
	for _, hint := range s.hints {
		s.todo = append(s.todo, hint)
	}
	if err := s.flush(ctx); err != nil || s.failed != nil {
		return s.Swept, errors.Join(err, s.failed)
	}
	s.Ended = o.Now()
	return s.Swept, o.DB.setLast(s.Swept)
}

type sweep struct {
	Options
	Swept
	v         store.Versioned
	condemned map[string]bool
	hints     [][]store.Version // the newest
	todo      [][]store.Version // what is to be locked of each object

	mu     sync.Mutex
	dates  map[string]time.Time
	failed error // the first
}

// take looks at the versions of one key.
func (s *sweep) take(ctx context.Context, all []store.Version) error {
	name := all[0].Key
	if strings.HasPrefix(name, "checkpoints/") {
		if !all[0].Gone {
			s.hints = append(s.hints, all[:1])
			s.hints = s.hints[max(0, len(s.hints)-hintsKept):]
		}
		return nil
	}
	which, err := s.needed(all)
	if err != nil || len(which) == 0 {
		return err
	}
	s.todo = append(s.todo, which)
	if len(s.todo) < atOnce {
		return nil
	}
	return s.flush(ctx)
}

// needed gives the versions of an object that are to stay locked.
func (s *sweep) needed(all []store.Version) ([]store.Version, error) {
	name := all[0].Key
	size := int64(-1)
	switch folder, _, _ := strings.Cut(name, "/"); folder {
	case "audio", "meta":
		row, ok, err := s.Index.Object(name)
		if err != nil || !ok || s.condemned[name] {
			return nil, err // what no commit places was written lately, or is left over
		}
		size = row.Size
	case "log", "devices", "repo.json":
	case "keys", "readme.txt":
		if all[0].Gone {
			return nil, nil // a key that was removed
		}
	default:
		return nil, nil // not ours
	}
	var first, last *store.Version
	for i := range all {
		if v := &all[i]; !v.Gone && (size < 0 || v.Size == size) {
			if last == nil {
				last = v
			}
			first = v
		}
	}
	switch {
	case last == nil:
		return nil, nil
	case first == last || size < 0 && !strings.HasPrefix(name, "log/"):
		return []store.Version{*last}, nil
	}
	return []store.Version{*last, *first}, nil
}

// flush sees to what is to be done.
func (s *sweep) flush(ctx context.Context) error {
	s.dates = map[string]time.Time{}
	var g errgroup.Group
	g.SetLimit(parallel)
	for _, which := range s.todo {
		g.Go(func() error { return s.object(ctx, which) })
	}
	s.todo = nil
	err := g.Wait()
	return errors.Join(err, s.DB.note(s.dates))
}

// object sees to one. It fails when nothing more can be done at all.
func (s *sweep) object(ctx context.Context, which []store.Version) error {
	until, err := s.DB.Until(which[0].Key)
	if err != nil {
		return err
	}
	if until.Sub(s.Now()) < s.For/2 {
		until, err = s.renew(ctx, which)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Objects++
	if err != nil {
		if s.failed == nil {
			s.failed = err
		}
		if ctx.Err() != nil || errors.Is(err, store.ErrUnavailable) {
			return err
		}
		return nil
	}
	s.dates[which[0].Key] = until
	if s.Until.IsZero() || until.Before(s.Until) {
		s.Until = until
	}
	return nil
}

// renew asks for the dates of an object's versions, and for later ones where they are
// near; it gives the earliest.
func (s *sweep) renew(ctx context.Context, which []store.Version) (earliest time.Time, err error) {
	for _, v := range which {
		is, err := s.v.StatVersion(ctx, v.Key, v.ID)
		if err != nil {
			return earliest, err
		}
		s.count(&s.Asked)
		until := is.LockedUntil
		if until.Sub(s.Now()) < s.For/2 {
			until = s.Now().Add(s.For)
			if err := s.v.LockVersion(ctx, v.Key, v.ID, until); err != nil {
				return earliest, err
			}
			s.count(&s.Renewed)
		}
		if earliest.IsZero() || until.Before(earliest) {
			earliest = until
		}
	}
	return earliest, nil
}

func (s *sweep) count(n *int64) {
	s.mu.Lock()
	*n++
	s.mu.Unlock()
}
