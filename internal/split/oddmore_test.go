package split_test

import (
	"bytes"
	"testing"

	"github.com/tunesafe/tunesafe/tests/musiclib"
)

// object is an ASF object.
func object(guid string, content ...any) []byte {
	b := cat(content...)
	return cat(guid, le64(24+len(b)), b)
}

const (
	guidHeader    = "\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c"
	guidData      = "\x36\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c"
	guidIndex     = "\x90\x08\x00\x33\xb1\xe5\xcf\x11\x89\xf4\x00\xa0\xc9\x03\x49\xcb"
	guidExtension = "\xb5\x03\xbf\x5f\x2e\xa9\xcf\x11\x8e\xe3\x00\xc0\x0c\x20\x53\x65"
	guidContent   = "\x40\xa4\xd0\xd2\x07\xe3\xd2\x11\x97\xf0\x00\xa0\xc9\x5e\xa8\x50"
	guidLibrary   = "\x94\x1c\x23\x44\x98\x94\xd1\x49\xa1\x41\x1d\x13\x4e\x45\x70\x54"
)

// utf16 is ASCII in UTF-16, with a zero at the end.
func utf16(s string) []byte {
	var b []byte
	for _, c := range s + "\x00" {
		b = append(b, byte(c), 0)
	}
	return b
}

func le16(n int) []byte { return le32(n)[:2] }

// wmPicture is the value of a picture in ASF, 39 bytes and the image.
func wmPicture(image []byte) []byte {
	return cat("\x03", le32(len(image)), utf16("image/jpeg"), utf16("cover"), image)
}

// asf is a file with the given objects in its header, and packets of n bytes.
func asf(n int, header ...any) []byte {
	return cat(object(guidHeader, le32(1), "\x01\x02", cat(header...)), object(guidData, zeros(26), noise(n)))
}

func TestASF(t *testing.T) {
	image := noise(2000)
	name, value := utf16("WM/Picture"), wmPicture(image)
	content := object(guidContent, le16(1), le16(len(name)), name, le16(1), le16(len(value)), value)
	library := object(guidExtension, zeros(22), object(guidLibrary, le16(1), zeros(4), le16(len(name)), le16(1), le32(len(value)), name, value))
	plain := asf(100)
	check(t, []caseOf{
		{"plain", plain, "tags:80 probe:100"},
		{"picture", asf(100, content), "tags:123 art:2000 tags:50 probe:100"},
		{"picture in the library", asf(100, library), "tags:175 art:2000 tags:50 probe:100"},
		{"index", cat(plain, object(guidIndex, zeros(76)), "12345678"), "tags:80 probe:100 index:100 data:8"},
		{"live: no size", cat(asf(0)[:46], zeros(8), zeros(26), noise(500)), "tags:80 probe:500"},
		{"cut off", plain[:150], "tags:80 probe:70"},
		{"without packets", asf(0), "data:80"},
		{"size too small", cat(guidHeader, le64(3), plain[24:]), "data:180"},
		{"size enormous", cat(guidHeader, le64(-1), plain[24:]), "data:180"},
		{"attribute beyond its object", asf(100, object(guidContent, le16(9), le16(len(name)), name, le16(1), le16(9000), value)), "tags:2173 probe:100"},
		{"name longer than its object", asf(100, object(guidContent, le16(9), le16(60000), name)), "tags:130 probe:100"},
		{"image longer than its attribute", asf(100, object(guidContent, le16(1), le16(len(name)), name, le16(1), le16(len(value)), "\x03", le32(1<<30), value[5:])),
			"tags:123 art:2000 tags:50 probe:100"},
		{"tag in front", cat(id3(3, 0, text(90)), plain), "tags:180 probe:100"},
	})
}

// ebml is an element, its size in eight bytes.
func ebml(id string, content ...any) []byte {
	b := cat(content...)
	size := be64(len(b))
	size[0] = 1
	return cat(id, size, b)
}

// wide is a chunk with a size of 64 bits, as in DSDIFF and CAF.
func wide(id string, content []byte) []byte { return cat(id, be64(len(content)), content) }

const unknown = "\x01\xff\xff\xff\xff\xff\xff\xff"

