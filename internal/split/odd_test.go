package split_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tunesafe/tunesafe/internal/split"
)

// A caseOf is a file by hand and the runs it has.
type caseOf struct {
	name string
	file []byte
	want string
}

func check(t *testing.T, cases []caseOf) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, cut(t, c.file).sketch()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// song is ten frames, too short for an audio part.
var song = frames(10)

func TestHeadTags(t *testing.T) {
	image := noise(2000)
	tit2 := cat("TIT2", be32(4), zeros(2), "\x00abc")
	check(t, []caseOf{
		{"one", cat(id3(4, 0, text(90)), song), "tags:100 probe:4170"},
		{"three in a row", cat(id3(3, 0, text(90)), id3(2, 0, text(40)), id3(4, 0), song), "tags:160 probe:4170"},
		{"footer", cat(id3(4, 0x10, text(80)), song), "tags:100 probe:4170"},
		{"footer flag of another version", cat("ID3\x03\x00\x10", syncsafe(90), text(90), song), "tags:100 probe:4170"},
		{"size beyond the file", cat("ID3\x04\x00\x00", syncsafe(1<<20), song), "tags:10 probe:4170"},
		{"size not syncsafe", cat("ID3\x04\x00\x00\x80\x00\x00\x01", song), "tags:10 probe:4170"},
		{"nothing but a tag", id3(4, 0, text(90)), "tags:100"},
		{"tag and zeros", cat(id3(4, 0, text(90)), zeros(50), song), "tags:150 probe:4170"},
		{"tag, zeros, tag", cat(id3(4, 0, text(90)), zeros(50), id3(4, 0), song), "tags:160 probe:4170"},
		{"tag and zeros alone", cat(id3(4, 0, text(90)), zeros(50)), "tags:100 data:50"},
		{"tag before MP4", cat(id3(4, 0, text(90)), atom("ftyp", "M4A "), atom("mdat", text(50))), "tags:120 probe:50"},
		{"tag before FLAC", cat(id3(4, 0), "fLaC", flacBlock(128, zeros(34)), "\xff\xf8", text(98)), "tags:52 probe:100"},
		{"tag before an unknown file", cat(id3(4, 0, text(90)), spaces(500)), "tags:100 data:500"},

		{"APIC", cat(id3(3, 0, tit2, "APIC", be32(2019), zeros(2), apic(image)), song), "tags:53 art:2000 probe:4170"},
		{"APIC of ID3v2.4", cat(id3(4, 0, tit2, "APIC", syncsafe(2019), zeros(2), apic(image)), song), "tags:53 art:2000 probe:4170"},
		{"APIC of iTunes", cat(id3(4, 0, "APIC", be32(2019), zeros(2), apic(image), tit2), song), "tags:39 art:2000 tags:14 probe:4170"},
		{"APIC in UTF-16", cat(id3(3, 0, "APIC", be32(2021), zeros(2), "\x01image/jpeg\x00\x03\xff\xfec\x00b\x00\x00\x00", image), song), "tags:41 art:2000 probe:4170"},
		{"PIC", cat(id3(2, 0, "PIC\x00\x07\xd6", "\x00JPG\x03\x00", image), song), "tags:22 art:2000 probe:4170"},
		{"with extended header", cat(id3(4, 0x40, syncsafe(6), "\x01\x00", "APIC", syncsafe(2019), zeros(2), apic(image)), song), "tags:45 art:2000 probe:4170"},
		{"with extended header of ID3v2.3", cat(id3(3, 0x40, be32(6), zeros(6), "APIC", be32(2019), zeros(2), apic(image)), song), "tags:49 art:2000 probe:4170"},
		{"with data length and group", cat(id3(4, 0, "APIC", syncsafe(2024), "\x00\x41", zeros(5), apic(image)), song), "tags:44 art:2000 probe:4170"},
		{"unsynchronised tag", cat(id3(3, 0x80, "APIC", be32(2019), zeros(2), apic(image)), song), "tags:2039 probe:4170"},
		{"unsynchronised frame", cat(id3(4, 0, "APIC", syncsafe(2019), "\x00\x02", apic(image)), song), "tags:2039 probe:4170"},
		{"compressed frame", cat(id3(3, 0, "APIC", be32(2019), "\x00\x80", apic(image)), song), "tags:2039 probe:4170"},
		{"compressed tag", cat(id3(2, 0x40, "PIC\x00\x07\xd6", "\x00JPG\x03\x00", image), song), "tags:2022 probe:4170"},
		{"small picture", cat(id3(3, 0, "APIC", be32(519), zeros(2), apic(image[:500])), song), "tags:539 probe:4170"},
		{"frame beyond its tag", cat(id3(3, 0, "APIC", be32(9019), zeros(2), apic(image)), song), "tags:2039 probe:4170"},
	})
}

