package split

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// Elements of EBML (RFC 8794 §11) and Matroska (RFC 9559 §5.1).
const (
	ebmlHead        = 0x1A45DFA3
	ebmlVoid        = 0xEC
	ebmlCRC         = 0xBF
	mkvSegment      = 0x18538067
	mkvSeekHead     = 0x114D9B74
	mkvInfo         = 0x1549A966
	mkvTracks       = 0x1654AE6B
	mkvCluster      = 0x1F43B675
	mkvCues         = 0x1C53BB6B
	mkvChapters     = 0x1043A770
	mkvTags         = 0x1254C367
	mkvAttachments  = 0x1941A469
	mkvAttached     = 0x61A7
	mkvAttachedType = 0x4660
	mkvAttachedData = 0x465C
)

func isMatroska(magic []byte) bool { return binary.BigEndian.Uint32(magic) == ebmlHead }

// element is an element's place. Its end is clipped to what is around it.
type element struct {
	id             uint32
	off, body, end int64
	unknown        bool // its size
}

// mkvCutter walks elements.
type mkvCutter struct {
	*cutter
	steps int // elements that may still be visited
	found bool
}

// cutMatroska takes the bodies of the clusters as sound. Their headers are index,
// and so are the tracks, which hold what the codecs need; the cues, which say
// where in the file the clusters are, are seals.
func cutMatroska(c *cutter, lo, hi int64) bool {
	m := mkvCutter{cutter: c, steps: maxSteps}
	at := lo
	for at < hi {
		e, ok := m.element(at, hi)
		if !ok {
			break
		}
		switch {
		case e.id == mkvSegment:
			e.end = m.segment(e)
		case e.unknown || e.id != ebmlHead && e.id != ebmlVoid && e.id != ebmlCRC:
			ok = false
		}
		if !ok || e.end <= at {
			break
		}
		at = e.end
	}
	m.leftover(at, hi)
	return m.found
}

// element reads the header at off: a name of one to four bytes, and a size of one
// to eight whose bits are all set if it is not known (RFC 8794 §5, §6). It reads
// no byte more, as behind it may be sound.
func (m *mkvCutter) element(off, hi int64) (element, bool) {
	if m.steps--; m.steps < 0 {
		return element{}, false
	}
	b := m.f.bytes(off, 2)
	if len(b) < 2 || b[0] < 0x10 {
		return element{}, false
	}
	name := bits.LeadingZeros8(b[0]) + 1
	if b = m.f.bytes(off, name+1); len(b) < name+1 || b[name] == 0 {
		return element{}, false
	}
	n := name + bits.LeadingZeros8(b[name]) + 1
	if b = m.f.bytes(off, n); len(b) < n || off+int64(n) > hi {
		return element{}, false
	}
	e := element{off: off, body: off + int64(n), end: hi}
	for _, d := range b[:name] {
		e.id = e.id<<8 | uint32(d)
	}
	var size uint64
	for _, d := range b[name:] {
		size = size<<8 | uint64(d)
	}
	marker := uint64(1) << (7 * (n - name))
	if size &^= marker; size == marker-1 {
		e.unknown = true
	} else {
		e.end = e.body + int64(min(size, uint64(hi-e.body), math.MaxInt64))
	}
	return e, true
}

// segment names what is in a segment and returns where it ends.
func (m *mkvCutter) segment(s element) int64 {
	at := s.body
	for at < s.end {
		e, ok := m.element(at, s.end)
		if !ok || s.unknown && (e.id == ebmlHead || e.id == mkvSegment) {
			break
		}
		if e.unknown && e.id != mkvCluster {
			break
		}
		switch e.id {
		case mkvCluster:
			m.cluster(&e)
		case mkvTracks:
			m.upto(Tags, e.off)
			m.upto(Index, e.end)
		case mkvCues:
			m.upto(Tags, e.off)
			m.upto(Seals, e.end)
		case mkvAttachments:
			m.attachments(e)
		}
		m.upto(Tags, e.end)
		at = e.end
	}
	return at
}

// cluster names the bytes of a cluster, and finds its end if it does not tell: it
// goes on to the next element that belongs beside it.
func (m *mkvCutter) cluster(e *element) {
	if e.unknown {
		at, hi := e.body, e.end
		for at < hi {
			in, ok := m.element(at, hi)
			if !ok || in.unknown || isBeside(in.id) {
				break
			}
			at = in.end
		}
		e.end = at
	}
	m.upto(Tags, e.off)
	m.upto(Index, e.body)
	if e.end > e.body {
		m.found = true
		m.upto(Audio, e.end)
	}
}

// isBeside tells the elements that end a cluster of unknown size (RFC 8794 §6.2).
func isBeside(id uint32) bool {
	switch id {
	case ebmlHead, mkvSegment, mkvSeekHead, mkvInfo, mkvTracks, mkvCluster, mkvCues, mkvChapters, mkvTags, mkvAttachments:
		return true
	}
	return false
}

// attachments finds the pictures among the attached files (RFC 9559 §5.1.6).
func (m *mkvCutter) attachments(all element) {
	for at := all.body; at < all.end; {
		e, ok := m.element(at, all.end)
		if !ok {
			return
		}
		if e.id == mkvAttached {
			m.attached(e)
		}
		at = e.end
	}
}

// attached looks at one of them: its type and its bytes may come in any order.
func (m *mkvCutter) attached(file element) {
	var image bool
	var data element
	for at := file.body; at < file.end; {
		e, ok := m.element(at, file.end)
		if !ok {
			break
		}
		switch e.id {
		case mkvAttachedType:
			image = e.end-e.body >= 6 && m.f.has(e.body, "image/")
		case mkvAttachedData:
			data = e
		}
		at = e.end
	}
	if image {
		m.picture([]extent{{data.body, data.end - data.body}})
	}
}
