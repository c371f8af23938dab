package sync

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/history"
	"github.com/tunesafe/tunesafe/internal/repo"
)

// found is what a look at the repository finds.
type found struct {
	needs   *repo.Needs
	dead    []repo.CondemnRow
	sparse  []repo.Use // mostly dead; the rest is copied
	revived []repo.Use // condemned by us, and needed
	forget  map[string][]repo.Span
	moments int
	hints   []string // that lead to checkpoints which are kept no more
	copied  int64    // bytes of what is needed of sparse
	bytes   int64    // of dead, in the bucket
	orphans int64
	stored  int64
}

// find tells what is needed for nothing. It changes nothing.
func (p *pruner) find(ctx context.Context) (*found, error) {
	w := p.w
	f := &found{needs: w.o.Index.Needs()}
	f.needs.Doubt(p.cond)
	if err := p.past(ctx, f); err != nil {
		return nil, err
	}
	if err := w.cache.EachRecipe(func(r *cache.Recipe) error { return p.needRecipe(f, r) }); err != nil {
		return nil, err
	}
	checkpoints, err := p.checkpoints(ctx, f)
	if err != nil {
		return nil, err
	}
	uses, err := f.needs.Uses()
	if err != nil {
		return nil, err
	}
	mine, err := p.mine()
	if err != nil {
		return nil, err
	}
	if p.condemned, err = w.o.Index.Condemned(); err != nil {
		return nil, err
	}
	for _, u := range uses {
		name := u.Object.Name
		needed := u.Needed > 0
		if u.Object.Kind == repo.Checkpoint {
			needed = checkpoints[name]
		}
		switch {
		case u.Condemned && needed && mine[name] > 0:
			f.revived = append(f.revived, u)
		case u.Condemned && !needed && mine[name] == 0 && !p.cond[name] && p.ofRetired(name):
			f.condemn(name, u.Object.Size, "condemned by a device that is retired")
		case u.Condemned:
		case !needed:
			f.condemn(name, u.Object.Size, "nothing needs it")
		case u.Object.Kind != repo.Checkpoint && 2*u.NeededBytes < u.Bytes:
			f.sparse = append(f.sparse, u)
			f.copied += u.NeededBytes
			f.condemn(name, u.Object.Size, "little of it was needed, which is elsewhere now")
		}
		if !u.Condemned {
			f.stored += u.Object.Size
		}
	}
	return f, nil
}

func (f *found) condemn(name string, size int64, why string) {
	f.dead = append(f.dead, repo.CondemnRow{Name: name, Size: size, Why: why})
	f.bytes += size
}

// past marks what the kept moments of the past need, and finds those that are not kept.
func (p *pruner) past(ctx context.Context, f *found) error {
	moments, err := p.o.History.Moments()
	if err != nil {
		return err
	}
	f.moments = len(moments)
	times := make([]time.Time, len(moments))
	for i, m := range moments {
		times[i] = m.Rev.Time().Local()
	}
	var kept []history.Rev
	dropped := map[string][]repo.Span{}
	for i, keep := range p.o.Keep.Keep(times) {
		if r := moments[i].Rev; keep {
			kept = append(kept, r)
		} else {
			dropped[r.Device()] = append(dropped[r.Device()], repo.Span{First: r.Seq(), Last: r.Seq()})
		}
	}
	f.forget = joinSpans(dropped)
	now, err := p.w.stamp()
	if err != nil {
		return err
	}
	horizon := time.Time{}
	if p.o.Keep.None() && !p.o.Keep.Sound.IsZero() {
		horizon = p.o.Keep.Sound.Before(now)
	}
	for v, err := range p.o.History.EachVersion() {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		if !v.To.IsZero() && !heldAtOne(&v, kept) {
			continue
		}
		silent := !v.To.IsZero() && v.To.Time().Before(horizon)
		if err := needVersion(f.needs, &v.Row, !silent); err != nil {
			return err
		}
	}
	return nil
}

// heldAtOne tells whether a version held at one of the moments, which are sorted.
func heldAtOne(v *history.Version, moments []history.Rev) bool {
	i, _ := slices.BinarySearchFunc(moments, v.From, history.Rev.Compare)
	return i < len(moments) && v.HeldAt(moments[i])
}

// needVersion marks the blobs of a row, those of sound only if asked to.
func needVersion(n *repo.Needs, r *repo.InodeRow, sound bool) error {
	for _, part := range r.Parts {
		if !sound && isSound(part.Kind) {
			continue
		}
		for _, b := range part.Blobs {
			if !b.IsZeros() {
				if err := n.Add(b.ID); err != nil {
					return err
				}
			}
		}
	}
	if r.More != nil {
		return n.Add(r.More.ID)
	}
	return nil
}

