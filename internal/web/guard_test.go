package web

import (
	"bufio"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestNobodyIsIn asks for each route without a session: nothing is told.
func TestNobodyIsIn(t *testing.T) {
	s, owner := serve(t, Options{})
	b := open(t, s)
	for _, r := range s.routes() {
		method, path, _ := strings.Cut(r.pattern, " ")
		if r.open {
			continue
		}
		path = regexp.MustCompile(`\{[^}]*\}`).ReplaceAllString(path, "1")
		got := b.do(method, strings.TrimSuffix(path, "1$"), nil)
		b.want(got, http.StatusUnauthorized, r.pattern)
		if strings.Contains(got.text, `id="live"`) {
			t.Errorf("%s: tells strangers", r.pattern)
		}
	}
	b.want(b.get("/", "Cookie", s.cookieName()+"=guess"), http.StatusUnauthorized, "a guessed session")
	if owner.did() != 0 {
		t.Error("strangers can steer")
	}
}

// TestLinkWorksOnce: also beside browsers that look at it before their people do.
func TestLinkWorksOnce(t *testing.T) {
	s, _ := serve(t, Options{})
	link, until := s.Link()
	if life := time.Until(until); life > inviteLife || life < inviteLife-time.Minute {
		t.Errorf("a link is good for %v", life)
	}
	b := open(t, s)
	b.want(b.get(link, "Sec-Purpose", "prefetch;prerender"), http.StatusNoContent, "looking ahead")
	b.want(b.do(http.MethodHead, link, nil), http.StatusNoContent, "HEAD")
	b.want(b.get(link), http.StatusSeeOther, "the link")
	b.want(b.get("/"), http.StatusOK, "the page after it")
	b.want(open(t, s).get(link), http.StatusUnauthorized, "the link again")

	token, until := s.sessions.invite(time.Now())
	if s.sessions.redeem(token, until) {
		t.Error("a link outlives its time")
	}
}

func TestSessionsEnd(t *testing.T) {
	s, _ := serve(t, Options{})
	now := time.Now()
	e := s.sessions.begin(now)
	if s.sessions.find(e.id, now.Add(sessionIdle-time.Minute)) == nil {
		t.Error("a session that is used ends early")
	}
	if s.sessions.find(e.id, now.Add(2*sessionIdle)) != nil {
		t.Error("a session that nobody uses goes on")
	}
	e = s.sessions.begin(now)
	for day := now; day.Before(now.Add(sessionLife)); day = day.Add(12 * time.Hour) {
		s.sessions.find(e.id, day)
	}
	if s.sessions.find(e.id, now.Add(sessionLife+time.Hour)) != nil {
		t.Error("a session goes on for ever")
	}
	b := enter(t, s)
	b.want(b.do(http.MethodPost, "/logout", url.Values{"csrf": {b.csrf()}}), http.StatusSeeOther, "signing out")
	b.want(b.get("/"), http.StatusUnauthorized, "after signing out")
	for range 2 * maxSessions {
		s.sessions.begin(now)
	}
	if len(s.sessions.byID) > maxSessions {
		t.Error("sessions without end")
	}
}

// TestCookie: scripts cannot read it, other sites cannot send it, and another port
// has another.
func TestCookie(t *testing.T) {
	s, _ := serve(t, Options{})
	link, _ := s.Link()
	c := open(t, s).get(link).Cookies()
	if len(c) != 1 || !c[0].HttpOnly || c[0].SameSite != http.SameSiteStrictMode || c[0].Path != "/" || !strings.Contains(c[0].Name, s.port()) {
		t.Errorf("the cookie is %v", c)
	}
}

// TestOtherNames: a stranger's name that leads here is refused, whatever is asked.
func TestOtherNames(t *testing.T) {
	s, owner := serve(t, Options{Hosts: []string{"Music.Example"}})
	b := enter(t, s)
	token := b.csrf()
	port := ":" + s.port()
	for host, known := range map[string]bool{ // the browser has the cookie of the first alone
		"127.0.0.1" + port: true, "localhost" + port: true, "[::1]" + port: true, "music.example" + port: true, "MUSIC.example." + port: true,
		"evil.example" + port: false, "localhost.evil.example" + port: false, "127.0.0.1.nip.io" + port: false,
		"127.0.0.1": false, "127.0.0.1:1": false, "10.0.0.1" + port: false,
	} {
		if got := b.get("/", "Host", host); (got.StatusCode == http.StatusMisdirectedRequest) == known {
			t.Errorf("%s: %s", host, got.Status)
		}
	}
	b.want(b.get("/static/page.css", "Host", "evil.example"+port), http.StatusMisdirectedRequest, "a file")
	b.want(b.pause(token, "Host", "evil.example"+port), http.StatusMisdirectedRequest, "a change")
	if owner.did() != 0 {
		t.Error("a rebound name can steer")
	}
}

// TestOtherSites: what another site has the browser send changes nothing.
func TestOtherSites(t *testing.T) {
	s, owner := serve(t, Options{})
	b, other := enter(t, s), enter(t, s)
	token := b.csrf()
	b.want(b.pause(token, "Sec-Fetch-Site", "cross-site"), http.StatusForbidden, "from another site")
	b.want(b.pause(token, "Sec-Fetch-Site", "same-site"), http.StatusForbidden, "from another port")
	b.want(b.pause(token, "Origin", "http://evil.example"), http.StatusForbidden, "by another origin")
	b.want(b.pause(token, "Origin", "null"), http.StatusForbidden, "by a hidden origin")
	b.want(b.pause(""), http.StatusForbidden, "without a token")
	b.want(b.pause(other.csrf()), http.StatusForbidden, "with the token of another session")
	b.want(b.get("/work?do=pause&csrf="+token), http.StatusNotFound, "by GET")
	if owner.did() != 0 {
		t.Fatal("another site can steer")
	}
	b.want(b.pause(token, "Sec-Fetch-Site", "same-origin", "Origin", strings.TrimSuffix(s.URL(), "/")), http.StatusSeeOther, "from the page")
	b.want(b.pause("", "X-CSRF-Token", token), http.StatusSeeOther, "with the token in the header")
	if owner.did() != 2 {
		t.Error("the page cannot steer")
	}
}

// TestHeaders: on every kind of answer, refusals too.
func TestHeaders(t *testing.T) {
	s, _ := serve(t, Options{})
	b := enter(t, s)
	for what, got := range map[string]answer{
		"the page": b.get("/"), "a file": b.get("/static/page.css"), "no page": b.get("/none"), "no file": b.get("/static/none"),
		"a stranger": open(t, s).get("/"), "another name": b.get("/", "Host", "evil.example"), "another site": b.pause("", "Origin", "http://evil.example"),
	} {
		for name, want := range map[string]string{
			"Content-Security-Policy": "default-src 'none'", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
			"Referrer-Policy": "no-referrer", "Cross-Origin-Resource-Policy": "same-origin", "Cross-Origin-Opener-Policy": "same-origin",
		} {
			if !strings.HasPrefix(got.Header.Get(name), want) {
				t.Errorf("%s: %s is %q", what, name, got.Header.Get(name))
			}
		}
		if policy := got.Header.Get("Content-Security-Policy"); strings.Contains(policy, "unsafe") || strings.Contains(policy, "*") || strings.Contains(policy, "http") {
			t.Errorf("%s: the policy is %q", what, policy)
		}
	}
	if got := b.get("/").Header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("the page may be kept: %q", got)
	}
}

