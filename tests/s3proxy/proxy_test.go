package s3proxy

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// backend is a server that keeps what is put to it, by path.
type backend struct {
	*httptest.Server

	mu      sync.Mutex
	objects map[string][]byte
	short   int // requests whose body broke off
}

func (b *backend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.Contains(r.URL.Path, "forbidden") {
		http.Error(w, "no", http.StatusForbidden) // without reading the body
		return
	}
	body, err := io.ReadAll(r.Body)
	b.mu.Lock()
	defer b.mu.Unlock()
	if err != nil {
		b.short++
		return
	}
	switch r.Method {
	case http.MethodPut:
		b.objects[r.URL.Path] = body
	case http.MethodDelete:
		delete(b.objects, r.URL.Path)
		w.WriteHeader(http.StatusNoContent)
	default:
		o, ok := b.objects[r.URL.Path]
		if !ok {
			http.Error(w, "none", http.StatusNotFound)
			return
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(o))
	}
}

func (b *backend) object(path string) ([]byte, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	o, ok := b.objects[path]
	return o, ok
}

// waitShort waits until the server has seen a body break off.
func (b *backend) waitShort(t *testing.T) {
	t.Helper()
	for range 500 {
		b.mu.Lock()
		n := b.short
		b.mu.Unlock()
		if n > 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("the server saw no body break off")
}

// start runs a proxy before a server of its own.
func start(t *testing.T) (*Proxy, *backend) {
	t.Helper()
	b := &backend{objects: map[string][]byte{}}
	b.Server = httptest.NewServer(b)
	p := Start(b.URL)
	t.Cleanup(func() { p.Close(); b.Close() })
	return p, b
}

// do makes a request and returns the status and the body of the answer.
func do(ctx context.Context, method, url string, body []byte, header ...string) (int, []byte, error) {
	r, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	if len(body) > 0 {
		r.GetBody = nil // so that the client does not repeat it by itself
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, b, err
}

func put(t *testing.T, url string, body []byte) {
	t.Helper()
	if status, _, err := do(t.Context(), "PUT", url, body); status != 200 || err != nil {
		t.Fatalf("PUT %s: %d, %v", url, status, err)
	}
}

func TestPassesUnchanged(t *testing.T) {
	var got []byte
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Del("Connection")
		body, _ := io.ReadAll(r.Body)
		got = fmt.Appendf(nil, "%s %s %s %v %v %d %q", r.Method, r.RequestURI, r.Host, r.Header, r.TransferEncoding, r.ContentLength, body)
		w.Header()["Content-Type"] = nil
		w.Header().Set("ETag", `"x"`)
	}))
	defer server.Close()
	p := Start(server.URL)
	defer p.Close()

	for _, raw := range []string{
		"GET /b/a%2Fb/c%20d+e//f%C3%A9?list-type=2&prefix=a%2Fb&x HTTP/1.1\r\nHost: music.example:9\r\nAuthorization: AWS4-HMAC-SHA256 x\r\n\r\n",
		"GET /b/plain HTTP/1.1\r\nHost: h\r\nAccept-Encoding: identity\r\nUser-Agent: test/1\r\n\r\n",
		"PUT /b/k HTTP/1.1\r\nHost: h\r\nContent-Length: 12\r\nContent-Encoding: aws-chunked\r\n\r\n2;s=1\r\nab\r\n\n",
		"PUT /b/empty HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
		"PUT /b/chunked HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
	} {
		answers := map[string]string{}
		received := map[string]string{}
		for name, url := range map[string]string{"direct": server.URL, "proxied": p.URL} {
			conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			io.WriteString(conn, raw)
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			resp.Header.Del("Date")
			answers[name] = fmt.Sprint(resp.Status, resp.Header, resp.ContentLength)
			received[name] = string(got)
			conn.Close()
		}
		if d := cmp.Diff(received["direct"], received["proxied"]); d != "" {
			t.Errorf("request (-direct +proxied):\n%s", d)
		}
		if d := cmp.Diff(answers["direct"], answers["proxied"]); d != "" {
			t.Errorf("answer (-direct +proxied):\n%s", d)
		}
	}
}

