package line

import (
	"math"
	"slices"
	"time"
)

// The figures of giving way.
const (
	target     = 100 * time.Millisecond // of queueing: more is cut at once (RFC 6817, section 2.4.2)
	deep       = 3 * target / 2         // somebody else fills the queue, or we do much too fast
	comfort    = target / 2             // below it the rate grows
	cutPause   = time.Second            // for a cut to show before the next
	gentleCut  = 0.85
	hardCut    = 0.5
	growth     = 0.05 // of the rate, a second
	regrowth   = 0.15 // up to half of what it was cut from
	used       = 0.7  // of the rate must have been sent for it to grow
	smoothing  = 3    // samples
	filter     = 3    // samples of which the lowest counts: a single late packet is no queue
	baseMinute = 2 * time.Minute
	baseKept   = 30 // times baseMinute
)

// giveWay turns round trips into a rate. It is pure: the time is an argument.
type giveWay struct {
	limit float64 // bytes a second; +Inf is none
	gives bool    // it was cut, and has not grown back to where that happened
	queue time.Duration

	before  float64         // what it was cut from first
	sent    float64         // bytes a second of late, smoothed
	cut     time.Time       // the last
	grown   time.Time       // the last
	recent  []time.Duration // the last filter samples
	bases   []time.Duration // the lowest of each baseMinute
	began   time.Time       // of the last of them
	address string
}

// via says through which address of this machine the bytes go. Of another line
// nothing is known.
func (g *giveWay) via(address string) {
	if g.address != "" && g.address != address {
		*g = giveWay{limit: math.Inf(1)}
	}
	g.address = address
}

// base is the round trip without load, as far as it was seen.
func (g *giveWay) base(now time.Time, rtt time.Duration) time.Duration {
	if len(g.bases) == 0 || now.Sub(g.began) >= baseMinute {
		g.bases, g.began = append(g.bases, rtt), now
		if len(g.bases) > baseKept {
			g.bases = g.bases[1:]
		}
	}
	last := &g.bases[len(g.bases)-1]
	*last = min(*last, rtt)
	return slices.Min(g.bases)
}

// observe takes in a round trip, and the bytes a second sent lately. The rate
// stays above least.
func (g *giveWay) observe(now time.Time, rtt time.Duration, sent, ceiling, least float64) {
	if rtt <= 0 {
		return
	}
	base := g.base(now, rtt)
	g.sent += (sent - g.sent) / smoothing
	g.recent = append(g.recent, rtt)
	if len(g.recent) > filter {
		g.recent = g.recent[1:]
	}
	g.queue = slices.Min(g.recent) - base
	switch {
	case g.queue > target && len(g.recent) == filter && now.Sub(g.cut) >= cutPause:
		by := gentleCut
		if g.queue > deep {
			by = hardCut
		}
		from := min(g.limit, ceiling, g.sent)
		if !g.gives {
			g.before = from
		}
		g.limit, g.gives, g.cut, g.grown = max(from*by, least), true, now, now
	case g.queue < comfort && !math.IsInf(g.limit, 1):
		g.grow(now, ceiling)
	default:
		g.grown = now
	}
}

// grow raises the rate if it is what holds the bytes up.
func (g *giveWay) grow(now time.Time, ceiling float64) {
	passed := now.Sub(g.grown).Seconds()
	g.grown = now
	if g.sent < used*g.limit {
		return
	}
	by := growth
	if g.limit < g.before/2 {
		by = regrowth
	}
	g.limit *= 1 + by*passed
	if g.limit >= g.before {
		g.gives = false
	}
	if g.limit >= ceiling {
		g.limit = math.Inf(1)
	}
}
