// Package browse keeps a [catalog.Catalog] of the drive up to date, and gives the
// pictures and the bytes of its tracks to whoever shows them.
//
// What tracks say of themselves is in the cache since they were cut. In a home that
// was made anew from the bucket it is not: there the names are shown at once, and the
// tags are read behind them, from the packs that hold them. No sound is fetched to
// browse.
//
// The catalog is made when somebody looks, follows the drive by a [cache.Watch]
// meanwhile, and is dropped once nobody has looked for a while.
package browse

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/catalog"
	"github.com/tunesafe/tunesafe/internal/label"
)

// Options are what a Library works with; Cache is needed.
type Options struct {
	Cache *cache.Cache
	Log   *slog.Logger
	Idle  time.Duration // after which the catalog is dropped; default 10 minutes
}

// Library is the catalog of a drive. Its methods may be called at once.
type Library struct {
	o    Options
	life context.Context //nolint:containedctx // of what is read behind; ends with Close
	end  context.CancelFunc
	work sync.WaitGroup

	mu        sync.RWMutex // held for reading while the catalog is read
	catalog   *catalog.Catalog
	watch     *cache.Watch
	made      time.Time
	took      time.Duration // to make it
	stale     bool          // too much changed to follow
	followed  time.Time     // when changes were last taken in
	following time.Duration // and how long that took
	unread    []cache.Ino   // tracks whose tags are not known
	idle      *time.Timer
	building  chan struct{} // closed when the catalog was made; nil if it is not being made
	failed    error         // why it could not be
	closed    bool

	reading bool // tags are read behind
}

const (
	defaultIdle = 10 * time.Minute
	// rest is how many times as long as it takes to make or change a catalog it is then
	// left alone: what is shown may be some seconds old while much changes.
	rest = 10
	// lookups bounds the names that are looked for one by one.
	lookups = 64
)

// New makes a Library; nothing is read before it is asked.
func New(o Options) *Library {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Idle == 0 {
		o.Idle = defaultIdle
	}
	l := &Library{o: o}
	l.life, l.end = context.WithCancel(context.Background())
	return l
}

// Close ends what is read behind.
func (l *Library) Close() error {
	l.end()
	l.mu.Lock()
	l.closed = true
	l.drop()
	l.mu.Unlock()
	l.work.Wait()
	return nil
}

// ErrNotReady: the catalog is being made.
var ErrNotReady = errors.New("the library is being put in order")

// Read calls fn with the catalog as the drive is now, or was some seconds ago. It makes it if there is none,
// and waits for that as long as ctx lets it: ErrNotReady then, and the making goes on.
func (l *Library) Read(ctx context.Context, fn func(*catalog.Catalog)) error {
	for {
		ready, err := l.refresh()
		if err != nil {
			return err
		}
		if ready == nil {
			l.mu.RLock()
			if l.catalog != nil {
				defer l.mu.RUnlock()
				fn(l.catalog)
				return nil
			}
			l.mu.RUnlock()
			continue
		}
		select {
		case <-ready:
			l.mu.RLock()
			err := l.failed
			l.mu.RUnlock()
			if err != nil {
				return err
			}
		case <-ctx.Done():
			return ErrNotReady
		case <-l.life.Done():
			return cache.ErrUnavailable
		}
	}
}

// refresh brings the catalog up to date, or begins to make it: ready tells when it is.
func (l *Library) refresh() (ready chan struct{}, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, cache.ErrUnavailable
	}
	if l.catalog == nil {
		return l.build(), nil
	}
	l.idle.Reset(l.o.Idle)
	if time.Since(l.followed) < rest*l.following {
		return nil, nil // a backup under way would have every look at the library pay for it
	}
	began := time.Now()
	inos, names, all := l.watch.Take()
	l.stale = l.stale || all
	if err := l.follow(inos, names); err != nil {
		return nil, err
	}
	if (l.stale || l.catalog.Worn()) && time.Since(l.made) > rest*l.took {
		l.build()
	}
	l.catalog.Settle()
	l.followed, l.following = time.Now(), time.Since(began)
	return nil, nil
}

// drop forgets the catalog. l.mu is held.
func (l *Library) drop() {
	if l.watch != nil {
		l.watch.Stop()
		l.idle.Stop()
	}
	l.catalog, l.watch, l.unread = nil, nil, nil
}

// build makes the catalog anew beside the one that is shown. l.mu is held.
func (l *Library) build() chan struct{} {
	if l.building != nil {
		return l.building
	}
	done := make(chan struct{})
	l.building = done
	l.work.Go(func() {
		defer close(done)
		began := time.Now()
		watch := l.o.Cache.Watch()
		c, unread, err := l.gather()
		l.mu.Lock()
		defer l.mu.Unlock()
		l.building, l.failed = nil, err
		if err != nil || l.closed {
			watch.Stop()
			return
		}
		l.drop()
		l.catalog, l.watch, l.unread, l.stale = c, watch, unread, false
		l.made, l.took = time.Now(), time.Since(began)
		l.followed, l.following = time.Time{}, 0
		l.idle = time.AfterFunc(l.o.Idle, l.forget)
		l.o.Log.Debug("the library was put in order", "tracks", c.Tracks(), "unread", len(unread), "took", l.took)
		l.learn()
	})
	return done
}

// forget drops the catalog of whom nobody looks at.
func (l *Library) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.building == nil {
		l.drop()
	}
}

// gather makes a catalog of all that is on the drive.
func (l *Library) gather() (*catalog.Catalog, []cache.Ino, error) {
	c := catalog.New()
	unasked := map[cache.Ino]bool{}
	err := l.o.Cache.Labels(func(ino cache.Ino, text []byte) {
		if text == nil {
			unasked[ino] = true
		} else if says, err := label.Decode(text); err == nil && says.Music() {
			c.Put(ino, says, false)
		}
	})
	if err != nil {
		return nil, nil, err
	}
	var unread []cache.Ino
	err = l.o.Cache.Names(func(n cache.NameRow) {
		if unasked[n.Ino] {
			delete(unasked, n.Ino)
			unread = append(unread, n.Ino)
			c.Put(n.Ino, label.Label{Format: catalog.FormatOf(n.Name)}, true)
		}
		l.place(c, n)
	})
	if err == nil {
		err = l.folders(c)
	}
	c.Settle()
	return c, unread, err
}

// place tells the catalog of a name.
func (l *Library) place(c *catalog.Catalog, n cache.NameRow) {
	if c.Has(n.Ino) {
		c.Place(n.Ino, n.Parent, n.Name)
	} else if catalog.CoverRank(n.Name) > 0 {
		c.Cover(n.Parent, n.Ino, n.Name)
	}
}

// folders tells the catalog of the folders that it heard of, and of those above.
func (l *Library) folders(c *catalog.Catalog) error {
	for {
		strange := c.Strange()
		for _, dir := range strange {
			name, parent, err := l.o.Cache.DirName(dir)
			if errors.Is(err, cache.ErrNotExist) || errors.Is(err, cache.ErrNotDir) {
				name, parent = "", 0 // removed meanwhile: the watch has told what became of its files
			} else if err != nil {
				return err
			}
			c.Folder(dir, parent, name)
		}
		if len(strange) == 0 {
			return nil
		}
	}
}