func TestTailTags(t *testing.T) {
	image := noise(2000)
	plus := cat("TAG+", text(223))
	art := item("Cover Art (Front)", cat("cover.jpg\x00", image))
	appended := id3(4, 0x10, "APIC", syncsafe(2019), zeros(2), apic(image))
	check(t, []caseOf{
		{"ID3v1", cat(song, id3v1()), "probe:4170 tags:128"},
		{"two ID3v1", cat(song, id3v1(), id3v1()), "probe:4170 tags:256"},
		{"TAG+", cat(song, plus, id3v1()), "probe:4170 tags:355"},
		{"zeros before ID3v1 are sound", cat(song, zeros(100), id3v1()), "probe:4270 tags:128"},
		{"APEv2", cat(song, ape(true, item("Title", text(20)))), "probe:4170 tags:98"},
		{"APEv2 without header", cat(song, ape(false, item("Title", text(20)))), "probe:4170 tags:66"},
		{"APEv2, ID3v1", cat(song, ape(true), id3v1()), "probe:4170 tags:192"},
		{"ID3v1, APEv2", cat(song, id3v1(), ape(true)), "probe:4170 tags:192"},
		{"ID3v1, APEv2, ID3v1", cat(song, id3v1(), ape(false), id3v1()), "probe:4170 tags:288"},
		// The tag's header begins 131 bytes from the end: "TAG" of APETAGEX is
		// where ID3v1's would be.
		{"APEv2 of 131 bytes", cat(song, ape(true, item("Title", text(53)))), "probe:4170 tags:131"},
		{"APEv2 larger than the file", cat(song, "APETAGEX", le32(2000), le32(1<<20), zeros(16)), "probe:4202"},
		{"Lyrics3 v1", cat(song, lyrics1(), id3v1()), "probe:4170 tags:198"},
		{"Lyrics3 v1 without beginning", cat(song, "LYRICSEND", id3v1()), "probe:4179 tags:128"},
		{"Lyrics3 v2", cat(song, lyrics2(), id3v1()), "probe:4170 tags:204"},
		{"Lyrics3 v2 with a wrong size", cat(song, "LYRICSBEGIN", text(50), "000099LYRICS200"), "probe:4246"},
		{"Lyrics3 v2 with no size", cat(song, "LYRICSBEGIN", text(50), "-00061LYRICS200"), "probe:4246"},
		{"all of them", cat(song, ape(true), lyrics1(), lyrics2(), plus, id3v1()), "probe:4170 tags:565"},
		{"appended ID3v2.4", cat(song, id3(4, 0x10, text(80))), "probe:4170 tags:100"},
		{"appended ID3v2.4, ID3v1", cat(song, id3(4, 0x10, text(80)), id3v1()), "probe:4170 tags:228"},
		{"3DI alone", cat(song, "3DI\x04\x00\x10", syncsafe(80)), "probe:4180"},
		{"cover of APEv2", cat(song, ape(true, art), id3v1()), "probe:4170 tags:68 art:2000 tags:160"},
		{"cover of appended ID3v2.4", cat(song, appended), "probe:4170 tags:39 art:2000 tags:10"},
		{"two covers", cat(song, ape(false, art, art)), "probe:4170 tags:36 art:2000 tags:36 art:2000 tags:32"},
		{"tag behind an unknown file", cat("wvpk", spaces(496), ape(true), id3v1()), "data:500 tags:192"},
		{"nothing but a tag", id3v1(), "tags:128"},
		{"tag behind FLAC", cat("fLaC", flacBlock(128, zeros(34)), "\xff\xf8", text(98), id3v1()), "tags:42 probe:100 tags:128"},
	})
}

