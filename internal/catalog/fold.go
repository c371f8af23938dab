package catalog

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// spelled are letters that no normalization form takes apart, as they are typed by
// people without the key, and letters that are another form of one.
var spelled = map[rune]string{
	'ß': "ss", 'æ': "ae", 'œ': "oe", 'ø': "o", 'ł': "l", 'đ': "d", 'ð': "d", 'þ': "th",
	'ħ': "h", 'ı': "i", 'ŋ': "n", 'ŧ': "t", 'ƒ': "f", 'ə': "e", 'ɐ': "a", 'ς': "σ",
}

// Fold gives the form of a text that is searched and compared: lower case, without
// diacritics, its words apart by single spaces. Apostrophes and dots are dropped, so
// that "R.E.M." is "rem", and what else is neither letter nor digit parts words. A
// text that has none keeps what it has, or a song called "!!!" could not be found.
func Fold(s string) string {
	if out, plain := foldASCII(s); plain {
		return out
	}
	return foldRunes(s)
}

// foldASCII folds what needs no tables, which is most of it.
func foldASCII(s string) (string, bool) {
	out := make([]byte, 0, len(s))
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= utf8.RuneSelf:
			return "", false
		case c >= 'A' && c <= 'Z':
			out = append(out, c+'a'-'A')
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
			out = append(out, c)
		case dropped(rune(c)):
		case len(out) > 0 && out[len(out)-1] != ' ':
			out = append(out, ' ')
		}
	}
	if len(out) > 0 && out[len(out)-1] == ' ' {
		out = out[:len(out)-1]
	}
	if len(out) == 0 {
		return signs(s), true
	}
	return string(out), true
}

func foldRunes(s string) string {
	out := make([]byte, 0, len(s)+8)
	apart := false
	for _, r := range norm.NFKD.String(s) {
		if r = unicode.ToLower(r); unicode.Is(unicode.M, r) || dropped(r) {
			continue
		}
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			apart = true
			continue
		}
		if apart && len(out) > 0 {
			out = append(out, ' ')
		}
		apart = false
		if r >= 'ァ' && r <= 'ヶ' { // katakana, as who types writes hiragana
			r -= 'ァ' - 'ぁ'
		}
		if as, ok := spelled[r]; ok {
			out = append(out, as...)
		} else {
			out = utf8.AppendRune(out, r)
		}
	}
	if len(out) == 0 {
		return signs(s)
	}
	return string(out)
}

// dropped are signs within words.
func dropped(r rune) bool {
	switch r {
	case '\'', '.', '’', '‘', '`', '´', 'ʼ', '\u00AD', '\u200B', '\u200D':
		return true
	}
	return false
}

// signs folds a text without letters and digits.
func signs(s string) string {
	return strings.Join(strings.Fields(strings.ToValidUTF8(norm.NFKD.String(s), "\uFFFD")), " ")
}
