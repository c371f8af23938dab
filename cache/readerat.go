package cache

import (
	"context"
	"io"
)

// ReaderAt is an open file as [io.ReaderAt]; Ctx ends what is fetched for it.
type ReaderAt struct {
	Ctx  context.Context //nolint:containedctx // io.ReaderAt takes none
	File interface {
		// ReadAt reads up to len(p) bytes from off; fewer only at the end of the file.
		ReadAt(ctx context.Context, p []byte, off int64) (int, error)
	}
}

// ReadAt implements [io.ReaderAt].
func (r ReaderAt) ReadAt(p []byte, off int64) (int, error) {
	n, err := r.File.ReadAt(r.Ctx, p, off)
	if err == nil && n < len(p) {
		err = io.EOF
	}
	return n, err
}
