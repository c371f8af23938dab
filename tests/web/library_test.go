package web

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/tunesafe/tunesafe/internal/store/storetest/realserver"
	"github.com/tunesafe/tunesafe/tests/drive"
	"github.com/tunesafe/tunesafe/tests/musiclib"
	"github.com/tunesafe/tunesafe/tests/tools"
)

// hostileText is what names and tags may hold; run by a browser it would be noticed.
const hostileText = `"><img src=x onerror="window.hacked=1"><script>window.hacked=1</script>`

// hostileArt is pictures that are none.
var hostileArt = []string{
	`<svg xmlns="http://www.w3.org/2000/svg"><script>window.hacked=1</script></svg>` + strings.Repeat(" ", 1100),
	"<!doctype html><script>window.hacked=1</script>" + strings.Repeat(" ", 1100),
	"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + strings.Repeat("broken", 300),
	"\x89PNG\r\n\x1a\n" + strings.Repeat("\xff", 1500),
}

// flac is a track of no sound that says such things.
func flac(title string, art string) []byte {
	var b bytes.Buffer
	block := func(kind byte, body []byte) {
		b.Write([]byte{kind, byte(len(body) >> 16), byte(len(body) >> 8), byte(len(body))})
		b.Write(body)
	}
	b.WriteString("fLaC")
	block(0, make([]byte, 34))
	comments := []string{"TITLE=" + title, "ARTIST=" + hostileText, "ALBUM=" + hostileText, "COMPOSER=" + hostileText}
	text := binary.LittleEndian.AppendUint32(nil, 0)
	text = binary.LittleEndian.AppendUint32(text, uint32(len(comments)))
	for _, c := range comments {
		text = append(binary.LittleEndian.AppendUint32(text, uint32(len(c))), c...)
	}
	block(4, text)
	picture := make([]byte, 32, 32+len(art))
	binary.BigEndian.PutUint32(picture[28:], uint32(len(art)))
	block(0x80|6, append(picture, art...))
	b.WriteString("\xff\xf8" + strings.Repeat("\x55", 20_000))
	return b.Bytes()
}

// hostileMusic writes tracks whose names, tags and pictures try what they can, a title of
// 4 MB among them.
func hostileMusic(t testing.TB, dir string) {
	t.Helper()
	write := func(name string, b []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for i, art := range hostileArt {
		write(fmt.Sprintf("%d %s.flac", i, strings.ReplaceAll(hostileText, "/", "\u2215")), flac(fmt.Sprint(i, hostileText), art))
	}
	write("novel.flac", flac(strings.Repeat(hostileText, 4<<20/len(hostileText)), ""))
	write("cover.jpg", []byte(hostileArt[0]))
}

// spy lets a test see the elements that play, and has them hurry.
const spy = `(() => {
	const play = HTMLMediaElement.prototype.play;
	window.played = [];
	HTMLMediaElement.prototype.play = function() { played.push(this); this.playbackRate = 4; this.muted = true; return play.call(this); };
	window.sounds = () => played.at(-1);
	window.stays = true;
	return true;
})()`

// TestLibrary browses, searches and plays as a person does, in a library of which a part
// means harm.
func TestLibrary(t *testing.T) {
	b := open(t)
	tools.Need(t, musiclib.Tools...)
	s := realserver.StartEmbedded(t)
	h := drive.New(t, s)
	h.Init(s.Endpoint)
	music := filepath.Join(t.TempDir(), "Music")
	o, err := musiclib.Preset("sample")
	if err != nil {
		t.Fatal(err)
	}
	made, err := musiclib.Make(t.Context(), music, o)
	if err != nil {
		t.Fatal(err)
	}
	odd := filepath.Join(music, "odd")
	if err := os.Mkdir(odd, 0o755); err != nil {
		t.Fatal(err)
	}
	hostileMusic(t, odd)
	ape, err := os.ReadFile("../../internal/split/testdata/small/header.ape")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(odd, "zz.ape"), ape, 0o644); err != nil {
		t.Fatal(err)
	}
	h.Run("backup", music)
	at, _ := start(t, h, "--listen", "127.0.0.1:0")
	b.visit(at)
	b.says("Everything is safe.")

	b.follow("Albums")
	b.says("Albums")
	value[bool](b, spy)
	b.await("document.querySelectorAll('.card').length >= 4")
	b.await("document.querySelectorAll('.cover img.broken, .cover img:not([complete])').length >= 1")
	b.look("albums")
	b.harmless()
	b.searches()
	b.plays(made)
	b.keys()
	b.refuses(ape)
	for _, page := range []string{"/artists", "/tracks", "/composers", "/search?q=window.hacked"} {
		b.goes(page)
		if name, query, _ := strings.Cut(page[1:], "?"); name == "composers" || query != "" {
			b.glance(name + strings.NewReplacer("=", "-", ".", "-").Replace(query))
		} else {
			b.look(name)
		}
		b.harmless()
	}
}

