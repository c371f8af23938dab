// Package zipstream makes ZIP archives that are never stored anywhere: each byte of one
// can be made when it is asked for.
//
// # The layout comes first
//
// Which byte of the archive is what is decided by the names, sizes and times of its
// entries alone (APPNOTE.TXT 6.3.10): nothing is compressed, as music does not get
// smaller, and what is only known once the content was read, its CRC-32, stands behind
// it in a data descriptor. So the length of the whole is known before the first byte is
// read, and a download that broke off goes on where it was, by a range.
//
//	header  content  [descriptor]    of each entry, in their order
//	directory entry                  of each
//	[ZIP64 end, locator]  end
//
// Whoever goes on in the middle of an entry needs the CRC-32 of all of it for the
// descriptor, and whoever asks for the directory those of all entries. [Sums] remembers
// them by content; what it does not know is read again.
//
// # What can go wrong
//
// A [Reader] fails where a content does, with nothing made up in its place; the caller
// has to break its answer off then, so that nobody takes it for whole. Names are made
// harmless by [Names]: those of an archive are to be unpacked by programs that may
// believe whatever they read.
//
// The package knows nothing of drives, nor of HTTP.
package zipstream

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"io"
	"sort"
	"strings"
	"time"
)

// Entry is a file or a folder in an archive.
type Entry struct {
	Name string // as [Names] gives it; that of a folder ends in a slash, and has no content
	Size int64  // bytes
	Time time.Time
	Mode uint32   // permission bits
	Key  [16]byte // another for other content; see [Sums]
	ID   uint64   // the caller's own
}

// Content is what an entry holds. Bytes that cannot be had are an error.
type Content interface {
	io.ReaderAt
	io.Closer
}

// Archive is a ZIP archive.
type Archive struct {
	entries []Entry
	open    func(context.Context, *Entry) (Content, error)
	sums    *Sums

	starts  []int64 // where the header of each entry is
	central []int64 // where its directory entry is
	dir     int64   // where the directory begins
	dirEnd  int64
	size    int64
	tag     string
}

// New lays out an archive. It keeps the entries. open is called when the content of one
// is needed, and must fail if that is not of Size bytes.
func New(entries []Entry, sums *Sums, open func(context.Context, *Entry) (Content, error)) *Archive {
	a := &Archive{entries: entries, open: open, sums: sums, starts: make([]int64, len(entries)), central: make([]int64, len(entries))}
	hash := sha256.New()
	var b []byte
	for i := range entries {
		e := &entries[i]
		a.starts[i] = a.dir
		b = e.header(b[:0])
		hash.Write(b)
		hash.Write(binary.LittleEndian.AppendUint64(nil, uint64(e.Size)))
		hash.Write(e.Key[:])
		a.dir += int64(len(b)) + e.Size + e.descriptorLen()
	}
	a.dirEnd = a.dir
	for i := range entries {
		a.central[i] = a.dirEnd
		a.dirEnd += entries[i].directoryLen(a.starts[i])
	}
	a.size = a.dirEnd + int64(len(a.end(nil)))
	a.tag = base64.RawURLEncoding.EncodeToString(hash.Sum(nil)[:18])
	return a
}

// Size is the length of the archive in bytes.
func (a *Archive) Size() int64 { return a.size }

// Tag is another for an archive of other bytes.
func (a *Archive) Tag() string { return a.tag }

// isDir reports whether the entry is a folder.
func (e *Entry) isDir() bool { return strings.HasSuffix(e.Name, "/") }

// at finds the entry of an offset before the directory, or the one whose directory entry
// has an offset in the directory.
func at(starts []int64, off int64) int {
	return sort.Search(len(starts), func(i int) bool { return starts[i] > off }) - 1
}