func TestMPEG(t *testing.T) {
	check(t, []caseOf{
		{"bare", song, "probe:4170"},
		{"long", frames(100), "probe:8192 audio:29412 probe:4096"},
		{"just probe", cat(frames(29), text(195)), "probe:12288"},
		{"one byte of audio", cat(frames(29), text(196)), "probe:8192 audio:1 probe:4096"},
		{"Xing", cat(info("Xing"), song), "tags:417 probe:4170"},
		{"VBRI", cat(info("VBRI"), song), "tags:417 probe:4170"},
		{"Xing, Info", cat(info("Xing"), info("Info"), song), "tags:834 probe:4170"},
		{"Xing behind a checksum", cat(frame(string(zeros(34))+"Xing"), song), "tags:417 probe:4170"},
		{"Xing in mid-stream", cat(song, info("Xing"), song), "probe:8757"},
		{"tag in mid-stream", cat(song, id3(4, 0, text(90)), song), "probe:8440"},
		{"junk before", cat(spaces(1000), song), "tags:1000 probe:4170"},
		{"junk of almost 64 KiB", cat(spaces(65535), song), "tags:65535 probe:4170"},
		{"too much junk", cat(spaces(65536), song), "data:69706"},
		{"three frames are no proof", frames(3), "data:1251"},
		{"three frames that end the file", cat(spaces(100), frames(3)), "data:1351"},
		{"four are", frames(4), "probe:1668"},
		{"another rate in the chain", cat(frames(3), "\xff\xfb\x94\x00", text(400)), "data:1655"},
		{"free format", bytes.Repeat(cat("\xff\xfb\x00\x00", zeros(400)), 10), "data:4040"},
		{"layer I", bytes.Repeat(cat("\xff\xff\x90\x00", zeros(308)), 10), "probe:3120"},
		{"MPEG-2.5", bytes.Repeat(cat("\xff\xe3\x90\x00", zeros(518)), 10), "probe:5220"},
		{"MPEG-2 layer I", bytes.Repeat(cat("\xff\xf7\x90\x00", zeros(308)), 10), "probe:3120"},
		{"all ones", bytes.Repeat([]byte{0xff}, 5000), "data:5000"},
		{"frames in AVI", cat("RIFF", zeros(4), "AVI ", zeros(100), song), "data:4282"},
		{"frames in Matroska", cat("\x1aE\xdf\xa3", zeros(100), song), "data:4274"},
	})
}

// TestNoFalseHits looks at files that are no music, or none that is cut.
func TestNoFalseHits(t *testing.T) {
	for name, b := range map[string][]byte{
		"noise":    noise(4 << 20),
		"text":     spaces(1 << 20),
		"zeros":    zeros(1 << 20),
		"one byte": {0},
		// A tracker's samples are signed bytes around zero, with runs of FF.
		"tracker": bytes.Repeat(cat("\xff\xfb\x90\x00", bytes.Repeat([]byte{0xff, 0, 1, 0xfe}, 50)), 1000),
		"AC-3":    bytes.Repeat(cat("\x0b\x77", noise(766)), 20),
		"image":   cat("\xff\xd8\xff\xe0", noise(100000)),
	} {
		if got := cut(t, b).sketch(); got != fmt.Sprintf("data:%d", len(b)) {
			t.Errorf("%s: %s", name, got)
		}
	}
	for i := range 40 { // noise of other lengths is other noise
		if got := cut(t, noise(100000+i)); got.Parts[0] != split.Data {
			t.Errorf("noise %d: %s", i, got.sketch())
		}
	}
}

func TestADTS(t *testing.T) {
	aac := cat("\xff\xf1\x50\x80\x0d\x00\xfc", zeros(97)) // 104 bytes long
	check(t, []caseOf{
		{"bare", bytes.Repeat(aac, 5), "probe:520"},
		{"tags", cat(id3(4, 0), bytes.Repeat(aac, 5), id3v1()), "tags:10 probe:520 tags:128"},
		{"junk before", cat("junk", bytes.Repeat(aac, 5)), "data:524"},
		{"three frames", bytes.Repeat(aac, 3), "data:312"},
		{"other channels", cat(bytes.Repeat(aac, 3), "\xff\xf1\x50\x40\x0d\x00\xfc", zeros(97)), "data:416"},
	})
}

