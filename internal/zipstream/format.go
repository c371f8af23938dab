package zipstream

import (
	"encoding/binary"
	"math"
	"time"
)

// Signatures and sizes of APPNOTE.TXT §4.3.
const (
	headerSig     = 0x04034b50
	descriptorSig = 0x08074b50
	directorySig  = 0x02014b50
	end64Sig      = 0x06064b50
	locatorSig    = 0x07064b50
	endSig        = 0x06054b50

	headerLen    = 30 // without name and extra fields
	directoryLen = 46

	flagLater = 1 << 3  // CRC-32 and sizes stand behind the content
	flagUTF8  = 1 << 11 // of the name

	version20   = 20 // folders
	version45   = 45 // ZIP64
	madeByUnix  = 3 << 8
	zip64Extra  = 0x0001
	timeExtra   = 0x5455 // "UT", as Info-ZIP has it: seconds since 1970
	unixFolder  = 0o040000
	unixFile    = 0o100000
	dosFolder   = 0x10
	max16       = math.MaxUint16
	max32       = math.MaxUint32
	longestTime = math.MaxInt32
)

var le = binary.LittleEndian

// big reports whether sizes need 64 bits.
func (e *Entry) big() bool { return e.Size >= max32 }

// later reports whether a descriptor follows the content. Of nothing the CRC-32 is 0.
func (e *Entry) later() bool { return e.Size > 0 }

func (e *Entry) flags() uint16 {
	if e.later() {
		return flagUTF8 | flagLater
	}
	return flagUTF8
}

func (e *Entry) version() uint16 {
	if e.big() {
		return version45
	}
	return version20
}

// header is what stands before the content.
func (e *Entry) header(b []byte) []byte {
	var sizes uint32
	var extra []byte
	if e.big() { // by which readers know that the descriptor has 64 bits
		sizes = max32
		extra = le.AppendUint16(extra, zip64Extra)
		extra = le.AppendUint16(extra, 16)
		extra = append(extra, make([]byte, 16)...)
	}
	extra = e.timeField(extra)
	b = le.AppendUint32(b, headerSig)
	b = le.AppendUint16(b, e.version())
	b = le.AppendUint16(b, e.flags())
	b = le.AppendUint16(b, 0) // stored
	b = dosTime(b, e.Time)
	b = le.AppendUint32(b, 0)
	b = le.AppendUint32(b, sizes)
	b = le.AppendUint32(b, sizes)
	b = le.AppendUint16(b, uint16(len(e.Name)))
	b = le.AppendUint16(b, uint16(len(extra)))
	b = append(b, e.Name...)
	return append(b, extra...)
}

func (e *Entry) headerLen() int64 {
	n := headerLen + len(e.Name) + len(e.timeField(nil))
	if e.big() {
		n += 4 + 16
	}
	return int64(n)
}

func (e *Entry) descriptorLen() int64 {
	switch {
	case !e.later():
		return 0
	case e.big():
		return 24
	}
	return 16
}

// descriptor is what stands behind the content.
func (e *Entry) descriptor(b []byte, sum uint32) []byte {
	b = le.AppendUint32(b, descriptorSig)
	b = le.AppendUint32(b, sum)
	if e.big() {
		b = le.AppendUint64(b, uint64(e.Size))
		return le.AppendUint64(b, uint64(e.Size))
	}
	b = le.AppendUint32(b, uint32(e.Size))
	return le.AppendUint32(b, uint32(e.Size))
}

