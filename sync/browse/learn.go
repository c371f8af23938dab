package browse

import (
	"context"
	"errors"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/label"
	"github.com/tunesafe/tunesafe/internal/split"
)

// readers is how many files' tags are read at once. A pack has those of thousands.
const readers = 4

// learn begins to read the tags that are not known. l.mu is held.
func (l *Library) learn() {
	if l.reading || len(l.unread) == 0 || l.closed {
		return
	}
	l.reading = true
	l.work.Go(func() {
		for l.learnSome() {
		}
	})
}

// learnSome reads the tags of some tracks, and tells whether there are more. The cache
// keeps them, so each is read once in the life of a home; the watch tells the catalog.
func (l *Library) learnSome() bool {
	const some = 256
	l.mu.Lock()
	n := min(some, len(l.unread))
	if n == 0 || l.life.Err() != nil {
		l.reading = false
		l.mu.Unlock()
		return false
	}
	batch := slices.Clone(l.unread[:n])
	l.mu.Unlock()
	var g errgroup.Group
	g.SetLimit(readers)
	for _, ino := range batch {
		g.Go(func() error { return Learn(l.life, l.o.Cache, ino) })
	}
	err := g.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.unread = l.unread[min(n, len(l.unread)):]; err != nil {
		l.o.Log.Warn("tags cannot be read now", "err", err)
		l.unread, l.reading = nil, false // the next catalog tries again
		return false
	}
	return true
}

// Learn reads the tags of a track, and has the cache keep what they say. What is not
// cut yet, or is cut in one piece, is left alone: the cut tells of it, and to read it
// might fetch sound.
func Learn(ctx context.Context, c *cache.Cache, ino cache.Ino) error {
	r, still, err := c.RecipeOf(ino)
	if err != nil || !still || !slices.ContainsFunc(r.Parts, isTags) {
		return nil //nolint:nilerr // it is gone
	}
	says, r, err := readLabel(ctx, c, ino, r)
	switch {
	case errors.Is(err, cache.ErrNotExist), errors.Is(err, cache.ErrOwed):
		return nil
	case err != nil:
		return err
	}
	if err := c.SetLabel(ino, r, says.Encode()); err != nil && !errors.Is(err, cache.ErrChanged) {
		return err
	}
	return nil
}

func isTags(p cache.Part) bool { return p.Kind == split.Tags.String() }

// readLabel reads a label, and gives the recipe of what it was read of.
func readLabel(ctx context.Context, c *cache.Cache, ino cache.Ino, r *cache.Recipe) (says label.Label, of *cache.Recipe, err error) {
	h, err := c.OpenFile(ino, cache.OpenFlags{Read: true, Ordinary: true, Quiet: true})
	if err != nil {
		return says, r, err
	}
	defer h.Release()
	in := cache.ReaderAt{Ctx: ctx, File: h}
	if r.More != nil { // the first read has the cache complete the recipe
		if _, err := in.ReadAt(make([]byte, 1), 0); err != nil {
			return says, r, err
		}
		if r, _, err = c.RecipeOf(ino); err != nil {
			return says, r, err
		}
	}
	says, err = label.Read(in, r.Size, layoutOf(r))
	return says, r, err
}

// layoutOf is how the file was cut.
func layoutOf(r *cache.Recipe) (l split.Layout) {
	for _, p := range r.Parts {
		l.Parts = append(l.Parts, split.KindOf(p.Kind))
	}
	for _, run := range r.Runs {
		l.Runs = append(l.Runs, split.Run(run))
	}
	return l
}
