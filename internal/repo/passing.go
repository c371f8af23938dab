package repo

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"

	"github.com/tunesafe/tunesafe/internal/store"
)

// Passing is a store that remembers the small objects that are written and read by way of
// it, so that a home which is being made need not read them again.
type Passing struct {
	store.Store

	mu     sync.Mutex
	bodies map[string][]byte
}

// mostPassing is how long an object may be that is remembered, in bytes: the newest commit,
// mostly.
const mostPassing = 1 << 20

// NewPassing decorates st.
func NewPassing(st store.Store) *Passing { return &Passing{Store: st, bodies: map[string][]byte{}} }

// Unwrap gives the store that is asked.
func (p *Passing) Unwrap() store.Store { return p.Store }

// Put implements [store.Store].
func (p *Passing) Put(ctx context.Context, key string, body []byte) error {
	err := p.Store.Put(ctx, key, body)
	if err == nil {
		p.note(key, bytes.Clone(body))
	}
	return err
}

// Get implements [store.Store].
func (p *Passing) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	r, err := p.Store.Get(ctx, key, offset, length)
	if err != nil || offset != 0 || length >= 0 || !keepable(key) {
		return r, err
	}
	return &passing{r, p, key, nil}, nil
}

// passing is an object that is being read.
type passing struct {
	io.ReadCloser
	to   *Passing
	key  string
	body []byte
}

// Read implements [io.Reader].
func (r *passing) Read(b []byte) (int, error) {
	n, err := r.ReadCloser.Read(b)
	if len(r.body)+n <= mostPassing+1 { // what is longer is not noted
		r.body = append(r.body, b[:n]...)
	}
	if errors.Is(err, io.EOF) {
		r.to.note(r.key, r.body)
	}
	return n, err
}

func (p *Passing) note(key string, body []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if keepable(key) && len(body) <= mostPassing {
		p.bodies[key] = body
	}
}

// KeepIn keeps what has passed, as far as it is believed: see [Kept.KeepSmall].
func (p *Passing) KeepIn(k *Kept, keys *Keys) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for name, body := range p.bodies {
		if _, named := store.SumOf(name); !named && !keys.saneSmall(name, body) || named && verifyName(name, body) != nil {
			continue
		}
		if err := k.Add(name, body); err != nil {
			return err
		}
	}
	return nil
}
