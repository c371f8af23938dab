package label

import (
	"encoding/binary"
	"strings"
)

// vorbisKeys are the names of fields as free-form tags have them, squashed:
// Vorbis comments, APE items, Matroska tags, TXXX frames.
var vorbisKeys = map[string]field{
	"TITLE": title, "ARTIST": artist, "ALBUM": album, "ALBUMARTIST": albumArtist, "COMPOSER": composer, "GENRE": genre,
	"DATE": year, "YEAR": year, "TRACKNUMBER": track, "TRACK": track, "DISCNUMBER": disc, "DISC": disc,
	"ARTISTSORT": artistSort, "ALBUMARTISTSORT": albumArtistSort, "COMPOSERSORT": composerSort,
}

// squash makes one name of the ways to write it: "Album Artist", "album_artist".
func squash(name string) string { return strings.ToUpper(squasher.Replace(name)) }

var squasher = strings.NewReplacer(" ", "", "_", "", "-", "")

// comments reads a Vorbis comment at off: a vendor, a count, and as many
// KEY=value, each with its length before it.
func (f *file) comments(r reader, off int64) {
	n, ok := length(r, off)
	if !ok {
		return
	}
	f.mark("ENCODER", string(r.bytes(off+4, int(min(n, maxText)))))
	off += 4 + n
	count, ok := length(r, off)
	if !ok {
		return
	}
	off += 4
	s := set{}
	for range min(count, maxSteps) {
		n, ok := length(r, off)
		if !ok {
			break
		}
		if off += 4; n <= maxField { // more is a picture
			if key, v, ok := strings.Cut(string(r.bytes(off, int(n))), "="); ok {
				f.mark(key, v)
				s.add(vorbisKeys[squash(key)], v)
			}
		}
		off += n
	}
	f.merge(s)
}

// length reads the little-endian number before a text.
func length(r reader, off int64) (int64, bool) {
	b := r.bytes(off, 4)
	if b == nil {
		return 0, false
	}
	return int64(binary.LittleEndian.Uint32(b)), true
}

// flac reads the metadata blocks behind fLaC, RFC 9639 §8.
func (f *file) flac(lo int64) {
	f.l.Format = "FLAC"
	at := lo + 4
	for range maxSteps {
		b := f.bytes(at, 4)
		if b == nil {
			return
		}
		last, size := b[0]&0x80 != 0, int64(binary.BigEndian.Uint32(b)&0xFFFFFF)
		switch b[0] & 0x7F {
		case 0:
			f.streamInfo(f.bytes(at+4, 34))
		case 4:
			f.comments(f.source, at+4)
		case 5:
			f.cueSheet(f.bytes(at+4, 137))
		}
		if at += 4 + size; last {
			return
		}
	}
}

// streamInfo reads rate and number of samples, RFC 9639 §8.2.
func (f *file) streamInfo(b []byte) {
	if b == nil {
		return
	}
	rate := binary.BigEndian.Uint32(b[10:]) >> 12
	samples := binary.BigEndian.Uint64(b[10:]) & (1<<36 - 1)
	f.duration(float64(samples), float64(rate))
}

// cueSheet takes the table of contents of a CD for a rip, RFC 9639 §8.7.
func (f *file) cueSheet(b []byte) {
	if b != nil && b[136]&0x80 != 0 {
		f.mark("CUESHEET", "")
	}
}
