package sync

import (
	"bytes"
	"errors"
	"io"

	"github.com/tunesafe/tunesafe/cache"
)

// Files that are labour themselves: the databases of iTunes and Music, which hold
// ratings, play counts and playlists that are nowhere else, and the texts that
// lie beside music, such as playlists, cue sheets and logs of a rip. They go with
// names and tags, before any sound. They are told by how they begin, as a file
// may have any name.
const (
	libraryHead = 4 << 10
	longestText = 32 << 20 // a longer one is a dump or a mail store, no playlist
)

// libraryMarks begin a database: iTunes Library.itl, Music's Library.musicdb.
var libraryMarks = [][]byte{[]byte("hdfm"), []byte("hfma")}

// isLibrary reports whether a file that is no music is labour.
func isLibrary(snap *cache.Snapshot) (bool, error) {
	head := make([]byte, min(libraryHead, snap.Size))
	if _, err := snap.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	for _, m := range libraryMarks {
		if bytes.HasPrefix(head, m) {
			return true, nil
		}
	}
	if bytes.Contains(head, []byte("<plist")) && bytes.Contains(head, []byte("<dict>")) {
		return true, nil
	}
	return snap.Size <= longestText && isText(head), nil
}

// isText reports whether bytes look like text of any encoding that has no zeros,
// or UTF-16 with its mark.
func isText(head []byte) bool {
	if bytes.HasPrefix(head, []byte("\xff\xfe")) || bytes.HasPrefix(head, []byte("\xfe\xff")) {
		return true
	}
	for _, c := range head {
		if c < ' ' && c != '\t' && c != '\n' && c != '\r' && c != '\f' && c != 0x1b {
			return false
		}
	}
	return true
}
