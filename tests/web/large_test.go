package web

import (
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/tunesafe/tunesafe/internal/store/storetest/realserver"
	"github.com/tunesafe/tunesafe/tests/drive"
	"github.com/tunesafe/tunesafe/tests/tools"
)

// largeEnv names a folder in which BenchmarkLargeLibrary keeps its home for the next
// run: to make it takes minutes.
const largeEnv = "TUNESAFE_LARGE_HOME"

// mostElements bounds what a page of the largest library may have, however far
// somebody scrolls.
const mostElements = 10_000

// stopwatch tells the time from a doing until what it brings is seen: until the frame
// that shows it. Times are those of the browser.
const stopwatch = `(() => {
	const frame = () => new Promise(done => requestAnimationFrame(done));
	window.until = async (seen) => {
		for (let n = 0; !seen(); n++) {
			if (performance.now() > until.late) throw new Error("never: " + seen);
			await new Promise(done => setTimeout(done, 4)); // frame after frame would leave the page no time
		}
		await frame();
	};
	window.timed = async (begin, seen) => {
		const at = performance.now();
		until.late = at + 60000;
		begin();
		await until(seen);
		return performance.now() - at;
	};
	addEventListener("keydown", (e) => { window.struck = e.timeStamp; }, true);
	return true;
})()`

// toEnd goes through a list as somebody who scrolls, page by page, to its end or as
// many pages as that. It tells the time of each, and the most elements there were.
const toEnd = `(async (pages) => {
	const times = [];
	let most = 0, seen = 0;
	for (; times.length < pages; ) {
		most = Math.max(most, document.getElementsByTagName("*").length);
		const more = document.querySelector("main .more a");
		if (!more) break;
		const far = more.href;
		await new Promise(done => setTimeout(done, 100)); // nobody scrolls on before he sees that there is more
		times.push(await timed(() => more.hasAttribute("hx-get") ? more.scrollIntoView() : more.click(), () => !more.isConnected || more.href !== far));
	}
	return {times, most, last: document.querySelector("main").innerText.trim().split("\n").pop()};
})`

// walk is what toEnd tells.
type walk struct {
	Times []float64
	Most  int
	Last  string
}

// paint is the time from asking for a page until something of it is seen, and until
// all of its HTML is there, in milliseconds.
func (b *browser) paint(url string) (seen, there float64) {
	b.t.Helper()
	b.visit(url)
	b.await("performance.getEntriesByName('first-contentful-paint').length")
	return value[float64](b, "performance.getEntriesByName('first-contentful-paint')[0].startTime"),
		value[float64](b, "(e => e.responseEnd - e.requestStart)(performance.getEntriesByType('navigation')[0])")
}

// strike types letters, waits for what each finds, and tells how long each took.
func (b *browser) strike(text string) (times []float64) {
	b.t.Helper()
	value[bool](b, `(() => {
		window.found = 0;
		new MutationObserver(() => requestAnimationFrame(() => { window.found = performance.now() - window.struck; })).observe(document.querySelector("#results"), {childList: true});
		return true;
	})()`)
	for _, letter := range text {
		value[bool](b, "(window.found = 0) === 0")
		b.key(string(letter))
		b.await("window.found > 0")
		times = append(times, value[float64](b, "window.found"))
	}
	return times
}

// toEnd goes on with a list for so many pages, some at a time.
func (b *browser) toEnd(pages int) (all walk) {
	b.t.Helper()
	for len(all.Times) < pages {
		some := min(2, pages-len(all.Times))
		w := value[walk](b, fmt.Sprintf("%s(%d)", toEnd, some))
		all = walk{append(all.Times, w.Times...), max(all.Most, w.Most), w.Last}
		if len(w.Times) < some {
			break
		}
	}
	return all
}

// heap is the memory of the page's scripts, in MiB, as the browser tells it to them.
func (b *browser) heap() float64 {
	b.t.Helper()
	return value[float64](b, "performance.memory.usedJSHeapSize / (1 << 20)")
}

// openShelf backs a library up to a store on this machine, as somebody does who tries
// it out, and shows it. In a folder where that was done it is only shown.
func openShelf(t testing.TB, base string, s shelf) (link string) {
	t.Helper()
	s.dir = filepath.Join(base, "Music")
	_, err := os.Stat(s.dir)
	h := drive.NewIn(t, &realserver.Server{}, drive.Program(t), base)
	if err != nil {
		s.make(t)
		h.Run("init")
		began := time.Now()
		h.Run("backup", s.dir)
		t.Logf("the first backup of %d tracks took %v", s.tracks, time.Since(began).Round(time.Second))
	}
	link, _ = start(t, h, "--listen", "127.0.0.1:0")
	return link
}

// bare is a page of nothing but a heading, in a server that does nothing else: what
// the browser and this machine take for themselves.
func bare(t testing.TB) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, "<!doctype html><html lang=en><title>bare</title><h1>bare</h1>")
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return math.NaN()
	}
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

// BenchmarkLargeLibrary looks at a library of 100,000 tracks in a real browser, from
// a real backup in a real home, and prints how long people wait, beside a bare page.
func BenchmarkLargeLibrary(b *testing.B) {
	base := os.Getenv(largeEnv)
	if base == "" {
		base = b.TempDir()
	}
	at := openShelf(b, base, shelf{tracks: 100_000, album: 12, cover: 400, covers: 40, perRoom: 10})
	w := open(b)
	nothing := bare(b)
	for b.Loop() {
		w.measure(at, nothing)
	}
}