func TestMatroska(t *testing.T) {
	const segment, cluster = "\x18\x53\x80\x67", "\x1f\x43\xb6\x75"
	image := noise(2000)
	head := ebml("\x1a\x45\xdf\xa3", zeros(10))                                    // 22 bytes
	info := ebml("\x15\x49\xa9\x66", zeros(10))                                    // 22
	cues := ebml("\x1c\x53\xbb\x6b", zeros(10))                                    // 22
	block := cat("\xa3\x40\x64", zeros(100))                                       // 103
	sound := func(n int) []byte { return ebml(cluster, "\xe7\x81\x00", noise(n)) } // 15 and n
	file := func(mime string) []byte {
		return ebml("\x61\xa7", "\x46\x5c\x47\xd0", image, ebml("\x46\x60", mime))
	}
	attached := func(mime string) []byte { return ebml("\x19\x41\xa4\x69", file(mime)) }
	check(t, []caseOf{
		{"plain", cat(head, ebml(segment, info, sound(100), sound(100), cues)),
			"tags:56 index:12 probe:103 index:12 probe:103 seals:22"},
		{"unknown sizes", cat(head, segment, unknown, info, cluster, unknown, "\xe7\x81\x00", block, block, cluster, unknown, block, cues),
			"tags:56 index:12 probe:209 index:12 probe:103 seals:22"},
		{"next segment", cat(head, segment, unknown, cluster, unknown, block, head, segment, unknown, cluster, unknown, block),
			"tags:34 index:12 probe:103 tags:34 index:12 probe:103"},
		{"picture", cat(head, ebml(segment, attached("image/png"), sound(100))), "tags:60 art:2000 tags:19 index:12 probe:103"},
		{"font", cat(head, ebml(segment, attached("font/ttf"), sound(100))), "tags:2078 index:12 probe:103"},
		{"tracks", cat(head, ebml(segment, info, ebml("\x16\x54\xae\x6b", zeros(100)), sound(100))), "tags:56 index:124 probe:103"},
		{"void", cat(head, ebml(segment, ebml("\xec", zeros(100)), sound(100), ebml("\xec", zeros(10)))), "tags:143 index:12 probe:103 tags:19"},
		{"cluster cut off", cat(head, ebml(segment, info, sound(100)))[:100], "tags:56 index:12 probe:32"},
		{"no clusters", cat(head, ebml(segment, info)), "data:56"},
		{"no segment", cat(head, text(100)), "data:122"},
		{"unknown size elsewhere", cat(head, segment, unknown, "\x15\x49\xa9\x66", unknown, sound(100)), "data:161"},
		{"trash behind", cat(head, ebml(segment, sound(100)), zeros(100)), "tags:34 index:12 probe:103 data:100"},
		{"no name", cat("\x1a\x45\xdf\xa3\x80", "\x00\x00\x00\x00", sound(100)), "data:124"},
	})
}

func TestStreams(t *testing.T) {
	wv := cat("wvpk", le32(192), "\x10\x04", zeros(190))
	check(t, []caseOf{
		{"WavPack", wv, "probe:200"},
		{"WavPack between tags", cat(id3(3, 0, text(90)), wv, ape(true, item("Title", text(20))), id3v1()), "tags:100 probe:200 tags:226"},
		{"WavPack of no version", cat("wvpk", le32(192), "\x10\x09", zeros(190)), "data:200"},
		{"Monkey's Audio", cat(musiclib.MonkeysAudio(noise(116))), "probe:200"},
		{"TTA", cat("TTA1\x01\x00\x02\x00", zeros(92), id3v1()), "probe:100 tags:128"},
		{"TTA of no format", cat("TTA1\x09\x00\x02\x00", zeros(92)), "data:100"},
		{"TTA2", cat("TTA2", zeros(96)), "probe:100"},
		{"OptimFROG", cat(musiclib.OptimFROG(noise(100))), "probe:131"},
		{"OptimFROG of no header", cat("OFR ", zeros(96)), "data:100"},
		{"TAK", cat(musiclib.TAK(noise(100))), "probe:127"},
	})
}

