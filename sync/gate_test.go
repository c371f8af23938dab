package sync

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	gosync "sync"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/internal/store"
)

// slow is a store in which the objects of sound wait for a word, and which counts.
type slow struct {
	store.Store
	begun chan string   // a Put of sound began
	pass  chan struct{} // one may end

	mu    gosync.Mutex
	acked map[string]int
}

func (s *slow) Put(ctx context.Context, key string, body []byte) error {
	if strings.HasPrefix(key, "audio/") {
		s.begun <- key
		select {
		case <-s.pass:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	err := s.Store.Put(ctx, key, body)
	if err == nil {
		s.mu.Lock()
		s.acked[key]++
		s.mu.Unlock()
	}
	return err
}

// pausable is a device with some tracks that waits in the first of them.
func pausable(t *testing.T) (d *device, s *slow) {
	t.Helper()
	w := newWorld(t)
	d = w.device("one")
	d.close()
	d.transfers = 1
	s = &slow{Store: w.mem, begun: make(chan string, 100), pass: make(chan struct{}, 100), acked: map[string]int{}}
	d.open(s)
	for i := range 3 {
		d.write(fmt.Sprint("song ", i), wav(rand.New(rand.NewPCG(uint64(i), 7)), 400_000))
	}
	select {
	case <-s.begun:
	case <-time.After(2 * time.Minute):
		t.Fatal("nothing is uploaded")
	}
	return d, s
}

func (s *slow) none(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case key := <-s.begun:
		t.Errorf("%s is sent in the pause", key)
	case <-time.After(d):
	}
}

func (s *slow) finish(t *testing.T, d *device) {
	t.Helper()
	for range 20 {
		s.pass <- struct{}{}
	}
	d.wait()
	for key, n := range s.acked {
		if n > 1 && strings.HasPrefix(key, "audio/") {
			t.Errorf("%s was sent %d times", key, n)
		}
	}
}

// TestPauseLetsFinish: what is being sent arrives within the grace and is not
// sent again; nothing else begins.
func TestPauseLetsFinish(t *testing.T) {
	d, s := pausable(t)
	d.w.Pause(time.Minute)
	time.Sleep(50 * time.Millisecond)
	s.pass <- struct{}{}
	arrived := func() bool { s.mu.Lock(); defer s.mu.Unlock(); return len(s.acked) > 0 }
	for begun := time.Now(); !arrived() || d.w.Status().Phase != phasePaused; time.Sleep(5 * time.Millisecond) {
		if time.Since(begun) > 50*time.Second { // the pause lasts a minute
			t.Fatalf("arrived: %v; status %+v", arrived(), d.w.Status())
		}
	}
	s.none(t, 300*time.Millisecond)
	if st := d.w.Status(); st.Phase != phasePaused || st.Trouble != nil || len(st.Errors) > 0 {
		t.Errorf("status in the pause: %+v", st)
	}
	d.write("song 0", []byte("changed in the pause"))
	s.none(t, 300*time.Millisecond)
	d.w.Resume()
	s.finish(t, d)
}

// TestPauseGivesUp: after the grace what is being sent is given up, and sent
// again after the pause; a second pause may shorten the first.
func TestPauseGivesUp(t *testing.T) {
	d, s := pausable(t)
	d.w.Pause(time.Hour)
	time.Sleep(50 * time.Millisecond)
	d.w.Pause(0)
	for begun := time.Now(); d.w.Status().Phase != phasePaused; time.Sleep(5 * time.Millisecond) {
		if time.Since(begun) > time.Minute {
			t.Fatal("the pass does not end")
		}
	}
	s.none(t, 100*time.Millisecond)
	d.w.Resume()
	s.finish(t, d)
}

// Whoever waits is answered in a pause if nothing waits to be uploaded.
func TestWaitInPause(t *testing.T) {
	d := newWorld(t).device("one")
	d.write("a", []byte("text"))
	d.wait()
	d.w.Pause(0)
	d.wait()
	d.write("b", []byte("text"))
	ctx, end := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer end()
	if err := d.w.Wait(ctx); err == nil {
		t.Error("safe, though nothing may be uploaded")
	}
	d.w.Resume()
	d.wait()
}

// A pause just before the end of the program does not hold it up.
func TestEndInPause(t *testing.T) {
	d, _ := pausable(t)
	d.w.Pause(time.Hour)
	begun := time.Now()
	d.close()
	if took := time.Since(begun); took > time.Minute {
		t.Errorf("ending took %v", took)
	}
}
