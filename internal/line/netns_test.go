package line

import (
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/tests/tools"
)

// slowLine makes a line of 500 kB/s with a queue of half a second, as a cable
// modem has, of the loopback device of a network namespace of its own.
const slowLine = `ip link set lo mtu 1500 up &&
	tc qdisc add dev lo root tbf rate 4mbit burst 8kb limit 250kb && exec "$0" "$@"`

const (
	inNamespace  = "TUNESAFE_TEST_SLOW_LINE"
	lineCapacity = 500e3
)

// TestBesideOthers is TestGivesWay with the kernel's own queue and round trips.
func TestBesideOthers(t *testing.T) {
	if os.Getenv(inNamespace) != "" {
		besideOthers(t)
		return
	}
	tools.Need(t, "unshare", "ip", "tc")
	if out, err := exec.Command("unshare", "-rn", "sh", "-c", slowLine, "true").CombinedOutput(); err != nil {
		stop := t.Skipf
		if os.Getenv("TUNESAFE_REQUIRE_TOOLS") == "1" {
			stop = t.Fatalf
		}
		stop("needs a kernel that makes a slow line: %v: %s", err, out)
	}
	var err error
	for range 3 { // a machine that is busy itself lets packets wait, too
		child := exec.Command("unshare", "-rn", "sh", "-c", slowLine, os.Args[0], "-test.run=^TestBesideOthers$", "-test.v")
		child.Env = append(os.Environ(), inNamespace+"=1")
		var out []byte
		out, err = child.CombinedOutput()
		t.Logf("in the namespace:\n%s", out)
		if err == nil {
			return
		}
	}
	t.Error(err)
}

func besideOthers(t *testing.T) {
	sink := listen(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	echo := listen(t, func(c net.Conn) { _, _ = io.Copy(c, c) })
	l := New()
	ours := send(t, sink, l.Wrap)
	p := ping(t, echo)

	p.take(3 * time.Second) // in which the queue is found
	ours.rate(0)
	alone := p.take(4 * time.Second)
	rate := ours.rate(4)
	t.Logf("alone: %.0f kB/s, others wait %v; %+v", rate/1000, alone, l.State())
	if rate < 0.25*lineCapacity {
		t.Errorf("takes %.0f bytes/s of %.0f", rate, lineCapacity)
	}
	if alone > 250*time.Millisecond {
		t.Errorf("a request of somebody else waits %v", alone)
	}

	call := talk(t, 0.9*lineCapacity)
	p.take(2 * time.Second) // in which it shows
	ours.rate(0)
	call.heard.Store(0)
	p.take(3 * time.Second)
	beside, theirs := ours.rate(3), float64(call.heard.Load())/3
	t.Logf("two seconds after somebody began to send 450 kB/s: ours %.0f kB/s, theirs %.0f kB/s; %+v", beside/1000, theirs/1000, l.State())
	if beside > 0.3*lineCapacity || theirs < 0.6*lineCapacity {
		t.Errorf("ours is %.0f bytes/s, theirs %.0f", beside, theirs)
	}
	if !l.State().Gives {
		t.Error("does not say that it gives way")
	}

	call.end()
	least, ended := l.State().Limit, time.Now()
	for l.State().Limit < 1.3*least && time.Since(ended) < 90*time.Second {
		p.take(time.Second)
	}
	t.Logf("%v after they ended: %+v", time.Since(ended).Round(time.Second), l.State())
	if limit := l.State().Limit; limit < 1.3*least {
		t.Errorf("comes back from %.0f to %.0f bytes/s only", least, limit)
	}
}

// caller sends at a rate of its own, over UDP, as a call does.
type caller struct {
	heard atomic.Int64 // bytes that arrived
	end   func()
}

func talk(t *testing.T, rate float64) *caller {
	in, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	out, err := net.Dial("udp", in.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	c := &caller{end: func() { out.Close() }}
	t.Cleanup(func() { in.Close(); out.Close() })
	go func() {
		for buf := make([]byte, 2000); ; {
			n, _, err := in.ReadFrom(buf)
			if err != nil {
				return
			}
			c.heard.Add(int64(n))
		}
	}()
	go func() {
		begun, sent := time.Now(), 0.0
		for buf := make([]byte, 1200); ; time.Sleep(2 * time.Millisecond) {
			for ; sent < rate*time.Since(begun).Seconds(); sent += float64(len(buf)) {
				if _, err := out.Write(buf); err != nil {
					return
				}
			}
		}
	}()
	return c
}

// listen serves each connection with f.
func listen(t *testing.T, f func(net.Conn)) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() { defer c.Close(); f(c) }()
		}
	}()
	return ln.Addr().String()
}

// sender sends as much as it may.
type sender struct {
	conn net.Conn
	sent atomic.Int64
}

func send(t *testing.T, addr string, wrap func(net.Conn) net.Conn) *sender {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	s := &sender{conn: wrap(c)}
	t.Cleanup(func() { s.conn.Close() })
	go func() {
		for buf := make([]byte, 32<<10); ; {
			n, err := s.conn.Write(buf)
			s.sent.Add(int64(n))
			if err != nil {
				return
			}
		}
	}()
	return s
}

// rate is in bytes a second since it was last asked for, some seconds ago.
func (s *sender) rate(seconds float64) float64 { return float64(s.sent.Swap(0)) / seconds }

// pinger is somebody who wants an answer.
type pinger struct {
	t *testing.T
	c net.Conn
}

func ping(t *testing.T, addr string) *pinger {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &pinger{t, c}
}

// take asks ten times a second for a while and returns the median.
func (p *pinger) take(d time.Duration) time.Duration {
	var all []time.Duration
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		begun := time.Now()
		if _, err := p.c.Write([]byte{1}); err != nil {
			p.t.Fatal(err)
		}
		if _, err := io.ReadFull(p.c, make([]byte, 1)); err != nil {
			p.t.Fatal(err)
		}
		all = append(all, time.Since(begun))
	}
	slices.Sort(all)
	return all[len(all)/2]
}
