// Package sync is the worker between the local truth and the bucket, both ways.
//
// The [Worker] takes what waits in package cache (contents that changed, rows
// that no commit holds), cuts it, uploads what the bucket lacks and commits. The
// [Fetcher] brings back what is not here. [Worker.Pull] takes in the commits of
// other devices, and at a cold start all of them.
//
// # The order of durability
//
// This order is law; the code follows it in [Worker.round] and [Worker.commit]:
//
//  1. a snapshot of a quiet file is cut; the parts it lacks go into objects
//  2. an object is acknowledged by the store, then journalled ([repo.Index.Acked])
//  3. the cut is accepted if nobody opened the file for writing meanwhile
//  4. a commit is built only of blobs that an acknowledged object holds
//  5. the sealed commit is on this disk before it is sent, so that a retry sends
//     the same bytes under the same name
//  6. the commit is acknowledged, then the index takes it in, and only then are
//     rows marked clean, and only those unchanged since
//
// A crash anywhere leaves at worst objects that no commit names.
//
// # What goes first
//
// Small parts (tags, art, index, seals, probes), libraries, playlists and names of
// everything that waits go before sound: when much sound waits, a commit says of it
// only how long it is. Such parts are "owed".
//
// Sound that is new is not read by the cut. It is read once, when it is its turn:
// hashed, looked up, sent if the bucket lacks it, and then paid
// ([cache.Snapshot.Paid]), under the same conditions under which a cut is accepted.
// What can be bought or ripped again waits for what cannot, see [cache.Rank].
//
// One goroutine owns the schedule ([Worker.Run]); the others only transfer.
package sync

import (
	"context"
	"log/slog"
	gosync "sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/repo"
	"github.com/tunesafe/tunesafe/internal/store"
)

// Options are what a Worker works with; all but the last group are needed.
type Options struct {
	Cache  *cache.Cache
	Store  store.Store
	Keys   *repo.Keys
	Device *repo.Device
	Index  *repo.Index
	Reader *repo.Reader
	Dir    string // of the home, for the commit being sent

	// Kept is where the small objects of the bucket are kept; nil: nowhere.
	Kept *repo.Kept

	// Enrol makes a new device of this home and keeps it there. It is called
	// when the home proves to be a copy of another, or an old copy of itself.
	Enrol func(context.Context) (*repo.Device, error)
	// InoBase gives the high bits of a device's inode numbers.
	InoBase func(*repo.Device) uint64

	Log        *slog.Logger
	Settle     time.Duration    // quiet time before a closed file is cut; default 3 s
	TakeAfter  time.Duration    // a file open for writing for so long is copied as it is; default 10 min
	Now        func() time.Time // the clock of commits; default time.Now
	Checkpoint int              // commits between checkpoints; default 1,000
	Transfers  int              // objects sent at once; default 4

	// HoursPerDay tells for how many hours of a day uploads may go on, for the
	// estimate of what is left; default 24.
	HoursPerDay func() float64

	Lock repo.Lock // of the store, for the commits to say

	Hint func(error) string // says what a person can do about an error; "" for nothing

	// Committed is told of each commit, of this device or another, once it was
	// taken in.
	Committed func(*repo.Commit)
}

// The schedule's figures.
const (
	defaultSettle    = 3 * time.Second
	defaultTransfers = 4
	longestSettle    = time.Minute            // nothing waits longer for the rest to settle
	lookPause        = 500 * time.Millisecond // before looking again at what waits, while more comes
	commitBytes      = 256 << 20              // or after so many bytes of sound
	labourFirst      = 64 << 20               // bytes of sound from which names and tags get a commit of their own
	unreadFirst      = 1 << 30                // and from which they do before any sound is read: a second or two
	roundFiles       = 4000                   // files cut before their packs are finished
	roundSmall       = 64 << 20               // or bytes of small parts
	unknownLine      = 32 << 10               // bytes a second that are reckoned with while nothing was sent: it may be slow
	sliceOfSound     = 10 * time.Second       // of uploading sound before looking for new labour
	rowsOfCommit     = 6000                   // a commit is held in memory several times over: as rows, as text, sealed
	packedBelow      = 256 << 10              // bytes; smaller sound shares an object
	inFlight         = 34 << 20               // bytes of objects being sealed and sent: two of the largest, so that one is made while another is sent
	busyPause        = 10 * time.Second       // before a file is tried again that is mapped for writing
	firstBackoff     = 2 * time.Second
	longestBackoff   = time.Minute
	slowLine         = 256 << 10 // bytes a second; below it one transfer at a time
	tells            = 64 << 10  // bytes of an upload that tells how fast the line is
)

