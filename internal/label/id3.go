package label

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"io"
	"strconv"
	"strings"
)

// id3Keys are the frames of ID3v2.3 and 2.4, and those of 2.2 with names of three
// letters.
var id3Keys = map[string]field{
	"TIT2": title, "TPE1": artist, "TALB": album, "TPE2": albumArtist, "TCOM": composer, "TCON": genre,
	"TDRC": year, "TYER": year, "TDRL": year, "TRCK": track, "TPOS": disc,
	"TT2": title, "TP1": artist, "TAL": album, "TP2": albumArtist, "TCM": composer, "TCO": genre,
	"TYE": year, "TRK": track, "TPA": disc,
	"TSOP": artistSort, "TSO2": albumArtistSort, "TSOC": composerSort,
	"TSP": artistSort, "TS2": albumArtistSort, "TSC": composerSort,
}

// id3Head reads the ID3v2 tags at off and returns where they end.
func (f *file) id3Head(off int64) int64 {
	for range 64 {
		end, ok := f.id3(f.source, off)
		if !ok {
			break
		}
		off = end
	}
	return off
}

// id3 reads the ID3v2 tag at off in r, ID3v2.4 §3.
func (f *file) id3(r reader, off int64) (end int64, ok bool) {
	h := r.bytes(off, 10)
	if h == nil || string(h[:3]) != "ID3" || h[3] < 2 || h[3] > 4 || h[4] == 0xFF {
		return 0, false
	}
	t := id3Tag{file: f, r: r, version: h[3], at: off + 10, values: set{}}
	flags, size := h[5], syncsafe(h[6:])
	if size < 0 {
		return 0, false
	}
	t.end = t.at + size
	end = t.end
	if t.version == 4 && flags&0x10 != 0 { // a footer
		end += 10
	}
	if flags&0x80 != 0 {
		t.unsync = true
		if t.version < 4 { // the whole tag, not its frames
			b := unsync(r.bytes(t.at, int(min(size, maxRead/4))))
			t.r, t.at, t.end, t.unsync = memory(b), 0, int64(len(b)), false
		}
	}
	if flags&0x40 != 0 {
		if t.version == 2 { // compressed, by a method that was never told
			return end, true
		}
		t.skipExtended()
	}
	t.frames()
	f.merge(t.values)
	return end, true
}

// id3Tag is a tag whose frames are read.
type id3Tag struct {
	*file
	r       reader
	version byte
	unsync  bool
	at, end int64
	values  set
}

// skipExtended skips the extended header, whose size has itself in it since 2.4.
func (t *id3Tag) skipExtended() {
	b := t.r.bytes(t.at, 4)
	if b == nil {
		return
	}
	if t.version == 3 {
		t.at += 4 + int64(binary.BigEndian.Uint32(b))
	} else {
		t.at += max(0, syncsafe(b))
	}
}

func (t *id3Tag) frames() {
	for range maxSteps {
		if !t.frame() {
			return
		}
	}
}

// frame reads the next frame: ID3v2.2 §3.2, ID3v2.3 §3.3, ID3v2.4 §4.
func (t *id3Tag) frame() bool {
	header, letters := 10, 4
	if t.version == 2 {
		header, letters = 6, 3
	}
	b := t.r.bytes(t.at, header)
	if b == nil || t.at+int64(header) > t.end || !isFrameID(b[:letters]) {
		return false
	}
	id, body := string(b[:letters]), t.at+int64(header)
	var size int64
	var flags byte
	switch t.version {
	case 2:
		size = int64(b[3])<<16 | int64(b[4])<<8 | int64(b[5])
	case 3:
		size, flags = int64(binary.BigEndian.Uint32(b[4:])), b[9]
	default:
		flags = b[9]
		size = t.size24([4]byte(b[4:8]), body)
	}
	if size < 0 || size > t.end-body {
		return false
	}
	t.at = body + size
	if wanted(id) && size > 0 {
		if b := t.content(body, int(min(size, maxField)), flags); len(b) > 0 {
			t.take(id, b)
		}
	}
	return true
}

// size24 reads the size of a frame of 2.4. iTunes and others wrote plain
// numbers: of two that differ, the one is right that leads to a frame, to
// padding or to the end.
func (t *id3Tag) size24(b [4]byte, body int64) int64 {
	plain, safe := int64(binary.BigEndian.Uint32(b[:])), syncsafe(b[:])
	if safe < 0 || safe != plain && !t.leads(body+safe) && t.leads(body+plain) {
		return plain
	}
	return safe
}

func (t *id3Tag) leads(off int64) bool {
	if off >= t.end {
		return off == t.end
	}
	b := t.r.bytes(off, 4)
	return b != nil && (b[0] == 0 || isFrameID(b))
}

// wanted reports whether a frame is worth reading: texts, and where shops and
// rippers leave marks.
func wanted(id string) bool {
	switch id {
	case "COMM", "COM", "PRIV", "MCDI", "MCI", "UFID", "UFI":
		return true
	}
	return id[0] == 'T' || id[0] == 'W'
}

