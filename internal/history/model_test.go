package history

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/internal/repo"
	"github.com/tunesafe/tunesafe/tests/tools"
)

// state is the drive by replaying rows one after another, as a reader of the format
// does that keeps no history.
type state struct {
	rows  map[uint64]repo.InodeRow
	since map[uint64]Rev
	names map[Place]uint64
}

// replay applies commits in the order of their revs.
func replay(commits []*repo.Commit, upTo Rev) *state {
	s := &state{rows: map[uint64]repo.InodeRow{}, since: map[uint64]Rev{}, names: map[Place]uint64{}}
	commits = slices.Clone(commits)
	slices.SortFunc(commits, func(a, b *repo.Commit) int {
		return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.Device, b.Device), cmp.Compare(a.Seq, b.Seq))
	})
	for _, c := range commits {
		if RevOf(c).Compare(upTo) > 0 {
			break
		}
		for _, r := range c.Inodes {
			if old, ok := s.rows[r.Inode]; ok && old.In != 0 && s.names[Place{old.In, old.Name}] == r.Inode {
				delete(s.names, Place{old.In, old.Name})
			}
			delete(s.rows, r.Inode)
			if r.Gone {
				continue
			}
			s.rows[r.Inode], s.since[r.Inode] = r, RevOf(c)
			if r.In != 0 {
				s.names[Place{r.In, r.Name}] = r.Inode
			}
		}
		for _, n := range c.Names {
			p := Place{n.In, n.Name}
			switch {
			case n.Inode != 0:
				s.names[p] = n.Inode
			case s.rows[s.names[p]].Type != "dir":
				delete(s.names, p)
			}
		}
	}
	return s
}

