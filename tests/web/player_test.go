package web

import (
	"context"
	"encoding/binary"
	"fmt"
	"image/color"
	"math"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/tunesafe/tunesafe/internal/store/storetest/realserver"
	"github.com/tunesafe/tunesafe/tests/drive"
	"github.com/tunesafe/tunesafe/tests/s3proxy"
	"github.com/tunesafe/tunesafe/tests/tools"
)

// watch lets a test see the two elements that play, press the keys that a system has
// for what plays, and hear it: a tape has what came out on the left and on the right.
const watch = `(() => {
	const AudioAsItIs = window.Audio, handler = MediaSession.prototype.setActionHandler;
	window.elements = []; window.mediaKeys = {}; window.tape = [];
	window.Audio = function (...a) { const e = new AudioAsItIs(...a); elements.push(e); return e };
	MediaSession.prototype.setActionHandler = function (k, f) { mediaKeys[k] = f; return handler.call(this, k, f) };
	window.sounding = () => elements.find(e => !e.paused && !e.ended);
	window.record = async () => {
		const c = window.listening = new AudioContext({sampleRate: 44100});
		const hear = c.createScriptProcessor(2048, 2, 2);
		hear.onaudioprocess = e => tape.push([e.inputBuffer.getChannelData(0).slice(), e.inputBuffer.getChannelData(1).slice()]);
		elements.forEach(e => c.createMediaElementSource(e).connect(hear));
		hear.connect(c.destination);
		await c.resume();
		return true;
	};
	// From the last sample on the left to the first on the right, in samples.
	window.gap = () => {
		let left = -1, right = -1, at = 0;
		for (const [l, r] of tape) for (let i = 0; i < l.length; i++, at++) {
			if (Math.abs(l[i]) > .02) left = at;
			if (right < 0 && Math.abs(r[i]) > .02) right = at;
		}
		return left < 0 || right < 0 ? null : right - left - 1;
	};
})()`

// wav is sound of 16 bits, two channels and 44,100 samples a second.
func wav(samples []byte) []byte {
	b := append([]byte("RIFF"), binary.LittleEndian.AppendUint32(nil, uint32(36+len(samples)))...)
	b = append(b, "WAVEfmt \x10\x00\x00\x00\x01\x00\x02\x00"...)
	b = binary.LittleEndian.AppendUint32(b, 44100)
	b = binary.LittleEndian.AppendUint32(b, 4*44100)
	b = append(b, "\x04\x00\x10\x00data"...)
	return append(binary.LittleEndian.AppendUint32(b, uint32(len(samples))), samples...)
}

// tone is a stretch of one tone, on one side.
func tone(from, to int, right bool) []byte {
	b := make([]byte, 0, 4*(to-from))
	for i := from; i < to; i++ {
		v := uint16(int16(12000 * math.Sin(2*math.Pi*997*float64(i)/44100)))
		if right {
			b = binary.LittleEndian.AppendUint16(append(b, 0, 0), v)
		} else {
			b = append(binary.LittleEndian.AppendUint16(b, v), 0, 0)
		}
	}
	return b
}

func hiss(seconds int) []byte {
	b := make([]byte, 4*44100*seconds)
	_, _ = rand.NewChaCha8([32]byte{byte(seconds)}).Read(b)
	return b
}

// tones writes an album: one tone that is cut in two tracks, and others.
func tones(t *testing.T, dir string) {
	t.Helper()
	bin := tools.Need(t, "flac")[0]
	art := filepath.Join(t.TempDir(), "cover.png")
	put(t, cover(color.NRGBA{0, 80, 160, 255}), art)
	cut := 3*44100 + 1234
	for i, track := range []struct {
		title string
		sound []byte
	}{
		{"Left", tone(0, cut, false)}, {"Right", tone(cut, 2*cut, true)}, {"Gone", tone(0, 44100*3, false)},
		{"Lost", hiss(8)}, {"Last", tone(0, 44100*40, false)},
	} {
		raw := filepath.Join(t.TempDir(), "a.wav")
		put(t, wav(track.sound), raw)
		put(t, nil, dir, "x")
		run(t, bin, "--silent", "--fast", "-f", "-T", "TITLE="+track.title, "-T", "ARTIST=The Oscillators", "-T", "ALBUM=Tones", "-T", fmt.Sprint("TRACKNUMBER=", i+1),
			"--picture", art, "-o", filepath.Join(dir, fmt.Sprintf("%d.flac", i+1)), raw)
	}
	if err := os.Remove(filepath.Join(dir, "x")); err != nil {
		t.Fatal(err)
	}
}

