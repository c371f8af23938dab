package sync

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/store"
	"github.com/tunesafe/tunesafe/tests/tools"
)

// distantStore is a bucket at the end of a line that exists only on a virtual clock:
// all readings share its rate, byte by byte, and of each as much is under way as a
// connection's buffer takes.
type distantStore struct {
	store.Store
	latency time.Duration
	rate    float64       // bytes a second
	link    chan struct{} // holds a token
	gets    int           // of sound; guarded by link
	sound   int64         // bytes of sound sent; likewise
	down    int64         // bytes sent; likewise
	other   int64         // bytes of all else
	asked   []string      // what was asked for, one after another
}

const (
	distantPiece  = 4 << 10
	distantBuffer = 64 << 10
)

func newDistant(st store.Store) *distantStore {
	d := &distantStore{Store: st, latency: 30 * time.Millisecond, rate: 1e6, link: make(chan struct{}, 1)}
	d.link <- struct{}{}
	return d
}

// send occupies the line for n bytes.
func (d *distantStore) send(ctx context.Context, sound bool, n int) error {
	select {
	case <-d.link:
	case <-ctx.Done():
		return ctx.Err()
	}
	time.Sleep(time.Duration(float64(n) / d.rate * float64(time.Second)))
	d.down += int64(n)
	if sound {
		d.sound += int64(n)
	} else {
		d.other += int64(n)
	}
	d.link <- struct{}{}
	return nil
}

// counts tells the requests for sound and the bytes of it since the last call.
func (d *distantStore) counts() (gets int, sound int64) {
	<-d.link
	gets, sound = d.gets, d.sound
	d.gets, d.sound = 0, 0
	d.link <- struct{}{}
	return gets, sound
}

// packs tells what was asked for but sound, and the bytes of it, since the last call.
func (d *distantStore) packs() (asked []string, bytes int64) {
	<-d.link
	asked, bytes = d.asked, d.other
	d.asked, d.other = nil, 0
	d.link <- struct{}{}
	return slices.DeleteFunc(asked, func(key string) bool { return strings.HasPrefix(key, "audio/") }), bytes
}

