package s3proxy

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestActions(t *testing.T) {
	body := make([]byte, 200_000)
	for i := range body {
		body[i] = byte(i % 251)
	}
	for _, tt := range []struct {
		name     string
		method   string
		act      Action
		status   int // that the client gets; 0 for a broken connection
		got      int // bytes of the answer that the client gets
		stored   bool
		up, down int64 // counted
	}{
		{"reply 503", "PUT", Reply(503), 503, -1, false, 200_000, -1},
		{"reply 404", "GET", Reply(404), 404, -1, true, 0, -1},
		{"drop a put", "PUT", Drop, 0, 0, false, 0, 0},
		{"drop a get", "GET", Drop, 0, 0, true, 0, 0},
		{"lose a put", "PUT", Lose, 0, 0, true, 200_000, 0},
		{"lose a get", "GET", Lose, 0, 0, true, 0, 0},
		{"cut up", "PUT", CutUp, 0, 0, false, 100_000, 0},
		{"cut up at", "PUT", CutUpAt(70_000), 0, 0, false, 70_000, 0},
		{"cut up without a body", "GET", CutUp, 0, 0, true, 0, 0},
		{"cut down", "GET", CutDown, 0, 100_000, true, 0, 100_000},
		{"cut down at", "GET", CutDownAt(70_000), 0, 70_000, true, 0, 70_000},
		{"cut down without a body", "HEAD", CutDown, 0, 0, true, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, b := start(t)
			url := p.URL + "/b/k"
			if tt.method != "PUT" {
				put(t, url, body)
				p.Reset()
			}
			p.Before(Nth(1, Op(httptest.NewRequest(tt.method, url, nil)), tt.act))
			var sent []byte
			if tt.method == "PUT" {
				sent = body
			}
			status, got, err := do(noRetry(t), tt.method, url, sent)
			if tt.status != 0 && (err != nil || status != tt.status || !bytes.Contains(got, []byte("<Code>"))) {
				t.Errorf("answer %d %q, %v", status, got, err)
			}
			if tt.status == 0 && (err == nil || len(got) != tt.got || !bytes.Equal(got, body[:len(got)])) {
				t.Errorf("%d bytes, %v; want %d and a broken connection", len(got), err, tt.got)
			}
			if o, ok := b.object("/b/k"); ok != tt.stored || ok && !bytes.Equal(o, body) {
				t.Errorf("stored %v, want %v", ok, tt.stored)
			}
			if tt.act.do == doCutUp && tt.method == "PUT" {
				b.waitShort(t)
			}
			log := waitLog(t, p, 1)
			if e := log[0]; e.Fault != tt.act.name() || e.Status != tt.status || e.Up != tt.up || tt.down >= 0 && e.Down != tt.down {
				t.Errorf("log: %+v", e)
			}
			if n := p.Stats().Faults[tt.act.name()]; n != 1 {
				t.Errorf("%d faults counted", n)
			}
			// The next one is whole.
			put(t, url, body)
			if _, got, err := do(t.Context(), "GET", url, nil); err != nil || !bytes.Equal(got, body) {
				t.Errorf("afterwards: %d bytes, %v", len(got), err)
			}
		})
	}
}

func noRetry(t *testing.T) context.Context {
	http.DefaultClient.CloseIdleConnections()
	return t.Context()
}

func waitLog(t *testing.T, p *Proxy, n int) []Entry {
	t.Helper()
	for range 500 {
		if log := p.Log(); len(log) >= n {
			return log
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("no %d requests in the log: %+v", n, p.Log())
	return nil
}

func TestReplyKeepsConnection(t *testing.T) {
	p, _ := start(t)
	p.Before(func(*http.Request) Action { return Reply(503) })
	reused := 0
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) {
		if i.Reused {
			reused++
		}
	}})
	for range 3 {
		// More than a server would read by itself to save a connection.
		if status, _, err := do(ctx, "PUT", p.URL+"/b/k", make([]byte, 1<<20)); status != 503 || err != nil {
			t.Fatalf("%d, %v", status, err)
		}
	}
	if reused != 2 {
		t.Errorf("%d of 2 requests used the connection again", reused)
	}
}

