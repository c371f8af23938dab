package web

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/internal/control"
)

// quick is little time for others.
var quick = times{header: 200 * time.Millisecond, body: 200 * time.Millisecond, answer: 200 * time.Millisecond}

// slowOwner takes longer for all it does than others may take for a piece of an answer.
type slowOwner struct{ testOwner }

func (o *slowOwner) Status(ctx context.Context) (control.Status, error) {
	time.Sleep(3 * quick.answer)
	return o.testOwner.Status(ctx)
}

func (o *slowOwner) Work(ctx context.Context, r control.WorkRequest) (control.AgentStatus, error) {
	time.Sleep(3 * quick.answer)
	if err := ctx.Err(); err != nil {
		return control.AgentStatus{}, err
	}
	return o.testOwner.Work(ctx, r)
}

func (o *slowOwner) ExportLog(ctx context.Context, r control.ExportRequest, _ func(control.LogReport)) (control.ExportReport, error) {
	time.Sleep(3 * quick.answer)
	err := errors.Join(ctx.Err(), os.WriteFile(string(r.File), []byte("log"), 0o600), os.WriteFile(string(r.File)+".note", []byte("note"), 0o600))
	return control.ExportReport{}, err
}

// TestSlowAnswers: what takes long to find out is told nevertheless, and done: the limits
// are for those who ask.
func TestSlowAnswers(t *testing.T) {
	owner := &slowOwner{}
	s := serveOwner(t, owner, Options{times: quick})
	b := enter(t, s) // one connection, on which the last answer's time runs out between two
	page := b.get("/")
	if page.StatusCode != http.StatusOK || !strings.HasSuffix(strings.TrimSpace(page.text), "</html>") {
		t.Errorf("a page that takes long: %s", page.Status)
	}
	time.Sleep(2 * quick.answer)
	b.want(b.pause(b.csrf()), http.StatusSeeOther, "a change that takes long")
	if owner.did() != 1 {
		t.Error("it was not made")
	}
	if got := b.get("/log/export"); got.StatusCode != http.StatusOK || !strings.HasPrefix(got.text, "PK") {
		t.Errorf("a download that takes long to make: %s", got.Status)
	}
}

// TestUnreadAnswers: who does not read is waited for no longer than for one piece, however
// many there are, unless the handler says otherwise.
func TestUnreadAnswers(t *testing.T) {
	s := &Server{Options: Options{times: quick}}
	ended := make(chan error, 1)
	var l net.ListenConfig
	at, err := l.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := http.Server{Handler: s.deadlines(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/patient" {
			stream(w)
		}
		_, err := io.Copy(w, io.LimitReader(endless{}, 64<<20))
		ended <- err
	}))}
	go func() { _ = server.Serve(at) }()
	defer server.Close()
	ask := func(path string) net.Conn {
		c := dial(t, at.Addr().String())
		fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", path)
		return c
	}
	ask("/")
	if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("who reads nothing ends by %v", err)
	}
	in := bufio.NewReader(ask("/patient"))
	time.Sleep(2 * quick.answer)
	if n, _ := io.Copy(io.Discard, in); n < 64<<20 {
		t.Errorf("who was given time got %d bytes", n)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	in = bufio.NewReader(ask("/"))
	for rest := 64 << 20; rest > 0; time.Sleep(quick.answer / 10) { // longer in all than one piece may take
		n, err := in.Discard(min(rest, 2<<20))
		if rest -= n; err != nil {
			t.Fatalf("who reads slowly is cut off %d bytes before the end: %v", rest, err)
		}
	}
	<-ended
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func dial(t *testing.T, at string) net.Conn {
	t.Helper()
	var d net.Dialer
	c, err := d.DialContext(t.Context(), "tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// TestSlowRequests: many who send a request byte by byte, or the half of one, are let go
// of, and keep nobody else out.
func TestSlowRequests(t *testing.T) {
	s := serveOwner(t, &testOwner{}, Options{times: quick, Password: HashPassword("x")})
	host := s.authority()
	var slow []net.Conn
	for i := range 200 {
		c := dial(t, host)
		switch i % 3 {
		case 0:
			fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: %s\r\nX-", host)
		case 1:
			fmt.Fprintf(c, "POST /login HTTP/1.1\r\nHost: %s\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n\r\npass", host)
		}
		slow = append(slow, c)
	}
	b := enter(t, s)
	b.want(b.get("/"), http.StatusOK, "somebody else")
	for i, c := range slow {
		_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
		if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("connection %d stays", i)
		}
	}
	b.want(b.do(http.MethodPost, "/logout", url.Values{"csrf": {b.csrf()}}), http.StatusSeeOther, "signing out")
}
