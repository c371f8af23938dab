package catalog

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tunesafe/tunesafe/internal/label"
)

// library is what was told to a catalog.
type library struct {
	*Catalog
	next uint64
	dirs map[string]uint64
}

func newLibrary() *library { return &library{Catalog: New(), next: 100, dirs: map[string]uint64{}} }

// dir makes a folder and those above.
func (l *library) dir(p string) uint64 {
	if p == "" {
		return 1
	}
	if ino, ok := l.dirs[p]; ok {
		return ino
	}
	up, base := "", p
	if i := strings.LastIndexByte(p, '/'); i >= 0 {
		up, base = p[:i], p[i+1:]
	}
	parent := l.dir(up)
	l.next++
	l.dirs[p] = l.next
	l.Folder(l.next, parent, base)
	return l.dirs[p]
}

func (l *library) add(p string, t label.Label) uint64 {
	if t.Format == "" {
		t.Format = "FLAC"
	}
	i := strings.LastIndexByte("/"+p, '/')
	dir := l.dir(strings.TrimSuffix(p[:i], "/"))
	l.next++
	l.Put(l.next, t, false)
	l.Place(l.next, dir, p[i:])
	return l.next
}

func (l *library) shown() string {
	l.Settle()
	var b strings.Builder
	albums, _ := l.Albums(ByArtist, 0, 1000)
	for _, a := range albums {
		_, tracks, ok := l.Album(a.ID)
		if !ok {
			return "an album is not found by its id"
		}
		fmt.Fprintf(&b, "%s / %s:", a.Artist, a.Title)
		for _, t := range tracks {
			fmt.Fprintf(&b, " %s", t.Title)
		}
		b.WriteString("\n")
	}
	return b.String()
}

func TestAlbums(t *testing.T) {
	type file struct {
		path string
		l    label.Label
	}
	for name, test := range map[string]struct {
		files []file
		want  string
	}{
		"numbers": {[]file{
			{"a/x", label.Label{Title: "two", Artist: "A", Album: "X", Track: 2}},
			{"a/y", label.Label{Title: "one", Artist: "a", Album: "x", Track: 1}},
			{"a/z", label.Label{Title: "three", Artist: "A", Album: "X", Track: 1, Disc: 2}},
		}, "A / X: one two three\n"},
		"folders of discs": {[]file{
			{"X/CD2/1", label.Label{Title: "b", Artist: "A", Album: "X", Track: 1}},
			{"X/CD 1/1", label.Label{Title: "a", Artist: "A", Album: "X", Track: 1}},
		}, "A / X: a b\n"},
		"compilation": {[]file{
			{"c/1", label.Label{Title: "a", Artist: "A", Album: "Hits", Track: 1}},
			{"c/2", label.Label{Title: "b", Artist: "B", Album: "Hits", Track: 2}},
			{"d/1", label.Label{Title: "c", Artist: "C", Album: "Hits", Track: 1}},
			{"d/2", label.Label{Title: "d", Artist: "D", Album: "Hits", Track: 2}},
		}, " / Hits: a b\n / Hits: c d\n"},
		"guests": {[]file{
			{"c/1", label.Label{Title: "a", Artist: "A", Album: "X", Track: 1}},
			{"c/2", label.Label{Title: "b", Artist: "A feat. B", Album: "X", Track: 2}},
			{"c/3", label.Label{Title: "c", Artist: "A", Album: "X", Track: 3}},
		}, "A / X: a b c\n"},
		"album artist": {[]file{
			{"c/1", label.Label{Title: "a", Artist: "A", AlbumArtist: "Various", Album: "X", Track: 1}},
			{"d/2", label.Label{Title: "b", Artist: "B", AlbumArtist: "Various", Album: "X", Track: 2}},
		}, " / X: a b\n"},
		"twice": {[]file{
			{"flac/1", label.Label{Title: "a", Artist: "A", Album: "X", Track: 1}},
			{"mp3/1", label.Label{Title: "a", Artist: "A", Album: "X", Track: 1}},
		}, "A / X: a\nA / X: a\n"},
		"no tags": {[]file{
			{"Demos/02 second take.mp3", label.Label{Artist: "A"}},
			{"Demos/01 first take.mp3", label.Label{Artist: "A"}},
		}, "A / Demos: first take second take\n"},
		"composer's names": {[]file{
			{"s/1", label.Label{Title: "a", Artist: "Sibelius, Jean", Album: "X", Track: 1}},
			{"s/2", label.Label{Title: "b", Artist: "Jean Sibelius", Album: "X", Track: 2}},
		}, "Sibelius, Jean / X: a b\n"},
	} {
		t.Run(name, func(t *testing.T) {
			for range 3 { // maps have no order; what is shown has
				l := newLibrary()
				for _, f := range test.files {
					l.add(f.path, f.l)
				}
				if got := l.shown(); got != test.want {
					t.Fatalf("got\n%swant\n%s", got, test.want)
				}
			}
		})
	}
}