func TestFLAC(t *testing.T) {
	image := noise(2000)
	head := cat("fLaC", flacBlock(0, zeros(34)))
	sound := cat("\xff\xf8", text(98))
	check(t, []caseOf{
		{"picture", cat(head, flacBlock(6, flacPicture(image)), flacBlock(129, zeros(10)), sound), "tags:88 art:2000 tags:14 probe:100"},
		{"picture longer than its block", cat(head, flacBlock(128+6, flacPicture(image)[:1542]), sound), "tags:88 art:1500 probe:100"},
		{"picture without an end", cat(head, flacBlock(128+6, cat(be32(3), be32(1<<30), text(1500))), sound), "tags:1554 probe:100"},
		{"picture as a comment", cat(head, flacBlock(128+4, comments("TITLE=x", "coverart="+string(text(1500)))), sound), "tags:82 art:1500 probe:100"},
		{"no frame", cat(head, flacBlock(129, zeros(10)), text(100)), "data:156"},
		{"no sound", cat(head, flacBlock(129, zeros(10))), "data:56"},
		{"block beyond the file", cat(head, "\x81", be32(1 << 20)[1:], text(100)), "data:146"},
		{"invalid block", cat(head, "\xff\x00\x00\x00", sound), "data:146"},
	})
}

func TestMP4(t *testing.T) {
	image := noise(2000)
	ftyp := atom("ftyp", "M4A \x00\x00\x00\x00")
	sound := atom("mdat", text(100))
	stbl := atom("stbl", atom("stsd", text(12)), atom("stts", text(12)), atom("stco", text(12)), atom("co64", text(12)))
	moov := func(stbl []byte) []byte { return atom("moov", atom("trak", atom("mdia", atom("minf", stbl)))) }
	covr := func(data ...any) []byte {
		return atom("ilst", atom("\xa9nam", atom("data", zeros(8), "x")), atom("covr", data...))
	}
	data := atom("data", zeros(8), image)
	check(t, []caseOf{
		{"moov behind", cat(ftyp, sound, moov(stbl)), "tags:24 probe:100 tags:40 index:40 seals:40"},
		{"moov in front", cat(ftyp, moov(stbl), sound), "tags:56 index:40 seals:40 tags:8 probe:100"},
		{"cover", cat(ftyp, atom("moov", atom("udta", atom("meta", zeros(4), covr(data)))), sound), "tags:101 art:2000 tags:8 probe:100"},
		{"cover of QuickTime", cat(ftyp, atom("moov", atom("udta", atom("meta", atom("hdlr", zeros(8)), covr(data)))), sound), "tags:113 art:2000 tags:8 probe:100"},
		{"two covers", cat(ftyp, atom("moov", atom("meta", zeros(4), covr(data, atom("free", zeros(2)), data))), sound), "tags:93 art:2000 tags:26 art:2000 tags:8 probe:100"},
		{"two mdats", cat(ftyp, sound, atom("free"), sound), "tags:24 probe:100 tags:16 probe:100"},
		{"mdat of size 0", cat(ftyp, be32(0), "mdat", text(100)), "tags:24 probe:100"},
		{"mdat of size 0, tag", cat(ftyp, be32(0), "mdat", text(100), id3v1()), "tags:24 probe:100 tags:128"},
		{"mdat of 64 bits", cat(ftyp, be32(1), "mdat", be64(116), text(100), atom("free")), "tags:32 probe:100 tags:8"},
		{"mdat of too many bits", cat(ftyp, be32(1), "mdat", be64(-1), text(100)), "tags:32 probe:100"},
		{"mdat beyond the file", cat(ftyp, be32(5000), "mdat", text(100)), "tags:24 probe:100"},
		{"mdat first", cat(sound, moov(stbl)), "tags:8 probe:100 tags:40 index:40 seals:40"},
		{"size below its header", cat(ftyp, sound, be32(7), "free", text(20)), "tags:24 probe:100 data:28"},
		{"junk behind", cat(ftyp, sound, noise(200)), "tags:24 probe:100 data:200"},
		{"few bytes behind", cat(ftyp, sound, "abc"), "tags:24 probe:100 tags:3"},
		{"tags behind", cat(ftyp, sound, ape(true), id3v1()), "tags:24 probe:100 tags:192"},
		{"fragments", cat(ftyp, atom("sidx", text(4)), atom("moof", text(8)), sound, atom("moof", text(8)), sound), "tags:16 index:28 tags:8 probe:100 index:16 tags:8 probe:100"},
		{"zeros before", cat(zeros(40), ftyp, sound), "tags:64 probe:100"},
		{"no sound", cat(ftyp, moov(stbl)), "data:136"},
		{"empty mdat", cat(ftyp, atom("mdat"), moov(stbl)), "data:144"},
	})
}

// TestMP4Depth nests boxes deeper than any file, and than the walker goes.
func TestMP4Depth(t *testing.T) {
	b := atom("stsz", text(100))
	for range 10000 {
		b = atom("moov", b)
	}
	b = cat(atom("mdat", text(100)), b)
	if got := cut(t, b).sketch(); got != "tags:8 probe:100 tags:80108" {
		t.Error(got)
	}
}