// Worker carries what waits to the bucket.
type Worker struct {
	o     Options
	cache *cache.Cache
	log   *slog.Logger

	flight  *semaphore.Weighted
	packs   map[string]*pack    // being filled, by kind
	leaving []*pack             // full ones of this round, and
	ahead   *crew               // who uploads them; nil outside of a round
	scrap   []byte              // see scratch
	sums    map[cache.Ino]*sums // of files being cut
	buffers buffers
	bucket  sameBucket
	line    line
	pace    pace
	dirLost error // see syncDir; of the goroutine that commits
	gate    gate
	epoch   atomic.Int64 // the newest key epoch that was asked for
	turn    turnLock     // held by a pass and by a prune

	mu      gosync.Mutex
	cond    gosync.Cond // the state below changed
	waiters int         // calls of Wait under way
	rounds  uint64      // finished passes
	phase   string
	trouble error // what keeps the worker from going on
	errors  []StatusError
	last    time.Time // of the last commit
	up      uploaded
	kick    chan struct{}

	small     int64         // bytes of small parts in this round
	sent      int64         // bytes of sound since the last commit
	commitDue time.Time     // by then a commit is made; zero: nothing waits
	version   uint64        // of the cache's namespace when last looked at
	changed   time.Time     // when it was last seen to have moved
	looked    time.Duration // what looking at what waits took
}

