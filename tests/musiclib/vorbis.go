package musiclib

import (
	"encoding/binary"
	"fmt"
)

var le = binary.LittleEndian

// vorbisComment is the body that FLAC, Vorbis and Opus share: vendor and
// name=value pairs, with little-endian lengths.
func vorbisComment(vendor string, t tag, extra ...string) []byte {
	str := func(b []byte, s string) []byte { return append(le.AppendUint32(b, uint32(len(s))), s...) }
	pairs := append([]string{
		"TITLE=" + t.Title, "ARTIST=" + t.Artist, "ALBUMARTIST=" + t.Artist, "ALBUM=" + t.Album,
		fmt.Sprintf("TRACKNUMBER=%d", t.N), fmt.Sprintf("TRACKTOTAL=%d", t.Of),
		fmt.Sprintf("DATE=%d", t.Year), "GENRE=" + t.Genre,
	}, extra...)
	b := str(nil, vendor)
	b = le.AppendUint32(b, uint32(len(pairs)))
	for _, p := range pairs {
		b = str(b, p)
	}
	return b
}

// pictureBlock is FLAC's METADATA_BLOCK_PICTURE (RFC 9639, 8.8) of a front
// cover, which Ogg carries as text.
func pictureBlock(c cover) []byte {
	const frontCover, depth = 3, 24
	mime := "image/jpeg"
	b := u32(frontCover, uint32(len(mime)))
	b = append(b, mime...)
	b = append(b, u32(0, uint32(c.side), uint32(c.side), depth, 0, uint32(len(c.jpeg)))...)
	return append(b, c.jpeg...)
}
