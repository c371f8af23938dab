package split_test

import (
	"bytes"
	"maps"
	"testing"

	"github.com/tunesafe/tunesafe/internal/split"
	"github.com/tunesafe/tunesafe/tests/musiclib"
)

// large are files of size bytes and a little, with tags and a cover, by hand:
// only where their headers are matters here.
func large(size int) map[string][]byte {
	image := noise(500 << 10)
	tag := id3(3, 0, "APIC", be32(len(image)+19), zeros(2), apic(image), zeros(2000))
	sound := bytes.Repeat(noise(1<<20), size>>20)
	ilst := atom("ilst", atom("covr", atom("data", zeros(8), image)))
	tables := atom("stbl", atom("stsz", zeros(size/400)), atom("stco", zeros(size/4000)))
	moov := atom("moov", atom("trak", atom("mdia", atom("minf", tables))), atom("udta", atom("meta", zeros(4), ilst)))
	ogg := bytes.NewBuffer(opusHead(1))
	for at := 0; at < len(sound); at += 4000 {
		ogg.Write(page(0, 1, 960, true, sound[at:min(at+4000, len(sound))]))
	}
	files := largeMore(image, tag, sound)
	maps.Copy(files, map[string][]byte{
		"mp3":  cat(tag, info("Xing"), frames(size/frameSize), ape(true, item("Title", text(20))), id3v1()),
		"mp4":  cat(atom("ftyp", "M4A "), moov, atom("mdat", sound)),
		"flac": cat("fLaC", flacBlock(0, zeros(34)), flacBlock(6, flacPicture(image)), flacBlock(129, zeros(8192)), "\xff\xf8", sound),
		"wav":  cat("RIFF", zeros(4), "WAVE", riff("fmt ", zeros(16)), riff("data", sound), riff("id3 ", tag)),
		"aiff": cat("FORM", zeros(4), "AIFF", iff("SSND", cat(zeros(8), sound)), iff("ID3 ", tag)),
		"ogg":  ogg.Bytes(),
		"data": cat("unknown", sound),
	})
	return files
}

// largeMore are those of the containers with long sizes: Matroska with a cluster
// for every five seconds, Musepack with a packet for every two.
func largeMore(image, tag, sound []byte) map[string][]byte {
	tail := ape(true, item("Cover Art (Front)", cat("cover.jpg\x00", image)))
	mkv := cat(ebml("\x1a\x45\xdf\xa3", zeros(31)), "\x18\x53\x80\x67", unknown)
	mkv = cat(mkv, ebml("\x19\x41\xa4\x69", ebml("\x61\xa7", ebml("\x46\x60", "image/png"), ebml("\x46\x5c", image))))
	mpc := []byte("MPCK")
	for at := 0; at < len(sound); at += 100_000 {
		mkv = append(mkv, ebml("\x1f\x43\xb6\x75", sound[at:min(at+100_000, len(sound))])...)
	}
	for at := 0; at < len(sound); at += 50_000 {
		b := sound[at:min(at+50_000, len(sound))]
		n := len(b) + 5
		mpc = append(mpc, cat("AP", []byte{0x80 | byte(n>>14), 0x80 | byte(n>>7), byte(n & 127)}, b)...)
	}
	value := wmPicture(image)
	name := utf16("WM/Picture")
	library := object(guidLibrary, le16(1), zeros(4), le16(len(name)), le16(1), le32(len(value)), name, value)
	dsf := musiclib.DSF(sound)
	return map[string][]byte{
		"asf":      cat(object(guidHeader, zeros(6), object(guidExtension, zeros(22), library)), object(guidData, zeros(26), sound)),
		"matroska": mkv,
		"monkeys":  cat(musiclib.MonkeysAudio(sound), tail),
		"musepack": cat(mpc, tail),
		"dsf":      cat(dsf[:20], le64(len(dsf)), dsf[28:], tag),
		"dff":      cat(musiclib.DSDIFF(sound), wide("ID3 ", tag)),
		"caf":      cat("caff\x00\x01\x00\x00", wide("desc", zeros(32)), wide("pakt", zeros(24)), wide("data", cat(zeros(4), sound))),
	}
}

