package feed

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/itunes"
)

// libraries remembers which library files of iTunes were whole when they were
// taken in. One that never was is none of the brake's business.
type libraries struct {
	Whole   map[cache.Ino]bool
	changed bool
}

// isLibrary tells by the name whether a file is where iTunes or Music keeps
// ratings, play counts and playlists.
func isLibrary(name string) bool {
	name = strings.ToLower(name)
	switch name {
	case "itunes library.xml", "itunes music library.xml", "library.xml":
		return true
	}
	return strings.HasSuffix(name, ".itl")
}

// broke tells whether a library file was whole and is not any more.
func (l *libraries) broke(ino cache.Ino, f io.ReaderAt, size int64) bool {
	return l.Whole[ino] && !isWhole(f, size)
}

// note remembers whether a library file that is taken in is whole.
func (l *libraries) note(ino cache.Ino, f io.ReaderAt, size int64) {
	if whole := isWhole(f, size); whole != l.Whole[ino] {
		if l.Whole == nil {
			l.Whole = map[cache.Ino]bool{}
		}
		l.Whole[ino], l.changed = whole, true
		if !whole {
			delete(l.Whole, ino)
		}
	}
}

// longestParse is up to which size, in bytes, a library is parsed whole. Of a longer
// one only beginning and end are looked at.
const longestParse = 256 << 20

// isWhole tells whether a library file is what its program writes: a property list
// up to its end, or what begins as an .itl does and is as long as it says.
func isWhole(f io.ReaderAt, size int64) bool {
	head := make([]byte, min(size, 512))
	tail := make([]byte, min(size, 512))
	if _, err := f.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return false
	}
	if _, err := f.ReadAt(tail, size-int64(len(tail))); err != nil && !errors.Is(err, io.EOF) {
		return false
	}
	if bytes.HasPrefix(head, []byte("hdfm")) || bytes.HasPrefix(head, []byte("hdsm")) {
		return wholeITL(head, size)
	}
	if !bytes.Contains(tail, []byte("</plist>")) || !bytes.Contains(head, []byte("<plist")) {
		return false
	}
	return size > longestParse || itunes.Whole(io.NewSectionReader(f, 0, size)) == nil
}

// wholeITL reads the header of iTunes Library.itl: after the magic the length of
// the header and then that of the file, 32 bits each, big-endian.
func wholeITL(head []byte, size int64) bool {
	if len(head) < 12 {
		return false
	}
	said := int64(head[8])<<24 | int64(head[9])<<16 | int64(head[10])<<8 | int64(head[11])
	return said == 0 || size >= said
}

// noteLibrary looks at a library file that is about to be taken in.
func (s *scan) noteLibrary(ino cache.Ino, f *found) {
	if !f.st.IsFile() || !isLibrary(f.name) {
		return
	}
	d, err := s.dirAt(f.in.path)
	if err != nil {
		return
	}
	var file *os.File
	if file, err = d.Open(f.name); err != nil {
		return
	}
	defer file.Close()
	s.libraries.note(ino, file, f.st.Size)
}