func TestPeople(t *testing.T) {
	l := newLibrary()
	l.add("a/1", label.Label{Title: "1", Artist: "The Zombies; Björk", Album: "X", Composer: "Jean Sibelius"})
	l.add("b/1", label.Label{Title: "1", Artist: "Björk", Album: "Y", Composer: "Sibelius, Jean; Ludwig van Beethoven"})
	l.add("b/2", label.Label{Title: "2", Artist: "50 Cent", Album: "Y", AlbumArtist: "Björk", Composer: "Grieg"})
	l.Settle()
	names := func(r Role) (out []string) {
		list, all := l.People(r, 0, 100)
		if all != len(list) {
			t.Errorf("%d of %d", len(list), all)
		}
		for _, p := range list {
			out = append(out, fmt.Sprintf("%s %s %d %d", p.Letter, p.Name, p.Albums, p.Tracks))
		}
		return out
	}
	if d := cmp.Diff([]string{"# 50 Cent 0 1", "B Björk 2 2", "Z The Zombies 1 1"}, names(Artist)); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"B Ludwig van Beethoven 1 1", "G Grieg 1 1", "S Jean Sibelius 2 2"}, names(Composer)); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]Letter{{"B", 0}, {"G", 1}, {"S", 2}}, l.Letters(Composer)); d != "" {
		t.Error(d)
	}
	list, _ := l.People(Composer, 2, 1)
	w, ok := l.Person(list[0].ID)
	if !ok || len(w.Composed) != 2 || len(w.Own) != 0 {
		t.Errorf("%+v", w)
	}
}

func TestFolderPictures(t *testing.T) {
	l := newLibrary()
	l.add("a/1", label.Label{Title: "1", Artist: "A", Album: "X"})
	l.Cover(l.dir("a"), 7, "notes.txt")
	l.Cover(l.dir("a"), 8, "folder.JPG")
	l.Cover(l.dir("a"), 9, "cover.png")
	l.Cover(l.dir("a"), 10, "front.png")
	l.Settle()
	if list, _ := l.Albums(ByTitle, 0, 1); list[0].Art != 9 {
		t.Error(list)
	}
	ino := l.add("a/2", label.Label{Title: "2", Artist: "A", Album: "X", Art: 5000})
	l.Settle()
	if list, _ := l.Albums(ByTitle, 0, 1); list[0].Art != ino {
		t.Error(list, ino)
	}
}

// TestSearchIsNaive compares a search with one that takes no care for speed.
func TestSearchIsNaive(t *testing.T) {
	word := rapid.SampledFrom([]string{"Björk", "Finlandia", "The", "!!!", "Straße", "R.E.M.", "Op. 26", "Don’t", "a", "東京", "AC/DC", "ab", "bab"})
	phrase := rapid.Map(rapid.SliceOfN(word, 0, 3), func(w []string) string { return strings.Join(w, " ") })
	rapid.Check(t, func(t *rapid.T) {
		l := newLibrary()
		texts := map[uint64][]string{}
		for i := range rapid.IntRange(0, 12).Draw(t, "tracks") {
			la := label.Label{Title: phrase.Draw(t, "title"), Artist: phrase.Draw(t, "artist"), Album: phrase.Draw(t, "album"),
				AlbumArtist: phrase.Draw(t, "album artist"), Composer: phrase.Draw(t, "composer")}
			ino := l.add(fmt.Sprintf("d%d/%02d", i%3, i), la)
			if texts[ino] = []string{la.Title, la.Artist, la.Album, la.AlbumArtist, la.Composer}; la.Title == "" {
				texts[ino][0] = fmt.Sprintf("%02d", i)
			}
		}
		l.Settle()
		query := phrase.Draw(t, "query")
		if cut := []rune(query); rapid.Bool().Draw(t, "cut") && len(cut) > 0 {
			query = string(cut[:rapid.IntRange(0, len(cut)-1).Draw(t, "at")]) // as it is typed
		}
		var want []uint64
		words := strings.Fields(Fold(query))
		for ino, in := range texts {
			if len(words) > 0 && !slices.ContainsFunc(words, func(w string) bool {
				return !slices.ContainsFunc(in, func(text string) bool { return strings.Contains(Fold(text), w) })
			}) {
				want = append(want, ino)
			}
		}
		slices.Sort(want)
		var got []uint64
		f := l.Search(query, 0, 1000)
		for _, track := range f.Tracks {
			got = append(got, track.Inode)
		}
		if f.AllTracks != len(got) {
			t.Fatalf("%d of %d", len(got), f.AllTracks)
		}
		slices.Sort(got)
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("search of %q: %s", query, d)
		}
	})
}

