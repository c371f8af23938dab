// Package web shows the page in a real browser: what people see, press and wait
// for, and that everybody can.
package web

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdpfetch "github.com/chromedp/cdproto/fetch"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/tunesafe/tunesafe/tests/drive"
	"github.com/tunesafe/tunesafe/tests/tools"
)

func TestMain(m *testing.M) { os.Exit(drive.Main(m)) }

// patience is how long a browser is waited for.
const patience = 3 * time.Minute

// shotsEnv names a folder for pictures of the pages; "make screenshots" sets it.
const shotsEnv = "TUNESAFE_SCREENSHOTS"

// browser is a tab of a browser of its own.
type browser struct {
	t   testing.TB
	ctx context.Context //nolint:containedctx // how chromedp names a tab
	axe string

	forgive string // what the console may say

	mu       sync.Mutex
	problems []string // what its console said
}

// open starts Debian's chromium. What its console complains of, such as what the
// policy of the page refused, fails the test.
func open(t testing.TB) *browser {
	t.Helper()
	path := tools.Need(t, "chromium")[0]
	const source = "../../.bin/axe-core/axe.min.js"
	tools.NeedFile(t, source, "sh scripts/npmtools.sh axe-core")
	axe, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	options := []chromedp.ExecAllocatorOption{chromedp.ExecPath(path), chromedp.Headless, chromedp.UserDataDir(t.TempDir())}
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // root has none
	}
	alloc, end := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(end)
	ctx, cancel := chromedp.NewContext(alloc)
	t.Cleanup(cancel)
	b := &browser{t: t, ctx: ctx, axe: string(axe)}
	if err := chromedp.Listen(ctx, b.listen); err != nil {
		t.Fatal(err)
	}
	b.do(chromedp.Func(func(ctx context.Context, s *chromedp.Target) error {
		_, err := cdp.Call(ctx, s, cdplog.Enable, cdp.Empty{})
		return err
	}))
	t.Cleanup(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, p := range b.problems {
			t.Errorf("the browser's console: %s", p)
		}
	})
	return b
}

// delay has a file of the page come late from now on, as over a slow line.
func (b *browser) delay(name string, by time.Duration) {
	b.t.Helper()
	b.intercept(name, func(ctx context.Context, s *chromedp.Target, id cdpfetch.RequestID) error {
		time.Sleep(by)
		return goOn(ctx, s, id)
	})
}

// intercept answers requests for a file of the page, or has them go on.
func (b *browser) intercept(name string, answer func(context.Context, *chromedp.Target, cdpfetch.RequestID) error) {
	b.t.Helper()
	err := chromedp.Listen(b.ctx, func(ev any) {
		if e, ok := ev.(*cdpfetch.EventRequestPaused); ok {
			go func() {
				// What is asked for no more is gone.
				_ = chromedp.Do(b.ctx, chromedp.Func(func(ctx context.Context, s *chromedp.Target) error { return answer(ctx, s, e.RequestID) }))
			}()
		}
	})
	if err != nil {
		b.t.Fatal(err)
	}
	b.do(chromedp.Func(func(ctx context.Context, s *chromedp.Target) error {
		_, err := cdp.Call(ctx, s, cdpfetch.Enable, cdpfetch.EnableParams{Patterns: []*cdpfetch.RequestPattern{{URLPattern: "*/" + name}}})
		return err
	}))
}

// goOn has a request go on to the server.
func goOn(ctx context.Context, s *chromedp.Target, id cdpfetch.RequestID) error {
	_, err := cdp.Call(ctx, s, cdpfetch.ContinueRequest, cdpfetch.ContinueRequestParams{RequestID: id})
	return err
}

func (b *browser) listen(ev any) {
	var text string
	switch e := ev.(type) {
	case *runtime.EventExceptionThrown:
		text = e.ExceptionDetails.Text
		if e.ExceptionDetails.Exception != nil {
			text += " " + e.ExceptionDetails.Exception.Description
		}
	case *cdplog.EventEntryAdded:
		text = e.Entry.Text + " " + e.Entry.URL
		door := strings.Contains(text, "401 (Unauthorized)") || strings.Contains(text, "422 (Unprocessable Entity)") // of a page that one must come in by, or of a form with a mistake
		ended := strings.Contains(text, "net::ERR_") && !strings.Contains(text, "ERR_BLOCKED")                       // with the server
		if e.Entry.Level != "error" || door || ended || b.forgive != "" && strings.Contains(text, b.forgive) {
			return
		}
	default:
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.problems = append(b.problems, text)
}

// do runs steps one after another.
func (b *browser) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.t.Fatal(err)
	}
}

