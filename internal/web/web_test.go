package web

import (
	"context"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/internal/control"
)

// testOwner has nothing, and notes what it was told to do.
type testOwner struct {
	control.Owner
	mu   sync.Mutex
	told []control.WorkRequest
}

func (o *testOwner) Status(context.Context) (control.Status, error) {
	return control.Status{PID: 7, SafeWord: "safe", SafeFiles: 3, Agent: &control.AgentStatus{Runs: true}}, nil
}

func (o *testOwner) Work(_ context.Context, r control.WorkRequest) (control.AgentStatus, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.told = append(o.told, r)
	return control.AgentStatus{}, nil
}

func (o *testOwner) did() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.told)
}

// browser is a client with cookies, that follows no redirect.
type browser struct {
	t    *testing.T
	s    *Server
	http http.Client
}

// serve shows a page on loopback until the test ends.
func serve(t *testing.T, o Options) (*Server, *testOwner) {
	t.Helper()
	owner := &testOwner{}
	return serveOwner(t, owner, o), owner
}

func serveOwner(t *testing.T, owner control.Owner, o Options) *Server {
	t.Helper()
	o.Owner = owner
	l, err := Listen(t.Context(), Where{Addr: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(o, l.At)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return s
}

func open(t *testing.T, s *Server) *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	b := &browser{t: t, s: s}
	b.http = http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return b
}

// enter is a browser that was let in.
func enter(t *testing.T, s *Server) *browser {
	b := open(t, s)
	link, _ := s.Link()
	if got := b.get(link); got.StatusCode != http.StatusSeeOther || got.Header.Get("Location") != "/" {
		t.Fatalf("the link answers %s", got.Status)
	}
	return b
}

type answer struct {
	*http.Response
	text string
}

// do asks; header is name and value in turns, of which Host is the request's.
func (b *browser) do(method, path string, body url.Values, header ...string) answer {
	b.t.Helper()
	at := path
	if strings.HasPrefix(path, "/") {
		at = strings.TrimSuffix(b.s.URL(), "/") + path
	}
	r, err := http.NewRequestWithContext(b.t.Context(), method, at, strings.NewReader(body.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Accept", "text/html")
	if body != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			r.Host = header[i+1]
		}
		r.Header.Set(header[i], header[i+1])
	}
	got, err := b.http.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer got.Body.Close()
	text, err := io.ReadAll(got.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return answer{got, string(text)}
}

func (b *browser) get(path string, header ...string) answer {
	b.t.Helper()
	return b.do(http.MethodGet, path, nil, header...)
}

// csrf is the token in the forms of the session.
func (b *browser) csrf() string {
	b.t.Helper()
	return b.csrfOf("/")
}

// csrfOf is that in a form of a page.
func (b *browser) csrfOf(path string) string {
	b.t.Helper()
	_, rest, ok := strings.Cut(b.get(path).text, `name="csrf" value="`)
	if !ok {
		b.t.Fatal("the page has no form")
	}
	token, _, _ := strings.Cut(rest, `"`)
	return token
}

func (b *browser) pause(token string, header ...string) answer {
	b.t.Helper()
	return b.do(http.MethodPost, "/work", url.Values{"csrf": {token}, "do": {"pause"}}, header...)
}

func (b *browser) want(got answer, status int, what string) {
	b.t.Helper()
	if got.StatusCode != status {
		b.t.Errorf("%s: %s, want %d", what, got.Status, status)
	}
}

// eventually waits for what takes a moment.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); !f(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}
