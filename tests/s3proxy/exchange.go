package s3proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// ServeHTTP passes a request on, or answers one whose path begins with "/__":
//
//	/__stats          the counts, as JSON
//	/__reset          the counts, which then start from zero
//	/__log            the log, as a JSON array
//	/__config?k=v&…   sets faults, by the names that [Faults.Flags] gives them,
//	                  and answers with all of them; the rest stays as it was
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/__") {
		p.control(w, r)
		return
	}
	ctx, end := p.lineContext(w, r)
	defer end()
	x := &exchange{p: p, w: w, r: r, tally: p.counters.begin(r)}
	err := x.run(ctx)
	x.tally.finish()
	if err != nil {
		panic(http.ErrAbortHandler) // closes the connection
	}
}

// exchange is one request on its way. Its methods return an error where the
// client shall see a broken connection.
type exchange struct {
	p     *Proxy
	w     http.ResponseWriter
	r     *http.Request
	tally *tally
}

// dripPause is between the bytes of a [Drip].
const dripPause = 200 * time.Millisecond

// errFault stands for a fault that was asked for.
var errFault = errors.New("s3proxy: fault")

func (x *exchange) run(ctx context.Context) error {
	act, latency := x.p.decide(x.r, x.tally.prefix)
	x.tally.fault(act)
	act = act.fit(x.r)
	if err := sleep(ctx, latency); err != nil {
		return err
	}
	switch act.do {
	case doDrop:
		return errFault
	case doMute:
		_, _ = io.Copy(io.Discard, x.upload(ctx, Forward)) // as a socket would
		<-ctx.Done()
		return errFault
	case doReply:
		return x.reply(ctx, act)
	}
	if refused := x.p.identity().adopt(x.r); refused != Forward {
		x.tally.fault(refused)
		return x.reply(ctx, refused)
	}
	resp, err := x.forward(ctx, act)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	x.tally.carriedOut(resp.StatusCode)
	if act.do == doLose {
		_, _ = io.Copy(io.Discard, resp.Body) // so that the server is done with it
		return errFault
	}
	return x.answer(ctx, resp, act)
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// reply answers in the server's place. It takes the body first, so that the
// connection can be used again; a client that waits for "100 Continue" is
// answered without it.
func (x *exchange) reply(ctx context.Context, act Action) error {
	status, code := act.status, act.code
	if code == "" {
		code = errorCode(status)
	}
	if !strings.EqualFold(x.r.Header.Get("Expect"), "100-continue") {
		if _, err := io.Copy(io.Discard, x.upload(ctx, Forward)); err != nil {
			return err
		}
	}
	body := fmt.Sprintf(`<?xml version="1.0" encoding="UTF-8"?>`+"\n"+
		`<Error><Code>%s</Code><Message>fault made by the test proxy</Message></Error>`, code)
	x.w.Header().Set("Content-Type", "application/xml")
	x.p.identity().date(x.w.Header())
	x.w.WriteHeader(status)
	x.tally.answered(status)
	if x.r.Method == http.MethodHead {
		return nil
	}
	x.tally.count(0, int64(len(body)))
	_, err := io.WriteString(x.w, body)
	return err
}

// hopByHop are the headers that concern one connection only (RFC 9110, 7.6.1).
var hopByHop = []string{"Connection", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade"}

// forward sends the request to the server and returns its answer. "Expect:
// 100-continue" goes along: only when the server asks for the body is it read
// from the client, which thereby is asked for it.
func (x *exchange) forward(ctx context.Context, act Action) (*http.Response, error) {
	out := x.r.Clone(ctx)
	out.URL.Scheme, out.URL.Host = x.p.backend.Scheme, x.p.backend.Host
	out.RequestURI = ""
	for _, h := range hopByHop {
		out.Header.Del(h)
	}
	if out.Header.Get("Expect") != "" { // VersityGW knows it in small letters only, and rclone writes others
		out.Header.Set("Expect", strings.ToLower(out.Header.Get("Expect")))
	}
	if _, ok := out.Header["User-Agent"]; !ok {
		out.Header["User-Agent"] = []string{""} // or the transport adds its own
	}
	if x.r.Body != http.NoBody {
		out.Body = x.upload(ctx, act)
	}
	return x.p.transport.RoundTrip(out)
}

// upload is the request's body: counted, at the line's rate, and broken or
// damaged as the action says.
func (x *exchange) upload(ctx context.Context, act Action) io.ReadCloser {
	u := &upload{ctx: ctx, ReadCloser: x.r.Body, flow: flow{link: x.p.up}, tally: x.tally, cutAt: -1, damageAt: -1}
	switch act.do {
	case doCutUp:
		u.cutAt = act.at
	case doDamageUp:
		u.damageAt = max(0, x.r.ContentLength/2)
	}
	return u
}

type upload struct {
	io.ReadCloser
	ctx   context.Context
	flow  flow
	tally *tally
	n     int64

	cutAt, damageAt int64 // negative for never
}

func (u *upload) Read(b []byte) (int, error) {
	b = b[:u.flow.link.slice(len(b))]
	if u.cutAt >= 0 {
		if u.n >= u.cutAt {
			return 0, errFault
		}
		b = b[:min(int64(len(b)), u.cutAt-u.n)]
	}
	n, err := u.ReadCloser.Read(b)
	if n > 0 {
		damage(b[:n], u.damageAt-u.n)
		u.n += int64(n)
		u.tally.count(int64(n), 0)
		if err := u.flow.take(u.ctx, n); err != nil {
			return 0, err
		}
	}
	if err != nil {
		u.flow.end()
	}
	return n, err
}

func (u *upload) Close() error {
	u.flow.end()
	return u.ReadCloser.Close()
}

// damage changes the byte at an offset, if it is among these.
func damage(b []byte, at int64) {
	if at >= 0 && at < int64(len(b)) {
		b[at] ^= 1
	}
}

// answer passes the server's answer on.
func (x *exchange) answer(ctx context.Context, resp *http.Response, act Action) error {
	header := x.w.Header()
	for k, v := range resp.Header {
		header[k] = v
	}
	for _, h := range hopByHop {
		header.Del(h)
	}
	if _, ok := header["Content-Type"]; !ok {
		header["Content-Type"] = nil // or the server guesses one
	}
	x.p.identity().date(header)
	end := resp.ContentLength // of what the client gets; negative if unknown
	if act.do == doCutDown {
		end = act.end(x.r, resp)
		if end <= 0 {
			return errFault
		}
	}
	x.w.WriteHeader(resp.StatusCode)
	if act.do != doCutDown {
		x.tally.answered(resp.StatusCode)
	}
	if err := x.download(ctx, resp, end, act); err != nil {
		x.tally.answered(0)
		return err
	}
	if act.do == doCutDown {
		_ = http.NewResponseController(x.w).Flush() // the connection breaks anyway
		return errFault
	}
	return nil
}

// download copies the answer's body to the client until its end, or until end bytes if end
// is not negative. The last bytes are counted before they are sent: whoever
// has the whole answer finds it counted.
func (x *exchange) download(ctx context.Context, resp *http.Response, end int64, act Action) error {
	buf, pause, damageAt := make([]byte, 64<<10), time.Duration(0), int64(-1)
	line := flow{link: x.p.down}
	defer line.end()
	switch act.do {
	case doDrip:
		buf, pause = buf[:1], dripPause
	case doDamageDown:
		damageAt = max(0, resp.ContentLength/2)
	}
	for sent := int64(0); end < 0 || sent < end; {
		if err := sleep(ctx, pause); err != nil {
			return err
		}
		b := buf[:line.link.slice(len(buf))]
		if end >= 0 {
			b = b[:min(int64(len(b)), end-sent)]
		}
		n, err := resp.Body.Read(b)
		if n > 0 {
			damage(b[:n], damageAt-sent)
			if err := line.take(ctx, n); err != nil {
				return err
			}
			sent += int64(n)
			x.tally.count(0, int64(n))
			if sent == end {
				x.tally.finish()
			}
			if _, err := x.w.Write(b[:n]); err != nil {
				return err
			}
			if line.link.limited() || pause > 0 {
				if err := http.NewResponseController(x.w).Flush(); err != nil {
					return err
				}
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}
