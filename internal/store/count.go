package store

import (
	"context"
	"io"
	"iter"
	"sync/atomic"
)

// Counts is what went through a [Counter] so far.
type Counts struct {
	Puts, Gets, Lists, Stats, Deletes int64 // calls begun; Lists counts pages of 1000 keys

	UploadedObjects int64 // puts the store acknowledged
	UploadedBytes   int64 // their body bytes
	DownloadedBytes int64 // body bytes read by callers
}

// Counter is a [Store] that counts what passes through it. Retries inside the
// store are not seen here.
type Counter struct {
	store Store

	puts, gets, lists, stats, deletes               atomic.Int64
	uploadedObjects, uploadedBytes, downloadedBytes atomic.Int64
}

// Count wraps s.
func Count(s Store) *Counter { return &Counter{store: s} }

// Unwrap gives what is counted; its further abilities are not.
func (c *Counter) Unwrap() Store { return c.store }

// Counts returns the numbers so far. They are read one by one: while calls are
// under way they need not belong to one instant.
func (c *Counter) Counts() Counts {
	return Counts{
		Puts:            c.puts.Load(),
		Gets:            c.gets.Load(),
		Lists:           c.lists.Load(),
		Stats:           c.stats.Load(),
		Deletes:         c.deletes.Load(),
		UploadedObjects: c.uploadedObjects.Load(),
		UploadedBytes:   c.uploadedBytes.Load(),
		DownloadedBytes: c.downloadedBytes.Load(),
	}
}

// Put implements [Store].
func (c *Counter) Put(ctx context.Context, key string, body []byte) error {
	c.puts.Add(1)
	if err := c.store.Put(ctx, key, body); err != nil {
		return err
	}
	c.uploadedObjects.Add(1)
	c.uploadedBytes.Add(int64(len(body)))
	return nil
}

// Get implements [Store].
func (c *Counter) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	c.gets.Add(1)
	r, err := c.store.Get(ctx, key, offset, length)
	if err != nil {
		return nil, err
	}
	return &countedBody{ReadCloser: r, bytes: &c.downloadedBytes}, nil
}

type countedBody struct {
	io.ReadCloser
	bytes *atomic.Int64
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.bytes.Add(int64(n))
	return n, err
}

// List implements [Store].
func (c *Counter) List(ctx context.Context, prefix, after string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		n := 0
		c.lists.Add(1)
		for info, err := range c.store.List(ctx, prefix, after) {
			if n++; n > 1 && n%1000 == 1 {
				c.lists.Add(1)
			}
			if !yield(info, err) {
				return
			}
		}
	}
}

// Stat implements [Store].
func (c *Counter) Stat(ctx context.Context, key string) (Info, error) {
	c.stats.Add(1)
	return c.store.Stat(ctx, key)
}

// Delete implements [Store].
func (c *Counter) Delete(ctx context.Context, key string) error {
	c.deletes.Add(1)
	return c.store.Delete(ctx, key)
}
