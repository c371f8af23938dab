package split

import (
	"bytes"
	"strconv"
)

const (
	id3v1Size    = 128
	id3v1PlusLen = 227 // TAG+, in front of an ID3v1 tag
	// maxLyrics1 is the most that Lyrics3 v1 may hold: 5,100 bytes of text
	// between its two words.
	maxLyrics1 = 5100 + len(lyricsBegin) + len(lyricsEnd1)

	lyricsBegin = "LYRICSBEGIN"
	lyricsEnd1  = "LYRICSEND"
	lyricsEnd2  = "LYRICS200"
)

// tailTags peels tags off the end until none is left, in any order and number,
// down to lo. It returns where they begin.
//
// ID3v1 is last in each round: the header of an APE tag that begins 131 bytes
// before the end has its "TAG" where ID3v1 would have it.
func (c *cutter) tailTags(lo, hi int64) int64 {
	for range maxTagCount {
		c.f.bytes(max(lo, hi-minWindow), minWindow) // all that is looked at, in one read
		at := hi
		for _, peel := range []func(lo, hi int64) int64{c.ape, c.lyrics2, c.lyrics1, c.appended, c.id3v1} {
			if at = peel(lo, hi); at < hi {
				break
			}
		}
		if at == hi {
			break
		}
		hi = at
	}
	return hi
}

// id3v1 returns where an ID3v1 tag or its extension that ends at hi begins, hi
// if there is none. Zero bytes in front of it are not its.
func (c *cutter) id3v1(lo, hi int64) int64 {
	for _, t := range []struct {
		size  int64
		magic string
	}{{id3v1Size, "TAG"}, {id3v1PlusLen, "TAG+"}} {
		if hi-t.size >= lo && c.f.has(hi-t.size, t.magic) {
			return hi - t.size
		}
	}
	return hi
}

// lyrics2 does the same for Lyrics3 v2.00: a size of six digits, which counts
// from LYRICSBEGIN to itself, and LYRICS200.
func (c *cutter) lyrics2(lo, hi int64) int64 {
	const footer = 6 + len(lyricsEnd2)
	if hi-int64(footer) < lo {
		return hi
	}
	b := c.f.bytes(hi-int64(footer), footer)
	if len(b) < footer || string(b[6:]) != lyricsEnd2 {
		return hi
	}
	size, err := strconv.ParseUint(string(b[:6]), 10, 32)
	if err != nil {
		return hi
	}
	at := hi - int64(footer) - int64(size)
	if at < lo || !c.f.has(at, lyricsBegin) {
		return hi
	}
	return at
}

// lyrics1 does the same for Lyrics3 v1, which has no size.
func (c *cutter) lyrics1(lo, hi int64) int64 {
	if hi-int64(len(lyricsEnd1)) < lo || !c.f.has(hi-int64(len(lyricsEnd1)), lyricsEnd1) {
		return hi
	}
	from := max(lo, hi-int64(maxLyrics1))
	i := bytes.LastIndex(c.f.bytes(from, int(hi-from)), []byte(lyricsBegin))
	if i < 0 {
		return hi
	}
	return from + int64(i)
}

// appended does the same for an ID3v2.4 tag behind the sound, which its footer
// announces (ID3v2.4 §3.4, §5).
func (c *cutter) appended(lo, hi int64) int64 {
	if hi-2*id3Header < lo {
		return hi
	}
	b := c.f.bytes(hi-id3Header, id3Header)
	if len(b) < id3Header || string(b[:3]) != "3DI" {
		return hi
	}
	size, ok := syncsafe(b[6:])
	at := hi - 2*id3Header - size
	if !ok || at < lo {
		return hi
	}
	t, ok := c.f.id3(at, hi)
	if !ok || t.end != hi {
		return hi
	}
	c.id3Art(t)
	return at
}
