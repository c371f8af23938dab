package sync

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/repo"
)

// takeOpen uploads copies of the files that a program has kept open for writing
// for long (a library database, a disk image, a mail store); next is when one
// may be due again.
func (w *Worker) takeOpen(ctx context.Context) (next time.Time, err error) {
	inos, next := w.cache.LongOpen(w.o.TakeAfter)
	for _, ino := range inos {
		if err := w.takeOne(ctx, ino); err != nil {
			return next, err
		}
	}
	return next, nil
}

func (w *Worker) takeOne(ctx context.Context, ino cache.Ino) error {
	snap, err := w.cache.TakeOpen(ino)
	if errors.Is(err, cache.ErrBusy) || errors.Is(err, cache.ErrNotExist) {
		return nil // closed meanwhile: it is cut like any other
	}
	if err != nil {
		w.report(fmt.Errorf("copying open inode %x: %w", ino, err))
		return nil
	}
	defer snap.Close()
	r, err := w.recipe(ctx, snap)
	if err != nil {
		return err
	}
	f := &owedFile{snap, r}
	u := &upload{w: w, ctx: ctx}
	for i := range r.Parts {
		if p := &r.Parts[i]; p.Owed {
			if p.Blobs, err = u.now(f, i); err != nil {
				return err
			}
			p.Owed = false
		}
	}
	return w.finishRound(ctx, []cutFile{{snap, *r}})
}

// now uploads a part at once: what it was read from is gone afterwards.
func (u *upload) now(f *owedFile, i int) (found []cache.Blob, err error) {
	p := f.recipe.Parts[i]
	if at, size, ok := alone(f.layout(), i, p.Kind); ok {
		file := largeFile{u.w, f.snap, at, size}
		if len(p.Blobs) == 0 {
			return file.byContent(u.ctx, u.w.beginSums(f.snap.Ino), func(id repo.ID, blob []byte) error { return u.w.add(u.ctx, p.Kind, id, blob) })
		}
		done, err := u.lacking(f, i, at)
		if err == nil && !done {
			err = cache.ErrChanged
		}
		return p.Blobs, err
	}
	for blob, err := range blobs(f.reader(i), p.Kind, p.Size, nil) {
		if err != nil {
			return nil, err
		}
		id := u.w.o.Keys.BlobID(blob)
		found = append(found, cache.Blob{ID: id, Size: int64(len(blob))})
		if p.Kind == repo.Audio {
			err = u.putNow(id, blob)
		} else {
			err = u.w.add(u.ctx, p.Kind, id, blob)
		}
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// putNow uploads a blob of sound unless the bucket has it.
func (u *upload) putNow(id repo.ID, blob []byte) error {
	if _, ok, err := u.w.o.Index.Lookup(id); err != nil || ok {
		return err
	}
	return u.putObject(repo.SealAudio(u.w.o.Keys, repo.Blob{ID: id, Data: blob}))
}
