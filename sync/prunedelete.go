package sync

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/tunesafe/tunesafe/internal/crashpoint"
	"github.com/tunesafe/tunesafe/internal/repo"
	"github.com/tunesafe/tunesafe/internal/store"
)

// silent finds up to which of our commits every other device has heard, and which
// devices hold up the deletion of what we condemned.
func (p *pruner) silent(ctx context.Context) error {
	w := p.w
	// Who enrolled since may have read the log before it said what is condemned. Who
	// enrols from here on reads that first.
	if err := p.devices(ctx); err != nil {
		return err
	}
	mine, err := p.mine()
	if err != nil {
		return err
	}
	newest := uint64(0)
	for _, seq := range mine {
		newest = max(newest, seq)
	}
	heads, err := p.o.History.Heads()
	if err != nil {
		return err
	}
	p.heard, p.WaitsFor = map[string]uint64{}, nil
	for _, device := range slices.Sorted(maps.Keys(p.certs)) {
		if device == w.o.Device.ID || p.certs[device].Retired != nil {
			continue
		}
		s := Silent{Device: device, Name: p.certs[device].Name}
		if head, ok := heads[device]; ok {
			c, err := repo.GetCommit(ctx, w.o.Store, w.o.Keys, p.certs, repo.CommitName(device, head))
			if err != nil {
				return err
			}
			p.heard[device], s.Since = c.Seen[w.o.Device.ID].Seq, c.Time
		} else {
			p.heard[device] = 0
		}
		if p.heard[device] < newest || p.o.DryRun && p.Condemned > 0 {
			p.WaitsFor = append(p.WaitsFor, s)
		}
	}
	return nil
}

// ownGrace makes the commit after the condemning one where no other device is to be
// waited for: an idle drive makes none, and nothing would ever be deleted. It is made only while our chain is as we left it, so that a copy of this
// home, which might use what was condemned, is noticed before anything is deleted.
func (p *pruner) ownGrace(ctx context.Context) error {
	if len(p.WaitsFor) > 0 {
		return nil
	}
	mine, err := p.mine()
	if err != nil || len(mine) == 0 {
		return err
	}
	own, err := p.w.ownHead()
	if err != nil {
		return err
	}
	for _, seq := range mine {
		if seq == own.Seq {
			return p.publish(ctx, &repo.Commit{})
		}
	}
	return nil
}

// deletable lists what this device condemned and whose grace has passed.
func (p *pruner) deletable() (rows []repo.CondemnRow, err error) {
	own, err := p.w.ownHead()
	if err != nil {
		return nil, err
	}
	all, err := p.w.o.Index.Condemned()
	for _, r := range all {
		heard := r.Device == p.w.o.Device.ID && r.Seq < own.Seq
		for _, seq := range p.heard {
			heard = heard && seq >= r.Seq
		}
		if heard {
			rows = append(rows, r)
		}
	}
	return rows, err
}

// deleteCondemned deletes what may be, after one more look at what is needed.
func (p *pruner) deleteCondemned(ctx context.Context) error {
	rows, err := p.deletable()
	if err != nil || len(rows) == 0 {
		return err
	}
	if err := p.catchUp(ctx); err != nil {
		return err
	}
	f, err := p.find(ctx)
	if err != nil {
		return err
	}
	needed := map[string]bool{}
	for _, u := range f.revived {
		needed[u.Object.Name] = true
	}
	var done []repo.DeletedRow
	denied := 0
	for _, r := range rows {
		if needed[r.Name] || p.put[r.Name] {
			continue // the next prune takes it back, or the one after it was taken in that it is used
		}
		if until := p.lockedUntil(r.Name); until.After(p.w.o.Now()) {
			p.locked(r, until)
			continue
		}
		if denied < maxDenied {
			err = p.w.o.Store.Delete(ctx, r.Name)
		}
		var locked *store.LockedError
		switch {
		case err == nil, errors.Is(err, store.ErrKept):
			denied = 0
			done = append(done, repo.DeletedRow{Name: r.Name, Size: r.Size})
			p.Deleted++
			p.DeletedBytes += r.Size
			if err != nil {
				p.Hidden++
				p.HiddenBytes += r.Size
				p.HiddenBy = err
			}
		case errors.As(err, &locked):
			p.locked(r, locked.Until)
		case errors.Is(err, store.ErrDenied):
			denied++
			p.Denied++
			p.DeniedBytes += r.Size
			p.DeniedBy = err
		default:
			return errors.Join(err, p.sayDeleted(ctx, done))
		}
	}
	crashpoint.At("prune.deleted")
	return p.sayDeleted(ctx, done)
}

// lockedUntil is what is known of an object's lock.
func (p *pruner) lockedUntil(object string) (until time.Time) {
	if p.o.LockedUntil != nil {
		until = p.o.LockedUntil(object)
	}
	return until
}

// locked notes an object that is left until its date: the next prune behind that
// deletes it.
func (p *pruner) locked(r repo.CondemnRow, until time.Time) {
	p.Locked++
	p.LockedBytes += r.Size
	if until.After(p.LockedUntil) {
		p.LockedUntil = until
	}
}

// sayDeleted commits what was deleted.
func (p *pruner) sayDeleted(ctx context.Context, rows []repo.DeletedRow) error {
	for chunk := range slices.Chunk(rows, condemnedAtOnce) {
		if err := p.publish(ctx, &repo.Commit{Deleted: chunk}); err != nil {
			return err
		}
	}
	return nil
}
