package sync

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/repo"
)

// Fetcher reads parts from the bucket for package cache.
type Fetcher struct {
	r     *repo.Reader
	turns *turns
}

var _ cache.Fetcher = (*Fetcher)(nil)

// NewFetcher makes the cache's way to the bucket. What goes by one Fetcher shares the
// line in turns: somebody who waits goes before what [cache.Unhurried] tells of.
func NewFetcher(r *repo.Reader) *Fetcher {
	f := &Fetcher{r, newTurns()}
	r.SetPace(func(ctx context.Context) repo.Pace { return packTurn{&turn{t: f.turns, ctx: ctx}} })
	return f
}

// Open implements [cache.Fetcher].
func (f *Fetcher) Open(ctx context.Context, p cache.Part, offset, length int64) (io.ReadCloser, error) {
	if len(p.Blobs) == 0 && length > 0 {
		return nil, cache.ErrOwed
	}
	if cache.Unhurried(ctx) != nil {
		ctx = repo.WholePacks(ctx)
	}
	s := &partStream{ctx: ctx, r: f.r, blobs: p.Blobs, skip: offset, left: length, turn: f.turns.of(ctx)}
	err := s.turn.begin()
	if err == nil {
		err = s.next()
	}
	if err != nil && err != io.EOF {
		s.turn.end()
		return nil, err
	}
	return s, nil
}

// Runs implements [cache.Fetcher].
func (f *Fetcher) Runs(ctx context.Context, r *cache.Recipe) ([]cache.Run, error) {
	raw, err := f.r.Blob(ctx, r.More.ID)
	if err != nil {
		return nil, wrapFetch(err)
	}
	row := repo.InodeRow{Size: r.Size, Runs: repoRuns(r.Runs)}
	for _, p := range r.Parts {
		row.Parts = append(row.Parts, repo.Part{Kind: p.Kind, Size: p.Size})
	}
	runs, err := row.JoinRuns(raw)
	return cacheRuns(runs), err
}

// partStream reads a range of a part, blob after blob.
type partStream struct {
	ctx   context.Context
	r     *repo.Reader
	blobs []cache.Blob
	skip  int64 // bytes before the range, from the first of blobs on
	left  int64 // bytes of the range not yet opened
	cur   io.ReadCloser
	turn  *turn
}

// next opens the blob that holds the next byte of the range; io.EOF at its end.
func (s *partStream) next() error {
	for len(s.blobs) > 0 && s.skip >= s.blobs[0].Size {
		s.skip -= s.blobs[0].Size
		s.blobs = s.blobs[1:]
	}
	if s.left == 0 {
		return io.EOF
	}
	if len(s.blobs) == 0 {
		return fmt.Errorf("%w: the part ends early", cache.ErrUnavailable)
	}
	b := s.blobs[0]
	n := min(s.left, b.Size-s.skip)
	r, err := s.r.Range(s.ctx, repo.Slice{ID: b.ID, Size: b.Size, Off: b.Off}, s.skip, n)
	if err != nil {
		return wrapFetch(err)
	}
	s.cur, s.left, s.skip, s.blobs = r, s.left-n, 0, s.blobs[1:]
	return nil
}

func (s *partStream) Read(p []byte) (int, error) {
	for {
		if s.cur == nil {
			return 0, io.EOF
		}
		if err := s.turn.begin(); err != nil {
			return 0, err
		}
		n, err := s.cur.Read(p)
		s.turn.took(n)
		if err == nil || n > 0 && err == io.EOF {
			return n, nil
		}
		if err != io.EOF {
			return n, wrapFetch(err)
		}
		s.cur.Close()
		s.cur = nil
		if err := s.next(); err != nil {
			return 0, err
		}
	}
}

func (s *partStream) Close() error {
	s.turn.end()
	if s.cur == nil {
		return nil
	}
	return s.cur.Close()
}

// wrapFetch puts an error of the repository into the cache's words.
func wrapFetch(err error) error {
	if errors.Is(err, repo.ErrOwed) {
		return fmt.Errorf("%w: %w", cache.ErrOwed, err)
	}
	return fmt.Errorf("%w: %w", cache.ErrUnavailable, err)
}
