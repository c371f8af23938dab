package web

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/internal/store/storetest/realserver"
	"github.com/tunesafe/tunesafe/tests/drive"
)

// program is another program, with a token or without.
type program struct {
	t     testing.TB
	url   string
	token string
}

// ask makes a request, whose body may be nil, and gives the answer.
func (p program) ask(method, path string, body io.Reader, header ...string) (int, []byte, http.Header) {
	p.t.Helper()
	r, err := http.NewRequestWithContext(p.t.Context(), method, p.url+path, body)
	if err != nil {
		p.t.Fatal(err)
	}
	if p.token != "" {
		r.Header.Set("Authorization", "Bearer "+p.token)
	}
	if body != nil && r.Header.Get("Content-Type") == "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	got, err := http.DefaultClient.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer got.Body.Close()
	text, err := io.ReadAll(got.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return got.StatusCode, text, got.Header
}

// want is ask for an answer with that status, of which the JSON is read into out.
func (p program) want(status int, method, path, body string, out any) {
	p.t.Helper()
	var in io.Reader
	if body != "" {
		in = strings.NewReader(body)
	}
	got, text, _ := p.ask(method, path, in)
	if got != status {
		p.t.Fatalf("%s %s: %d: %s", method, path, got, text)
	}
	if out != nil {
		if err := json.Unmarshal(text, out); err != nil {
			p.t.Fatalf("%s %s: %v: %s", method, path, err, text)
		}
	}
}

// described is what of OpenAPI the test reads.
type described struct {
	OpenAPI string
	Paths   map[string]map[string]struct{ OperationID string }
}

// TestPrograms is a program that examines, uploads, downloads and restores, beside a
// mounted drive; and what it is refused.
func TestPrograms(t *testing.T) {
	drive.NeedFUSE(t)
	s := realserver.StartEmbedded(t)
	h := drive.New(t, s)
	h.Init(s.Endpoint)
	h.Mount("--settle", "100ms")
	at, err := url.Parse(link(h, "--listen", "127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	base := "http://" + at.Host
	token := func(name string, flags ...string) program {
		return program{t, base, strings.TrimSpace(h.Run(append([]string{"web", "token", "add", name}, flags...)...))}
	}
	p, reader, stranger := token("test"), token("reader", "--read-only"), program{t: t, url: base}

	var d described
	stranger.want(http.StatusOK, "GET", "/openapi.json", "", &d)
	if !strings.HasPrefix(d.OpenAPI, "3.1") || len(d.Paths) < 15 {
		t.Fatalf("OpenAPI %s of %d paths", d.OpenAPI, len(d.Paths))
	}
	for path, operations := range d.Paths {
		path = strings.ReplaceAll(path, "{path}", "a.txt")
		for method := range operations {
			method = strings.ToUpper(method)
			if got, text, head := stranger.ask(method, path, strings.NewReader("{}")); got != http.StatusUnauthorized || head.Get("WWW-Authenticate") == "" {
				t.Errorf("%s %s without a token: %d: %s", method, path, got, text)
			}
			if method == "GET" || path == "/api/v1/wait" {
				continue
			}
			if got, text, _ := reader.ask(method, path, strings.NewReader("{}")); got != http.StatusForbidden {
				t.Errorf("%s %s with a token for reading: %d: %s", method, path, got, text)
			}
		}
	}
	if text, err := os.ReadFile(filepath.Join(h.Dir, "web.tokens")); err != nil || bytes.Contains(text, []byte(p.token)) {
		t.Errorf("the home has the token itself: %v", err)
	}

	p.files(h, reader)
	p.past(h)

	var problem struct{ Detail, Hint string }
	p.want(http.StatusBadRequest, "GET", "/api/v1/diff?from=whenever", "", &problem)
	p.want(http.StatusUnprocessableEntity, "POST", "/api/v1/work", `{"do":"dance"}`, nil)
	p.want(http.StatusOK, "POST", "/api/v1/work", `{"do":"pause","for_seconds":60}`, nil)
	if a := h.Status().Agent; a == nil || !a.Paused {
		t.Error("it is not paused")
	}
	p.want(http.StatusOK, "POST", "/api/v1/work", `{"do":"resume"}`, nil)

	h.Run("web", "token", "remove", "test")
	p.want(http.StatusUnauthorized, "GET", "/api/v1/status", "", nil)
	guesses := 0
	for ; guesses < 20; guesses++ {
		if got, _, _ := p.ask("GET", "/api/v1/status", nil); got == http.StatusTooManyRequests {
			break
		}
	}
	if guesses == 20 {
		t.Error("tokens can be guessed at without end")
	}
	reader.want(http.StatusOK, "GET", "/api/v1/status", "", nil) // whoever is in is not kept out

	at, err = url.Parse(link(h, "--listen", "127.0.0.1:0", "--read-only"))
	if err != nil {
		t.Fatal(err)
	}
	p = token("again")
	p.url = "http://" + at.Host
	p.want(http.StatusOK, "GET", "/api/v1/status", "", nil)
	p.want(http.StatusForbidden, "PUT", "/api/v1/files/more.bin", "more", nil)
}

// files puts, gets and lists.
func (p program) files(h *drive.Home, reader program) {
	t := p.t
	t.Helper()
	const name, at = "Blue/01 Ünïcode & <b>.bin", "/api/v1/files/Blue/01%20%C3%9Cn%C3%AFcode%20&%20%3Cb%3E.bin"
	if _, err := os.Stat(filepath.Join(h.At, name)); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err) // and the kernel remembers that
	}
	first, second := make([]byte, 3<<20+17), make([]byte, 1<<20)
	_, _ = rand.Read(first)
	_, _ = rand.Read(second)
	same := func(want []byte) {
		t.Helper()
		if got, err := os.ReadFile(filepath.Join(h.At, name)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("the drive has %d bytes, %v; %d were uploaded", len(got), err, len(want))
		}
		if status, got, head := reader.ask("GET", at, nil); status != http.StatusOK || !bytes.Equal(got, want) || !strings.HasPrefix(head.Get("Content-Disposition"), "attachment") {
			t.Errorf("a download of %d bytes: %d, %v", len(got), status, head)
		}
	}
	upload := func(body []byte) {
		t.Helper()
		if status, text, _ := p.ask("PUT", at, bytes.NewReader(body), "Content-Type", "application/octet-stream"); status != http.StatusCreated {
			t.Fatalf("upload: %d: %s", status, text)
		}
	}
	upload(first)
	same(first)
	if status, got, head := p.ask("GET", at, nil, "Range", "bytes=1000000-1000099"); status != http.StatusPartialContent || !bytes.Equal(got, first[1000000:1000100]) {
		t.Errorf("a range: %d, %d bytes, %v", status, len(got), head)
	}
	p.want(http.StatusOK, "POST", "/api/v1/wait?timeout=60", "", nil)
	before := time.Now()
	time.Sleep(1100 * time.Millisecond) // moments are told apart by the second
	upload(second)
	same(second)
	p.want(http.StatusOK, "POST", "/api/v1/wait?timeout=60", "", nil)
	if status, got, _ := p.ask("GET", at+"?at="+before.UTC().Format(time.RFC3339), nil); status != http.StatusOK || !bytes.Equal(got, first) {
		t.Errorf("the file as it was: %d, %d bytes", status, len(got))
	}

	// An upload that breaks off leaves what was there, and nothing beside it.
	r, err := http.NewRequestWithContext(t.Context(), "PUT", p.url+at, io.MultiReader(bytes.NewReader(first[:1<<20]), broken{}))
	if err != nil {
		t.Fatal(err)
	}
	r.ContentLength = int64(len(first))
	r.Header.Set("Authorization", "Bearer "+p.token)
	if got, err := http.DefaultClient.Do(r); err == nil {
		got.Body.Close()
		t.Errorf("an upload that broke off: %s", got.Status)
	}
	same(second)

	var list []struct{ Name, Type, State string }
	p.want(http.StatusOK, "GET", "/api/v1/list?path=Blue", "", &list)
	if len(list) != 1 || "Blue/"+list[0].Name != name || list[0].Type != "file" {
		t.Errorf("the folder has %+v", list)
	}

	// There is no way out of the drive, and none into what is not for writing.
	for _, odd := range []string{"/api/v1/files/..%2f..%2fetc%2fpasswd", "/api/v1/files/%2e%2e/%2e%2e/etc/passwd", "/api/v1/files//etc/passwd", "/api/v1/files/Blue/none"} {
		if status, text, _ := p.ask("GET", odd, nil); status != http.StatusNotFound {
			t.Errorf("%s: %d: %.100s", odd, status, text)
		}
	}
	for _, odd := range []string{"/api/v1/files/", "/api/v1/files/Blue", "/api/v1/files/.snapshots/x", "/api/v1/files/a%00b"} {
		if status, text, _ := p.ask("PUT", odd, strings.NewReader("x")); status < 400 || status >= 500 {
			t.Errorf("PUT %s: %d: %s", odd, status, text)
		}
	}
	if _, err := os.Stat("/etc/x"); err == nil {
		t.Error("something was written outside")
	}
}

// broken is the end of a connection.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("cut off") }

// past asks for what was, what changed, and what is in the store.
func (p program) past(h *drive.Home) {
	t := p.t
	t.Helper()
	p.want(http.StatusOK, "POST", "/api/v1/wait?timeout=60", "", nil) // the folder's time, too
	var snapshots struct{ Snapshots []struct{ Name string } }
	p.want(http.StatusOK, "GET", "/api/v1/snapshots", "", &snapshots)
	if len(snapshots.Snapshots) < 2 {
		t.Errorf("there are %d moments", len(snapshots.Snapshots))
	}
	var versions []struct {
		Path    string
		Size    int64
		Changes []string
	}
	p.want(http.StatusOK, "GET", "/api/v1/history?path="+url.QueryEscape("Blue/01 Ünïcode & <b>.bin"), "", &versions)
	if len(versions) < 2 || versions[len(versions)-1].Size != 1<<20 {
		t.Errorf("the history is %+v", versions)
	}
	var changes []struct{ What, Path string }
	p.want(http.StatusNotFound, "GET", "/api/v1/diff?from=yesterday", "", nil) // nothing was there
	p.want(http.StatusNotFound, "GET", "/api/v1/history?path=never", "", nil)
	first := snapshots.Snapshots[0].Name
	p.want(http.StatusOK, "GET", "/api/v1/diff?from="+url.QueryEscape(first), "", &changes)
	if len(changes) == 0 {
		t.Error("nothing changed since the first moment")
	}
	var undone struct{ Changes []struct{ What string } }
	p.want(http.StatusOK, "POST", "/api/v1/undo", `{"paths":["Blue"],"since":"`+first+`","dry_run":true}`, &undone)
	if len(undone.Changes) == 0 {
		t.Error("nothing would be undone")
	}
	dest := filepath.Join(t.TempDir(), "restored")
	body, err := json.Marshal(map[string]any{"paths": []string{"Blue"}, "dest": dest})
	if err != nil {
		t.Fatal(err)
	}
	p.want(http.StatusOK, "POST", "/api/v1/restore", string(body), nil)
	if list, err := os.ReadDir(filepath.Join(dest, "Blue")); err != nil || len(list) != 1 {
		t.Errorf("restored: %v, %v", list, err)
	}
	var commits []struct{ Kind string }
	p.want(http.StatusOK, "GET", "/api/v1/log", "", &commits)
	if len(commits) < 2 {
		t.Errorf("the log has %d commits", len(commits))
	}
	var health struct{ Files int64 }
	p.want(http.StatusOK, "GET", "/api/v1/health", "", &health)
	if health.Files != 1 {
		t.Errorf("the health is of %d files", health.Files)
	}
	p.want(http.StatusOK, "POST", "/api/v1/check?read=true", "", nil)
	p.want(http.StatusOK, "POST", "/api/v1/prune", `{"dry_run":true}`, nil)
	var trends struct{ Days []struct{ Bytes int64 } }
	p.want(http.StatusOK, "GET", "/api/v1/trends", "", &trends)
	if n := len(trends.Days); n == 0 || trends.Days[n-1].Bytes != 1<<20 {
		t.Errorf("the days are %+v", trends.Days)
	}
	p.want(http.StatusOK, "GET", "/api/v1/status", "", nil)
}
