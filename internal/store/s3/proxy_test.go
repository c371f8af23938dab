package s3_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/internal/store/s3"
	"github.com/tunesafe/tunesafe/internal/store/storetest/realserver"
)

// proxy stands between the store and a real server and misbehaves.
type proxy struct {
	*httptest.Server
	forward  *httputil.ReverseProxy
	attempts atomic.Int64
}

// fault handles attempt n, counted from 1, of a test. It may call pass to let
// the real server answer.
type fault func(n int64, w http.ResponseWriter, r *http.Request, pass http.HandlerFunc)

func newProxy(t *testing.T, target string, f fault) *proxy {
	t.Helper()
	to, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{forward: &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.Out.Host = r.In.Host // it is signed
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) {
			w.WriteHeader(http.StatusBadGateway)
		},
	}}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f(p.attempts.Add(1), w, r, p.forward.ServeHTTP)
	}))
	t.Cleanup(p.Close)
	return p
}

// through opens a store on the bucket of c behind a proxy with the fault, with
// little patience where c asks for none.
func through(t *testing.T, c s3.Config, f fault) (*s3.Store, *proxy) {
	t.Helper()
	p := newProxy(t, c.Endpoint, f)
	c.Endpoint = p.URL
	if c.Patience == 0 {
		c.Patience = time.Second
	}
	if c.Stall == 0 {
		c.Stall = 10 * time.Second
	}
	s := open(t, c)
	return s, p
}

// serverWithObject starts a server whose bucket holds "object".
func serverWithObject(t *testing.T, body []byte) s3.Config {
	t.Helper()
	c := config(realserver.StartEmbedded(t))
	s := openBucket(t, c)
	if err := s.Put(t.Context(), "object", body); err != nil {
		t.Fatal(err)
	}
	return c
}

func status(code int) fault {
	return func(_ int64, w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) {
		w.WriteHeader(code)
	}
}

// answer is an S3 error document.
func answer(status int, code string) fault {
	return func(_ int64, w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) {
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, `<?xml version="1.0" encoding="UTF-8"?><Error><Code>`+code+`</Code><Message>m</Message></Error>`)
	}
}

// page is what a login page or a broken proxy answers.
func page(status int) fault {
	return func(_ int64, w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "<html><body>Welcome to the hotel</body></html>")
	}
}

// drop closes the connection without an answer.
func drop(_ int64, w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) { cut(w) }

func cut(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		_ = conn.Close()
	}
}

// first applies f to the first n attempts and lets the others pass.
func first(n int64, f fault) fault {
	return func(i int64, w http.ResponseWriter, r *http.Request, pass http.HandlerFunc) {
		if i <= n {
			f(i, w, r, pass)
			return
		}
		pass(w, r)
	}
}

// mute accepts connections and never says a word.
func mute(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = conn.Close() })
		}
	}()
	return "http://" + l.Addr().String()
}
