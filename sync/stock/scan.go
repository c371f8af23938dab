package stock

import (
	"context"
	"slices"
	gosync "sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/cache"
)

// Packs are where small parts lie: tags, pictures, indexes, probes. Package sync
// implements it.
type Packs interface {
	// Absent gives the name and the size of the pack that a blob lies in, if it is
	// neither here nor on its way; else "".
	Absent(cache.Blob) (name string, size int64, err error)
	// Bring has the pack come whole; what somebody waits for goes first.
	Bring(context.Context, cache.Blob) error
	// Missed counts what was asked for of packs, and was not here.
	Missed() uint64
}

// Who looks into several files within moments, and plays none, scans: a player that
// indexes, a tagger that opens an album, an index of the desktop. It asks for one thing after
// another, so a line with a delay stands idle most of the time, unless what it will
// ask for is under way by then.
const (
	scanFiles  = 3               // looked into
	scanWithin = 2 * time.Second // of each other
	scanEnds   = 2 * time.Second // after the last

	// How far is gone ahead of who scans: a pack at first, and more with every file
	// that he looks into, so that little came for nothing if he ends soon.
	aheadFirst = 4 << 20   // bytes
	aheadFile  = 256 << 10 // for each file
	aheadMost  = 16 << 20
	aheadFiles = 1000
	packsOnce  = 4

	scanTick = time.Second / 4
)

// scanning looks whether somebody scans the drive, and fetches ahead of him.
func (s *Stock) scanning(ctx context.Context) {
	if s.o.Packs == nil {
		return
	}
	var seen sightings
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.c.Looked():
		}
		l := s.c.Looks()
		if !seen.scans(l, s.o.Packs.Missed(), time.Now()) {
			continue
		}
		rested, err := s.ahead(ctx, l)
		if err != nil && ctx.Err() == nil {
			s.log.Debug("what a scan will ask for is not fetched ahead of it", "err", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Until(rested)):
		}
	}
}

// sightings are what was seen of late.
type sightings struct {
	list []sighting
	last sighting
}

// sighting is what was counted by some time.
type sighting struct {
	at            time.Time
	files, missed uint64
}

// scans tells whether somebody scans what is not here, by what was seen within
// scanWithin.
func (s *sightings) scans(l cache.Looks, missed uint64, now time.Time) bool {
	s.list = append(s.list, sighting{now, s.last.files, s.last.missed}) // as it was before
	for now.Sub(s.list[0].at) > scanWithin {
		s.list = s.list[1:]
	}
	s.last = sighting{now, l.Files - l.Played, missed}
	first := s.list[0]
	return s.last.files >= first.files+scanFiles && (missed > first.missed || l.Waiting)
}

// ahead fetches ahead of who scans, from the file on that he looks into, until he ends.
// Where he goes elsewhere, it goes on from there: what is under way will be asked for, too, mostly.
// It tells when the names may be gone through again.
func (s *Stock) ahead(ctx context.Context, l cache.Looks) (rested time.Time, err error) {
	ctx, cancel := context.WithCancel(ctx)
	var g gosync.WaitGroup
	defer g.Wait()
	defer cancel()
	a := &advance{s: s, first: l.Files - scanFiles, known: map[string]bool{}, came: make(chan error, packsOnce)}
	if err := a.follow(l); err != nil {
		return a.rested, err
	}
	tick := time.NewTicker(scanTick)
	defer tick.Stop()
	last, strayed := time.Now(), 0
	for {
		if err := a.send(ctx, &g, l); err != nil {
			return a.rested, err
		}
		select {
		case <-ctx.Done():
			return a.rested, nil
		case err := <-a.came:
			a.under--
			if err != nil {
				return a.rested, err
			}
			continue
		case <-s.c.Looked():
		case <-tick.C:
		}
		now := s.c.Looks()
		if now.Files != l.Files || now.Waiting {
			last = time.Now()
		}
		switch {
		case now.Last == l.Last:
		case a.walk.has(now.Last):
			strayed = 0
		default:
			strayed++
		}
		if l = now; time.Since(last) > scanEnds {
			return a.rested, nil
		}
		if strayed >= scanFiles && time.Now().After(a.rested) {
			strayed = 0
			if err := a.follow(l); err != nil {
				return a.rested, err
			}
		}
	}
}

// advance is what was sent for ahead of one scan.
type advance struct {
	s      *Stock
	walk   *walk
	first  uint64          // files looked into before
	known  map[string]bool // packs
	ready  *sent           // the next to send for; nil if it is not known
	sent   []sent
	under  int // on their way
	came   chan error
	rested time.Time // the names may be gone through again
}

