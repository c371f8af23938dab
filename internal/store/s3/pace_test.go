package s3_test

import (
	"context"
	"errors"
	"io"
	"math"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/internal/line"
	"github.com/tunesafe/tunesafe/internal/store/s3"
	"github.com/tunesafe/tunesafe/internal/store/storetest/realserver"
	"github.com/tunesafe/tunesafe/tests/s3proxy"
)

// paced is a store whose connections are on a line, behind a proxy that counts.
func paced(t *testing.T) (*s3.Store, *line.Line, *s3proxy.Proxy) {
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
	return s, l, p
}

// TestEvenUpload: a limit of 36 kB/s is 36 kB/s in every second, on the wire and
// within one object.
func TestEvenUpload(t *testing.T) {
	const limit = 36e3
	s, l, p := paced(t)
	l.SetRates(limit, 0)
	done := make(chan error, 1)
	begun := time.Now()
	go func() { done <- s.Put(t.Context(), "object", make([]byte, 6*limit)) }()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var before int64
	for second := range 5 {
		<-tick.C
		up := p.Stats().WireUp
		t.Logf("second %d: %d bytes", second, up-before)
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
}

// A new limit holds within the object that is being sent.
func TestLimitChangesWithinAnObject(t *testing.T) {
	s, l, p := paced(t)
	l.SetRates(100e3, 0)
	ctx, end := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Put(ctx, "object", make([]byte, 16<<20)) }()
	rate := func() float64 {
		before := p.Stats().WireUp
		time.Sleep(time.Second)
		return float64(p.Stats().WireUp - before)
	}
	for _, want := range []float64{100e3, 20e3, 400e3} {
		l.SetRates(int64(want), 0)
		time.Sleep(200 * time.Millisecond)
		got := rate()
		for n := 0; n < 4 && math.Abs(got-want) > want/4; n++ { // a busy machine may stand still for a moment
			got = rate()
		}
		if math.Abs(got-want) > want/4 {
			t.Errorf("%.0f bytes/s, want %.0f", got, want)
		}
	}
	begun := time.Now()
	end()
	if err := <-done; !errors.Is(err, context.Canceled) || time.Since(begun) > time.Second {
		t.Errorf("ended with %v after %v", err, time.Since(begun))
	}
}

func TestEvenDownload(t *testing.T) {
	const limit = 200e3
	s, l, _ := paced(t)
	if err := s.Put(t.Context(), "object", make([]byte, 2*limit)); err != nil {
		t.Fatal(err)
	}
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
}
