package s3

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tunesafe/tunesafe/internal/store"
)

// lineOf opens a store whose connections the test makes, on a clock of its own.
func lineOf(t *testing.T, dial func() (net.Conn, error)) *Store {
	t.Helper()
	return lineWith(t, Config{}, dial)
}

// lineWith is [lineOf] with a configuration for what else it should be.
func lineWith(t *testing.T, c Config, dial func() (net.Conn, error)) *Store {
	t.Helper()
	c.Bucket, c.Endpoint, c.Region = "bucket", "http://10.0.0.1", "us-east-1"
	c.Credentials = Credentials{AccessKey: "a", SecretKey: "s"}
	s, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	s.transport.pool.DialContext = func(context.Context, string, string) (net.Conn, error) { return dial() }
	s.transport.pool.DisableKeepAlives = true
	return s
}

var errRefused = &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}

// answering is the client's end of a connection whose other end answers one
// request.
func answering() net.Conn {
	client, server := net.Pipe()
	go func() {
		defer server.Close()
		req, err := http.ReadRequest(bufio.NewReader(server))
		if err != nil {
			return
		}
		io.Copy(io.Discard, req.Body)
		io.WriteString(server, "HTTP/1.1 200 OK\r\nETag: \"x\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
	}()
	return client
}

// putAtOnce is a pass of a worker: four uploads, the first error.
func putAtOnce(t *testing.T, s *Store) error {
	t.Helper()
	errs := make(chan error, 4)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() { errs <- s.Put(t.Context(), "object", []byte("x")) })
	}
	all.Wait()
	return <-errs
}

// TestOutageIsNotStormed: with the worker's own pauses a server that is away is
// asked at most 20 times in the first minute and about once in each later one,
// however many calls wait for it; and after it is back, everything goes at once.
func TestOutageIsNotStormed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var back atomic.Bool
		minutes := make([]int, 11)
		begun := time.Now()
		var mu sync.Mutex
		s := lineOf(t, func() (net.Conn, error) {
			if back.Load() {
				return answering(), nil
			}
			mu.Lock()
			defer mu.Unlock()
			minutes[min(int(time.Since(begun).Minutes()), 10)]++
			return nil, errRefused
		})
		for pause := 2 * time.Second; time.Since(begun) < 10*time.Minute; pause = min(2*pause, time.Minute) {
			if err := putAtOnce(t, s); !errors.Is(err, store.ErrUnavailable) {
				t.Fatalf("got %v", err)
			}
			time.Sleep(pause)
		}
		t.Logf("figure: attempts in each minute of an outage: %v", minutes)
		if minutes[0] > 20 {
			t.Errorf("%d attempts in the first minute", minutes[0])
		}
		for i, n := range minutes[1:] {
			if n > 2 {
				t.Errorf("%d attempts in minute %d", n, i+2)
			}
		}
		back.Store(true)
		if err := putAtOnce(t, s); err != nil {
			t.Errorf("the server is back: %v", err)
		}
		s.Close()
	})
}

// TestReadersDoNotStorm: a program that reads again and again from a server that
// is away has it asked every few seconds.
func TestReadersDoNotStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		s := lineOf(t, func() (net.Conn, error) { asked++; return nil, errRefused })
		for begun := time.Now(); time.Since(begun) < time.Minute; time.Sleep(10 * time.Millisecond) {
			if _, err := s.Get(t.Context(), "object", 0, 10); !errors.Is(err, store.ErrUnavailable) {
				t.Fatalf("got %v", err)
			}
		}
		if asked < 10 || asked > 35 {
			t.Errorf("asked %d times in a minute", asked)
		}
	})
}

// TestLostPacketHealsSoon: one connection that breaks is made again within two
// seconds, also while other calls go on.
func TestLostPacketHealsSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var broken atomic.Bool
		s := lineOf(t, func() (net.Conn, error) {
			if broken.CompareAndSwap(false, true) {
				return nil, errRefused
			}
			return answering(), nil
		})
		begun := time.Now()
		if err := putAtOnce(t, s); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); took > 2*time.Second {
			t.Errorf("took %v", took)
		}
		s.Close()
	})
}