// readBytes cuts b and returns what was read of it.
func readBytes(t testing.TB, b []byte) *counter {
	c := &counter{r: bytes.NewReader(b)}
	if _, err := split.Split(c, int64(len(b))); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestReadsHeadersOnly wants some kilobytes read of 30 MB, with a cover of 500
// KB; of Ogg its page headers, which is a window for each page.
func TestReadsHeadersOnly(t *testing.T) {
	for name, b := range large(30 << 20) {
		most := int64(16 << 10)
		switch name {
		case "ogg":
			most = int64(len(b) / 10)
		case "data", "mp3": // searched for a chain of frames
			most = 96 << 10
		}
		c := readBytes(t, b)
		t.Logf("%s: %d bytes in %d reads", name, c.bytes, c.reads)
		if c.bytes > most {
			t.Errorf("%s: %d bytes read in %d reads, want at most %d", name, c.bytes, c.reads, most)
		}
	}
}

// TestLargeTags cuts tags of 10 MB with many frames and with few: the headers
// are read, not the frames.
func TestLargeTags(t *testing.T) {
	image := noise(1 << 20)
	var few, many []byte
	for range 10 {
		few = cat(few, "APIC", be32(len(image)+19), zeros(2), apic(image))
	}
	many = bytes.Repeat(cat("TXXX", be32(10000), zeros(2), text(10000)), 1000)
	for name, c := range map[string]struct {
		tag  []byte
		most int64
	}{"few": {few, 32 << 10}, "many": {many, 512 << 10}} {
		b := cat(id3(3, 0, c.tag), song)
		if got := cut(t, b); name == "few" && len(got.art()) != 10 {
			t.Errorf("%d pictures in %s", len(got.art()), got.sketch())
		}
		if r := readBytes(t, b); r.bytes > c.most {
			t.Errorf("%s: %d bytes read in %d reads, want at most %d", name, r.bytes, r.reads, c.most)
		}
	}
}

// TestTinyPages wants neighbouring reads joined where Ogg pages are small.
func TestTinyPages(t *testing.T) {
	b := cat(opusHead(1), bytes.Repeat(page(0, 1, 960, true, text(50)), 50000))
	if c := readBytes(t, b); c.bytes > int64(2*len(b)) || c.reads > 1000 {
		t.Errorf("%d bytes of %d read in %d reads", c.bytes, len(b), c.reads)
	}
}

// TestTooManyRuns and TestTooManyTags have a file that is not worth its layout.
func TestTooManyRuns(t *testing.T) {
	b := cat(opusHead(1), bytes.Repeat(page(0, 1, 960, true, text(1)), 600000))
	if got := cut(t, b); len(got.Runs) != 1 || got.Parts[0] != split.Data {
		t.Errorf("%d runs", len(got.Runs))
	}
}

func TestTooManyTags(t *testing.T) {
	b := cat(atom("ftyp"), atom("free", zeros(65<<20)), atom("mdat", text(100)))
	if got := cut(t, b); len(got.Runs) != 1 || got.Parts[0] != split.Data {
		t.Errorf("%s", got.sketch())
	}
}

// TestEndlessHeaders has header packets and streams that never end.
func TestEndlessHeaders(t *testing.T) {
	b := opusHead(1)[:47]
	b = cat(b, page(0, 1, -1, false, text(255)), bytes.Repeat(page(1, 1, -1, false, text(255)), 70000))
	if got := cut(t, b); got.PartSize(0) != 47+(1<<16)*283+28 {
		t.Errorf("%d bytes of %v", got.PartSize(0), got.Parts[0])
	}
	b = opusHead(0)
	for i := range 10000 {
		b = append(b, page(2, i, 0, true, text(5))...)
	}
	cut(t, cat(b, page(0, 9999, 0, true, text(5))))
}

func BenchmarkSplit(b *testing.B) {
	for name, file := range large(30 << 20) {
		b.Run(name, func(b *testing.B) {
			var read int64
			b.ReportAllocs()
			for b.Loop() {
				read = readBytes(b, file).bytes
			}
			b.ReportMetric(float64(read), "read-B/op")
			b.ReportMetric(float64(len(file)), "file-B")
		})
	}
}
