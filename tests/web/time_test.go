package web

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"html"
	"image"
	"image/color"
	"image/png"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/internal/store/storetest/realserver"
	"github.com/tunesafe/tunesafe/tests/drive"
	"github.com/tunesafe/tunesafe/tests/tools"
)

// visitor is a client that came in by the link.
type visitor struct {
	t    *testing.T
	http http.Client
	at   string // of the page
}

func visit(t *testing.T, link string) *visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	v := &visitor{t: t, http: http.Client{Jar: jar, Timeout: patience}}
	v.at, _, _ = strings.Cut(link, "/login")
	v.get(link, http.StatusOK)
	return v
}

func (v *visitor) do(r *http.Request, status int) ([]byte, *http.Response) {
	v.t.Helper()
	r.Header.Set("Accept", "text/html")
	got, err := v.http.Do(r)
	if err != nil {
		v.t.Fatal(err)
	}
	defer got.Body.Close()
	b, err := io.ReadAll(got.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	if got.StatusCode != status {
		v.t.Fatalf("%s %s: %s: %.2000s", r.Method, r.URL, got.Status, b)
	}
	return b, got
}

// get asks for an address as it stands in a page.
func (v *visitor) get(at string, status int, header ...string) ([]byte, *http.Response) {
	v.t.Helper()
	if strings.HasPrefix(at, "/") {
		at = v.at + at
	}
	r, err := http.NewRequestWithContext(v.t.Context(), http.MethodGet, at, nil)
	if err != nil {
		v.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return v.do(r, status)
}

// page is the text of a page, which has to say all of these.
func (v *visitor) page(at string, says ...string) string {
	v.t.Helper()
	b, _ := v.get(at, http.StatusOK)
	text := string(b)
	for _, s := range says {
		if !strings.Contains(text, html.EscapeString(s)) && !strings.Contains(text, s) {
			v.t.Errorf("%s does not say %q:\n%s", at, s, text)
		}
	}
	return text
}

var csrfPattern = regexp.MustCompile(`name="csrf" value="([^"]+)"`)

// send fills in the form of a page, with the fields that it hides.
func (v *visitor) send(at string, status int, fields url.Values) string {
	v.t.Helper()
	page := v.page(at)
	if fields.Get("csrf") == "" {
		if m := csrfPattern.FindStringSubmatch(page); m != nil {
			fields.Set("csrf", m[1])
		}
	}
	if m := regexp.MustCompile(`name="seen" value="([^"]+)"`).FindStringSubmatch(page); m != nil && !fields.Has("seen") {
		fields.Set("seen", m[1])
	}
	r, err := http.NewRequestWithContext(v.t.Context(), http.MethodPost, v.at+at, strings.NewReader(fields.Encode()))
	if err != nil {
		v.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	b, _ := v.do(r, status)
	return string(b)
}

// link finds the address that a page has by a pattern.
func (v *visitor) link(page, pattern string) string {
	v.t.Helper()
	m := regexp.MustCompile(pattern).FindStringSubmatch(page)
	if m == nil {
		v.t.Fatalf("no %s in:\n%s", pattern, page)
	}
	return html.UnescapeString(m[1])
}

// cover is a picture in shades of a colour.
func cover(c color.NRGBA) []byte {
	img := image.NewNRGBA(image.Rect(0, 0, 128, 128))
	noise := rand.New(rand.NewPCG(uint64(c.R), uint64(c.B)))
	for i := range 128 * 128 {
		c.G = uint8(noise.IntN(80))
		img.Set(i%128, i/128, c)
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// mp3 is a track of silence with tags and a picture.
func mp3(title, artist string, picture []byte) []byte {
	frame := func(id, text string) []byte {
		b := append([]byte(id), binary.BigEndian.AppendUint32(nil, uint32(len(text)))...)
		return append(append(b, 0, 0), text...)
	}
	body := append(frame("TIT2", "\x03"+title), frame("TPE1", "\x03"+artist)...)
	body = append(body, frame("TALB", "\x03Kuolema")...)
	body = append(body, frame("APIC", "\x00image/png\x00\x03\x00"+string(picture))...)
	n := len(body)
	b := append([]byte("ID3\x03\x00\x00"), byte(n>>21&127), byte(n>>14&127), byte(n>>7&127), byte(n&127))
	b = append(b, body...)
	sound := make([]byte, 417) // MPEG-1 layer 3, 128 kbit/s, 44.1 kHz
	copy(sound, "\xff\xfb\x90\x00")
	for i := range 300 {
		sound[100] = byte(i)
		b = append(b, sound...)
	}
	return b
}

func put(t *testing.T, b []byte, name ...string) {
	t.Helper()
	at := filepath.Join(name...)
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(at, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

// moment is the name of the newest snapshot; the next is of another second.
func moment(t *testing.T, h *drive.Home) string {
	t.Helper()
	h.Run("wait")
	lines := strings.Fields(strings.TrimSpace(h.Run("snapshots")))
	var last string
	for _, f := range lines {
		if _, err := time.Parse("2006-01-02T150405Z", f); err == nil && f > last {
			last = f
		}
	}
	if last == "" {
		t.Fatalf("no snapshots: %q", lines)
	}
	for time.Now().UTC().Format("2006-01-02T150405Z") <= last {
		time.Sleep(20 * time.Millisecond)
	}
	return last
}

// TestTime goes back in time by the page, without a browser: the calendar, what a moment
// changed in words and pictures, what was, played and as a ZIP that is broken off and
// goes on, undo, and restore to a folder; and what each refuses.
func TestTime(t *testing.T) {
	w := travel(t)
	w.visitor = visit(t, link(w.h, "--listen", "127.0.0.1:0"))
	w.looks()
	w.archives()
	w.backFromAlbum()
	w.restores()
	w.undoes()
	w.goesOn()
	w.readOnly()
}

// goesOn takes the rest of a ZIP from a process that was begun after the first part was had.
func (w *then) goesOn() {
	at := "/zip/" + w.first + albumPath
	whole, r := w.get(at, http.StatusOK)
	w.h.Run("unmount", w.h.At)
	if n := len(read(w.t, w.h.Dir, "cache", "zip.sums")); n == 0 {
		w.t.Error("no sums outlive the process")
	}
	w.h.Mount()
	v := visit(w.t, link(w.h, "--listen", "127.0.0.1:0"))
	rest, again := v.get(at, http.StatusPartialContent, "Range", fmt.Sprintf("bytes=%d-", len(whole)/2))
	if !bytes.Equal(rest, whole[len(whole)/2:]) || again.Header.Get("Etag") != r.Header.Get("Etag") {
		w.t.Errorf("the rest is of another ZIP: %v", again.Header)
	}
}

// travel is a drive with an album that was changed since.
func travel(t *testing.T) *then {
	t.Helper()
	drive.NeedFUSE(t)
	s := realserver.StartEmbedded(t)
	h := drive.New(t, s)
	h.Init(s.Endpoint)
	h.Mount("--settle", "50ms")
	w := &then{h: h, red: cover(color.NRGBA{200, 0, 0, 255}), blue: cover(color.NRGBA{0, 0, 200, 255})}
	w.album, w.old = filepath.Join(h.At, "Sibelius", "Kuolema <b>&"), filepath.Join(t.TempDir(), "old")
	put(t, mp3("Valse triste", "Sibelius, Jean", w.red), w.album, "01 Valse triste.mp3")
	put(t, mp3("Canzonetta", "Sibelius, Jean", w.red), w.album, "02 con.mp3")
	put(t, []byte("liner notes"), w.album, "con.txt")
	put(t, []byte("odd"), h.At, "odd", "<script>alert(1)<\\script>\xff..txt")
	if err := os.Symlink("/etc/passwd", filepath.Join(h.At, "odd", "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(w.old, os.DirFS(w.album)); err != nil {
		t.Fatal(err)
	}
	w.first = moment(t, h)
	put(t, mp3("Valse triste", "Sibelius", w.blue), w.album, "01 Valse triste.mp3")
	if err := os.Remove(filepath.Join(w.album, "02 con.mp3")); err != nil {
		t.Fatal(err)
	}
	put(t, []byte("new"), w.album, "new.txt")
	w.second = moment(t, h)
	return w
}

type then struct {
	*visitor
	h             *drive.Home
	first, second string
	album, old    string // as it is, and as it was
	red, blue     []byte
}

const albumPath = "/Sibelius/Kuolema%20%3Cb%3E&"

func (w *then) looks() {
	t := w.t
	day, err := time.Parse("2006-01-02T150405Z", w.second)
	if err != nil {
		t.Fatal(err)
	}
	today := day.Local().Format(time.DateOnly)
	w.page("/time", `href="/time/`+today+`"`, "changes")
	w.page("/time/"+today, "Kuolema <b>&", w.second)
	changed := w.page("/time/"+w.second, "Kuolema <b>&", "1 added", "1 changed", "1 removed")
	list := w.page(w.link(changed, `hx-get="(/changes/[^"]+)"`), "artist: Sibelius, Jean → Sibelius", "artwork replaced", "new.txt", "02 con.mp3")
	for i, want := range [][]byte{w.red, w.blue} {
		src := w.link(list, `<img src="([^"]+)"[^>]*alt="The artwork `+[]string{"before", "after"}[i])
		if got, r := w.get(src, http.StatusOK); !bytes.Equal(got, want) || r.Header.Get("Content-Type") != "image/png" {
			t.Errorf("%s is another picture", src)
		}
	}
	was := w.page("/time/"+w.first+albumPath, "02 con.mp3", "con.txt")
	if strings.Contains(was, "new.txt") {
		t.Error("what came later shows in what was")
	}
	track := w.page(w.link(was, `href="([^"]+01%20Valse[^"]+)"`), "Sibelius, Jean", "artist: Sibelius, Jean → Sibelius", "artwork replaced")
	sound, _ := w.get(w.link(track, `<audio[^>]* src="([^"]+)"`), http.StatusPartialContent, "Range", "bytes=1000-4999")
	if want := read(t, w.old, "01 Valse triste.mp3"); !bytes.Equal(sound, want[1000:5000]) {
		t.Error("a range of what was has other bytes")
	}
	odd := w.page("/time/"+w.first+"/odd", "&lt;script&gt;", "\uFFFD..txt")
	if strings.Contains(odd, "<script>alert") {
		t.Error("a name is run")
	}
	got, r := w.get(w.link(w.page(w.link(odd, `href="([^"]+%FF\.\.txt)"`)), `href="(/past/media/[^"]+)"`), http.StatusOK)
	if string(got) != "odd" || !strings.HasPrefix(r.Header.Get("Content-Disposition"), "attachment") {
		t.Errorf("a file with an odd name is %q, %v", got, r.Header)
	}
	for _, at := range []string{"/time/2020-13-01", "/time/" + w.first + "/nowhere", "/time/x/", "/past/media/" + w.first + "/odd", "/past/art/" + w.first + "/odd",
		"/time/" + w.first + "/..%2f..%2fetc/passwd", "/zip/" + w.first + "/%2e%2e/%2e%2e/etc", "/undo/now/", "/undo/last/"} {
		w.get(at, http.StatusNotFound)
	}
}

func read(t *testing.T, name ...string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(name...))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// same compares what is in two folders. An archive calls con.txt, which Windows takes for
// a device, otherwise.
func same(t *testing.T, a, b string) {
	t.Helper()
	of := func(dir string) map[string]string {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Error(err)
		}
		all := map[string]string{}
		for _, e := range entries {
			all[strings.TrimPrefix(e.Name(), "_")] = string(read(t, dir, e.Name()))
		}
		return all
	}
	if !maps.Equal(of(a), of(b)) {
		t.Errorf("%s and %s differ", a, b)
	}
}

// archives takes the album as it was as a ZIP, whole and in pieces.
func (w *then) archives() {
	t := w.t
	at := "/zip/" + w.first + albumPath
	whole, r := w.get(at, http.StatusOK)
	if r.ContentLength != int64(len(whole)) || r.Header.Get("Accept-Ranges") != "bytes" || !strings.Contains(r.Header.Get("Content-Disposition"), ".zip") {
		t.Errorf("%d bytes with %v", len(whole), r.Header)
	}
	dir := unpack(t, whole)
	same(t, w.old, filepath.Join(dir, "Kuolema _b_&"))
	cut := len(whole) / 3
	rest, r := w.get(at, http.StatusPartialContent, "Range", fmt.Sprintf("bytes=%d-", cut), "If-Range", r.Header.Get("Etag"))
	if !bytes.Equal(rest, whole[cut:]) {
		t.Error("the rest of a ZIP is another", r.Header)
	}
	w.get(at, http.StatusOK, "Range", "bytes=5-", "If-Range", `"another"`)

	rest, _ = w.get("/zip/now"+albumPath, http.StatusOK, "Range", "bytes=100-") // of what may be another now
	if _, err := zip.NewReader(bytes.NewReader(rest), int64(len(rest))); err != nil {
		t.Errorf("a rest of something that may change: %v", err)
	}

	list := w.page("/time/" + w.first + albumPath)
	pick := w.link(list, `value="([0-9a-z]+)" aria-label="Choose 01`)
	some, _ := w.get(at+"?pick="+pick, http.StatusOK)
	if z, err := zip.NewReader(bytes.NewReader(some), int64(len(some))); err != nil || len(z.File) != 1 || z.File[0].Name != "01 Valse triste.mp3" {
		t.Errorf("what was ticked is %v, %v", z, err)
	}
	all, _ := w.get("/zip/now/", http.StatusOK)
	names := unpack(t, all)
	same(t, w.album, filepath.Join(names, "Sibelius", "Kuolema _b_&"))
	page := w.page("/albums")
	for end := time.Now().Add(patience); !strings.Contains(page, `href="/albums/`) && time.Now().Before(end); page = w.page("/albums") {
		time.Sleep(50 * time.Millisecond) // the library is put in order
	}
	tracks, r := w.get(w.link(page, `href="(/albums/[0-9a-f]+)"`)+"/zip", http.StatusOK)
	if got := read(t, unpack(t, tracks), "Kuolema", "01 Valse triste.mp3"); !bytes.Equal(got, read(t, w.album, "01 Valse triste.mp3")) || !strings.Contains(r.Header.Get("Content-Disposition"), "Kuolema.zip") {
		t.Errorf("the album as a ZIP: %v", r.Header)
	}
	entries, err := os.ReadDir(filepath.Join(names, "odd"))
	if err != nil || len(entries) != 1 || entries[0].Name() != "_script_alert(1)_script___..txt" && !strings.HasPrefix(entries[0].Name(), "_script_") {
		t.Errorf("odd names are %v, %v", entries, err)
	}
}

// unpack unpacks an archive with another program.
func unpack(t *testing.T, b []byte) string {
	t.Helper()
	bin := tools.Need(t, "bsdtar")[0]
	dir := t.TempDir()
	file := filepath.Join(t.TempDir(), "a.zip")
	put(t, b, file)
	run(t, bin, "-xf", file, "-C", dir)
	return dir
}

// restores copies the album as it was to a folder, which has to be free.
func (w *then) restores() {
	t := w.t
	at := "/restore/" + w.first + albumPath
	to := filepath.Join(t.TempDir(), "restored")
	put(t, []byte("x"), to+"-full", "x")
	for dest, why := range map[string]string{
		"relative": "begins at the top", to + "-full": "something in that folder already", to + "-full/x": "no folder", filepath.Join(filepath.Dir(to), ".config", "autostart"): "begin with a dot",
		w.h.Dir + "/sub": "own files",
	} {
		if text := w.send(at, http.StatusOK, url.Values{"dest": {dest}}); !strings.Contains(text, why) {
			t.Errorf("%s: not refused because %s: %s", dest, why, text)
		}
	}
	w.send(at, http.StatusForbidden, url.Values{"dest": {to}, "csrf": {"guess"}})
	if _, err := os.Stat(to); err == nil {
		t.Error("another's form is obeyed")
	}
	text := w.send(at, http.StatusOK, url.Values{"dest": {to}})
	job := w.link(text, `hx-get="(/restores/[^"]+)"|<h1>Restored`)
	for end := time.Now().Add(patience); job != "" && !strings.Contains(text, "<h1>Restored."); time.Sleep(20 * time.Millisecond) {
		if text = w.page(job); time.Now().After(end) {
			t.Fatalf("never restored: %s", text)
		}
	}
	same(t, w.old, filepath.Join(to, "Kuolema <b>&"))
}

// backFromAlbum goes from the album, and from its artist, to a night.
func (w *then) backFromAlbum() {
	t := w.t
	at, err := time.Parse("2006-01-02T150405Z", w.second)
	if err != nil {
		t.Fatal(err)
	}
	album := w.page(w.link(w.page("/albums"), `href="(/albums/[0-9a-f]+)"`), "Back in time")
	for _, page := range []string{album, w.page(w.link(album, `href="(/artists/[0-9a-f]+)"`), "Back in time")} {
		ask := w.link(page, `action="(/[a-z]+/[0-9a-f]+/back)"`) + "?folder=" + w.link(page, `name="folder" value="([^"]+)"`)
		night := "&night=" + at.Local().Format(time.DateOnly)
		w.page(ask+night, "Kuolema <b>&", "new.txt", "as it was on")
		w.page(ask+night+"&do=undo", "Make Kuolema <b>& as it was", "Nothing differs")
		w.page(ask+night+"&do=restore", "Restore Kuolema <b>&")
		w.page(ask+"&night=2001-01-01", "Nothing is kept of then")
		for _, bad := range []string{"&night=2026-99-01", night + "&do=remove", "&night="} {
			w.get(ask+bad, http.StatusNotFound)
		}
	}
}

// undoes makes the track, then the album, as it was.
func (w *then) undoes() {
	t := w.t
	track := "/undo/" + w.first + albumPath + "/01%20Valse%20triste.mp3"
	w.page(track, "artist: Sibelius → Sibelius, Jean", "1 change will be made")
	w.send(track, http.StatusForbidden, url.Values{"csrf": {"guess"}})
	if text := w.send(track, http.StatusOK, url.Values{"seen": {"other"}}); !strings.Contains(text, "changed meanwhile") {
		t.Errorf("what was not shown is done: %s", text)
	}
	if text := w.send(track, http.StatusOK, url.Values{}); !strings.Contains(text, "It is as it was.") {
		t.Errorf("not undone: %s", text)
	}
	if !bytes.Equal(read(t, w.old, "01 Valse triste.mp3"), read(t, w.album, "01 Valse triste.mp3")) {
		t.Error("the track is not as it was")
	}
	w.h.Run("wait")
	if text := w.send("/undo/"+w.first+albumPath, http.StatusOK, url.Values{}); !strings.Contains(text, "It is as it was.") {
		t.Errorf("not undone: %s", text)
	}
	same(t, w.old, w.album)
	w.h.Run("wait")
	w.page("/undo/"+w.first+albumPath, "Nothing differs")

	fed := filepath.Join(t.TempDir(), "Fed")
	put(t, []byte("one"), fed, "a.txt")
	w.h.Run("backup", fed)
	before := moment(t, w.h)
	put(t, []byte("other"), fed, "a.txt")
	w.h.Run("backup", fed)
	w.h.Run("wait")
	text := w.page("/undo/"+before+"/Fed/a.txt", "is fed by a folder", "1 change")
	if strings.Contains(text, ">Make it as it was</button>") {
		t.Error("it offers what it refuses")
	}
}

// readOnly looks by a page that can change nothing.
func (w *then) readOnly() {
	v := visit(w.t, link(w.h, "--read-only", "--listen", "127.0.0.1:0"))
	v.get("/zip/"+w.first+albumPath, http.StatusOK)
	for _, at := range []string{"/time/" + w.first + albumPath, "/undo/" + w.second + albumPath, "/restore/" + w.first + albumPath} {
		if text := v.page(at); strings.Contains(text, `method="post" action="/undo`) || strings.Contains(text, `method="post" action="/restore`) {
			v.t.Errorf("%s offers changes", at)
		}
		if !strings.HasPrefix(at, "/time") {
			v.send(at, http.StatusForbidden, url.Values{"dest": {v.t.TempDir()}})
		}
	}
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", name, err, out)
	}
}
