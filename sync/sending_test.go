package sync

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"iter"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tunesafe/tunesafe/internal/repo"
	"github.com/tunesafe/tunesafe/internal/store"
	"github.com/tunesafe/tunesafe/tests/tools"
)

// upLine is a bucket at the end of a line that exists only on a virtual clock: what is
// sent at once shares its rate, piece by piece, and every answer takes a while. It holds
// commits to the order of durability.
type upLine struct {
	store.Store
	t       *testing.T
	d       *device
	rate    float64 // bytes a second
	latency time.Duration
	link    chan struct{} // holds a token, which guards what is below

	through time.Time     // with the bytes so far
	sound   int64         // bytes of it that went
	idle    time.Duration // since the first byte of sound
	until   time.Duration // the last one so far
	gaps    []string
	acked   map[string]bool
	placed  map[repo.ID]string // where commits say that blobs are
	commits int
}

const upPiece = 64 << 10

// carry occupies the line for n bytes.
func (l *upLine) carry(key string, n int) {
	<-l.link
	if gap := time.Since(l.through); gap > 0 && l.sound > 0 {
		l.idle += gap
		l.gaps = append(l.gaps, fmt.Sprintf("%v after %d bytes of sound, before %.9s", gap, l.sound, key))
	}
	time.Sleep(time.Duration(float64(n) / l.rate * float64(time.Second)))
	l.through = time.Now()
	if strings.HasPrefix(key, "audio/") {
		l.sound += int64(n)
		l.until = l.idle
	}
	l.link <- struct{}{}
}

func (l *upLine) Put(ctx context.Context, key string, body []byte) error {
	if strings.HasPrefix(key, "log/") {
		l.judge(key, body)
	}
	for left := len(body); left > 0 && ctx.Err() == nil; left -= upPiece {
		l.carry(key, min(left, upPiece))
	}
	time.Sleep(l.latency)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	err := l.Store.Put(ctx, key, body)
	<-l.link
	l.acked[key] = err == nil
	l.link <- struct{}{}
	return err
}

func (l *upLine) List(ctx context.Context, prefix, after string) iter.Seq2[store.Info, error] {
	time.Sleep(l.latency)
	return l.Store.List(ctx, prefix, after)
}

// judge looks whether a commit names only what was acknowledged, and each blob in one
// object.
func (l *upLine) judge(key string, body []byte) {
	<-l.link
	defer func() { l.link <- struct{}{} }()
	dev := l.d.dev
	certs := map[string]repo.Certificate{dev.ID: {Device: dev.ID, Name: dev.Name, Key: dev.Key.Public().(ed25519.PublicKey)}}
	c, err := repo.DecodeCommit(l.d.keys, certs, key, body)
	if err != nil {
		l.t.Error(err)
		return
	}
	l.commits++
	for _, p := range c.Puts {
		if !l.acked[p.Name] {
			l.t.Errorf("%s places %s, which was not acknowledged", key, p.Name)
		}
		for _, b := range p.Blobs() {
			if was := l.placed[b.ID]; was != "" && was != p.Name {
				l.t.Errorf("a blob went twice, in %s and %s", was, p.Name)
			}
			l.placed[b.ID] = p.Name
		}
	}
	for _, r := range c.Inodes {
		for _, p := range r.Parts {
			for _, b := range p.Blobs {
				if l.placed[b.ID] == "" {
					l.t.Errorf("%s names a blob that no object holds", key)
				}
			}
		}
	}
}

// overALine runs a test with a device at the end of a line that has tracks to send, of so
// many megabytes, and waits until all is safe.
func overALine(t *testing.T, megabytes []int, test func(*upLine, map[string][]byte)) {
	t.Helper()
	warmUp.Do(func() { simWarmUp(t) })
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		d := w.device("one")
		d.close()
		l := &upLine{Store: w.mem, t: t, d: d, rate: 1.2e6, latency: 50 * time.Millisecond, link: make(chan struct{}, 1), acked: map[string]bool{}, placed: map[repo.ID]string{}}
		l.link <- struct{}{}
		d.settle = 2 * time.Second
		d.open(l)
		rnd := rand.New(rand.NewPCG(16, 16))
		files := map[string][]byte{}
		for i, mb := range megabytes {
			name := fmt.Sprintf("%d.wav", i)
			files[name] = track(wav(rnd, mb*1_000_000)[44:], "untitled")
			d.write(name, files[name])
		}
		test(l, files)
		for idle := false; !idle; time.Sleep(time.Second) { // who waits has fewer commits
			var err error
			if idle, err = d.cache.Idle(); err != nil {
				t.Fatal(err)
			}
		}
		t.Logf("figure: %d MB of sound sent, %d commits; the line was idle for %v from its first byte to its last", l.sound/1e6, l.commits, l.until)
		d.close()
		w.sameAs(files)
		time.Sleep(time.Minute) // until nothing is under way
	})
}

// TestLineIsNeverIdle: from the first byte of sound to the last the line has something to
// carry: between the objects of a long track, through the ends of slices, and while
// commits are made.
func TestLineIsNeverIdle(t *testing.T) {
	tools.StepByStep(t)
	var line *upLine
	overALine(t, []int{3, 4, 5, 6, 7, 9, 11, 13, 15, 15, 15, 15, 26}, func(l *upLine, _ map[string][]byte) { line = l })
	if line.commits < 3 {
		t.Errorf("%d commits: want one of names and tags, one amid the sound, and one in the end", line.commits)
	}
	if line.until > 0 {
		t.Errorf("the line was idle:\n%s", strings.Join(line.gaps, "\n"))
	}
}

// TestSendingIsCutShort: whenever the program ends, what was acknowledged is not sent again,
// and a commit names nothing else.
func TestSendingIsCutShort(t *testing.T) {
	tools.StepByStep(t)
	overALine(t, []int{3, 4, 5, 6, 6, 26}, func(l *upLine, _ map[string][]byte) {
		for _, after := range []time.Duration{7 * time.Second, 8 * time.Second, 12 * time.Second, 13 * time.Second} {
			time.Sleep(after)
			l.d.close()
			l.d.open(l)
		}
	})
}

// TestSameSoundGoesOnce: of tracks with the same sound one is sent, also while it is on its
// way.
func TestSameSoundGoesOnce(t *testing.T) {
	tools.StepByStep(t)
	var line *upLine
	overALine(t, []int{3, 4}, func(l *upLine, files map[string][]byte) {
		line = l
		a := files["0.wav"]
		for i := range 4 {
			name := fmt.Sprint("copy ", i)
			files[name] = track(a[44:len(a)-16], fmt.Sprintf("title %2d", i))
			l.d.write(name, files[name])
		}
	})
	if line.sound > 7_200_000 {
		t.Errorf("%d bytes of sound went for 7 MB", line.sound)
	}
}
