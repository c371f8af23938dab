package sync

import (
	"context"
	"errors"
	gosync "sync"
	"time"

	"github.com/tunesafe/tunesafe/cache"
)

// turns shares the line among who reads from the bucket: what somebody waits for goes
// first, and what nobody waits for (a restore, what is pinned, the next track) gets a
// share of it meanwhile, and all of it else. Who waits is served side by side.
//
// What nobody waits for is read no further; TCP then has the other side wait,
// once a connection's buffer is full.
type turns struct {
	mu      gosync.Mutex
	urgent  int           // readings that somebody waits for
	credit  int64         // bytes that the others may read
	last    time.Time     // they were given a turn
	changed chan struct{} // closed when one of these is another
	queue   chan struct{} // holds a token: they wait one behind the other
}

const (
	// quietShare is which part of what is read in a hurry the others may read. Of a line
	// of 1.2 times the bit rate of what is played it leaves enough to play.
	quietShare = 8
	quietTurn  = 64 << 10 // bytes: one sealed chunk
	mostCredit = 4 * quietTurn
	// slowestTurn is how long the others wait at most for a turn of theirs: a server
	// gives a connection up on which nothing moves.
	slowestTurn = 5 * time.Second
)

func newTurns() *turns {
	t := &turns{changed: make(chan struct{}), queue: make(chan struct{}, 1)}
	t.queue <- struct{}{}
	return t
}

// note changes something under the lock and wakes who waits.
func (t *turns) note(change func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	change()
	close(t.changed)
	t.changed = make(chan struct{})
}

// may tells whether a quiet reading may go on, and if not, what to wait for and how
// long. It takes the turn if so.
func (t *turns) may(now time.Time) (ok bool, changed <-chan struct{}, wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	wait = slowestTurn - now.Sub(t.last)
	switch {
	case t.urgent == 0:
	case t.credit > 0 || wait <= 0:
		t.credit -= quietTurn
	default:
		return false, t.changed, wait
	}
	t.credit, t.last = max(t.credit, -quietTurn), now
	return true, nil, 0
}

// free tells that nobody is in a hurry. Who reads then needs no token: to hand it on at each
// sealed chunk takes longer than to open that.
func (t *turns) free(now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.urgent > 0 {
		return false
	}
	t.last = now
	return true
}

// wait returns when a quiet reading has its turn, or somebody waits for it.
func (t *turns) wait(ctx context.Context, hurry <-chan struct{}) error {
	if t.free(time.Now()) {
		return ctx.Err()
	}
	select {
	case <-t.queue:
		defer func() { t.queue <- struct{}{} }()
	case <-hurry:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
	for {
		ok, changed, wait := t.may(time.Now())
		if ok {
			return nil
		}
		timer := time.NewTimer(wait)
		select {
		case <-changed:
		case <-timer.C:
		case <-hurry:
			timer.Stop()
			return nil
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
		timer.Stop()
	}
}

// errClosed: what was closed is read.
var errClosed = errors.New("closed")

// turn is one reading's part in the turns.
type turn struct {
	t      *turns
	ctx    context.Context //nolint:containedctx // of the reading
	hurry  <-chan struct{} // nil: urgent from the first
	urgent bool            // it counts as such
	closed bool
}

func (t *turns) of(ctx context.Context) *turn {
	return &turn{t: t, ctx: ctx, hurry: cache.Unhurried(ctx)}
}

// begin waits for the turn.
func (u *turn) begin() error {
	if u.closed {
		return errClosed
	}
	if !u.urgent && u.hurry != nil {
		if err := u.t.wait(u.ctx, u.hurry); err != nil {
			return err
		}
	}
	if !u.urgent && (u.hurry == nil || isClosed(u.hurry)) {
		u.urgent = true
		u.t.note(func() { u.t.urgent++ })
	}
	return nil
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// took notes what was read.
func (u *turn) took(n int) {
	if u.urgent && n > 0 {
		u.t.note(func() { u.t.credit = min(u.t.credit+int64(n)/quietShare, mostCredit) })
	}
}

// end is called once the reading is over, and may be called again.
func (u *turn) end() {
	if u.urgent {
		u.t.note(func() { u.t.urgent-- })
	}
	u.urgent, u.closed = false, true
}

// packTurn is the part in the turns of a pack that comes whole: it is in a hurry as long
// as somebody waits for something in it.
type packTurn struct{ u *turn }

// Next implements [repo.Pace].
func (p packTurn) Next(hurry <-chan struct{}) error {
	if u := p.u; u.urgent && !isClosed(hurry) {
		u.urgent = false
		u.t.note(func() { u.t.urgent-- })
	}
	p.u.hurry = hurry
	return p.u.begin()
}

// Took implements [repo.Pace].
func (p packTurn) Took(n int) { p.u.took(n) }

// End implements [repo.Pace].
func (p packTurn) End() { p.u.end() }
