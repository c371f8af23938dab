package web

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/internal/catalog"
	"github.com/tunesafe/tunesafe/internal/control"
	"github.com/tunesafe/tunesafe/internal/label"
)

// testLibrary has tracks whose bytes and pictures are in memory.
type testLibrary struct {
	*catalog.Catalog
	media, art map[uint64][]byte
	notReady   bool
}

func (l *testLibrary) Read(_ context.Context, fn func(*catalog.Catalog)) error {
	if l.notReady {
		return ErrNotReady
	}
	fn(l.Catalog)
	return nil
}

func (l *testLibrary) Facts(context.Context, uint64) (Facts, error) {
	return Facts{State: "safe", Safe: true, Size: 10}, nil
}

type inMemory struct{ *bytes.Reader }

func (inMemory) Close() error { return nil }

func (l *testLibrary) Open(_ context.Context, inode uint64) (Content, error) {
	b, ok := l.media[inode]
	if !ok {
		return Content{}, ErrNotThere
	}
	return Content{ReadSeekCloser: inMemory{bytes.NewReader(b)}, Tag: "t", Mtime: time.Unix(1e9, 0)}, nil
}

func (l *testLibrary) Picture(_ context.Context, inode uint64) (Picture, error) {
	b, ok := l.art[inode]
	if !ok {
		return Picture{}, ErrNotThere
	}
	return Picture{Tag: fmt.Sprint("p", inode), Bytes: func() ([]byte, error) { return b, nil }}, nil
}

func (o *testOwner) History(_ context.Context, r control.HistoryRequest, _ func(control.PastProgress)) (control.HistoryReport, error) {
	return control.HistoryReport{Versions: []control.HistoryVersion{{Path: r.Path, Changes: []string{hostile}}}}, nil
}

// hostile is what names and tags may hold.
const hostile = `"><script>alert(1)</script><img src=x onerror=alert(1)>'` + "`{{.}}\u202e\x00"

const (
	jpeg = "\xff\xd8\xff\xe0\x00\x10JFIF\x00"
	svg  = `<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>`
)

// hostileLibrary is one whose tags and names are HTML, of a track and 200 more.
func hostileLibrary() *testLibrary {
	l := &testLibrary{Catalog: catalog.New(), media: map[uint64][]byte{7: []byte("0123456789")},
		art: map[uint64][]byte{7: []byte(jpeg + "art"), 8: []byte(svg), 9: []byte("<!doctype html><script>alert(1)</script>"), 10: nil}}
	l.Folder(1, 0, "")
	novel := strings.Repeat("long ", 200)
	for i := range uint64(200) {
		l.Put(7+i, label.Label{Format: "MP3", Title: hostile + novel, Artist: hostile + novel, Album: hostile, Composer: hostile,
			Track: int(i), Art: 10, Year: 1999, Seconds: 10}, false)
		l.Place(7+i, 1, fmt.Sprint(hostile, i, ".mp3"))
	}
	l.Settle()
	return l
}

// in is a browser that was let in.
func in(t *testing.T, l Library) *browser {
	t.Helper()
	s, _ := serve(t, Options{Library: l})
	return enter(t, s)
}

// libraryPages are all pages of the library.
func libraryPages(l *testLibrary) []string {
	albums, _ := l.Albums(catalog.ByArtist, 0, 1)
	people, _ := l.People(catalog.Artist, 0, 1)
	return []string{"/albums", "/albums?by=title&from=0", "/albums/" + albums[0].ID, "/artists", "/artists/" + people[0].ID, "/composers",
		"/tracks", "/tracks?from=100", "/tracks/7", "/tracks/7/history", "/search", "/search?q=script", "/search?q=%22%3E%3Cscript%3Ealert(1)%3C/script%3E"}
}

// TestHostileLibrary shows names and tags full of HTML as text, on pages that stay small.
func TestHostileLibrary(t *testing.T) {
	l := hostileLibrary()
	b := in(t, l)
	for _, path := range libraryPages(l) {
		resp := b.get(path)
		body := resp.text
		if resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", path, resp.Status)
		}
		if strings.Contains(body, "<script>alert") || strings.Contains(body, "<img src=x") {
			t.Errorf("%s shows HTML of a tag as such", path)
		}
		if strings.Contains(path, "/7") && !strings.Contains(body, "&lt;script&gt;alert(1)") {
			t.Errorf("%s shows nothing of the tag", path)
		}
		if n := len(body); n > 200<<10 {
			t.Errorf("%s has %d bytes", path, n)
		}
	}
	for _, path := range []string{"/albums/gone", "/artists/gone"} {
		if resp := b.get(path); resp.StatusCode != http.StatusNotFound || !strings.Contains(resp.text, "its tags were changed") {
			t.Errorf("%s: %s: %s", path, resp.Status, resp.text)
		}
	}
	resp := b.get("/media/7?download")
	if d := resp.Header.Get("Content-Disposition"); !strings.HasPrefix(d, "attachment") || strings.ContainsAny(d, "\r\n") {
		t.Errorf("%q", d)
	}
}

