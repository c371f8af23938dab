package mem

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tunesafe/tunesafe/internal/store"
)

// Versioned is a [Store] that keeps every version, as a bucket with versioning does,
// and locks what is written, as one with Object Lock does. [NewVersioned] makes one.
type Versioned struct {
	*Store // what is the latest, and not gone

	now  func() time.Time
	lock time.Duration // of what is written

	vmu  sync.Mutex
	last int                  // id
	all  map[string][]version // the oldest first
}

type version struct {
	id    int
	body  []byte
	time  time.Time
	gone  bool
	until time.Time
}

var _ store.Versioned = (*Versioned)(nil)

// NewVersioned returns an empty store. What is written is locked for so long, by the
// clock now.
func NewVersioned(lock time.Duration, now func() time.Time) *Versioned {
	return &Versioned{Store: New(), now: now, lock: lock, all: map[string][]version{}}
}

// Put implements [store.Store].
func (s *Versioned) Put(ctx context.Context, key string, body []byte) error {
	if err := s.Store.Put(ctx, key, body); err != nil {
		return err
	}
	v := version{body: bytes.Clone(body), time: s.now()}
	if s.lock > 0 {
		v.until = v.time.Add(s.lock)
	}
	s.append(key, v)
	return nil
}

func (s *Versioned) append(key string, v version) {
	s.vmu.Lock()
	defer s.vmu.Unlock()
	s.last++
	v.id = s.last
	s.all[key] = append(s.all[key], v)
}

// Hide deletes an object as somebody does who knows of no versions.
func (s *Versioned) Hide(ctx context.Context, key string) error {
	if err := s.Store.Delete(ctx, key); err != nil {
		return err
	}
	s.append(key, version{gone: true, time: s.now()})
	return nil
}

// Delete implements [store.Store].
func (s *Versioned) Delete(ctx context.Context, key string) error {
	if err := check(ctx, key); err != nil {
		return fmt.Errorf("delete: %w", err)
	}
	var locked error
	for _, v := range s.versionsOf(key) {
		if err := s.RemoveVersion(ctx, key, v.ID); errors.Is(err, store.ErrLocked) {
			locked = err
		}
	}
	return locked
}

func (s *Versioned) versionsOf(key string) (all []store.Version) {
	s.vmu.Lock()
	defer s.vmu.Unlock()
	for i, v := range slices.Backward(s.all[key]) {
		all = append(all, store.Version{Info: store.Info{Key: key, Size: int64(len(v.body)), Time: v.time},
			ID: fmt.Sprint(v.id), Latest: i == len(s.all[key])-1, Gone: v.gone})
	}
	return all
}

// Versions implements [store.Versioned].
func (s *Versioned) Versions(ctx context.Context, prefix string) iter.Seq2[[]store.Version, error] {
	return func(yield func([]store.Version, error) bool) {
		s.vmu.Lock()
		keys := slices.Sorted(maps.Keys(s.all))
		s.vmu.Unlock()
		for _, key := range keys {
			if err := ctx.Err(); err != nil {
				yield(nil, err)
				return
			}
			all := s.versionsOf(key)
			if strings.HasPrefix(key, prefix) && len(all) > 0 && !yield(all, nil) {
				return
			}
		}
	}
}

// find gives a version and its place; s.vmu is held.
func (s *Versioned) find(key, id string) (int, error) {
	at := slices.IndexFunc(s.all[key], func(v version) bool { return fmt.Sprint(v.id) == id })
	if at < 0 {
		return at, fmt.Errorf("version %s of %s: %w", id, key, store.ErrNotExist)
	}
	return at, nil
}

// GetVersion implements [store.Versioned].
func (s *Versioned) GetVersion(ctx context.Context, key, id string) (io.ReadCloser, error) {
	s.vmu.Lock()
	defer s.vmu.Unlock()
	at, err := s.find(key, id)
	if err != nil {
		return nil, err
	}
	return &reader{ctx: ctx, r: bytes.NewReader(s.all[key][at].body)}, nil
}

// StatVersion implements [store.Versioned].
func (s *Versioned) StatVersion(_ context.Context, key, id string) (store.VersionStat, error) {
	s.vmu.Lock()
	defer s.vmu.Unlock()
	at, err := s.find(key, id)
	if err != nil {
		return store.VersionStat{}, err
	}
	v := s.all[key][at]
	sum := sha256.Sum256(v.body)
	return store.VersionStat{Size: int64(len(v.body)), Sum: &sum, LockedUntil: v.until}, nil
}

// RemoveVersion implements [store.Versioned].
func (s *Versioned) RemoveVersion(ctx context.Context, key, id string) error {
	s.vmu.Lock()
	defer s.vmu.Unlock()
	at, err := s.find(key, id)
	if err != nil {
		return nil
	}
	if v := s.all[key][at]; v.until.After(s.now()) {
		return fmt.Errorf("remove version %s of %s: %w", id, key, &store.LockedError{Until: v.until})
	}
	s.all[key] = slices.Delete(s.all[key], at, at+1)
	if left := s.all[key]; len(left) > 0 && !left[len(left)-1].gone {
		return s.Store.Put(ctx, key, left[len(left)-1].body)
	}
	return s.Store.Delete(ctx, key)
}

// LockVersion implements [store.Versioned].
func (s *Versioned) LockVersion(_ context.Context, key, id string, until time.Time) error {
	s.vmu.Lock()
	defer s.vmu.Unlock()
	at, err := s.find(key, id)
	if err == nil && until.After(s.all[key][at].until) {
		s.all[key][at].until = until
	}
	return err
}
