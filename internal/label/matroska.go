package label

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// Elements of Matroska (RFC 9559 §5).
const (
	mkvSegment  = 0x18538067
	mkvSeekHead = 0x114D9B74
	mkvSeek     = 0x4DBB
	mkvSeekID   = 0x53AB
	mkvSeekPos  = 0x53AC
	mkvInfo     = 0x1549A966
	mkvScale    = 0x2AD7B1
	mkvDuration = 0x4489
	mkvTitle    = 0x7BA9
	mkvCluster  = 0x1F43B675
	mkvTags     = 0x1254C367
	mkvTag      = 0x7373
	mkvTargets  = 0x63C0
	mkvLevel    = 0x68CA
	mkvSimple   = 0x67C8
	mkvName     = 0x45A3
	mkvText     = 0x4487
)

// mkvTrackLevel is the target type of a track; above it is the album.
const mkvTrackLevel = 30

// element is an element's place.
type element struct {
	id        uint32
	body, end int64
}

type mkvFile struct {
	*file
	steps    int
	segment  int64 // where positions count from
	tagsAt   int64 // as SeekHead says
	scale    float64
	duration float64
	level    uint64
	values   set // of the track
	of       set // of the album
	name     string
}

func (f *file) matroska(lo, hi int64) {
	f.l.Format = "Matroska"
	m := mkvFile{file: f, steps: maxSteps, scale: 1e6, values: set{}, of: set{}}
	m.walk(lo, hi, m.top)
	f.seconds(m.duration * m.scale / 1e9)
	f.merge(m.values)
	f.merge(set{album: m.of[title], albumArtist: m.of[artist], year: m.of[year]})
	m.of[title] = nil
	f.merge(m.of)
}

// walk visits the elements in [at, hi) until visit returns false.
func (m *mkvFile) walk(at, hi int64, visit func(element) bool) {
	for at < hi && m.steps > 0 {
		m.steps--
		e, ok := m.element(at, hi)
		if !ok || !visit(e) {
			return
		}
		at = e.end
	}
}

// element reads the header at off, RFC 8794 §4 to §6. An unknown size goes on
// to hi.
func (m *mkvFile) element(off, hi int64) (element, bool) {
	b := m.some(off, 12)
	if len(b) < 2 || b[0] == 0 {
		return element{}, false
	}
	n := bits.LeadingZeros8(b[0]) + 1
	if n > 4 || len(b) <= n || b[n] == 0 {
		return element{}, false
	}
	var e element
	for _, c := range b[:n] {
		e.id = e.id<<8 | uint32(c)
	}
	b = b[n:]
	k := bits.LeadingZeros8(b[0]) + 1
	if len(b) < k {
		return element{}, false
	}
	size := uint64(b[0]) & (1<<(8-k) - 1)
	for _, c := range b[1:k] {
		size = size<<8 | uint64(c)
	}
	e.body = off + int64(n+k)
	if e.body > hi {
		return element{}, false
	}
	e.end = e.body + int64(min(size, uint64(hi-e.body)))
	if size == 1<<(7*k)-1 {
		e.end = hi
	}
	return e, true
}

func (m *mkvFile) top(e element) bool {
	switch e.id {
	case mkvSegment:
		m.segment = e.body
		m.walk(e.body, e.end, m.inSegment)
		return false
	case mkvCluster:
		return false
	}
	return true
}

// inSegment goes on to the tags when it comes to the sound.
func (m *mkvFile) inSegment(e element) bool {
	switch e.id {
	case mkvSeekHead:
		m.walk(e.body, e.end, m.inSeekHead)
	case mkvInfo:
		m.walk(e.body, e.end, m.inInfo)
	case mkvTags:
		m.walk(e.body, e.end, m.inTags)
		m.tagsAt = -1
	case mkvCluster:
		if m.tagsAt > e.body {
			if t, ok := m.element(m.tagsAt, m.size); ok && t.id == mkvTags {
				m.walk(t.body, t.end, m.inTags)
			}
			return false
		}
		return m.tagsAt == 0 // not known where, if anywhere
	}
	return true
}

func (m *mkvFile) inSeekHead(e element) bool {
	if e.id != mkvSeek {
		return true
	}
	var id, pos uint64
	m.walk(e.body, e.end, func(e element) bool {
		switch e.id {
		case mkvSeekID:
			id = m.number(e)
		case mkvSeekPos:
			pos = m.number(e)
		}
		return true
	})
	if id == mkvTags && pos < math.MaxInt64/2 {
		m.tagsAt = m.segment + int64(pos)
	}
	return true
}

func (m *mkvFile) inInfo(e element) bool {
	switch e.id {
	case mkvScale:
		m.scale = float64(m.number(e))
	case mkvDuration:
		switch v := m.number(e); e.end - e.body {
		case 4:
			m.duration = float64(math.Float32frombits(uint32(v)))
		case 8:
			m.duration = math.Float64frombits(v)
		}
	case mkvTitle:
		m.values.add(title, m.text(e))
	}
	return true
}

func (m *mkvFile) inTags(e element) bool {
	if e.id == mkvTag {
		m.level = 50 // by default, RFC 9559 §5.1.8.1.1.1
		m.walk(e.body, e.end, m.inTag)
	}
	return true
}

func (m *mkvFile) inTag(e element) bool {
	switch e.id {
	case mkvTargets:
		m.walk(e.body, e.end, func(e element) bool {
			if e.id == mkvLevel {
				m.level = m.number(e)
			}
			return true
		})
	case mkvSimple:
		m.name = ""
		m.walk(e.body, e.end, m.inSimple)
	}
	return true
}

func (m *mkvFile) inSimple(e element) bool {
	switch e.id {
	case mkvName:
		m.name = m.text(e)
	case mkvText:
		v := m.text(e)
		m.mark(m.name, v)
		s := m.values
		if m.level > mkvTrackLevel {
			s = m.of
		}
		k := vorbisKeys[squash(m.name)]
		if m.name == "PART_NUMBER" {
			k = track
		}
		s.add(k, v)
	}
	return true
}

func (m *mkvFile) number(e element) uint64 {
	var b [8]byte
	n := e.end - e.body
	if n < 1 || n > 8 {
		return 0
	}
	copy(b[8-n:], m.bytes(e.body, int(n)))
	return binary.BigEndian.Uint64(b[:])
}

func (m *mkvFile) text(e element) string {
	return clean(string(m.some(e.body, int(min(e.end-e.body, maxField)))))
}
