package catalog

import (
	"cmp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestFold(t *testing.T) {
	for in, want := range map[string]string{
		"Björk":           "bjork",
		"Sigur Rós":       "sigur ros",
		"Motörhead":       "motorhead",
		"Straße":          "strasse",
		"STRASSE":         "strasse",
		"Mø":              "mo",
		"Łódź":            "lodz",
		"Æther & Œuvre":   "aether oeuvre",
		"Đorđe":           "dorde",
		"Þórir":           "thorir",
		"Dvořák, Antonín": "dvorak antonin",
		"R.E.M.":          "rem",
		"Don’t Stop":      "dont stop",
		"AC/DC":           "ac dc",
		"  a -  b ":       "a b",
		"ﬁne":             "fine", // a ligature
		"Ｆｕｌｌ":            "full",
		"İstanbul":        "istanbul",
		"ΟΔΟΣ":            "οδοσ",
		"οδος":            "οδοσ",
		"!!!":             "!!!",
		"…":               "...",
		"":                "",
		"\xff":            "\uFFFD",
	} {
		if got := Fold(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func FuzzFold(f *testing.F) {
	for _, s := range []string{"Björk", "ẞ İ ǅ", "e\u0301\u0327", "!!!", "a\u200Db", "\xff\xfe", "한국", "が", "ﷺ", "½ №", "ſ K Å", "'", ". ."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		once := Fold(s)
		if twice := Fold(once); twice != once {
			t.Errorf("%q folds to %q, and that to %q", s, once, twice)
		}
		if !utf8.ValidString(once) {
			t.Errorf("%q folds to %q", s, once)
		}
		if strings.TrimSpace(once) != once || strings.Contains(once, "  ") {
			t.Errorf("%q folds to %q", s, once)
		}
		if up := Fold(strings.ToUpper(s)); up != once && isLatin(s) {
			t.Errorf("%q folds to %q, in capitals to %q", s, once, up)
		}
		for _, key := range []string{SortKey(s), SurnameKey(s), Same(s)} {
			if !utf8.ValidString(key) || key == "" && once != "" {
				t.Errorf("%q is sorted by %q", s, key)
			}
		}
	})
}

// isLatin: capitals of other scripts are not always those of their letters.
func isLatin(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r > 0xFF || r == 'µ' || r == 'ÿ' })
}

func TestSortKeys(t *testing.T) {
	want := []string{"The Beatles", "Björk", "Die Fantastischen Vier", "A-ha", "La Roux", "The The", "L'Arpeggiata", "A", "Les Négresses Vertes"}
	slices.SortFunc(want, func(a, b string) int { return cmp.Compare(SortKey(a), SortKey(b)) })
	if got := strings.Join(want, " | "); got != "A | A-ha | L'Arpeggiata | The Beatles | Björk | Die Fantastischen Vier | Les Négresses Vertes | La Roux | The The" {
		t.Error(got)
	}
	for in, key := range map[string]string{
		"Jean Sibelius": "sibelius jean", "Sibelius, Jean": "sibelius jean", "Ludwig van Beethoven": "beethoven ludwig van",
		"Johann Strauss II": "strauss johann ii", "Hildegard": "hildegard", "The Beatles": "the beatles",
	} {
		if got := SurnameKey(in); got != key {
			t.Errorf("%q is sorted by %q, want %q", in, got, key)
		}
	}
	for _, two := range [][2]string{{"Sibelius, Jean", "Jean Sibelius"}, {"Beatles, The", "the beatles"}, {"Dvořák, Antonín", "Antonin Dvorak"}} {
		if Same(two[0]) != Same(two[1]) {
			t.Errorf("%q is another than %q", two[0], two[1])
		}
	}
	if Same("Crosby, Stills & Nash") != "crosby stills nash" {
		t.Error(Same("Crosby, Stills & Nash"))
	}
}

// TestOrderIsStrictWeak asks of the order of albums what a sort relies on.
func TestOrderIsStrictWeak(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := New()
		text := rapid.SampledFrom([]string{"", "The Beatles", "Beatles, The", "beatles", "A", "Björk", "Sibelius, Jean", "Jean Sibelius", "!!!", "東京"})
		var list []album
		for i := range 3 {
			list = append(list, album{id: uint64(rapid.IntRange(0, 1).Draw(t, "id")), artist: c.nameID(text.Draw(t, "artist")),
				year: uint16(rapid.IntRange(0, 2).Draw(t, "year")), name: c.nameID(text.Draw(t, "title")), art: uint64(i)})
		}
		c.shown = make([]nameID, len(c.names))
		for i := range c.shown {
			c.shown[i] = nameID(i)
		}
		less := func(a, b int) bool { return c.byArtist(&list[a], &list[b]) < 0 }
		same := func(a, b int) bool { return !less(a, b) && !less(b, a) }
		for _, p := range [][3]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
			x, y, z := p[0], p[1], p[2]
			if less(x, x) || less(x, y) && less(y, x) || less(x, y) && less(y, z) && !less(x, z) || same(x, y) && same(y, z) && !same(x, z) {
				t.Fatal("no strict weak order", list)
			}
		}
	})
}
