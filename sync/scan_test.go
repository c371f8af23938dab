package sync

import (
	"context"
	"encoding/binary"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tunesafe/tunesafe/internal/store"
	"github.com/tunesafe/tunesafe/sync/stock"
	"github.com/tunesafe/tunesafe/tests/tools"
)

// scanned is a cold home at the end of the line with a library that came in some
// nights, and the packs of small parts that it lies in.
type scanned struct {
	*listening
	files []string // in the order in which a program walks
	packs map[string]int64
	bytes int64 // of these
	end   func()
}

const (
	scanNights = 4
	scanAlbums = 3 // a night
	scanAlbum  = 12
	scanSound  = 300_000 // bytes a track
)

// taggedTrack has tags with the picture of its album, and a beginning that is its own.
func taggedTrack(rng *rand.Rand, track int) []byte {
	tag := id3(rng, track)
	p := append(wav(nil, 0), make([]byte, scanSound)...)
	copy(p[44:], hiss(rng, 8<<10))
	copy(p[len(p)-4<<10:], hiss(rng, 4<<10))
	binary.LittleEndian.PutUint32(p[4:], uint32(len(p)-8+len(tag)))
	binary.LittleEndian.PutUint32(p[40:], uint32(scanSound))
	return append(p, tag...)
}

// scan runs a test on the virtual clock. What is fetched ahead is, unless plain.
func scan(t *testing.T, plain bool, test func(*testing.T, *scanned)) {
	t.Helper()
	scanOf(t, scanNights, scanAlbums, plain, test)
}

// scanOf is scan of a library that came in so many nights of so many albums.
func scanOf(t *testing.T, nights, albums int, plain bool, test func(*testing.T, *scanned)) {
	t.Helper()
	warmUp.Do(func() { simWarmUp(t) })
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a := w.device("a")
		s := &scanned{packs: map[string]int64{}}
		for night := range nights {
			for i := range albums * scanAlbum {
				track := night*albums*scanAlbum + i
				s.files = append(s.files, fmt.Sprintf("%03d.wav", track))
				a.write(s.files[track], taggedTrack(rand.New(rand.NewPCG(5, uint64(track))), track))
			}
			a.wait()
		}
		a.close()
		l := &listening{device: w.device("b"), line: newDistant(w.st)}
		l.stop()
		l.closeFiles()
		l.line.rate = 4e6
		l.openWithoutPull(l.line)
		s.listening = l
		for row, err := range l.index.Objects() {
			if err != nil {
				t.Fatal(err)
			}
			if row.Raw == nil && row.Kind != "checkpoint" {
				s.packs[row.Name] = row.Size
				s.bytes += row.Size
			}
		}
		ahead := stock.Options{Cache: l.cache, Packs: l.fetch}
		if plain {
			ahead.Packs = nil
		}
		k, err := stock.New(ahead)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan struct{})
		go func() { k.Run(ctx); close(ended) }()
		s.end = func() { cancel(); <-ended }
		l.line.packs()
		l.line.counts()
		test(t, s)
		s.end()
		time.Sleep(time.Minute) // until nothing is under way
	})
}

// look reads what a scanner reads of a track, and thinks about it.
func (s *scanned) look(name string) {
	h := s.play(name)
	defer h.Release()
	s.took(h, 0, 4096)
	st := int64(44 + scanSound)
	s.took(h, st, int(s.sizeOf(name)-st))
	time.Sleep(3 * time.Millisecond)
}

func (s *scanned) sizeOf(name string) int64 {
	a, err := s.cache.Attr(s.ino(name))
	if err != nil {
		s.t.Fatal(err)
	}
	return a.Size
}

// TestScanFromAfar: who reads the tags of one track after another waits little longer
// than the packs need on the line; each comes once, and no sound.
func TestScanFromAfar(t *testing.T) {
	tools.StepByStep(t)
	var took [2]time.Duration
	for i, plain := range []bool{false, true} {
		scan(t, plain, func(t *testing.T, s *scanned) {
			began := time.Now()
			for _, name := range s.files {
				s.look(name)
			}
			took[i] = time.Since(began)
			if gets, _ := s.line.counts(); gets > 0 {
				t.Errorf("%d requests for sound", gets)
			}
			asked, bytes := s.line.packs()
			thinking := time.Duration(len(s.files)) * 3 * time.Millisecond
			line := s.onLine(s.bytes)
			t.Logf("figure: a scan of %d tracks in %d packs of %d bytes, at 4 MB/s and 30 ms (ahead: %v): %v, of which the line needs %v and the program %v; %d requests, %d bytes",
				len(s.files), len(s.packs), s.bytes, !plain, took[i], line, thinking, len(asked), bytes)
			if plain {
				return
			}
			if most := max(line, thinking)*5/4 + 10*s.line.latency; took[i] > most {
				t.Errorf("it took %v, over %v", took[i], most)
			}
			const alone = 256 << 10 // frames of the first track, before it is known for a scan
			if bytes > s.bytes*101/100+alone {
				t.Errorf("%d bytes came for %d", bytes, s.bytes)
			}
			if n := len(asked) - len(s.packs); n > 4 { // the first frames alone
				t.Errorf("%d requests for %d packs: %v", len(asked), len(s.packs), asked)
			}
		})
	}
	if took[0] > took[1]*3/4 {
		t.Errorf("fetching ahead it took %v, without %v", took[0], took[1])
	}
}