func TestCounts(t *testing.T) {
	p, _ := start(t)
	p.SetRoot("backup/")
	put(t, p.URL+"/b/backup/audio/aa/1", make([]byte, 300_000))
	put(t, p.URL+"/b/backup/meta/bb/2", make([]byte, 100))
	put(t, p.URL+"/b/backup/repo.json", make([]byte, 10))
	do(t.Context(), "GET", p.URL+"/b/backup/audio/aa/1", nil)
	do(t.Context(), "GET", p.URL+"/b/backup/audio/aa/1", nil, "Range", "bytes=10-29")
	do(t.Context(), "HEAD", p.URL+"/b/backup/audio/aa/1", nil)
	do(t.Context(), "GET", p.URL+"/b?list-type=2&prefix=backup/log/", nil)
	do(t.Context(), "DELETE", p.URL+"/b/backup/meta/bb/2", nil)

	s := p.Stats()
	want := map[string]map[string]Count{
		"audio/": {"PutObject": {1, 300_000, 0}, "GetObject": {2, 0, 300_020}, "HeadObject": {1, 0, 0}},
		"meta/":  {"PutObject": {1, 100, 0}, "DeleteObject": {1, 0, 0}},
		"log/":   {"ListObjectsV2": {1, 0, 5}}, // "none\n"
		"":       {"PutObject": {1, 10, 0}},
	}
	if d := cmp.Diff(want, s.PrefixOps); d != "" {
		t.Errorf("by prefix and operation (-want +got):\n%s", d)
	}
	if d := cmp.Diff(Count{8, 300_110, 300_025}, s.Count); d != "" {
		t.Errorf("total (-want +got):\n%s", d)
	}
	if d := cmp.Diff(Count{3, 300_110, 0}, s.Ops["PutObject"]); d != "" {
		t.Errorf("puts (-want +got):\n%s", d)
	}
	if d := cmp.Diff(Count{4, 300_000, 300_020}, s.Prefixes["audio/"]); d != "" {
		t.Errorf("audio (-want +got):\n%s", d)
	}
	if d := cmp.Diff(map[int]int64{200: 5, 206: 1, 204: 1, 404: 1}, s.Status); d != "" {
		t.Errorf("status (-want +got):\n%s", d)
	}
	if s.WireUp < s.Up || s.WireDown < s.Down || s.InFlight != 0 || s.MaxInFlight != 1 {
		t.Errorf("wire %d up, %d down; in flight %d, at most %d", s.WireUp, s.WireDown, s.InFlight, s.MaxInFlight)
	}
	log := p.Log()
	if len(log) != 8 {
		t.Fatalf("%d entries in the log", len(log))
	}
	ranged := Entry{Op: "GetObject", Bucket: "b", Key: "backup/audio/aa/1", Range: "bytes=10-29", Down: 20, Status: 206, Backend: 206}
	if d := cmp.Diff(ranged, log[4], cmpopts.IgnoreFields(Entry{}, "Start", "Took")); d != "" {
		t.Errorf("entry (-want +got):\n%s", d)
	}
	if before := p.Reset(); before.Requests != 8 {
		t.Errorf("Reset returned %+v", before)
	}
	if s := p.Stats(); s.Requests != 0 || len(s.Ops) != 0 || len(p.Log()) != 0 {
		t.Errorf("after Reset: %+v", s)
	}
}

func TestOp(t *testing.T) {
	for _, tt := range []struct{ method, url, copied, want string }{
		{"GET", "/", "", "ListBuckets"},
		{"GET", "/b/", "", "ListObjects"},
		{"GET", "/b?list-type=2", "", "ListObjectsV2"},
		{"GET", "/b?location=", "", "GetBucketLocation"},
		{"GET", "/b?versioning", "", "GetBucket:versioning"},
		{"PUT", "/b", "", "CreateBucket"},
		{"HEAD", "/b", "", "HeadBucket"},
		{"DELETE", "/b", "", "DeleteBucket"},
		{"POST", "/b?delete", "", "DeleteObjects"},
		{"GET", "/b/k", "", "GetObject"},
		{"GET", "/b/k?tagging", "", "GetObject:tagging"},
		{"HEAD", "/b/k/l", "", "HeadObject"},
		{"PUT", "/b/k", "", "PutObject"},
		{"PUT", "/b/k", "/b/j", "CopyObject"},
		{"PUT", "/b/k?partNumber=1&uploadId=u", "", "UploadPart"},
		{"PUT", "/b/k?partNumber=1&uploadId=u", "/b/j", "UploadPartCopy"},
		{"POST", "/b/k?uploads", "", "CreateMultipartUpload"},
		{"POST", "/b/k?uploadId=u", "", "CompleteMultipartUpload"},
		{"DELETE", "/b/k?uploadId=u", "", "AbortMultipartUpload"},
		{"DELETE", "/b/k", "", "DeleteObject"},
		{"OPTIONS", "/b/k", "", "OPTIONS"},
	} {
		r := httptest.NewRequest(tt.method, tt.url, nil)
		if tt.copied != "" {
			r.Header.Set("X-Amz-Copy-Source", tt.copied)
		}
		if got := Op(r); got != tt.want {
			t.Errorf("%s %s: %s, want %s", tt.method, tt.url, got, tt.want)
		}
	}
}