// value is what an expression of JavaScript comes to.
func value[T any](b *browser, expression string) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("%.200s: %v", expression, err)
	}
	return v
}

// await waits until an expression is true.
func (b *browser) await(expression string) {
	b.t.Helper()
	for end := time.Now().Add(patience); !value[bool](b, "Promise.resolve("+expression+").then(Boolean)"); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			b.t.Fatalf("never: %s; the page says:\n%s", expression, value[string](b, "document.body.innerText"))
		}
	}
}

// says waits until the heading of the page is this.
func (b *browser) says(heading string) {
	b.t.Helper()
	b.await(fmt.Sprintf("document.querySelector('h1')?.innerText === %q", heading))
}

// visit opens an address.
func (b *browser) visit(url string) {
	b.t.Helper()
	b.do(chromedp.Navigate(url))
}

// press clicks the button of that name.
func (b *browser) press(name string) {
	b.t.Helper()
	b.await(fmt.Sprintf("[...document.querySelectorAll('button')].some(b => b.innerText.trim() === %q)", name))
	value[bool](b, fmt.Sprintf("[...document.querySelectorAll('button')].find(b => b.innerText.trim() === %q).click() || true", name))
}

// key presses keys where the focus is.
func (b *browser) key(keys string) {
	b.t.Helper()
	b.do(chromedp.KeyEvent(keys))
}

// focus describes what has the focus.
func (b *browser) focus() string {
	b.t.Helper()
	return value[string](b, "(document.activeElement.id || '') + '|' + document.activeElement.innerText.trim()")
}

// look sees to a page in both widths, light and dark: axe-core finds nothing,
// nothing is cut off at the side, and pictures are kept if somebody wants them.
func (b *browser) look(name string) {
	b.t.Helper()
	for _, width := range []int64{1280, 390} {
		for _, scheme := range []string{"light", "dark"} {
			if os.Getenv(shotsEnv) == "" && (width == 390) != (scheme == "dark") {
				continue // widths and colours do not meet
			}
			b.do(chromedp.EmulateViewport(width, 900), chromedp.Func(func(ctx context.Context, s *chromedp.Target) error {
				_, err := cdp.Call(ctx, s, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
					Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}}})
				return err
			}))
			at := fmt.Sprintf("%s-%d-%s", name, width, scheme)
			b.await(fmt.Sprintf("innerWidth === %d", width))
			if over := value[int](b, "document.documentElement.scrollWidth - document.documentElement.clientWidth"); over > 0 {
				b.t.Errorf("%s: %d pixels are cut off at the side", at, over)
			}
			b.audit(at)
			b.shoot(at)
		}
	}
}

// audit has axe-core look at the page, with all its rules.
func (b *browser) audit(at string) {
	b.t.Helper()
	if !value[bool](b, "Boolean(window.axe)") {
		value[bool](b, b.axe+"; Boolean(window.axe)")
	}
	text := value[string](b, `axe.run().then(r => JSON.stringify(r.violations.map(v => ({id: v.id, help: v.help, at: v.nodes.map(n => n.html + ' ' + n.failureSummary)}))))`)
	var found []struct {
		ID, Help string
		At       []string
	}
	if err := json.Unmarshal([]byte(text), &found); err != nil {
		b.t.Fatal(err)
	}
	for _, f := range found {
		b.t.Errorf("%s: axe: %s: %s: %q", at, f.ID, f.Help, f.At)
	}
}

func (b *browser) shoot(name string) {
	b.t.Helper()
	dir := os.Getenv(shotsEnv)
	if dir == "" {
		return
	}
	// What is far down is drawn only when somebody scrolls there, and here nobody does.
	value[bool](b, `(() => { const all = new CSSStyleSheet(); all.replaceSync("* { content-visibility: visible !important }"); document.adoptedStyleSheets = [all]; return true })()`)
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644)
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

var linkPattern = regexp.MustCompile(`https?://\S+/login\?token=\S+`)

// link is what tunesafe web prints of a drive that is mounted.
func link(h *drive.Home, flags ...string) string {
	return linkPattern.FindString(h.Run(append([]string{"web"}, flags...)...))
}

// start runs tunesafe web where nobody serves the home, until the test ends, and
// gives its link.
func start(t testing.TB, h *drive.Home, flags ...string) (string, *exec.Cmd) {
	t.Helper()
	cmd := h.Command(append([]string{"web"}, flags...)...)
	return runs(t, cmd), cmd
}

// runs starts tunesafe web, which goes on until the test ends, and gives its link.
func runs(t testing.TB, cmd *exec.Cmd) string {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for said := bufio.NewReader(out); ; {
		line, err := said.ReadString('\n')
		if link := linkPattern.FindString(line); link != "" {
			return link
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