// listener is somebody with a browser, before a cold drive.
type listener struct {
	*browser
	h     *drive.Home
	proxy *s3proxy.Proxy
	lost  atomic.Bool // the store has no sound any more
}

// TestPlayer plays from a library of which nothing is here: without a gap, by media keys,
// by a queue, past tracks that cannot be had; and fetches no more than that takes.
func TestPlayer(t *testing.T) {
	l := &listener{browser: open(t)}
	s := realserver.StartEmbedded(t)
	l.proxy = s3proxy.Start(s.Endpoint)
	t.Cleanup(l.proxy.Close)
	l.proxy.SetRoot(drive.Prefix)
	l.proxy.Before(func(r *http.Request) s3proxy.Action {
		if l.lost.Load() && r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/audio/") {
			return s3proxy.Reply(http.StatusNotFound)
		}
		return s3proxy.Forward
	})
	l.h = drive.New(t, s)
	l.h.Init(l.proxy.URL)
	l.h.Mount("--settle", "50ms")
	tones(t, filepath.Join(l.h.At, "Tones"))
	put(t, wav(hiss(150)), l.h.At, "Long", "a.wav")
	put(t, read(t, "../../internal/split/testdata/small/header.ape"), l.h.At, "Odd", "odd.ape")
	l.h.Run("wait")
	l.h.Run("unmount", l.h.At)
	l.h.Adopt(l.proxy.URL, l.h.Lose())
	l.h.Mount()

	l.do(chromedp.Func(func(ctx context.Context, s *chromedp.Target) error {
		_, err := cdp.Call(ctx, s, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: watch})
		return err
	}))
	l.visit(link(l.h, "--listen", "127.0.0.1:0"))
	l.gapless()
	l.mediaKeys()
	l.queues()
	l.inVain()
	l.fetches()
}

// shows waits until a track is the one that plays.
func (l *listener) shows(title string) {
	l.t.Helper()
	l.await(fmt.Sprintf("document.querySelector('#player [data-title]').innerText === %q", title))
}

// upNext is the queue.
func (l *listener) upNext() string {
	l.t.Helper()
	return value[string](l.browser, "[...document.querySelectorAll('#queue [data-jump]')].map(b => b.innerText.split(' · ')[0]).join(' ')")
}

func (l *listener) upNextIs(want string) {
	l.t.Helper()
	if got := l.upNext(); got != want {
		l.t.Errorf("the queue is %q, not %q", got, want)
	}
}

func (l *listener) says(part string) {
	l.t.Helper()
	l.await(fmt.Sprintf("document.querySelector('#player [data-say]').innerText.includes(%q)", part))
}

// gapless listens where a tone goes on in the next track.
func (l *listener) gapless() {
	l.await("fetch('/albums').then(r => r.text()).then(t => t.includes('The Oscillators') && t.split('class=\"card\"').length === 4)") // all tags are read
	l.follow("Albums")
	l.follow("Tones")
	l.browser.says("Tones")
	l.enter("[data-play-all]")
	l.await("sounding() && sounding().currentTime > .2")
	value[bool](l.browser, "record()")
	l.shows("Left")
	l.shows("Right")
	l.await("gap() !== null && sounding() && sounding().currentTime > 1")
	gap := value[float64](l.browser, "gap()") / 44.1
	l.t.Logf("from track to track: %.1f ms", gap)
	if math.Abs(gap) > 500 {
		l.t.Errorf("%.1f ms between two tracks", gap)
	}
	value[bool](l.browser, "void sounding().pause() || true")
}

