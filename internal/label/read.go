package label

import "strings"

// containers are known by their first bytes.
var containers = []struct {
	magic string
	read  func(f *file, lo, hi int64)
}{
	{"fLaC", func(f *file, lo, _ int64) { f.flac(lo) }},
	{oggMagic, func(f *file, lo, _ int64) { f.ogg(lo) }},
	{"DSD ", func(f *file, lo, _ int64) { f.dsf(lo) }},
	{"FRM8", (*file).dff},
	{"wvpk", func(f *file, lo, _ int64) { f.wavPack(lo) }},
	{"MAC ", func(f *file, lo, _ int64) { f.monkeys(lo) }},
	{"MP+", func(f *file, lo, _ int64) { f.musepack7(lo) }},
	{"MPCK", func(f *file, lo, _ int64) { f.musepack8(lo) }},
	{"TTA1", func(f *file, lo, _ int64) { f.tta(lo) }},
	{"tBaK", func(f *file, lo, _ int64) { f.tak(lo) }},
	{"OFR ", func(f *file, lo, _ int64) { f.optimFrog(lo) }},
	{asfHeader, func(f *file, lo, _ int64) { f.asf(lo) }},
	{"\x1aE\xdf\xa3", (*file).matroska},
}

// read reads the container, then the tags around it.
func (f *file) read() {
	lo := f.skipID3(0)
	f.container(lo, f.size)
	if f.l.Format == "" && f.sound == 0 {
		return // no music; a text that begins with ID3 is a text
	}
	f.id3Head(0)
	f.tails(lo, f.size)
}

// skipID3 returns where the ID3v2 tags at off end.
func (f *file) skipID3(off int64) int64 {
	for range 64 {
		h := f.bytes(off, 10)
		if h == nil || string(h[:3]) != "ID3" || h[3] == 0xFF || syncsafe(h[6:]) < 0 {
			break
		}
		end := off + 10 + syncsafe(h[6:])
		if h[3] == 4 && h[5]&0x10 != 0 {
			end += 10
		}
		if end > f.size {
			break
		}
		off = end
	}
	return off
}

// container reads the file between its tags.
func (f *file) container(lo, hi int64) {
	magic := string(f.some(lo, 16))
	for _, c := range containers {
		if strings.HasPrefix(magic, c.magic) {
			c.read(f, lo, hi)
			return
		}
	}
	switch {
	case len(magic) < 12:
	case magic[8:12] == "WAVE" && (magic[:2] == "RI" || magic[1:4] == "F64" || magic[:4] == "BW64"):
		f.wav(lo, hi)
	case magic[:4] == "FORM" && (magic[8:12] == "AIFF" || magic[8:12] == "AIFC"):
		f.aiff(lo, hi)
	case isMP4(magic):
		f.mp4(lo, hi)
	case f.sound > 0:
		f.mpeg(lo, f.firstSound)
	}
}

// isMP4 knows the boxes that a file of sound begins with.
func isMP4(magic string) bool {
	switch magic[4:8] {
	case "ftyp", "moov", "mdat", "free", "skip", "wide":
		return true
	}
	return false
}