// TestNothingInline: the policy would keep a browser from it, and a page that needs
// it would be broken. Nothing is asked for elsewhere.
func TestNothingInline(t *testing.T) {
	bad := regexp.MustCompile(`(?i)<style|\sstyle=|<script(?:>|\s[^>]*>[^<])|<script\s+[^s]|\son[a-z]+=|javascript:|(?:src|href|action)="(?:[a-z]+:)?//|hx-on|\bjs:`)
	err := fs.WalkDir(files, "templates", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(files, name)
		if at := bad.FindIndex(text); at != nil {
			t.Errorf("%s has %q", name, text[at[0]:min(at[1]+40, len(text))])
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestNothingIsMarkedSafe: what templates escape stays escaped.
func TestNothingIsMarkedSafe(t *testing.T) {
	s, _ := serve(t, Options{})
	text, err := s.render("fault", "layout", view{Title: "<script>alert(1)</script>", Data: s.explain(errText(`"><img src=x onerror=alert(1)>`))})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "<img") || strings.Contains(string(text), "<script>alert") {
		t.Errorf("a name becomes markup: %s", text)
	}
}

type errText string

func (e errText) Error() string { return string(e) }

// TestAttempts: a password is not guessed, and whoever tries keeps others in.
func TestAttempts(t *testing.T) {
	s, _ := serve(t, Options{Password: HashPassword("five words nobody puts together")})
	inside := enter(t, s)
	s.limit = newLimiter()
	b := open(t, s)
	try := func(password string) answer {
		return b.do(http.MethodPost, "/login", url.Values{"password": {password}})
	}
	b.want(try("five words nobody puts together"), http.StatusSeeOther, "the password")
	for range attemptBurst - 1 {
		b.want(try("guess"), http.StatusUnauthorized, "a guess")
	}
	got := try("five words nobody puts together")
	b.want(got, http.StatusTooManyRequests, "one too many")
	if got.Header.Get("Retry-After") == "" || !strings.Contains(got.text, "too many attempts") {
		t.Error("nobody says when to try again")
	}
	link, _ := s.Link()
	b.want(b.get(link), http.StatusTooManyRequests, "a link, as it could be guessed at")
	inside.want(inside.get("/"), http.StatusOK, "who is in")

	l, now := newLimiter(), time.Now()
	at := func(address string) bool {
		_, ok := l.allow(&http.Request{RemoteAddr: address}, now)
		return ok
	}
	for range attemptBurst {
		if !at("[2001:db8::1]:1") {
			t.Fatal("refused early")
		}
	}
	if at("[2001:db8::2]:1") {
		t.Error("a network of IPv6 has as many attempts as addresses")
	}
	if !at("192.0.2.1:1") {
		t.Error("one address keeps another out")
	}
	many := newLimiter()
	let := 0
	for i := range 10 * allBurst {
		if _, ok := many.allow(&http.Request{RemoteAddr: fmt.Sprintf("192.0.2.%d:1", i)}, now); ok {
			let++
		}
	}
	if let != allBurst {
		t.Errorf("many addresses together have %d attempts at once", let)
	}
	for range attemptBurst {
		now = now.Add(attemptPause)
		if !at("[2001:db8::1]:1") {
			t.Error("no attempt after a pause")
		}
	}
	s, _ = serve(t, Options{})
	b = open(t, s)
	b.want(try(""), http.StatusNotFound, "a password where none is set")
}

func TestPassword(t *testing.T) {
	hash := HashPassword("a")
	if hash == HashPassword("a") || !strings.HasPrefix(hash, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("the hash is %q", hash)
	}
	if !checkPassword(hash, "a") {
		t.Error("the password is refused")
	}
	for _, h := range []string{hash, "", "$argon2id$", "$argon2id$v=19$m=19456,t=0,p=1$$", "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$", strings.Replace(hash, "argon2id", "argon2i", 1)} {
		if checkPassword(h, "b") || checkPassword(h, "") {
			t.Errorf("%q takes a wrong password", h)
		}
	}
}

// TestReadOnly: a page for looking changes nothing, whoever has its session.
func TestReadOnly(t *testing.T) {
	s, owner := serve(t, Options{ReadOnly: true})
	b := enter(t, s)
	_, token, _ := strings.Cut(b.get("/").text, `name="csrf" value="`)
	token, _, _ = strings.Cut(token, `"`)
	for _, r := range s.routes() {
		method, path, _ := strings.Cut(r.pattern, " ")
		if r.door || !r.secret && method == http.MethodGet {
			continue
		}
		path = regexp.MustCompile(`\{[^}]*\}`).ReplaceAllString(path, "1")
		b.want(b.do(method, path, url.Values{"csrf": {token}, "do": {"pause"}}), http.StatusForbidden, r.pattern)
	}
	if owner.did() != 0 {
		t.Error("a page for looking can steer")
	}
	if page := b.get("/").text; strings.Contains(page, `action="/work"`) || !strings.Contains(page, "for looking only") {
		t.Error("it shows what it refuses")
	}
	b.want(b.do(http.MethodPost, "/logout", url.Values{"csrf": {token}}), http.StatusSeeOther, "signing out")
}

// TestStreamsEnd: with the session, and with the page, which waits for none.
func TestStreamsEnd(t *testing.T) {
	s, _ := serve(t, Options{})
	stream := func(b *browser) *bufio.Reader {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL()+"events", nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := b.http.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { got.Body.Close() })
		in := bufio.NewReader(got.Body)
		if line, err := in.ReadString('\n'); err != nil || !strings.HasPrefix(line, "data:") {
			t.Fatalf("the stream begins with %q, %v", line, err)
		}
		return in
	}
	b := enter(t, s)
	first, second := stream(b), stream(enter(t, s))
	b.do(http.MethodPost, "/logout", url.Values{"csrf": {b.csrf()}})
	if _, err := io.Copy(io.Discard, first); err != nil {
		t.Errorf("signing out: %v", err)
	}
	began := time.Now()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > closeTimeout {
		t.Errorf("the page took %v to end", took)
	}
	_, _ = io.Copy(io.Discard, second)
}

// TestLongForms are refused.
func TestLongForms(t *testing.T) {
	s, owner := serve(t, Options{})
	b := enter(t, s)
	form := url.Values{"csrf": {b.csrf()}, "do": {"pause"}, "fill": {strings.Repeat("x", maxForm)}}
	b.want(b.do(http.MethodPost, "/work", form), http.StatusForbidden, "a long form")
	if owner.did() != 0 {
		t.Error("a long form is read")
	}
}

// TestWeight: what a browser loads for the first page, without art.
func TestWeight(t *testing.T) {
	s, _ := serve(t, Options{})
	b := enter(t, s)
	page := b.get("/").text
	sum := len(page)
	for _, m := range regexp.MustCompile(`(?:src|href)="(/static/[^"]*)"`).FindAllStringSubmatch(page, -1) {
		got := b.get(m[1])
		b.want(got, http.StatusOK, m[1])
		sum += len(got.text)
	}
	t.Logf("the first page weighs %d bytes", sum)
	if sum > 200_000 || sum < 20_000 {
		t.Errorf("the first page weighs %d bytes", sum)
	}
}

// fileMemory is a Memory.
type fileMemory struct{ text []byte }

func (m *fileMemory) Sessions() ([]byte, error)     { return m.text, nil }
func (m *fileMemory) SetSessions(text []byte) error { m.text = text; return nil }

// TestSessionsOutlive: the same kind of page, and no other, takes up who was in. What is
// kept lets nobody in.
func TestSessionsOutlive(t *testing.T) {
	m := &fileMemory{}
	begin := func(o Options) *Server {
		o.Memory, o.Usual = m, true
		s, _ := serve(t, o)
		return s
	}
	s := begin(Options{})
	now := time.Now()
	e, out := s.sessions.begin(now), s.sessions.begin(now)
	old := s.sessions.begin(now.Add(-sessionIdle + time.Hour))
	s.sessions.finish(out)
	if strings.Contains(string(m.text), e.id) || strings.Contains(string(m.text), e.csrf) || !strings.Contains(string(m.text), sumOf(e.id)) {
		t.Errorf("kept is %s", m.text)
	}
	if LastPort(m) != s.addr.Port {
		t.Errorf("the page is looked for at %d", LastPort(m))
	}
	again := begin(Options{}).sessions
	if got := again.find(e.id, now); got == nil || got.csrf != e.csrf {
		t.Error("who was in is out")
	}
	for what, id := range map[string]string{"signed out": out.id, "too old": old.id, "what is kept": sumOf(e.id), "nothing": ""} {
		if again.find(id, now.Add(2*time.Hour)) != nil {
			t.Errorf("%s: is in", what)
		}
	}
	kept := m.text
	for what, o := range map[string]Options{"looking only": {ReadOnly: true}, "another password": {Password: "x"}, "TLS": {Secure: true}} {
		m.text = kept
		if begin(o).sessions.find(e.id, now) != nil {
			t.Errorf("%s: is in where it was not let in", what)
		}
		if begin(Options{}).sessions.find(e.id, now) != nil {
			t.Errorf("%s: is in again", what)
		}
	}
	m.text = kept
	begin(Options{}).SignOutAll()
	if begin(Options{}).sessions.find(e.id, now) != nil {
		t.Error("in after all were signed out")
	}
	for _, text := range []string{"{", "[]", `{"port":-1,"sessions":[{}]}`, `{"port":99999}`} {
		m.text = []byte(text)
		if s := begin(Options{}).sessions; LastPort(m) < 0 || s.find("", now) != nil {
			t.Errorf("%s lets somebody in", text)
		}
	}
}