// mediaKeys presses the keys that keyboards, headphones and locked screens have.
func (l *listener) mediaKeys() {
	b := l.browser
	want := "Right|The Oscillators|Tones|paused"
	if got := value[string](b, "(s => [s.metadata.title, s.metadata.artist, s.metadata.album, s.playbackState].join('|'))(navigator.mediaSession)"); got != want {
		l.t.Errorf("the system is told %q, not %q", got, want)
	}
	if n := value[int](b, "fetch(navigator.mediaSession.metadata.artwork[0].src).then(r => r.blob()).then(createImageBitmap).then(p => p.width)"); n != 128 {
		l.t.Errorf("the picture that the system is told of is %d wide", n)
	}
	key := func(name, details string) { value[bool](b, "void mediaKeys."+name+"("+details+") || true") }
	key("previoustrack", "") // from the first seconds of Right
	l.shows("Left")
	l.await("navigator.mediaSession.playbackState === 'playing' && sounding().currentTime > .2")
	key("pause", "")
	l.await("!sounding() && navigator.mediaSession.playbackState === 'paused'")
	key("seekto", "{seekTime: 1.5}")
	key("seekforward", "{seekOffset: .5}")
	key("seekbackward", "{seekOffset: .25}")
	l.await("elements.some(e => Math.abs(e.currentTime - 1.75) < .05)")
	key("play", "")
	l.await("sounding() && sounding().currentTime > 1.8")
	key("nexttrack", "")
	l.shows("Right")
	l.await("navigator.mediaSession.metadata.title === 'Right' && sounding()")
	key("stop", "")
	l.await("!sounding()")
}

// queues puts tracks into the queue and in another order, by keyboard, and finds it as it
// was when the page is loaded anew.
func (l *listener) queues() {
	b := l.browser
	l.enter("#player [data-do=queue]")
	l.upNextIs("Gone Lost Last")
	value[bool](b, "document.querySelectorAll('#queue [data-jump]')[2].focus() || true")
	move := func(key string) { l.do(chromedp.KeyEvent(key, chromedp.KeyModifiers(chromedp.ModifierAlt))) }
	move(kb.ArrowUp)
	l.upNextIs("Gone Last Lost")
	move(kb.ArrowUp)
	l.upNextIs("Last Gone Lost")
	if got := l.focus(); !strings.Contains(got, "Last") {
		l.t.Errorf("the focus is on %q, not on what was moved", got)
	}
	move(kb.ArrowUp) // as far as it goes
	l.says("number 1 of 3")
	move(kb.ArrowDown)
	l.upNextIs("Gone Last Lost")
	l.enter("#queue li:nth-child(2) [data-down]")
	l.upNextIs("Gone Lost Last")
	l.browser.look("queue-keys")

	l.goes("/tracks")
	add := func(title, how string) {
		l.await(fmt.Sprintf("[...document.querySelectorAll('main .row')].some(r => r.querySelector('.name').innerText === %q)", title))
		value[bool](b, fmt.Sprintf("[...document.querySelectorAll('main .row')].find(r => r.querySelector('.name').innerText === %q).querySelector('[data-%s]').click() || true", title, how))
	}
	add("Left", "add")
	l.says("at the end of the queue")
	add("odd", "next")
	l.says("comes next")
	l.upNextIs("odd Gone Lost Last Left")
	l.enter("#player [data-do=shuffle]")
	mixed := l.upNext()
	for i := 0; i < 20 && l.upNext() == mixed; i++ { // one order in 120 is that
		l.enter("#player [data-do=shuffle]")
		l.upNextIs("odd Gone Lost Last Left")
		l.enter("#player [data-do=shuffle]")
	}
	mixed = l.upNext()
	if mixed == "odd Gone Lost Last Left" || len(mixed) != len("odd Gone Lost Last Left") {
		l.t.Errorf("shuffled it is %q", mixed)
	}
	l.enter("#player [data-do=repeat]")
	l.do(chromedp.Reload())
	l.shows("Right")
	l.upNextIs(mixed)
	if got := value[string](b, "[...document.querySelectorAll('.ways [aria-pressed]')].map(b => b.innerText + ' ' + b.ariaPressed).join(', ')"); got != "Shuffle true, Repeat all true" {
		l.t.Errorf("loaded anew it has %q", got)
	}
	l.enter("#player [data-do=queue]")
	l.enter("#player [data-do=shuffle]")
	l.upNextIs("odd Gone Lost Last Left")
	l.enter("#queue li:last-child [data-drop]")
	l.upNextIs("odd Gone Lost Last")
	l.enter("#player [data-do=repeat]")
	l.says("This track is repeated.")
	l.enter("#player [data-do=toggle]")
	value[bool](b, "void mediaKeys.seekto({seekTime: 2.6}) || true")
	l.await("sounding() && sounding().currentTime > 2.6")
	l.await("sounding() && sounding().currentTime < 2")
	l.shows("Right")
	l.enter("#player [data-do=toggle]") // the next track is not to be made ready before it is gone
	l.await("!sounding()")
	l.enter("#player [data-do=repeat]")
}

