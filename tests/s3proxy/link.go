package s3proxy

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// sliceSize is what a limited transfer moves at a time, in bytes.
	sliceSize = 8 << 10

	// late is by how much bytes may come after the line was through with those before
	// them, and it was not idle: who sleeps until then wakes up later. Amid a body that
	// is much, as both ends of a real line have some hundred KiB in their kernels, and
	// the line goes on while neither program, nor this proxy, is let run.
	late     = 2 * time.Millisecond
	lateAmid = 100 * time.Millisecond
)

// Line tells when one direction of a limited line had nothing to carry, in seconds.
// What it carried and Before, Between and After add up to the time since the last Reset.
type Line struct {
	Before  float64 `json:"before"`  // the first byte of a body
	Between float64 `json:"between"` // bytes
	After   float64 `json:"after"`   // the last
	Gaps    int     `json:"gaps"`    // stretches of Between
	Longest float64 `json:"longest"` // of them
}

// link is one direction of the line, shared by all connections: bytes go over it one
// after another, in the order in which they come.
type link struct {
	mu      sync.Mutex
	rate    int64     // bytes a second; 0 for no limit
	since   time.Time // the last reset
	first   time.Time // a byte began to go; zero: none has
	through time.Time // with the bytes so far
	bodies  int       // under way
	idle    Line
}

func newLink() *link { return &link{since: time.Now()} }

// set limits the link to so many bytes a second; 0 for no limit.
func (l *link) set(bytesPerSecond int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rate = bytesPerSecond
}

func (l *link) limited() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rate > 0
}

// slice is how much of n bytes to move at a time.
func (l *link) slice(n int) int {
	if l.limited() {
		return min(n, sliceSize)
	}
	return n
}

// flow is one body on its way over the line.
type flow struct {
	link  *link
	begun bool
}

// take waits until n more bytes of it have passed.
func (f *flow) take(ctx context.Context, n int) error {
	l := f.link
	l.mu.Lock()
	through := l.enqueue(n, time.Now())
	if !f.begun {
		f.begun = true
		l.bodies++
	}
	l.mu.Unlock()
	return sleep(ctx, time.Until(through))
}

// end tells that nothing more comes; it may be called again.
func (f *flow) end() {
	f.link.mu.Lock()
	defer f.link.mu.Unlock()
	if f.begun {
		f.begun = false
		f.link.bodies--
	}
}

// enqueue gives bytes to the line, and returns when they are through. It needs l.mu.
func (l *link) enqueue(n int, now time.Time) time.Time {
	if l.rate == 0 || n == 0 {
		return now
	}
	begin, gap, forgiven := now, now.Sub(l.through), late
	if l.bodies > 0 {
		forgiven = lateAmid
	}
	switch {
	case l.first.IsZero():
		l.first = now
	case gap <= forgiven:
		begin = l.through
	default:
		l.idle.Gaps++
		l.idle.Between += gap.Seconds()
		l.idle.Longest = max(l.idle.Longest, gap.Seconds())
	}
	l.through = begin.Add(time.Duration(float64(n) / float64(l.rate) * float64(time.Second)))
	return l.through
}

// told is when the line was idle since the last reset.
func (l *link) told() Line {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tell(time.Now())
}

// tell needs l.mu.
func (l *link) tell(now time.Time) Line {
	t := l.idle
	if l.first.IsZero() {
		t.Before = now.Sub(l.since).Seconds()
		return t
	}
	t.Before = l.first.Sub(l.since).Seconds()
	t.After = max(0, now.Sub(l.through).Seconds())
	return t
}

// reset begins to tell anew, and returns what was to be told.
func (l *link) reset() Line {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	t := l.tell(now)
	l.since, l.first, l.idle = now, time.Time{}, Line{}
	return t
}

// wire counts bytes of the clients' connections, headers included.
type wire struct{ up, down atomic.Int64 }

type wireListener struct {
	net.Listener
	wire *wire
}

func (l wireListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if t, ok := c.(*net.TCPConn); ok {
		// So that what is counted was, nearly, taken by the client. Without
		// it the counts of a client that leaves are too high, no more.
		_ = t.SetWriteBuffer(64 << 10)
	}
	return wireConn{c, l.wire}, nil
}

type wireConn struct {
	net.Conn
	wire *wire
}

func (c wireConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.wire.up.Add(int64(n))
	return n, err
}

func (c wireConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.wire.down.Add(int64(n))
	return n, err
}
