package s3proxy

import (
	"context"
	"net"
	"sync/atomic"

	"golang.org/x/time/rate"
)

// sliceSize is what a limited transfer moves at a time, in bytes.
const sliceSize = 8 << 10

// link is one direction of the line, shared by all connections.
type link struct{ limiter *rate.Limiter }

func newLink() *link { return &link{rate.NewLimiter(rate.Inf, sliceSize)} }

// set limits the link to so many bytes a second; 0 for no limit.
func (l *link) set(bytesPerSecond int64) {
	limit := rate.Inf
	if bytesPerSecond > 0 {
		limit = rate.Limit(bytesPerSecond)
	}
	l.limiter.SetLimit(limit)
}

func (l *link) limited() bool { return l.limiter.Limit() != rate.Inf }

// slice is how much of n bytes to move at a time.
func (l *link) slice(n int) int {
	if l.limited() {
		return min(n, sliceSize)
	}
	return n
}

// take waits until n more bytes may have passed.
func (l *link) take(ctx context.Context, n int) error {
	for n > 0 {
		k := min(n, sliceSize) // the limit may have come after the slice was cut
		if err := l.limiter.WaitN(ctx, k); err != nil {
			return err
		}
		n -= k
	}
	return nil
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
