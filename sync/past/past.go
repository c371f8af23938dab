// Package past shows the drive as it was at any moment: its folders, attributes and
// bytes, and what changed between two moments, in words; and it puts back what was.
//
// What there was is told by package history, from the log. Bytes come from the bucket by
// the recipe of the version, verified like any other; nothing of it is kept here. What
// the file of now has as well, and on this machine, is read there: a track that was
// retagged is played from before without fetching its sound.
// A part that a version says of that it is in the bucket, and that is not there any more,
// was removed by a prune: that is [ErrPruned], never zeros.
package past

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	gosync "sync"
	"time"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/history"
	"github.com/tunesafe/tunesafe/internal/repo"
	"github.com/tunesafe/tunesafe/internal/store"
)

// ErrPruned: what the version was made of is in the store no more.
var ErrPruned = errors.New("no longer in the store: a prune removed it")

// Options are what a Past works with; all are needed.
type Options struct {
	File  string // of the history database
	Store store.Store
	Keys  *repo.Keys
	Index *repo.Index
	Cache *cache.Cache // reads the bytes; its contents have parts of older versions, too
	Log   *slog.Logger
}

// Past is the drive as it was. Its methods may be called at once.
type Past struct {
	o Options

	mu gosync.Mutex
	db *history.DB // nil until it is needed

	catching chan struct{} // holds one value while somebody catches up
}

// New makes a Past; nothing is opened before it is asked.
func New(o Options) *Past { return &Past{o: o, catching: make(chan struct{}, 1)} }

// Close ends its use.
func (p *Past) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.db == nil {
		return nil
	}
	err := p.db.Close()
	p.db = nil
	return err
}

// DB is the history, opened and made if need be. It may lack commits: see
// [Past.CatchUp].
func (p *Past) DB() (*history.DB, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var err error
	if p.db == nil {
		p.db, err = history.Open(p.o.File, p.o.Keys.RepoID())
	}
	return p.db, err
}

// Committed takes in a commit that this home made or took in, if a history was begun. It
// is no failure of the commit if that fails: the log has it, and it is caught up with
// when the past is asked for.
func (p *Past) Committed(c *repo.Commit) {
	if _, err := os.Stat(p.o.File); errors.Is(err, fs.ErrNotExist) {
		return // nobody asked for the past yet
	}
	db, err := p.DB()
	if err == nil {
		err = db.Add(c)
	}
	if err != nil && !errors.Is(err, history.ErrGap) {
		p.o.Log.Warn("the history did not take in a commit; it is read from the log when it is asked for", "commit", c.Name, "err", err)
	}
}

// CatchUp brings the history to what this home knows of the log. It asks the store for
// nothing if that is here; a home that never asked reads the whole log. progress may be
// nil; it tells of how many commits there are.
func (p *Past) CatchUp(ctx context.Context, progress func(done, of int)) (*history.DB, error) {
	select {
	case p.catching <- struct{}{}:
		defer func() { <-p.catching }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	db, err := p.DB()
	if err != nil {
		return nil, err
	}
	lacks, err := p.lacks(db)
	if err != nil || lacks == 0 {
		return db, err
	}
	certs, _, err := repo.Devices(ctx, p.o.Store, p.o.Keys)
	if err != nil {
		return nil, err
	}
	return db, db.CatchUp(ctx, p.o.Store, p.o.Keys, certs, func(done int) {
		if progress != nil {
			progress(done, max(done, lacks))
		}
	})
}

// lacks counts the commits that this home knows and the history has not; 1 at least if it
// never had the whole log.
func (p *Past) lacks(db *history.DB) (n int, err error) {
	here, err := db.Heads()
	if err != nil {
		return 0, err
	}
	whole, err := db.Whole()
	if err != nil {
		return 0, err
	}
	known, err := p.o.Index.Heads()
	if err != nil {
		return 0, err
	}
	for device, h := range known {
		n += int(max(h.Seq, here[device].Seq) - here[device].Seq)
	}
	if !whole {
		n = max(n, 1)
	}
	return n, nil
}

// shown is CatchUp for those who look: where the store cannot be asked, what is here
// will do, if it once was all.
func (p *Past) shown(ctx context.Context) (*history.DB, error) {
	db, err := p.CatchUp(ctx, nil)
	if err == nil || ctx.Err() != nil {
		return db, err
	}
	here, failed := p.DB()
	if failed != nil {
		return nil, err
	}
	if whole, failed := here.Whole(); failed != nil || !whole {
		return nil, err
	}
	p.o.Log.Warn("the past is shown as far as it is known here", "err", err)
	return here, nil
}

// Moments lists the times of the commits that changed something, oldest first.
func (p *Past) Moments(ctx context.Context) ([]time.Time, error) {
	db, err := p.shown(ctx)
	if err != nil {
		return nil, err
	}
	all, err := db.Moments()
	times := make([]time.Time, len(all))
	for i, m := range all {
		times[i] = m.Rev.Time()
	}
	return times, err
}

// At is the newest moment that is not after t; [cache.ErrNotExist] before the first.
func (p *Past) At(ctx context.Context, t time.Time) (*Tree, error) {
	db, err := p.shown(ctx)
	if err != nil {
		return nil, err
	}
	late := db.Late() // before it is read
	v, err := db.AtTime(t)
	if err != nil {
		return nil, notExist(err)
	}
	return &Tree{p: p, v: v, late: late}, nil
}

// notExist puts an error of the history into the cache's words.
func notExist(err error) error {
	if errors.Is(err, history.ErrNotExist) {
		return fmt.Errorf("%w: %w", cache.ErrNotExist, err)
	}
	return err
}
