package web

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/internal/store/storetest/realserver"
	"github.com/tunesafe/tunesafe/tests/drive"
)

func TestMain(m *testing.M) { os.Exit(drive.Main(m)) }

// shown is a page of the program itself, with some music.
type shown struct {
	*browser
	h      *drive.Home
	cmd    *exec.Cmd
	stderr bytes.Buffer
	base   string
	link   string
}

func (p *shown) show(flags ...string) {
	p.t.Helper()
	p.stderr.Reset()
	p.cmd = p.h.Command(append([]string{"web", "--listen", "127.0.0.1:0"}, flags...)...)
	p.cmd.Stderr = &p.stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = p.cmd.Process.Kill() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		p.t.Fatal(err)
	}
	p.link = regexp.MustCompile(`http://\S+`).FindString(line)
	p.base, _, _ = strings.Cut(p.link, "/login")
	p.browser = open(p.browser.t, nil)
}

// end is Ctrl-C.
func (p *shown) end() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		p.t.Fatal(err)
	}
	if err := p.cmd.Wait(); err != nil || strings.Contains(p.stderr.String(), "panic") {
		p.t.Errorf("it ends with %v\n%s", err, p.stderr.String())
	}
}

// ask gives the answer to a request of which the path is sent as it stands, and of a
// stream no more than its head.
func (p *shown) ask(method, path string, form url.Values, header ...string) answer {
	p.t.Helper()
	at, err := url.Parse(p.base)
	if err != nil {
		p.t.Fatal(err)
	}
	at.Opaque = path
	r, err := http.NewRequestWithContext(p.t.Context(), method, p.base, strings.NewReader(form.Encode()))
	if err != nil {
		p.t.Fatal(err)
	}
	r.URL = at
	r.Header.Set("Accept", "text/html")
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			r.Host = header[i+1]
		}
		r.Header.Set(header[i], header[i+1])
	}
	for _, c := range p.http.Jar.Cookies(&url.URL{Scheme: "http", Host: at.Host, Path: "/"}) {
		r.AddCookie(c)
	}
	got, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
	if err != nil {
		p.t.Fatalf("%s %.100q: %v", method, path, err)
	}
	defer got.Body.Close()
	p.headers(method+" "+path, got.Header)
	if got.Header.Get("Content-Type") == "text/event-stream" {
		return answer{Response: got}
	}
	text, err := io.ReadAll(got.Body)
	if err != nil {
		p.t.Errorf("%s %.100q: %v", method, path, err)
	}
	return answer{got, string(text)}
}

// headers are on every answer, refusals and streams too, and nothing may be kept by
// anybody between.
func (p *shown) headers(what string, h http.Header) {
	p.t.Helper()
	for _, name := range []string{"Content-Security-Policy", "X-Content-Type-Options", "X-Frame-Options", "Referrer-Policy", "Cross-Origin-Resource-Policy"} {
		if h.Get(name) == "" {
			p.t.Errorf("%.100q is without %s", what, name)
		}
	}
	if keep := h.Get("Cache-Control"); keep != "no-store" && keep != "no-cache" && keep != "private, no-cache" {
		p.t.Errorf("%.100q may be kept: %q", what, keep)
	}
}

// paths fills the places of a pattern with hostile values.
func paths(pattern string) (method string, list []string) {
	method, path, _ := strings.Cut(pattern, " ")
	path = strings.TrimSuffix(path, "{$}")
	place := regexp.MustCompile(`\{[^}]*\}`)
	if !place.MatchString(path) {
		return method, []string{path}
	}
	for _, v := range []string{
		"1", "now", "..", "../../../../../etc/passwd", "..%2f..%2f..%2f..%2fetc%2fpasswd", "%2e%2e/%2e%2e/etc/passwd", "%2fetc%2fpasswd", "..%5c..%5cetc",
		"%00", "a%00b", "%ff%fe", "-1", "18446744073709551616", "%3Cscript%3E", strings.Repeat("A", 5000), "web.password", "recovery.key",
	} {
		list = append(list, place.ReplaceAllString(path, v))
	}
	return method, list
}