// inVain plays on where tracks cannot be played: by the browser, as they are gone, and as
// the store lost their sound.
func (l *listener) inVain() {
	l.forgive = "404 (Not Found)"
	if err := os.Remove(filepath.Join(l.h.At, "Tones", "3.flac")); err != nil {
		l.t.Fatal(err)
	}
	value[int](l.browser, "fetch('/media/' + [...document.querySelectorAll('main .row')].find(r => r.querySelector('.name').innerText === 'Last').dataset.track).then(r => r.arrayBuffer()).then(b => b.byteLength)") // it is here
	l.lost.Store(true)
	value[bool](l.browser, "window.all = []; new MutationObserver(() => all.push(document.querySelector('#player [data-say]').innerText)).observe(document.querySelector('#player [data-say]'), {childList: true, subtree: true}) || true")
	value[bool](l.browser, "void mediaKeys.seekto({seekTime: 2.5}) || true")
	value[bool](l.browser, "void mediaKeys.play({}) || true")
	defer func() {
		if l.t.Failed() {
			l.t.Logf("it said %s", value[string](l.browser, "JSON.stringify(all)"))
		}
	}()
	l.await("all.some(t => t.includes('“odd” (APE)') && t.includes('Download it'))")
	l.await("all.some(t => t.includes('“Gone” is not in the library any more. It is left out.'))")
	l.await("all.some(t => t.includes('“Lost” cannot be had now.'))")
	l.shows("Last")
	l.await("sounding() && sounding().currentTime > 1")
	l.lost.Store(false)
	l.forgive = ""
}

// fetches seeks in a long track that is not here, and leaves: no more of it is fetched than
// is played and a little ahead of that.
func (l *listener) fetches() {
	l.goes("/tracks")
	l.proxy.Reset()
	sound := func() int64 { return l.proxy.Stats().Prefixes["audio/"].Down }
	const size = 150 * 4 * 44100
	value[bool](l.browser, "[...document.querySelectorAll('main .row')].find(r => r.querySelector('.name').innerText === 'a').querySelector('[data-play]').setAttribute('id', 'long') || true")
	l.proxy.Set(s3proxy.Faults{DownRate: 1 << 20}) // six times what it plays
	l.enter("#long")
	l.shows("a")
	l.await("sounding() && sounding().currentTime > .5")
	value[bool](l.browser, "void mediaKeys.seekto({seekTime: 140}) || true")
	l.await("sounding() && sounding().currentTime > 140.2")
	if n := sound(); n > size/2 {
		l.t.Errorf("a seek fetched %d of %d bytes", n, size)
	} else {
		l.t.Logf("a seek to the end fetched %d of %d bytes in %d requests", n, size, l.proxy.Stats().Prefixes["audio/"].Requests)
	}
	value[bool](l.browser, "void mediaKeys.seekto({seekTime: 60}) || true")
	l.await("sounding() && sounding().currentTime > 60.2")
	l.visit("about:blank")
	for end := time.Now().Add(patience); l.proxy.Stats().InFlight > 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			l.t.Fatal("somebody who left is fetched for")
		}
	}
	left := sound()
	if left > size*3/4 {
		l.t.Errorf("%d of %d bytes were fetched for somebody who left", left, size)
	}
	l.proxy.Set(s3proxy.Faults{})
	l.h.Run("status")
	if n := sound(); n != left {
		l.t.Errorf("%d bytes more were fetched after that", n-left)
	}
}
