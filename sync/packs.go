package sync

import (
	"context"
	"slices"
	gosync "sync"
	"time"

	"github.com/tunesafe/tunesafe/internal/repo"
)

// How many bytes a pack holds before it is uploaded: enough that requests are few,
// little enough that a pack of each kind fits into memory. On a slow line it holds
// what gets through between two interruptions, as what is on its way then is sent
// again; less so while the line is not known.
const (
	fullPack  = 8 << 20
	firstPack = 4 << 20
	smallPack = 1 << 20

	// joinedPack is how much of all kinds together leaves as one object: the labour of a
	// night, with the pictures of an album or two. What is joined is kept on this disk for
	// good, as its tags and probes are, and pictures so much with them.
	joinedPack = 2 << 20
)

// packFull is the size that suits the line.
func (w *Worker) packFull() int64 {
	switch {
	case w.transfers() == 1 && w.o.Transfers > 1:
		return smallPack
	case w.line.get() == 0:
		return firstPack
	}
	return fullPack
}

// pack is a pack being filled.
type pack = repo.PackBuilder

// add puts a blob into the pack of its kind unless the bucket has it; a full
// pack is uploaded. Only the goroutine of Run calls it.
func (w *Worker) add(ctx context.Context, kind string, id repo.ID, blob []byte) error {
	_, ok, err := w.o.Index.Lookup(id)
	if err != nil || ok {
		return err
	}
	p := w.packs[kind]
	if w.packed(id) {
		return nil
	}
	if p != nil && (p.Len() > w.packFull() || !p.Fits(int64(len(blob)))) {
		if err := w.finishFull(ctx, kind); err != nil {
			return err
		}
		p = nil
	}
	if p == nil {
		p = repo.NewPack(w.o.Keys, kind)
		w.packs[kind] = p
	}
	p.Add(id, blob)
	w.small += int64(len(blob))
	return nil
}

// packed tells whether a blob is in a pack that the bucket does not have yet.
func (w *Worker) packed(id repo.ID) bool {
	for _, p := range w.packs {
		if p.Has(id) {
			return true
		}
	}
	return slices.ContainsFunc(w.leaving, func(p *pack) bool { return p.Has(id) })
}

// finishFull uploads the full pack of a kind; in a round of cuts, while the next
// files are cut.
func (w *Worker) finishFull(ctx context.Context, kind string) error {
	p := w.packs[kind]
	delete(w.packs, kind)
	if w.ahead != nil {
		w.leaving = append(w.leaving, p)
		w.finishPack(w.ahead, p)
		return nil // an error is the crew's
	}
	g := newCrew(ctx, 1)
	w.finishPack(g, p)
	return g.Wait()
}

// finishPacks uploads every pack that holds something, small ones as one object, and
// returns when those that are on their way have arrived, too. After an error all are
// dropped: the cuts that needed them are not accepted, and made again.
func (w *Worker) finishPacks(ctx context.Context) error {
	packs, g := repo.JoinPacks(w.packs, min(w.packFull(), joinedPack)), w.ahead
	clear(w.packs)
	w.ahead, w.leaving = nil, nil
	if g == nil {
		g = newCrew(ctx, w.transfers())
	}
	for _, p := range packs {
		w.finishPack(g, p)
	}
	return g.Wait()
}

// dropPacks forgets what was packed for cuts that are given up.
func (w *Worker) dropPacks() {
	clear(w.packs)
	if w.ahead != nil {
		_ = w.ahead.Wait() // what could be sent is acknowledged, and found by the next cut
	}
	w.ahead, w.leaving = nil, nil
}

// besideFilled is what is acquired of inFlight for n bytes that were gathered: what is
// full goes one after another, as the next is gathered meanwhile.
func besideFilled(n int64) int64 { return min(4*n, inFlight) }

// finishPack has the crew upload a pack. It waits for memory before.
func (w *Worker) finishPack(g *crew, p *pack) {
	n := besideFilled(p.Len())
	if err := w.flight.Acquire(g.ctx, n); err != nil {
		g.Go(func() error { return err })
		return
	}
	g.Go(func() error {
		defer w.flight.Release(n)
		s, row, err := p.Finish()
		if err != nil {
			return err
		}
		defer s.Release()
		return w.put(g.ctx, s, row)
	})
}

// letGo removes from this disk the packs that a commit says are deleted. One that stays,
// as the program died before, takes room and no more.
func (w *Worker) letGo(c *repo.Commit) {
	for _, row := range c.Deleted {
		w.o.Reader.Discard(row.Name)
	}
}

// scratch is memory for n bytes, good until the next call, for the goroutine of Run.
func (w *Worker) scratch(n int64) []byte {
	if int64(cap(w.scrap)) < n {
		w.scrap = make([]byte, n+n/4)
	}
	return w.scrap[:n]
}

// buffers lends memory for parts being read, as a first backup would make
// garbage of the whole library otherwise.
type buffers struct{ pool gosync.Pool }

// hashBuffer is how much is read at once for hashing, in bytes.
const hashBuffer = 256 << 10

// get returns at least n bytes.
func (b *buffers) get(n int64) []byte {
	if p, ok := b.pool.Get().(*[]byte); ok && int64(cap(*p)) >= n {
		return (*p)[:cap(*p)]
	}
	return make([]byte, n+n/4)
}

func (b *buffers) put(p []byte) { b.pool.Put(&p) }

// line measures how fast the bucket takes bytes.
type line struct {
	mu   gosync.Mutex
	rate float64 // bytes a second of one transfer, smoothed; 0: not known
}

func (l *line) note(n int, d time.Duration) {
	if d <= 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	r := float64(n) / d.Seconds()
	if l.rate > 0 {
		r = 0.7*l.rate + 0.3*r
	}
	l.rate = r
}

func (l *line) get() float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rate
}

// transfers is how many uploads go at once: one on a slow line, where more would
// only make each interruption cost more. What is known of the line from before
// the program was started last counts, too.
func (w *Worker) transfers() int {
	r, paced := w.line.get(), w.pace.rate()
	if r > 0 && r*float64(w.o.Transfers) < slowLine || paced > 0 && paced < slowLine {
		return 1
	}
	return w.o.Transfers
}

// rate is how fast the bucket takes the bytes of one transfer, 0 if not known.
func (w *Worker) rate() float64 {
	if r := w.line.get(); r > 0 {
		return r
	}
	return w.pace.rate()
}
