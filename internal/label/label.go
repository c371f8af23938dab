// Package label reads what a track says of itself: title, artist, album, how
// long it is, and whether it was bought or ripped.
//
// A label is for people and for deciding what goes first; it is never part of
// what makes up a file, so a wrong one costs nothing but a wrong line of text.
//
// # What is read
//
// Only what [split] calls tags, tables and probe: never the rest of the sound,
// which may not be on this disk, and no pictures. A file that is one opaque
// piece is read at its ends and where its own headers point, at most
// maxRead bytes of it.
//
//	container             tags                                   length from
//	MPEG audio, ADTS AAC  ID3v2, APEv2, ID3v1                    Xing, Info, VBRI, or the frames of the probe
//	MP4, MOV              ilst                                   mdhd of the sound track, mvhd
//	FLAC                  Vorbis comment                         STREAMINFO
//	Ogg                   Vorbis comment of Vorbis, Opus,        the last page
//	                      Speex and FLAC
//	WAV, RF64, AIFF       ID3 chunk, LIST INFO, text chunks      fmt and the data chunk, COMM
//	ASF                   content descriptions                   file properties
//	Matroska, WebM        tags, title of the segment             Duration
//	WavPack, Monkey's,    APEv2                                  their headers
//	Musepack, TTA, TAK, OptimFROG
//	DSF, DFF              ID3                                    their headers
//
// # Why no library
//
// The usual one, dhowden/tag, knows five of these. It gives up a whole ID3 tag
// at its first bad frame, checks Ogg pages by a sum that takes reading the
// pictures, allocates what a FLAC picture says of its size, and shows none of
// the atoms by which the iTunes Store marks what it sold.
package label

import (
	"io"

	"github.com/fxamacker/cbor/v2"

	"github.com/tunesafe/tunesafe/internal/split"
)

// Label is what a track says of itself. Numbers are 0 and texts empty where it
// says nothing. Several artists are joined by "; ".
type Label struct {
	Format      string  `cbor:"1,keyasint,omitempty"` // "MP3", "FLAC"; empty if the file is no music
	Title       string  `cbor:"2,keyasint,omitempty"`
	Artist      string  `cbor:"3,keyasint,omitempty"`
	Album       string  `cbor:"4,keyasint,omitempty"`
	AlbumArtist string  `cbor:"5,keyasint,omitempty"`
	Composer    string  `cbor:"6,keyasint,omitempty"`
	Genre       string  `cbor:"7,keyasint,omitempty"`
	Year        int     `cbor:"8,keyasint,omitempty"`
	Track       int     `cbor:"9,keyasint,omitempty"`
	Disc        int     `cbor:"10,keyasint,omitempty"`
	Seconds     float64 `cbor:"11,keyasint,omitempty"` // of sound
	Bought      bool    `cbor:"12,keyasint,omitempty"` // a shop left its mark
	Ripped      bool    `cbor:"13,keyasint,omitempty"` // a ripper did; never together with Bought
	Art         int64   `cbor:"14,keyasint,omitempty"` // bytes of pictures

	// What they are sorted by, where the tags tell.
	ArtistSort      string `cbor:"15,keyasint,omitempty"`
	AlbumArtistSort string `cbor:"16,keyasint,omitempty"`
	ComposerSort    string `cbor:"17,keyasint,omitempty"`
}

// Empty reports whether the tags say nothing: no title, artist or album.
func (l Label) Empty() bool { return l.Title == "" && l.Artist == "" && l.Album == "" }

// Music reports whether the file is of a format that holds music.
func (l Label) Music() bool { return l.Format != "" }

// Encode returns the label as a row.
func (l Label) Encode() []byte {
	b, err := cbor.Marshal(l)
	if err != nil {
		panic("label: " + err.Error()) // the type is ours
	}
	return b
}

var decMode, _ = cbor.DecOptions{UTF8: cbor.UTF8DecodeInvalid}.DecMode()

// Decode is the inverse of Encode.
func Decode(row []byte) (l Label, err error) {
	err = decMode.Unmarshal(row, &l)
	return l, err
}

// Read reads the label of the file of size bytes behind r, of which split made
// layout. What is malformed is passed over: the only error is one of r.
func Read(r io.ReaderAt, size int64, layout split.Layout) (Label, error) {
	f := &file{source: newSource(r, size, layout)}
	defer f.source.giveBack()
	f.sound, f.firstSound = soundOf(layout)
	f.read()
	if f.source.err != nil {
		return Label{}, f.source.err
	}
	f.finish()
	for i, k := range layout.Parts {
		if k == split.Art {
			f.l.Art += layout.PartSize(i)
		}
	}
	return f.l, nil
}

// soundOf returns how many bytes of the file are known to be sound, and where
// the first is.
func soundOf(l split.Layout) (n, first int64) {
	var off int64
	for _, r := range l.Runs {
		if k := l.Parts[r.Part]; k == split.Probe || k == split.Audio {
			if n == 0 {
				first = off
			}
			n += r.Length
		}
		off += r.Length
	}
	return n, first
}
