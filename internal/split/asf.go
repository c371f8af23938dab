package split

import (
	"encoding/binary"
	"strings"
	"unicode/utf16"
)

// Objects of ASF (Advanced Systems Format Specification 1.20, §10), by the bytes
// of their GUIDs.
const (
	asfHeader    = "\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c"
	asfData      = "\x36\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c"
	asfIndex     = "\x90\x08\x00\x33\xb1\xe5\xcf\x11\x89\xf4\x00\xa0\xc9\x03\x49\xcb"
	asfNewIndex  = "\xd3\x29\xe2\xd6\xda\x35\xd1\x11\x90\x34\x00\xa0\xc9\x03\x49\xbe"
	asfExtension = "\xb5\x03\xbf\x5f\x2e\xa9\xcf\x11\x8e\xe3\x00\xc0\x0c\x20\x53\x65"
	asfContent   = "\x40\xa4\xd0\xd2\x07\xe3\xd2\x11\x97\xf0\x00\xa0\xc9\x5e\xa8\x50"
	asfLibrary   = "\x94\x1c\x23\x44\x98\x94\xd1\x49\xa1\x41\x1d\x13\x4e\x45\x70\x54"
)

const (
	asfObject      = 24 // bytes of an object's GUID and size
	asfHeaderBody  = 30 // where the objects in the header begin, §3.1
	asfExtBody     = 46 // and those in its extension, §3.4
	asfDataBody    = 50 // where the packets begin, §5.1
	asfPicture     = "WM/Picture"
	asfPictureName = 2 * (len(asfPicture) + 1) // bytes, with its zero
)

func isASF(magic []byte) bool { return string(magic) == asfHeader }

// asfCutter walks objects.
type asfCutter struct {
	*cutter
	steps int // objects and attributes that may still be visited
}

// cutASF takes the packets of the data object as sound. A live stream leaves the
// object's size 0: then it goes on to the end.
func cutASF(c *cutter, lo, hi int64) bool {
	a := asfCutter{cutter: c, steps: maxSteps}
	found := false
	at := lo
	for {
		o, ok := a.object(at, hi)
		if !ok {
			break
		}
		switch o.Kind {
		case asfHeader:
			a.header(Box{Off: o.Off, Body: o.Off + asfHeaderBody, End: o.End})
		case asfIndex, asfNewIndex:
			a.upto(Tags, o.Off)
			a.upto(Index, o.End)
		case asfData:
			if o.End > o.Off+asfDataBody {
				found = true
				a.upto(Tags, o.Off+asfDataBody)
				a.upto(Audio, o.End)
			}
		}
		at = o.End
	}
	a.leftover(at, hi)
	return found
}

// object reads the object header at off, §2.1.
func (a *asfCutter) object(off, hi int64) (Box, bool) {
	a.steps--
	b := a.f.bytes(off, asfObject)
	if a.steps < 0 || len(b) < asfObject || off+asfObject > hi {
		return Box{}, false
	}
	o := Box{Kind: string(b[:16]), Off: off, Body: off + asfObject}
	size := binary.LittleEndian.Uint64(b[16:])
	if size == 0 && o.Kind == asfData {
		size = uint64(hi - off)
	}
	if size < asfObject {
		return Box{}, false
	}
	o.End = off + int64(min(size, uint64(hi-off)))
	return o, true
}

// header finds the pictures in the header object, or in its extension.
func (a *asfCutter) header(in Box) {
	for at := in.Body; at < in.End; {
		o, ok := a.object(at, in.End)
		if !ok {
			return
		}
		switch o.Kind {
		case asfExtension:
			if in.Kind == "" { // once
				a.header(Box{Kind: o.Kind, Off: o.Off, Body: o.Off + asfExtBody, End: o.End})
			}
		case asfContent:
			a.attributes(o, a.content)
		case asfLibrary:
			a.attributes(o, a.library)
		}
		at = o.End
	}
}

// attribute is the place of an attribute's name and value.
type attribute struct {
	name       int64
	nameLength int
	value, end int64
	next       int64
}

// attributes finds the pictures among the attributes of an object.
func (a *asfCutter) attributes(o Box, parse func(off int64) (attribute, bool)) {
	at := o.Body + 2 // their number
	for at < o.End && a.steps > 0 {
		a.steps--
		t, ok := parse(at)
		if !ok || t.next <= at || t.next > o.End {
			return
		}
		if t.nameLength == asfPictureName && t.end-t.value >= minArt && a.isPicture(t.name) {
			a.wmPicture(t)
		}
		at = t.next
	}
}

func (a *asfCutter) isPicture(off int64) bool {
	b := a.f.bytes(off, asfPictureName)
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = binary.LittleEndian.Uint16(b[2*i:])
	}
	return strings.TrimRight(string(utf16.Decode(units)), "\x00") == asfPicture
}

// content reads an attribute of the extended content description, §3.11: length
// of name, name, type, length of value, value, the lengths in 16 bits.
func (a *asfCutter) content(off int64) (attribute, bool) {
	b := a.f.bytes(off, 2)
	if len(b) < 2 {
		return attribute{}, false
	}
	t := attribute{name: off + 2, nameLength: int(binary.LittleEndian.Uint16(b))}
	if b = a.f.bytes(t.name+int64(t.nameLength), 4); len(b) < 4 {
		return attribute{}, false
	}
	t.value = t.name + int64(t.nameLength) + 4
	t.end = t.value + int64(binary.LittleEndian.Uint16(b[2:]))
	t.next = t.end
	return t, true
}

// library reads one of the metadata library, §4.8: language, stream, length of
// name, type, length of value in 32 bits, name, value.
func (a *asfCutter) library(off int64) (attribute, bool) {
	b := a.f.bytes(off, 12)
	if len(b) < 12 {
		return attribute{}, false
	}
	t := attribute{name: off + 12, nameLength: int(binary.LittleEndian.Uint16(b[4:]))}
	t.value = t.name + int64(t.nameLength)
	t.end = t.value + int64(binary.LittleEndian.Uint32(b[8:]))
	t.next = t.end
	return t, true
}

// wmPicture finds the image in a picture: behind kind, length, type and
// description (Windows Media Format SDK, WM_PICTURE as it is written).
func (a *asfCutter) wmPicture(t attribute) {
	b := a.f.bytes(t.value, int(min(maxLabel, t.end-t.value)))
	at := 5
	for range 2 {
		if at = skipText(b, at, 1); at == 0 {
			return
		}
	}
	length := int64(binary.LittleEndian.Uint32(b[1:]))
	image := t.value + int64(at)
	a.picture([]extent{{image, min(length, t.end-image)}})
}