// TestArt serves what a browser draws, and nothing that runs.
func TestArt(t *testing.T) {
	b := in(t, hostileLibrary())
	resp := b.get("/art/7")
	if resp.StatusCode != http.StatusOK || resp.text != jpeg+"art" || resp.Header.Get("Content-Type") != "image/jpeg" || resp.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Error(resp.Status, resp.Header)
	}
	if resp = b.get("/art/7", "If-None-Match", resp.Header.Get("Etag")); resp.StatusCode != http.StatusNotModified || resp.text != "" {
		t.Error(resp.Status)
	}
	for _, path := range []string{"/art/8", "/art/9", "/art/10", "/art/11", "/art/x", "/art/-1"} {
		if resp := b.get(path); resp.StatusCode != http.StatusNoContent || resp.text != "" {
			t.Errorf("%s: %s, %q", path, resp.Status, resp.text)
		}
	}
}

// TestMedia serves ranges of tracks, and of nothing else.
func TestMedia(t *testing.T) {
	l := hostileLibrary()
	b := in(t, l)
	resp := b.get("/media/7", "Range", "bytes=3-5")
	if resp.StatusCode != http.StatusPartialContent || resp.text != "345" || resp.Header.Get("Content-Type") != "audio/mpeg" || resp.Header.Get("Content-Range") != "bytes 3-5/10" {
		t.Error(resp.Status, resp.text, resp.Header)
	}
	if resp := b.get("/media/7", "Range", "bytes=20-"); resp.StatusCode != http.StatusRequestedRangeNotSatisfiable {
		t.Error(resp.Status)
	}
	for _, path := range []string{"/media/8", "/media/1", "/media/99999", "/media/..%2f..%2fetc%2fpasswd", "/media/0", "/media/-7"} {
		if resp := b.get(path); resp.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s", path, resp.Status)
		}
	}
	stranger := open(t, b.s)
	for _, path := range append(libraryPages(l), "/media/7", "/art/7") {
		if resp := stranger.get(path); resp.StatusCode == http.StatusOK || strings.Contains(resp.text, "0123") {
			t.Errorf("%s is open to everybody: %s", path, resp.Status)
		}
	}
}

// TestPieces gives scripts the piece of a page that they ask for, up to its end.
func TestPieces(t *testing.T) {
	b := in(t, hostileLibrary())
	seen, pages := 0, 0
	for path := "/tracks"; path != ""; pages++ {
		body := b.get(path, "Hx-Request-Type", "partial").text
		if strings.Contains(body, "<html") {
			t.Fatal(path, "is a whole page")
		}
		seen += strings.Count(body, "data-track=")
		_, path, _ = strings.Cut(body, `hx-get="`)
		path, _, _ = strings.Cut(path, `"`)
	}
	if seen != 200 || pages != 3 {
		t.Errorf("%d tracks in %d pieces", seen, pages)
	}
	for _, path := range []string{"/tracks?from=-5", "/tracks?from=1000000", "/albums?from=99999999999999999999", "/artists?from=x"} {
		if resp := b.get(path); resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", path, resp.Status)
		}
	}
}

func TestNotReady(t *testing.T) {
	l := hostileLibrary()
	l.notReady = true
	b := in(t, l)
	resp := b.get("/albums?by=title")
	if resp.StatusCode != http.StatusOK || !strings.Contains(resp.text, `<noscript><meta http-equiv="refresh"`) || !strings.Contains(resp.text, `hx-get="/albums?by=title"`) {
		t.Error(resp.Status, resp.Header)
	}
}

// TestPageWeight adds up what a browser loads to show a page, without pictures.
func TestPageWeight(t *testing.T) {
	b := in(t, hostileLibrary())
	page := b.get("/tracks").text
	whole := len(page)
	for _, attr := range []string{`src="/static/`, `href="/static/`} {
		for _, rest := range strings.Split(page, attr)[1:] {
			path, _, _ := strings.Cut(rest, `"`)
			whole += len(b.get("/static/" + path).text)
		}
	}
	if t.Logf("%d bytes, of them %d of HTML", whole, len(page)); whole > 200_000 {
		t.Errorf("the page weighs %d bytes", whole)
	}
}

// BenchmarkPages answers pages of a library of 100,000 tracks, beside a handler that
// does nothing.
func BenchmarkPages(b *testing.B) {
	l := &testLibrary{Catalog: catalog.New()}
	l.Folder(1, 0, "")
	for i := range uint64(100_000) {
		l.Put(7+i, label.Label{Format: "MP3", Title: fmt.Sprint("Title of a song ", i), Artist: fmt.Sprint("Artist ", i/120), Album: fmt.Sprint("Album ", i/12),
			Composer: fmt.Sprint("Composer ", i/500), Track: int(i % 12), Art: 10, Year: 1999, Seconds: 10}, false)
		l.Place(7+i, 1, fmt.Sprint(i, ".mp3"))
	}
	l.Settle()
	s, err := New(Options{Owner: &testOwner{}, Library: l}, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1})
	if err != nil {
		b.Fatal(err)
	}
	e := s.sessions.begin(time.Now())
	answer := func(h http.Handler, path string) {
		r := httptest.NewRequest(http.MethodGet, "http://127.0.0.1:1"+path, nil)
		r.AddCookie(&http.Cookie{Name: s.cookieName(), Value: e.id})
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, r); w.Code != http.StatusOK {
			b.Fatal(path, w.Code)
		}
	}
	b.Run("bare", func(b *testing.B) {
		bare := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, 50_000)) })
		for b.Loop() {
			answer(bare, "/")
		}
	})
	for _, path := range append(slices.DeleteFunc(libraryPages(l), func(p string) bool { return strings.Contains(p, "script") }), "/search?q=so", "/search?q=e") {
		b.Run(strings.Trim(path, "/"), func(b *testing.B) {
			for b.Loop() {
				answer(s.http.Handler, path)
			}
		})
	}
}
