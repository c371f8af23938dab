package label

import (
	"encoding/binary"
	"strconv"
)

// Objects of ASF (Advanced Systems Format specification §10), as they lie in a
// file.
const (
	asfHeader   = "\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c"
	asfFile     = "\xa1\xdc\xab\x8c\x47\xa9\xcf\x11\x8e\xe4\x00\xc0\x0c\x20\x53\x65"
	asfContent  = "\x33\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c"
	asfExtended = "\x40\xa4\xd0\xd2\x07\xe3\xd2\x11\x97\xf0\x00\xa0\xc9\x5e\xa8\x50"
	asfMore     = "\xb5\x03\xbf\x5f\x2e\xa9\xcf\x11\x8e\xe3\x00\xc0\x0c\x20\x53\x65"
	asfLibrary  = "\x94\x1c\x23\x44\x98\x94\xd1\x49\xa1\x41\x1d\x13\x4e\x45\x70\x54"
)

// asfKeys are the names in the extended content description.
var asfKeys = map[string]field{
	"WM/AlbumTitle": album, "WM/AlbumArtist": albumArtist, "WM/Composer": composer, "WM/Genre": genre,
	"WM/Year": year, "WM/TrackNumber": track, "WM/PartOfSet": disc, "Author": artist, "Title": title,
	"WM/ArtistSortOrder": artistSort, "WM/AlbumArtistSortOrder": albumArtistSort, "WM/ComposerSortOrder": composerSort,
}

// asf reads the header objects of an ASF file, the container of WMA.
func (f *file) asf(lo int64) {
	f.l.Format = "WMA"
	h := f.bytes(lo, 30)
	if h == nil {
		return
	}
	end := lo + int64(min(binary.LittleEndian.Uint64(h[16:]), 1<<40))
	s, more := set{}, set{}
	f.asfObjects(lo+30, end, s, more, 0)
	for k, v := range more { // which often lie before the description
		s[k] = append(s[k], v...)
	}
	f.merge(s)
}

// asfObjects reads the objects in [at, end).
func (f *file) asfObjects(at, end int64, s, more set, depth int) {
	for n := 0; at < end && n < maxSteps; n++ {
		h := f.bytes(at, 24)
		if h == nil {
			break
		}
		id, size := string(h[:16]), int64(min(binary.LittleEndian.Uint64(h[16:]), 1<<40))
		if size < 24 {
			break
		}
		switch id {
		case asfFile:
			if b := f.bytes(at+24, 64); b != nil { // play duration in 100 ns, preroll in ms
				played := float64(binary.LittleEndian.Uint64(b[40:])) / 1e7
				f.seconds(played - float64(binary.LittleEndian.Uint64(b[56:]))/1e3)
			}
		case asfContent:
			f.asfDescription(at+24, s)
		case asfExtended:
			f.asfItems(at+24, more)
		case asfMore:
			if depth == 0 {
				f.asfObjects(at+46, at+size, s, more, 1)
			}
		case asfLibrary:
			f.asfLibrary(at+24, more)
		}
		at += size
	}
}

// asfDescription reads title, author, copyright, description and rating.
func (f *file) asfDescription(at int64, s set) {
	h := f.bytes(at, 10)
	if h == nil {
		return
	}
	var sizes [5]int
	for i := range sizes {
		sizes[i] = int(binary.LittleEndian.Uint16(h[2*i:]))
	}
	at += 10
	for i, k := range []field{title, artist, 0, 0, 0} {
		v := utf16Text(f.some(at, sizes[i]), false)
		if i == 3 {
			f.mark("COMMENT", v)
		}
		s.add(k, v)
		at += int64(sizes[i])
	}
}

// asfItems reads names and values: a count, then size and name, type, size and
// value of each.
func (f *file) asfItems(at int64, s set) {
	h := f.bytes(at, 2)
	if h == nil {
		return
	}
	count := int(binary.LittleEndian.Uint16(h))
	at += 2
	for range count {
		b := f.bytes(at, 2)
		if b == nil {
			return
		}
		n := int(binary.LittleEndian.Uint16(b))
		name := clean(utf16Text(f.some(at+2, n), false))
		at += 2 + int64(n)
		if b = f.bytes(at, 4); b == nil {
			return
		}
		kind, n := binary.LittleEndian.Uint16(b), int(binary.LittleEndian.Uint16(b[2:]))
		v := asfValue(kind, f.some(at+4, n))
		f.mark(name, v)
		s.add(asfKeys[name], v)
		at += 4 + int64(n)
	}
}

// asfLibrary reads what the other lists have no room for, as second artists:
// language, stream, sizes and type come before each name and value.
func (f *file) asfLibrary(at int64, s set) {
	h := f.bytes(at, 2)
	if h == nil {
		return
	}
	count := int(binary.LittleEndian.Uint16(h))
	at += 2
	for range count {
		h := f.bytes(at, 12)
		if h == nil {
			return
		}
		n, kind, size := int64(binary.LittleEndian.Uint16(h[4:])), binary.LittleEndian.Uint16(h[6:]), int64(binary.LittleEndian.Uint32(h[8:]))
		name := clean(utf16Text(f.some(at+12, int(n)), false))
		if at += 12 + n; size <= maxField {
			v := asfValue(kind, f.some(at, int(size)))
			f.mark(name, v)
			s.add(asfKeys[name], v)
		}
		at += size
	}
}

// asfValue returns texts, and numbers as text.
func asfValue(kind uint16, b []byte) string {
	switch {
	case kind == 0:
		return utf16Text(b, false)
	case kind == 3 && len(b) >= 4:
		return strconv.Itoa(int(binary.LittleEndian.Uint32(b)))
	}
	return ""
}
