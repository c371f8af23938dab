package past

import (
	"context"
	"fmt"
	"slices"

	"github.com/tunesafe/tunesafe/internal/history"
	"github.com/tunesafe/tunesafe/internal/repo"
)

// Event is one step of what became of what lay at a path.
type Event struct {
	Rev   history.Rev
	Inode uint64
	Path  string         // after it; of the name before if it is gone
	Row   *repo.InodeRow // nil: gone
	Words []string       // what changed; none: it is as it was
}

// Story tells what became of everything that ever lay at a path, oldest first: the
// versions, and how it was renamed, before it lay there and afterwards.
func (p *Past) Story(ctx context.Context, db *history.DB, path string) ([]Event, error) {
	held, err := db.Along(path)
	if err != nil {
		return nil, err
	}
	s := &story{p: p, db: db, last: map[uint64]step{}, seen: map[uint64]bool{}}
	for _, h := range held {
		if err := s.life(h.Inode); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(s.steps, func(a, b step) int { return a.state.Rev.Compare(b.state.Rev) })
	for len(s.steps) > 0 {
		n := 1
		for n < len(s.steps) && s.steps[n].state.Rev == s.steps[0].state.Rev {
			n++
		}
		s.moment(ctx, s.steps[:n])
		s.steps = s.steps[n:]
	}
	return s.events, nil
}

type story struct {
	p      *Past
	db     *history.DB
	seen   map[uint64]bool
	steps  []step
	last   map[uint64]step // by inode
	events []Event
}

// step is a state of an inode, with its paths.
type step struct {
	ino   uint64
	state history.State
	paths []string
}

func (s *story) life(ino uint64) error {
	if s.seen[ino] {
		return nil
	}
	s.seen[ino] = true
	states, err := s.db.Life(ino)
	if err != nil {
		return err
	}
	for _, st := range states {
		one := step{ino: ino, state: st}
		for _, place := range st.Places {
			path, ok, err := s.db.At(st.Rev).Path(place)
			if err != nil {
				return err
			}
			if ok {
				one.paths = append(one.paths, path)
			}
		}
		s.steps = append(s.steps, one)
		if st.Row != nil && st.Row.Succeeds != 0 { // it was written anew over this one
			if err := s.life(st.Row.Succeeds); err != nil {
				return err
			}
		}
	}
	return nil
}

// moment tells what one commit did. What took the place of another is its next version.
func (s *story) moment(ctx context.Context, steps []step) {
	heir := map[uint64]uint64{} // by the inode that lost its name
	for _, now := range steps {
		for _, path := range now.paths {
			for _, other := range steps {
				was := s.last[other.ino]
				if other.ino != now.ino && slices.Contains(was.paths, path) && !slices.Contains(other.paths, path) && was.state.Row != nil {
					heir[other.ino] = now.ino
				}
			}
		}
	}
	for _, now := range steps {
		was, known := s.last[now.ino]
		from := was
		for old, by := range heir {
			if by == now.ino && len(was.paths) == 0 {
				from, known = s.last[old], true
			}
		}
		_, succeeded := heir[now.ino]
		if e, ok := s.event(ctx, from, now, known); ok && !(succeeded && len(now.paths) == 0) {
			s.events = append(s.events, e)
		}
	}
	for _, now := range steps {
		s.last[now.ino] = now
	}
}

func (s *story) event(ctx context.Context, was, now step, known bool) (Event, bool) {
	e := Event{Rev: now.state.Rev, Inode: now.ino, Row: now.state.Row}
	switch {
	case len(now.paths) == 0 && len(was.paths) == 0:
		return e, false // it has no name yet, or lost the last one before
	case len(now.paths) == 0:
		e.Path, e.Row, e.Words = was.paths[0], nil, []string{"removed"}
		return e, true
	case now.state.Row == nil:
		return e, false
	}
	e.Path = now.paths[0]
	switch {
	case !known || was.state.Row == nil:
		e.Words = []string{"added"}
		return e, true
	case len(was.paths) == 0:
		e.Words = append(e.Words, "brought back")
	case !slices.Equal(was.paths, now.paths):
		e.Words = append(e.Words, nameWords(was.paths, now.paths)...)
	}
	e.Words = append(e.Words, s.p.Words(ctx, was.state.Row, now.state.Row)...)
	return e, len(e.Words) > 0
}

// nameWords tells of names that were given and taken away.
func nameWords(was, is []string) (words []string) {
	lost := slices.DeleteFunc(slices.Clone(was), func(p string) bool { return slices.Contains(is, p) })
	got := slices.DeleteFunc(slices.Clone(is), func(p string) bool { return slices.Contains(was, p) })
	for i := range min(len(lost), len(got)) {
		words = append(words, fmt.Sprintf("renamed from %s to %s", lost[i], got[i]))
	}
	for _, p := range lost[min(len(lost), len(got)):] {
		words = append(words, "name removed: "+p)
	}
	for _, p := range got[min(len(lost), len(got)):] {
		words = append(words, "name added: "+p)
	}
	return words
}