func TestRateIsShared(t *testing.T) {
	p, _ := start(t)
	put(t, p.URL+"/b/k", make([]byte, 50_000))
	p.Set(Faults{UpRate: 400_000, DownRate: 400_000})
	for _, method := range []string{"PUT", "GET"} {
		begin := time.Now()
		var wg sync.WaitGroup
		for i := range 2 {
			wg.Go(func() {
				url, body := p.URL+"/b/k", []byte(nil)
				if method == "PUT" {
					url, body = fmt.Sprint(p.URL, "/b/", i), make([]byte, 50_000)
				}
				if status, _, err := do(t.Context(), method, url, body); status != 200 || err != nil {
					t.Errorf("%s: %d, %v", method, status, err)
				}
			})
		}
		wg.Wait()
		// 100,000 bytes less the first slice, at 400,000 a second.
		if took := time.Since(begin); took < 200*time.Millisecond || took > time.Minute {
			t.Errorf("%s took %s, want about 230 ms", method, took)
		}
	}
}

func TestLatency(t *testing.T) {
	p, _ := start(t)
	p.Set(Faults{Latency: 50 * time.Millisecond})
	begin := time.Now()
	put(t, p.URL+"/b/k", nil)
	if took := time.Since(begin); took < 50*time.Millisecond {
		t.Errorf("took %s", took)
	}
}

func TestOffline(t *testing.T) {
	p, _ := start(t)
	put(t, p.URL+"/b/k", make([]byte, 10<<20))
	p.Set(Faults{DownRate: 100_000})
	resp, err := http.Get(p.URL + "/b/k")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.ReadFull(resp.Body, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	p.Set(Faults{Offline: true})
	if _, err := io.Copy(io.Discard, resp.Body); err == nil {
		t.Error("a transfer went on")
	}
	if took := time.Since(begin); took > 30*time.Second {
		t.Errorf("the transfer was cut after %s", took)
	}
	if status, _, err := do(t.Context(), "GET", p.URL+"/b/k", nil); err == nil {
		t.Errorf("got an answer, %d", status)
	}
	p.Set(Faults{})
	if status, b, err := do(t.Context(), "GET", p.URL+"/b/k", nil); status != 200 || err != nil || len(b) != 10<<20 {
		t.Errorf("online again: %d, %d bytes, %v", status, len(b), err)
	}
}

func TestRandomFaults(t *testing.T) {
	p, _ := start(t)
	run := func(f Faults, n int) string {
		p.Set(f)
		var b strings.Builder
		for range n {
			for _, key := range []string{"audio/x", "meta/x"} {
				status, _, _ := do(noRetry(t), "PUT", p.URL+"/b/"+key, []byte("hello"))
				fmt.Fprint(&b, status, " ")
			}
		}
		return b.String()
	}
	all := Faults{Unavailable: 0.1, Internal: 0.1, TooMany: 0.1, Drop: 0.1, Lose: 0.1, CutUp: 0.1, Seed: 1}
	first := run(all, 30)
	if again := run(all, 30); first != again {
		t.Errorf("the same seed, other faults:\n%s\n%s", first, again)
	}
	for _, s := range []string{"200", "503", "500", "429", "0 "} {
		if !strings.Contains(first, s) {
			t.Errorf("no %s among %s", s, first)
		}
	}
	if got := run(Faults{Internal: 1, Prefixes: []string{"meta/"}}, 2); got != "200 500 200 500 " {
		t.Errorf("one folder only: %s", got)
	}
	if got := run(Faults{Internal: 1, Ops: []string{"GetObject"}}, 1); got != "200 200 " {
		t.Errorf("other operations only: %s", got)
	}
	if got := run(Faults{TooMany: 1, Max: 3}, 2); got != "429 429 429 200 " {
		t.Errorf("three faults: %s", got)
	}
}

func TestNth(t *testing.T) {
	p, _ := start(t)
	p.Before(Nth(3, "PutObject", Reply(500)))
	var got []int
	for range 4 {
		do(t.Context(), "GET", p.URL+"/b/k", nil)
		status, _, _ := do(t.Context(), "PUT", p.URL+"/b/k", nil)
		got = append(got, status)
	}
	if d := cmp.Diff([]int{200, 200, 500, 200}, got); d != "" {
		t.Error(d)
	}
}

func TestBackendGone(t *testing.T) {
	p, b := start(t)
	b.Close()
	if status, _, err := do(noRetry(t), "PUT", p.URL+"/b/k", []byte("x")); err == nil {
		t.Errorf("an answer, %d, without a server", status)
	}
	for _, bad := range []string{"", "localhost", "http://h/bucket"} {
		if _, err := Listen("127.0.0.1:0", bad); err == nil {
			t.Errorf("Listen took %q for a server", bad)
		}
	}
}