// TestClosed has the program itself refuse whatever the table of routes, and that of the
// interface for programs, would have anybody do: what is added there is tried here.
func TestClosed(t *testing.T) {
	dir := t.TempDir()
	music := filepath.Join(dir, "Music")
	if err := os.Mkdir(music, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, size := range map[string]int{"song.mp3": 12 << 20, "other.txt": 10} {
		if err := os.WriteFile(filepath.Join(music, name), bytes.Repeat([]byte(name[:1]), size), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	p := &shown{h: drive.New(t, &realserver.Server{}), browser: &browser{t: t}}
	p.h.Run("init", "--store-dir", filepath.Join(dir, "store"))
	p.h.Run("backup", music)
	token := strings.TrimSpace(p.h.Run("web", "token", "add", "test"))
	secrets := []string{"root:x:0", "AGE-SECRET-KEY", "$argon2id$"}
	routes := (&Server{}).routes()

	p.show()
	hostile := map[string]bool{}
	for _, r := range routes { // by strangers
		method, list := paths(r.pattern)
		for _, path := range list {
			if got := p.ask(method, path, nil); got.StatusCode == http.StatusOK && !r.open || got.StatusCode >= 500 {
				t.Errorf("a stranger's %s %.100q: %s", method, path, got.Status)
			}
			if len(list) > 1 {
				hostile[method+" "+path] = true
			}
		}
	}
	p.fixation()
	csrf := regexp.MustCompile(`name="csrf" value="([^"]*)"`).FindStringSubmatch(p.ask("GET", "/", nil).text)[1]
	for _, path := range []string{"/static/../../../etc/passwd", "/static/..%2f..%2fweb.go", "/static/", "/static/%2e%2e/templates/login.html", "/.//etc/passwd", "/./login", "/api/v1/files/..%2f..%2fetc%2fpasswd"} {
		hostile["GET "+path] = true
	}
	for one := range hostile { // by who is in
		method, path, _ := strings.Cut(one, " ")
		var form url.Values
		if method != "GET" {
			form = url.Values{"csrf": {csrf}}
		}
		got := p.ask(method, path, form)
		if got.StatusCode >= 500 {
			t.Errorf("%.100q: %s: %.300s", one, got.Status, got.text)
		}
		for _, secret := range secrets {
			if strings.Contains(got.text, secret) {
				t.Errorf("%.100q tells %s", one, secret)
			}
		}
	}
	for _, r := range routes { // another name, and another site
		method, list := paths(r.pattern)
		if got := p.ask(method, list[0], nil, "Host", "evil.example:80"); got.StatusCode != http.StatusMisdirectedRequest {
			t.Errorf("%s by another name: %s", r.pattern, got.Status)
		}
		if method != "GET" {
			for _, header := range [][]string{{"Origin", "http://evil.example"}, {"Sec-Fetch-Site", "cross-site"}} {
				if got := p.ask(method, list[0], url.Values{"csrf": {csrf}}, header...); got.StatusCode != http.StatusForbidden {
					t.Errorf("%s from another site: %s", r.pattern, got.Status)
				}
			}
			if got := p.ask(method, list[0], url.Values{"csrf": {"guess"}}); !r.open && got.StatusCode != http.StatusForbidden {
				t.Errorf("%s by a guess: %s", r.pattern, got.Status)
			}
		}
	}
	p.raw()
	p.endsAmidst()

	p.show("--read-only")
	p.ask("GET", strings.TrimPrefix(p.link, p.base), nil)
	p.signedIn()
	csrf = regexp.MustCompile(`name="csrf" value="([^"]*)"`).FindStringSubmatch(p.ask("GET", "/", nil).text)[1]
	for _, r := range routes {
		own, list := paths(r.pattern)
		for _, method := range []string{own, "POST", "PUT", "PATCH", "DELETE"} {
			if r.door || method == "GET" && !r.secret {
				continue
			}
			got := p.ask(method, list[0], url.Values{"csrf": {csrf}, "do": {"pause"}})
			if refused := got.StatusCode == http.StatusForbidden; !refused && (method == own || got.StatusCode != http.StatusMethodNotAllowed) {
				t.Errorf("%s %s on a page for looking only: %s", method, list[0], got.Status)
			}
		}
	}
	p.programs(token)
	p.end()
}

// signedIn takes the link, and the cookie with it.
func (p *shown) signedIn() {
	p.t.Helper()
	got := p.ask("GET", "/", nil)
	if got.StatusCode == http.StatusOK {
		return
	}
	link := regexp.MustCompile(`/login\?token=\S+`).FindString(p.h.Run("web"))
	got = p.ask("GET", link, nil)
	at, _ := url.Parse(p.base)
	p.http.Jar.SetCookies(at, got.Cookies())
	if got = p.ask("GET", "/", nil); got.StatusCode != http.StatusOK {
		p.t.Fatalf("not in: %s", got.Status)
	}
}

// fixation: an id that was there before is worth nothing afterwards, and the link is
// used up.
func (p *shown) fixation() {
	p.t.Helper()
	name := regexp.MustCompile(`:(\d+)$`).FindStringSubmatch(p.base)[1]
	planted := "tunesafe-" + name + "=planted"
	path := strings.TrimPrefix(p.link, p.base)
	got := p.ask("GET", path, nil, "Cookie", planted)
	c := got.Cookies()
	if got.StatusCode != http.StatusSeeOther || len(c) != 1 || c[0].Value == "planted" || !c[0].HttpOnly || c[0].SameSite != http.SameSiteStrictMode {
		p.t.Fatalf("the link answers %s, %v", got.Status, c)
	}
	if got := p.ask("GET", "/", nil, "Cookie", planted); got.StatusCode != http.StatusUnauthorized {
		p.t.Errorf("a planted id is in: %s", got.Status)
	}
	if got := p.ask("GET", path, nil); got.StatusCode != http.StatusUnauthorized {
		p.t.Errorf("the link again: %s", got.Status)
	}
	p.signedIn()
	before := p.http.Jar.Cookies(&url.URL{Scheme: "http", Host: strings.TrimPrefix(p.base, "http://"), Path: "/"})[0]
	link := regexp.MustCompile(`/login\?token=\S+`).FindString(p.h.Run("web"))
	p.ask("GET", link, nil) // with the cookie of before: another session takes its place
	p.http.Jar.SetCookies(&url.URL{Scheme: "http", Host: strings.TrimPrefix(p.base, "http://")}, []*http.Cookie{{Name: before.Name, MaxAge: -1, Path: "/"}})
	if got := p.ask("GET", "/", nil, "Cookie", before.String()); got.StatusCode != http.StatusUnauthorized {
		p.t.Errorf("an id outlives the next signing in: %s", got.Status)
	}
	p.signedIn()
}

// raw are requests that no browser sends, of which two programs may have two opinions.
func (p *shown) raw() {
	p.t.Helper()
	host := strings.TrimPrefix(p.base, "http://")
	for _, c := range []struct{ request, status string }{
		{"GET / HTTP/1.1\r\nHost: " + host + "\r\nHost: " + host + "\r\n\r\n", "400"},
		{"GET / HTTP/1.1\r\n\r\n", "400"},
		{"GET / HTTP/1.0\r\n\r\n", "421"},
		{"GET http://evil.example/ HTTP/1.1\r\nHost: " + host + "\r\n\r\n", "421"},
		{"GET / HTTP/1.1\r\nHost: " + host + "\r\nX-Fill: " + strings.Repeat("x", 2*maxHeader) + "\r\n\r\n", "431"},
		{"POST /login HTTP/1.1\r\nHost: " + host + "\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef", "400"},
		{"POST /login HTTP/1.1\r\nHost: " + host + "\r\nContent-Length: -5\r\n\r\n", "400"},
		{"POST /login HTTP/1.1\r\nHost: " + host + "\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", "501"},
		{"POST /login HTTP/1.1\r\nHost: " + host + "\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n", "400"},
		{"POST /login HTTP/1.1\r\nHost: " + host + "\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", "501"},
		{"GET /\x00 HTTP/1.1\r\nHost: " + host + "\r\n\r\n", "400"},
		{"GET / HTTP/9.9\r\nHost: " + host + "\r\n\r\n", "505"},
		{"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n", "421"},
	} {
		conn := dial(p.t, host)
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		_, _ = io.WriteString(conn, c.request) // it may be refused before all was sent
		line, err := bufio.NewReader(conn).ReadString('\n')
		if !strings.HasPrefix(line, "HTTP/1.1 "+c.status) && !strings.HasPrefix(line, "HTTP/1.0 "+c.status) {
			p.t.Errorf("%.90q is answered by %q, %v", c.request, line, err)
		}
	}
}

// endsAmidst is Ctrl-C while somebody follows, and somebody downloads and reads no more.
func (p *shown) endsAmidst() {
	p.t.Helper()
	cookie := p.http.Jar.Cookies(&url.URL{Scheme: "http", Host: strings.TrimPrefix(p.base, "http://"), Path: "/"})[0].String()
	host := strings.TrimPrefix(p.base, "http://")
	for _, path := range []string{"/events", "/zip/now/Music"} {
		conn := dial(p.t, host)
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nCookie: %s\r\n\r\n", path, host, cookie)
		line, err := bufio.NewReaderSize(conn, 16).ReadString('\n')
		if !strings.Contains(line, "200") {
			p.t.Errorf("%s: %q, %v", path, line, err)
		}
	}
	p.end()
}

// programs: no token lets a program change anything where the page is for looking only.
func (p *shown) programs(token string) {
	p.t.Helper()
	var d struct{ Paths map[string]map[string]any }
	if err := json.Unmarshal([]byte(p.ask("GET", "/openapi.json", nil).text), &d); err != nil || len(d.Paths) < 15 {
		p.t.Fatalf("%d paths, %v", len(d.Paths), err)
	}
	for path, operations := range d.Paths {
		path = regexp.MustCompile(`\{[^}]*\}`).ReplaceAllString(path, "a.txt")
		for method := range operations {
			method = strings.ToUpper(method)
			if got := p.ask(method, path, nil); got.StatusCode != http.StatusUnauthorized {
				p.t.Errorf("%s %s without a token, by a session: %s", method, path, got.Status)
			}
			if method == "GET" || path == "/api/v1/wait" {
				continue
			}
			if got := p.ask(method, path, nil, "Authorization", "Bearer "+token); got.StatusCode != http.StatusForbidden {
				p.t.Errorf("%s %s where nothing may be changed: %s", method, path, got.Status)
			}
		}
	}
	for range attemptBurst {
		p.ask("GET", "/api/v1/status", nil, "Authorization", "Bearer guess")
	}
	if got := p.ask("GET", "/api/v1/status", nil, "Authorization", "Bearer guess"); got.StatusCode != http.StatusTooManyRequests || got.Header.Get("Retry-After") == "" {
		p.t.Errorf("guesses at a token: %s", got.Status)
	}
}
