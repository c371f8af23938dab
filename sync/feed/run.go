package feed

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"time"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/folder"
)

const (
	defaultSettle = 2 * time.Second
	tries         = 3 // of a folder in which files change while they are looked at
)

// Run brings the place up to date once. An error means that nothing, or not all,
// was applied; what was applied is right, and the next run goes on from there.
func Run(ctx context.Context, o Options) (Report, error) {
	if o.Limits == (Limits{}) {
		o.Limits = DefaultLimits
	}
	switch {
	case o.DryRun:
		o.Settle = 0 // nothing is read that could change meanwhile
	case o.Settle == 0:
		o.Settle = defaultSettle
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.DryRun && o.Plan != nil {
		return run(ctx, &o, *o.Plan)
	}
	p, err := Find(o.Cache, o.Place)
	if err != nil {
		return Report{Place: o.Place}, err
	}
	return run(ctx, &o, p)
}

// run scans until no file is caught in the midst of a change, or it was tried
// often enough.
func run(ctx context.Context, o *Options, p cache.Place) (sum Report, err error) {
	tell := &teller{to: o.Progress}
	for try := 1; ; try++ {
		s := newScan(ctx, o, p, tell)
		tell.begin()
		err := s.once()
		sum = sum.with(s.rep)
		if err != nil {
			return sum, err
		}
		if len(s.young) == 0 || o.DryRun {
			break
		}
		if try == tries {
			sum.Busy = s.young
			break
		}
		tell.phase(PhaseSettle)
		select {
		case <-ctx.Done():
			return sum, ctx.Err()
		case <-time.After(o.Settle):
		}
	}
	if o.After != nil && !o.DryRun {
		err = o.After(ctx)
	}
	return sum, err
}

func newScan(ctx context.Context, o *Options, p cache.Place, tell *teller) *scan {
	return &scan{o: o, ctx: ctx, place: p, tell: tell, now: time.Now(), rep: &Report{Place: p.Name, Root: p.Root},
		links: map[fileID]cache.Ino{}, claimed: map[nameID]*found{}, moved: map[nameID]nameID{}, vacated: map[nameID]bool{},
		brake: newBrake(o.Limits), feed: o.Cache.Feed(p)}
}

// with adds what a later scan of the same run did, and takes over what it saw.
func (r Report) with(n *Report) Report {
	sum := *n
	if r.Root != "" { // what was taken in by the scan before is unchanged now
		sum.Unchanged = r.Unchanged
	}
	sum.New += r.New
	sum.NewBytes += r.NewBytes
	sum.Changed += r.Changed
	sum.Attributes += r.Attributes
	sum.Moved += r.Moved
	sum.Gone += r.Gone
	return sum
}

// once scans, decides and applies.
func (s *scan) once() (err error) {
	rec, err := loadRecord(s.o.Cache, s.place.Dir)
	if err != nil {
		return err
	}
	s.libraries.Whole = rec.Whole
	s.suspects, s.suspected = (&hold{Inos: rec.Suspects}).set(), map[cache.Ino]bool{}
	s.rotten = heldFor(rec.Held, Rot, Rotten)
	s.root, err = folder.Open(s.place.Root, folder.Options{
		Exclude: s.place.Exclude, Avoid: s.o.Avoid, CrossDevice: rec.CrossDevice,
	})
	if err != nil {
		return err
	}
	defer s.root.Close()
	defer s.letGo()
	for _, step := range []func() error{s.walk, s.resolve, s.survey, s.look} {
		if err := step(); err != nil {
			return err
		}
	}
	before := rec.Held
	after := s.brake.decide(before, s.now)
	if s.o.DryRun {
		s.rep.Held = (&record{Held: after}).held()
		return s.tally()
	}
	rec.Held = stillHeld(before, after)
	if err := rec.store(s.o.Cache, s.place.Dir); err != nil {
		return err
	}
	if err := errors.Join(s.apply(), s.applyTop()); err != nil {
		return err
	}
	rec.Held, rec.Whole, rec.Last, rec.Suspects = after, s.libraries.Whole, time.Now(), sorted(s.suspected)
	s.rep.Held = rec.held()
	return rec.store(s.o.Cache, s.place.Dir)
}

// heldFor gives the files that are held for one of these reasons.
func heldFor(held map[Kind]*hold, kinds ...Kind) map[cache.Ino]bool {
	all := map[cache.Ino]bool{}
	for _, kind := range kinds {
		if h := held[kind]; h != nil {
			maps.Copy(all, h.set())
		}
	}
	return all
}

// stillHeld is what to remember while changes are applied: an approval holds until
// all of it was.
func stillHeld(before, after map[Kind]*hold) map[Kind]*hold {
	m := map[Kind]*hold{}
	for kind, h := range before {
		if h.Decision == Approved {
			m[kind] = h
		}
	}
	for kind, h := range after {
		m[kind] = h
	}
	return m
}

// applyTop updates the attributes of the place's own folder.
func (s *scan) applyTop() error {
	a, err := s.o.Cache.Attr(s.place.Dir)
	if err != nil {
		return err
	}
	st := s.root.Stat()
	d, err := s.dirAt("")
	if err != nil {
		return err
	}
	if a.Mode == st.Mode && a.UID == st.UID && a.GID == st.GID && a.Mtime.Equal(st.Mtime()) && a.Ctime.Equal(st.Ctime()) && len(s.dirs)+len(s.fresh) == 0 {
		return nil
	}
	o, err := topOutside(st, d)
	if err != nil {
		return err
	}
	return s.feed.Update(s.place.Dir, o, false)
}

func topOutside(st folder.Stat, d *folder.Dir) (o cache.Outside, err error) {
	o = cache.Outside{Mode: st.Mode, UID: st.UID, GID: st.GID, Mtime: st.Mtime(), Origin: originOf(st)}
	o.Xattrs, err = d.Xattrs("")
	return o, err
}

// tally counts what a run would apply.
func (s *scan) tally() error {
	count := func(f *found) error {
		switch {
		case f.from != nil:
			s.rep.Moved++
		case !f.st.IsDir():
			s.rep.New++
			s.rep.NewBytes += f.st.Size
		}
		return nil
	}
	for _, f := range s.fresh {
		_ = count(f) // which never fails
		if f.rules == nil {
			continue
		}
		if err := s.eachNew(f, f.rules, count); err != nil {
			return err
		}
	}
	for _, p := range s.diff {
		switch {
		case p.moved || p.verdict.skip || s.brake.holds(p.verdict.kind, p.k.e.Ino):
		case p.verdict.touched:
			s.countTouched(p)
		default:
			s.rep.Changed++
			s.rep.NewBytes += p.st.Size
		}
	}
	s.rep.Busy = s.young
	return s.goneFiles(func(ino cache.Ino, _ string, _ cache.FedEntry) {
		if !s.brake.holds(Gone, ino) {
			s.rep.Gone++
		}
	})
}
