package s3

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

const (
	dialTimeout = 8 * time.Second

	// silentPeer is how long sent bytes may stay unacknowledged, and about how
	// long a connection that only waits may be dead, before the kernel gives
	// it up. It notices a cut line long before a stalled server is suspected.
	silentPeer = 20 * time.Second

	// After the last byte of a body is handed to the kernel, up to kernelBuffer
	// bytes may still have to cross a line of slowLine bytes a second.
	kernelBuffer = 4 << 20
	slowLine     = 32 << 10

	// someProgress is how much of a body must have gone out before an attempt
	// counts as progress: less than that any socket takes, even to nowhere.
	someProgress = 256 << 10

	// drip is how many bytes of an answer must come within the time in which
	// nothing may stall, unless it ends before: a line that brings less is dead.
	drip = 8 << 10

	idlePerHost = 32
)

// errStalled ends a request in which nothing moved. It is a timeout to the
// retryer, which tries again.
var errStalled net.Error = stallError{}

type stallError struct{}

func (stallError) Error() string   { return "no progress on the connection" }
func (stallError) Timeout() bool   { return true }
func (stallError) Temporary() bool { return true }

// transport is one HTTP exchange: it counts it, watches that bytes move, and
// reads the store's clock from the answer.
type transport struct {
	pool     *http.Transport
	stall    time.Duration
	log      *slog.Logger
	clock    clock
	outage   outage
	refused  func() // called when the store refuses a request
	shape    atomic.Pointer[func(net.Conn) net.Conn]
	requests atomic.Int64
}

func newTransport(stall time.Duration, log *slog.Logger) *transport {
	t := &transport{pool: newHTTP(), stall: stall, log: log}
	dial := t.pool.DialContext
	t.pool.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dial(ctx, network, address)
		if shape := t.shape.Load(); err == nil && shape != nil {
			c = (*shape)(c)
		}
		return c, err
	}
	return t
}

// newHTTP returns the pool of connections. HTTP/1.1 only: with HTTP/2 all
// transfers share one connection, so one stall would stop every one of them.
// [http.ProxyFromEnvironment] never takes a proxy for a loopback address.
func newHTTP() *http.Transport {
	dialer := &net.Dialer{
		Timeout: dialTimeout,
		KeepAliveConfig: net.KeepAliveConfig{
			Enable: true, Idle: silentPeer / 2, Interval: silentPeer / 8, Count: 4,
		},
		Control: limitSilence,
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           dialer.DialContext,
		Protocols:             protocols,
		TLSHandshakeTimeout:   dialTimeout,
		ExpectContinueTimeout: time.Second,
		MaxIdleConnsPerHost:   idlePerHost,
		IdleConnTimeout:       90 * time.Second,
		DisableCompression:    true, // objects are ciphertext
		WriteBufferSize:       64 << 10,
		ReadBufferSize:        64 << 10,
	}
}

// RoundTrip implements [http.RoundTripper].
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	a, err := t.outage.enter(req.Context())
	if err != nil {
		return nil, err
	}
	resp, err := t.exchange(req, a)
	a.end(resp, err)
	return resp, err
}

func (t *transport) exchange(req *http.Request, a *attempt) (*http.Response, error) {
	t.requests.Add(1)
	w := newWatch(req.Context(), t.allowance(req.ContentLength))
	req = req.WithContext(w.ctx)
	if req.Body != nil && req.Body != http.NoBody {
		req.Body = &sentBody{ReadCloser: req.Body, watch: w, attempt: a}
	}
	w.arm()
	begun := time.Now()
	resp, err := t.pool.RoundTrip(req)
	t.trace(req, resp, err, begun)
	if err != nil {
		defer w.stop()
		return nil, w.explain(err)
	}
	w.answered()
	if foreign(resp) {
		resp.Body.Close()
		w.stop()
		return nil, errForeign
	}
	switch resp.StatusCode {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound:
		t.refused()
	}
	t.clock.observe(resp.Header.Get("Date"), begun, time.Now())
	resp.Body = &readBody{ReadCloser: resp.Body, watch: w, left: w.idle}
	return resp, nil
}

// foreign tells a page for people, as the login of a hotel's network gives it,
// from an answer of the store: what Tunesafe puts there is no HTML. Of errors
// the status is enough.
func foreign(resp *http.Response) bool {
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	return resp.StatusCode < http.StatusBadRequest && kind == "text/html"
}

// allowance is how long nothing may move in an exchange that sends size bytes.
func (t *transport) allowance(size int64) time.Duration {
	buffered := min(max(size, 0), kernelBuffer)
	return t.stall + time.Duration(buffered/slowLine)*time.Second
}

func (t *transport) trace(req *http.Request, resp *http.Response, err error, begun time.Time) {
	if t.log == nil {
		return
	}
	status := 0
	if resp != nil {
		status = resp.StatusCode
	}
	t.log.LogAttrs(req.Context(), slog.LevelDebug, "s3 request",
		slog.String("method", req.Method), slog.String("path", req.URL.Path),
		slog.Int("status", status), slog.Duration("took", time.Since(begun)), slog.Any("err", err))
}

// watch cancels an exchange when it was armed and nothing moved for idle.
type watch struct {
	ctx    context.Context //nolint:containedctx // the exchange's own, made here
	cancel context.CancelCauseFunc
	timer  *time.Timer
	idle   time.Duration
	sent   atomic.Bool // the answer came: what the sender does no longer counts
	pulse  *pulse
}

func newWatch(parent context.Context, idle time.Duration) *watch {
	ctx, cancel := context.WithCancelCause(parent)
	w := &watch{ctx: ctx, cancel: cancel, idle: idle, pulse: pulseOf(parent)}
	w.timer = time.AfterFunc(idle, func() { cancel(errStalled) })
	return w
}

func (w *watch) arm() { w.armFor(w.idle) }

func (w *watch) armFor(d time.Duration) { w.timer.Reset(max(d, 0)) }

// pause stops the clock while the caller, not the network, is awaited.
func (w *watch) pause() { w.timer.Stop() }

func (w *watch) answered() {
	w.sent.Store(true)
	w.pause()
}

func (w *watch) stop() {
	w.timer.Stop()
	w.cancel(nil)
}

// explain names the stall where the transport only saw a cancelled context.
func (w *watch) explain(err error) error {
	if errors.Is(context.Cause(w.ctx), errStalled) {
		return errStalled
	}
	return err
}

type sentBody struct {
	io.ReadCloser
	watch   *watch
	attempt *attempt
	sent    int
}

func (b *sentBody) Read(p []byte) (int, error) {
	if !b.watch.sent.Load() {
		b.watch.arm()
	}
	n, err := b.ReadCloser.Read(p)
	if b.sent += n; b.sent > someProgress {
		b.watch.pulse.beat()
		b.attempt.moved()
	}
	return n, err
}

// readBody is an answer's body. The time in which the caller waits for it counts,
// and begins anew with every drip bytes.
type readBody struct {
	io.ReadCloser
	watch *watch
	left  time.Duration // until no progress is made
	bytes int           // since left began anew
}

func (b *readBody) Read(p []byte) (int, error) {
	begun := time.Now()
	b.watch.armFor(b.left)
	n, err := b.ReadCloser.Read(p)
	b.watch.pause()
	b.left -= time.Since(begun)
	if b.bytes += n; b.bytes >= drip {
		b.left, b.bytes = b.watch.idle, 0
	}
	if err != nil && !errors.Is(err, io.EOF) {
		err = b.watch.explain(err)
	}
	return n, err
}

func (b *readBody) Close() error {
	err := b.ReadCloser.Close()
	b.watch.stop()
	return err
}