// follow begins to walk where somebody scans.
func (a *advance) follow(l cache.Looks) error {
	began := time.Now()
	w, err := walkFrom(a.s.c, l.Last)
	w.files = int(l.Files - a.first)
	a.walk, a.rested = w, time.Now().Add(rest*time.Since(began)) // it goes through all names of the drive
	return err
}

// sent is a pack and the file of the walk that it is for.
type sent struct {
	blob cache.Blob
	size int64
	file int
}

// send sends for the packs that are due.
func (a *advance) send(ctx context.Context, g *gosync.WaitGroup, l cache.Looks) error {
	done := int(l.Files - a.first)
	for a.under < packsOnce {
		if a.ready == nil {
			if err := a.find(done + aheadFiles); err != nil || a.ready == nil {
				return err
			}
		}
		a.sent = slices.DeleteFunc(a.sent, func(p sent) bool { return p.file <= done })
		var unused int64
		for _, p := range a.sent {
			unused += p.size
		}
		if unused > 0 && unused+a.ready.size > min(aheadFirst+int64(done)*aheadFile, aheadMost) {
			return nil
		}
		p := *a.ready
		a.sent, a.ready = append(a.sent, p), nil
		a.under++
		g.Go(func() { a.came <- a.s.o.Packs.Bring(ctx, p.blob) })
	}
	return nil
}

// find walks on to the next file of which a pack is absent, as far as a number of files.
func (a *advance) find(limit int) error {
	for a.walk.parts != nil || a.walk.files < limit {
		if a.walk.parts == nil {
			if more, err := a.walk.next(); err != nil || !more {
				return err
			}
		}
		for len(a.walk.parts) > 0 {
			b := a.walk.parts[0]
			a.walk.parts = a.walk.parts[1:]
			name, size, err := a.s.o.Packs.Absent(b)
			if err != nil {
				return err
			}
			if name != "" && !a.known[name] {
				a.known[name] = true
				a.ready = &sent{b, size, a.walk.files}
				return nil
			}
		}
		a.walk.parts = nil
	}
	return nil
}

// walk goes through the files of the drive, folder by folder, by name.
type walk struct {
	c     *cache.Cache
	rest  [][]cache.DirEntry // of each folder, from the top on
	files int                // walked, of the scan
	met   map[cache.Ino]bool // what the last folders hold
	older map[cache.Ino]bool // and those before
	parts []cache.Blob       // of the last, that were not looked at yet; nil if all were
}

// walkFrom begins with the folder that a file lies in.
func walkFrom(c *cache.Cache, ino cache.Ino) (*walk, error) {
	w := &walk{c: c, met: map[cache.Ino]bool{}}
	names, err := c.Where(ino)
	if err != nil || len(names) == 0 {
		return w, err
	}
	dir, name := names[0].Parent, ""
	for dir != 0 {
		list, err := w.list(dir)
		if err != nil {
			return w, err
		}
		for len(list) > 0 && list[0].Name <= name && name != "" {
			list = list[1:]
		}
		w.rest = append([][]cache.DirEntry{list}, w.rest...)
		if name, dir, err = c.DirName(dir); err != nil {
			return w, err
		}
	}
	return w, nil
}

// next goes on to the next file; false if there is none.
func (w *walk) next() (bool, error) {
	for len(w.rest) > 0 {
		top := len(w.rest) - 1
		if len(w.rest[top]) == 0 {
			w.rest = w.rest[:top]
			continue
		}
		e := w.rest[top][0]
		w.rest[top] = w.rest[top][1:]
		kind, err := w.c.Type(e.Ino)
		if err != nil {
			continue // removed meanwhile
		}
		switch kind {
		case unix.S_IFDIR:
			if list, err := w.list(e.Ino); err == nil {
				w.rest = append(w.rest, list)
			}
		case unix.S_IFREG:
			w.enter(e.Ino)
			return true, nil
		}
	}
	return false, nil
}

// list opens a folder. Who scans may go through it in another order.
func (w *walk) list(dir cache.Ino) ([]cache.DirEntry, error) {
	list, err := w.c.List(dir)
	if len(w.met) >= aheadFiles {
		w.older, w.met = w.met, map[cache.Ino]bool{}
	}
	for _, e := range list {
		w.met[e.Ino] = true
	}
	return list, err
}

// has tells whether a file lies in a folder that was come to of late.
func (w *walk) has(ino cache.Ino) bool { return w.met[ino] || w.older[ino] }

func (w *walk) enter(ino cache.Ino) {
	w.files++
	w.parts = []cache.Blob{}
	if _, whole := w.c.Here(ino); whole {
		return
	}
	r, _, err := w.c.RecipeOf(ino)
	if err != nil {
		return // removed meanwhile
	}
	for _, p := range r.Parts {
		if p.Kind != "audio" && p.Kind != "data" && !p.Owed {
			w.parts = append(w.parts, p.Blobs...)
		}
	}
}