func TestWAV(t *testing.T) {
	fmtChunk := riff("fmt ", zeros(16))
	head := cat("RIFF", zeros(4), "WAVE", fmtChunk) // 36 bytes
	list := riff("LIST", cat("INFO", riff("INAM", text(12))))
	tag := id3(3, 0, "APIC", be32(2019), zeros(2), apic(noise(2000)))
	ds64 := func(n int) []byte { return riff("ds64", cat(le64(0), le64(n), zeros(12))) } // 36 bytes
	wide := func(magic string, n int) []byte { return cat(magic, "\xff\xff\xff\xffWAVE", ds64(n), fmtChunk) }
	check(t, []caseOf{
		{"LIST behind", cat(head, riff("data", text(100)), list), "tags:44 probe:100 tags:32"},
		{"LIST before", cat(head, list, riff("data", text(100))), "tags:76 probe:100"},
		{"pad byte", cat(head, riff("data", text(99)), "\x00", list), "tags:44 probe:99 tags:33"},
		{"no pad byte", cat(head, riff("data", text(99)), list), "tags:44 probe:99 tags:32"},
		{"id3 with cover", cat(head, riff("data", text(100)), riff("id3 ", tag)), "tags:44 probe:100 tags:47 art:2000"},
		{"size 0", cat(head, "data", le32(0), text(100)), "tags:44 probe:100"},
		{"size FFFFFFFF", cat(head, "data", le32(-1), text(100)), "tags:44 probe:100"},
		{"size beyond the file, tag", cat(head, "data", le32(5000), text(100), id3v1()), "tags:44 probe:100 tags:128"},
		{"tags behind", cat(head, riff("data", text(100)), ape(true), id3v1()), "tags:44 probe:100 tags:192"},
		{"junk behind", cat(head, riff("data", text(100)), noise(200)), "tags:44 probe:100 data:200"},
		{"RF64", cat(wide("RF64", 100), "data\xff\xff\xff\xff", text(100), list), "tags:80 probe:100 tags:32"},
		{"BW64", cat(wide("BW64", 100), "data\xff\xff\xff\xff", text(100), list), "tags:80 probe:100 tags:32"},
		{"RF64 of a size below 4 GiB", cat(wide("RF64", 0), riff("data", text(100)), list), "tags:80 probe:100 tags:32"},
		{"RF64 without a size", cat(wide("RF64", 0), "data\xff\xff\xff\xff", text(100)), "tags:80 probe:100"},
		{"RF64 with a wrong size", cat(wide("RF64", -1), "data\xff\xff\xff\xff", text(100)), "tags:80 probe:100"},
		{"RIFX", cat("RIFX", zeros(4), "WAVE", iff("fmt ", zeros(16)), iff("data", text(100)), iff("LIST", text(4))), "tags:44 probe:100 tags:12"},
		{"no data", cat(head, list), "data:68"},
	})
}

func TestAIFF(t *testing.T) {
	head := cat("FORM", zeros(4), "AIFF", iff("COMM", zeros(18))) // 38 bytes
	tag := id3(3, 0, "APIC", be32(2019), zeros(2), apic(noise(2000)))
	check(t, []caseOf{
		{"sound", cat(head, iff("SSND", cat(zeros(8), text(100))), iff("NAME", text(4))), "tags:54 probe:100 tags:12"},
		{"AIFC", cat("FORM", zeros(4), "AIFC", iff("SSND", cat(zeros(8), text(100)))), "tags:28 probe:100"},
		{"pad byte", cat(head, iff("SSND", cat(zeros(8), text(99))), "\x00", iff("NAME", text(4))), "tags:54 probe:99 tags:13"},
		{"ID3 with cover", cat(head, iff("SSND", cat(zeros(8), text(100))), iff("ID3 ", tag)), "tags:54 probe:100 tags:47 art:2000"},
		{"beyond the file", cat(head, "SSND", be32(5000), zeros(8), text(100)), "tags:54 probe:100"},
		{"SSND without its prefix", cat(head, iff("SSND", zeros(6))), "data:52"},
		{"SSND without sound", cat(head, iff("SSND", zeros(8))), "data:54"},
		{"other FORM", cat("FORM", zeros(4), "8SVX", iff("BODY", text(100))), "data:120"},
	})
}
