package s3

import (
	"context"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tunesafe/tunesafe/internal/line"
	"github.com/tunesafe/tunesafe/internal/store"
)

// These tests have a clock of their own, on which no time passes while anything
// moves: on a busy machine they see the same as on an idle one. What the kernel adds
// is TestLimitOnTheWire's.

// serving has a handler answer what goes over connections within the process. It
// returns how they are made, and counts the bytes that come in.
func serving(t *testing.T, h http.HandlerFunc) (dial func() (net.Conn, error), in *atomic.Int64) {
	l := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	in = new(atomic.Int64)
	server := &http.Server{Handler: h}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() {
		server.Close()
		time.Sleep(2 * time.Second) // in which handlers end, and lines see that nobody sends
	})
	return func() (net.Conn, error) {
		client, end := net.Pipe()
		l.conns <- &counted{Conn: end, in: in}
		return client, nil
	}, in
}

// pipes is a [net.Listener].
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (l *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipes) Close() error {
	close(l.closed)
	return nil
}

func (l *pipes) Addr() net.Addr { return &net.TCPAddr{} }

type counted struct {
	net.Conn
	in *atomic.Int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.in.Add(int64(n))
	return n, err
}

// taking is a handler that takes all it is sent.
func taking(w http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	w.Header().Set("ETag", `"x"`)
}

