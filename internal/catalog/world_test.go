package catalog

import (
	"cmp"
	"slices"
	"strings"
	"testing"

	"github.com/tunesafe/tunesafe/internal/label"
)

// TestSortsAsInShops puts names of the world in the order in which they are looked
// for.
func TestSortsAsInShops(t *testing.T) {
	want := []string{"10cc", "50 Cent", "A", "A-ha", "Die Ärzte", "The Beatles", "Björk", "De Staat", "Los Lobos", "Mø", "Les Négresses Vertes", "Sigur Rós",
		"The The", "Die Toten Hosen", "A Tribe Called Quest", "Los Van Van", "Zaz", "Ακρίτας", "Χάρις", "Аквариум", "Ёлка", "Кино", "あいみょん", "アジカン", "東京事変"}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortStableFunc(got, func(a, b string) int { return cmp.Compare(SortKey(a), SortKey(b)) })
	if strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	for name, key := range map[string]string{
		"Johann Sebastian Bach": "bach johann sebastian", "Bach, Johann Sebastian": "bach johann sebastian", "J.S. Bach": "bach js",
		"Bach, Johann Sebastian (1685-1750)": "bach johann sebastian", "Johann Sebastian Bach (1685-1750)": "bach johann sebastian",
		"Ludwig van Beethoven": "beethoven ludwig van", "Antonín Dvořák": "dvorak antonin", "Камиль Сен-Санс": "санс камиль сен", "久石譲": "久石譲",
	} {
		if got := SurnameKey(name); got != key {
			t.Errorf("%q is sorted by %q, want %q", name, got, key)
		}
	}
}

// TestFoldsTheWorld has one form of what people type for one another.
func TestFoldsTheWorld(t *testing.T) {
	for _, same := range [][]string{
		{"Straße", "STRASSE", "strasse", "STRAẞE"},
		{"Mø", "MØ", "mo"},
		{"Ænima", "ÆNIMA", "aenima"},
		{"İstanbul", "istanbul", "ISTANBUL", "ıstanbul"},
		{"Άνοιξη", "ΑΝΟΙΞΗ", "ανοιξη"},
		{"Ёлка", "елка", "ЁЛКА"},
		{"アニメ", "あにめ", "ｱﾆﾒ"},
		{"ガラス", "がらす", "ｶﾞﾗｽ"},
		{"방탄소년단", "방탄소년단"},
		{"Beyoncé", "BEYONCÉ", "Beyonce\u0301"},
		{"Guns N’ Roses", "Guns N' Roses", "guns n roses"},
		{"P!nk", "p nk"},
		{"№ 5", "no 5"},
	} {
		for _, s := range same {
			if Fold(s) != Fold(same[0]) {
				t.Errorf("%q folds to %q, %q to %q", s, Fold(s), same[0], Fold(same[0]))
			}
		}
	}
}

// world is a library of the cases that people have.
func world() *library {
	l := newLibrary()
	l.add("beatles/1", label.Label{Title: "Come Together", Artist: "The Beatles", Album: "Abbey Road", Track: 1, Year: 1969})
	l.add("beatles/2", label.Label{Title: "Something", Artist: "Beatles, The", Album: "Abbey Road", Track: 2})
	l.add("hits/1", label.Label{Title: "Hunting High and Low", Artist: "a-ha", AlbumArtist: "Various Artists", Album: "Hits", Track: 1})
	l.add("hits/2", label.Label{Title: "Army of Me", Artist: "Björk", AlbumArtist: "Various Artists", Album: "Hits", Track: 2})
	l.add("hits/3", label.Label{Title: "Schrei nach Liebe", Artist: "Die Ärzte", AlbumArtist: "various artists", Album: "Hits", Track: 3})
	for disc, titles := range [][]string{{"Aria", "Variatio 1"}, {"Variatio 2", "Aria da capo"}} {
		for i, title := range titles {
			l.add("bach/"+title, label.Label{Title: title, Artist: "Glenn Gould", Album: "Goldberg Variations", Composer: "Bach, Johann Sebastian", Track: i + 1, Disc: disc + 1})
		}
	}
	l.add("joe/1", label.Label{Title: "Merry-Go-Round", Artist: "久石譲", Album: "ハウルの動く城", Track: 1})
	l.add("kino/1", label.Label{Title: "Группа крови", Artist: "Кино", Album: "Группа крови", Track: 1})
	l.Settle()
	return l
}

