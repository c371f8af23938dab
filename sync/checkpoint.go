package sync

import (
	"context"
	"errors"
	"iter"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/crashpoint"
	"github.com/tunesafe/tunesafe/internal/repo"
)

// smallLog is how much log, in bytes, is always read faster than a checkpoint saves.
const smallLog = 4 << 20

// errMoved: something changed while a checkpoint was built; the next pass tries again.
var errMoved = errors.New("changed while the checkpoint was built")

// checkpointIfDue makes a checkpoint after so many commits, or when the log has
// grown to a quarter of the last one. It needs a moment in which nothing waits:
// only then are the rows here those of the bucket.
func (w *Worker) checkpointIfDue(ctx context.Context) error {
	ch, err := w.chain()
	if err != nil || ch.Commits < w.o.Checkpoint && ch.Bytes < max(smallLog, ch.Size/4) {
		return err
	}
	if settled, err := w.cache.Settled(); err != nil || !settled {
		return err
	}
	err = w.checkpoint(ctx)
	if errors.Is(err, errMoved) {
		return nil
	}
	return err
}

func (w *Worker) checkpoint(ctx context.Context) error {
	heads, err := w.o.Index.Heads()
	if err != nil {
		return err
	}
	version := w.cache.Version()
	known := func(id repo.ID) (repo.ObjectRow, bool, error) { return w.o.Index.ObjectOf(id, repo.Checkpoint) }
	put := func(s *repo.Sealed, row repo.ObjectRow) error {
		defer s.Release()
		return w.put(ctx, s, row)
	}
	cb, err := repo.BuildCheckpoint(ctx, w.o.Keys, w.state(), known, put)
	if err != nil {
		return err
	}
	crashpoint.At("checkpoint.built")
	if settled, err := w.cache.Settled(); err != nil || !settled || w.cache.Version() != version {
		return errors.Join(err, errMoved)
	}
	lost, err := w.lostCommits()
	if err != nil {
		return err
	}
	c := &repo.Commit{Kind: repo.CheckpointCommit, Heads: heads, Rows: cb.Rows, Puts: cb.Puts, Lost: lostHeads(lost, heads)}
	return w.publish(ctx, c, nil)
}

// hint writes the name that leads a cold reader to the checkpoint.
func (w *Worker) hint(ctx context.Context, c *repo.Commit) error {
	crashpoint.At("checkpoint.hint")
	return w.send(ctx, repo.HintName(c), []byte("\n"))
}

// state yields every row of the live state, sorted as a checkpoint wants it.
func (w *Worker) state() iter.Seq2[repo.Row, error] {
	return func(yield func(repo.Row, error) bool) {
		for o, err := range w.o.Index.Objects() {
			if !yield(o, err) || err != nil {
				return
			}
		}
		condemned, err := w.o.Index.Condemned()
		if err != nil {
			yield(nil, err)
			return
		}
		for _, r := range condemned {
			if !yield(r, nil) {
				return
			}
		}
		stop := errors.New("stopped")
		err = w.cache.Each(func(r cache.Row) error {
			if !yield(toRepo(r), nil) {
				return stop
			}
			return nil
		}, func(n cache.NameRow) error {
			if !yield(repo.NameRow{In: n.Parent, Name: n.Name, Inode: n.Ino}, nil) {
				return stop
			}
			return nil
		})
		if err != nil && !errors.Is(err, stop) {
			yield(nil, err)
		}
	}
}
