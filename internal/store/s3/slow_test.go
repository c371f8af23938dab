package s3_test

import (
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/internal/store/storetest/realserver"
	"github.com/tunesafe/tunesafe/tests/s3proxy"
	"github.com/tunesafe/tunesafe/tests/tools"
)

// TestSlowPutOnTheWire is TestSlowPut with a real server, whose answer says how often
// an object went.
func TestSlowPutOnTheWire(t *testing.T) {
	size, rate, stall := 2<<20, int64(1<<20), time.Minute
	if tools.Tier() != "ci" { // the real thing: the largest object, a line of 2006
		size, rate, stall = 16<<20, 36_000, time.Minute
	}
	server := realserver.StartEmbedded(t)
	p := s3proxy.Start(server.Endpoint)
	t.Cleanup(p.Close)
	c := config(server)
	c.Endpoint, c.Stall = p.URL, stall
	s := open(t, c)
	if _, err := s.EnsureBucket(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.Set(s3proxy.Faults{UpRate: rate})
	begun := time.Now()
	if err := s.Put(t.Context(), "object", make([]byte, size)); err != nil {
		t.Fatal(err)
	}
	took := time.Since(begun)
	puts := p.Stats().Ops["PutObject"]
	t.Logf("figure: %d bytes at %d bytes a second in %.0f s, %d requests, %d bytes sent; nothing may stall for %v", size, rate, took.Seconds(), puts.Requests, puts.Up, stall)
	if puts.Requests != 1 || puts.Up != int64(size) {
		t.Errorf("%d requests sent %d bytes", puts.Requests, puts.Up)
	}
	if least := time.Duration(float64(size)/float64(rate)*0.9) * time.Second; took < least {
		t.Errorf("took %v, less than the line allows", took)
	}
}