func TestSearchRanks(t *testing.T) {
	l := newLibrary()
	for i, title := range []string{"Indigo", "A Go", "Go Down", "Go", "Ago"} {
		l.add(fmt.Sprintf("d/%d", i), label.Label{Title: title, Artist: "X", Album: "Y", Track: i + 1})
	}
	l.add("e/1", label.Label{Title: "Other", Artist: "Go Team", Album: "Z"})
	l.Settle()
	var got []string
	for _, track := range l.Search("gO", 0, 10).Tracks {
		got = append(got, track.Title)
	}
	if d := cmp.Diff([]string{"Go", "Go Down", "A Go", "Other", "Indigo", "Ago"}, got); d != "" {
		t.Error(d)
	}
	if f := l.Search("go y", 1, 2); f.AllTracks != 5 || len(f.Tracks) != 2 {
		t.Errorf("%+v", f)
	}
}

// TestChangesAreAsNew changes a library and compares it with one made of the end.
func TestChangesAreAsNew(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.SampledFrom([]string{"", "A", "B", "The B", "B, The", "Ä", "A; B"})
		draw := func() label.Label {
			return label.Label{Title: text.Draw(t, "title"), Artist: text.Draw(t, "artist"), Album: text.Draw(t, "album"),
				AlbumArtist: text.Draw(t, "album artist"), Composer: text.Draw(t, "composer"), Track: rapid.IntRange(0, 2).Draw(t, "no"),
				Format: rapid.SampledFrom([]string{"FLAC", "FLAC", "MP3", ""}).Draw(t, "format")}
		}
		type file struct {
			l    label.Label
			dir  uint64
			name string
		}
		dirs := map[uint64]string{10: "a", 11: "b", 12: "CD 1"}
		files := map[uint64]file{}
		c := New()
		for range rapid.IntRange(0, 40).Draw(t, "steps") {
			ino := uint64(rapid.IntRange(100, 112).Draw(t, "inode"))
			switch rapid.IntRange(0, 4).Draw(t, "what") {
			case 0:
				delete(files, ino)
				c.Remove(ino)
			case 1:
				dir := uint64(rapid.IntRange(10, 12).Draw(t, "dir"))
				dirs[dir] = text.Draw(t, "called")
				c.Folder(dir, 1, dirs[dir])
			case 2:
				c.Settle()
			default:
				f := file{draw(), uint64(rapid.IntRange(10, 12).Draw(t, "in")), fmt.Sprint(ino)}
				files[ino] = f
				c.Put(ino, f.l, false)
				c.Place(ino, f.dir, f.name)
			}
		}
		fresh := New()
		for ino, f := range files {
			fresh.Put(ino, f.l, false)
			fresh.Place(ino, f.dir, f.name)
		}
		for _, x := range []*Catalog{c, fresh} {
			for dir, called := range dirs {
				x.Folder(dir, 1, called)
			}
			x.Folder(1, 0, "")
			x.Settle()
		}
		show := func(c *Catalog) (out []string) {
			list, _ := c.Page(0, 1000)
			for _, t := range list {
				own, ok := c.Track(t.Inode)
				if !ok || own != t {
					out = append(out, "not found")
				}
				out = append(out, fmt.Sprintf("%x %s %q %q %s %d %s", t.Inode, t.Path, t.Title, t.Artist, t.Format, t.Number, t.AlbumID))
			}
			slices.Sort(out) // of two ways to write a name, the first told is shown
			return out
		}
		if d := cmp.Diff(show(fresh), show(c)); d != "" {
			t.Fatal(d)
		}
	})
}

// made is a library of n tracks as people have them, of real lengths of text.
func made(n int) *Catalog {
	rng := rand.New(rand.NewPCG(1, 2))
	words := strings.Fields("love night blue heart the of dream river Sommer Straße été café light fire Björk wind stone road Mädchen song ghost moon " +
		"Sonata Allegro Symphony No. 5 in minor Op. 26 live remastered again never always home dance rain golden city")
	text := func(k int) string {
		var w []string
		for range 1 + rng.IntN(k) {
			w = append(w, words[rng.IntN(len(words))])
		}
		return strings.Join(w, " ")
	}
	c := New()
	c.Folder(1, 0, "")
	for i := 0; i < n; {
		artist, dir := text(3)+fmt.Sprint(" ", rng.IntN(n/20)), uint64(2+i)
		album := text(5)
		c.Folder(dir, 1, artist+" - "+album)
		for k := range 12 {
			if i++; i > n {
				break
			}
			l := label.Label{Format: "FLAC", Title: text(7), Artist: artist, AlbumArtist: artist, Album: album, Track: k + 1, Year: 1990,
				Seconds: 200, Art: 50000}
			if i%5 == 0 {
				l.Composer = text(2) + fmt.Sprint(" ", rng.IntN(n/200+1))
			}
			ino := uint64(7<<32 + i)
			c.Put(ino, l, false)
			c.Place(ino, dir, fmt.Sprintf("%02d %s.flac", k+1, l.Title))
		}
	}
	c.Settle()
	return c
}
