package web

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	cdpfetch "github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"github.com/tunesafe/tunesafe/internal/store/storetest/realserver"
	"github.com/tunesafe/tunesafe/tests/drive"
	"github.com/tunesafe/tunesafe/tests/s3proxy"
	"github.com/tunesafe/tunesafe/tests/tools"
)

// library makes some WAV files, of which most is sound.
func library(t testing.TB, dir string) {
	t.Helper()
	seed := tools.Seed(t)
	noise := rand.NewChaCha8([32]byte(fmt.Appendf(nil, "%032d", seed)))
	for i := range 16 {
		const bytes = 500_000
		h := []byte("RIFF____WAVEfmt \x10\x00\x00\x00\x01\x00\x02\x00\x44\xac\x00\x00\x10\xb1\x02\x00\x04\x00\x10\x00data____")
		binary.LittleEndian.PutUint32(h[4:], bytes+36)
		binary.LittleEndian.PutUint32(h[40:], bytes)
		sound := make([]byte, bytes)
		_, _ = noise.Read(sound)
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%02d <b>Track<b> & 'more'.wav", i)), append(h, sound...), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestSafe is a first evening: the page says that nothing is here, music is copied
// on to the drive, the page tells by itself how it goes, is paused and goes on, and
// says that all is safe. Then by keyboard alone, and the way out.
func TestSafe(t *testing.T) {
	b := open(t)
	drive.NeedFUSE(t)
	s := realserver.StartEmbedded(t)
	proxy := s3proxy.Start(s.Endpoint)
	t.Cleanup(proxy.Close)
	h := drive.New(t, s)
	h.Init(proxy.URL)
	h.Mount("--settle", "100ms")

	b.visit(link(h, "--listen", "127.0.0.1:0"))
	b.says("Nothing is here yet.")
	if at := value[string](b, "location.href"); strings.Contains(at, "token") {
		t.Errorf("the token is left in the address: %s", at)
	}
	if n := value[int](b, "history.length"); n > 2 {
		t.Errorf("the way in left %d entries in the history", n)
	}
	if text := value[string](b, "document.cookie"); text != "" {
		t.Errorf("scripts can read %q", text)
	}
	b.await("document.querySelectorAll('.plot').length === 4")
	b.look("safe-empty")

	value[bool](b, "window.stays = true") // until it is loaded again
	value[bool](b, `window.seen = new Set(), new MutationObserver(() => seen.add(document.querySelector('progress')?.value)).observe(live, {subtree: true, childList: true, attributes: true}), true`)
	proxy.Set(s3proxy.Faults{UpRate: 300e3})
	library(t, h.At)
	b.await("window.seen.size > 3")
	b.look("safe-progress")
	if !value[bool](b, "window.stays") {
		t.Error("the page was loaded again to show the progress")
	}

	b.press("Pause")
	b.await("document.querySelector('.facts').innerText.includes('paused until you resume')")
	if a := h.Status().Agent; a == nil || !a.Paused {
		t.Error("it is not paused")
	}
	proxy.Set(s3proxy.Faults{})
	b.press("Resume")
	b.says("Everything is safe.")
	if !h.Status().Safe() {
		t.Error("it is not safe")
	}

	b.visit(value[string](b, "location.origin") + "/")
	b.await("document.querySelectorAll('.plot svg').length >= 2")
	value[bool](b, "document.querySelector('details').open = true")
	b.look("safe")
	b.keyboard(h)

	b.brake(h)

	b.press("Sign out")
	b.says("Sign in")
	b.look("login")
	b.visit(value[string](b, "location.origin") + "/")
	b.says("Sign in")

	h.Run("unmount", h.At)
	at, page := start(t, h, "--listen", "127.0.0.1:0")
	b.visit(at)
	b.says("Everything is safe.")
	if err := page.Process.Signal(syscall.SIGINT); err != nil { // while the page is open
		t.Fatal(err)
	}
	if err := page.Wait(); err != nil {
		t.Errorf("tunesafe web ended with %v", err)
	}
}

// TestLiveFromTheFirst: a page whose first request for its live state fails, as behind a line
// that breaks down or a proxy that is starting, shows no error for it, and goes on once it can.
func TestLiveFromTheFirst(t *testing.T) {
	b := open(t)
	drive.NeedFUSE(t)
	s := realserver.StartEmbedded(t)
	h := drive.New(t, s)
	h.Init(s.Endpoint)
	h.Mount("--settle", "100ms")
	b.forgive = "503"
	var asked atomic.Int64
	b.intercept("events", func(ctx context.Context, s *chromedp.Target, id cdpfetch.RequestID) (err error) {
		switch asked.Add(1) {
		case 1:
			_, err = cdp.Call(ctx, s, cdpfetch.FailRequest, cdpfetch.FailRequestParams{RequestID: id, ErrorReason: network.ErrorReasonConnectionRefused})
		case 2:
			_, err = cdp.Call(ctx, s, cdpfetch.FulfillRequest, cdpfetch.FulfillRequestParams{RequestID: id, ResponseCode: 503, Body: []byte("<h1>Bad gateway</h1>")})
		default:
			err = goOn(ctx, s, id)
		}
		return err
	})
	b.visit(link(h, "--listen", "127.0.0.1:0"))
	b.says("Nothing is here yet.")
	value[bool](b, "window.stays = true") // until it is loaded again
	value[bool](b, `window.heads = new Set(), new MutationObserver(() => heads.add(document.querySelector('h1')?.innerText)).observe(live, {subtree: true, childList: true, characterData: true}), true`)
	library(t, h.At)
	b.says("Everything is safe.")
	if !value[bool](b, "window.stays") {
		t.Error("the page was loaded again")
	}
	if value[bool](b, "heads.has('Bad gateway')") {
		t.Error("the page showed the error of a proxy as the state of the backup")
	}
	if n := asked.Load(); n != 3 {
		t.Errorf("the live state was asked for %d times, want 3", n)
	}
}

// brake has a folder lose most of its music, which needs a person.
func (b *browser) brake(h *drive.Home) {
	b.t.Helper()
	dir := filepath.Join(b.t.TempDir(), "Old Disk")
	if err := os.Mkdir(dir, 0o755); err != nil {
		b.t.Fatal(err)
	}
	name := func(i int) string { return filepath.Join(dir, fmt.Sprintf("%03d <b>.txt", i)) }
	for i := range 200 {
		if err := os.WriteFile(name(i), fmt.Appendf(nil, "notes of %d", i), 0o644); err != nil {
			b.t.Fatal(err)
		}
	}
	h.Run("backup", dir)
	for i := range 190 {
		if err := os.Remove(name(i)); err != nil {
			b.t.Fatal(err)
		}
	}
	if _, stderr, code := h.Try("backup", dir); code != 5 {
		b.t.Fatalf("nothing is held: %d: %s", code, stderr)
	}
	b.await("document.querySelector('.needs')?.innerText.includes('Old Disk')")
	b.says("Everything is safe, and something needs you.")
	b.look("safe-needs")
	b.press("No, keep the backup as it was")
	b.says("Everything is safe.")
	if held := h.Status().Places[0].Held; len(held) != 1 || held[0].Decision != "rejected" {
		b.t.Errorf("what was answered: %+v", held)
	}
}

// keyboard pauses and resumes without a mouse.
func (b *browser) keyboard(h *drive.Home) {
	b.t.Helper()
	value[bool](b, "document.activeElement.blur() || true")
	b.key("\t")
	if at := b.focus(); at != "|Skip to the content" {
		b.t.Errorf("the first stop of the keyboard is %q", at)
	}
	b.key("\r")
	if at := value[string](b, "document.activeElement.id"); at != "main" {
		b.t.Errorf("the content is skipped to %q", at)
	}
	to := func(name string) {
		b.t.Helper()
		for range 20 {
			if b.key("\t"); b.focus() == "|"+name {
				if value[string](b, "getComputedStyle(document.activeElement).outlineStyle") == "none" {
					b.t.Errorf("nobody sees that %s has the focus", name)
				}
				return
			}
		}
		b.t.Fatalf("the keyboard does not reach %s", name)
	}
	to("Pause")
	b.key("\r")
	b.await("document.querySelector('.facts').innerText.includes('paused until you resume')")
	to("Resume")
	b.key("\r")
	b.await("!document.querySelector('.facts').innerText.includes('paused')")
	if a := h.Status().Agent; a == nil || a.Paused {
		b.t.Error("it is still paused")
	}
}