// noRetry is a context whose requests have a fresh connection: the client
// repeats a request by itself if a used one breaks.
// waitLog returns the log once n requests are finished: a client may see its
// connection break before the proxy is done.
func TestExpectContinue(t *testing.T) {
	p, b := start(t)
	p.Before(func(r *http.Request) Action {
		if strings.Contains(r.URL.Path, "busy") {
			return Reply(503)
		}
		return Forward
	})
	for key, want := range map[string]string{"good": "100 Continue", "forbidden": "403 Forbidden", "busy": "503 Service Unavailable"} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(p.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(time.Minute))
		fmt.Fprintf(conn, "PUT /b/%s HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n", key)
		r := bufio.NewReader(conn)
		line, err := r.ReadString('\n')
		if err != nil || line != "HTTP/1.1 "+want+"\r\n" {
			t.Fatalf("%s: %q, %v; want %s", key, line, err, want)
		}
		if key != "good" {
			continue
		}
		r.ReadString('\n')
		io.WriteString(conn, "hello")
		resp, err := http.ReadResponse(r, nil)
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("after the body: %v, %v", resp, err)
		}
		if o, _ := b.object("/b/good"); string(o) != "hello" {
			t.Errorf("stored %q", o)
		}
	}
	for _, e := range waitLog(t, p, 3) {
		if (e.Up == 5) != (e.Key == "good") {
			t.Errorf("%s: %d bytes up", e.Key, e.Up)
		}
	}
}

func TestControl(t *testing.T) {
	p, _ := start(t)
	put(t, p.URL+"/b/audio/x", make([]byte, 10))
	ask := func(path string, v any) {
		t.Helper()
		status, b, err := do(t.Context(), "GET", p.URL+path, nil)
		if err != nil || status != 200 {
			t.Fatalf("%s: %d, %s, %v", path, status, b, err)
		}
		if err := json.Unmarshal(b, v); err != nil {
			t.Fatalf("%s: %v in %s", path, err, b)
		}
	}
	var s Stats
	ask("/__stats", &s)
	if s.Requests != 1 || s.PrefixOps["audio/"]["PutObject"].Up != 10 {
		t.Errorf("stats: %+v", s)
	}
	var log []Entry
	ask("/__log", &log)
	if len(log) != 1 || log[0].Key != "audio/x" {
		t.Errorf("log: %+v", log)
	}
	ask("/__reset", &s)
	if n := p.Stats().Requests; n != 0 || s.Requests != 1 {
		t.Errorf("reset: %d, then %d requests", s.Requests, n)
	}
	config := map[string]string{}
	ask("/__config?latency=30ms&ops=PutObject,GetObject&drop=0.5", &config)
	ask("/__config?"+url.Values{"up-rate": {"1000"}, "ops": {""}}.Encode(), &config)
	if d := cmp.Diff(Faults{Latency: 30 * time.Millisecond, UpRate: 1000, Drop: 0.5}, p.Faults()); d != "" {
		t.Errorf("faults (-want +got):\n%s", d)
	}
	if config["latency"] != "30ms" || config["up-rate"] != "1000" || config["offline"] != "false" {
		t.Errorf("config: %v", config)
	}
	for _, bad := range []string{"/__config?drop=x", "/__config?what=1", "/__what"} {
		if status, _, _ := do(t.Context(), "GET", p.URL+bad, nil); status < 400 {
			t.Errorf("%s: %d", bad, status)
		}
	}
}

func TestLogTo(t *testing.T) {
	p, _ := start(t)
	var b bytes.Buffer
	p.LogTo(&b)
	put(t, p.URL+"/b/k", nil)
	p.LogTo(nil)
	put(t, p.URL+"/b/l", nil)
	var e Entry
	if err := json.Unmarshal(b.Bytes(), &e); err != nil || e.Key != "k" {
		t.Errorf("%s: %v", b.Bytes(), err)
	}
}
