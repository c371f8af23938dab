// Package line is the share of the network that Tunesafe takes: connections
// wrapped by a [Line] keep to rates together, and give way to others.
//
// # Rates
//
// Bytes are paced on their way into the socket, a few at a time, so that a body
// of 16 MiB under a limit of 36 kB/s is an even 36 kB/s for seven minutes, and no
// server sees a client that pauses. The kernel is asked to hold little that was
// not sent yet, so that a new rate holds within a moment. What is read is paced
// as it is read; the sender is slowed by TCP's own flow control.
//
// # Giving way
//
// When somebody else needs the link, bytes queue up before it, and the round
// trip of every packet takes longer. The kernel measures that for its
// connections (TCP_INFO). While bytes are sent, a [Line] looks four times a
// second how far the round trip is above the lowest of the last hour, and cuts
// the rate at once where that is more than [target]; it grows slowly as long as
// the queue is short. The idea, and the figure, are those of LEDBAT (RFC 6817);
// that steers a window of packets, this a rate. On systems that do not tell the
// round trip only the limits hold.
package line

import (
	"context"
	"math"
	"net"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// Slowest is the lowest limit in bytes a second that makes sense: below it
	// some connections at once are so slow that a server gives them up.
	Slowest = 8 << 10

	slowestConn  = 2 << 10 // what giving way leaves a connection that sends
	mostAtOnce   = 16 << 10
	leastAtOnce  = 1 << 10
	perSecond    = 20 // writes, where the rate allows
	catchUp      = 4  // of them may follow at once on one that came late, as on a busy machine
	unsent       = 128 << 10
	samplePause  = 250 * time.Millisecond
	sendingUntil = time.Second // after its last byte a connection counts as sending
)

// Line is the share. Its methods are safe to call at once.
type Line struct {
	up, down *rate.Limiter

	mu      sync.Mutex
	ceiling float64 // of up; +Inf is none
	way     giveWay
	conns   map[*conn]struct{} // that sent lately
	sent    int64              // bytes since the last sample
	samples bool               // sample runs
}

// New makes a line without limits.
func New() *Line {
	l := &Line{
		up: rate.NewLimiter(rate.Inf, catchUp*mostAtOnce), down: rate.NewLimiter(rate.Inf, catchUp*mostAtOnce),
		ceiling: math.Inf(1), conns: map[*conn]struct{}{},
	}
	l.way.limit = math.Inf(1)
	return l
}

// SetRates limits what is sent and received, in bytes a second over all
// connections; 0 is no limit.
func (l *Line) SetRates(up, down int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ceiling = limitOf(up)
	set(l.down, limitOf(down))
	l.apply()
}

// State is what a line does now.
type State struct {
	Limit float64       // bytes a second that may be sent; +Inf is no limit
	Gives bool          // it is lower than was set, because the link is needed
	Queue time.Duration // by which the round trip is longer than it was without load
}

// State tells it.
func (l *Line) State() State {
	l.mu.Lock()
	defer l.mu.Unlock()
	limit := min(l.ceiling, l.way.limit)
	return State{Limit: limit, Gives: l.way.limit < l.ceiling && l.way.gives, Queue: l.way.queue}
}

func limitOf(n int64) float64 {
	if n <= 0 {
		return math.Inf(1)
	}
	return float64(n)
}

func (l *Line) apply() { set(l.up, min(l.ceiling, l.way.limit)) }

// set gives a limiter its rate, and as its burst some times what goes at once.
func set(l *rate.Limiter, bytes float64) {
	if math.IsInf(bytes, 1) {
		l.SetLimit(rate.Inf)
		return
	}
	l.SetBurst(catchUp * int(min(max(bytes/perSecond, leastAtOnce), mostAtOnce)))
	l.SetLimit(rate.Limit(bytes))
}

// take waits until n of some bytes may pass, at most all of them.
func take(ctx context.Context, l *rate.Limiter, all int) (n int, err error) {
	for {
		if l.Limit() == rate.Inf {
			return all, ctx.Err()
		}
		n = min(all, max(l.Burst()/catchUp, leastAtOnce))
		r := l.ReserveN(time.Now(), n)
		if !r.OK() {
			continue // the burst was changed meanwhile
		}
		return n, sleep(ctx, r.Delay())
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return net.ErrClosed
	}
}

// Wrap puts a new connection on the line.
func (l *Line) Wrap(c net.Conn) net.Conn {
	ctx, end := context.WithCancel(context.Background())
	if t, ok := c.(*net.TCPConn); ok {
		holdLittle(t, unsent)
	}
	return &conn{Conn: c, line: l, ctx: ctx, end: end}
}

// conn is a connection whose bytes are paced.
type conn struct {
	net.Conn
	line *Line
	ctx  context.Context //nolint:containedctx // ends when the connection is closed
	end  context.CancelFunc
	last time.Time // a byte was sent; guarded by the line
}

// Write implements [net.Conn].
func (c *conn) Write(p []byte) (sent int, err error) {
	for len(p) > 0 {
		n, err := take(c.ctx, c.line.up, len(p))
		if err != nil {
			return sent, err
		}
		n, err = c.Conn.Write(p[:n])
		c.line.noteSent(c, n)
		sent += n
		if err != nil {
			return sent, err
		}
		p = p[n:]
	}
	return sent, nil
}

// Read implements [net.Conn].
func (c *conn) Read(p []byte) (int, error) {
	if c.line.down.Limit() != rate.Inf {
		p = p[:min(len(p), leastAtOnce)]
	}
	n, err := c.Conn.Read(p)
	for left := n; left > 0; {
		taken, werr := take(c.ctx, c.line.down, left)
		if werr != nil {
			return n, werr
		}
		left -= taken
	}
	return n, err
}

// Close implements [net.Conn].
func (c *conn) Close() error {
	c.end()
	c.line.mu.Lock()
	delete(c.line.conns, c)
	c.line.mu.Unlock()
	return c.Conn.Close()
}

func (l *Line) noteSent(c *conn, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent += int64(n)
	c.last = time.Now()
	if c.ctx.Err() != nil {
		return
	}
	l.conns[c] = struct{}{}
	if !l.samples {
		l.samples = true
		go l.sample()
	}
}

// sample steers the rate as long as something is sent.
func (l *Line) sample() {
	tick := time.NewTicker(samplePause)
	defer tick.Stop()
	last := time.Now()
	for now := range tick.C {
		l.mu.Lock()
		rtt := l.look(now)
		if len(l.conns) == 0 {
			l.samples = false
			l.mu.Unlock()
			return
		}
		l.way.observe(now, rtt, float64(l.sent)/now.Sub(last).Seconds(), l.ceiling, float64(len(l.conns)*slowestConn))
		l.sent, last = 0, now
		l.apply()
		l.mu.Unlock()
	}
}

// look finds the shortest round trip among the connections that send, 0 if it is
// not known. A change of this machine's address makes it another line.
func (l *Line) look(now time.Time) (shortest time.Duration) {
	for c := range l.conns {
		if now.Sub(c.last) > sendingUntil {
			delete(l.conns, c)
			continue
		}
		t, ok := c.Conn.(*net.TCPConn)
		if !ok {
			continue
		}
		if a, ok := t.LocalAddr().(*net.TCPAddr); ok {
			l.way.via(a.IP.String())
		}
		if rtt := roundTrip(t); rtt > 0 && (shortest == 0 || rtt < shortest) {
			shortest = rtt
		}
	}
	return shortest
}
