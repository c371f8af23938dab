package split_test

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/tunesafe/tunesafe/internal/split"
)

func TestOgg(t *testing.T) {
	head := opusHead(1) // 47 and 59 bytes
	data := page(0, 1, 960, true, text(50), text(50))
	vorbis := cat(page(2, 2, 0, true, cat("\x01vorbis", zeros(23))),
		page(0, 2, 0, true, cat("\x03vorbis", comments("A=b"), "\x01"), cat("\x05vorbis", zeros(93))))
	check(t, []caseOf{
		{"Opus", cat(head, data), "tags:106 index:18 seals:8 index:3 probe:100"},
		{"Vorbis", cat(vorbis, page(0, 2, 960, true, text(100))), "tags:114 index:118 seals:8 index:2 probe:100"},
		{"sound on the page of the last header", cat(page(2, 1, 0, true, cat("OpusHead", zeros(11))),
			page(0, 1, 0, true, cat("OpusTags", comments()), text(100))), "tags:96 probe:100"},
		{"damaged Vorbis header", cat(vorbis[:58], page(0, 2, 960, true, text(100))), "tags:86 probe:100"},
		{"chained", cat(head, data, opusHead(2), page(0, 2, 960, true, text(10))),
			"tags:106 index:18 seals:8 index:3 probe:100 tags:106 index:18 seals:8 index:2 probe:10"},
		{"multiplexed", cat(vorbis[:58], head, vorbis[58:], data, page(0, 2, 960, true, text(10))),
			"tags:220 index:118 seals:8 index:3 probe:100 index:18 seals:8 index:2 probe:10"},
		{"skeleton", cat(page(2, 9, 0, true, cat("fishead\x00", zeros(56))), head, page(0, 9, 0, true, text(80)), data),
			"tags:306 index:18 seals:8 index:3 probe:100"},
		{"unknown coding", cat(page(2, 1, 0, true, text(20)), data), "tags:48 index:18 seals:8 index:3 probe:100"},
		{"stream without a beginning", data, "index:18 seals:8 index:3 probe:100"},
		{"Speex with further headers", cat(page(2, 1, 0, true, cat("Speex   ", zeros(60), le32(1), zeros(8))),
			page(0, 1, 0, true, comments("A=b"), text(10)), data), "tags:166 index:18 seals:8 index:3 probe:100"},
		{"FLAC by count", cat(page(2, 1, 0, true, cat("\x7fFLAC\x01\x00\x00\x01fLaC", flacBlock(0, zeros(34)))),
			page(0, 1, 0, true, flacBlock(4, comments())), data), "tags:123 index:18 seals:8 index:3 probe:100"},
		{"FLAC by the last block's flag", cat(page(2, 1, 0, true, cat("\x7fFLAC\x01\x00\x00\x00fLaC", flacBlock(0, zeros(34)))),
			page(0, 1, 0, true, flacBlock(4, comments())), page(0, 1, 0, true, flacBlock(129, zeros(9))), data),
			"tags:164 index:18 seals:8 index:3 probe:100"},
		{"FLAC without a last block", cat(page(2, 1, 0, true, cat("\x7fFLAC\x01\x00\x00\x00fLaC", flacBlock(0, zeros(34)))),
			page(0, 1, 0, true, flacBlock(4, comments())), page(0, 1, 0, true, cat("\xff\xf8", text(98)))),
			"tags:151 probe:100"},
		{"hole", cat(head, data, noise(5000), data), "tags:106 index:18 seals:8 index:3 probe:5100 index:18 seals:8 index:3 probe:100"},
		{"cut in a body", cat(head, data[:60]), "tags:106 index:18 seals:8 index:3 probe:31"},
		{"cut in a page header", cat(head, data, data[:20]), "tags:106 index:18 seals:8 index:3 probe:120"},
		{"tag behind", cat(head, data, id3v1()), "tags:106 index:18 seals:8 index:3 probe:100 tags:128"},
		{"headers alone", head, "data:106"},
	})
}

// TestOggPicture spreads a picture's base64 over pages: the page headers in it
// are tags, and the text is one part in several runs.
func TestOggPicture(t *testing.T) {
	image := base64.StdEncoding.EncodeToString(noise(100000))
	packet := cat("OpusTags", comments("TITLE=x", "METADATA_BLOCK_PICTURE="+image, "ARTIST=y"))
	var pages []byte
	flags := byte(0)
	for ; len(packet) > 255*100; packet = packet[255*100:] {
		pages = cat(pages, page(flags, 1, -1, false, packet[:255*100]))
		flags = 1
	}
	b := cat(opusHead(1)[:47], pages, page(1, 1, 0, true, packet), page(0, 1, 960, true, text(100)))
	c := cut(t, b)
	if art := c.art(); len(art) != 1 || string(art[0]) != image {
		t.Fatalf("no such picture in %s", c.sketch())
	}
	if n := strings.Count(c.sketch(), "art:"); n != 6 {
		t.Errorf("the picture has %d runs, want 6: %s", n, c.sketch())
	}
	if !bytes.Contains(c.part(split.Tags), []byte("ARTIST=y")) {
		t.Error("the field behind the picture is not in the tags")
	}
}

// TestOggFLACPicture does the same with a picture block.
func TestOggFLACPicture(t *testing.T) {
	image := noise(40000)
	packet := flacBlock(128+6, flacPicture(image))
	b := cat(page(2, 1, 0, true, cat("\x7fFLAC\x01\x00\x00\x01fLaC", flacBlock(0, zeros(34)))),
		page(0, 1, -1, false, packet[:255*100]), page(1, 1, 0, true, packet[255*100:]),
		page(0, 1, 960, true, text(100)))
	if art := cut(t, b).art(); len(art) != 1 || !bytes.Equal(art[0], image) {
		t.Error("the picture is not a part")
	}
}

// TestOggProbe wants the last 64 KiB of the file without an audio part, and the
// cut in the same place of the sound whatever the pages are.
func TestOggProbe(t *testing.T) {
	sound := noise(300000)
	paged := func(size int) []byte {
		b := opusHead(1)
		for rest := sound; len(rest) > 0; {
			n := min(size, len(rest))
			b = cat(b, page(0, 1, 960, true, rest[:n]))
			rest = rest[n:]
		}
		return b
	}
	small, large := cut(t, paged(1000)), cut(t, paged(20000))
	for _, k := range []split.Kind{split.Probe, split.Audio} {
		if !bytes.Equal(small.part(k), large.part(k)) {
			t.Errorf("%v depends on the pages", k)
		}
	}
	if n := len(small.part(split.Probe)); n != 72<<10 {
		t.Errorf("probe has %d bytes", n)
	}
	var end int64
	for i, k := range small.Parts {
		for off, n := range small.Extents(i) {
			if k == split.Audio {
				end = off + n
			}
		}
	}
	if size := int64(len(join(small))); end > size-64<<10 {
		t.Errorf("audio reaches to %d of %d bytes", end, size)
	}
}