// glance looks at a page that is made as others are, where pictures are wanted.
func (b *browser) glance(name string) {
	b.t.Helper()
	if os.Getenv(shotsEnv) != "" {
		b.look(name)
	}
}

// follow clicks a link of the page by its words.
func (b *browser) follow(words string) {
	b.t.Helper()
	find := fmt.Sprintf("[...document.querySelectorAll('a')].find(a => a.innerText.trim() === %q)", words)
	b.await(find)
	value[bool](b, find+".click() || true")
}

// goes opens a page in the way a link of the page does.
func (b *browser) goes(path string) {
	b.t.Helper()
	value[bool](b, fmt.Sprintf("(() => { const a = document.createElement('a'); a.href = %q; const main = document.querySelector('main'); main.dataset.left = ''; main.append(a); htmx.process(a); a.click(); return true })()", path))
	b.await(fmt.Sprintf("location.pathname + location.search === %q && !document.querySelector('main[data-left]')", path))
}

// harmless tells whether nothing of what tags hold ran, and titles of megabytes fit.
func (b *browser) harmless() {
	b.t.Helper()
	if value[bool](b, "Boolean(window.hacked)") {
		b.t.Fatal("a tag was run")
	}
}

// searches finds a track by the letters that a keyboard has, as they are typed.
func (b *browser) searches() {
	b.t.Helper()
	b.key("/")
	b.await("location.pathname === '/search' && document.activeElement.id === 'q'")
	b.glance("search-empty")
	b.do(chromedp.SendKeys("#q", "etude mo"))
	b.await("[...document.querySelectorAll('#results .row .name')].some(a => a.innerText === 'Étude Moon Elegy')")
	b.await("location.search === '?q=etude+mo' || location.search === '?q=etude%20mo'")
	if !value[bool](b, "window.stays") {
		b.t.Error("the page was loaded again for a search")
	}
	b.look("search")
	b.do(chromedp.SendKeys("#q", " qqq"))
	b.await("document.querySelector('#results').innerText.includes('Nothing is called so.')")
	b.glance("search-nothing")
}

// enter presses a button with the keyboard, as sound needs somebody's doing.
func (b *browser) enter(selector string) {
	b.t.Helper()
	b.await(fmt.Sprintf("document.querySelector(%q)", selector))
	value[bool](b, fmt.Sprintf("document.querySelector(%q).focus() || true", selector))
	b.key(kb.Enter)
}

