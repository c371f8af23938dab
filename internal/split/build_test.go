package split_test

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"strings"
)

// Builders of files by hand, for what no encoder writes. Each returns bytes;
// cat puts them together.

func cat(parts ...any) []byte {
	var b []byte
	for _, p := range parts {
		switch p := p.(type) {
		case string:
			b = append(b, p...)
		case []byte:
			b = append(b, p...)
		}
	}
	return b
}

func zeros(n int) []byte { return make([]byte, n) }

func le32(n int) []byte { return binary.LittleEndian.AppendUint32(nil, uint32(n)) }
func be32(n int) []byte { return binary.BigEndian.AppendUint32(nil, uint32(n)) }
func le64(n int) []byte { return binary.LittleEndian.AppendUint64(nil, uint64(n)) }
func be64(n int) []byte { return binary.BigEndian.AppendUint64(nil, uint64(n)) }

// noise is bytes that look like nothing, the same every time.
func noise(n int) []byte {
	r := rand.New(rand.NewPCG(1, uint64(n)))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// text is noise without control bytes or anything a parser looks for.
func text(n int) []byte { return bytes.Repeat([]byte("x"), n) }

const frameSize = 417 // of an MP3 at 128 kbit/s and 44.1 kHz

// frame is an MP3 frame whose content begins with s behind its header.
func frame(s string) []byte {
	return cat("\xff\xfb\x90\x00", s, bytes.Repeat([]byte{0x55}, frameSize-4-len(s)))
}

// info is a frame of information; stereo has 32 bytes of side information.
func info(magic string) []byte { return frame(string(zeros(32)) + magic) }

func frames(n int) []byte { return bytes.Repeat(frame(""), n) }

// syncsafe is n in four bytes of seven bits.
func syncsafe(n int) []byte {
	return []byte{byte(n >> 21 & 127), byte(n >> 14 & 127), byte(n >> 7 & 127), byte(n & 127)}
}

// id3 is a tag of the version 2, 3 or 4 with the given flags and content.
func id3(version, flags byte, content ...any) []byte {
	b := cat(content...)
	h := cat([]byte{version, 0, flags}, syncsafe(len(b)))
	if flags&0x10 != 0 {
		return cat("ID3", h, b, "3DI", h)
	}
	return cat("ID3", h, b)
}

// apic is the content of an APIC frame.
func apic(image []byte) []byte { return cat("\x00image/jpeg\x00\x03cover\x00", image) }

// ape is an APEv2 tag with or without header.
func ape(header bool, items ...any) []byte {
	b := cat(items...)
	end := func(flags int) []byte {
		return cat("APETAGEX", le32(2000), le32(len(b)+32), le32(1), le32(flags), zeros(8))
	}
	if !header {
		return cat(b, end(0))
	}
	return cat(end(1<<31|1<<29), b, end(1<<31))
}

// item is an item of an APE tag.
func item(key string, value []byte) []byte {
	return cat(le32(len(value)), zeros(4), key, "\x00", value)
}

func id3v1() []byte { return cat("TAG", text(125)) }

func lyrics1() []byte { return cat("LYRICSBEGIN", text(50), "LYRICSEND") }

func lyrics2() []byte { return cat("LYRICSBEGIN", text(50), "000061LYRICS200") }

// atom is an MP4 box.
func atom(kind string, content ...any) []byte {
	b := cat(content...)
	return cat(be32(8+len(b)), kind, b)
}

// riff is a chunk without its padding.
func riff(id string, content []byte) []byte { return cat(id, le32(len(content)), content) }

// iff is the same for AIFF.
func iff(id string, content []byte) []byte { return cat(id, be32(len(content)), content) }

// flacBlock is a metadata block; kinds above 127 are last.
func flacBlock(kind int, content []byte) []byte {
	return cat([]byte{byte(kind)}, be32(len(content))[1:], content)
}

// flacPicture is the content of a PICTURE block.
func flacPicture(image []byte) []byte {
	return cat(be32(3), be32(10), "image/jpeg", be32(0), zeros(16), be32(len(image)), image)
}

// page is an Ogg page with whole packets, or parts of one if last is false.
func page(flags byte, serial, granule int, last bool, packets ...[]byte) []byte {
	var lacing []byte
	for i, p := range packets {
		lacing = append(lacing, bytes.Repeat([]byte{255}, len(p)/255)...)
		if last || i < len(packets)-1 {
			lacing = append(lacing, byte(len(p)%255))
		}
	}
	return cat("OggS\x00", []byte{flags}, le64(granule), le32(serial), zeros(8),
		[]byte{byte(len(lacing))}, lacing, bytes.Join(packets, nil))
}

// comments is a Vorbis comment of the given fields.
func comments(fields ...string) []byte {
	b := cat(le32(4), "test", le32(len(fields)))
	for _, f := range fields {
		b = cat(b, le32(len(f)), f)
	}
	return b
}

// opusHead are the two header pages of an Opus stream.
func opusHead(serial int) []byte {
	return cat(page(2, serial, 0, true, cat("OpusHead", zeros(11))),
		page(0, serial, 0, true, cat("OpusTags", comments("TITLE=x"))))
}

// spaces is text that stands for XML and other plain files.
func spaces(n int) []byte { return []byte(strings.Repeat("<key>Name</key>\n", n/16+1)[:n]) }
