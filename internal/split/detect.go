package split

import "bytes"

// maxPadding is how far zero bytes are skipped between a tag and the file that
// it belongs to.
const maxPadding = 64 << 10

// parser cuts the container in [lo, hi), the file without the tags around it,
// and reports whether it is one. It names every byte up to hi.
type parser func(c *cutter, lo, hi int64) bool

// containers are tried in this order. MPEG audio has no magic, so it is last.
var containers = []struct {
	match func(magic []byte) bool // magic has at least 12 bytes
	parse parser
}{
	{isFLAC, cutFLAC},
	{isOgg, cutOgg},
	{isWAV, cutWAV},
	{isAIFF, cutAIFF},
	{isMP4, cutMP4},
	{isASF, cutASF},
	{isMatroska, cutMatroska},
	{isStream, cutStream},
	{isMusepack, cutMusepack},
	{isDSF, cutDSF},
	{isDFF, cutDFF},
	{isCAF, cutCAF},
	{isADTS, cutADTS},
	{isMaybeMPEG, cutMPEG},
}

// foreign are the beginnings of formats in which MPEG frames may lie a few in a
// row, or that are sound of another kind. They are not searched for any.
var foreign = []string{
	"RIFF", "RIFX", "RF64", "BW64", "FORM", "FRM8", "fLaC", "OggS", "DSD ",
	"MAC ", "OFR ", "TTA1", "TTA2", "tBaK", "wvpk", "MPCK", "MP+",
	"FLV\x01", "FWS", "CWS", "MThd", "Extended Module: ", "IMPM", ".snd",
	"\x1aE\xdf\xa3",                        // Matroska
	"\x30\x26\xb2\x75\x8e\x66\xcf\x11",     // ASF
	"\x00\x00\x01\xba",                     // MPEG program stream
	"\x0b\x77",                             // AC-3
	"\x7f\xfe\x80\x01", "\xfe\x7f\x01\x80", // DTS
	"\x1f\xff\xe8\x00", "\xff\x1f\x00\xe8", // DTS in 14 bits
	"ADIF", "PK\x03\x04", "\x89PNG", "\xff\xd8\xff", "%PDF", "\x1f\x8b", "7z\xbc\xaf", "SQLite format 3",
}

func isMaybeMPEG(magic []byte) bool {
	for _, f := range foreign {
		if bytes.HasPrefix(magic, []byte(f)) {
			return false
		}
	}
	return true
}

// cut names every byte of the file.
func (c *cutter) cut() {
	c.tail = probeTail
	lo := c.head(0)
	hi := c.tailTags(lo, c.f.size)
	c.upto(Tags, lo)
	if !c.body(lo, hi) {
		c.upto(Data, hi)
	}
	c.upto(Tags, c.f.size)
}

// body cuts what is between the tags. A container's magic is looked for before
// zero padding is skipped, since an MP4 box begins with zero bytes.
func (c *cutter) body(lo, hi int64) bool {
	if lo >= hi {
		return true
	}
	if c.container(lo, hi) {
		return true
	}
	at := c.skipZeros(lo, hi)
	for box := max(lo, at-3); box < at; box++ { // the zeros of its size are not padding
		if b := c.f.bytes(box, 8); len(b) == 8 && isMP4(b) && c.attempt(cutMP4, box, hi) {
			return true
		}
	}
	return at > lo && c.container(c.head(at), hi)
}

// container tries every parser whose magic is at lo.
func (c *cutter) container(lo, hi int64) bool {
	magic := bytes.Clone(c.f.bytes(lo, int(min(16, max(0, hi-lo)))))
	if len(magic) < 12 {
		return false
	}
	for _, k := range containers {
		if k.match(magic) && c.attempt(k.parse, lo, hi) {
			return true
		}
	}
	return false
}

// skipZeros returns where the zero bytes at lo end.
func (c *cutter) skipZeros(lo, hi int64) int64 {
	hi = min(hi, lo+maxPadding)
	for at := lo; at < hi; {
		b := c.f.bytes(at, int(min(1<<10, hi-at)))
		if len(b) == 0 {
			return lo
		}
		for i := range b {
			if b[i] != 0 {
				return at + int64(i)
			}
		}
		at += int64(len(b))
	}
	return hi
}
