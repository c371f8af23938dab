package musiclib

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
)

var be = binary.BigEndian

// box writes an MP4 box (ISO/IEC 14496-12, 4.2) around the parts.
func box(name string, parts ...[]byte) []byte {
	n := 8
	for _, p := range parts {
		n += len(p)
	}
	b := append(be.AppendUint32(make([]byte, 0, n), uint32(n)), name...)
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

// fullBox is a box with version 0 and no flags.
func fullBox(name string, parts ...[]byte) []byte {
	return box(name, append([][]byte{make([]byte, 4)}, parts...)...)
}

func u32(v ...uint32) []byte {
	b := make([]byte, 0, 4*len(v))
	for _, x := range v {
		b = be.AppendUint32(b, x)
	}
	return b
}

func u16(v ...uint16) []byte {
	b := make([]byte, 0, 2*len(v))
	for _, x := range v {
		b = be.AppendUint16(b, x)
	}
	return b
}

const (
	samplesPerFrame = 1024
	framesPerChunk  = 22 // half a second
)

// m4aFile is a track as iTunes leaves it, moov before or behind the sound.
func m4aFile(r *rand.Rand, t *track, frames [][]byte) [][]byte {
	udta := box("udta", fullBox("meta",
		fullBox("hdlr", make([]byte, 4), []byte("mdirappl"), make([]byte, 9)),
		ilst(t.tag, t.art),
		box("free", make([]byte, []int{0, 2048, 8192}[r.IntN(3)]))))
	ftyp := box("ftyp", []byte("M4A \x00\x00\x00\x00M4A mp42isom\x00\x00\x00\x00"))
	size := 8
	for _, f := range frames {
		size += len(f)
	}
	mdat := append([][]byte{append(u32(uint32(size)), "mdat"...)}, frames...)
	if t.kind == M4ABack {
		return append(append([][]byte{ftyp}, mdat...), moov(frames, len(ftyp)+8, udta))
	}
	at := len(ftyp) + len(moov(frames, 0, udta)) + 8
	return append([][]byte{ftyp, moov(frames, at, udta)}, mdat...)
}

// ilst holds iTunes' tags.
func ilst(t tag, art cover) []byte {
	const (
		binaryData = 0
		utf8Data   = 1
		jpegData   = 13
	)
	item := func(name string, kind uint32, body []byte) []byte {
		return box(name, box("data", u32(kind, 0), body))
	}
	parts := [][]byte{
		item("\xa9nam", utf8Data, []byte(t.Title)),
		item("\xa9ART", utf8Data, []byte(t.Artist)),
		item("aART", utf8Data, []byte(t.Artist)),
		item("\xa9alb", utf8Data, []byte(t.Album)),
		item("\xa9day", utf8Data, fmt.Append(nil, t.Year)),
		item("\xa9gen", utf8Data, []byte(t.Genre)),
		item("trkn", binaryData, u16(0, uint16(t.N), uint16(t.Of), 0)),
	}
	if len(art.jpeg) > 0 {
		parts = append(parts, item("covr", jpegData, art.jpeg))
	}
	parts = append(parts, box("----",
		fullBox("mean", []byte("com.apple.iTunes")),
		fullBox("name", []byte("iTunNORM")),
		box("data", u32(utf8Data, 0), []byte(" 00000A12 00000B34 00004C56 00003D78 00000E9A 00000F12 00008000 00008000"))))
	return box("ilst", parts...)
}

// moov describes frames that lie one behind the other from offset at.
func moov(frames [][]byte, at int, udta []byte) []byte {
	length := uint32(len(frames) * samplesPerFrame)
	matrix := u32(0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
	mvhd := fullBox("mvhd", u32(0, 0, rate, length, 0x10000), u16(0x100), make([]byte, 10), matrix, make([]byte, 24), u32(2))
	tkhd := box("tkhd", u32(7, 0, 0, 1, 0, length), make([]byte, 8), u16(0, 0, 0x100, 0), matrix, make([]byte, 8))
	mdhd := fullBox("mdhd", u32(0, 0, rate, length), u16(0x55C4, 0)) // language "und"
	hdlr := fullBox("hdlr", make([]byte, 4), []byte("soun"), make([]byte, 13))
	dinf := box("dinf", fullBox("dref", u32(1), box("url ", u32(1)))) // the sound is in this file
	minf := box("minf", fullBox("smhd", make([]byte, 4)), dinf, sampleTable(frames, at))
	return box("moov", mvhd, box("trak", tkhd, box("mdia", mdhd, hdlr, minf)), udta)
}

// sampleTable is the box stbl: format, duration, chunk, size and place of each frame.
func sampleTable(frames [][]byte, at int) []byte {
	n := len(frames)
	sizes := make([]uint32, n)
	var offsets []uint32
	for i, f := range frames {
		if i%framesPerChunk == 0 {
			offsets = append(offsets, uint32(at))
		}
		sizes[i] = uint32(len(f))
		at += len(f)
	}
	var runs []uint32 // first chunk, frames a chunk, description
	full, rest := uint32(n/framesPerChunk), uint32(n%framesPerChunk)
	if full > 0 {
		runs = append(runs, 1, framesPerChunk, 1)
	}
	if rest > 0 {
		runs = append(runs, full+1, rest, 1)
	}
	return box("stbl",
		fullBox("stsd", u32(1), sampleEntry()),
		fullBox("stts", u32(1, uint32(n), samplesPerFrame)),
		fullBox("stsc", u32(uint32(len(runs)/3)), u32(runs...)),
		fullBox("stsz", u32(0, uint32(n)), u32(sizes...)),
		fullBox("stco", u32(uint32(len(offsets))), u32(offsets...)))
}

// sampleEntry describes AAC-LC at 44.1 kHz in two channels. Its esds holds the
// descriptors of ISO/IEC 14496-1, 7.2.6: stream 3, decoder 4, its
// configuration 5, and 6.
func sampleEntry() []byte {
	esds := append([]byte("\x03\x19\x00\x00\x00\x04\x11\x40\x15\x00\x00\x00"), u32(bitRate, bitRate)...)
	esds = append(esds, "\x05\x02\x12\x10\x06\x01\x02"...)
	return box("mp4a", make([]byte, 6), u16(1), make([]byte, 8), u16(2, 16, 0, 0, rate, 0), fullBox("esds", esds))
}
