package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/catalog"
	"github.com/tunesafe/tunesafe/internal/web"
	"github.com/tunesafe/tunesafe/sync/browse"
)

// shelf shows the music of a drive on the page.
type shelf struct {
	*browse.Library
	cache *cache.Cache
}

var _ web.Library = shelf{}

// Read implements [web.Library].
func (s shelf) Read(ctx context.Context, fn func(*catalog.Catalog)) error {
	err := s.Library.Read(ctx, fn)
	if errors.Is(err, browse.ErrNotReady) {
		return web.ErrNotReady
	}
	return err
}

// Facts implements [web.Library].
func (s shelf) Facts(_ context.Context, inode uint64) (f web.Facts, err error) {
	a, err := s.cache.Attr(inode)
	if err != nil {
		return f, notThere(err)
	}
	f.Size, f.Mtime = a.Size, a.Mtime
	if f.State, err = s.cache.State(inode); err != nil {
		return f, notThere(err)
	}
	f.Safe = f.State == cache.StateSafe || f.State == localWord
	r, _, err := s.cache.RecipeOf(inode)
	if err != nil {
		return f, notThere(err)
	}
	for _, p := range r.Parts {
		switch p.Kind {
		case "audio", "probe":
			f.Sound += p.Size
		case "art":
			f.Art += p.Size
		}
	}
	return f, nil
}

// Open implements [web.Library].
func (s shelf) Open(ctx context.Context, inode uint64) (web.Content, error) {
	f, err := s.Library.Open(ctx, inode)
	if err != nil {
		return web.Content{}, notThere(err)
	}
	return web.Content{ReadSeekCloser: f, Tag: f.Tag, Mtime: f.Mtime}, nil
}

// Picture implements [web.Library].
func (s shelf) Picture(ctx context.Context, inode uint64) (web.Picture, error) {
	p, err := s.Library.Picture(ctx, inode)
	return web.Picture(p), notThere(err)
}

// notThere puts what is gone into the page's words.
func notThere(err error) error {
	if errors.Is(err, cache.ErrNotExist) || errors.Is(err, cache.ErrNotDir) || errors.Is(err, browse.ErrNoPicture) {
		return fmt.Errorf("%w: %w", web.ErrNotThere, err)
	}
	return err
}
