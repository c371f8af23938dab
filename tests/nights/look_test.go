package nights

import (
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/tunesafe/tunesafe/tests/drive"
	"github.com/tunesafe/tunesafe/tests/tools"
)

// requestsALook is what reading one track of the past may ask the store for: its tags, its
// picture and its sound.
const requestsALook = 3

// readTwice is how many commits a new home may read beside those behind the checkpoint: that
// itself, and some again as it enrols.
const readTwice = 5

// looks are albums of the past that were opened.
type looks struct {
	names            int
	list, read       []time.Duration
	listing, reading int64 // requests
	down             int64
}

// lookBack opens albums of nights at random on the drive, as a person would who looks for
// the tags of before, and all of one night.
func (y *years) lookBack() {
	y.t.Helper()
	m := y.model()
	last := m.lastOf(y.ledger)
	y.own.Reset()
	began := time.Now()
	y.Mount()
	figure(y.t, "mounted in %.2f s, %d requests", time.Since(began).Seconds(), y.own.Reset().Requests)
	tenth := max(2, len(y.ledger)/10)
	each := tools.Count(y.t, 3, 5, 20)
	groups := []struct {
		name     string
		from, to int // nights
	}{
		{"the first tenth", 0, tenth}, {"the middle", len(y.ledger)/2 - tenth/2, len(y.ledger)/2 + tenth/2}, {"the last tenth", len(y.ledger) - tenth, len(y.ledger)},
	}
	rng := rand.New(rand.NewPCG(y.music.seed, 1<<32))
	for _, g := range groups {
		l := looks{}
		states(y.ledger, func(n int, is map[string]string) {
			if n >= g.from && n < g.to {
				for range max(1, each/tenth+1) {
					y.look(&l, rng, filepath.Join(y.At, ".snapshots", m.snapshot(last[n]), filepath.Base(y.music.dir)), is)
				}
			}
		})
		l.tell(y.t, "nights of "+g.name)
		if l.listing > 0 || l.reading > int64(requestsALook*len(l.read)) {
			y.t.Errorf("albums of %s: %d requests to list them, %d to read a track of each of %d", g.name, l.listing, l.reading, len(l.read))
		}
	}
	y.walk(filepath.Join(y.At, ".snapshots", m.snapshot(last[len(last)/2])))
	y.memoryOf(y.Home, "the drive's process after that")
	y.Run("unmount", y.At)
}

// look opens an album as it was, and reads a track of it.
func (y *years) look(l *looks, rng *rand.Rand, at string, is map[string]string) {
	y.t.Helper()
	tracks := slices.Sorted(maps.Keys(is))
	track := tracks[rng.IntN(len(tracks))]
	album := path.Dir(track)
	y.own.Reset()
	began := time.Now()
	list, err := os.ReadDir(filepath.Join(at, album))
	y.must(err)
	for _, e := range list {
		_, err := e.Info()
		y.must(err)
	}
	l.list = append(l.list, time.Since(began))
	l.names += len(list)
	l.listing += y.own.Reset().Requests
	for _, e := range list {
		if p := path.Join(album, e.Name()); !e.IsDir() && is[p] == "" {
			y.t.Errorf("%s has %s, which was not there", at, p)
		}
	}
	began = time.Now()
	b, err := os.ReadFile(filepath.Join(at, track))
	y.must(err)
	l.read = append(l.read, time.Since(began))
	s := y.own.Reset()
	l.reading += s.Requests
	l.down += s.Down
	if sum := sha256.Sum256(b); hex.EncodeToString(sum[:]) != is[track] {
		y.t.Errorf("%s of %s has other bytes than it had", track, at)
	}
}

func (l *looks) tell(t testing.TB, what string) {
	t.Helper()
	n := len(l.list)
	figure(t, "%s: an album of %d of the tracks opened in %.1f ms, %.1f requests; a track read in %.1f ms, %.2f requests, %s (medians of %d)", what,
		l.names/n, ms(l.list), float64(l.listing)/float64(n), ms(l.read), float64(l.reading)/float64(n), humanize.IBytes(uint64(l.down)/uint64(n)), n)
}

// ms is the median, in milliseconds.
func ms(all []time.Duration) float64 {
	slices.Sort(all)
	return float64(all[len(all)/2]) / 1e6
}

// walk lists all of a night.
func (y *years) walk(dir string) {
	y.t.Helper()
	y.own.Reset()
	began, names := time.Now(), 0
	y.must(filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil {
			_, err = d.Info()
			names++
		}
		return err
	}))
	took := time.Since(began)
	figure(y.t, "all of a night, %d names, listed in %.2f s: %.3f ms a name, %d requests", names, took.Seconds(), took.Seconds()*1000/float64(names), y.own.Reset().Requests)
}

// memoryOf tells the most that the process of a drive took.
func (y *years) memoryOf(h *drive.Home, what string) {
	y.t.Helper()
	figure(y.t, "%s: %s of memory", what, size(peakMemory(h.Pid())))
}

// cold opens the drive in a home that has nothing but the recovery key, and looks back there.
func (y *years) cold() {
	y.t.Helper()
	key := filepath.Join(y.t.TempDir(), "recovery.key")
	b, err := os.ReadFile(filepath.Join(y.Home.Dir, "recovery.key"))
	y.must(err)
	y.must(os.WriteFile(key, b, 0o600))
	m := y.model()
	h := drive.New(y.t, y.server)
	y.own.Reset()
	began := time.Now()
	h.Adopt(y.own.URL, key)
	h.Mount()
	s := y.own.Reset()
	figure(y.t, "a new home is mounted in %.1f s: %d requests, %d of them for commits of %d, %s down", time.Since(began).Seconds(),
		s.Requests, s.PrefixOps["log/"]["GetObject"].Requests, len(m.commits), humanize.IBytes(uint64(s.Down)))
	if got := int(s.PrefixOps["log/"]["GetObject"].Requests); len(m.newestCheckpoints(1)) > 0 && got > len(m.commits)-m.checkpointed()+readTwice {
		y.t.Errorf("a new home read %d commits, though the newest checkpoint is commit %d of %d", got, m.checkpointed(), len(m.commits))
	}
	began = time.Now()
	list, err := os.ReadDir(filepath.Join(h.At, ".snapshots"))
	y.must(err)
	s = y.own.Reset()
	figure(y.t, "its first look at the past, %d snapshots: %.1f s, %d requests, %s down", len(list), time.Since(began).Seconds(), s.Requests, humanize.IBytes(uint64(s.Down)))
	l, last, n := looks{}, m.lastOf(y.ledger), len(y.ledger)-y.shape.kept
	rng := rand.New(rand.NewPCG(y.music.seed, 2<<32))
	states(y.ledger[:n+1], func(i int, is map[string]string) {
		for range 3 {
			if i == n {
				y.look(&l, rng, filepath.Join(h.At, ".snapshots", m.snapshot(last[n]), filepath.Base(y.music.dir)), is)
			}
		}
	})
	l.tell(y.t, "there, the oldest night that is kept")
	y.memoryOf(h, "its process")
	h.Run("unmount", h.At)
}

// checkpointed is the number of the newest checkpoint.
func (m *model) checkpointed() (seq int) {
	for _, c := range m.commits {
		if c.kind == "checkpoint" {
			seq = c.seq
		}
	}
	return seq
}
