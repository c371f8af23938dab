package label_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/internal/label"
	"github.com/tunesafe/tunesafe/internal/split"
	"github.com/tunesafe/tunesafe/tests/tools"
)

// read reads the label of bytes.
func read(t testing.TB, b []byte) label.Label {
	t.Helper()
	l, err := split.Split(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	got, err := label.Read(bytes.NewReader(b), int64(len(b)), l)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func be(n int) string { return string(binary.BigEndian.AppendUint32(nil, uint32(n))) }
func le(n int) string { return string(binary.LittleEndian.AppendUint32(nil, uint32(n))) }

// mp3 is a second of frames at 128 kbit/s behind an ID3v2.3 tag of the frames,
// and a tail.
func mp3(tail string, id3 ...string) []byte {
	body := strings.Join(id3, "")
	n := len(body)
	head := "ID3\x03\x00\x00" + string([]byte{byte(n >> 21), byte(n >> 14 & 127), byte(n >> 7 & 127), byte(n & 127)}) + body
	return []byte(head + strings.Repeat("\xff\xfb\x90\x00"+strings.Repeat("U", 413), 38) + tail)
}

func id3(id, content string) string { return id + be(len(content)) + "\x00\x00" + content }

func box(kind string, content ...string) string {
	c := strings.Join(content, "")
	return be(8+len(c)) + kind + c
}

func item(kind, v string) string { return box(kind, box("data", be(1), be(0), v)) }

func free(name, v string) string {
	return box("----", box("mean", be(0), "com.apple.iTunes"), box("name", be(0), name), box("data", be(1), be(0), v))
}

func m4a(entry string, items ...string) []byte {
	mdhd := box("mdhd", be(0), be(0), be(0), be(44100), be(441000), be(0))
	hdlr := box("hdlr", be(0), be(0), "soun", strings.Repeat("\x00", 13))
	stsd := box("stsd", be(0), be(1), box(entry, strings.Repeat("\x00", 28)))
	trak := box("trak", box("mdia", mdhd, hdlr, box("minf", box("stbl", stsd))))
	meta := box("meta", be(0), box("hdlr", be(0), be(0), "mdir", strings.Repeat("\x00", 13)), box("ilst", items...))
	return []byte(box("ftyp", "M4A ", be(0)) + box("moov", trak, box("udta", meta)) + box("mdat", strings.Repeat("a", 50000)))
}

// vorbis is a FLAC file with a comment.
func vorbis(fields ...string) []byte {
	c := le(4) + "test" + le(len(fields))
	for _, f := range fields {
		c += le(len(f)) + f
	}
	info := make([]byte, 34)
	binary.BigEndian.PutUint64(info[10:], 44100<<44|441000)
	return []byte("fLaC\x00\x00\x00\x22" + string(info) + "\x84" + be(len(c))[1:] + c + "\xff\xf8" + strings.Repeat("f", 30000))
}

func apeTag(items ...string) string {
	b := ""
	for i := 0; i < len(items); i += 2 {
		b += le(len(items[i+1])) + le(0) + items[i] + "\x00" + items[i+1]
	}
	return b + "APETAGEX" + le(2000) + le(len(b)+32) + le(len(items)/2) + le(0) + be(0) + be(0)
}

// TestOrigin tells what was bought from what was ripped by what shops and
// rippers leave, and from nothing tells nothing.
func TestOrigin(t *testing.T) {
	const bought, ripped, unknown = "bought", "ripped", "unknown"
	for _, c := range []struct {
		name, want string
		file       []byte
	}{
		{"iTunes Store", bought, m4a("mp4a", item("apID", "jean@example.com"), item("purd", "2009-01-02"))},
		{"FairPlay", bought, m4a("drms", item("\xa9nam", "x"))},
		{"Amazon's private frame", bought, mp3("", id3("PRIV", "www.amazon.com\x00<xml/>"))},
		{"Amazon's comment", bought, mp3("", id3("COMM", "\x00eng\x00Amazon.com Song ID: 12345"))},
		{"Amazon's comment in UTF-16", bought, mp3("", id3("COMM", "\x01eng\xff\xfe\x00\x00\xff\xfeA\x00m\x00a\x00z\x00o\x00n\x00.\x00c\x00o\x00m\x00 \x00S\x00o\x00n\x00g\x00 \x00I\x00D\x00"))},
		{"Bandcamp", bought, mp3("", id3("COMM", "\x00eng\x00Visit https://someone.bandcamp.com"))},
		{"Bandcamp's FLAC", bought, vorbis("COMMENT=Visit https://someone.bandcamp.com")},
		{"Beatport", bought, vorbis("comment=Purchased at Beatport.com")},
		{"Qobuz in APE", bought, mp3(apeTag("Comment", "www.qobuz.com"))},
		{"iTunes's CDDB", ripped, mp3("", id3("COMM", "\x00eng\x00\x00"), id3("COMM", "\x00engiTunes_CDDB_IDs\x0011+0F2E+1"))},
		{"iTunes's CDDB in MP4", ripped, m4a("alac", free("iTunes_CDDB_1", "A10B2C0D+1"))},
		{"a table of contents", ripped, mp3("", id3("MCDI", "\x00\x01"))},
		{"AccurateRip", ripped, vorbis("ACCURATERIPRESULT=AccurateRip: Accurate", "title=x")},
		{"EAC", ripped, vorbis("COMMENT=Exact Audio Copy")},
		{"EAC's encoder", ripped, mp3("", id3("TENC", "\x00EAC V1.0 beta 3"))},
		{"XLD", ripped, m4a("alac", item("\xa9too", "X Lossless Decoder 20140108, QuickTime 7.6.6"))},
		{"fre:ac", ripped, vorbis("ENCODER=fre:ac v1.0.32")},
		{"a disc's id", ripped, vorbis("MUSICBRAINZ_DISCID=lwHl8fGzJyLXQR33ug60E8jhf4k-")},
		{"bought, of which somebody looked up the disc", bought, m4a("mp4a", item("ownr", "Jean"), free("MusicBrainz Disc Id", "x"))},
		{"nothing", unknown, mp3("", id3("TIT2", "\x00Title"))},
		{"a title about a shop", unknown, mp3("", id3("TIT2", "\x00www.amazon.com"))},
		{"a title about a ripper", unknown, vorbis("TITLE=Exact Audio Copy")},
		{"LAME", unknown, mp3("", id3("TSSE", "\x00LAME 64bits version 3.100"))},
	} {
		l := read(t, c.file)
		got := unknown
		switch {
		case l.Bought && l.Ripped:
			got = "both"
		case l.Bought:
			got = bought
		case l.Ripped:
			got = ripped
		}
		if got != c.want || !l.Music() {
			t.Errorf("%s: %s, want %s: %+v", c.name, got, c.want, l)
		}
	}
}

// TestOdd reads what is not as it should be, as far as it goes.
func TestOdd(t *testing.T) {
	title := id3("TIT2", "\x00Title")
	for _, c := range []struct {
		name string
		file []byte
		want string
	}{
		{"a comment that is no text before", mp3("", id3("COMM", "\x01"), title), "Title"},
		{"a user text without an end", mp3("", id3("TXXX", "\x01\xff\xfea"), title), "Title"},
		{"an empty frame", mp3("", id3("TPE1", ""), title), "Title"},
		{"a frame too long behind", mp3("", title, "TPE1"+be(1<<20)+"\x00\x00x"), "Title"},
		{"many values", mp3("", id3("TIT2", "\x01\xff\xfea\x00\x00\x00\xff\xfeb\x00")), "a; b"},
		{"text with a mark missing", mp3("", id3("TIT2", "\x02\x00a\x00b")), "ab"},
		{"zeros around", mp3("", id3("TIT2", "\x03 Title \x00\x00")), "Title"},
		{"no UTF-8", mp3("", id3("TIT2", "\x03Ti\xfftle")), "Ti\uFFFDtle"},
		{"ID3v1 only", mp3("TAG" + "Title" + strings.Repeat("\x00", 120)), "Title"},
		{"APE before ID3v1", mp3(apeTag("Title", "From APE") + "TAG" + "Title" + strings.Repeat("\x00", 120)), "From APE"},
		{"an item of MP4 cut short", m4a("mp4a", box("\xa9ART", "abc"), item("\xa9nam", "Title")), "Title"},
		{"a comment without =", vorbis("nothing", "TITLE=Title"), "Title"},
		{"a comment that counts more", vorbis("TITLE=Title"), "Title"},
	} {
		if l := read(t, c.file); l.Title != c.want {
			t.Errorf("%s: %q, want %q", c.name, l.Title, c.want)
		}
	}
	for _, b := range []string{"", "ID3", "not music at all, only some text", "fLaC", "OggS", strings.Repeat("\x00", 5000)} {
		if l := read(t, []byte(b)); l.Seconds != 0 || !l.Empty() {
			t.Errorf("%.20q: %+v", b, l)
		}
	}
}

// TestReaderError is passed on: a file that cannot be read says nothing.
func TestReaderError(t *testing.T) {
	b := mp3("", id3("TIT2", "\x00Title"))
	l, err := split.Split(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	bad := errors.New("input/output error")
	if _, err := label.Read(failing{bad}, int64(len(b)), l); !errors.Is(err, bad) {
		t.Error(err)
	}
	if _, err := label.Read(bytes.NewReader(b[:5]), int64(len(b)), l); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
}

type failing struct{ err error }

func (f failing) ReadAt([]byte, int64) (int, error) { return 0, f.err }

// TestMatroska compares to what ffmpeg was told.
func TestMatroska(t *testing.T) {
	tools.Need(t, "ffmpeg")
	for _, name := range []string{"a.mka", "a.webm"} {
		codec := map[string]string{"a.mka": "flac", "a.webm": "libopus"}[name]
		file := encode(t, t.TempDir(), name, "-c:a", codec, "-metadata", "title=Élégie", "-metadata", "artist=Sibelius", "-metadata", "album=Kuolema")
		l := readLabel(t, file)
		if l.Title != "Élégie" || l.Artist != "Sibelius" || l.Album != "Kuolema" || l.Seconds < 6.9 || l.Seconds > 7.1 || l.Format != "Matroska" {
			t.Errorf("%s: %+v", name, l)
		}
	}
}

// FuzzRead reads arbitrary bytes: it must end soon, and what it reads be
// storable.
func FuzzRead(f *testing.F) {
	f.Add(mp3(apeTag("Title", "x"), id3("TIT2", "\x01\xff\xfea\x00"), id3("COMM", "\x00engx\x00y")))
	f.Add(m4a("mp4a", item("\xa9nam", "x"), free("iTunes_CDDB_1", "y")))
	f.Add(vorbis("TITLE=x"))
	for _, name := range []string{"a.ogg", "a.wma", "a.mka", "a.wv", "a.tta", "a.aiff", "a.wav", "a.mp3", "a.spx", "a.aac"} {
		if b, err := os.ReadFile(filepath.Join("testdata", "seeds", name)); err == nil {
			f.Add(b)
		}
	}
	for _, magic := range []string{"MAC \x96\x0f", "MPCKSH\x0f", "MP+\x07", "tBaK\x01\x0a\x00\x00", "OFR \x0f\x00\x00\x00", "DSD \x1c", "FRM8\x00\x00\x00\x00\x00\x00\x01\x00DSD "} {
		f.Add([]byte(magic + strings.Repeat("\x01\x02\x03\x00", 40)))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		began := time.Now()
		l := read(t, b)
		if d := time.Since(began); d > 20*time.Second {
			t.Errorf("%v", d)
		}
		if back, err := label.Decode(l.Encode()); err != nil || back != l {
			t.Errorf("%+v reads %+v, %v", l, back, err)
		}
	})
}