// content returns a frame's content without what its flags put around it.
func (t *id3Tag) content(off int64, n int, flags byte) []byte {
	b := t.r.bytes(off, n)
	cut := func(n int) { b = b[min(n, len(b)):] }
	var deflated, unsynced bool
	switch t.version {
	case 3: // ID3v2.3 §3.3.1
		if flags&0x40 != 0 { // encrypted
			return nil
		}
		if deflated = flags&0x80 != 0; deflated {
			cut(4)
		}
		if flags&0x20 != 0 { // group
			cut(1)
		}
	case 4: // ID3v2.4 §4.1.2
		if flags&0x04 != 0 {
			return nil
		}
		if flags&0x40 != 0 {
			cut(1)
		}
		if flags&0x01 != 0 { // length of the data
			cut(4)
		}
		deflated, unsynced = flags&0x08 != 0, t.unsync || flags&0x02 != 0
	}
	if unsynced {
		b = unsync(b)
	}
	if deflated {
		b = inflate(b)
	}
	return b
}

// inflate is as lenient as it can be: what came out before an error counts.
func inflate(b []byte) []byte {
	z, err := zlib.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil
	}
	out, _ := io.ReadAll(io.LimitReader(z, maxField)) // what came is what there is
	return out
}

// take keeps what a frame says.
func (t *id3Tag) take(id string, b []byte) {
	switch {
	case id == "PRIV" || id == "UFID" || id == "UFI":
		owner, _, _ := bytes.Cut(b, []byte{0})
		t.mark("PRIV", latin1(owner))
	case id == "MCDI" || id == "MCI":
		t.mark("MCDI", "")
	case id == "COMM" || id == "COM":
		if len(b) > 4 {
			about, text := described(b[0], b[4:])
			t.mark(orElse(about, "COMMENT"), text)
		}
	case id == "TXXX" || id == "TXX":
		about, text := described(b[0], b[1:])
		t.mark(about, text)
		t.values.add(vorbisKeys[squash(about)], text)
	case id == "WXXX" || id == "WXX":
		_, text := described(b[0], b[1:])
		t.mark("URL", text)
	case id[0] == 'W':
		t.mark("URL", latin1(b))
	default:
		for _, v := range id3Texts(b[0], b[1:]) {
			t.mark(id, v)
			if id3Keys[id] == genre {
				v = genreOf(v)
			}
			t.values.add(id3Keys[id], v)
		}
	}
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// described splits a description from the text behind it.
func described(encoding byte, b []byte) (about, text string) {
	v := strings.SplitN(id3Text(encoding, b), "\x00", 2)
	if len(v) < 2 {
		return "", clean(v[0])
	}
	// Each has a mark of its own; the second is in the middle here.
	return clean(v[0]), clean(strings.TrimPrefix(v[1], "\uFEFF"))
}

// id3Texts decodes a text frame, which may have many values.
func id3Texts(encoding byte, b []byte) []string {
	v := strings.Split(strings.TrimRight(id3Text(encoding, b), "\x00"), "\x00")
	for i := range v {
		v[i] = strings.TrimPrefix(v[i], "\uFEFF")
	}
	return v
}

// id3Text decodes text by its encoding, ID3v2.4 §4. Many who wrote "ISO 8859-1"
// meant it, so it is taken at its word.
func id3Text(encoding byte, b []byte) string {
	switch encoding {
	case 0:
		return latin1(b)
	case 1:
		return utf16Text(b, false)
	case 2:
		return utf16Text(b, true)
	}
	return string(b)
}

// unsync takes away the zero bytes that were put behind 0xFF, ID3v2.4 §6.1.
func unsync(b []byte) []byte {
	out := make([]byte, 0, len(b))
	for i, c := range b {
		if c != 0 || i == 0 || b[i-1] != 0xFF {
			out = append(out, c)
		}
	}
	return out
}

// syncsafe reads a 28-bit number in four bytes of seven bits; -1 if it is none.
func syncsafe(b []byte) int64 {
	if (b[0]|b[1]|b[2]|b[3])&0x80 != 0 {
		return -1
	}
	return int64(b[0])<<21 | int64(b[1])<<14 | int64(b[2])<<7 | int64(b[3])
}

func isFrameID(b []byte) bool {
	for _, c := range b {
		if (c < 'A' || c > 'Z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// genreOf resolves "17", "(17)" and "(4)Eurodisco", ID3v2.3 §4.2.1.
func genreOf(s string) string {
	if n, err := strconv.Atoi(s); err == nil {
		return genreName(n, s)
	}
	if !strings.HasPrefix(s, "(") || strings.HasPrefix(s, "((") {
		return strings.TrimPrefix(s, "(")
	}
	number, rest, ok := strings.Cut(s[1:], ")")
	if !ok || rest != "" && !strings.HasPrefix(rest, "(") {
		return orElse(rest, s)
	}
	n, err := strconv.Atoi(number)
	if err != nil {
		return number
	}
	return genreName(n, s)
}

// id3v1 reads the tag of 128 bytes that ends the file.
func (f *file) id3v1(b []byte) {
	s := set{}
	for i, k := range []field{title, artist, album} {
		s.add(k, legacy(bytes.TrimRight(b[3+30*i:33+30*i], "\x00 ")))
	}
	s.add(year, string(b[93:97]))
	if b[125] == 0 && b[126] != 0 {
		s.add(track, strconv.Itoa(int(b[126])))
	}
	s.add(genre, genreName(int(b[127]), ""))
	f.mark("COMMENT", legacy(b[97:125]))
	f.merge(s)
}
