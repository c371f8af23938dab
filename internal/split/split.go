package split

import "io"

// Kind says what a part holds, and with it where it is stored and how.
type Kind uint8

// The kinds of part, in the order of their worth. See the package comment.
const (
	Tags  Kind = iota + 1 // labour: tags, headers, padding; changes often, small
	Art                   // one embedded picture
	Index                 // tables a retag may shift but rarely does
	Seals                 // sequence numbers and checksums of Ogg pages, MP4 chunk offsets
	Probe                 // first 8 KiB and last 4 KiB of the audio (Ogg: 64 KiB)
	Audio                 // the rest of the sound
	Data                  // an unrecognised file, or what is left of one
)

// Run is a stretch of the file that belongs to one part.
type Run struct {
	Part   int   // index into Layout.Parts
	Length int64 // bytes, above 0
}

// Layout is a partition of a file: its parts, and the runs that make them up.
// A part's bytes are its runs' bytes concatenated in file order. Neighbouring
// runs belong to different parts; every part has at least one run; the lengths
// of the runs sum to the file's size.
type Layout struct {
	Parts []Kind
	Runs  []Run
}

// Split cuts the file of size bytes behind r.
func Split(r io.ReaderAt, size int64) (Layout, error) { panic("TODO") }
