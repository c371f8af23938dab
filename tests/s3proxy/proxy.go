// Package s3proxy is a reverse proxy for one S3 server that counts what a
// program asks of it and lets tests break it.
//
// Requests pass through unchanged, Host, path and query included, so that
// their signature (AWS Signature Version 4) still holds at the server; buckets
// are addressed by path. On the way the proxy
//
//   - counts requests and body bytes, in total, by operation, by the folder of
//     the key such as "audio/", and by both; and bytes on the wire,
//   - keeps a log of the requests,
//   - limits the rate, as one line shared by all connections, and adds latency,
//   - makes faults, at random ([Faults]) or exactly where a test wants them
//     ([Proxy.Before]).
//
// In a test:
//
//	p := s3proxy.Start(server.URL)
//	defer p.Close()
//	p.Before(s3proxy.Nth(3, "PutObject", s3proxy.CutUp))
//	… let the program use p.URL …
//	puts := p.Stats().PrefixOps["audio/"]["PutObject"].Requests
//
// What a client has the whole answer to is counted: Stats and Log include it.
//
// Scripts use the same proxy as a command, tests/cmd/s3proxy, and steer it by
// requests whose path begins with "/__", which no bucket's name does; see
// [Proxy.ServeHTTP].
package s3proxy

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Proxy is a running proxy. Its methods are safe to call at once.
type Proxy struct {
	URL string // where it listens, such as http://127.0.0.1:41234

	backend   *url.URL
	transport *http.Transport
	server    *http.Server
	served    chan struct{} // closed when the listener is
	counters  counters
	up, down  *link

	mu     sync.Mutex // guards what follows
	faults faultSource
	before func(*http.Request) Action
	as     Identity
	line   context.Context // ends when the line is cut: offline, or closed
	cut    context.CancelFunc
}

// Start runs a proxy before the server at backend, on a free port of this
// machine. Like [net/http/httptest.NewServer] it panics if it cannot.
func Start(backend string) *Proxy {
	p, err := Listen("127.0.0.1:0", backend)
	if err != nil {
		panic(err)
	}
	return p
}

// Listen runs a proxy on addr before the server at backend.
func Listen(addr, backend string) (*Proxy, error) {
	to, err := url.Parse(backend)
	if err != nil {
		return nil, err
	}
	if to.Host == "" || strings.Trim(to.Path, "/") != "" {
		return nil, fmt.Errorf("s3proxy: %q is not the URL of a server", backend)
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	p := &Proxy{
		URL:     "http://" + ln.Addr().String(),
		backend: to,
		transport: &http.Transport{
			MaxIdleConnsPerHost:   256,
			DisableCompression:    true, // or it would ask for what the client did not
			ExpectContinueTimeout: time.Second,
		},
		served: make(chan struct{}),
		up:     newLink(),
		down:   newLink(),
	}
	p.line, p.cut = context.WithCancel(context.Background())
	p.counters.reset()
	p.server = &http.Server{Handler: p, ErrorLog: log.New(io.Discard, "", 0)}
	go func() {
		p.server.Serve(wireListener{ln, &p.counters.wire}) // ends with ErrServerClosed
		close(p.served)
	}()
	return p, nil
}

// Close cuts every connection and ends the proxy.
func (p *Proxy) Close() {
	p.mu.Lock()
	p.cut()
	p.mu.Unlock()
	p.server.Close()
	<-p.served
	p.transport.CloseIdleConnections()
}

// Stats returns the counts since the start or the last Reset.
func (p *Proxy) Stats() Stats {
	s := p.counters.stats()
	s.LineUp, s.LineDown = p.up.told(), p.down.told()
	return s
}

// Reset sets the counts to zero, forgets the log, and returns the last counts.
// A transfer under way counts its rest to the new ones.
func (p *Proxy) Reset() Stats {
	s := p.counters.reset()
	s.LineUp, s.LineDown = p.up.reset(), p.down.reset()
	return s
}

// Log returns the finished requests since the start or the last Reset, the
// first finished first. Of very many it keeps the latest.
func (p *Proxy) Log() []Entry { return p.counters.entries() }

// LogTo also writes every finished request to w, a line of JSON each; nil ends
// that.
func (p *Proxy) LogTo(w io.Writer) { p.counters.logTo(w) }

// SetRoot tells under which prefix of its bucket the repository lies, so that
// its folders are told apart there: with "backup/" the key "backup/audio/x"
// counts to "audio/".
func (p *Proxy) SetRoot(prefix string) { p.counters.setRoot(prefix) }

// Before has hook called for each request; nil ends that. Where it returns
// anything but [Forward] that is done with the request, otherwise the [Faults]
// apply. It may block, which holds the request. It must not read the body.
func (p *Proxy) Before(hook func(*http.Request) Action) {
	p.mu.Lock()
	p.before = hook
	p.mu.Unlock()
}

// As has the proxy pose as another server; Identity{} ends that.
func (p *Proxy) As(i Identity) {
	p.mu.Lock()
	p.as = i
	p.mu.Unlock()
}

func (p *Proxy) identity() Identity {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.as
}

// Set replaces the faults; Set(Faults{}) ends them. Random choices and
// Faults.Max start anew.
func (p *Proxy) Set(f Faults) {
	p.up.set(f.UpRate)
	p.down.set(f.DownRate)
	p.mu.Lock()
	was := p.faults
	p.faults = newFaultSource(f)
	if f.Offline {
		p.cut()
	} else if was.Mute > 0 || was.Drip > 0 { // who waits is let go
		p.cut()
		p.line, p.cut = context.WithCancel(context.Background())
	} else if p.line.Err() != nil {
		p.line, p.cut = context.WithCancel(context.Background())
	}
	p.mu.Unlock()
	p.server.SetKeepAlivesEnabled(!f.Offline) // closes the connections that are idle
}

// Faults returns what was set.
func (p *Proxy) Faults() Faults {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.faults.Faults
}

// decide says what to do with a request, and after how long.
func (p *Proxy) decide(r *http.Request, prefix string) (Action, time.Duration) {
	p.mu.Lock()
	hook := p.before
	p.mu.Unlock()
	var a Action
	if hook != nil {
		a = hook(r) // may block, so without the lock
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if a == Forward {
		a = p.faults.draw(Op(r), prefix)
	}
	return a, p.faults.Latency
}

// lineContext ends with the request and when the line is cut. Then also reads
// and writes of the client's connection fail.
func (p *Proxy) lineContext(w http.ResponseWriter, r *http.Request) (context.Context, context.CancelFunc) {
	p.mu.Lock()
	line := p.line
	p.mu.Unlock()
	ctx, cancel := context.WithCancel(r.Context())
	stop := context.AfterFunc(line, func() {
		cancel()
		c := http.NewResponseController(w)
		past := time.Unix(1, 0)
		// Best effort: the connection may be gone already.
		_ = c.SetReadDeadline(past)
		_ = c.SetWriteDeadline(past)
	})
	return ctx, func() { stop(); cancel() }
}
