package agent

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/tunesafe/tunesafe/internal/control"
)

// mostMemory is what an agent may take at most, with its page.
const mostMemory = 100 << 20

// visitor is a browser.
type visitor struct {
	h    *house
	http http.Client
	at   string // the page
}

func (h *house) visitor(at string) *visitor {
	jar, err := cookiejar.New(nil)
	if err != nil {
		h.t.Fatal(err)
	}
	return &visitor{h: h, at: at, http: http.Client{Jar: jar, Transport: &http.Transport{DisableKeepAlives: true}}}
}

// do asks for a page, or sends a form of one.
func (v *visitor) do(path string, form url.Values) (status int, text string) {
	v.h.t.Helper()
	method := http.MethodGet
	if form != nil {
		method = http.MethodPost
	}
	r, err := http.NewRequestWithContext(v.h.t.Context(), method, strings.TrimSuffix(v.at, "/")+path, strings.NewReader(form.Encode()))
	if err != nil {
		v.h.t.Fatal(err)
	}
	r.Header.Set("Accept", "text/html")
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	got, err := v.http.Do(r)
	if err != nil {
		v.h.t.Fatal(err)
	}
	defer got.Body.Close()
	b, err := io.ReadAll(got.Body)
	if err != nil {
		v.h.t.Fatal(err)
	}
	return got.StatusCode, string(b)
}

func (v *visitor) want(status int, path string, form url.Values, text string) string {
	v.h.t.Helper()
	is, got := v.do(path, form)
	if is != status || !strings.Contains(got, text) {
		v.h.t.Fatalf("%s answers %d, wanted is %d and %q:\n%s", path, is, status, text, got)
	}
	return got
}

// link is what tunesafe web prints.
func (h *house) link() string {
	return regexp.MustCompile(`/login\?token=\S+`).FindString(h.Run("web"))
}

// freePort is one that nobody has just now.
func freePort(t *testing.T) string {
	t.Helper()
	var c net.ListenConfig
	l, err := c.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// TestPage is an agent with its page, which has an address that stays: who is in stays
// in through restarts and kill -9, steers the agent, and watches it work; who signs out
// is out for good.
func TestPage(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	at := freePort(t)
	pid := h.start("--web", at, "--window", closed())
	page := "http://" + at + "/"
	h.await("the page is served", func(s control.Status) bool { return s.Page == page })
	v := h.visitor(page)
	v.want(http.StatusUnauthorized, "/", nil, "tunesafe web")
	v.want(http.StatusOK, h.link(), nil, "<dd>next at ")

	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, page+"events", nil)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := v.http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	seen := make(chan string, 1000)
	go func() {
		defer close(seen)
		for in := bufio.NewScanner(stream.Body); in.Scan(); {
			seen <- in.Text()
		}
	}()
	token := regexp.MustCompile(`name="csrf" value="([^"]*)"`).FindStringSubmatch(v.want(http.StatusOK, "/", nil, ""))[1]
	steer := func(do string) {
		t.Helper()
		v.want(http.StatusOK, "/work", url.Values{"csrf": {token}, "do": {do}}, "")
	}
	steer("pause")
	h.await("it is paused", func(s control.Status) bool { return s.Agent.Paused })
	steer("resume")
	h.await("it goes on", func(s control.Status) bool { return !s.Agent.Paused })
	h.write("second", 2e6)
	steer("run-now")
	h.await("it backs up beside the page", safeFiles(2))

	for line := range seen {
		if strings.Contains(line, "2 files, ") {
			break
		}
	}
	h.Signal(pid, syscall.SIGTERM)
	for range seen { // the stream ends
	}
	if h.visits(page) {
		t.Error("the page outlives the agent")
	}
	for _, end := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM} {
		pid = h.start("--web", at, "--window", closed())
		h.await("the page is where it was", func(s control.Status) bool { return s.Page == page })
		v.want(http.StatusOK, "/", nil, "<dd>next at ")
		steer("pause") // by a form from before
		h.await("it is paused", func(s control.Status) bool { return s.Agent.Paused })
		steer("resume")
		if peak := memory(t, pid); peak > mostMemory {
			t.Errorf("an agent with its page took %d bytes", peak)
		}
		if end == syscall.SIGTERM {
			v.want(http.StatusOK, "/logout", url.Values{"csrf": {token}}, "")
		}
		h.Signal(pid, end)
	}
	h.start("--web", at)
	h.await("the page is served", func(s control.Status) bool { return s.Page == page })
	v.want(http.StatusUnauthorized, "/", nil, "") // signed out is signed out
}

// TestPageSettings: it can be had otherwise, or not at all, and what keeps it from being
// served keeps the agent from nothing.
func TestPageSettings(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pid := h.start("--web", "never")
	if _, stderr, code := h.Try("web", "--stop"); code == 0 || !strings.Contains(stderr, "the page is not served") {
		t.Errorf("--web never: %d, %s", code, stderr)
	}
	h.Signal(pid, syscall.SIGTERM)

	var c net.ListenConfig
	other, err := c.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	taken := other.Addr().String()
	pid = h.start("--web", taken)
	h.await("it tells why there is no page", func(s control.Status) bool {
		return s.PageFault != nil && strings.Contains(s.PageFault.Hint, "another address") && s.Page == ""
	})
	if out := h.Run("status"); !strings.Contains(out, "not served: ") {
		t.Errorf("the status says\n%s", out)
	}
	if _, stderr, code := h.Try("web", "--listen", taken); code == 0 || !strings.Contains(stderr, "error: --listen "+taken) || !strings.Contains(stderr, "hint: choose another address") {
		t.Errorf("a port in use: %d, %s", code, stderr)
	}
	h.write("second", 1000)
	h.await("it works without the page", safeFiles(2))

	at := freePort(t)
	h.Run("web", "--keep", "--read-only", "--listen", at)
	page := "http://" + at + "/"
	v := h.visitor(page)
	v.want(http.StatusOK, h.link(), nil, "for looking only")
	h.Signal(pid, syscall.SIGKILL)
	pid = h.start()
	h.await("it is kept as it was asked for", func(s control.Status) bool { return s.Page == page })
	v.want(http.StatusOK, "/", nil, "for looking only")
	h.Run("web", "--keep", "--listen", at) // whoever could only look does not get more by it
	v.want(http.StatusUnauthorized, "/", nil, "")
	v.want(http.StatusOK, h.link(), nil, "")
	h.Run("web", "--stop")
	h.Signal(pid, syscall.SIGTERM)
	h.start()
	h.await("it is served again", func(s control.Status) bool { return s.Page == page })
	v.want(http.StatusUnauthorized, "/", nil, "") // all were signed out
}

// visits tells whether anybody answers.
func (h *house) visits(at string) bool {
	got, err := http.Get(at)
	if err == nil {
		got.Body.Close()
	}
	return err == nil
}

// memory is the most that a process had at once.
func memory(t *testing.T, pid int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	kB := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindStringSubmatch(string(text))[1]
	n, err := strconv.Atoi(kB)
	if err != nil {
		t.Fatal(err)
	}
	return n << 10
}