// TestScanInAnotherOrder: who goes through the albums in another order than they were backed
// up in brings each pack once, too: what he asks for lies far behind what came by then.
func TestScanInAnotherOrder(t *testing.T) {
	tools.StepByStep(t)
	scanOf(t, 1, 36, false, func(t *testing.T, s *scanned) {
		began := time.Now()
		albums := slices.Collect(slices.Chunk(s.files, scanAlbum))
		for i := range albums {
			for _, name := range albums[(i*7+20)%len(albums)] {
				s.look(name)
			}
		}
		took, line := time.Since(began), s.onLine(s.bytes)
		asked, bytes := s.line.packs()
		t.Logf("figure: a scan of %d tracks in %d packs of %d bytes, albums in another order: %v, of which the line needs %v; %d requests, %d bytes",
			len(s.files), len(s.packs), s.bytes, took, line, len(asked), bytes)
		if most := line + time.Duration(len(s.files))*3*time.Millisecond + 10*s.line.latency; took > most { // much is needed of all packs before the first albums are done
			t.Errorf("it took %v, over %v", took, most)
		}
		if bytes > s.bytes*105/100 {
			t.Errorf("%d bytes came for %d", bytes, s.bytes)
		}
	})
}

// TestScanThatStops: once nobody looks into files any more, nothing more is fetched but
// the rest of packs that somebody waited for.
func TestScanThatStops(t *testing.T) {
	scan(t, false, func(t *testing.T, s *scanned) {
		s.line.rate = 100e3
		for _, name := range s.files[:6] {
			s.look(name)
		}
		_, before := s.line.packs()
		time.Sleep(15 * time.Second)
		_, after := s.line.packs()
		time.Sleep(10 * time.Minute)
		asked, later := s.line.packs()
		t.Logf("figure: %d bytes came while 6 tracks were looked at, %d in the 15 s after, %d later; all are %d", before, after, later, s.bytes)
		if later > 0 || len(asked) > 0 {
			t.Errorf("%d bytes came for nobody, in %d requests", later, len(asked))
		}
	})
}

// TestPlayingIsNoScan: for who goes from track to track and plays each, no more is fetched
// of tags and pictures than he asks for.
func TestPlayingIsNoScan(t *testing.T) {
	tools.StepByStep(t)
	var came [2]int64
	for i, plain := range []bool{false, true} {
		scan(t, plain, func(t *testing.T, s *scanned) {
			for i := 0; i < len(s.files); i += 20 {
				h := s.play(s.files[i])
				for off := int64(0); off < 200_000; off += 50_000 {
					s.took(h, off, 50_000)
				}
				h.Release()
				time.Sleep(100 * time.Millisecond)
			}
			time.Sleep(time.Minute)
			_, came[i] = s.line.packs()
		})
	}
	if came[0] > came[1]*101/100 {
		t.Errorf("%d bytes of packs came, %d where nothing is fetched ahead", came[0], came[1])
	}
}

// TestScanBesidePlayer: somebody who plays does not run dry beside a scan, for which several
// packs at once are on their way.
func TestScanBesidePlayer(t *testing.T) {
	scan(t, false, func(t *testing.T, s *scanned) {
		const bitRate = 25e3
		s.line.rate = 4 * bitRate
		s.size = s.sizeOf(s.files[0])
		player := make(chan string, 1)
		go s.listener(s.files[0], bitRate, player)
		time.Sleep(3 * time.Second)
		go func() {
			for _, name := range s.files[1:] {
				s.look(name)
			}
			player <- "scanned"
		}()
		said := <-player
		if said == "scanned" {
			t.Error("the scan was over before the track: that shows nothing")
			said = <-player
		} else {
			defer func() { <-player }()
		}
		if said != "" {
			t.Error(said)
		}
	})
}

// farStore has listings wait for the line, too.
type farStore struct {
	*distantStore
	lists int
}

func (f *farStore) List(ctx context.Context, prefix, after string) iter.Seq2[store.Info, error] {
	time.Sleep(f.latency)
	<-f.link
	f.lists++
	f.link <- struct{}{}
	return f.Store.List(ctx, prefix, after)
}

// TestPullFromAfar: a taking-in waits for few answers one after the other, however many
// devices there are: the names of the devices, who they are and what they committed, the commits.
func TestPullFromAfar(t *testing.T) {
	tools.StepByStep(t)
	warmUp.Do(func() { simWarmUp(t) })
	for _, devices := range []int{1, 6} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			for i := range devices {
				d := w.device(fmt.Sprint("d", i))
				for n := range 2 {
					d.write(fmt.Sprintf("%d-%d", i, n), []byte(fmt.Sprint("text ", i, n)))
					d.wait()
				}
				d.close()
			}
			cold := w.device("cold")
			cold.close()
			cold.dir = t.TempDir()
			far := &farStore{distantStore: newDistant(w.st)}
			far.rate = 1e9
			cold.assemble(far)
			defer cold.closeFiles()
			for _, home := range []string{"cold", "warm"} {
				far.lists, far.asked = 0, nil
				began := time.Now()
				p, err := cold.w.Pull(context.Background())
				took := time.Since(began)
				if err != nil {
					t.Fatal(err)
				}
				t.Logf("figure: %s, %d other devices: %d commits taken in after %v, %d requests of which %d list", home, devices, p.Commits, took, len(far.asked)+far.lists, far.lists)
				if least := 2 * devices; home == "cold" && p.Commits < least || home == "warm" && p.Commits > 0 {
					t.Errorf("%s: %d commits, where %d were made at least", home, p.Commits, least)
				}
				if most := time.Duration(4+(p.Commits+7)/8)*far.latency + slack; took > most { // commits come eight at once
					t.Errorf("%s: it took %v, over %v", home, took, most)
				}
				if most := devices + 1 + 4; far.lists > most { // each log; devices, keys twice, checkpoints
					t.Errorf("%s: %d listings, over %d", home, far.lists, most)
				}
			}
		})
	}
}
