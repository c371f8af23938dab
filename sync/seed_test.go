package sync

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/repo"
	"github.com/tunesafe/tunesafe/internal/store"
	"github.com/tunesafe/tunesafe/tests/tools"
)

// The case Tunesafe was thought out for, in 2006: a library of 23.4 GB, a line that
// takes 36 kB a second, and a computer that is on for eight hours a night.
const (
	seedTracks  = 5000
	seedBytes   = 23_400_000_000
	seedLine    = 36_000 // bytes a second
	seedNight   = 8 * time.Hour
	seedLatency = 100 * time.Millisecond // of a request
	seedAlbum   = 12                     // tracks with one picture
	seedArt     = 40_000                 // bytes of it
)

// TestFirstBackupOverNights runs the real worker against a line that exists only on
// a virtual clock. Each morning the program is ended wherever it is, and what was
// under way is lost. The tracks are files of full length, mostly holes, each with
// sound of its own.
//
// The quick run has a twentieth of the tracks and nights of two hours, so that
// there are mornings in it: each weighs four times as much then. The others are
// the whole case.
func TestFirstBackupOverNights(t *testing.T) {
	tools.StepByStep(t)
	share, night := 20, seedNight/4
	if tools.Tier() != "ci" {
		share, night = 1, seedNight
	}
	warmUp.Do(func() { simWarmUp(t) })
	cryptotest.SetGlobalRandom(t, 2006)
	dir := simDir(t)
	synctest.Test(t, func(t *testing.T) {
		n := &nights{t: t, world: newWorld(t), night: night, rng: rand.New(rand.NewPCG(2006, 36))}
		n.line = &nightLine{Store: n.world.mem, turn: make(chan struct{}, 1)}
		n.makeLibrary(dir, seedTracks/share, seedBytes/int64(share))
		n.run()
		n.judge()
	})
}

// nightLine is the bucket behind the line. It keeps all but sound, whose bytes
// nobody asks for again.
type nightLine struct {
	store.Store
	turn        chan struct{} // a mutex would stop the virtual clock
	sent, wrong float64       // bytes; wrong was of uploads that broke off
	sounds      int
}

func (l *nightLine) Put(ctx context.Context, key string, body []byte) error {
	l.turn <- struct{}{} // one line: what is sent at once waits for each other
	defer func() { <-l.turn }()
	took := time.Duration(float64(len(body)) / seedLine * float64(time.Second))
	begun := time.Now()
	select {
	case <-ctx.Done():
		broken := min(time.Since(begun), took).Seconds() * seedLine
		l.sent, l.wrong = l.sent+broken, l.wrong+broken
		return ctx.Err()
	case <-time.After(took + seedLatency):
	}
	l.sent += float64(len(body))
	if strings.HasPrefix(key, "audio/") {
		l.sounds++
		return nil
	}
	return l.Store.Put(ctx, key, body)
}

// nights is one run.
type nights struct {
	t     *testing.T
	world *world
	line  *nightLine
	d     *device
	rng   *rand.Rand
	night time.Duration

	begun   time.Time
	on      time.Duration // for how long the program ran
	bytes   int64
	tracks  int
	labour  time.Duration // running time until all labour was safe
	retag   time.Duration // from a retag amid the sound until it was safe
	safe    time.Duration // running time until all was
	morning int           // amid an upload
	left    []string      // what status said, a week each
}

func (n *nights) makeLibrary(dir string, tracks int, bytes int64) {
	n.t.Helper()
	dev, err := repo.Enrol(context.Background(), n.world.mem, n.world.keys, n.world.root, "home")
	if err != nil {
		n.t.Fatal(err)
	}
	n.d = &device{t: n.t, dir: dir, keys: n.world.keys, dev: dev, settle: 3 * time.Second, checkpoint: 1000}
	n.tracks = tracks
	n.d.assemble(n.line)
	for i := range tracks {
		size := bytes / int64(tracks) * int64(50+n.rng.IntN(101)) / 100
		if left := (bytes - n.bytes) / int64(tracks-i); i > tracks*9/10 {
			size = left // so that all together have the length wanted
		}
		n.makeTrack(fmt.Sprintf("%04d.wav", i), size, i)
		n.bytes += size
	}
	n.d.closeFiles()
}

// makeTrack writes a track of a length without its bytes, but for what tells it
// from others: its tags, with the picture of its album, and hiss where a scanner
// looks and in the midst of the sound.
func (n *nights) makeTrack(name string, size int64, i int) {
	n.t.Helper()
	tag := id3(n.rng, i)
	head := wav(nil, 0)
	sound := (size - int64(len(head)) - int64(len(tag))) &^ 1
	binary.LittleEndian.PutUint32(head[4:], uint32(int64(len(head))-8+sound+int64(len(tag))))
	binary.LittleEndian.PutUint32(head[40:], uint32(sound))
	_, h, err := n.d.cache.Create(cache.Root, name, 0o644, cache.Owner{}, cache.OpenFlags{Write: true})
	if err != nil {
		n.t.Fatal(err)
	}
	start := int64(len(head))
	for _, w := range []struct {
		at int64
		p  []byte
	}{{0, head}, {start, hiss(n.rng, 8<<10)}, {start + sound/2, hiss(n.rng, 16)}, {start + sound - 4<<10, hiss(n.rng, 4<<10)}, {start + sound, tag}} {
		if _, err := h.WriteAt(w.p, w.at); err != nil {
			n.t.Fatal(err)
		}
	}
	if err := h.Release(); err != nil {
		n.t.Fatal(err)
	}
}

