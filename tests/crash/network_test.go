package crash

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/tests/s3proxy"
	"github.com/tunesafe/tunesafe/tests/tools"
)

// requestsOffline is how many requests a second, and at the beginning, the
// program may make of a store it cannot reach: each of its four transfers tries
// again some times, then the worker waits longer and longer.
const (
	requestsOffline  = 4
	requestsAtOnce   = 12
	slowLine         = 6 << 20 // bytes a second: copying is much faster than uploading
	networkAlbums    = 4
	networkMegabytes = 40
)

// TestNetworkComesAndGoes cuts the line again and again during an upload.
func TestNetworkComesAndGoes(t *testing.T) {
	t.Parallel() // it mostly waits
	outages := tools.Count(t, 3, 10, 40)
	rng := rand.New(rand.NewPCG(uint64(tools.Seed(t)), 2))
	r := newRig(t, networkAlbums, networkMegabytes)
	r.proxy.Set(s3proxy.Faults{UpRate: slowLine})
	r.Mount(settle)
	r.copyAll()
	total := 0.0
	for n := range outages {
		eventually(t, "an upload goes on", 2*time.Minute, func() bool {
			return r.proxy.Stats().InFlight > 0 || r.Status().Safe()
		})
		time.Sleep(time.Duration(rng.Int64N(int64(500 * time.Millisecond))))
		r.proxy.Set(s3proxy.Faults{Offline: true})
		before := r.proxy.Stats().Requests
		length := time.Second + time.Duration(rng.Int64N(int64(4*time.Second)))
		time.Sleep(length)
		asked := r.proxy.Stats().Requests - before
		r.proxy.Set(s3proxy.Faults{UpRate: slowLine})
		total += length.Seconds()
		if most := int64(requestsAtOnce + requestsOffline*length.Seconds()); asked > most {
			t.Errorf("outage %d of %v: %d requests, more than %d", n+1, length, asked, most)
		}
		tools.SameFile(t, r.lib+"/"+r.files[0], r.At+"/"+r.files[0]) // the drive goes on
	}
	r.proxy.Set(s3proxy.Faults{})
	r.mustBecomeSafe()
	sent := r.audioBytes()
	t.Logf("figure: %d outages of %.0f s in all; audio sent %d bytes of a library of %d; requests %d",
		outages, total, sent, r.sum.Bytes, r.proxy.Stats().Requests)
	// At each outage no more than what was on its way is lost.
	var broken int64
	for _, e := range r.proxy.Log() {
		if e.Op == "PutObject" && strings.HasPrefix(e.Key, "library/audio/") && e.Status != 200 {
			broken += e.Up
		}
	}
	if most := r.sum.Bytes + broken; sent > most {
		t.Errorf("%d bytes of audio were sent, more than the library and what was broken off, %d", sent, most)
	}
	tools.SameTree(t, r.lib, r.fromBucketAlone().At)
}

// TestLongOutage looks at a store that is away for long: asking it becomes rarer.
func TestLongOutage(t *testing.T) {
	t.Parallel() // it mostly waits
	length := time.Duration(tools.Count(t, 12, 120, 600)) * time.Second
	r := newRig(t, 1, 6)
	r.Mount(settle)
	r.proxy.Set(s3proxy.Faults{Offline: true})
	r.proxy.Reset()
	r.copyAll()
	eventually(t, "the program sees that the store is away", 2*time.Minute, func() bool {
		return r.proxy.Stats().Requests > 0
	})
	time.Sleep(length / 2)
	first := r.proxy.Stats().Requests
	time.Sleep(length / 2)
	second := r.proxy.Stats().Requests - first
	t.Logf("figure: store away for %v: %d requests in the first half, %d in the second", length, first, second)
	if most := int64(requestsAtOnce + requestsOffline*length.Seconds()/2); first > most || second > most {
		t.Errorf("%d and %d requests, more than %d", first, second, most)
	}
	if length >= time.Minute && second >= first { // so long the retries of single requests last
		t.Errorf("%d requests in the first half, %d in the second", first, second)
	}
	eventually(t, "status tells that the store is away", 2*time.Minute, func() bool {
		s := r.Status()
		return !s.Safe() && len(s.Errors) > 0
	})
	if _, stderr, code := r.Try("wait", "--timeout", "1s"); code != 3 {
		t.Errorf("wait: exit code %d, not 3\n%s", code, stderr)
	}
	r.proxy.Set(s3proxy.Faults{})
	r.mustBecomeSafe()
	tools.SameTree(t, r.lib, r.fromBucketAlone().At)
}

// TestBadServer uploads through a server that is busy in bursts, breaks
// connections, and carries out what it does not answer.
func TestBadServer(t *testing.T) {
	for _, c := range []struct {
		name   string
		faults s3proxy.Faults
	}{
		{"Busy", s3proxy.Faults{Unavailable: 0.5, Max: 60}},
		{"LostReplies", s3proxy.Faults{Lose: 0.4, Ops: []string{"PutObject"}, Max: 30}},
		{"Broken", s3proxy.Faults{Internal: 0.1, TooMany: 0.1, Drop: 0.1, CutUp: 0.1, CutDown: 0.1, Lose: 0.1, Max: 60}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel() // it mostly waits
			rounds := tools.Count(t, 1, 3, 20)
			c.faults.Seed = tools.Seed(t)
			r := newRig(t, 2, 12)
			for range rounds {
				r.Mount(settle)
				r.proxy.Set(c.faults)
				c.faults.Seed++
				r.copyAll()
				r.Run("wait", "--timeout", "5m")
				faults := r.proxy.Stats().Faults
				r.proxy.Set(s3proxy.Faults{})
				r.mustBecomeSafe()
				tools.SameTree(t, r.lib, r.At)
				r.Run("unmount", r.At)
				t.Logf("faults: %v", faults)
			}
			r.Mount()
			tools.SameTree(t, r.lib, r.fromBucketAlone().At)
		})
	}
}