// New makes a worker; it does nothing before Run.
func New(o Options) *Worker {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Settle == 0 {
		o.Settle = defaultSettle
	}
	if o.TakeAfter == 0 {
		o.TakeAfter = 10 * time.Minute
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Checkpoint == 0 {
		o.Checkpoint = 1000
	}
	if o.Hint == nil {
		o.Hint = func(error) string { return "" }
	}
	if o.Committed == nil {
		o.Committed = func(*repo.Commit) {}
	}
	if o.HoursPerDay == nil {
		o.HoursPerDay = func() float64 { return 24 }
	}
	if o.Transfers == 0 {
		o.Transfers = defaultTransfers
	}
	w := &Worker{o: o, cache: o.Cache, log: o.Log, flight: semaphore.NewWeighted(inFlight),
		packs: map[string]*pack{}, sums: map[cache.Ino]*sums{}, kick: make(chan struct{}, 1), phase: phaseIdle}
	w.cond.L = &w.mu
	w.cache.SetDevice(o.Device.ID)
	w.loadUploaded()
	return w
}

// What the worker is doing, for people.
const (
	phaseIdle    = "idle"
	phaseTags    = "reading tags"
	phaseLabour  = "uploading tags and names"
	phaseSound   = "uploading audio"
	phaseCommit  = "committing"
	phaseWaiting = "waiting for the store"
	phasePaused  = "paused"
)

// Run works until ctx ends. What is under way then is given up and done again
// by the next Run; acknowledged objects are not sent again.
func (w *Worker) Run(ctx context.Context) error {
	if f, err := w.openSpare(); err == nil {
		f.Close()
	}
	w.sweepSums()
	backoff := firstBackoff
	for ctx.Err() == nil {
		passing, left, err := w.gate.enter(ctx, func() { w.setPhase(phasePaused) })
		if err != nil {
			return nil
		}
		next, err := w.pass(passing)
		paused := passing.Err() != nil
		left()
		switch {
		case ctx.Err() != nil:
			return nil
		case paused && err != nil:
			continue // it goes on where it was, after the pause
		}
		w.passed(err)
		wait := time.Until(next)
		if err != nil {
			w.report(err)
			wait = backoff
			backoff = min(2*backoff, longestBackoff)
		} else {
			backoff = firstBackoff
		}
		if !w.sleep(ctx, wait, next.IsZero() && err == nil, err != nil) {
			return nil
		}
	}
	return nil
}

// sleep waits for the time, or without end, until something changes. After an
// error only the time ends it: a failing store is not asked more often. To look
// at what waits takes the longer the more there is, so a change is slept over,
// unless somebody waits: nothing is cut before it settled.
func (w *Worker) sleep(ctx context.Context, d time.Duration, endless, failed bool) bool {
	var timer <-chan time.Time
	if !endless {
		timer = time.After(max(d, 0))
	}
	changed := w.cache.Changed()
	if failed {
		changed = nil
	}
	select {
	case <-ctx.Done():
		return false
	case <-timer:
	case <-w.kick:
	case <-changed:
		select {
		case <-ctx.Done():
			return false
		case <-timer:
		case <-w.kick:
		case <-time.After(max(min(w.o.Settle/6, lookPause), 20*w.looked)):
		}
	}
	return true
}

// passed tells waiters how a pass ended.
func (w *Worker) passed(err error) {
	w.mu.Lock()
	w.rounds++
	w.trouble = err
	w.phase = phaseIdle
	if err != nil {
		w.phase = phaseWaiting
	}
	w.cond.Broadcast()
	w.mu.Unlock()
}

func (w *Worker) setPhase(p string) {
	w.mu.Lock()
	w.phase = p
	w.mu.Unlock()
}

// pass does all that can be done now; next is when to look again, zero for not
// before something changes.
func (w *Worker) pass(ctx context.Context) (next time.Time, err error) {
	w.turn.Lock()
	defer w.turn.Unlock()
	w.bucket.forget()
	if err := w.resend(ctx); err != nil {
		return next, err
	}
	if err := w.noteLabour(); err != nil {
		return next, err
	}
	open, err := w.takeOpen(ctx)
	if err != nil {
		return next, err
	}
	defer func() { next = sooner(next, open) }()
	var urgent bool
	for {
		urgent = w.urgent() // before what waits is listed
		ready, later, err := w.ready(urgent)
		if err != nil {
			return next, err
		}
		if len(ready) > 0 { // before anything is sealed: a key epoch may have begun
			if err := w.bucket.check(ctx, w); err != nil {
				return next, err
			}
		}
		cut, behind, err := w.round(ctx, ready)
		if err != nil {
			return next, err
		}
		next = sooner(later, behind)
		done, err := w.sound(ctx)
		if err != nil {
			return next, err
		}
		w.version = w.cache.Version() // our own changes are no news
		if done && cut == 0 {
			if len(ready) > 0 { // in use though closed, or unreadable
				next = sooner(next, time.Now().Add(busyPause))
			}
			break
		}
		if w.sent >= commitBytes || w.overdue() {
			if err := w.commitAll(ctx); err != nil {
				return next, err
			}
		}
		w.turn.Unlock() // nothing is on its way here: a prune that waits has its turn
		w.turn.Lock()
	}
	// Who began to wait since has the next pass commit all at once, not this one a part;
	// and who ceased to wait has it settle.
	if !next.IsZero() && !(urgent && w.urgent()) && !w.overdue() {
		return next, nil
	}
	return next, w.commitAll(ctx)
}

// Apart runs fn while nothing is committed and nothing pruned: one commit holds all that it
// changes on the drive, and what it found to be in the bucket stays there. It waits for
// what is on its way.
func (w *Worker) Apart(ctx context.Context, fn func() error) error {
	turn := make(chan struct{})
	go func() { w.turn.Lock(); close(turn) }()
	select {
	case <-turn:
		defer w.turn.Unlock()
		return fn()
	case <-ctx.Done():
		go func() { <-turn; w.turn.Unlock() }()
		return ctx.Err()
	}
}

// turnLock tells whether somebody waits for it.
type turnLock struct {
	gosync.Mutex
	waits atomic.Int32
}

func (l *turnLock) Lock() {
	l.waits.Add(1)
	l.Mutex.Lock()
	l.waits.Add(-1)
}

func (l *turnLock) wanted() bool { return l.waits.Load() > 0 }

// sooner is the earlier of two times of which zero means never.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// ready lists the first files to cut now, as many as a round takes, and when to ask again. What
// settles one after another, as the files of a copy or a retag under way do, is waited for
// together, up to longestSettle.
func (w *Worker) ready(urgent bool) ([]cache.Ino, time.Time, error) {
	now := time.Now()
	defer func() { w.looked = time.Since(now) }()
	if v := w.cache.Version(); v != w.version {
		w.version, w.changed = v, now
	}
	inos, next, err := w.cache.Uncut(w.o.Settle, 0, roundFiles)
	if err != nil || urgent {
		return inos, next, err
	}
	if quiet := w.changed.Add(w.o.Settle); quiet.After(now) {
		next = sooner(next, quiet)
	}
	idle, err := w.cache.Idle()
	if err != nil || idle {
		return nil, time.Time{}, err
	}
	if w.commitDue.IsZero() {
		w.commitDue = now.Add(longestSettle)
	}
	if next.IsZero() || w.overdue() || len(inos) >= roundFiles {
		return inos, next, nil
	}
	return nil, next, nil
}

func (w *Worker) overdue() bool { return !w.commitDue.IsZero() && time.Now().After(w.commitDue) }

func (w *Worker) urgent() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.waiters > 0
}

// poke makes Run look again now.
func (w *Worker) poke() {
	select {
	case w.kick <- struct{}{}:
	default:
	}
}
