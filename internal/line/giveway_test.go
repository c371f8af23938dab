package line

import (
	"math"
	"slices"
	"testing"
	"time"
)

// link is a line with a queue before it, as a modem has, in which packets wait
// and the round trip grows.
type link struct {
	capacity float64 // bytes a second
	buffer   float64 // bytes
	queue    float64
	base     time.Duration
}

// pass lets time go by in which so much comes in; it returns the round trip, and
// what was let in of it.
func (l *link) pass(d time.Duration, rate float64) (rtt time.Duration, in float64) {
	room := l.buffer - l.queue + l.capacity*d.Seconds()
	in = min(rate*d.Seconds(), room)
	l.queue = min(max(l.queue+in-l.capacity*d.Seconds(), 0), l.buffer)
	return l.base + time.Duration(l.queue/l.capacity*float64(time.Second)), in
}

// TestGivesWay sends over a simulated line: alone, then beside somebody who
// takes all there is, then alone again.
func TestGivesWay(t *testing.T) {
	for _, test := range []struct {
		name     string
		capacity float64
		base     time.Duration
		ceiling  float64
	}{
		{"DSL of 36 kB/s", 36e3, 30 * time.Millisecond, math.Inf(1)},
		{"cable of 1 MB/s", 1e6, 20 * time.Millisecond, math.Inf(1)},
		{"a far server", 1e6, 250 * time.Millisecond, math.Inf(1)},
		{"with a limit", 1e6, 20 * time.Millisecond, 500e3},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := &link{capacity: test.capacity, buffer: test.capacity / 2, base: test.base}
			g := giveWay{limit: math.Inf(1)}
			now := time.Unix(0, 0)
			most := min(test.capacity, test.ceiling)
			var rtts []time.Duration
			run := func(d time.Duration, others float64) (mean float64) {
				rtts = nil
				for left := d; left > 0; left -= samplePause {
					now = now.Add(samplePause)
					// TCP itself sends no more than about what the line takes.
					rate := min(g.limit, test.ceiling, 1.2*test.capacity)
					rtt, in := l.pass(samplePause, rate+others)
					own := in * rate / (rate + others)
					mean += own
					rtts = append(rtts, rtt)
					g.observe(now, rtt, own/samplePause.Seconds(), test.ceiling, slowestConn)
				}
				return mean / d.Seconds()
			}
			if rate := run(2*time.Minute, 0); rate < 0.8*most {
				t.Errorf("alone: %.0f bytes/s of %.0f", rate, most)
			}
			slices.Sort(rtts)
			if late := rtts[len(rtts)*9/10] - test.base; late > deep {
				t.Errorf("alone: nine of ten packets wait up to %v", late)
			}
			run(2*time.Second, test.capacity)
			if limit := min(g.limit, test.ceiling); limit > 0.55*most {
				t.Errorf("two seconds after others began: still %.0f bytes/s of %.0f", limit, most)
			}
			run(10*time.Second, test.capacity)
			if g.limit > max(0.05*most, slowestConn) {
				t.Errorf("twelve seconds after others began: still %.0f bytes/s", g.limit)
			}
			if !g.gives {
				t.Error("does not say that it gives way")
			}
			run(100*time.Second, 0)
			if rate := run(20*time.Second, 0); rate < 0.7*most {
				t.Errorf("two minutes after others ended: %.0f bytes/s of %.0f", rate, most)
			}
		})
	}
}

// A late packet now and then, as every radio has them, is no queue.
func TestSinglePacketsAreNoQueue(t *testing.T) {
	g := giveWay{limit: math.Inf(1)}
	now := time.Unix(0, 0)
	for i := range 1000 {
		now = now.Add(samplePause)
		rtt := 20 * time.Millisecond
		if i%3 == 0 {
			rtt = time.Second
		}
		g.observe(now, rtt, 1e6, math.Inf(1), slowestConn)
	}
	if g.gives || !math.IsInf(g.limit, 1) {
		t.Errorf("was cut to %.0f", g.limit)
	}
}

// Another way to the bucket, slower from the start, is none that is in use.
func TestAnotherLine(t *testing.T) {
	g := giveWay{limit: math.Inf(1)}
	now := time.Unix(0, 0)
	for i := range 1000 {
		now = now.Add(samplePause)
		rtt := 20 * time.Millisecond
		g.via("192.168.0.2")
		if i > 500 {
			g.via("10.0.0.7")
			rtt = 300 * time.Millisecond
		}
		g.observe(now, rtt, 1e6, math.Inf(1), slowestConn)
	}
	if g.gives {
		t.Errorf("was cut to %.0f", g.limit)
	}
}