func TestMusepack(t *testing.T) {
	packet := func(key string, n int) []byte {
		return cat(key, []byte{0x80 | byte((n+4)>>7), byte((n + 4) & 127)}, noise(n))
	}
	check(t, []caseOf{
		{"SV7", musiclib.MusepackSV7(noise(100)), "tags:28 probe:100"},
		{"SV7 without sound", musiclib.MusepackSV7(nil), "data:28"},
		{"SV6", cat("MP+\x06", zeros(100)), "data:104"},
		{"SV8", cat("MPCK", packet("SH", 20), packet("RG", 9), packet("AP", 200), packet("AP", 100), packet("SE", 0)),
			"tags:41 index:4 probe:200 index:4 probe:100 tags:4"},
		{"cut off", cat("MPCK", packet("SH", 20), packet("AP", 200))[:100], "tags:28 index:4 probe:68"},
		{"size smaller than its header", cat("MPCK", packet("AP", 100), "AP\x01", zeros(20)), "tags:4 index:4 probe:100 data:23"},
		{"size without end", cat("MPCK", "AP", bytes.Repeat([]byte{0xff}, 20)), "data:26"},
		{"no sound", cat("MPCK", packet("SH", 20), packet("SE", 0)), "data:32"},
	})
}

func TestDSD(t *testing.T) {
	image := noise(2000)
	tag := id3(3, 0, "APIC", be32(2019), zeros(2), apic(image)) // 2039 bytes
	dsf := musiclib.DSF(noise(8192))                            // header of 92 bytes
	pointing := func(at int, rest ...any) []byte { return cat(dsf[:20], le64(at), dsf[28:], cat(rest...)) }
	dff := musiclib.DSDIFF(noise(101))
	n := len(dff) - 101
	tags := "tags:" + itoa(int64(n))
	check(t, []caseOf{
		{"DSF", dsf, "tags:92 probe:8192"},
		{"DSF with a tag", pointing(8284, tag), "tags:92 probe:8192 tags:39 art:2000"},
		{"DSF with a tag and a tail", pointing(8284, tag, text(10)), "tags:92 probe:8192 tags:39 art:2000 data:10"},
		{"DSF with a pointer at nothing", pointing(8000, text(10)), "tags:92 probe:8192 data:10"},
		{"DSF with a pointer beyond", pointing(1<<62, text(10)), "tags:92 probe:8192 data:10"},
		{"DSF with too much declared", cat(pointing(8284, tag)[:84], le64(1<<60), dsf[92:], tag), "tags:92 probe:8192 tags:39 art:2000"},
		{"DSF cut off", dsf[:1000], "tags:92 probe:908"},
		{"DSF without sound", dsf[:92], "data:92"},
		{"DFF", dff, tags + " probe:101"},
		{"DFF with a tag", cat(dff, "\x00", wide("ID3 ", tag)), tags + " probe:101 tags:52 art:2000"},
		{"DFF without padding", cat(dff, wide("ID3 ", tag)), tags + " probe:101 tags:51 art:2000"},
		{"DFF cut off", dff[:n+50], tags + " probe:50"},
		{"DFF of another type", cat(dff[:12], "XXXX", dff[16:]), "data:" + itoa(int64(len(dff)))},
		{"DST", cat("FRM8", be64(200), "DSD ", wide("DST ", noise(100)), wide("DSTI", zeros(12))), "tags:28 probe:100 tags:12 index:12"},
	})
}

func TestCAF(t *testing.T) {
	head := cat("caff\x00\x01\x00\x00", wide("desc", zeros(32))) // 52 bytes
	check(t, []caseOf{
		{"plain", cat(head, wide("data", cat(zeros(4), noise(101))), wide("info", text(10))), "tags:68 probe:101 tags:22"},
		{"to the end", cat(head, "data", be64(-1), zeros(4), noise(100)), "tags:68 probe:100"},
		{"packet table", cat(head, wide("pakt", zeros(50)), wide("data", cat(zeros(4), noise(100)))), "tags:64 index:50 tags:16 probe:100"},
		{"cut off", cat(head, wide("data", cat(zeros(4), noise(100))))[:100], "tags:68 probe:32"},
		{"without sound", cat(head, wide("data", zeros(4))), "data:68"},
		{"of another version", cat("caff\x00\x02", zeros(100)), "data:106"},
	})
}
