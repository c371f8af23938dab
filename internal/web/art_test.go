package web

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	stdjpeg "image/jpeg"
	"image/png"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/tunesafe/tunesafe/internal/catalog"
	"github.com/tunesafe/tunesafe/internal/label"
	"github.com/tunesafe/tunesafe/internal/thumbnail"
)

// grainy is a picture that takes many bytes.
func grainy(t testing.TB, side int) []byte {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, side, side))
	for i := range img.Pix {
		img.Pix[i] = byte(i * i >> 9)
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// bomb says to be a picture of ten gigapixels.
func bomb() []byte {
	b := []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR\x00\x01\x86\xa0\x00\x01\x86\xa0\x08\x06\x00\x00\x00")
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[12:]))
}

// TestThumbnails serves pictures in the widths there are, as long as they are the
// same, and what cannot be made small as it is, but no bomb.
func TestThumbnails(t *testing.T) {
	l := hostileLibrary()
	whole := grainy(t, 700)
	l.art[7], l.art[8], l.art[9], l.art[10] = whole, []byte(jpeg+"broken"), bomb(), []byte(svg)
	s, _ := serve(t, Options{Library: l, Thumbnails: thumbnail.New(t.TempDir(), 1<<20)})
	b := enter(t, s)
	tags := map[string]bool{}
	for _, width := range []int{160, 320, 640} {
		resp := b.get(fmt.Sprintf("/art/7?w=%d", width))
		img, err := stdjpeg.Decode(strings.NewReader(resp.text))
		if err != nil {
			t.Fatal(err)
		}
		if r := img.Bounds(); r.Dx() != width || img.At(5, 5) == (color.YCbCr{}) {
			t.Errorf("%d is %v", width, r)
		}
		tag := resp.Header.Get("Etag")
		if got := resp.Header.Get("Cache-Control"); tags[tag] || got != "private, no-cache" {
			t.Error(tag, got)
		}
		tags[tag] = true
		b.want(b.get(fmt.Sprintf("/art/7?w=%d", width), "If-None-Match", tag), http.StatusNotModified, "the same again")
	}
	if got := b.get("/art/7?w=320&v=p7").Header.Get("Cache-Control"); !strings.Contains(got, "immutable") {
		t.Error("the picture that was asked for is not kept:", got)
	}
	if got := b.get("/art/7?w=320&v=p6").Header.Get("Cache-Control"); strings.Contains(got, "immutable") {
		t.Error("another picture is kept as the one that was asked for")
	}
	for _, path := range []string{"/art/7", "/art/7?w=321", "/art/7?w=-1", "/art/7?w=1e9"} {
		if resp := b.get(path); resp.text != string(whole) {
			t.Errorf("%s has %d bytes", path, len(resp.text))
		}
	}
	if resp := b.get("/art/8?w=320"); resp.text != jpeg+"broken" {
		t.Error(resp.Status, resp.text)
	}
	for _, path := range []string{"/art/9?w=320", "/art/10?w=320", "/art/11?w=320"} {
		b.want(b.get(path), http.StatusNoContent, path)
	}
	// The pages ask for what there is.
	album, _ := l.Albums(catalog.ByArtist, 0, 1)
	for _, path := range []string{"/albums", "/albums/" + album[0].ID, "/tracks/7", "/search?q=script"} {
		found := regexp.MustCompile(`<img src="(/art/[^"]+)" srcset="([^"]+)"`).FindStringSubmatch(b.get(path).text)
		if found == nil {
			t.Fatal("no picture on", path)
		}
		for _, at := range append(strings.Split(found[2], ", "), found[1]) {
			at, _, _ = strings.Cut(strings.ReplaceAll(at, "&amp;", "&"), " ")
			if got := b.get(at).Header.Get("Cache-Control"); !strings.Contains(got, "immutable") {
				t.Errorf("%s asks for %s: %s", path, at, got)
			}
		}
	}
}

// longLibrary has so many albums of a track each.
func longLibrary(n int) *testLibrary {
	l := &testLibrary{Catalog: catalog.New()}
	l.Folder(1, 0, "")
	for i := range uint64(n) {
		l.Put(7+i, label.Label{Format: "MP3", Title: fmt.Sprint("Song ", i), Artist: fmt.Sprintf("%c Artist %d", 'A'+i%26, i), Album: fmt.Sprintf("%c Album %d", 'A'+i%26, i)}, false)
		l.Place(7+i, 1, fmt.Sprint(i, ".mp3"))
	}
	l.Settle()
	return l
}

// TestLongLists grows a page by some pieces, then leads to the next page, to the end,
// and back again.
func TestLongLists(t *testing.T) {
	const n = 1234
	b := in(t, longLibrary(n))
	attr := func(body, name string) string {
		_, rest, _ := strings.Cut(body, name+`="`)
		at, _, _ := strings.Cut(rest, `"`)
		return strings.ReplaceAll(at, "&amp;", "&")
	}
	for path, item := range map[string]string{"/albums?by=title": `class="card"`, "/tracks": "data-track=", "/artists": `href="/artists/`, "/search?q=song": `class="row"`} {
		seen, pages, last := 0, 0, ""
		for at := path; at != ""; pages++ {
			body := b.get(at).text
			last = at
			in := 0
			for pieces := 0; ; pieces++ {
				_, list, _ := strings.Cut(body, `<main`) // a piece has no other
				if list == "" {
					list = body
				}
				in += strings.Count(list, item) - strings.Count(list, `href="/artists/">`)
				_, more, _ := strings.Cut(list, `<li class="more">`)
				if at = attr(more, "href"); !strings.Contains(more, "hx-get") {
					break
				}
				if pieces == grown {
					t.Fatalf("%s grows for ever", path)
				}
				body = b.get(attr(more, "hx-get"), "Hx-Request-Type", "partial").text
			}
			seen += in
		}
		if want := n; path != "/albums?by=title" && seen != want || seen < want { // its cards have a link to the artist, too
			t.Errorf("%s shows %d of %d in %d pages", path, seen, want, pages)
		}
		if pages < 3 {
			t.Errorf("%s has %d pages", path, pages)
		}
		_, back, _ := strings.Cut(b.get(last).text, `class="earlier"`)
		if at := attr(back, "href"); at == "" || b.get(at).StatusCode != http.StatusOK {
			t.Errorf("%s leads back to %q", last, at)
		}
	}
	body := b.get("/albums?by=title").text
	_, rest, _ := strings.Cut(body, `aria-label="Letters"`)
	_, rest, _ = strings.Cut(rest, `">Z<`)
	if rest == "" {
		t.Fatal("no Z among the letters")
	}
	before, _, _ := strings.Cut(body, `">Z<`)
	at := before[strings.LastIndex(before, `"`)+1:]
	if got := b.get(strings.ReplaceAll(at, "&amp;", "&")).text; !strings.Contains(got, "Z Album 25<") || strings.Contains(got, "Y Album") {
		t.Errorf("Z leads to %s", at)
	}
}