// measure prints the table.
func (b *browser) measure(at, nothing string) {
	var out strings.Builder
	table := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	unit := 0.0
	row := func(what string, v []float64) {
		if unit == 0 {
			unit = median(v)
		}
		fmt.Fprintf(table, "%s\t%.0f ms\t%.1f\tmost %.0f ms\n", what, median(v), median(v)/unit, slices.Max(v))
	}
	paints := func(what, url string) {
		var seen, there []float64
		for range 5 {
			s, t := b.paint(url)
			seen, there = append(seen, s), append(there, t)
		}
		row(what, seen)
		fmt.Fprintf(table, "\tof it the server, as the browser sees it\t%.0f ms\n", median(there))
	}
	paints("a bare page, first content", nothing)
	b.visit(at)
	b.await("document.querySelector('h1')")
	root := strings.TrimSuffix(value[string](b, "location.origin"), "/")
	b.visit(root + "/albums")
	b.await("document.querySelectorAll('.card').length > 50") // the catalog is made
	for _, p := range []string{"/albums", "/artists", "/tracks", "/search?q=love"} {
		paints(p+", first content", root+p)
	}
	for _, list := range []string{"/albums", "/tracks"} {
		b.visit(root + list)
		b.await("document.querySelector('main .more a')")
		value[bool](b, stopwatch)
		before, to := b.heap(), b.toEnd(16)
		row(fmt.Sprintf("%s, the next piece of %d", list, len(to.Times)), to.Times)
		fmt.Fprintf(table, "\tmost elements %d; memory of scripts %.1f MiB, then %.1f\n", to.Most, before, b.heap())
	}
	b.visit(root + "/search")
	b.await("document.activeElement.id === 'q'")
	value[bool](b, stopwatch)
	row("a keystroke until what it finds is seen, 120 ms of it waiting for the next", b.strike("golden city love"))

	b.visit(root + "/albums")
	b.await("document.querySelector('.card a')")
	value[bool](b, stopwatch)
	var album []float64
	for range 5 {
		album = append(album, value[float64](b, `timed(() => document.querySelector(".card a").click(), () => document.querySelector(".front"))`))
		value[float64](b, `timed(() => history.back(), () => document.querySelector(".card a"))`)
	}
	row("an album, opened from the wall", album)

	if err := table.Flush(); err != nil {
		b.t.Fatal(err)
	}
	fmt.Println(out.String()) // a benchmark keeps but some lines of what is logged
}

// TestLargeLibrary goes through a library in a real browser: the page stays small
// however far somebody scrolls, lists come to their end, a keystroke finds, an album
// opens, and a wall of albums is light.
func TestLargeLibrary(t *testing.T) {
	b := open(t)
	const albums = 380 // more than a page grows to
	at := openShelf(t, t.TempDir(), shelf{tracks: albums*3 - 1, album: 3, cover: 700, covers: 2, perRoom: 10})
	b.visit(at)
	b.await("document.querySelector('h1')")
	root := value[string](b, "location.origin")
	b.visit(root + "/albums")
	b.await("document.querySelectorAll('.card').length >= 60")
	b.wall()
	for list, most := range map[string]int{"/albums": 100, "/tracks": 2} {
		b.visit(root + list)
		b.await("document.querySelector('main .more a')")
		value[bool](b, stopwatch)
		w := b.toEnd(tools.Count(t, most, 100, 100))
		if t.Logf("%s: %d pages, the slowest of %.0f ms, %d elements", list, len(w.Times), slices.Max(w.Times), w.Most); w.Most > mostElements {
			t.Errorf("%s has %d elements", list, w.Most)
		}
		if list == "/albums" && (len(w.Times) != (albums-1)/60 || w.Last == "More albums") {
			t.Errorf("the wall ends after %d pages at %q", len(w.Times), w.Last)
		}
	}
	b.visit(root + "/search")
	b.await("document.activeElement.id === 'q'")
	value[bool](b, stopwatch)
	if n := len(b.strike("love")); n != 4 {
		t.Error(n)
	}
	b.await("document.querySelectorAll('#results .row').length === 75")
	b.goes("/albums")
	b.await("document.querySelector('.card a')")
	value[bool](b, "document.querySelector('.card a').click() || true")
	b.await("document.querySelectorAll('.front + .rows .row, .front ~ .rows .row').length === 3")
}

// mostWall bounds what the pictures of a wall of albums weigh, on a screen of one
// point a pixel: a second of a slow line.
const mostWall = 1 << 20

// wall scrolls over the first wall of albums and weighs its pictures, and those that
// were sent before there were small ones.
func (b *browser) wall() {
	b.t.Helper()
	value[bool](b, `(async () => {
		for (const img of document.querySelectorAll(".card:nth-child(-n+60) img")) {
			img.scrollIntoView();
			while (!img.complete || !img.naturalWidth) await new Promise(done => setTimeout(done, 10));
		}
		return true;
	})()`)
	weigh := `performance.getEntriesByType("resource").filter(e => e.name.includes("/art/")).map(e => e.encodedBodySize)`
	sizes := value[[]float64](b, weigh)
	whole := value[float64](b, `(async () => {
		let sum = 0;
		for (const img of document.querySelectorAll(".card:nth-child(-n+60) img")) sum += (await (await fetch(img.src.split("?")[0])).arrayBuffer()).byteLength;
		return sum;
	})()`)
	sum := 0.0
	for _, n := range sizes {
		sum += n
	}
	b.t.Logf("%d pictures of a wall weigh %.0f kB, as they are stored %.0f kB", len(sizes), sum/1000, whole/1000)
	if len(sizes) < 60 || sum > mostWall || sum > whole/3 {
		b.t.Errorf("%d pictures weigh %.0f bytes of %.0f", len(sizes), sum, whole)
	}
}
