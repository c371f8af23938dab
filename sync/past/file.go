package past

import (
	"context"
	"errors"
	"fmt"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/repo"
	tsync "github.com/tunesafe/tunesafe/sync"
)

// File is an open file of the past. ReadAt may be called at once.
type File struct{ *cache.Version }

func (p *Past) open(row repo.InodeRow, whole bool) *File {
	return &File{p.o.Cache.OpenVersion(row.Inode, tsync.FromRepo(row).Recipe, whole)}
}

// ReadAt reads as [io.ReaderAt] does. Bytes that cannot be had are an error.
func (f *File) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	n, err := f.Version.ReadAt(ctx, p, off)
	return n, why(err)
}

// why tells what was pruned from what never came.
func why(err error) error {
	if part := new(cache.PartError); errors.As(err, &part) && errors.Is(err, cache.ErrOwed) && len(part.Part.Blobs) > 0 {
		return fmt.Errorf("%w (%w)", ErrPruned, cache.ErrUnavailable)
	}
	return err
}
