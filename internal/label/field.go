package label

import (
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// field is one of the things that a label holds.
type field uint8

const (
	title field = iota + 1
	artist
	album
	albumArtist
	composer
	genre
	year
	track
	disc
	artistSort
	albumArtistSort
	composerSort
)

// set is what one tag says: the values of each field in their order.
type set map[field][]string

func (s set) add(f field, v string) {
	if v = clean(v); v != "" && f != 0 && len(s[f]) < 16 {
		s[f] = append(s[f], v)
	}
}

// clean makes a value fit to be shown and kept.
func clean(v string) string {
	v = strings.TrimSpace(strings.Trim(v, "\x00"))
	if !utf8.ValidString(v) {
		v = strings.ToValidUTF8(v, "\uFFFD")
	}
	if len(v) > maxText {
		v = strings.ToValidUTF8(v[:maxText], "")
	}
	return v
}

// maxText is the longest text of a label, in bytes.
const maxText = 1 << 10

// file is a file whose label is being read.
type file struct {
	*source
	l      Label
	bought bool
	ripped bool

	sound, firstSound int64 // bytes of sound, and where it begins
}

// merge fills what the label does not say yet from a tag.
func (f *file) merge(s set) {
	text := func(p *string, k field) {
		if *p == "" {
			*p = strings.Join(s[k], "; ")
		}
	}
	number := func(p *int, k field, parse func(string) int) {
		if *p == 0 && len(s[k]) > 0 {
			*p = parse(s[k][0])
		}
	}
	text(&f.l.Title, title)
	text(&f.l.Artist, artist)
	text(&f.l.Album, album)
	text(&f.l.AlbumArtist, albumArtist)
	text(&f.l.Composer, composer)
	text(&f.l.Genre, genre)
	text(&f.l.ArtistSort, artistSort)
	text(&f.l.AlbumArtistSort, albumArtistSort)
	text(&f.l.ComposerSort, composerSort)
	number(&f.l.Year, year, yearOf)
	number(&f.l.Track, track, numberOf)
	number(&f.l.Disc, disc, numberOf)
}

// finish makes the label consistent.
func (f *file) finish() {
	f.l.Bought, f.l.Ripped = f.bought, f.ripped && !f.bought
	f.seconds(f.l.Seconds)
}

// seconds sets the length, to the millisecond; nonsense is unknown.
func (f *file) seconds(s float64) {
	const longest = 1 << 24 // half a year
	if !(s > 0 && s < longest) {
		s = 0
	}
	f.l.Seconds = float64(int64(s*1000+0.5)) / 1000
}

// duration sets the length to units of which there are rate in a second.
func (f *file) duration(units, rate float64) {
	if rate > 0 {
		f.seconds(units / rate)
	}
}

// numberOf reads the number that a text begins with, as in "3/12".
func numberOf(s string) int {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	v, err := strconv.ParseUint(s[:n], 10, 31)
	if err != nil {
		return 0
	}
	return int(v)
}

// yearOf finds the first four digits in a row: dates are written in many ways.
func yearOf(s string) int {
	run := 0
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			run = 0
			continue
		}
		if run++; run == 4 {
			return numberOf(s[i-3 : i+1])
		}
	}
	return 0
}

// latin1 decodes ISO 8859-1.
func latin1(b []byte) string {
	r := make([]rune, len(b))
	for i, c := range b {
		r[i] = rune(c)
	}
	return string(r)
}

// utf16Text decodes UTF-16 in the order that its mark says, big as told without
// one.
func utf16Text(b []byte, big bool) string {
	if len(b) >= 2 {
		switch {
		case b[0] == 0xFF && b[1] == 0xFE:
			b, big = b[2:], false
		case b[0] == 0xFE && b[1] == 0xFF:
			b, big = b[2:], true
		}
	}
	u := make([]uint16, len(b)/2)
	for i := range u {
		hi, lo := b[2*i+1], b[2*i]
		if big {
			hi, lo = lo, hi
		}
		u[i] = uint16(hi)<<8 | uint16(lo)
	}
	return string(utf16.Decode(u))
}

// legacy decodes text of a time without rules: UTF-8 if it is that, ISO 8859-1
// otherwise.
func legacy(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	return latin1(b)
}
