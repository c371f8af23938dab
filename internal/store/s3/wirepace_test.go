package s3_test

import (
	"io"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/internal/line"
	"github.com/tunesafe/tunesafe/internal/store/storetest/realserver"
	"github.com/tunesafe/tunesafe/tests/s3proxy"
)

// TestLimitOnTheWire: with the kernel's buffers between, no more goes out than the
// limit allows, from the first byte of an object to the last, and none comes sooner.
// Less is what a busy machine may send.
func TestLimitOnTheWire(t *testing.T) {
	const up, down, atOnce = 72e3, 200e3, 64e3
	server := realserver.StartEmbedded(t)
	p := s3proxy.Start(server.Endpoint)
	t.Cleanup(p.Close)
	c := config(server)
	c.Endpoint = p.URL
	s := open(t, c)
	l := line.New()
	s.Shape(l.Wrap)
	if _, err := s.EnsureBucket(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.SetRates(up, 0)
	done := make(chan error, 1)
	before, begun := p.Stats().WireUp, time.Now()
	go func() { done <- s.Put(t.Context(), "object", make([]byte, 2*down)) }()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for ended := false; !ended; {
		select {
		case err := <-done:
			if took := time.Since(begun); err != nil || took < 4*time.Second {
				t.Errorf("the upload took %v, %v", took, err)
			}
			ended = true
		case <-tick.C:
			sent := float64(p.Stats().WireUp - before)
			if most := up*time.Since(begun).Seconds() + atOnce; sent > most {
				t.Fatalf("%.0f bytes went out in %v, at most %.0f should", sent, time.Since(begun), most)
			}
		}
	}
	l.SetRates(0, down)
	begun = time.Now()
	r, err := s.Get(t.Context(), "object", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	n, err := io.Copy(io.Discard, r)
	if took := time.Since(begun); err != nil || took < 1500*time.Millisecond {
		t.Errorf("%d bytes took %v, %v", n, took, err)
	}
}
