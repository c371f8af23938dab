package web

import (
	"archive/zip"
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	mathrand "math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/internal/api"
	"github.com/tunesafe/tunesafe/internal/store/storetest/realserver"
	"github.com/tunesafe/tunesafe/tests/drive"
	"github.com/tunesafe/tunesafe/tests/tools"
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
	Paths   map[string]map[string]struct {
		OperationID string
		Parameters  []struct{ Name, In string }
		RequestBody *struct{ Content map[string]any }
	}
}

// answered is what a task came to.
type answered struct {
	ID, Kind, State string
	Result          map[string]json.RawMessage
	Problem         struct{ Type, Detail string }
}

// task begins one, and waits for its end.
func (p program) task(path, body string) (a answered) {
	p.t.Helper()
	p.want(http.StatusAccepted, "POST", path, body, &a)
	p.want(http.StatusOK, "GET", "/api/v1/tasks/"+a.ID+"?wait=60", "", &a)
	if a.State != "done" {
		p.t.Fatalf("%s: %+v", path, a)
	}
	return a
}

// valid has a validator of other people look at the description.
func (p program) valid() {
	p.t.Helper()
	node := tools.Need(p.t, "node")[0]
	const validator = "../../.bin/openapi/node_modules/@seriousme/openapi-schema-validator/bin/validate-api-cli.js"
	tools.NeedFile(p.t, validator, "sh scripts/npmtools.sh openapi")
	_, text, _ := p.ask("GET", "/openapi.json", nil)
	file := filepath.Join(p.t.TempDir(), "openapi.json")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
	out, err := exec.Command(node, validator, file).CombinedOutput()
	if err != nil || !strings.Contains(string(out), `"valid": true`) {
		p.t.Errorf("the description is not OpenAPI: %v: %s", err, out)
	}
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
	stranger.valid()
	if !strings.HasPrefix(d.OpenAPI, "3.1") || len(d.Paths) < 40 {
		t.Fatalf("OpenAPI %s of %d paths", d.OpenAPI, len(d.Paths))
	}
	for path, operations := range d.Paths {
		path = strings.ReplaceAll(path, "{path}", "a.txt")
		for method := range operations {
			method = strings.ToUpper(method)
			if got, text, head := stranger.ask(method, path, strings.NewReader("{}")); got != http.StatusUnauthorized || head.Get("WWW-Authenticate") == "" {
				t.Errorf("%s %s without a token: %d: %s", method, path, got, text)
			}
			if method == "GET" {
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

	p.examples()
	h.Run("wait")
	if err := os.RemoveAll(filepath.Join(h.At, "Inbox")); err != nil {
		t.Fatal(err)
	}
	p.files(h, reader)
	p.past(h)

	p.library()
	p.tasks(h)
	p.keys(h)
	p.hostile(d)

	var problem struct{ Type, Title, Detail, Hint string }
	p.want(http.StatusBadRequest, "GET", "/api/v1/diff?since=whenever", "", &problem)
	if problem.Type != api.ProblemBase+api.Invalid || problem.Title == "" {
		t.Errorf("the problem is %+v", problem)
	}
	p.want(http.StatusNotFound, "GET", "/api/v1/nothing", "", &problem)
	p.want(http.StatusMethodNotAllowed, "DELETE", "/api/v1/status", "", &problem)
	if problem.Type != api.ProblemBase+api.NotAllowed {
		t.Errorf("the problem is %+v", problem)
	}
	p.want(http.StatusUnprocessableEntity, "POST", "/api/v1/work", `{"do":"dance"}`, nil)
	p.want(http.StatusOK, "POST", "/api/v1/work", `{"do":"pause","for_seconds":60}`, nil)
	if a := h.Status().Agent; a == nil || !a.Paused {
		t.Error("it is not paused")
	}
	p.want(http.StatusOK, "POST", "/api/v1/work", `{"do":"resume"}`, nil)

	brief := token("brief", "--expires", "1h")
	brief.want(http.StatusOK, "GET", "/api/v1/status", "", nil)
	if list := h.Run("web", "token", "list"); !strings.Contains(list, "last used 20") || !strings.Contains(list, "until 20") || strings.Contains(list, brief.token) {
		t.Errorf("the tokens are:\n%s", list)
	}
	kept, err := os.ReadFile(filepath.Join(h.Dir, "web.tokens"))
	if err != nil {
		t.Fatal(err)
	}
	was := regexp.MustCompile(`"expires": "20\d\d`).ReplaceAll(kept, []byte(`"expires": "2001`))
	if err := os.WriteFile(filepath.Join(h.Dir, "web.tokens"), was, 0o600); err != nil {
		t.Fatal(err)
	}
	brief.want(http.StatusUnauthorized, "GET", "/api/v1/status", "", nil)
	h.Run("web", "token", "remove", "test")
	p.want(http.StatusUnauthorized, "GET", "/api/v1/status", "", nil)
	guesses := 0
	for ; guesses < 20; guesses++ { // those without a token are no guesses
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

// examples runs those of docs/API.md.
func (p program) examples() {
	t := p.t
	t.Helper()
	text, err := os.ReadFile("../../docs/API.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(text), "```sh\n")[1:]
	script := "set -eu\n"
	for _, b := range blocks {
		code, _, _ := strings.Cut(b, "```")
		script += code
	}
	c := exec.CommandContext(t.Context(), tools.Need(t, "sh", "curl")[0], "-c", script)
	c.Dir, c.Env = t.TempDir(), append(os.Environ(), "URL="+p.url, "TOKEN="+p.token)
	if out, err := c.CombinedOutput(); err != nil || len(blocks) < 4 {
		t.Errorf("%d examples: %v: %s", len(blocks), err, out)
	}
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
		if status, text, _ := p.ask("PUT", at, bytes.NewReader(body), "Content-Type", "application/octet-stream"); status != http.StatusCreated && status != http.StatusOK {
			t.Fatalf("upload: %d: %s", status, text)
		}
	}
	if status, _, _ := p.ask("PUT", at, strings.NewReader("x"), "If-Match", `"guess"`); status != http.StatusPreconditionFailed {
		t.Errorf("over a file that is not there: %d", status)
	}
	if status, text, head := p.ask("PUT", at, strings.NewReader("x"), "If-None-Match", "*"); status != http.StatusCreated || head.Get("Etag") == "" {
		t.Errorf("a new file: %d: %s", status, text)
	}
	if status, _, _ := p.ask("PUT", at, strings.NewReader("y"), "If-None-Match", "*"); status != http.StatusPreconditionFailed {
		t.Errorf("a new file again: %d", status)
	}
	_, got, head := p.ask("GET", at, nil)
	if string(got) != "x" {
		t.Errorf("what was refused is there: %q", got)
	}
	tag := head.Get("Etag")
	if status, text, head := p.ask("PUT", at, bytes.NewReader(first), "If-Match", tag); status != http.StatusOK || head.Get("Etag") == tag {
		t.Errorf("over the file it knows: %d: %s", status, text)
	}
	if status, _, _ := p.ask("PUT", at, strings.NewReader("y"), "If-Match", tag); status != http.StatusPreconditionFailed {
		t.Errorf("over a file that changed since: %d", status)
	}
	same(first)
	if status, got, head := p.ask("GET", at, nil, "Range", "bytes=1000000-1000099"); status != http.StatusPartialContent || !bytes.Equal(got, first[1000000:1000100]) {
		t.Errorf("a range: %d, %d bytes, %v", status, len(got), head)
	}
	p.task("/api/v1/wait", `{"timeout_seconds":60}`)
	before := time.Now()
	time.Sleep(1100 * time.Millisecond) // moments are told apart by the second
	upload(second)
	same(second)
	p.task("/api/v1/wait", `{"timeout_seconds":60}`)
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

	var listed struct {
		Items []struct{ Name, Type, State string }
	}
	p.want(http.StatusOK, "GET", "/api/v1/list?path=Blue", "", &listed)
	if list := listed.Items; len(list) != 1 || "Blue/"+list[0].Name != name || list[0].Type != "file" {
		t.Errorf("the folder has %+v", listed)
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
	p.task("/api/v1/wait", `{"timeout_seconds":60}`) // the folder's time, too
	var snapshots struct {
		All   int
		Items []struct{ Name string }
	}
	p.want(http.StatusOK, "GET", "/api/v1/snapshots", "", &snapshots)
	if len(snapshots.Items) < 2 {
		t.Errorf("there are %d moments", len(snapshots.Items))
	}
	var story struct {
		Items []struct {
			Path    string
			Size    int64
			Changes []string
		}
	}
	p.want(http.StatusOK, "GET", "/api/v1/history?path="+url.QueryEscape("Blue/01 Ünïcode & <b>.bin"), "", &story)
	versions := story.Items
	if len(versions) < 2 || versions[len(versions)-1].Size != 1<<20 {
		t.Errorf("the history is %+v", versions)
	}
	var pinned struct {
		Pins []struct {
			Path  string
			Files int64
		}
	}
	p.want(http.StatusOK, "POST", "/api/v1/pins", `{"paths":["Blue"]}`, &pinned)
	p.want(http.StatusNotFound, "POST", "/api/v1/pins", `{"paths":["never"]}`, nil)
	p.want(http.StatusOK, "GET", "/api/v1/pins", "", &pinned)
	if len(pinned.Pins) != 1 || pinned.Pins[0].Path != "Blue" || pinned.Pins[0].Files == 0 {
		t.Errorf("pinned is %+v", pinned)
	}
	p.want(http.StatusOK, "POST", "/api/v1/pins/remove", `{"paths":["Blue"]}`, &pinned)
	p.want(http.StatusNotFound, "POST", "/api/v1/pins/remove", `{"paths":["Blue"]}`, nil)
	if len(pinned.Pins) != 0 {
		t.Errorf("still pinned is %+v", pinned)
	}
	var changes struct{ Items []struct{ What, Path string } }
	p.want(http.StatusNotFound, "GET", "/api/v1/diff?since=yesterday", "", nil) // nothing was there
	p.want(http.StatusNotFound, "GET", "/api/v1/history?path=never", "", nil)
	first := snapshots.Items[0].Name
	p.want(http.StatusOK, "GET", "/api/v1/diff?since="+url.QueryEscape(first), "", &changes)
	if len(changes.Items) == 0 {
		t.Error("nothing changed since the first moment")
	}
	if undone := p.task("/api/v1/undo", `{"paths":["Blue"],"since":"`+first+`","dry_run":true}`); !bytes.Contains(undone.Result["undo"], []byte(`"what"`)) {
		t.Errorf("nothing would be undone: %+v", undone)
	}
	dest := filepath.Join(t.TempDir(), "restored")
	body, err := json.Marshal(map[string]any{"paths": []string{"Blue"}, "dest": dest})
	if err != nil {
		t.Fatal(err)
	}
	p.task("/api/v1/restore", string(body))
	p.want(http.StatusConflict, "POST", "/api/v1/restore", string(body), nil) // nothing is written over
	p.want(http.StatusConflict, "POST", "/api/v1/restore", `{"paths":["Blue"],"dest":"/srv/.ssh"}`, nil)
	if list, err := os.ReadDir(filepath.Join(dest, "Blue")); err != nil || len(list) != 1 {
		t.Errorf("restored: %v, %v", list, err)
	}
	commits := 0
	for at, log := "/api/v1/log?limit=1", (logged{Next: "x"}); log.Next != ""; at = "/api/v1/log?limit=1&since=" + url.QueryEscape(log.Next) {
		log = logged{}
		p.want(http.StatusOK, "GET", at, "", &log)
		commits += len(log.Items)
	}
	if want := strings.Count(h.Run("log"), "commit "); commits < 2 || want > 0 && commits < want {
		t.Errorf("the pages of the log have %d commits, of %d", commits, want)
	}
	if status, got, _ := p.ask("GET", "/api/v1/log/export", nil); status != http.StatusOK || !bytes.HasPrefix(got, []byte("PK\x03\x04")) {
		t.Errorf("the export: %d, %.100q", status, got)
	}
	var health struct{ Files int64 }
	p.want(http.StatusOK, "GET", "/api/v1/health", "", &health)
	if health.Files != 1 {
		t.Errorf("the health is of %d files", health.Files)
	}
	p.task("/api/v1/check", `{"read":true}`)
	p.task("/api/v1/prune", `{"dry_run":true}`)
	p.task("/api/v1/repair", `{"dry_run":true}`)
	p.task("/api/v1/rehearse", `{}`)
	var trends struct{ Days []struct{ Bytes int64 } }
	p.want(http.StatusOK, "GET", "/api/v1/trends", "", &trends)
	if n := len(trends.Days); n == 0 || trends.Days[n-1].Bytes != 1<<20 {
		t.Errorf("the days are %+v", trends.Days)
	}
	p.want(http.StatusOK, "GET", "/api/v1/status", "", nil)
}

// logged is a page of the log.
type logged struct {
	Items []struct{ Kind string }
	Next  string
}

// library browses, and gets archives and pictures.
func (p program) library() {
	t := p.t
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if status, _, _ := p.ask("GET", "/api/v1/tracks", nil); status != http.StatusServiceUnavailable || time.Now().After(end) {
			break // it is put in order
		}
	}
	var tracks struct{ Items []struct{ Inode uint64 } }
	for _, at := range []string{"albums", "artists", "composers", "tracks", "search?q=blue"} {
		p.want(http.StatusOK, "GET", "/api/v1/"+at, "", &tracks)
	}
	for _, at := range []string{"albums/none", "artists/none", "tracks/1", "albums/none/zip", "zip?path=none"} {
		p.want(http.StatusNotFound, "GET", "/api/v1/"+at, "", nil)
	}
	status, got, _ := p.ask("GET", "/api/v1/zip?path=Blue", nil)
	z, err := zip.NewReader(bytes.NewReader(got), int64(len(got)))
	if status != http.StatusOK || err != nil || len(z.File) != 2 {
		t.Errorf("the archive: %d, %v, %+v", status, err, z)
	}
	var picture struct{ Files int64 }
	p.want(http.StatusOK, "GET", "/api/v1/picture", "", &picture)
	if picture.Files != 1 {
		t.Errorf("the picture has %d files", picture.Files)
	}
}

// tasks come once for a key, are listed, followed and cancelled; settings hold.
func (p program) tasks(h *drive.Home) {
	t := p.t
	t.Helper()
	key := func(body string) (a answered, status int) {
		t.Helper()
		status, text, head := p.ask("POST", "/api/v1/prune", strings.NewReader(body), "Idempotency-Key", "k")
		if err := json.Unmarshal(text, &a); err != nil || status == http.StatusAccepted && head.Get("Location") != "/api/v1/tasks/"+a.ID {
			t.Errorf("%d: %s, %v", status, text, head)
		}
		return a, status
	}
	first, _ := key(`{"dry_run":true}`)
	again, _ := key(`{"dry_run":true}`)
	if first.ID == "" || first.ID != again.ID {
		t.Errorf("one key began %q and %q", first.ID, again.ID)
	}
	if _, status := key(`{"dry_run":false}`); status != http.StatusUnprocessableEntity {
		t.Errorf("another request with the key: %d", status)
	}
	p.want(http.StatusOK, "GET", "/api/v1/tasks/"+first.ID+"?wait=60", "", &first)
	p.want(http.StatusNotFound, "GET", "/api/v1/tasks/none", "", nil)

	p.want(http.StatusOK, "POST", "/api/v1/work", `{"do":"pause"}`, nil)
	if status, _, _ := p.ask("PUT", "/api/v1/files/waits.txt", strings.NewReader("waits")); status != http.StatusCreated {
		t.Errorf("an upload: %d", status)
	}
	var wait answered
	p.want(http.StatusAccepted, "POST", "/api/v1/wait", `{}`, &wait)
	p.want(http.StatusAccepted, "DELETE", "/api/v1/tasks/"+wait.ID, "", nil)
	p.want(http.StatusOK, "GET", "/api/v1/tasks/"+wait.ID+"?wait=60", "", &wait)
	if wait.State != "cancelled" || wait.Problem.Type != api.ProblemBase+api.Cancelled {
		t.Errorf("it is %+v", wait)
	}
	p.want(http.StatusOK, "POST", "/api/v1/work", `{"do":"resume"}`, nil)

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, "GET", p.url+"/api/v1/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+p.token)
	stream, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	seen := map[string]bool{}
	in := bufio.NewScanner(stream.Body)
	in.Buffer(nil, 1<<20)
	for len(seen) < 2 && in.Scan() {
		if name, ok := strings.CutPrefix(in.Text(), "event: "); ok {
			seen[name] = true
		}
	}
	if !seen["status"] || !seen["task"] {
		t.Errorf("the events are %v", seen)
	}

	p.want(http.StatusBadRequest, "PUT", "/api/v1/settings", `{"windows":["noon"]}`, nil)
	p.want(http.StatusOK, "PUT", "/api/v1/settings", `{"windows":["22:00-06:00"],"limit_upload":"2MB"}`, nil)
	var set struct {
		Windows []string
		Limit   string `json:"limit_upload"`
	}
	p.want(http.StatusOK, "GET", "/api/v1/settings", "", &set)
	if len(set.Windows) != 1 || set.Limit != "2MB" {
		t.Errorf("the settings are %+v", set)
	}
}

// keys are listed, added and removed, and no secret of them is told.
func (p program) keys(h *drive.Home) {
	t := p.t
	t.Helper()
	var devices struct{ Devices []map[string]any }
	p.want(http.StatusOK, "GET", "/api/v1/devices", "", &devices)
	if len(devices.Devices) != 1 || devices.Devices[0]["this_home"] != true {
		t.Errorf("the devices are %v", devices)
	}
	p.want(http.StatusConflict, "POST", "/api/v1/devices/"+devices.Devices[0]["id"].(string)+"/retire", `{}`, nil)
	p.want(http.StatusNotFound, "POST", "/api/v1/devices/none/retire", `{}`, nil)
	p.want(http.StatusOK, "POST", "/api/v1/keys", `{"name":"other","new_passphrase":"five words nobody puts together","unlock":{}}`, nil)
	p.want(http.StatusBadRequest, "POST", "/api/v1/keys", `{"name":"short","new_passphrase":"short","unlock":{}}`, nil)
	p.want(http.StatusForbidden, "POST", "/api/v1/keys/other/remove", `{"passphrase":"not that passphrase"}`, nil)
	status, text, _ := p.ask("GET", "/api/v1/keys", nil)
	if secret := strings.TrimSpace(h.Run("recovery-key", "show")); status != http.StatusOK || !bytes.Contains(text, []byte(`"other"`)) || bytes.Contains(text, []byte(secret)) {
		t.Errorf("the keys: %d: %s", status, text)
	}
	p.want(http.StatusOK, "POST", "/api/v1/keys/other/remove", `{"passphrase":"five words nobody puts together"}`, nil)
	p.want(http.StatusNotFound, "POST", "/api/v1/keys/other/remove", `{}`, nil)
}

// hostile sends what means harm to each operation: it is refused, or does no harm, and
// nothing breaks.
func (p program) hostile(d described) {
	t := p.t
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := mathrand.New(mathrand.NewPCG(seed, 0))
	values := []string{"", "../../etc/passwd", "/etc/passwd", "-1", "99999999999999999999", "NaN", "1e400", "\x00", "\xff\xfe", "'; DROP TABLE x", "<script>", "%00", "%2e%2e%2f",
		strings.Repeat("a", 5000), strings.Repeat("a/", 40), ".snapshots/x", "*", "\u202e", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "yesterday 25:61"}
	bodies := []string{"", "{", "null", "[]", `"x"`, `{"paths":null}`, `{"dry_run":"yes"}`, `{"unknown":1}`, strings.Repeat("[", 20000), `{"places":["/etc"]}`, `{"do":"\u0000"}`,
		`{"timeout_seconds":1e308,"part":-1,"bytes":-5,"paths":["../.."],"dest":"../x","since":"never","dry_run":true}`}
	for path, operations := range d.Paths {
		for method, op := range operations {
			for range 3 {
				pick := func() string { return values[random.IntN(len(values))] }
				at, query := path, url.Values{}
				for _, of := range op.Parameters {
					switch of.In {
					case "path":
						at = strings.ReplaceAll(at, "{"+of.Name+"}", url.PathEscape(pick()))
					case "query":
						query.Set(of.Name, pick())
					}
				}
				if at == "/api/v1/events" { // it has no end
					continue
				}
				query.Del("wait")
				var body io.Reader
				if op.RequestBody != nil {
					body = strings.NewReader(bodies[random.IntN(len(bodies))])
				}
				status, text, head := p.ask(strings.ToUpper(method), at+"?"+query.Encode(), body)
				if status >= 500 && status != http.StatusServiceUnavailable {
					t.Errorf("%s %s?%.200s: %d: %.300s", method, at, query.Encode(), status, text)
				}
				if status >= 400 && head.Get("Content-Type") != "application/problem+json" {
					t.Errorf("%s %.200s: %d is no problem of RFC 9457: %.100s", method, at, status, text)
				}
			}
		}
	}
	p.want(http.StatusOK, "GET", "/api/v1/status", "", nil)
}
