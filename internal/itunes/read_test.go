package itunes_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/tunesafe/tunesafe/internal/itunes"
	"github.com/tunesafe/tunesafe/internal/itunes/itunestest"
	"github.com/tunesafe/tunesafe/tests/tools"
)

// all collects what Read hands on.
func all(r io.Reader) (tracks []itunes.Track, lists []itunes.Playlist, err error) {
	_, err = itunes.Read(r, func(t itunes.Track) { tracks = append(tracks, t) }, func(l itunes.Playlist) { lists = append(lists, l) })
	return
}

// oracle reads a library with Python's plistlib and prints what Read should.
const oracle = `
import json, plistlib, sys
lib = plistlib.load(open(sys.argv[1], "rb"))
tracks = [[t["Track ID"], t.get("Name", ""), t.get("Artist", ""), t.get("Location", ""), t.get("Play Count", 0),
    0 if t.get("Rating Computed") else t.get("Rating", 0), t.get("Purchased", False), t["Persistent ID"],
    t["Play Date UTC"].strftime("%Y-%m-%dT%H:%M:%SZ") if "Play Date UTC" in t else ""] for t in lib["Tracks"].values()]
lists = [[l["Name"], l.get("Parent Persistent ID", ""), l.get("Folder", False), "Smart Info" in l,
    [i["Track ID"] for i in l.get("Playlist Items", [])]] for l in lib["Playlists"]]
json.dump([tracks, lists], sys.stdout)
`

// TestAgainstPlistlib reads a library as a plist library does that is not ours.
func TestAgainstPlistlib(t *testing.T) {
	tools.Need(t, "python3")
	name := filepath.Join(t.TempDir(), "Library.xml")
	lib := itunestest.Library(500)
	var b bytes.Buffer
	lib.Write(&b)
	if err := os.WriteFile(name, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("python3", "-c", oracle, name).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var want any
	if err := json.Unmarshal(out, &want); err != nil {
		t.Fatal(err)
	}
	tracks, lists, err := all(&b)
	if err != nil {
		t.Fatal(err)
	}
	rows := [2][]any{}
	for _, x := range tracks {
		played := ""
		if !x.LastPlayed.IsZero() {
			played = x.LastPlayed.UTC().Format("2006-01-02T15:04:05Z")
		}
		rows[0] = append(rows[0], []any{x.ID, x.Name, x.Artist, x.Location, x.Plays, x.Rating, x.Purchased, x.PersistentID, played})
	}
	for _, l := range lists {
		items := append([]int{}, l.Items...)
		rows[1] = append(rows[1], []any{l.Name, l.Parent, l.Folder, l.Smart, items})
	}
	j, _ := json.Marshal(rows)
	var got any
	if err := json.Unmarshal(j, &got); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("read\n%.2000s\nplistlib\n%.2000s", j, out)
	}
}

