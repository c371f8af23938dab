package feed

import (
	"slices"
	"time"

	"github.com/tunesafe/tunesafe/cache"
)

// The brake keeps a disaster in the folder from becoming one in the backup. It
// looks at a whole run before anything is applied, counts what each [Kind] would
// do, and where that is over the [Limits] holds all of the kind: the place keeps
// the files as they were. Whatever else the run found is applied.
//
// What is held is looked at anew by every run. If its reason went away, as when a
// disk is mounted again, so does the hold. Otherwise somebody decides: what is
// approved is applied by the next run, and only that; what is rejected stays held,
// and nobody is asked again while no more than that is seen.
type brake struct {
	limits Limits
	of     int64 // files of the place
	seen   map[Kind]*seen
	held   map[Kind]map[cache.Ino]bool
}

// seen is what a run found of one kind.
type seen struct {
	inos   map[cache.Ino]bool
	sample []string
}

// sampled is how many paths of a kind are shown to people.
const sampled = 10

func newBrake(l Limits) *brake {
	return &brake{limits: l, seen: map[Kind]*seen{}, held: map[Kind]map[cache.Ino]bool{}}
}

// see notes a file of a kind.
func (b *brake) see(kind Kind, ino cache.Ino, path string) {
	n := b.seen[kind]
	if n == nil {
		n = &seen{inos: map[cache.Ino]bool{}}
		b.seen[kind] = n
	}
	if n.inos[ino] = true; len(n.sample) < sampled {
		n.sample = append(n.sample, path)
	}
}

// over tells whether so many files of a kind are more than a run applies unasked.
func (b *brake) over(kind Kind, n int64) bool {
	l := b.limits
	switch kind {
	case Gone:
		many := n > int64(l.GoneFiles) && float64(n) > l.GoneShare*float64(b.of)
		return many || n == b.of && n >= fewest
	case Emptied:
		return n >= int64(l.Emptied)
	case Rotten:
		return n >= int64(l.Rotten)
	case Encrypted:
		return n >= int64(l.Unreadable)
	case Library, Rot:
		return n > 0
	}
	return false
}

// fewest is how many files a place has at least of which all being gone is held.
const fewest = 10

// holds tells whether a file stays in the place as it is.
func (b *brake) holds(kind Kind, ino cache.Ino) bool { return b.held[kind][ino] }

// decide says what is held, given what was held and decided before, and returns
// what to remember.
func (b *brake) decide(before map[Kind]*hold, now time.Time) map[Kind]*hold {
	after := map[Kind]*hold{}
	for kind, n := range b.seen {
		if h := b.decideKind(kind, n, before[kind]); h != nil {
			h.Of = b.of
			if h.Since.IsZero() {
				h.Since = now
			}
			after[kind] = h
			b.held[kind] = h.set()
		}
	}
	return after
}

// decideKind gives what to hold of a kind, nil for nothing.
func (b *brake) decideKind(kind Kind, n *seen, before *hold) *hold {
	h := &hold{Sample: n.sample}
	if before == nil || before.Decision == "" {
		if !b.over(kind, int64(len(n.inos))) {
			return nil
		}
		if before != nil {
			h.Since = before.Since
		}
		h.Inos = sorted(n.inos)
		return h
	}
	decided := before.set()
	var more, again []cache.Ino
	for ino := range n.inos {
		if decided[ino] {
			again = append(again, ino)
		} else {
			more = append(more, ino)
		}
	}
	switch {
	case before.Decision == Approved && b.over(kind, int64(len(more))):
		h.Inos = more
	case before.Decision == Approved:
		return nil
	case b.over(kind, int64(len(more))):
		h.Inos = sorted(n.inos)
	case len(again) > 0:
		h.Inos, h.Decision, h.Since, h.Sample = again, Rejected, before.Since, before.Sample
	default:
		return nil
	}
	slices.Sort(h.Inos)
	return h
}

func sorted(inos map[cache.Ino]bool) []cache.Ino {
	list := make([]cache.Ino, 0, len(inos))
	for ino := range inos {
		list = append(list, ino)
	}
	slices.Sort(list)
	return list
}

// sizedName is what a file is known by that was copied and then removed.
type sizedName struct {
	name string
	size int64
}

// look shows the brake what the walk and the survey found. A file that is gone
// under one name and new under another, of the same size, counts as moved.
func (s *scan) look() error {
	copies := map[sizedName]int{}
	for _, f := range s.fresh {
		if f.from == nil && f.st.IsFile() {
			copies[sizedName{f.name, f.st.Size}]++
		}
	}
	s.brake.of = s.files
	err := s.goneFiles(func(ino cache.Ino, path string, e cache.FedEntry) {
		s.brake.of++
		if c := (sizedName{e.Name, e.Origin.Size}); copies[c] > 0 {
			copies[c]--
			return
		}
		s.brake.see(Gone, ino, path)
	})
	for _, p := range s.diff {
		if p.verdict.kind != "" && !p.moved {
			s.brake.see(p.verdict.kind, p.k.e.Ino, p.path())
		}
	}
	return err
}
