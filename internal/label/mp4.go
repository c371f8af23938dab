package label

import (
	"encoding/binary"
	"math"
	"strconv"

	"github.com/tunesafe/tunesafe/internal/split"
)

// mp4Keys are the items of ilst. Those that begin with © begin with byte A9.
var mp4Keys = map[string]field{
	"\xA9nam": title, "\xA9ART": artist, "\xA9alb": album, "aART": albumArtist, "\xA9wrt": composer,
	"\xA9gen": genre, "gnre": genre, "\xA9day": year, "trkn": track, "disk": disc,
	"soar": artistSort, "soaa": albumArtistSort, "soco": composerSort,
}

// mp4File walks the boxes of a file.
type mp4File struct {
	*file
	steps   int
	values  set
	handler string  // of the track being read
	seconds float64 // of it
	sound   string  // format of the first sound track
	video   bool
}

func (f *file) mp4(lo, hi int64) {
	m := mp4File{file: f, steps: maxSteps, values: set{}}
	m.walk(lo, hi, 0)
	f.merge(m.values)
	switch {
	case m.video:
		f.l.Format = "MP4 video"
	case m.sound != "":
		f.l.Format = m.sound
	default:
		f.l.Format = "MP4"
	}
}

// walk visits the boxes in [at, hi).
func (m *mp4File) walk(at, hi int64, depth int) {
	for at < hi && m.steps > 0 && depth < 10 {
		m.steps--
		b, ok := m.box(at, hi)
		if !ok {
			return
		}
		m.visit(b, depth)
		at = b.End
	}
}

func (m *mp4File) box(off, hi int64) (split.Box, bool) {
	return split.ParseBox(m.some(off, 16), off, hi)
}

func (m *mp4File) visit(b split.Box, depth int) {
	switch b.Kind {
	case "moov", "mdia", "minf", "stbl", "udta":
		m.walk(b.Body, b.End, depth+1)
	case "trak":
		m.handler, m.seconds = "", 0
		m.walk(b.Body, b.End, depth+1)
		if m.handler == "soun" && m.seconds > 0 {
			m.file.seconds(m.seconds)
		}
	case "meta":
		at := b.Body + 4 // version and flags, which QuickTime does not have
		if m.has(b.Body+4, "hdlr") {
			at = b.Body
		}
		m.walk(at, b.End, depth+1)
	case "mvhd":
		if m.l.Seconds == 0 {
			m.file.seconds(m.header(b))
		}
	case "mdhd":
		m.seconds = m.header(b)
	case "hdlr":
		if h := m.bytes(b.Body+8, 4); h != nil && depth < 4 {
			m.handler = string(h)
		}
	case "stsd":
		m.sampleEntry(b)
	case "ilst":
		m.items(b)
	}
}

// header reads the length in mvhd and mdhd, ISO/IEC 14496-12 §8.2.2, §8.4.2.
func (m *mp4File) header(b split.Box) float64 {
	h := m.some(b.Body, 32)
	var units, rate float64
	switch {
	case len(h) >= 20 && h[0] == 0:
		rate, units = float64(binary.BigEndian.Uint32(h[12:])), float64(binary.BigEndian.Uint32(h[16:]))
		if units == math.MaxUint32 { // not known
			return 0
		}
	case len(h) >= 32 && h[0] == 1:
		rate, units = float64(binary.BigEndian.Uint32(h[20:])), float64(binary.BigEndian.Uint64(h[24:]))
	}
	if rate == 0 {
		return 0
	}
	return units / rate
}

// sampleEntry tells the format by the first sample entry.
func (m *mp4File) sampleEntry(b split.Box) {
	h := m.bytes(b.Body+12, 4)
	if h == nil {
		return
	}
	kind := string(h)
	if m.handler == "vide" && kind != "jpeg" && kind != "png " { // an image track is a chapter's picture
		m.video = true
	}
	if m.handler != "soun" || m.sound != "" {
		return
	}
	switch kind {
	case "mp4a":
		m.sound = "AAC"
	case "drms":
		m.sound = "AAC"
		m.mark("drms", "")
	case "alac":
		m.sound = "ALAC"
	case "fLaC":
		m.sound = "FLAC"
	case "Opus":
		m.sound = "Opus"
	default:
		m.sound = "MP4"
	}
}

// items reads ilst: in each item one or more data boxes, and in a free-form one
// who gave it meaning and its name before them (iTunes Metadata Format).
func (m *mp4File) items(list split.Box) {
	for at := list.Body; m.steps > 0; {
		m.steps--
		item, ok := m.box(at, list.End)
		if !ok {
			return
		}
		m.item(item)
		at = item.End
	}
}

func (m *mp4File) item(item split.Box) {
	name := item.Kind
	switch name {
	case "\xA9too", "\xA9enc":
		name = "ENCODER"
	case "\xA9cmt":
		name = "COMMENT"
	}
	for at := item.Body; m.steps > 0; {
		m.steps--
		b, ok := m.box(at, item.End)
		if !ok {
			break
		}
		switch b.Kind {
		case "name":
			name = string(m.some(b.Body+4, int(min(b.End-b.Body-4, maxText))))
		case "data":
			m.value(item.Kind, name, b)
		}
		at = b.End
	}
}

// value takes the value in a data split.Box, behind a type and a locale.
func (m *mp4File) value(kind, name string, b split.Box) {
	n := b.End - b.Body - 8
	h := m.bytes(b.Body, 8)
	if h == nil || n > maxField {
		return
	}
	utf16 := h[3] == 2
	v := m.bytes(b.Body+8, int(n))
	k := mp4Keys[kind]
	var s string
	switch {
	case k == track || k == disc:
		if len(v) >= 4 {
			s = strconv.Itoa(int(binary.BigEndian.Uint16(v[2:])))
		}
	case kind == "gnre":
		if len(v) >= 2 {
			s = genreName(int(binary.BigEndian.Uint16(v))-1, "")
		}
	case utf16:
		s = utf16Text(v, true)
	default:
		s = string(v)
	}
	m.mark(name, s)
	if kind == "----" {
		k = vorbisKeys[squash(name)]
	}
	m.values.add(k, s)
}
