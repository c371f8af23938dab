package web

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	cdpbrowser "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/chromedp"
)

// TestTimeSeen goes back in time in a browser: by keyboard from the calendar to what a
// moment changed, an album as it was, downloaded as a ZIP, restored to a folder, and made
// as it was.
func TestTimeSeen(t *testing.T) {
	b := open(t)
	w := travel(t)
	b.visit(link(w.h, "--listen", "127.0.0.1:0"))
	at := value[string](b, "location.origin")
	b.await("[...document.querySelectorAll('.places a')].some(a => a.innerText.trim() === 'Time')")
	value[bool](b, "[...document.querySelectorAll('.places a')].find(a => a.innerText.trim() === 'Time').click() || true")
	b.says("Time")
	b.look("time")
	value[bool](b, "document.querySelector('a.day').focus() || true")
	b.key("\r")
	b.await("location.pathname.match(/^.time.20..-..-..$/)")
	b.await("document.querySelector('.changes') && !document.querySelector('.change [hx-get]')")
	b.glance("time-night")
	b.audit("time-night")
	b.visit(at + "/time/" + w.second)
	b.await("document.querySelectorAll('.arts img').length === 2 && [...document.querySelectorAll('.arts img')].every(i => i.complete && i.naturalWidth === 128)")
	b.await("document.body.innerText.includes('artist: Sibelius, Jean → Sibelius')")
	b.look("time-moment")

	album := at + "/time/" + w.first + albumPath
	b.visit(album)
	b.says("Kuolema <b>&")
	b.look("time-folder")
	got := b.download(func() { b.press("Download as ZIP") })
	same(t, w.old, filepath.Join(unpack(t, got), "Kuolema _b_&"))
	value[bool](b, "[...document.querySelectorAll('a')].find(a => a.innerText.startsWith('01 Valse')).click() || true")
	b.says("01 Valse triste.mp3")
	b.await("document.querySelector('.art img').naturalWidth === 128")
	b.look("time-track")

	b.visit(album)
	b.press("Restore to a folder …")
	b.says("Restore Kuolema <b>&")
	b.glance("time-restore")
	b.audit("time-restore")
	to := filepath.Join(t.TempDir(), "restored")
	value[bool](b, "document.querySelector('#dest').select() || true")
	b.do(chromedp.SendKeys("#dest", to))
	b.press("Restore")
	b.says("Restored.")
	b.glance("time-restored")
	b.audit("time-restored")
	same(t, w.old, filepath.Join(to, "Kuolema <b>&"))

	b.visit(at + "/undo/" + w.first + albumPath)
	b.look("time-undo")
	b.press("Make it as it was")
	b.says("It is as it was.")
	b.glance("time-undone")
	b.audit("time-undone")
	same(t, w.old, w.album)

	b.await("fetch('/albums').then(r => r.text()).then(t => t.includes('Sibelius, Jean'))") // its tags are read again
	b.visit(at + "/albums")                                                                 // from an album to a night of it
	b.await("document.querySelector('main .cards a[href^=\"/albums/\"]')")
	value[bool](b, "document.querySelector('main .cards a[href^=\"/albums/\"]').click() || true")
	b.press("Look at it")
	b.says("Nothing is kept of then.") // yesterday there was nothing
	b.look("time-nothing")
	b.do(chromedp.NavigateBack())
	b.await("document.getElementById('night')")
	value[bool](b, "(document.getElementById('night').value = document.getElementById('night').max) && true")
	b.press("Look at it")
	b.await("location.pathname.startsWith('/time/') && document.querySelector('.crumbs')")
}

// download gives the file that the browser saves when something is done.
func (b *browser) download(do func()) []byte {
	b.t.Helper()
	dir := b.t.TempDir()
	b.do(chromedp.Func(func(ctx context.Context, s *chromedp.Target) error {
		_, err := cdp.Call(ctx, s, cdpbrowser.SetDownloadBehavior, cdpbrowser.SetDownloadBehaviorParams{
			Behavior: cdpbrowser.SetDownloadBehaviorBehaviorAllow, DownloadPath: dir})
		return err
	}))
	do()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		list, err := os.ReadDir(dir)
		if err != nil {
			b.t.Fatal(err)
		}
		if len(list) == 1 && strings.HasSuffix(list[0].Name(), ".zip") {
			text, err := os.ReadFile(filepath.Join(dir, list[0].Name()))
			if err != nil {
				b.t.Fatal(err)
			}
			return text
		}
	}
	b.t.Fatal("nothing was downloaded")
	return nil
}