func (d *distantStore) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	select {
	case <-time.After(d.latency):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	r, err := d.Store.Get(ctx, key, off, n)
	if err != nil {
		return nil, err
	}
	sound := strings.HasPrefix(key, "audio/")
	<-d.link
	d.asked = append(d.asked, key)
	if sound {
		d.gets++
	}
	d.link <- struct{}{}
	b := &distantBody{pieces: make(chan []byte, distantBuffer/distantPiece-1), ctx: ctx}
	ctx, b.cancel = context.WithCancel(ctx)
	go func() {
		defer r.Close()
		defer close(b.pieces)
		for {
			p := make([]byte, distantPiece)
			n, err := io.ReadFull(r, p)
			if n == 0 || d.send(ctx, sound, n) != nil {
				return
			}
			select {
			case b.pieces <- p[:n]:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return b, nil
}

type distantBody struct {
	ctx    context.Context //nolint:containedctx // of the request
	cancel context.CancelFunc
	pieces chan []byte
	rest   []byte
}

func (b *distantBody) Read(p []byte) (int, error) {
	if len(b.rest) == 0 {
		var ok bool
		select {
		case b.rest, ok = <-b.pieces:
		case <-b.ctx.Done():
			return 0, b.ctx.Err()
		}
		if !ok {
			return 0, io.EOF
		}
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

func (b *distantBody) Close() error {
	b.cancel()
	return nil
}

// listening is a cold home at the end of the line, with tracks of some megabytes.
type listening struct {
	*device
	line *distantStore
	far  int64 // where the sound begins that is not in the probe
	size int64
}

const listenedSound = 2 << 20

// listen runs a test on the virtual clock, with tracks that have no pictures.
func listen(t *testing.T, tracks int, test func(*testing.T, *listening)) {
	t.Helper()
	files := map[string][]byte{}
	for i := range tracks {
		files[fmt.Sprintf("%d.wav", i)] = wav(rand.New(rand.NewPCG(1, uint64(i))), listenedSound)
	}
	listenTo(t, files, func(t *testing.T, l *listening) {
		l.measure("0.wav")
		test(t, l)
	})
}

func listenTo(t *testing.T, files map[string][]byte, test func(*testing.T, *listening)) {
	t.Helper()
	warmUp.Do(func() { simWarmUp(t) })
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a := w.device("a")
		for _, name := range slices.Sorted(maps.Keys(files)) {
			a.write(name, files[name])
		}
		a.wait()
		a.close()
		l := &listening{device: w.device("b"), line: newDistant(w.st)}
		l.stop()
		l.closeFiles()
		l.openWithoutPull(l.line)
		test(t, l)
		time.Sleep(time.Minute) // until nothing is under way
	})
}

// measure finds where the sound of a track begins that is not in the probe.
func (l *listening) measure(name string) {
	l.t.Helper()
	r, _, err := l.cache.RecipeOf(l.ino(name))
	if err != nil {
		l.t.Fatal(err)
	}
	l.size = r.Size
	for _, run := range r.Runs {
		if r.Parts[run.Part].Kind == "audio" {
			break
		}
		l.far += run.Length
	}
	if l.far == 0 || l.far > 64<<10 {
		l.t.Fatalf("the sound that is not kept with the tags begins at %d", l.far)
	}
}

func (l *listening) ino(name string) cache.Ino {
	l.t.Helper()
	a, err := Resolve(l.cache, name)
	if err != nil {
		l.t.Fatal(err)
	}
	return a.Ino
}

func (l *listening) play(name string) *cache.Handle {
	l.t.Helper()
	h, err := l.cache.OpenFile(l.ino(name), cache.OpenFlags{Read: true})
	if err != nil {
		l.t.Fatal(err)
	}
	return h
}

// took reads n bytes and tells how long that took.
func (l *listening) took(h *cache.Handle, off int64, n int) time.Duration {
	l.t.Helper()
	began := time.Now()
	if k, err := h.ReadAt(context.Background(), make([]byte, n), off); err != nil || k != n {
		l.t.Fatalf("%d of %d bytes at %d: %v", k, n, off, err)
	}
	return time.Since(began)
}

// reads tells whether a file begins with these bytes.
func (l *listening) reads(h *cache.Handle, got, want []byte) bool {
	n, err := h.ReadAt(context.Background(), got, 0)
	return err == nil && n == len(want) && bytes.Equal(got, want)
}

// onLine is how long bytes are on the line.
func (l *listening) onLine(n int64) time.Duration {
	return time.Duration(float64(n) / l.line.rate * float64(time.Second))
}

const slack = 25 * time.Millisecond

// TestPlayFromAfar: the first bytes are here at once, those behind them and behind a
// seek as soon as the line lets them, and no more is asked for than that takes.
func TestPlayFromAfar(t *testing.T) {
	tools.StepByStep(t)
	const unit = 64 << 10
	listen(t, 2, func(t *testing.T, l *listening) {
		h := l.play("0.wav")
		defer h.Release()
		l.took(h, 0, int(l.far)) // a scan of one: tags and probe come
		if d := l.took(h, 0, int(l.far)); d != 0 {
			t.Errorf("what is in the probe took %v", d)
		}
		if gets, _ := l.line.counts(); gets != 0 {
			t.Errorf("tags and probe took %d requests for sound", gets)
		}
		first := l.took(h, l.far, unit)
		if most := 2*l.line.latency + l.onLine(unit) + slack; first > most {
			t.Errorf("64 KiB behind the probe took %v, over %v", first, most)
		}
		seek := l.took(h, l.far+listenedSound/2+777, unit)
		if most := l.line.latency + l.onLine(2*unit) + slack; seek > most {
			t.Errorf("a seek took %v, over %v", seek, most)
		}
		gets, sound := l.line.counts()
		if gets > 3 || sound > 6*unit {
			t.Errorf("%d requests and %d bytes of sound by then", gets, sound)
		}
		time.Sleep(time.Second)  // what was asked for has come
		again := l.play("1.wav") // a seek before anything else of the object is known
		defer again.Release()
		l.took(again, 0, int(l.far))
		other := l.took(again, l.far+listenedSound/2+777, unit)
		if most := l.line.latency + l.onLine(2*unit) + slack; other > most {
			t.Errorf("a first seek took %v, over %v", other, most)
		}
		t.Logf("figure: at 1 MB/s and 30 ms: 64 KiB behind the probe after %v, a seek %v, a first seek %v", first, seek, other)
	})
}

// TestOneLook: who looks behind the probe once, as programs do that decode the first
// frames to know the streams, has one sealed chunk sent.
func TestOneLook(t *testing.T) {
	tools.StepByStep(t)
	listen(t, 1, func(t *testing.T, l *listening) {
		h := l.play("0.wav")
		defer h.Release()
		l.took(h, l.far+10_000, 4096)
		time.Sleep(time.Minute)
		if gets, sound := l.line.counts(); gets != 1 || sound > 65<<10 {
			t.Errorf("%d requests, %d bytes of sound", gets, sound)
		}
	})
}

// pictured is a FLAC track with a picture before its sound.
func pictured(rnd *rand.Rand, picture int) []byte {
	block := func(kind byte, b []byte) []byte {
		return append([]byte{kind, byte(len(b) >> 16), byte(len(b) >> 8), byte(len(b))}, b...)
	}
	head := make([]byte, 32) // of the picture's block
	binary.BigEndian.PutUint32(head[28:], uint32(picture))
	out := append([]byte("fLaC"), block(0, make([]byte, 34))...)
	out = append(out, block(0x80|6, append(head, append([]byte("\xff\xd8\xff\xe0"), hiss(rnd, picture)[4:]...)...))...)
	return append(append(out, 0xFF, 0xF8), hiss(rnd, listenedSound)...)
}

// TestPictureFirst: of a track whose picture lies before its sound the first 64 KiB wait
// for as much of the picture as is in them, and for no part after another; who reads on has
// each byte sent once; and the next track of the album begins at once.
func TestPictureFirst(t *testing.T) {
	tools.StepByStep(t)
	const unit, picture = 64 << 10, 300_000
	files := map[string][]byte{}
	for i := range 4 { // two albums of two tracks
		rnd := rand.New(rand.NewPCG(2, uint64(i/2)))
		files[fmt.Sprintf("%d.flac", i)] = append(pictured(rnd, picture), byte(i))
	}
	listenTo(t, files, func(t *testing.T, l *listening) {
		h := l.play("2.flac")
		defer h.Release()
		first := l.took(h, 0, unit)
		// Of the tags one sealed chunk, of the picture the two that its beginning lies in.
		if most := l.line.latency + l.onLine(3*unit+8<<10); first > most {
			t.Errorf("the first 64 KiB took %v, over %v", first, most)
		}
		t.Logf("figure: at 1 MB/s and 30 ms the first 64 KiB of a track with a picture of 300 kB before its sound are here after %v", first)
		for off := unit; off < picture+unit; off += unit / 2 {
			l.took(h, int64(off), unit/2)
		}
		<-l.line.link
		if most := int64(picture + 5*unit + 64<<10); l.line.down > most {
			t.Errorf("%d bytes were sent until the sound was read, over %d", l.line.down, most)
		}
		l.line.link <- struct{}{}
		next := l.play("3.flac")
		defer next.Release()
		if d := l.took(next, 0, unit); d != 0 {
			t.Errorf("the beginning of the next track of the album took %v", d)
		}
	})
}

// TestSeekAmidPicture: who goes elsewhere while the picture before the sound is on its way
// does not wait for the rest of it, and may have it later.
func TestSeekAmidPicture(t *testing.T) {
	tools.StepByStep(t)
	const unit, picture = 64 << 10, 300_000
	files := map[string][]byte{"0.flac": pictured(rand.New(rand.NewPCG(3, 0)), picture)}
	listenTo(t, files, func(t *testing.T, l *listening) {
		h := l.play("0.flac")
		defer h.Release()
		l.took(h, 0, unit)
		if d, most := l.took(h, listenedSound/2, unit), l.line.latency+l.onLine(2*unit)+slack; d > most {
			t.Errorf("a seek amid the picture took %v, over %v", d, most)
		}
		if got, want := make([]byte, picture), files["0.flac"][:picture]; !l.reads(h, got, want) {
			t.Error("the picture that was left and read again is anh")
		}
	})
}

// TestEndFirst: who looks at the end of a track first, and at its tags while it plays,
// has each byte sent once, and waits for nothing twice.
func TestEndFirst(t *testing.T) {
	tools.StepByStep(t)
	listen(t, 1, func(t *testing.T, l *listening) {
		h := l.play("0.wav")
		defer h.Release()
		l.took(h, l.size-128, 128)
		l.took(h, 0, 4096)
		if gets, _ := l.line.counts(); gets != 0 {
			t.Errorf("a look at both ends took %d requests for sound", gets)
		}
		const step = 32 << 10
		for off := int64(0); off < l.size; off += step {
			l.took(h, off, int(min(step, l.size-off)))
			l.took(h, l.size-128, 128)
			l.took(h, 0, 4096)
		}
		gets, sound := l.line.counts()
		if gets > 6 || sound > listenedSound+listenedSound/100 {
			t.Errorf("%d requests, %d bytes for %d bytes of sound", gets, sound, listenedSound)
		}
	})
}

// TestAwayFromWhatWasAsked: a seek, far or near, is not held up by what was asked for
// ahead of the place that was left.
func TestAwayFromWhatWasAsked(t *testing.T) {
	tools.StepByStep(t)
	listen(t, 1, func(t *testing.T, l *listening) {
		h := l.play("0.wav")
		defer h.Release()
		for off := l.far; off < l.far+listenedSound/2; off += 64 << 10 { // until much is asked for at once
			l.took(h, off, 64<<10)
		}
		if d, most := l.took(h, l.far+listenedSound/2+300<<10, 64<<10), l.line.latency+l.onLine(128<<10)+slack; d > most {
			t.Errorf("a seek of 300 KiB took %v, over %v", d, most)
		}
		if d, most := l.took(h, l.far+listenedSound*13/16, 64<<10), l.line.latency+l.onLine(128<<10)+slack; d > most {
			t.Errorf("a seek took %v, over %v", d, most)
		}
	})
}

// listener plays as a player does: it begins once it has a second of sound, reads on
// as far as it may, and is never to run dry.
func (l *listening) listener(name string, rate float64, done chan<- string) {
	h := l.play(name)
	defer h.Release()
	const step = 16 << 10
	var began time.Time
	dry := 0
	for off := int64(0); off < l.size; off += step {
		if _, err := h.ReadAt(context.Background(), make([]byte, min(step, l.size-off)), off); err != nil {
			done <- fmt.Sprint(name, ": ", err)
			return
		}
		if began.IsZero() && float64(off) >= rate {
			began = time.Now()
		}
		if began.IsZero() {
			continue
		}
		heard := time.Since(began).Seconds() * rate
		if float64(off+step) < heard {
			dry++
			began = time.Now().Add(-time.Duration(float64(off+step) / rate * float64(time.Second)))
		}
		if ahead := float64(off+step) - heard; ahead > 10*rate { // what it holds
			time.Sleep(time.Duration((ahead/rate - 10) * float64(time.Second)))
		}
	}
	if dry > 0 {
		done <- fmt.Sprintf("%s ran dry %d times", name, dry)
		return
	}
	done <- ""
}

// TestPlayersAndRestore: two players and a restore on a line that is a fifth faster
// than both play. Nobody runs dry, and the restore gets what is left.
func TestPlayersAndRestore(t *testing.T) {
	listen(t, 6, func(t *testing.T, l *listening) {
		const bitRate = 100e3 // bytes a second
		l.line.rate = 2 * 1.2 * bitRate
		players := make(chan string, 2)
		restored := make(chan error, 1)
		ctx, cancel := context.WithCancel(context.Background())
		dest := t.TempDir()
		var files int
		go func() {
			restored <- Restore(ctx, Now(l.cache), []string{"2.wav", "3.wav", "4.wav", "5.wav"}, dest,
				func(p RestoreProgress) { files = p.Files })
		}()
		time.Sleep(2 * time.Second) // it has the line
		l.line.counts()
		began := time.Now()
		go l.listener("0.wav", bitRate, players)
		go l.listener("1.wav", bitRate, players)
		for range 2 {
			if said := <-players; said != "" {
				t.Error(said)
			}
		}
		took := time.Since(began)
		_, sound := l.line.counts()
		others := sound - 2*listenedSound
		t.Logf("figure: two players took %v for %d bytes each at %.0f kB/s together; a restore beside them got %d bytes",
			took, listenedSound, l.line.rate/1e3, others)
		if others < listenedSound/5 {
			t.Errorf("the restore got %d bytes meanwhile", others)
		}
		began = time.Now()
		if err := <-restored; err != nil || files != 4 {
			t.Errorf("restored %d files: %v", files, err)
		}
		if most := l.onLine(4*listenedSound-others) * 11 / 10; time.Since(began) > most {
			t.Errorf("alone the restore took %v, over %v", time.Since(began), most)
		}
		cancel()
	})
}
