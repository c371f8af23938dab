package store

import (
	"context"
	"io"
	"iter"

	"golang.org/x/time/rate"
)

// limitQuantum is how many bytes are accounted for at once: small enough that a
// download under a low limit keeps moving, large enough to cost nothing.
const limitQuantum = 32 << 10

// Limited is a [Store] that keeps body bytes to a rate.
type Limited struct {
	store    Store
	up, down *rate.Limiter
}

// Limit wraps s so that bodies take at most up and down bytes a second on
// average over all callers; 0 means no limit.
//
// A download is paced as it streams. An upload waits for its turn as a whole
// and then goes out at the speed of the line, because a Put must be sent
// without pauses that a server would take for a dead client.
func Limit(s Store, up, down int64) *Limited {
	return &Limited{store: s, up: limiter(up), down: limiter(down)}
}

// SetRates changes the limits for bytes not yet accounted for.
func (l *Limited) SetRates(up, down int64) {
	l.up.SetLimit(limitOf(up))
	l.down.SetLimit(limitOf(down))
}

func limiter(bytes int64) *rate.Limiter {
	return rate.NewLimiter(limitOf(bytes), limitQuantum)
}

func limitOf(bytes int64) rate.Limit {
	if bytes <= 0 {
		return rate.Inf
	}
	return rate.Limit(bytes)
}

func wait(ctx context.Context, l *rate.Limiter, n int) error {
	for n > 0 {
		part := min(n, limitQuantum)
		if err := l.WaitN(ctx, part); err != nil {
			return err
		}
		n -= part
	}
	return nil
}

// Put implements [Store].
func (l *Limited) Put(ctx context.Context, key string, body []byte) error {
	if err := wait(ctx, l.up, len(body)); err != nil {
		return err
	}
	return l.store.Put(ctx, key, body)
}

// Get implements [Store].
func (l *Limited) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	r, err := l.store.Get(ctx, key, offset, length)
	if err != nil {
		return nil, err
	}
	return &limitedBody{ReadCloser: r, ctx: ctx, limit: l.down}, nil
}

type limitedBody struct {
	io.ReadCloser
	ctx   context.Context //nolint:containedctx // the context of the Get whose stream this is
	limit *rate.Limiter
}

func (b *limitedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p[:min(len(p), limitQuantum)])
	if werr := wait(b.ctx, b.limit, n); werr != nil {
		return n, werr
	}
	return n, err
}

// List implements [Store].
func (l *Limited) List(ctx context.Context, prefix, after string) iter.Seq2[Info, error] {
	return l.store.List(ctx, prefix, after)
}

// Stat implements [Store].
func (l *Limited) Stat(ctx context.Context, key string) (Info, error) { return l.store.Stat(ctx, key) }

// Delete implements [Store].
func (l *Limited) Delete(ctx context.Context, key string) error { return l.store.Delete(ctx, key) }