func hiss(rng *rand.Rand, size int) []byte { return wav(rng, size)[44:] }

// id3 is a chunk with an ID3v2.3 tag: texts, and the picture of the album.
func id3(rng *rand.Rand, track int) []byte {
	var frames []byte
	frame := func(name string, p []byte) {
		frames = binary.BigEndian.AppendUint32(append(frames, name...), uint32(len(p)))
		frames = append(append(frames, 0, 0), p...)
	}
	for _, f := range []string{"TIT2", "TPE1", "TALB", "TCON", "TCOM", "COMM"} {
		frame(f, fmt.Appendf(nil, "\x00%s %x of track %d", f, rng.Uint64(), track))
	}
	art := hiss(rand.New(rand.NewPCG(uint64(track/seedAlbum), 7)), seedArt)
	frame("APIC", append([]byte("\x00image/jpeg\x00\x03\x00\xff\xd8\xff\xe0"), art...))
	size := len(frames)
	tag := append([]byte("ID3\x03\x00\x00"), byte(size>>21&127), byte(size>>14&127), byte(size>>7&127), byte(size&127))
	tag = append(tag, frames...)
	if len(tag)%2 == 1 {
		tag = append(tag, 0)
	}
	return append(binary.LittleEndian.AppendUint32([]byte("id3 "), uint32(len(tag))), tag...)
}

// run lets the nights pass.
func (n *nights) run() {
	n.t.Helper()
	limit := time.Duration(float64(n.bytes) / seedLine * float64(time.Second))
	for n.safe == 0 {
		if n.on > 2*limit {
			n.t.Fatalf("after %v not all is safe: %+v", n.on, n.d.w.Status())
		}
		n.oneNight()
		time.Sleep(24*time.Hour - n.night)
	}
}

func (n *nights) oneNight() {
	n.d.assemble(n.line)
	n.d.w.o.HoursPerDay = func() float64 { return n.night.Hours() }
	ctx, cancel := context.WithTimeout(context.Background(), n.night)
	ended := make(chan struct{})
	begun := time.Now()
	go func() { defer close(ended); n.d.w.Run(ctx) }()
	retagged := time.Time{}
	for night := int(n.on / n.night); ctx.Err() == nil && n.safe == 0; {
		time.Sleep(10 * time.Second)
		now := time.Since(begun)
		labour, err := n.d.cache.LabourWaits()
		if err != nil {
			n.t.Fatal(err)
		}
		switch {
		case n.labour == 0 && !labour:
			n.labour = n.on + now
		case n.labour > 0 && n.retag == 0 && night >= 1 && retagged.IsZero():
			n.retagSome()
			retagged = time.Now()
		case !retagged.IsZero() && n.retag == 0 && !labour:
			n.retag = time.Since(retagged)
		}
		if idle, err := n.d.cache.Idle(); err != nil || idle {
			n.safe = n.on + now
		}
	}
	if s := n.d.w.Status(); s.SoundBytes > s.SoundSafe && s.HoursPerDay > 0 {
		n.left = append(n.left, fmt.Sprintf("%d %% %.1f", 100*s.SoundSafe/s.SoundBytes, s.Left.Hours()/s.HoursPerDay))
		n.morning++
	}
	n.on += min(time.Since(begun), n.night)
	cancel()
	<-ended
	n.d.closeFiles()
}

// retagSome changes a word in the tags of an album.
func (n *nights) retagSome() {
	n.t.Helper()
	for i := range seedAlbum {
		a, err := Resolve(n.d.cache, fmt.Sprintf("%04d.wav", i))
		if err != nil {
			n.t.Fatal(err)
		}
		h, err := n.d.cache.OpenFile(a.Ino, cache.OpenFlags{Write: true})
		if err != nil {
			n.t.Fatal(err)
		}
		if _, err := h.WriteAt([]byte("Mozart"), a.Size-seedArt-100); err != nil {
			n.t.Fatal(err)
		}
		h.Release()
	}
}

// judge compares with what the line can do at best.
func (n *nights) judge() {
	limit := time.Duration(float64(n.bytes) / seedLine * float64(time.Second))
	over := 100 * (n.safe.Seconds()/limit.Seconds() - 1)
	n.t.Logf("figure: %d tracks, %.1f GB, %d kB/s, %v a night: labour safe after %v of the first night; all safe after %.2f nights, limit %.2f (bytes by rate): overhead %.2f %%, with %d mornings amid an upload, in which %.1f MB broke off; an album retagged on the second night is safe after %v",
		n.tracks, float64(n.bytes)/1e9, seedLine/1000, n.night, n.labour.Round(time.Second), n.safe.Hours()/n.night.Hours(), limit.Hours()/n.night.Hours(), over, n.morning, n.line.wrong/1e6, n.retag)
	n.t.Logf("figure: audio safe and nights left, by status, in the mornings: %s", strings.Join(n.left, ", "))
	if over > 3 {
		n.t.Errorf("%.2f %% over what the line can do", over)
	}
	if n.line.sounds != n.tracks {
		n.t.Errorf("%d objects of sound were acknowledged for %d tracks", n.line.sounds, n.tracks)
	}
	if most := limit / 10; n.labour == 0 || n.labour > most {
		n.t.Errorf("labour was safe after %v, want at most %v", n.labour, most)
	}
	if n.retag == 0 || n.retag > 15*time.Minute {
		n.t.Errorf("a retag amid the sound was safe after %v", n.retag)
	}
}
