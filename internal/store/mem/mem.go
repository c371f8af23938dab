// Package mem is a [store.Store] in memory, for tests of the layers above.
//
// It keeps every promise of the interface but durability. Bodies are copied on
// the way in and never changed afterwards, so a reader opened before an
// overwrite goes on reading the old object.
package mem

import (
	"bytes"
	"context"
	"crypto/md5" //nolint:gosec // as servers tell it
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

// Store is an in-memory store; [New] makes one.
type Store struct {
	mu      sync.RWMutex
	objects map[string]object
}

type object struct {
	body []byte
	time time.Time
}

var _ store.Store = (*Store)(nil)

// New returns an empty store.
func New() *Store { return &Store{objects: map[string]object{}} }

// check refuses what every call refuses: a finished context and a bad key.
func check(ctx context.Context, key string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return store.CheckKey(key)
}

// Put implements [store.Store].
func (s *Store) Put(ctx context.Context, key string, body []byte) error {
	if err := check(ctx, key); err != nil {
		return fmt.Errorf("put: %w", err)
	}
	o := object{body: bytes.Clone(body), time: time.Now()}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.objects[key] = o
	return nil
}

func (s *Store) lookup(ctx context.Context, key string) (object, error) {
	if err := check(ctx, key); err != nil {
		return object{}, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	o, ok := s.objects[key]
	if !ok {
		return object{}, fmt.Errorf("%s: %w", key, store.ErrNotExist)
	}
	return o, nil
}

// Get implements [store.Store].
func (s *Store) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	o, err := s.lookup(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("get: %w", err)
	}
	part, err := cut(o.body, offset, length)
	if err != nil {
		return nil, fmt.Errorf("get %s at %d: %w", key, offset, err)
	}
	return &reader{ctx: ctx, r: bytes.NewReader(part)}, nil
}

// cut returns the asked range of body. Reading the whole of an empty object is
// the one range that may begin at the end.
func cut(body []byte, offset, length int64) ([]byte, error) {
	size := int64(len(body))
	if offset == 0 && length < 0 {
		return body, nil
	}
	if offset < 0 || offset >= size {
		return nil, store.ErrRange
	}
	if length < 0 || length > size-offset {
		length = size - offset
	}
	return body[offset : offset+length], nil
}

// reader ends with the context it was opened under, as a network stream does.
type reader struct {
	ctx context.Context //nolint:containedctx // the context of the Get whose stream this is
	r   *bytes.Reader
}

func (r *reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

func (r *reader) Close() error { return nil }

// List implements [store.Store]. It yields the objects there when it began.
func (s *Store) List(ctx context.Context, prefix, after string) iter.Seq2[store.Info, error] {
	return func(yield func(store.Info, error) bool) {
		for _, info := range s.match(prefix, after) {
			if err := ctx.Err(); err != nil {
				yield(store.Info{}, fmt.Errorf("list %s: %w", prefix, err))
				return
			}
			if !yield(info, nil) {
				return
			}
		}
		if err := ctx.Err(); err != nil {
			yield(store.Info{}, fmt.Errorf("list %s: %w", prefix, err))
		}
	}
}

func (s *Store) match(prefix, after string) []store.Info {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var infos []store.Info
	for _, key := range slices.Sorted(maps.Keys(s.objects)) {
		if strings.HasPrefix(key, prefix) && key > after {
			infos = append(infos, info(key, s.objects[key]))
		}
	}
	return infos
}

// tellsMD5 is how long objects are of which a listing tells the MD5.
const tellsMD5 = 64 << 10

func info(key string, o object) store.Info {
	i := store.Info{Key: key, Size: int64(len(o.body)), Time: o.time}
	if len(o.body) <= tellsMD5 {
		sum := md5.Sum(o.body)
		i.MD5 = sum[:]
	}
	return i
}

// Stat implements [store.Store].
func (s *Store) Stat(ctx context.Context, key string) (store.Info, error) {
	o, err := s.lookup(ctx, key)
	if err != nil {
		return store.Info{}, fmt.Errorf("stat: %w", err)
	}
	return info(key, o), nil
}

// Delete implements [store.Store].
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := check(ctx, key); err != nil {
		return fmt.Errorf("delete: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.objects, key)
	return nil
}