// list gives the names of a folder as [View.List] does.
func (s *state) list(dir uint64) (all []Entry) {
	for p, ino := range s.names {
		if row, ok := s.rows[ino]; ok && p.In == dir {
			all = append(all, Entry{p.Name, ino, row.Type, s.since[ino]})
		}
	}
	slices.SortFunc(all, func(a, b Entry) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

const (
	modelDirs   = 6 // inodes 1 to 6 are folders
	modelInodes = 16
)

var modelNames = []string{"a", "a\xff", "b", "ab", "\x01"}

// generator makes commits of several devices.
type generator struct {
	r     *rand.Rand
	heads map[string]repo.Head
	times map[string]time.Time
}

func (g *generator) commit(device string) *repo.Commit {
	g.times[device] = g.times[device].Add(time.Duration(g.r.IntN(4)) * time.Millisecond)
	head := g.heads[device]
	c := &repo.Commit{Kind: repo.Changes, Device: device, Seq: head.Seq + 1, Prev: head.SHA, Time: g.times[device]}
	c.Name = fmt.Sprintf("log/%s/%016d-%016x%048x.age", device, c.Seq, g.r.Uint64(), 0)
	g.heads[device] = c.Head()
	taken := map[Place]bool{}
	had := map[uint64]bool{}
	for range g.r.IntN(4) {
		r := g.inode()
		if p := (Place{r.In, r.Name}); !had[r.Inode] && !taken[p] {
			had[r.Inode] = true
			taken[p] = r.In != 0
			c.Inodes = append(c.Inodes, r)
		}
	}
	for range g.r.IntN(4) {
		n := repo.NameRow{In: 1 + g.r.Uint64N(modelDirs), Name: modelNames[g.r.IntN(len(modelNames))]}
		p := Place{n.In, n.Name}
		if g.r.IntN(3) > 0 && !taken[p] {
			n.Inode = modelDirs + 1 + g.r.Uint64N(modelInodes-modelDirs)
		}
		if had[1000+n.In*10+uint64(len(n.Name))] {
			continue // one row a name and commit
		}
		had[1000+n.In*10+uint64(len(n.Name))] = true
		c.Names = append(c.Names, n)
	}
	return c
}

func (g *generator) inode() repo.InodeRow {
	ino := 1 + g.r.Uint64N(modelInodes)
	r := repo.InodeRow{Inode: ino, Mode: uint32(g.r.IntN(0o1000)), Mtime: time.Unix(g.r.Int64N(1e9), 0), Type: "file"}
	if ino <= modelDirs {
		r.Type = "dir"
	}
	switch {
	case ino == 1:
	case g.r.IntN(4) == 0:
		return repo.InodeRow{Inode: ino, Gone: true}
	case r.Type == "dir":
		r.In, r.Name = 1+g.r.Uint64N(modelDirs), modelNames[g.r.IntN(len(modelNames))]
	}
	return r
}

// TestModel adds commits of three devices, each device's in its order but between
// the devices in any, so that many apply before some that are known, and compares
// the past with replays.
func TestModel(t *testing.T) {
	seed := tools.Seed(t)
	for round := range tools.Count(t, 5, 30, 300) {
		g := &generator{rand.New(rand.NewPCG(uint64(seed), uint64(round))), map[string]repo.Head{}, map[string]time.Time{}}
		var queues [3][]*repo.Commit
		for i := range queues {
			device := fmt.Sprintf("%016x", g.r.Uint64()>>1)
			g.times[device] = time.UnixMilli(1e12)
			for range 1 + g.r.IntN(30) {
				queues[i] = append(queues[i], g.commit(device))
			}
		}
		path := filepath.Join(t.TempDir(), "history.db")
		d := open1(t, path)
		var known []*repo.Commit
		for len(queues[0])+len(queues[1])+len(queues[2]) > 0 {
			q := &queues[g.r.IntN(3)]
			n := min(len(*q), 1+g.r.IntN(5))
			if err := d.Add((*q)[:n]...); err != nil {
				t.Fatal(err)
			}
			known = append(known, (*q)[:n]...)
			*q = (*q)[n:]
			if len(known) > 0 && g.r.IntN(3) == 0 {
				c := known[g.r.IntN(len(known))]
				if err := d.Add(c); err != nil { // once more
					t.Fatal(err)
				}
				comparePast(t, d, known, RevOf(c))
			}
			if g.r.IntN(8) == 0 {
				if err := d.Close(); err != nil {
					t.Fatal(err)
				}
				d = open1(t, path)
			}
		}
		for _, c := range known {
			comparePast(t, d, known, RevOf(c))
		}
		compareVersions(t, d, known)
		if t.Failed() {
			t.Fatalf("seed %d, round %d", seed, round)
		}
	}
}

func open1(t *testing.T, path string) *DB {
	t.Helper()
	d, err := Open(path, "repository")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// comparePast compares one moment with its replay.
func comparePast(t *testing.T, d *DB, known []*repo.Commit, rev Rev) {
	t.Helper()
	want, v := replay(known, rev), d.At(rev)
	for ino := uint64(1); ino <= modelInodes; ino++ {
		row, since, err := v.Inode(ino)
		model, ok := want.rows[ino]
		if ok != (err == nil) || err != nil && !errors.Is(err, ErrNotExist) || ok && (since != want.since[ino] || !sameRow(row, model)) {
			t.Errorf("inode %d at %s: %+v since %s, %v; want %+v since %s", ino, rev, row, since, err, model, want.since[ino])
		}
		places, err := v.Names(ino)
		if err != nil {
			t.Fatal(err)
		}
		var expected []Place
		for p, at := range want.names {
			if at == ino && ok {
				expected = append(expected, p)
			}
		}
		if !samePlaces(places, expected) {
			t.Errorf("inode %d at %s lies at %v, want %v", ino, rev, places, expected)
		}
	}
	for dir := uint64(1); dir <= modelDirs; dir++ {
		got, err := v.List(dir)
		if err != nil || !slices.Equal(got, want.list(dir)) {
			t.Errorf("folder %d at %s: %v, %v; want %v", dir, rev, got, err, want.list(dir))
		}
		for _, name := range modelNames {
			e, err := v.Lookup(dir, name)
			i := slices.IndexFunc(want.list(dir), func(e Entry) bool { return e.Name == name })
			if (i >= 0) != (err == nil) || i >= 0 && e != want.list(dir)[i] {
				t.Errorf("%d/%q at %s: %v, %v", dir, name, rev, e, err)
			}
		}
	}
}

func samePlaces(a, b []Place) bool {
	set := func(all []Place) map[Place]bool {
		m := map[Place]bool{}
		for _, p := range all {
			m[p] = true
		}
		return m
	}
	return len(a) == len(b) && maps.Equal(set(a), set(b))
}

func sameRow(a, b repo.InodeRow) bool {
	same := a.Mtime.Equal(b.Mtime)
	a.Mtime, b.Mtime = time.Time{}, time.Time{}
	return same && reflect.DeepEqual(a, b)
}

// compareVersions compares what goes along an inode, and along a name, with the replays
// of all moments.
func compareVersions(t *testing.T, d *DB, known []*repo.Commit) {
	t.Helper()
	byInode := map[uint64][]Version{}
	for v, err := range d.EachVersion() {
		if err != nil {
			t.Fatal(err)
		}
		byInode[v.Row.Inode] = append(byInode[v.Row.Inode], v)
	}
	for ino := uint64(1); ino <= modelInodes; ino++ {
		all, err := d.Versions(ino)
		if err != nil || !reflect.DeepEqual(all, byInode[ino]) {
			t.Errorf("versions of %d: %v, %v; of each: %v", ino, all, err, byInode[ino])
		}
	}
	for _, c := range known {
		rev := RevOf(c)
		want := replay(known, rev)
		for ino := uint64(1); ino <= modelInodes; ino++ {
			i := slices.IndexFunc(byInode[ino], func(v Version) bool { return v.HeldAt(rev) })
			model, ok := want.rows[ino]
			if ok != (i >= 0) || ok && (byInode[ino][i].From != want.since[ino] || !sameRow(byInode[ino][i].Row, model)) {
				t.Errorf("inode %d at %s: version %d of %v, want %+v", ino, rev, i, byInode[ino], model)
			}
		}
		compareLives(t, d, want, rev)
		for dir := uint64(1); dir <= modelDirs; dir++ {
			list := want.list(dir)
			for _, name := range modelNames {
				all, err := d.Holdings(dir, name)
				if err != nil {
					t.Fatal(err)
				}
				i := slices.IndexFunc(all, func(h Holding) bool { return (&Version{From: h.From, To: h.To}).HeldAt(rev) })
				j := slices.IndexFunc(list, func(e Entry) bool { return e.Name == name })
				if (i >= 0) != (j >= 0) || i >= 0 && all[i].Inode != list[j].Inode {
					t.Errorf("%d/%q at %s: %d of %v, want %v", dir, name, rev, i, all, list)
				}
			}
		}
	}
}

// compareLives compares what goes along an inode with its names, and along a path.
func compareLives(t *testing.T, d *DB, want *state, rev Rev) {
	t.Helper()
	for ino := uint64(1); ino <= modelInodes; ino++ {
		all, err := d.Life(ino)
		if err != nil {
			t.Fatal(err)
		}
		last := State{}
		for _, s := range all {
			if s.Rev.Compare(rev) <= 0 {
				last = s
			}
		}
		var expected []Place
		model, ok := want.rows[ino]
		for p, at := range want.names {
			if at == ino && ok {
				expected = append(expected, p)
			}
		}
		if ok != (last.Row != nil) || ok && !sameRow(*last.Row, model) || !samePlaces(last.Places, expected) {
			t.Errorf("inode %d at %s: %+v, want %+v at %v", ino, rev, last, model, expected)
		}
	}
	for _, a := range want.list(1) {
		for _, b := range append(want.list(a.Inode), Entry{Name: "nothing"}) {
			all, err := d.Along(a.Name + "/" + b.Name)
			if err != nil {
				t.Fatal(err)
			}
			i := slices.IndexFunc(all, func(h Holding) bool { return (&Version{From: h.From, To: h.To}).HeldAt(rev) })
			if (i >= 0) != (b.Inode > 0) || i >= 0 && all[i].Inode != b.Inode {
				t.Errorf("%q/%q at %s: %d of %v, want %v", a.Name, b.Name, rev, i, all, b)
			}
		}
	}
}