// isSound tells whether parts of the kind are what is large and bought or ripped
// again, rather than somebody's labour.
func isSound(kind string) bool { return kind == repo.Audio || kind == repo.Data }

// needRecipe marks what a file here is made of.
func (p *pruner) needRecipe(f *found, r *cache.Recipe) error {
	for _, part := range r.Parts {
		for _, b := range part.Blobs {
			if !b.IsZeros() {
				if err := f.needs.Add(b.ID); err != nil {
					return err
				}
			}
		}
	}
	if r.More != nil {
		return f.needs.Add(r.More.ID)
	}
	return nil
}

// joinSpans sorts the numbers of each device and joins neighbours.
func joinSpans(by map[string][]repo.Span) map[string][]repo.Span {
	for device, spans := range by {
		slices.SortFunc(spans, func(a, b repo.Span) int { return int(int64(a.First) - int64(b.First)) })
		joined := spans[:1]
		for _, s := range spans[1:] {
			if last := &joined[len(joined)-1]; s.First <= last.Last+1 {
				last.Last = max(last.Last, s.Last)
			} else {
				joined = append(joined, s)
			}
		}
		by[device] = joined
	}
	return by
}

// checkpointsKept is how many checkpoints are kept: a reader takes the newest, and the
// one before should that be damaged.
const checkpointsKept = 2

// checkpoints names the objects that the newest checkpoints lie in, as their commits
// say: a reader begins with nothing else. f gets the hints that lead to older ones.
func (p *pruner) checkpoints(ctx context.Context, f *found) (map[string]bool, error) {
	w := p.w
	hints, err := repo.Hints(ctx, w.o.Store)
	if err != nil {
		return nil, err
	}
	needed := map[string]bool{}
	kept := 0
	for i := len(hints) - 1; i >= 0; i-- {
		if kept == checkpointsKept {
			f.hints = append(f.hints, hints[i].Object)
			continue
		}
		c, err := repo.GetCommit(ctx, w.o.Store, w.o.Keys, p.certs, hints[i].Commit)
		if errors.Is(err, repo.ErrMissing) || errors.Is(err, repo.ErrCorrupt) || errors.Is(err, repo.ErrSignature) {
			continue // leads nowhere
		}
		if err != nil {
			return nil, err
		}
		for _, row := range c.Puts {
			needed[row.Name] = true
		}
		kept++
	}
	return needed, nil
}

// leftoverAge is how old an object must be that no commit names to be taken for a
// leftover: another device may be uploading, or a copy of this home, of which nobody knows.
const leftoverAge = 24 * time.Hour

// leftovers finds objects that nobody names. Objects that this device uploaded are
// known by their acknowledgement.
func (p *pruner) leftovers(ctx context.Context, f *found) error {
	w := p.w
	own := map[string]bool{}
	for _, r := range w.o.Index.Unplaced() {
		own[r.Name] = true
	}
	condemned, err := w.o.Index.Condemned()
	if err != nil {
		return err
	}
	for _, r := range condemned {
		own[r.Name] = true
	}
	for _, folder := range []string{"audio/", "meta/"} {
		for info, err := range w.o.Store.List(ctx, folder, "") {
			if err != nil {
				return err
			}
			if own[info.Key] || p.put[info.Key] || p.cond[info.Key] || !repo.IsObject(info.Key) {
				continue
			}
			if w.o.Now().Sub(info.Time) < leftoverAge {
				continue
			}
			known, err := w.o.Index.Has(info.Key)
			if err != nil {
				return err
			}
			if !known {
				f.orphans++
				f.condemn(info.Key, info.Size, "no commit names it")
			}
		}
	}
	return nil
}

// ofRetired tells whether nobody but retired devices condemned an object: then no one
// would delete it.
func (p *pruner) ofRetired(name string) bool {
	at, _ := slices.BinarySearchFunc(p.condemned, name, func(r repo.CondemnRow, name string) int { return strings.Compare(r.Name, name) })
	for ; at < len(p.condemned) && p.condemned[at].Name == name; at++ {
		if cert, ok := p.certs[p.condemned[at].Device]; ok && cert.Retired == nil {
			return false
		}
	}
	return true
}

// mine gives the objects that this device condemned, and by which commit.
func (p *pruner) mine() (map[string]uint64, error) {
	rows, err := p.w.o.Index.Condemned()
	mine := map[string]uint64{}
	for _, r := range rows {
		if r.Device == p.w.o.Device.ID {
			mine[r.Name] = r.Seq
		}
	}
	return mine, err
}