// TestMalformed damages a library in the ways of fifteen years: what is not hit
// is read all the same, and what is wrong is said.
func TestMalformed(t *testing.T) {
	var b bytes.Buffer
	itunestest.Library(50).Write(&b)
	good := b.String()
	half := good[:strings.Index(good, "<key>Playlists</key>")]
	cases := []struct {
		name   string
		in     string
		tracks int
		want   error
	}{
		{"whole", good, 50, nil},
		{"cut in a track", good[:len(half)/2], 20, itunes.ErrTruncated},
		{"cut in a text", half + "<key>Playlists</key><array><dict><key>Name</key><string>abc", 50, itunes.ErrTruncated},
		{"no </plist>", strings.TrimSuffix(good, "</plist>\n"), 50, itunes.ErrTruncated},
		{"empty", "", 0, itunes.ErrTruncated},
		{"control characters", strings.ReplaceAll(good, "Track 7<", "Track\x01\x02 7\x0b<"), 50, nil},
		{"a reference to a control character", strings.ReplaceAll(good, "Track 7<", "Track &#1; 7<"), 49, itunes.ErrMalformed},
		{"not UTF-8", strings.ReplaceAll(good, "Track 7<", "Tr\xe9ck\xff 7<"), 50, nil},
		{"bare ampersand", strings.ReplaceAll(good, "Track 7<", "A & B <"), 50, nil},
		{"a tag that is none", strings.ReplaceAll(good, "Track 7<", "I <3 you<"), 49, itunes.ErrMalformed},
		{"a key twice", strings.ReplaceAll(good, "<key>Name</key>", "<key>Name</key><string>x</string><key>Name</key>"), 50, nil},
		{"a key without value", strings.ReplaceAll(good, "<string>Track 7</string>", ""), 50, itunes.ErrMalformed},
		{"other types", strings.ReplaceAll(good, "<integer>", "<string>") /* their ends do not fit */, 50, itunes.ErrMalformed},
		{"another encoding", strings.Replace(good, "UTF-8", "ISO-8859-1", 1), 50, nil},
		{"a track that is a text", strings.Replace(good, "<key>Playlists</key>", "<key>Tracks</key><dict><key>1</key><string>x</string></dict><key>Playlists</key>", 1), 50, itunes.ErrMalformed},
		{"no list", "<html><body>Not Found</body></html>", 0, itunes.ErrNotLibrary},
		{"deep", strings.Replace(good, "<key>Tracks</key>", "<key>x</key>"+strings.Repeat("<array>", 1000)+strings.Repeat("</array>", 1000)+"<key>Tracks</key>", 1), 0, itunes.ErrTruncated},
	}
	for _, c := range cases {
		tracks, _, err := all(strings.NewReader(c.in))
		if !errors.Is(err, c.want) || (c.want == nil) != (err == nil) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		if len(tracks) < c.tracks {
			t.Errorf("%s: %d tracks, want %d", c.name, len(tracks), c.tracks)
		}
		if err != nil && c.want == itunes.ErrMalformed && !strings.Contains(err.Error(), "line ") {
			t.Errorf("%s: no line in %q", c.name, err)
		}
		whole := itunes.Whole(strings.NewReader(c.in))
		if want := c.want == itunes.ErrTruncated; (whole != nil) != want {
			t.Errorf("%s: Whole says %v", c.name, whole)
		}
	}
}

// TestReaderError passes an error of the disk on: it says nothing of the library.
func TestReaderError(t *testing.T) {
	broken := errors.New("input/output error")
	r := io.MultiReader(strings.NewReader("<plist><dict>"), &failing{broken})
	if err := itunes.Whole(r); !errors.Is(err, broken) || errors.Is(err, itunes.ErrTruncated) {
		t.Error(err)
	}
}

type failing struct{ err error }

func (f *failing) Read([]byte) (int, error) { return 0, f.err }

// TestHuge reads a library of 100,000 tracks in little memory.
func TestHuge(t *testing.T) {
	n := tools.Count(t, 20_000, 100_000, 100_000)
	pr, pw := io.Pipe()
	var size counter
	go func() {
		itunestest.Library(n).Write(io.MultiWriter(pw, &size))
		pw.Close()
	}()
	var before, now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	tracks, items, peak := 0, 0, uint64(0)
	_, err := itunes.Read(pr, func(itunes.Track) {
		if tracks++; tracks%5000 == 0 {
			runtime.ReadMemStats(&now)
			peak = max(peak, now.HeapInuse-min(now.HeapInuse, before.HeapInuse))
		}
	}, func(l itunes.Playlist) { items += len(l.Items) })
	if err != nil || tracks != n || items < n {
		t.Fatalf("%d tracks, %d items, %v", tracks, items, err)
	}
	t.Logf("%d tracks, %.1f MB of XML, at most %.1f MiB of heap", n, float64(size)/1e6, float64(peak)/(1<<20))
	if peak > 30<<20 {
		t.Errorf("%d bytes of heap", peak)
	}
}

type counter int64

func (c *counter) Write(b []byte) (int, error) { *c += counter(len(b)); return len(b), nil }

func BenchmarkRead(b *testing.B) {
	var lib bytes.Buffer
	itunestest.Library(10_000).Write(&lib)
	b.SetBytes(int64(lib.Len()))
	for b.Loop() {
		if err := itunes.Whole(bytes.NewReader(lib.Bytes())); err != nil {
			b.Fatal(err)
		}
	}
}

func FuzzRead(f *testing.F) {
	var b bytes.Buffer
	itunestest.Library(3).Write(&b)
	f.Add(b.Bytes())
	f.Add([]byte("<plist><dict><key>Tracks</key><dict><key>1</key><dict>&#1;<key>"))
	f.Fuzz(func(t *testing.T, in []byte) {
		n := 0
		_, err := itunes.Read(bytes.NewReader(in), func(x itunes.Track) { n++; itunes.Path(x.Location) }, func(itunes.Playlist) { n++ })
		if n > len(in) {
			t.Errorf("%d things in %d bytes", n, len(in))
		}
		_ = fmt.Sprint(err)
	})
}
