package nights

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"testing"

	"github.com/tunesafe/tunesafe/tests/musiclib"
	"github.com/tunesafe/tunesafe/tests/tools"
)

// music is the folder that is backed up, and what is known of it.
type music struct {
	t          testing.TB
	seed       uint64
	dir, shelf string            // shelf has the tracks that are yet to come
	is         map[string]string // path -> SHA-256, as it is now
}

// change is what a night changes.
type change struct {
	Set   map[string]string // path -> SHA-256 of what is new or has other bytes
	Gone  []string          // paths
	Added []string          // those of Set that came from the shelf
}

func newMusic(t testing.TB, dir, shelf string) *music {
	return &music{t: t, seed: uint64(tools.Seed(t)), dir: dir, shelf: shelf, is: map[string]string{}}
}

// make makes the library and the shelf: small tracks, most of them MP3s and a tenth of
// them of all kinds.
func (m *music) make(s shape) {
	m.t.Helper()
	const each = 10 // tracks of an album
	library := func(dir string, tracks int, plain bool, seed uint64) {
		o := musiclib.Options{Albums: max(1, tracks/each), TracksPerAlbum: each, TotalBytes: int64(tracks) * int64(s.bytes),
			ArtBytes: [2]int{2 << 10, 4 << 10}, Seed: seed, Plain: plain}
		if _, err := musiclib.Make(m.t.Context(), dir, o); err != nil {
			m.t.Fatal(err)
		}
		if err := os.Remove(filepath.Join(dir, "iTunes Library.xml")); err != nil {
			m.t.Fatal(err)
		}
	}
	library(filepath.Join(m.dir, "MP3"), s.tracks*9/10, true, 1)
	library(filepath.Join(m.dir, "Various"), s.tracks/10, false, 2)
	library(m.shelf, s.nights*s.comings*3/2, true, 3)
}

func (m *music) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

// all is the library as it is, as a change of nothing.
func (m *music) all() change {
	c := change{Set: map[string]string{}}
	for _, p := range tools.Tracks(m.t, m.dir) {
		c.Set[p] = m.sum(p)
	}
	m.apply(c)
	return c
}

// differs is the change from what is known of the library to what it is.
func (m *music) differs() change {
	was := m.is
	m.is = map[string]string{}
	c := m.all()
	maps.DeleteFunc(c.Set, func(p, sum string) bool { return was[p] == sum })
	for p := range was {
		if m.is[p] == "" {
			c.Gone = append(c.Gone, p)
		}
	}
	return c
}

func (m *music) sum(p string) string {
	m.t.Helper()
	b, err := os.ReadFile(filepath.Join(m.dir, p))
	m.must(err)
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

func (m *music) apply(c change) {
	for _, p := range c.Gone {
		delete(m.is, p)
	}
	maps.Copy(m.is, c.Set)
}

// change retags, adds, renames and deletes at random. What came some nights ago goes again,
// now and then all of it: an import that was regretted.
func (m *music) change(s shape, before []night) change {
	m.t.Helper()
	rng := rand.New(rand.NewPCG(m.seed, uint64(len(before))))
	c := change{Set: map[string]string{}}
	if k := len(before); k%4 == 3 {
		m.regret(&c, before[k-2].Added)
	}
	there := slices.DeleteFunc(slices.Sorted(maps.Keys(m.is)), func(p string) bool { return slices.Contains(c.Gone, p) })
	rng.Shuffle(len(there), func(i, j int) { there[i], there[j] = there[j], there[i] })
	take := func(n int) (some []string) { some, there = there[:n], there[n:]; return some }

	artists := map[string]string{}
	for _, p := range take(s.retags) {
		artists[p] = fmt.Sprintf("Artist %08x", rng.Uint32())
	}
	tools.RetagEach(m.t, m.dir, artists)
	for p := range artists {
		c.Set[p] = m.sum(p)
	}
	for _, p := range take(rng.IntN(2*s.comings + 1)) {
		c.Gone = append(c.Gone, p)
		m.must(os.Remove(filepath.Join(m.dir, p)))
	}
	for _, p := range take(rng.IntN(4)) {
		to := path.Join(path.Dir(p), fmt.Sprintf("renamed %08x", rng.Uint32())+path.Ext(p))
		m.must(os.Rename(filepath.Join(m.dir, p), filepath.Join(m.dir, to)))
		c.Gone = append(c.Gone, p)
		c.Set[to] = m.is[p]
	}
	m.add(&c, 1+rng.IntN(2*s.comings))
	m.apply(c)
	return c
}

// regret deletes what is left of an import.
func (m *music) regret(c *change, added []string) {
	m.t.Helper()
	for _, p := range added {
		if m.is[p] != "" {
			c.Gone = append(c.Gone, p)
			m.must(os.Remove(filepath.Join(m.dir, p)))
		}
	}
}

// add takes tracks from the shelf, in their order.
func (m *music) add(c *change, n int) {
	m.t.Helper()
	waiting := tools.Tracks(m.t, m.shelf)
	for _, p := range waiting[:min(n, len(waiting))] {
		to := path.Join("New", p)
		m.must(os.MkdirAll(filepath.Join(m.dir, path.Dir(to)), 0o755))
		m.must(os.Rename(filepath.Join(m.shelf, p), filepath.Join(m.dir, to)))
		c.Set[to] = m.sum(to)
		c.Added = append(c.Added, to)
	}
}

// states replays the ledger: fn gets the folder as it was after each night.
func states(ledger []night, fn func(n int, is map[string]string)) {
	is := map[string]string{}
	for i, n := range ledger {
		for _, p := range n.Gone {
			delete(is, p)
		}
		maps.Copy(is, n.Set)
		fn(i, is)
	}
}
