package s3proxy

import (
	"math"
	"testing"
	"time"
)

// TestLineTellsWhenIdle: what a line carried and when it was idle add up to the time
// since the reset; what comes a little late, and later amid a body, is made up for.
func TestLineTellsWhenIdle(t *testing.T) {
	const rate = 1_000_000 // a byte a microsecond
	start := time.Now()
	at := func(ms float64) time.Time { return start.Add(time.Duration(ms * float64(time.Millisecond))) }
	l := &link{rate: rate, since: start}
	bytes := 0
	send := func(ms float64, n int, through float64) {
		t.Helper()
		bytes += n
		if got := l.enqueue(n, at(ms)); math.Abs(got.Sub(at(through)).Seconds()) > 1e-6 {
			t.Errorf("%d bytes at %v ms are through at %v, want %v ms", n, ms, got.Sub(start), through)
		}
	}
	send(100, 10_000, 110) // nothing before it
	send(105, 10_000, 120) // waits for those before it
	send(121, 10_000, 130) // a millisecond late: the line has caught up
	send(150, 10_000, 160) // 20 ms idle
	l.bodies++
	send(200, 10_000, 170) // 40 ms late amid a body: it was in the kernel's buffer
	send(400, 10_000, 410) // 230 ms: nothing was
	l.bodies--
	idle := l.tell(at(500))
	want := Line{Before: 0.1, Between: 0.25, After: 0.09, Gaps: 2, Longest: 0.23}
	near := func(a, b float64) bool { return math.Abs(a-b) < 1e-6 }
	if !near(idle.Before, want.Before) || !near(idle.Between, want.Between) || !near(idle.After, want.After) || idle.Gaps != want.Gaps || !near(idle.Longest, want.Longest) {
		t.Errorf("told %+v, want %+v", idle, want)
	}
	if sum := float64(bytes)/rate + idle.Before + idle.Between + idle.After; !near(sum, 0.5) {
		t.Errorf("carrying and idling take %v s of 0.5", sum)
	}
	if l.reset(); l.told().Before > 60 || l.told().Gaps != 0 || l.told().Between != 0 {
		t.Errorf("after a reset %+v", l.told())
	}
}
