package sync

import (
	"github.com/tunesafe/tunesafe/tests/tools"
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// TestLabourSince: the time since when labour is safe survives a restart, ends
// with new labour, and does not wait for sound.
func TestLabourSince(t *testing.T) {
	tools.StepByStep(t)
	w := newWorld(t)
	d, f, release := holdSound(t, w)
	rnd := rand.New(rand.NewPCG(31, 31))
	began := time.Now()
	for _, n := range []string{"a", "b", "c", "d", "e", "f", "g", "h", "i"} {
		d.write(n, wav(rnd, 8<<20))
	}
	if s := d.w.Status(); !s.LabourSince.IsZero() {
		t.Errorf("labour waits, and is safe since %v", s.LabourSince)
	}
	f.await(t, "log/", 1)
	var s Status
	for until := time.Now().Add(time.Minute); time.Now().Before(until) && s.LabourSince.IsZero(); time.Sleep(20 * time.Millisecond) {
		s = d.w.Status()
	}
	if s.LabourSince.Before(began.Add(-2*time.Second)) || s.LabourSince.After(time.Now()) {
		t.Fatalf("labour is safe since %v, was committed after %v", s.LabourSince, began)
	}
	if s.SoundSafe != 0 || s.SoundBytes < 9<<23-1e6 {
		t.Errorf("while sound is held back %d bytes of %d are safe", s.SoundSafe, s.SoundBytes)
	}
	since := s.LabourSince
	release()
	d.wait()
	s = d.w.Status()
	if s.SoundSafe != s.SoundBytes || !s.LabourSince.Equal(since) {
		t.Errorf("in the end %d bytes of %d are safe, labour since %v, before since %v", s.SoundSafe, s.SoundBytes, s.LabourSince, since)
	}
	d.close()
	d.open(w.mem)
	if s := d.w.Status(); !s.LabourSince.Equal(since) {
		t.Errorf("after a restart labour is safe since %v, not %v", s.LabourSince, since)
	}
	if rate := d.w.pace.rate(); rate <= 0 {
		t.Errorf("after a restart the rate is %v", rate)
	}
	time.Sleep(1100 * time.Millisecond) // times are kept by the second
	d.write("note", []byte("new labour"))
	if s := d.w.Status(); !s.LabourSince.IsZero() {
		t.Errorf("new labour waits, and is safe since %v", s.LabourSince)
	}
	d.wait()
	if s := d.w.Status(); !s.LabourSince.After(since) {
		t.Errorf("new labour is safe since %v, the old since %v", s.LabourSince, since)
	}
}

// TestPace: pauses count nothing, uploads side by side share their time, and an
// hour ago counts less than now.
func TestPace(t *testing.T) {
	var p pace
	at := time.Unix(1e9, 0)
	sent := func(n int, d time.Duration) {
		p.note(n, at, at.Add(d))
		at = at.Add(d)
	}
	near := func(want float64) {
		t.Helper()
		if got := p.rate(); math.Abs(got/want-1) > 0.01 {
			t.Errorf("rate %.0f, want %.0f", got, want)
		}
	}
	for range 3 {
		sent(36_000_000, 1000*time.Second)
		at = at.Add(16 * time.Hour) // day
	}
	near(36_000)
	for range 2 { // two at once
		p.note(36_000_000, at, at.Add(2000*time.Second))
	}
	at = at.Add(2000 * time.Second)
	near(36_000)
	for range 10 {
		sent(72_000_000, 1000*time.Second)
	}
	near(71_250)
}
