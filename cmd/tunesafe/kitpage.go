package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/tunesafe/tunesafe/internal/control"
	"github.com/tunesafe/tunesafe/internal/recoverykit"
	"github.com/tunesafe/tunesafe/internal/repo"
)

// drawer is the recovery kit for the page in the browser.
type drawer struct{ o *owner }

// Sheet implements [web.Drawer]. The key on it opens the repository.
func (d drawer) Sheet(ctx context.Context) (s recoverykit.Sheet, err error) {
	key, err := d.o.home.RecoveryKey()
	if errors.Is(err, fs.ErrNotExist) {
		return s, fmt.Errorf("%s: %w", d.o.home, errNoRecoveryKey)
	}
	if err != nil {
		return s, err
	}
	k, _, err := repo.Unlock(ctx, d.o.store, key)
	if err == nil && k.RepoID() != d.o.keys.RepoID() {
		err = repo.ErrWrongKey
	}
	if err != nil {
		return s, err
	}
	if s, err = d.o.sheet(ctx, key.String()); err != nil {
		return s, err
	}
	p, err := d.o.Picture(ctx, control.PictureRequest{Path: []byte("/")})
	s.Tracks, s.Files = p.Tracks, p.Files
	return s, err
}

// Saved implements [web.Drawer].
func (d drawer) Saved(context.Context) error { return keepSaved(d.o.home) }
