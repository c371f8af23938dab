package itunes_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/text/unicode/norm"

	"github.com/tunesafe/tunesafe/internal/itunes"
	"github.com/tunesafe/tunesafe/internal/itunes/itunestest"
)

func touch(t *testing.T, path ...string) string {
	t.Helper()
	p := filepath.Join(path...)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	return p
}

// look looks for a library's tracks in dir.
func look(t *testing.T, l *itunestest.Tracks, dir string, others ...string) itunes.Survey {
	t.Helper()
	var b bytes.Buffer
	l.Write(&b)
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	s, err := itunes.Look(&b, root, []string{dir}, others)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestLocations finds the same tracks whoever wrote their paths down.
func TestLocations(t *testing.T) {
	for _, folder := range []string{
		"file://localhost/Users/jean/Music/iTunes/iTunes%20Media/Music/",
		"file:///Users/jean/Music/Music/Media.localized/Music/",
		"file://localhost/C:/Users/Jean/Music/iTunes/iTunes%20Media/Music/",
		"file://localhost/D:/",
		"file://nas/share/Music/",
		"here",
	} {
		for _, inFolder := range []string{"", "Music", "iTunes/iTunes Media/Music"} {
			dir := t.TempDir()
			l := itunestest.Library(100)
			if l.Folder = folder; folder == "here" {
				l.Folder = "file://localhost" + itunestest.Escape(filepath.ToSlash(filepath.Join(dir, inFolder))) + "/"
			}
			for i, x := range l.Tracks {
				if i%10 != 3 {
					touch(t, dir, inFolder, norm.NFC.String(x.Location))
				}
				l.Tracks[i].Location = norm.NFD.String(x.Location)
			}
			s := look(t, l, dir)
			if s.Tracks != 100 || s.Here != 90 || s.Missing != 10 || s.Elsewhere != 0 || len(s.Examples) != 5 {
				t.Errorf("%s in %q: %+v", folder, inFolder, s)
			}
			if !strings.HasSuffix(s.Examples[0], norm.NFD.String(filepath.ToSlash(l.Tracks[3].Location))) {
				t.Errorf("missing: %q", s.Examples)
			}
		}
	}
}

// TestElsewhere names the folders that should be backed up too.
func TestElsewhere(t *testing.T) {
	dir, other, third := t.TempDir(), t.TempDir(), t.TempDir()
	l := itunestest.Library(40)
	for i, x := range l.Tracks {
		at := touch(t, []string{dir, other, dir, third}[i%4], x.Location)
		l.Tracks[i].Location = "file://" + itunestest.Escape(filepath.ToSlash(at))
	}
	l.Tracks[0].Location = ""
	l.Tracks[2].Location = "http://radio.example/stream"
	s := look(t, l, dir)
	if s.Here != 18 || s.Elsewhere != 20 || s.Streams != 2 || s.Missing != 0 {
		t.Errorf("%+v", s)
	}
	if s := look(t, l, dir, other); s.Elsewhere != 10 || s.Covered != 10 || len(s.Folders) != 1 || !strings.HasPrefix(s.Folders[0].Path, third) {
		t.Errorf("%+v", s)
	}
	n := 0
	for _, f := range s.Folders {
		if n += f.Tracks; !strings.HasPrefix(f.Path, os.TempDir()) {
			t.Errorf("%+v", s.Folders)
		}
	}
	if n != 20 {
		t.Errorf("%+v", s.Folders)
	}
	if s.Rated != 27 || s.Plays == 0 || s.Playlists != 3 {
		t.Errorf("%d rated, %d plays, %d playlists", s.Rated, s.Plays, s.Playlists)
	}
}

// TestLists gives playlists names that every system takes, and paths that lead
// back to the tracks.
func TestLists(t *testing.T) {
	dir := t.TempDir()
	l := itunestest.Library(30)
	for _, x := range l.Tracks {
		touch(t, dir, x.Location)
	}
	l.Tracks[6].Name = "Two\nlines"
	l.Lists = append(l.Lists,
		itunestest.List{Name: "my top rated", ID: "B1", Items: []int{6, 6, 2}},
		itunestest.List{Name: "..", ID: "B2", Items: []int{1}},
		itunestest.List{Name: strings.Repeat("ü", 300), ID: "B3", Items: []int{1}},
		itunestest.List{Name: "Empty", ID: "B4"},
	)
	s := look(t, l, dir)
	var names []string
	for _, p := range s.Lists {
		names = append(names, p.Path)
		if len(filepath.Base(p.Path)) > 240 {
			t.Errorf("%d bytes of name", len(p.Path))
		}
	}
	want := []string{"Purchased", "Moods/Sunday_Evening", "My Top Rated", "my top rated 2", "Untitled", strings.Repeat("ü", 100)}
	if !slices.Equal(names, want) {
		t.Errorf("%q, want %q", names, want)
	}
	m3u := string(s.Lists[3].M3U(1))
	line := func(i int) string {
		x := l.Tracks[i]
		return fmt.Sprintf("#EXTINF:%d,%s - %s\n../%s\n", x.Seconds, x.Artist, strings.ReplaceAll(x.Name, "\n", " "), x.Location)
	}
	if want := "#EXTM3U\n#PLAYLIST:my top rated 2\n" + line(6) + line(6) + line(2); m3u != want {
		t.Errorf("%s\nwant\n%s", m3u, want)
	}
}
