package sync

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/repo"
)

// Rebuild takes in what packs of checkpoints tell that the log says nothing of: where
// the log is lost, or the end of it, with the home that made it. It returns how
// many files came. What it took in is said again at once.
//
// Where the log says something else of an inode or a name, the packs count only if they know
// every object that the log puts, as they are newer then.
func (w *Worker) Rebuild(ctx context.Context) (files int, err error) {
	var failed error
	rows, err := repo.Rebuild(ctx, w.o.Store, w.o.Keys, func(name string) bool {
		_, known, err := w.o.Index.Object(name)
		failed = errors.Join(failed, err)
		return known
	})
	if err := errors.Join(err, failed); err != nil || len(rows) == 0 {
		return 0, err
	}
	state := repo.NewLogState()
	if _, _, err := w.survey(ctx, state); err != nil {
		return 0, err
	}
	puts := map[string]bool{}
	for _, row := range rows {
		if o, ok := row.(repo.ObjectRow); ok {
			puts[o.Name] = true
		}
	}
	newer := true
	for o, err := range w.o.Index.Objects() {
		if err != nil {
			return 0, err
		}
		newer = newer && (puts[o.Name] || o.Kind == repo.Checkpoint)
	}
	c := &repo.Commit{}
	var inodes []cache.Row
	var names []cache.NameRow
	for _, row := range rows {
		switch row := row.(type) {
		case repo.ObjectRow:
			if _, known, err := w.o.Index.Object(row.Name); err != nil || known {
				failed = errors.Join(failed, err)
				continue
			}
			c.Puts = append(c.Puts, row)
		case repo.CondemnRow:
			c.Condemned = append(c.Condemned, row)
		case repo.InodeRow:
			if state.TellsInode(row.Inode) && !newer {
				continue
			}
			if row.Type == "file" {
				files++
			}
			inodes = append(inodes, FromRepo(row))
		case repo.NameRow:
			if !state.TellsName(row) || newer {
				names = append(names, cache.NameRow{Parent: row.In, Name: row.Name, Ino: row.Inode})
			}
		}
	}
	c.Condemned = slices.DeleteFunc(c.Condemned, func(r repo.CondemnRow) bool { return !puts[r.Name] })
	if failed != nil {
		return 0, failed
	}
	if err := errors.Join(w.cache.Absorb(inodes, names, ""), w.cache.SyncRows(), w.o.Index.Apply(c)); err != nil {
		return 0, err
	}
	return files, w.sayAll(ctx)
}

// unplaced looks for blobs in the objects of the bucket that no commit tells of: the
// one that did may be lost.
func (h *harvest) unplaced(ctx context.Context) error {
	var sizes []int64
	sound := false
	for _, s := range h.want {
		if !s.done && s.kind == repo.Audio && !slices.Contains(sizes, s.size) {
			sizes, sound = append(sizes, s.size), true
		}
	}
	for _, folder := range []string{"meta/", "audio/"} {
		if folder == "audio/" && !sound {
			continue
		}
		for info, err := range h.w.o.Store.List(ctx, folder, "") {
			if err != nil {
				return err
			}
			_, known, err := h.w.o.Index.Object(info.Key)
			if err != nil {
				return err
			}
			if known || h.left() == 0 || !strings.HasSuffix(info.Key, ".age") {
				continue
			}
			body, err := repo.GetObject(ctx, h.w.o.Store, info.Key)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				continue // it is no source
			}
			var failed error
			_ = h.w.o.Keys.EachBlob(info.Key, body, sizes, func(_ string, p []byte) (bool, error) { // of a damaged one what is whole
				is := h.want[h.w.o.Keys.BlobID(p)] != nil
				failed = errors.Join(failed, h.take(p))
				return is, failed
			})
			if failed != nil {
				return failed
			}
		}
	}
	return nil
}