// giving is a handler that answers some bytes, so many at once with pauses.
func giving(total, slice int, pause time.Duration) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"x"`)
		w.Header().Set("Content-Length", strconv.Itoa(total))
		for sent := 0; sent < total && r.Context().Err() == nil; sent += slice {
			w.Write(make([]byte, min(slice, total-sent)))
			http.NewResponseController(w).Flush()
			time.Sleep(pause)
		}
	}
}

// on wraps what dial makes.
func on(l *line.Line, dial func() (net.Conn, error)) func() (net.Conn, error) {
	return func() (net.Conn, error) {
		c, err := dial()
		return l.Wrap(c), err
	}
}

// TestEvenUpload: a limit of 36 kB/s is 36 kB/s in every second, within one object.
func TestEvenUpload(t *testing.T) {
	const limit = 36e3
	synctest.Test(t, func(t *testing.T) {
		dial, in := serving(t, taking)
		l := line.New()
		s := lineOf(t, on(l, dial))
		defer s.Close()
		l.SetRates(limit, 0)
		done := make(chan error, 1)
		begun := time.Now()
		go func() { done <- s.Put(t.Context(), "object", make([]byte, 6*limit)) }()
		for second, before := 0, int64(0); second < 5; second++ {
			time.Sleep(time.Second)
			up := in.Load()
			if got := float64(up - before); math.Abs(got-limit) > limit/4 {
				t.Errorf("in second %d %.0f bytes went out, want %.0f", second, got, limit)
			}
			before = up
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); took < 5800*time.Millisecond || took > 7*time.Second {
			t.Errorf("the whole took %v", took)
		}
	})
}

// A new limit holds within the object that is being sent.
func TestLimitChangesWithinAnObject(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dial, in := serving(t, taking)
		l := line.New()
		s := lineOf(t, on(l, dial))
		defer s.Close()
		l.SetRates(100e3, 0)
		ctx, end := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Put(ctx, "object", make([]byte, 16<<20)) }()
		time.Sleep(2 * time.Second) // in which the body begins
		for _, want := range []float64{100e3, 20e3, 400e3} {
			l.SetRates(int64(want), 0)
			time.Sleep(200 * time.Millisecond)
			before := in.Load()
			time.Sleep(time.Second)
			if got := float64(in.Load() - before); math.Abs(got-want) > want/4 {
				t.Errorf("%.0f bytes/s, want %.0f", got, want)
			}
		}
		begun := time.Now()
		end()
		if err := <-done; !errors.Is(err, context.Canceled) || time.Since(begun) > time.Second {
			t.Errorf("ended with %v after %v", err, time.Since(begun))
		}
	})
}

func TestEvenDownload(t *testing.T) {
	const limit = 200e3
	synctest.Test(t, func(t *testing.T) {
		dial, _ := serving(t, giving(2*limit, 2*limit, 0))
		l := line.New()
		s := lineOf(t, on(l, dial))
		defer s.Close()
		l.SetRates(0, limit)
		begun := time.Now()
		r, err := s.Get(t.Context(), "object", 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		half, err := io.CopyN(io.Discard, r, limit)
		if took := time.Since(begun); err != nil || took < 800*time.Millisecond || took > 1500*time.Millisecond {
			t.Errorf("%d bytes took %v, %v", half, took, err)
		}
		rest, err := io.Copy(io.Discard, r)
		if took := time.Since(begun); err != nil || took < 1800*time.Millisecond || took > 3*time.Second {
			t.Errorf("and %d more %v, %v", rest, took, err)
		}
	})
}

// TestDrip: a body that comes so slowly that it never ends is given up by lack
// of progress; one that is only slow is read to its end, however long that takes.
func TestDrip(t *testing.T) {
	for _, test := range []struct {
		name         string
		slice, total int // bytes every 20 ms
		ends         bool
	}{{"drip", 3, 1000, false}, {"slow", 800, 100_000, true}} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dial, _ := serving(t, giving(test.total, test.slice, 20*time.Millisecond))
				s := lineWith(t, Config{Stall: time.Second, Patience: time.Second}, dial)
				defer s.Close()
				begun := time.Now()
				_, err := whole(t, s)
				took := time.Since(begun)
				if !test.ends && (!errors.Is(err, store.ErrUnavailable) || took > 4*time.Second) {
					t.Errorf("after %v: %v", took, err)
				}
				if test.ends && (err != nil || took < 2*time.Second) {
					t.Errorf("after %v: %v", took, err)
				}
			})
		})
	}
}

func whole(t *testing.T, s *Store) (int64, error) {
	r, err := s.Get(t.Context(), "object", 0, -1)
	if err != nil {
		return 0, err
	}
	n, err := io.Copy(io.Discard, r)
	return n, errors.Join(err, r.Close())
}

// TestSlowButMoving: what moves is not stalled, however long it takes, and a
// reader that takes its time is not a stalled line.
func TestSlowButMoving(t *testing.T) {
	const size = 1_000_000
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		dial, _ := serving(t, func(w http.ResponseWriter, r *http.Request) {
			asked++
			if r.Method == http.MethodGet {
				giving(size, 32<<10, 50*time.Millisecond)(w, r)
				return
			}
			r.Body = &slowReader{r.Body, 32 << 10, 50 * time.Millisecond}
			taking(w, r)
		})
		s := lineWith(t, Config{Stall: 700 * time.Millisecond, Patience: time.Second}, dial)
		defer s.Close()
		begun := time.Now()
		if err := s.Put(t.Context(), "object", make([]byte, size)); err != nil || time.Since(begun) < 1500*time.Millisecond {
			t.Fatalf("after %v: %v", time.Since(begun), err)
		}
		body, err := s.Get(t.Context(), "object", 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		n, err := io.Copy(io.Discard, body)
		if err := errors.Join(err, body.Close()); err != nil || n != size {
			t.Errorf("%d bytes, %v", n, err)
		}
		if asked != 2 {
			t.Errorf("%d requests, want 2", asked)
		}
	})
}

// TestSlowPut sends the largest object over a line of 36 kB/s, which takes several
// times as long as an exchange may stand still: it is not given up, and goes once.
func TestSlowPut(t *testing.T) {
	const size = 16 << 20
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		dial, in := serving(t, func(w http.ResponseWriter, r *http.Request) {
			asked++
			r.Body = &slowReader{r.Body, 3600, 100 * time.Millisecond}
			taking(w, r)
		})
		s := lineWith(t, Config{Stall: 10 * time.Second, Patience: time.Second}, dial)
		defer s.Close()
		begun := time.Now()
		err := s.Put(t.Context(), "object", make([]byte, size))
		if took := time.Since(begun); err != nil || took < 3*s.transport.allowance(size) {
			t.Errorf("after %v: %v", took, err)
		}
		if asked != 1 || in.Load() > size+10_000 {
			t.Errorf("%d requests, %d bytes", asked, in.Load())
		}
	})
}

// slowReader gives so many bytes after every pause.
type slowReader struct {
	io.ReadCloser
	most  int
	pause time.Duration
}

func (r *slowReader) Read(p []byte) (int, error) {
	time.Sleep(r.pause)
	return r.ReadCloser.Read(p[:min(len(p), r.most)])
}