// plays plays ten seconds of each kind, seeks, and goes on to the next track by itself.
func (b *browser) plays(made musiclib.Summary) {
	b.t.Helper()
	for _, kind := range []musiclib.Kind{musiclib.MP3, musiclib.FLAC, musiclib.M4AFront} {
		var title string
		for _, t := range made.Tracks {
			if t.Kind == kind && title == "" {
				title = t.Title
			}
		}
		b.goes("/tracks")
		row := fmt.Sprintf("[...document.querySelectorAll('.row')].find(r => r.querySelector('.name').innerText === %q)", title)
		b.await(row)
		value[bool](b, row+".setAttribute('id', 'this') || true")
		b.enter("#this [data-play]")
		b.await(fmt.Sprintf("document.querySelector('#player [data-title]').innerText === %q", title))
		if kind == musiclib.MP3 { // and goes on while pages come and go
			b.follow("Artists")
			b.says("Artists")
			b.follow("Albums")
			b.says("Albums")
		}
		b.await("sounds() && sounds().currentTime >= 10")
		if n := value[float64](b, "sounds().buffered.length && sounds().buffered.end(0)"); n < 10 {
			b.t.Errorf("%s: %f s are there", kind, n)
		}
	}
	if !value[bool](b, "window.stays") {
		b.t.Error("the page was loaded again meanwhile")
	}
	b.follow("What's 50% Harbour")
	b.says("What's 50% Harbour")
	b.look("track")
	b.follow("Moon Garden No. 1")
	b.says("Moon Garden No. 1")
	b.glance("album")
	b.enter("[data-play-all]")
	b.await("sounds().currentTime > 1 && sounds().duration > 60")
	// Shortly before the end the next is loaded, and then it plays.
	value[bool](b, "(() => { const bar = document.querySelector('[data-seek]'); bar.value = bar.max - 8; bar.dispatchEvent(new Event('input', {bubbles: true})); return true })()")
	b.await("sounds().currentTime > 50 && !sounds().seeking")
	second := value[string](b, "document.querySelectorAll('.row')[1].dataset.track")
	b.await(fmt.Sprintf("performance.getEntriesByType('resource').some(e => e.name.endsWith('/media/%s'))", second))
	if now := value[string](b, "document.getElementById('player').dataset.playing"); now == second {
		b.t.Error("the next track was not loaded before it played")
	}
	b.await(fmt.Sprintf("document.getElementById('player').dataset.playing === %q", second))
	b.await("sounds().currentTime > 1")
	b.enter("#player [data-do=queue]")
	b.await("document.querySelectorAll('#queue li').length === 2")
	b.look("queue")
	b.enter("#player [data-do=queue]")
}

// keys plays, seeks and pauses by keyboard, and leaves fields alone.
func (b *browser) keys() {
	b.t.Helper()
	value[bool](b, "document.activeElement.blur() || true")
	b.key("k")
	b.await("sounds().paused")
	at := value[float64](b, "sounds().currentTime")
	b.key("l")
	b.await(fmt.Sprintf("sounds().currentTime > %f", at+9))
	b.key(kb.ArrowLeft)
	b.await(fmt.Sprintf("sounds().currentTime < %f", at+6))
	b.key(" ")
	b.await("!sounds().paused")
	b.key("/")
	b.await("location.pathname === '/search' && document.activeElement.id === 'q'")
	b.key(" ")
	b.key("k")
	b.await("document.activeElement.value.endsWith(' k')")
	if value[bool](b, "sounds().paused") {
		b.t.Error("typing pauses")
	}
}

// refuses says what the browser cannot play, and gives it to be saved as it is.
func (b *browser) refuses(ape []byte) {
	b.t.Helper()
	b.goes("/search?q=zz")
	b.await("document.querySelector('.row.cannot')")
	b.enter(".row.cannot [data-play]")
	b.await("document.querySelector('#player [data-say]').innerText.includes('cannot play')")
	got := value[[]int](b, "fetch(document.querySelector('#player [data-say] a').href).then(r => r.arrayBuffer()).then(a => [...new Uint8Array(a)])")
	if len(got) != len(ape) {
		b.t.Fatalf("%d bytes are saved of %d", len(got), len(ape))
	}
	for i, c := range got {
		if byte(c) != ape[i] {
			b.t.Fatalf("byte %d differs", i)
		}
	}
}
