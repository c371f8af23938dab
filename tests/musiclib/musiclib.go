// Package musiclib makes music libraries to test with: the same one, byte for
// byte and with the same times, modes and attributes, for the same [Options].
//
// A library looks as iTunes leaves it: Artist/Album/NN Title.ext and an
// "iTunes Library.xml" beside the artists. About four of five tracks are MP3;
// the rest are M4A (moov before and after mdat), FLAC, Ogg Vorbis, Opus and
// WAV. An album's tracks share its cover. Names hold diacritics, composed and
// decomposed, and scripts other than Latin. Half the albums belong to
// [FirstArtist], whose name every test that retags a collection corrects.
//
// Every file decodes. It costs little because nothing is encoded twice: lame
// and ffmpeg encode long streams of noise once, kept in a cache directory. An
// MP3 or M4A track is a header and frames of such a stream in an order of its
// own, none of them twice, so that tracks have no long stretch in common and
// compress as badly as music. The other formats are encoded from noise with a
// seed of their own. Headers, tags and tables are written by this package.
//
// The result depends on the versions of ffmpeg and lame that filled the cache.
// It needs both; see [Tools].
package musiclib

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// FirstArtist is the artist of the first half of the albums.
const FirstArtist = "Sibelius, Jean (1865-1957)"

// Tools lists the programs that Make runs when its cache is cold.
var Tools = []string{"ffmpeg", "lame"}

// Kind is a format of track.
type Kind string

// The kinds of track. The two kinds of M4A differ in where moov, which holds
// the tags, lies: iTunes puts it before the sound, many encoders behind it.
const (
	MP3      Kind = "mp3"
	M4AFront Kind = "m4a-front"
	M4ABack  Kind = "m4a-back"
	FLAC     Kind = "flac"
	Ogg      Kind = "ogg"
	Opus     Kind = "opus"
	WAV      Kind = "wav"
)

// Ext is the kind's file name extension, with the dot.
func (k Kind) Ext() string {
	if k == M4AFront || k == M4ABack {
		return ".m4a"
	}
	return "." + string(k)
}

// Options describe a library. [Preset] has some to start from.
type Options struct {
	Albums         int
	TracksPerAlbum int
	TotalBytes     int64  // of all files; met within a few per cent, if tracks of 3 KB to 23 MB can
	ArtBytes       [2]int // smallest and largest cover, met within some per cent; {0, 0} for none
	Seed           uint64 // another one costs the encoding of FLAC, Ogg and Opus anew
	Plain          bool   // MP3 only
	Only           Kind   // this kind only; empty for the mixture
	Xattrs         bool   // give some files and folders user.* attributes
	CacheDir       string // encoded streams; empty for a directory under os.TempDir
}

// Track is one track of a made library.
type Track struct {
	Path                 string // relative to the library, slash-separated
	Kind                 Kind
	Title, Artist, Album string
	Art                  string // SHA-256 of the cover, hexadecimal; empty without one
	Size                 int64  // of the file
}

// Summary tells what Make made.
type Summary struct {
	Tracks []Track
	Files  int   // tracks and the iTunes library
	Bytes  int64 // of all files
}

// Kinds counts the tracks of each kind.
func (s Summary) Kinds() map[Kind]int {
	n := map[Kind]int{}
	for _, t := range s.Tracks {
		n[t.Kind]++
	}
	return n
}

// Make makes a library in dir, which it creates if need be. Files that are
// there under the same names are overwritten, others are left alone.
func Make(ctx context.Context, dir string, o Options) (Summary, error) {
	if o.Albums < 1 || o.TracksPerAlbum < 1 || o.ArtBytes[0] > o.ArtBytes[1] {
		return Summary{}, fmt.Errorf("musiclib: no such library: %+v", o)
	}
	if o.CacheDir == "" {
		o.CacheDir = defaultCache()
	}
	c := &cache{dir: o.CacheDir}
	if err := os.MkdirAll(c.dir, 0o755); err != nil {
		return Summary{}, err
	}
	p := newPlan(o)
	if err := p.fit(ctx, c); err != nil {
		return Summary{}, err
	}
	return p.write(ctx, dir)
}

func defaultCache() string {
	return filepath.Join(os.TempDir(), fmt.Sprintf("tunesafe-musiclib-%s-%d", cacheVersion, os.Getuid()))
}