// TestSearchesTheWorld finds with several words over several fields, each begun only.
func TestSearchesTheWorld(t *testing.T) {
	l := world()
	for query, want := range map[string]string{
		"beat come":      "Come Together",
		"abb beatl som":  "Something",
		"bach gould 2":   "Variatio 2",
		"gold bach capo": "Aria da capo",
		"johann seb 1":   "Variatio 1",
		"arzte":          "Schrei nach Liebe",
		"Ärzte schr":     "Schrei nach Liebe",
		"a-ha hun":       "Hunting High and Low",
		"bjork hits":     "Army of Me",
		"はうる":            "Merry-Go-Round",
		"ハウル merry":      "Merry-Go-Round",
		"久石":             "Merry-Go-Round",
		"кров":           "Группа крови",
		"КИНО груп":      "Группа крови",
		"beatles bach":   "",
	} {
		var got []string
		for _, track := range l.Search(query, 0, 10).Tracks {
			got = append(got, track.Title)
		}
		slices.Sort(got)
		if strings.Join(got, "|") != want {
			t.Errorf("%q finds %q, want %q", query, got, want)
		}
	}
	if f := l.Search("beatles", 0, 10); len(f.Artists) != 1 || f.Artists[0].Tracks != 2 {
		t.Errorf("both ways to write the Beatles are %+v", f.Artists)
	}
}

// TestAlbumsOfTheWorld: compilations are one album, discs follow one another, and
// letters lead to each.
func TestAlbumsOfTheWorld(t *testing.T) {
	l := world()
	want := " / Hits: Hunting High and Low Army of Me Schrei nach Liebe\n"
	if got := l.shown(); !strings.HasSuffix(got, want) {
		t.Errorf("the compilation is missing in\n%s", got)
	}
	if got := l.shown(); !strings.Contains(got, "Goldberg Variations: Aria Variatio 1 Variatio 2 Aria da capo\n") || strings.Count(got, "Abbey Road") != 1 {
		t.Errorf("got\n%s", got)
	}
	albums, _ := l.Albums(ByArtist, 0, 100)
	if last := albums[len(albums)-1]; last.Title != "Hits" {
		t.Errorf("the last is %q by %q: compilations come behind", last.Title, last.Artist)
	}
	for _, by := range []Order{ByArtist, ByTitle} {
		letters := l.AlbumLetters(by)
		if len(letters) < 3 || letters[0].Offset != 0 {
			t.Error(letters)
		}
		for i, at := range letters {
			if i > 0 && (at.Offset <= letters[i-1].Offset || at.Letter == letters[i-1].Letter) {
				t.Error(letters)
			}
		}
	}
	if letters := l.AlbumLetters(ByArtist); letters[len(letters)-1].Letter != "Various" {
		t.Error(letters)
	}
}

// TestSortTags has what tags say of the order count before what names look like.
func TestSortTags(t *testing.T) {
	l := newLibrary()
	l.add("a/1", label.Label{Title: "1", Artist: "宇多田ヒカル", ArtistSort: "Utada, Hikaru", Album: "X", Composer: "Mozart", ComposerSort: "Mozart"})
	l.add("b/1", label.Label{Title: "1", Artist: "Zaz", Album: "Y", Composer: "Pyotr Ilyich Tchaikovsky", ComposerSort: "Čajkovskij, Pëtr"})
	l.add("c/1", label.Label{Title: "1", Artist: "The Band; A", ArtistSort: "Zzz", Album: "Z", Composer: "Johann Sebastian Bach", ComposerSort: "Johann Sebastian Bach"})
	l.Settle()
	for role, want := range map[Role]string{Artist: "A|The Band|宇多田ヒカル|Zaz", Composer: "Johann Sebastian Bach|Pyotr Ilyich Tchaikovsky|Mozart"} {
		var got []string
		list, _ := l.People(role, 0, 10)
		for _, p := range list {
			got = append(got, p.Name)
		}
		if strings.Join(got, "|") != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if list, _ := l.Albums(ByArtist, 0, 10); list[len(list)-1].Artist != "Zaz" && list[1].Artist != "宇多田ヒカル" {
		t.Errorf("%+v", list)
	}
}
