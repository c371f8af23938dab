package musiclib

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"unicode/utf16"
)

// mp3File is a track as iTunes and lame leave it: ID3v2.3 with varying
// padding, often a frame with the stream's length, sometimes ID3v1 behind.
func mp3File(r *rand.Rand, t *track, frames [][]byte) [][]byte {
	padding := []int{0, 1024, 2048, 2048, 4096}[r.IntN(5)]
	out := [][]byte{id3v23(t.tag, t.art, padding)}
	if r.IntN(2) == 0 {
		out = append(out, infoFrame(frames))
	}
	out = append(out, frames...)
	if r.IntN(10) < 3 {
		out = append(out, id3v1(t.tag))
	}
	return out
}

// infoFrame is the silent frame in which encoders note the stream's length;
// "Info" marks a constant bit rate.
func infoFrame(frames [][]byte) []byte {
	size := 0
	for _, f := range frames {
		size += len(f)
	}
	b := make([]byte, 144*bitRate/rate)
	copy(b, frames[0][:4])
	b[2] &^= 2 // no padding byte
	const framesAndBytes = 3
	info := append([]byte("Info"), u32(framesAndBytes, uint32(len(frames)), uint32(size+len(b)))...)
	copy(b[4+32:], info) // behind the header and the side information of two channels
	return b
}

// id3v23 writes a tag of ID3 version 2.3.0.
func id3v23(t tag, art cover, padding int) []byte {
	var b []byte
	frame := func(name string, body []byte) {
		b = append(b, name...)
		b = binary.BigEndian.AppendUint32(b, uint32(len(body)))
		b = append(b, 0, 0)
		b = append(b, body...)
	}
	text := func(name, s string) { frame(name, id3Text(s)) }
	text("TIT2", t.Title)
	text("TPE1", t.Artist)
	text("TPE2", t.Artist)
	text("TALB", t.Album)
	text("TRCK", fmt.Sprintf("%d/%d", t.N, t.Of))
	text("TYER", fmt.Sprint(t.Year))
	text("TCON", t.Genre)
	text("TENC", "iTunes 12.9")
	frame("COMM", []byte("\x00engiTunNORM\x00 00000A12 00000B34 00004C56 00003D78 00000E9A 00000F12 00008000 00008000"))
	if len(art.jpeg) > 0 {
		frame("APIC", append([]byte("\x00image/jpeg\x00\x03\x00"), art.jpeg...))
	}
	n := len(b) + padding
	head := append([]byte("ID3\x03\x00\x00"), byte(n>>21&127), byte(n>>14&127), byte(n>>7&127), byte(n&127))
	return append(append(head, b...), make([]byte, padding)...)
}

// id3Text is s in ISO 8859-1 if that can hold it, otherwise in UTF-16 with a
// byte order mark.
func id3Text(s string) []byte {
	if latin, ok := latin1(s); ok {
		return append([]byte{0}, latin...)
	}
	b := []byte{1, 0xFF, 0xFE}
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

// latin1 encodes s with '?' for what ISO 8859-1 lacks, and says whether all fits.
func latin1(s string) (b []byte, ok bool) {
	ok = true
	for _, c := range s {
		if c > 0xFF {
			c, ok = '?', false
		}
		b = append(b, byte(c))
	}
	return b, ok
}

// id3v1 writes the 128 bytes of ID3 version 1.1.
func id3v1(t tag) []byte {
	b := make([]byte, 128)
	copy(b, "TAG")
	field := func(at, n int, s string) {
		l, _ := latin1(s)
		copy(b[at:at+n], l)
	}
	field(3, 30, t.Title)
	field(33, 30, t.Artist)
	field(63, 30, t.Album)
	field(93, 4, fmt.Sprint(t.Year))
	b[126], b[127] = byte(t.N), 12 // genre "Other"
	return b
}