// directory is the entry's in the directory; its header is at start.
func (e *Entry) directory(b []byte, sum uint32, start int64) []byte {
	var wide []byte
	version, size, offset := e.version(), uint32(min(e.Size, max32)), uint32(min(start, max32))
	if e.big() {
		wide = le.AppendUint64(wide, uint64(e.Size))
		wide = le.AppendUint64(wide, uint64(e.Size))
	}
	if start >= max32 {
		wide = le.AppendUint64(wide, uint64(start))
		version = version45
	}
	var extra []byte
	if wide != nil {
		extra = le.AppendUint16(extra, zip64Extra)
		extra = le.AppendUint16(extra, uint16(len(wide)))
		extra = append(extra, wide...)
	}
	extra = e.timeField(extra)
	mode := uint32(unixFile|e.Mode&0o777) << 16
	if e.isDir() {
		mode = uint32(unixFolder|e.Mode&0o777)<<16 | dosFolder
	}
	b = le.AppendUint32(b, directorySig)
	b = le.AppendUint16(b, madeByUnix|version45)
	b = le.AppendUint16(b, version)
	b = le.AppendUint16(b, e.flags())
	b = le.AppendUint16(b, 0) // stored
	b = dosTime(b, e.Time)
	b = le.AppendUint32(b, sum)
	b = le.AppendUint32(b, size)
	b = le.AppendUint32(b, size)
	b = le.AppendUint16(b, uint16(len(e.Name)))
	b = le.AppendUint16(b, uint16(len(extra)))
	b = le.AppendUint16(b, 0) // comment
	b = le.AppendUint16(b, 0) // disk
	b = le.AppendUint16(b, 0) // no text
	b = le.AppendUint32(b, mode)
	b = le.AppendUint32(b, offset)
	b = append(b, e.Name...)
	return append(b, extra...)
}

func (e *Entry) directoryLen(start int64) int64 {
	n, wide := directoryLen+len(e.Name)+len(e.timeField(nil)), 0
	if e.big() {
		wide += 16
	}
	if start >= max32 {
		wide += 8
	}
	if wide > 0 {
		n += 4 + wide
	}
	return int64(n)
}

// end is what stands behind the directory.
func (a *Archive) end(b []byte) []byte {
	count, length := int64(len(a.entries)), a.dirEnd-a.dir
	if count >= max16 || length >= max32 || a.dir >= max32 {
		b = le.AppendUint32(b, end64Sig)
		b = le.AppendUint64(b, 44) // of what follows
		b = le.AppendUint16(b, madeByUnix|version45)
		b = le.AppendUint16(b, version45)
		b = le.AppendUint64(b, 0) // disks
		b = le.AppendUint64(b, uint64(count))
		b = le.AppendUint64(b, uint64(count))
		b = le.AppendUint64(b, uint64(length))
		b = le.AppendUint64(b, uint64(a.dir))
		b = le.AppendUint32(b, locatorSig)
		b = le.AppendUint32(b, 0)
		b = le.AppendUint64(b, uint64(a.dirEnd))
		b = le.AppendUint32(b, 1)
	}
	b = le.AppendUint32(b, endSig)
	b = le.AppendUint32(b, 0) // disks
	b = le.AppendUint16(b, uint16(min(count, max16)))
	b = le.AppendUint16(b, uint16(min(count, max16)))
	b = le.AppendUint32(b, uint32(min(length, max32)))
	b = le.AppendUint32(b, uint32(min(a.dir, max32)))
	return le.AppendUint16(b, 0) // comment
}

// timeField is the time to the second, whatever zone the reader is in; it holds times up
// to 2038.
func (e *Entry) timeField(b []byte) []byte {
	t := e.Time.Unix()
	if t < 0 || t > longestTime {
		return b
	}
	b = le.AppendUint16(b, timeExtra)
	b = le.AppendUint16(b, 5)
	b = append(b, 1) // the time of change alone
	return le.AppendUint32(b, uint32(t))
}

// dosTime is time and date as old readers show them, as told by this computer's clock:
// two seconds fine, from 1980 to 2107.
func dosTime(b []byte, t time.Time) []byte {
	t = t.Local()
	switch {
	case t.Year() < 1980:
		t = time.Date(1980, 1, 1, 0, 0, 0, 0, time.Local)
	case t.Year() > 2107:
		t = time.Date(2107, 12, 31, 23, 59, 58, 0, time.Local)
	}
	b = le.AppendUint16(b, uint16(t.Hour()<<11|t.Minute()<<5|t.Second()/2))
	return le.AppendUint16(b, uint16((t.Year()-1980)<<9|int(t.Month())<<5|t.Day()))
}
